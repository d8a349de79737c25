"""What a study would do, told before anything is solved: points, cases, first rows, core hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sacrofem.errors import InputError
from sacrofem.mesh.build import DEFAULT_EDGE_MM
from sacrofem.study.case import case_inputs, case_key
from sacrofem.study.design import Design
from sacrofem.study.recipe import read_recipe
from sacrofem.study.scenario import Scenario
from sacrofem.study.store import open_store
from sacrofem.study.study_file import StudyPoint, points_of, read_study
from sacrofem.study.yaml_file import FileModel

#: Core seconds of the first solve on a bench, of a solve with lesions, and of an arm with its
#: treatment and measures, by order: CPU time of one core on the phantom with 3 mm edges, 57,114
#: degrees of freedom of order 1 and 399,141 of order 2 (docs/studies.md, "Core hours"). Other
#: meshes take about as much more as they have more degrees of freedom.
SOLVE_SECONDS: Mapping[int, tuple[float, float, float]] = {
    1: (2.7, 3.2, 3.9),
    2: (10.8, 10.3, 9.9),
}
#: Seconds to read and mesh a bone at the default edges (docs/benchmarks.md, "Meshes").
MESH_SECONDS: Mapping[str, float] = {"sacrum": 10.0, "pelvis": 35.0}
#: Points of a study that are shown.
FIRST_ROWS = 5


@dataclass(frozen=True)
class Extent:
    """How much there is to solve.

    Attributes:
        cases: Cases by (point, arm).
        distinct: Those whose inputs differ, of each order.
        diseased: Different bones with lesions under a load, of each order.
        intact: Different intact bones under a load, of each order.
        meshes: Recipes of the bones.
    """

    cases: int
    distinct: Mapping[int, int]
    diseased: Mapping[int, int]
    intact: Mapping[int, int]
    meshes: tuple[Path, ...]


def dry_run(study_path: Path, out: Path | None = None) -> str:
    """What a study would do, as text; every value is checked, nothing is meshed or solved.

    Args:
        study_path: Study file.
        out: Output folder; where it has records, their mean seconds make the estimate.

    Raises:
        InputError: The study, a scenario of it or a recipe cannot be used.
    """
    study, base = read_study(study_path)
    points = points_of(study, base, study_path)
    extent = extent_of(points)
    arms = len(base.arms)
    distinct = sum(extent.distinct.values())
    return "\n".join(
        [
            study.title or base.title,
            f"Design: {_design_in_words(study.design)}",
            f"{_count(len(points), 'point')}, {_count(extent.cases, 'case')} "
            f"({_count(arms, 'arm')} at a point), {distinct:,} of them different, "
            f"{_count(len(extent.meshes), 'bone')}",
            "",
            *_first_rows(points),
            "",
            *_estimate(extent, out),
        ]
    )


def extent_of(points: Sequence[StudyPoint]) -> Extent:
    """How much a study solves; equal cases, lesions and loads of different points are one.

    Raises:
        InputError: A file that a scenario names cannot be read.
    """
    known: set[tuple[Any, ...]] = set()
    keys: tuple[dict[int, set[str]], ...] = ({}, {}, {})
    cases = 0
    for point in points:
        scenario = point.scenario
        cases += len(scenario.arms)
        same = _parts(scenario)
        if same not in known:
            known.add(same)
            for kind, found in zip(keys, _keys(scenario), strict=True):
                kind.setdefault(scenario.order, set()).update(found)
    distinct, diseased, intact = (
        {order: len(found) for order, found in sorted(kind.items())} for kind in keys
    )
    meshes = tuple(sorted({point.scenario.mesh for point in points}))
    return Extent(cases, distinct, diseased, intact, meshes)


def _parts(scenario: Scenario) -> tuple[Any, ...]:
    """Points share the parts that are equal: what has the same parts has the same keys."""
    found: list[Any] = []
    for name in Scenario.model_fields:
        value = getattr(scenario, name)
        for part in value if isinstance(value, tuple) else (value,):
            found.append(id(part) if isinstance(part, FileModel) else part)
    return tuple(found)


def _keys(scenario: Scenario) -> tuple[set[str], set[str], set[str]]:
    """What tells the cases of a point, its bone with lesions and its intact bone from others.

    The recipe's name stands for the mesh, which is not made yet.
    """
    try:
        each = [case_inputs(scenario, arm, str(scenario.mesh)) for arm in scenario.arms]
    except OSError as error:
        raise InputError(f"{error.filename}: not readable ({error.strerror}).") from error
    diseased = {name: value for name, value in each[0].items() if name != "procedures"}
    intact = {name: value for name, value in diseased.items() if name != "lesions"}
    return {case_key(inputs) for inputs in each}, {case_key(diseased)}, {case_key(intact)}


def _estimate(extent: Extent, out: Path | None) -> list[str]:
    recipes = {path: read_recipe(path) for path in extent.meshes}
    meshing = sum(MESH_SECONDS[recipe.model] for recipe in recipes.values())
    others: list[str] = []
    distinct = sum(extent.distinct.values())
    finished, mean = _measured(out)
    if mean is not None:
        solving = mean * distinct
        basis = f"{mean:.1f} s a case, the mean of {finished:,} finished in {out}"
    else:
        each = (extent.intact, extent.diseased, extent.distinct)
        solving = sum(
            number[order] * SOLVE_SECONDS[order][kind]
            for kind, number in enumerate(each)
            for order in number
        )
        basis = (
            f"{_count(sum(extent.intact.values()), 'intact bone')}, "
            f"{sum(extent.diseased.values()):,} with lesions and {distinct:,} treated, "
            f"at the times of docs/studies.md for a sacrum with {DEFAULT_EDGE_MM:g} mm edges"
        )
        others = [
            f"{path.name} is another mesh: its cases take about as much more or less as it has "
            "degrees of freedom."
            for path, recipe in recipes.items()
            if (recipe.model, recipe.edge_mm) != ("sacrum", DEFAULT_EDGE_MM)
        ]
    hours = (solving + meshing) / 3600.0
    return [
        f"Estimated: {hours:.3g} core hours ({basis}; {meshing:.0f} s to mesh).",
        *others,
        "Each worker solves the intact bone and the lesions of its own cases again.",
    ]


def _measured(out: Path | None) -> tuple[int, float | None]:
    """Number and mean seconds of the finished cases of a folder."""
    records = None if out is None else out / "records.sqlite"
    if records is None or not records.is_file():
        return 0, None
    with open_store(records, write=False) as store:
        found = store.execute("SELECT count(*), avg(seconds) FROM records").fetchone()
    return int(found[0]), found[1]


def _design_in_words(design: Design) -> str:
    given = design.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    words = [f"{name} {value}" for name, value in given.items() if name != "kind"]
    return ", ".join([design.kind, *words])


def _first_rows(points: Sequence[StudyPoint]) -> list[str]:
    """The first points as a table, columns under their names."""
    head = ["point", *points[0].values]
    rows = [
        [str(point.number), *(_cell(value) for value in point.values.values())]
        for point in points[:FIRST_ROWS]
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    more = len(points) - len(rows)
    return [*lines, f"... {more:,} more"] if more else lines


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _cell(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
