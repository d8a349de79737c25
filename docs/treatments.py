"""What can be done in which bone, and how exactly: ``./with-env python docs/treatments.py``.

Writes ``docs/treatments.md`` and ``docs/images/leakage.png``: every access with every fill at four
sites beside the rule of the paper, volumes and sums over seeded scenarios, and what leaks from a
balloon and from a vertebroplasty in the same breached lesions. With ``--ct`` and ``--labels`` the
first table is made for that CT as well. Nothing is solved here.
"""

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from sacrofem.errors import InputError
from sacrofem.report.figures import png
from sacrofem.study.bones import load_patient
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import read_recipe, with_own_images
from sacrofem.treatment.lesion import Lesion
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
#: Name, lesion and the accesses that Tian 2019 names for its zone.
SITES: tuple[tuple[str, LesionPlan, frozenset[str]], ...] = (
    (
        "lateral mass (zone I)",
        LesionPlan(site="lateral mass right", volume_ml=7.1),
        frozenset({"short axis", "long axis", "transiliac", "anterior-oblique"}),
    ),
    (
        "foraminal zone (zone II)",
        LesionPlan(site="foraminal zone right", volume_ml=3.0),
        frozenset({"long axis"}),
    ),
    (
        "body S1 (zone III)",
        LesionPlan(site="vertebral body", volume_ml=8.0),
        frozenset({"transiliac", "interpedicular"}),
    ),
    (
        "bodies S1-S2",
        LesionPlan(site="vertebral body", level="S1-S2", volume_ml=10.0),
        frozenset({"interpedicular"}),
    ),
)
CEMENT_ML = 4.0
BREACHES: tuple[Breach, ...] = ("anterior", "posterior", "foraminal", "articular")


@dataclass(frozen=True)
class Outcome:
    """One attempt: what was delivered, or why it was refused."""

    cell: str
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
        return Outcome("refused", str(error), time.perf_counter() - start)
    leak = f", leak {done.fill.leaked_ml:.2f}" if done.fill.leaked_ml > 0.005 else ""
    cell = f"{done.fill.cement_ml:.2f} ml{leak}"
    return Outcome(cell, "", time.perf_counter() - start)


def feasibility(name: str, field: OperatingField) -> tuple[str, list[float]]:
    """The table of one bone: access x fill x site, with the paper's rule."""
    text = f"### {name}\n\n| site | access | rule (Tian 2019) | " + " | ".join(FILLS)
    text += " | difference from the rule |\n" + "| --- " * (4 + len(FILLS)) + "|\n"
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
            cells = [site, approach, "yes" if allowed else "no", *(t.cell for t in tried), word]
            text += "| " + " | ".join(cells) + " |\n"
    text += "\nWhy accesses are refused:\n\n"
    text += "".join(f"- {where}: {reason}\n" for where, reason in reasons.items())
    return text + "\n", seconds


@dataclass(frozen=True)
class Sums:
    """Errors of one seeded scenario."""

    lesion: float
    cement: float
    sum_ml: float
    seconds: float


def random_plans(rng: np.random.Generator) -> tuple[LesionPlan, ProcedurePlan]:
    """A lesion and a procedure as a study might draw them."""
    site: Site = get_args(Site)[rng.integers(len(get_args(Site)))]
    most = 4.0 if "foraminal" in site else 12.0
    breach = (BREACHES[rng.integers(4)],) if rng.random() < 0.3 else ()
    lesion = LesionPlan(site=site, volume_ml=float(rng.uniform(1.0, most)), breach=breach)
    technique = FILLS[rng.integers(3)]
    share = float(rng.uniform(0.1, 0.4)) if technique == "vesselplasty" else 0.0
    fill = FillPlan(technique, float(rng.uniform(1.0, 8.0)), permeating_share=share)
    return lesion, ProcedurePlan((0,), PathPlan("best"), fill)


def seeded(field: OperatingField, count: int) -> tuple[list[Sums], dict[str, int]]:
    """Volumes of seeded scenarios, and how often which reason refused one."""
    found, refused = [], {}
    for seed in range(count):
        lesion, procedure = random_plans(np.random.default_rng(seed))
        start = time.perf_counter()
        try:
            lesions = place_lesions(field, [lesion])
            fill = one(field, lesions, procedure).fill
        except InputError as error:
            reason = str(error).split(";")[0].split(":")[0]
            refused[reason] = refused.get(reason, 0) + 1
            continue
        seconds = time.perf_counter() - start
        placed = fill.injected_ml - fill.unplaced_ml - fill.leaked_ml
        in_cells = float(lesions[0].fraction @ field.mesh.cell_ml)
        total = fill.cement_ml + fill.leaked_ml + fill.unplaced_ml
        assert lesion.volume_ml is not None
        found.append(
            Sums(
                abs(in_cells / lesion.volume_ml - 1.0),
                abs(fill.cement_ml / placed - 1.0) if placed > 0 else 0.0,
                abs(total - fill.injected_ml),
                seconds,
            )
        )
    return found, refused


