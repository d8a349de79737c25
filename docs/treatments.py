"""What can be done in which bone, and how exactly: ``./with-env python docs/treatments.py``.

Writes ``docs/treatments.md`` and ``docs/images/leakage.png``: every access with every fill at four
sites beside the rule of the paper, volumes and sums over seeded scenarios, and what leaks from a
balloon and from a vertebroplasty in the same breached lesions. With ``--ct`` and ``--labels`` the
first table is made for that CT as well. Nothing is solved here.
"""

import argparse
import itertools
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.report.figures import png
from sacrofem.study.bones import load_patient
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import read_recipe, with_own_images
from sacrofem.treatment.access.rule import BY_ZONE, SEVERAL_BODIES
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.medium import medium_of
from sacrofem.treatment.operating_field import OperatingField, operating_field
from sacrofem.treatment.plan import (
    Approach,
    Breach,
    FillPlan,
    LesionPlan,
    PathPlan,
    ProcedurePlan,
    Site,
    Technique,
)
from sacrofem.treatment.procedure import Procedure
from sacrofem.treatment.sites import place_lesions
from sacrofem.treatment.treat import treat

ROOT = Path(__file__).parents[1]
APPROACHES: tuple[Approach, ...] = get_args(Approach)[:-1]
FILLS: tuple[Technique, ...] = ("balloon", "vertebroplasty", "vesselplasty")
#: Name, lesion and the accesses that the paper names for it.
SITES: tuple[tuple[str, LesionPlan, tuple[Approach, ...]], ...] = (
    (
        "lateral mass (zone I)",
        LesionPlan(site="lateral mass right", volume_ml=7.1),
        BY_ZONE[1],
    ),
    (
        "foraminal zone (zone II)",
        LesionPlan(site="foraminal zone right", volume_ml=3.0),
        BY_ZONE[2],
    ),
    ("body S1 (zone III)", LesionPlan(site="vertebral body", volume_ml=8.0), BY_ZONE[3]),
    (
        "bodies S1-S2",
        LesionPlan(site="vertebral body", level="S1-S2", volume_ml=10.0),
        SEVERAL_BODIES,
    ),
)
WHY = """\
The paper's rule names the accesses that are usual for fractures of a zone; the program asks in
this bone whether a needle reaches the middle of this lesion with 1 mm between its wall and
whatever it must not cross. So it finds more. A lesion of the foraminal zone has its middle in
the pedicle above the S1 foramen, which a needle from behind, from the side or from in front
reaches without crossing a foramen; the long axis, the only one that the rule names, passes the
foramina at 1 to 2 mm. The middle of a body is reached from behind past the canal, at 1 to 3 mm,
which nobody would choose where other ways leave 5 mm and more: the access `best` keeps to the
rule where that is possible. The anterior-oblique access is named but not described in the texts
at hand; its geometry is an assumption, and vessels and nerves in front of the joint are not in
the labels.

"""
CEMENT_ML = 4.0
BREACHES: tuple[Breach, ...] = ("anterior", "posterior", "foraminal", "articular")
#: The face that a lesion of a site most likely reaches.
NEAREST: dict[Site, Breach] = {
    "lateral mass left": "articular",
    "lateral mass right": "articular",
    "foraminal zone left": "foraminal",
    "foraminal zone right": "foraminal",
    "vertebral body": "anterior",
}
LEAKING = ("balloon", "small balloon", "vertebroplasty")
#: Cavity of the small balloon, of the cement's volume, and leak from which on one is counted.
SMALL, LEAKS_ABOVE_ML = 0.7, 0.05


@dataclass(frozen=True)
class Outcome:
    """One attempt: what was delivered and how near the needle came, or why it was refused."""

    cell: str
    clearance_mm: float
    reason: str
    seconds: float


def one(field: OperatingField, lesions: tuple[Lesion, ...], plan: ProcedurePlan) -> Procedure:
    """The only procedure of a treatment."""
    return treat(field, lesions, [plan]).procedures[0]


