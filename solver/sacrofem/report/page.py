"""``report.html``: the comparison on one self-contained page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from sacrofem.image.calibration import calibration_from_json
from sacrofem.measure.stress_relief import RIM_MM
from sacrofem.report import failure_figure, figures, load_path_figure, scene
from sacrofem.report.assumptions import assumptions
from sacrofem.report.digits import change_percent, fixed, is_number, percent, signed
from sacrofem.report.failure_words import MESH_ERROR
from sacrofem.report.html import NO_SCENE, Picture, render
from sacrofem.report.table import Table, tables
from sacrofem.report.view import BoneView, view_of
from sacrofem.study.case import STATES
from sacrofem.study.run import ScenarioResult
from sacrofem.study.scenario import ArmSpec, Scenario

Summary = Mapping[str, Any]
IS_PHANTOM = (
    "The bone is the program's own phantom, a drawn shape with chosen densities. It is no patient."
)


#: What holds each model, and what is not there.
HELD = {
    "sacrum": "The sacroiliac joints are springs that also pull; ligaments are line springs of one "
    "stiffness, where the load stretches them; ilia and muscles are not there. The stiffness "
    "includes all these springs, which hides part of the bone's own change.",
    "pelvis": "The cartilage of the sacroiliac joints also pulls, the hips are held by springs at "
    "their joints or seats; ligaments are line springs of one stiffness; symphysis and muscles are "
    "not there. The stiffness is seen from the hips and holds little of the bone's own change.",
}


_LINEAR = (
    "Linear elasticity: no damage, no fracture, no yielding, no loosening between cement and bone. "
    "A relief of stress is not a gain of strength."
)
_YIELDING = (
    "Linear elasticity in all but the loads of failure, which let bone yield and never soften or "
    "break; no loosening between cement and bone. A load of failure is that of this model, not of "
    "a patient."
)


@dataclass(frozen=True)
class Headline:
    """The numbers of one arm at the top of the page: value, unit and meaning of each."""

    arm: str
    numbers: tuple[tuple[str, str, str], ...]


def write_report(folder: Path, result: ScenarioResult, summary: Summary) -> Path:
    """Write ``report.html`` into a folder and return its path; needs what rank 0 holds."""
    drawn, missing = pictures(view_of(result), summary)
    path = folder / "report.html"
    path.write_text(page(summary, result.scenario, drawn, missing), encoding="utf-8")
    return path


def page(
    summary: Summary, scenario: Scenario, drawn: Iterable[Picture], missing: str | None = None
) -> str:
    """The page as HTML.

    Args:
        summary: Values of ``summary.json``.
        scenario: What was asked.
        drawn: Pictures in their order.
        missing: One sentence about pictures that could not be drawn.
    """
    calibration = calibration_from_json(summary["calibration"])
    found = assumptions(scenario, calibration, summary["mesh"]["model"], scenario.load.hold)
    return render(
        "page.html",
        title=summary["title"],
        question=question(scenario),
        headlines=headlines(summary),
        tables=[_without_names(table) for table in tables(summary)],
        pictures=list(drawn),
        missing=missing,
        assumptions=[(g, list(rows)) for g, rows in groupby(found, key=attrgetter("group"))],
        limits=_limits(summary),
        facts=facts(summary),
        solves=_solves(summary),
        versions=summary["versions"],
        warnings=summary["warnings"],
        rim_mm=f"{RIM_MM:g}",
    )


def headlines(summary: Summary) -> tuple[Headline, ...]:
    """Five numbers of each arm."""
    side = _side(summary)
    return tuple(
        Headline(
            name,
            (
                (percent(_relief(arm, "mean"), 0), "%", "relief in the rim, mean"),
                (percent(_relief(arm, "p95"), 0), "%", "relief in the rim, 95th percentile"),
                (_stiffness_change(arm), "%", "stiffness, change to the lesion state"),
                (
                    _share_change(arm, side),
                    "points",
                    f"load share of the {side} SI joint and ligaments, change in percentage points",
                ),
                (fixed(arm.get("leak_ml"), 2), "ml", "cement outside the bone"),
            ),
        )
        for name, arm in summary["arms"].items()
    )


def pictures(view: BoneView, summary: Summary) -> tuple[list[Picture], str | None]:
    """The pictures of a report, and a sentence about those that could not be drawn."""
    arms = " and ".join(arm.name for arm in view.arms)
    bars = Picture(
        figures.png(figures.bars(summary)),
        f"Bar charts of rim stress, relief and stiffness for {arms}.",
        "Left: mean von Mises stress of the rim in three states; each arm has its own rim, so "
        "compare within an arm. Middle: relief, which may be compared. Right: stiffness against "
        "the intact bone.",
    )
    drawn = [bars, *_load_path(summary, arms), *_failure(summary, arms), *_slices(view, arms)]
    if scene.render_window() is None:
        return drawn, NO_SCENE
    return drawn + _scenes(view, arms), None


def _load_path(summary: Summary, arms: str) -> list[Picture]:
    """The picture of the load path; none of a summary without levels."""
    figure = load_path_figure.load_path(summary)
    if figure is None:
        return []
    return [
        Picture(
            figures.png(figure),
            f"Bar charts of who carries the load at each level, intact, with the lesion and after "
            f"{arms}.",
            "Who carries the load. Above: force along gravity through planes across the sacrum, "
            "parallel to the S1 endplate at the top and across the pelvic face from S1|S2 on; "
            "what does not go through was taken by joints and ligaments above, or is applied "
            "below. Below: the same across the borders of Denis' zones, from the midline to the "
            "sides, seen from in front (the patient's right is on the left). Left of 0 is a "
            "pull upwards: on one side of a bent bone, or against ligaments below.",
        )
    ]


def _failure(summary: Summary, arms: str) -> list[Picture]:
    """The picture of load and displacement to failure; none where it was not asked for."""
    figure = failure_figure.failure_curves(summary)
    if figure is None:
        return []
    return [
        Picture(
            figures.png(figure),
            f"Curves of load and displacement to failure, intact, with the lesion and after "
            f"{arms}, and bars of the loads of yield and failure.",
            "Loaded to failure with linear elements: the load of the case grows, with all that "
            "belongs to it, until a step of the displacement meets a tenth of the first stiffness. "
            "The bone of the sacrum yields, cement, tumour and joints stay elastic. "
            f"{MESH_ERROR}",
        )
    ]


def facts(summary: Summary) -> list[tuple[str, str]]:
    """Mesh, time, memory and inputs as pairs of name and text."""
    mesh = summary["mesh"]
    volumes = mesh.get("volume_ml"), mesh.get("label_volume_ml")
    return [
        *((name, f"{mesh[name]:,}") for name in ("nodes", "cells", "dofs")),
        ("cell quality (inverse condition, 1 is best), smallest", fixed(mesh["quality_min"], 2)),
        ("cell quality, 1st percentile", fixed(mesh["quality_p01"], 2)),
        ("volume of the mesh", f"{fixed(volumes[0], 2)} ml"),
        ("volume of the label", f"{fixed(volumes[1], 2)} ml"),
        ("mesh against label", f"{signed(change_percent(*volumes), 2)} %"),
        ("volume with clamped density", f"{fixed(mesh.get('clamped_density_ml'), 1)} ml"),
        ("mesh from the cache", "yes" if mesh.get("from_cache") else "no"),
        *((f"seconds: {name}", fixed(value, 1)) for name, value in summary["seconds"].items()),
        ("peak memory", f"{fixed(summary['peak_memory_GB'], 2)} GB"),
        ("MPI ranks", str(summary["ranks"])),
        ("mesh, SHA-256", str(mesh.get("sha256"))),
        *(
            (f"input {name}, SHA-256", str(value))
            for name, value in summary["inputs"].items()
            if isinstance(value, str)
        ),
        *((f"record {name}", str(arm["key"])) for name, arm in summary["arms"].items()),
    ]


def _slices(view: BoneView, arms: str) -> list[Picture]:
    planes = "axial, coronal and sagittal slices through the lesion's centre"
    shown = (
        (
            figures.density_slices,
            f"Density in {planes} with the outlines of lesion and cement for {arms}.",
            "The CT as density, with lesion, cement and needle. The needle is projected onto each "
            "plane; cement that left the bone is counted, not drawn. R, L: the patient's right "
            "and left; A, P: front and back; S, I: above and below. Radiological convention: the "
            "patient's right is on the left of axial and coronal pictures; axial is seen from the "
            "feet. Axes of the sacral frame, origin at the centre of the S1 endplate.",
        ),
        (
            figures.modulus_slices,
            f"Young's modulus in {planes} with the lesion and after {arms}.",
            "Young's modulus of each cell, as the solver had it; logarithmic scale.",
        ),
        (
            figures.stress_slices,
            f"Von Mises stress in {planes} with the lesion and after {arms}.",
            "Von Mises stress of each cell, not smoothed, one scale for all. The cortex is a "
            "membrane on the surface: its stress is not in these pictures.",
        ),
        (
            figures.difference_slices,
            f"Change of von Mises stress in {planes} after {arms}.",
            "Change of the von Mises stress of sound bone against the state with the lesion: blue "
            "is relief, red is more stress. Cells with lesion or cement are grey.",
        ),
    )
    return [Picture(figures.png(draw(view)), alt, caption) for draw, alt, caption in shown]


def _scenes(view: BoneView, arms: str) -> list[Picture]:
    return [
        Picture(
            figures.png(scene.treatment_scene(view)),
            f"3-D pictures of the sacrum with lesion, cement and needle for {arms}.",
            "The sacrum from behind (the patient's right is on the right) and from in front and "
            "above (the patient's right is on the left), with lesion, cement and needle.",
        ),
        Picture(
            figures.png(scene.stress_scene(view)),
            f"3-D pictures of von Mises stress on the sacrum with the lesion and after {arms}.",
            "Von Mises stress of the cells under the surface, not smoothed, on the scale of the "
            "slices.",
        ),
    ]


def question(scenario: Scenario) -> str:
    """What a scenario asks, in words."""
    arms = "; ".join(f"{arm.name}: {_procedures(scenario, arm)}" for arm in scenario.arms)
    lesions = "; ".join(spec.words for spec in scenario.lesions)
    load = scenario.load
    return (
        f"{'Lesion' if len(scenario.lesions) == 1 else 'Lesions'}: {lesions}. Load: "
        f"{load.words}. What does the cement take off the bone, and which "
        f"sacroiliac joint carries the load? {arms}."
    )


def _procedures(scenario: Scenario, arm: ArmSpec) -> str:
    done = arm.of_lesions(len(scenario.lesions))
    words = [f"{one.fill.words} along the {one.approach} ({one.cannula})" for one in done]
    if len(done) > 1 and len(set(words)) == 1:
        return f"{words[0]}, in each lesion"
    return ", then ".join(words)


def _without_names(table: Table) -> Table:
    """The table with the indents of plain text taken out."""
    rows = tuple((row[0].strip(), *row[1:]) for row in table.rows)
    return Table(table.title, table.columns, rows, table.labels, table.note)


def _limits(summary: Summary) -> list[str]:
    failed = next(iter(summary["arms"].values()))["intact"].get("failure")
    limits = [
        "Nothing here is a claim about pain, healing or a patient's outcome.",
        "No finite-element comparison of fill techniques in the sacrum, and none with a sacral "
        "metastasis, has been published: these numbers have nothing outside to be validated "
        "against.",
        "One bone, one disease, one load. The numbers have no spread, and a difference between "
        "arms may turn round in another bone or with other assumptions.",
        _LINEAR if failed is None else _YIELDING,
        HELD[summary["mesh"]["model"]],
        "Stress next to a jump of stiffness depends on the size of the cells. All states share "
        "one mesh, so differences between states suffer less than the stresses themselves.",
    ]
    return [IS_PHANTOM, *limits] if "phantom" in summary["inputs"] else limits


def _solves(summary: Summary) -> list[tuple[str, ...]]:
    """Arm, state, iterations, residual and equilibrium error of every solve."""
    rows = []
    for name, arm in summary["arms"].items():
        for state in STATES:
            values = arm[state]
            error = [_power(values.get(field)) for field in ("residual", "equilibrium_error")]
            rows.append((name, state, fixed(values.get("iterations"), 0), *error))
    return rows


def _power(value: float | None) -> str:
    return f"{value:.1e}" if value is not None and is_number(value) else fixed(None, 0)


def _relief(arm: Mapping[str, Any], word: str) -> float | None:
    value: float | None = arm["relief"]["rim"].get(f"von_mises_{word}")
    return value


def _stiffness_change(arm: Mapping[str, Any]) -> str:
    lesion, treated = (arm[s].get("stiffness_N_per_mm") for s in ("lesion", "treated"))
    return signed(change_percent(treated, lesion), 1)


def _share_change(arm: Mapping[str, Any], side: str) -> str:
    before, after = (arm[s].get(f"load_share_{side}") for s in ("lesion", "treated"))
    return signed(None if None in (before, after) else 100.0 * (after - before), 1)


def _side(summary: Summary) -> str:
    """The side of the largest lesion, ``left`` or ``right``; ``left`` of one in the middle."""
    largest = max(summary["lesions"], key=lambda lesion: lesion["volume_ml"])
    return "right" if largest["side"] == "right" else "left"