def volumes(field: OperatingField, count: int) -> str:
    """The table of the seeded scenarios."""
    found, refused = seeded(field, count)
    rows = (
        ("scenarios drawn", str(count)),
        ("delivered", str(len(found))),
        ("refused, with a reason", str(sum(refused.values()))),
        ("largest error of the lesion's volume", f"{100 * max(s.lesion for s in found):.3f} %"),
        ("largest error of the cement's volume", f"{100 * max(s.cement for s in found):.2e} %"),
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
        text + "\n" + "".join(f"- refused {n} times: {why}\n" for why, n in refused.items()) + "\n"
    )


def leakage(field: OperatingField, count: int) -> tuple[str, Figure]:
    """Leaks of both techniques in the same breached lesions: a table and a figure."""
    faces, leaks = [], {"balloon": [], "vertebroplasty": []}
    for seed in range(count):
        rng = np.random.default_rng(1000 + seed)
        side = ("left", "right")[rng.integers(2)]
        face = BREACHES[seed % 4]
        plan = LesionPlan(
            site="lateral mass left" if side == "left" else "lateral mass right",
            volume_ml=float(rng.uniform(6.6, 12.1)),
            breach=(face,),
        )
        cement_ml = float(rng.uniform(4.0, 10.0))
        base = ProcedurePlan((0,), PathPlan("best"), FillPlan("balloon", cement_ml))
        try:
            lesions = place_lesions(field, [plan])
            done = {
                name: one(field, lesions, replace(base, fill=FillPlan(name, cement_ml)))
                for name in ("balloon", "vertebroplasty")
            }
        except InputError:
            continue
        faces.append(face)
        for name, procedure in done.items():
            leaks[name].append(procedure.fill.leaked_ml)
    return _leak_table(faces, leaks), _leak_figure(faces, leaks)


def _leak_table(faces: list[str], leaks: dict[str, list[float]]) -> str:
    balloon, plain = (np.array(leaks[name]) for name in ("balloon", "vertebroplasty"))
    text = (
        "| breached face | lesions | balloon: leak median (range), ml | leaking | vertebroplasty:"
    )
    text += " leak median (range), ml | leaking |\n" + "| --- " * 6 + "|\n"
    for face in (*BREACHES, "all"):
        here = np.array([face in ("all", other) for other in faces])
        cells = [face, str(here.sum())]
        for values in (balloon[here], plain[here]):
            spread = f"{np.median(values):.2f} ({values.min():.2f} to {values.max():.2f})"
            cells += [spread, f"{(values > 0.05).sum()}"]
        text += "| " + " | ".join(cells) + " |\n"
    test = stats.wilcoxon(plain, balloon, zero_method="zsplit")
    return text + (
        f"\nPaired over {len(faces)} lesions, Wilcoxon signed-rank: p = {test.pvalue:.1e}. "
        "Leaking: more than 0.05 ml outside the bone.\n\n"
    )


def _leak_figure(faces: list[str], leaks: dict[str, list[float]]) -> Figure:
    figure = Figure(figsize=(6.2, 5.2), layout="constrained")
    axes = figure.subplots()
    colours = dict(zip(BREACHES, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
    for face, colour in colours.items():
        here = [i for i, other in enumerate(faces) if other == face]
        x = [leaks["vertebroplasty"][i] for i in here]
        y = [leaks["balloon"][i] for i in here]
        axes.scatter(x, y, s=28, color=colour, edgecolor="white", linewidth=0.5, label=face)
    top = 1.05 * max(max(values) for values in leaks.values()) + 0.1
    axes.plot([0, top], [0, top], color="0.6", linewidth=1, linestyle="--", label="equal")
    axes.set(xlim=(-0.02 * top, top), ylim=(-0.02 * top, top), aspect="equal")
    axes.set_xlabel("cement outside the bone after vertebroplasty, ml")
    axes.set_ylabel("cement outside the bone after balloon, ml")
    axes.legend(title="breached face", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
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
    text += f"## Which access reaches which site\n\n{CEMENT_ML:g} ml asked in every case.\n\n"
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