def attempt(
    field: OperatingField, lesions: tuple[Lesion, ...], approach: Approach, technique: Technique
) -> Outcome:
    """One access with one fill in one lesion."""
    plan = ProcedurePlan((0,), PathPlan(approach), FillPlan(technique, CEMENT_ML))
    start = time.perf_counter()
    try:
        done = one(field, lesions, plan)
    except InputError as error:
        return Outcome("refused", float("nan"), str(error), time.perf_counter() - start)
    leak = f", leak {done.fill.leaked_ml:.2f}" if done.fill.leaked_ml > 0.005 else ""
    cell = f"{done.fill.cement_ml:.2f} ml{leak}"
    return Outcome(cell, done.path.least_clearance_mm, "", time.perf_counter() - start)


def feasibility(name: str, field: OperatingField) -> tuple[str, list[float]]:
    """The table of one bone: access x fill x site, with the paper's rule."""
    text = f"### {name}\n\n| site | access | rule (Tian 2019) | " + " | ".join(FILLS)
    text += " | clearance, mm | against the rule |\n" + "| --- " * (5 + len(FILLS)) + "|\n"
    seconds, reasons = [], {}
    for site, plan, rule in SITES:
        lesions = place_lesions(field, [plan])
        for approach in APPROACHES:
            tried = [attempt(field, lesions, approach, technique) for technique in FILLS]
            seconds += [outcome.seconds for outcome in tried if not outcome.reason]
            works, allowed = not all(t.reason for t in tried), approach in rule
            word = "" if works == allowed else "reached here" if works else "not here"
            if tried[0].reason:
                reasons[f"{site}, {approach}"] = tried[0].reason
            near = f"{tried[0].clearance_mm:.1f}" if works else "-"
            cells = [site, approach, "yes" if allowed else "no", *(t.cell for t in tried)]
            cells += [near, word]
            text += "| " + " | ".join(cells) + " |\n"
    text += "\nWhy accesses are refused:\n\n"
    text += "".join(f"- {where}: {reason}\n" for where, reason in reasons.items())
    return text + "\n", seconds


def pmma_on_mesh_ml(field: OperatingField, lesions: tuple[Lesion, ...], fill: CementFill) -> float:
    """PMMA in the parts of the mesh, counted anew: their volume times the pores of the bone there.

    The compacted shell around a container has fewer pores than the bone that is asked here: a
    vesselplasty, whose cement permeates it, cannot be counted so.
    """
    medium = medium_of(field, lesions, "high")
    pores = np.zeros(field.tissue.tissue.shape)
    pores[medium.box] = medium.pore
    share = np.where(fill.pure, 1.0, pores[field.voxel])
    return field.samples.integral(fill.inside, share)


@dataclass(frozen=True)
class Sums:
    """Errors of one seeded scenario."""

    lesion: float
    cement: float
    cavity: float
    sum_ml: float
    seconds: float


def random_plans(rng: np.random.Generator) -> tuple[LesionPlan, ProcedurePlan]:
    """A lesion and a procedure as a study might draw them."""
    site: Site = get_args(Site)[rng.integers(len(get_args(Site)))]
    most = 4.0 if "foraminal" in site else 12.0
    breach = (NEAREST[site],) if rng.random() < 0.3 else ()
    lesion = LesionPlan(site=site, volume_ml=float(rng.uniform(1.0, most)), breach=breach)
    technique = FILLS[rng.integers(3)]
    share = float(rng.uniform(0.1, 0.4)) if technique == "vesselplasty" else 0.0
    fill = FillPlan(technique, float(rng.uniform(1.0, 8.0)), permeating_share=share)
    return lesion, ProcedurePlan((0,), PathPlan("best"), fill)


def seeded(field: OperatingField, count: int) -> tuple[list[Sums], dict[str, list[str]]]:
    """Volumes of seeded scenarios until so many were delivered; the others' reasons by kind."""
    found: list[Sums] = []
    refused: dict[str, list[str]] = {}
    for seed in itertools.count():
        if len(found) == count:
            break
        lesion, procedure = random_plans(np.random.default_rng(seed))
        start = time.perf_counter()
        try:
            lesions = place_lesions(field, [lesion])
            fill = one(field, lesions, procedure).fill
        except InputError as error:
            kind = re.sub(r"[-\d.]+", "#", str(error).split(";")[0])
            refused.setdefault(kind, []).append(str(error))
            continue
        seconds = time.perf_counter() - start
        placed = fill.injected_ml - fill.unplaced_ml - fill.leaked_ml
        in_cells = float(lesions[0].fraction @ field.mesh.cell_ml)
        total = fill.cement_ml + fill.leaked_ml + fill.unplaced_ml
        permeating = procedure.fill.permeating_share
        on_mesh = placed if permeating else pmma_on_mesh_ml(field, lesions, fill)
        cavity_ml = field.samples.volume_ml(fill.pure | fill.hollow)
        asked_ml = fill.injected_ml * (1.0 - permeating)
        assert lesion.volume_ml is not None
        found.append(
            Sums(
                abs(in_cells / lesion.volume_ml - 1.0),
                abs(on_mesh / placed - 1.0) if placed > 0 else 0.0,
                0.0 if fill.technique == "vertebroplasty" else abs(cavity_ml / asked_ml - 1.0),
                abs(total - fill.injected_ml),
                seconds,
            )
        )
    return found, refused


def volumes(field: OperatingField, count: int) -> str:
    """The table of the seeded scenarios."""
    found, refused = seeded(field, count)
    rows = (
        ("scenarios delivered", str(len(found))),
        ("refused on the way, with a reason", str(sum(len(why) for why in refused.values()))),
        ("largest error of the lesion's volume", f"{100 * max(s.lesion for s in found):.3f} %"),
        (
            "largest error of the cement on the mesh, balloon and vertebroplasty",
            f"{100 * max(s.cement for s in found):.3f} %",
        ),
        (
            "largest error of a balloon's or container's volume",
            f"{100 * max(s.cavity for s in found):.3f} %",
        ),
        (
            "largest difference of bone + leak + unplaced from what was injected",
            f"{max(s.sum_ml for s in found):.1e} ml",
        ),
        (
            "seconds for lesion, path and fill, median",
            f"{np.median([s.seconds for s in found]):.2f}",
        ),
        ("seconds for lesion, path and fill, largest", f"{max(s.seconds for s in found):.2f}"),
    )
    text = "| | |\n| --- | --- |\n" + "".join(f"| {name} | {value} |\n" for name, value in rows)
    return (
        text
        + "\n"
        + "".join(f"- {len(why)} times such as: {why[0]}\n" for why in refused.values())
        + "\n"
    )


def breached_lesion(field: OperatingField, seed: int) -> tuple[LesionPlan, float, Breach]:
    """A lytic lesion of a lateral mass that leans on the face that it breached, and its cement.

    It is Andresen's range of volumes, up to 8 mm off the middle of the lateral mass towards the
    face, with 0.6 to 1.1 of its volume of cement: 0.68 is the mean of that paper.
    """
    rng = np.random.default_rng(1000 + seed)
    frame, face = field.atlas.frame, BREACHES[seed % 4]
    side = ("left", "right")[rng.integers(2)]
    lateral = frame.left if side == "left" else -frame.left
    towards = {
        "anterior": -frame.posterior,
        "posterior": frame.posterior,
        "foraminal": -lateral,
        "articular": lateral,
    }[face]
    centre = field.mesh.lateral_mass_mm[side] + rng.uniform(0.0, 8.0) * towards
    volume_ml = float(rng.uniform(6.6, 12.1))
    plan = LesionPlan(centre_mm=centre, volume_ml=volume_ml, breach=(face,), spares_nerves=False)
    return plan, float(rng.uniform(0.6, 1.1)) * volume_ml, face


def leakage(field: OperatingField, count: int) -> tuple[str, Figure]:
    """Leaks of three fills in the same breached lesions: a table and a figure."""
    faces: list[str] = []
    leaks: dict[str, list[float]] = {name: [] for name in LEAKING}
    refused = []
    for seed in range(count):
        plan, cement_ml, face = breached_lesion(field, seed)
        fills = {
            "balloon": FillPlan("balloon", cement_ml),
            "small balloon": FillPlan("balloon", cement_ml, balloon_ml=SMALL * cement_ml),
            "vertebroplasty": FillPlan("vertebroplasty", cement_ml),
        }
        try:
            lesions = place_lesions(field, [plan])
            found = {
                name: one(field, lesions, ProcedurePlan((0,), PathPlan("best"), fill)).fill
                for name, fill in fills.items()
            }
        except InputError as error:
            refused.append(f"lesion {seed} ({face}): {error}")
            continue
        faces.append(face)
        for name, fill in found.items():
            leaks[name].append(fill.leaked_ml)
    text = _leak_table(faces, {name: np.array(values) for name, values in leaks.items()})
    return text + "".join(f"- refused: {reason}\n" for reason in refused), _leak_figure(
        faces, leaks
    )


def _leak_table(faces: list[str], leaks: dict[str, FloatArray]) -> str:
    text = "| breached face | lesions |"
    text += "".join(f" {name}: leak median (range), ml | leaking |" for name in leaks)
    text += "\n" + "| --- " * (2 + 2 * len(leaks)) + "|\n"
    for face in (*BREACHES, "all"):
        here = np.array([face in ("all", other) for other in faces])
        cells = [face, str(here.sum())]
        for values in leaks.values():
            some = values[here]
            cells.append(f"{np.median(some):.2f} ({some.min():.2f} to {some.max():.2f})")
            cells.append(str(int((some > LEAKS_ABOVE_ML).sum())))
        text += "| " + " | ".join(cells) + " |\n"
    for name in ("balloon", "small balloon"):
        test = stats.wilcoxon(leaks["vertebroplasty"], leaks[name], zero_method="zsplit")
        text += f"\nVertebroplasty against {name}, paired over {len(faces)} lesions, Wilcoxon "
        text += f"signed-rank: p = {test.pvalue:.1e}."
    return text + (
        f"\nLeaking: more than {LEAKS_ABOVE_ML:g} ml outside the bone. The balloon's cavity is "
        f"as large as the cement, that of the small one {SMALL:g} of it: the rest has to leave it "
        "under pressure.\n\n"
    )


def _leak_figure(faces: list[str], leaks: dict[str, list[float]]) -> Figure:
    figure = Figure(figsize=(10.4, 5.0), layout="constrained")
    colours = dict(zip(BREACHES, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
    top = 1.05 * max(max(values) for values in leaks.values()) + 0.05
    for axes, name in zip(figure.subplots(1, 2), ("balloon", "small balloon"), strict=True):
        for face, colour in colours.items():
            here = [i for i, other in enumerate(faces) if other == face]
            x = [leaks["vertebroplasty"][i] for i in here]
            y = [leaks[name][i] for i in here]
            axes.scatter(x, y, s=28, color=colour, edgecolor="white", linewidth=0.5, label=face)
        axes.plot([0, top], [0, top], color="0.6", linewidth=1, linestyle="--", label="equal")
        axes.set(xlim=(-0.02 * top, top), ylim=(-0.02 * top, top), aspect="equal")
        axes.set_xlabel("cement outside the bone after vertebroplasty, ml")
        axes.set_ylabel(f"cement outside the bone after {name}, ml")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(title="breached face", frameon=False)
    return figure


def main() -> None:
    """Write the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ct", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--scenarios", type=int, default=200)
    parser.add_argument("--lesions", type=int, default=50)
    asked = parser.parse_args()
    recipe = read_recipe(ROOT / "meshes" / "phantom.yaml")
    fields = {"Phantom": operating_field(load_patient(recipe, Stopwatch()).bone)}
    if asked.ct is not None:
        own = with_own_images(recipe, asked.ct, asked.labels)
        fields["A real CT"] = operating_field(load_patient(own, Stopwatch()).bone)
    text = "# Treatments\n\nMade by `./with-env python docs/treatments.py`; do not edit.\n\n"
    text += f"## Which access reaches which site\n\n{CEMENT_ML:g} ml asked in every case.\n\n{WHY}"
    for name, field in fields.items():
        table, seconds = feasibility(name, field)
        text += table + f"Path and fill: median {np.median(seconds):.2f} s, largest "
        text += f"{max(seconds):.2f} s.\n\n"
    phantom = fields["Phantom"]
    text += "## Volumes of seeded scenarios\n\n" + volumes(phantom, asked.scenarios)
    table, figure = leakage(phantom, asked.lesions)
    text += (
        "## Leakage through a breached cortex\n\nThe same lesions, paths and volumes.\n\n" + table
    )
    text += "![Leak of balloon against vertebroplasty](images/leakage.png)\n"
    (ROOT / "docs" / "images" / "leakage.png").write_bytes(png(figure))
    (ROOT / "docs" / "treatments.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
