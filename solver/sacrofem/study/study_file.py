"""Study files: a base scenario, the fields that vary, and the design that combines them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field, ValidationInfo, field_validator, model_validator

from sacrofem.errors import InputError
from sacrofem.study.design import (
    DRAWING,
    MAX_POINTS,
    Design,
    PointTable,
    crossed,
    read_points,
    shares,
)
from sacrofem.study.formula import parse_formula
from sacrofem.study.scenario import Scenario, read_scenario
from sacrofem.study.variants import Place, field_value, overlap, variants
from sacrofem.study.variation import (
    Distribution,
    Equals,
    VariationField,
    chosen,
    listed,
    rounded,
)
from sacrofem.study.yaml_file import FileModel, read_yaml


class Study(FileModel):
    """A study file: every arm of the base scenario at every point of the design.

    Attributes:
        base: The scenario, relative to the study file.
        title: What the study asks; None takes the scenario's title.
        vary: What varies, by dotted path of the scenario.
        zip: Groups of lists that run side by side instead of crossed.
        cross: Lists that a drawing or ``csv`` design crosses with all of its points; the others
            are equally likely choices.
        design: How the values are combined.
    """

    base: Path
    title: str | None = None
    vary: dict[str, VariationField] = Field(default_factory=dict)
    zip: tuple[tuple[str, ...], ...] = ()
    cross: tuple[str, ...] = ()
    design: Design = Design()

    @model_validator(mode="before")
    @classmethod
    def _grid_by_default(cls, data: Any) -> Any:
        # As if it stood there: what varies is checked against it.
        return {"design": {"kind": "grid"}, **data} if isinstance(data, dict) else data

    @field_validator("zip")
    @classmethod
    def _zip_fits(
        cls, groups: tuple[tuple[str, ...], ...], info: ValidationInfo
    ) -> tuple[tuple[str, ...], ...]:
        vary = info.data.get("vary", {})
        seen: set[str] = set()
        for group in groups:
            lengths = {field: len(_list_in(vary, field)) for field in group}
            if len(lengths) < 2 or len(group) > len(lengths) or seen & lengths.keys():
                raise ValueError(
                    f"a group needs two fields, each of them in one group, found {list(group)}"
                )
            if len(set(lengths.values())) > 1:
                words = ", ".join(f"{field} {n}" for field, n in lengths.items())
                raise ValueError(f"the lists of a group need the same length, found {words}")
            seen |= lengths.keys()
        return groups

    @field_validator("cross")
    @classmethod
    def _cross_fits(cls, fields: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for field in fields:
            _list_in(info.data.get("vary", {}), field)
        return fields

    @field_validator("design")
    @classmethod
    def _design_fits(cls, design: Design, info: ValidationInfo) -> Design:
        if not {"vary", "zip", "cross"} <= info.data.keys():
            return design
        vary, cross = info.data["vary"], info.data["cross"]
        groups = _axes(vary, info.data["zip"])
        free = [g for g in groups if not set(g) & set(cross)]
        distributed = [f for f, v in vary.items() if isinstance(v, Distribution)]
        if design.kind == "grid" and distributed:
            raise ValueError(
                f"a grid crosses lists and ranges; '{distributed[0]}' is a distribution: take one "
                f"of the designs {', '.join(DRAWING)}"
            )
        if design.kind in ("grid", "saltelli") and cross:
            why = "already crosses all lists" if design.kind == "grid" else "is of one block of N"
            raise ValueError(f"'cross' does not belong to the design '{design.kind}', which {why}")
        if design.kind == "csv" and free:
            raise ValueError(
                f"the points are in the table; '{free[0][0]}' varies beside it: name it in "
                "'cross', or make it a column"
            )
        return design


@dataclass(frozen=True)
class StudyPoint:
    """One point of a study: a scenario with all arms.

    Attributes:
        number: Place in the order of the design, from 0; the same whenever the file is read.
        values: Varied and dependent fields by dotted path, as they stand in the file.
        scenario: The scenario with these values.
    """

    number: int
    values: Mapping[str, Any]
    scenario: Scenario


def read_study(path: Path) -> tuple[Study, Scenario]:
    """Read a study file and its base scenario.

    Raises:
        InputError: See :func:`sacrofem.study.yaml_file.read_yaml`; or the base asks for curves to
            failure, or they vary.
    """
    study = read_yaml(path, Study)
    lines: dict[str, int] = {}
    for key, _ in _pairs(_tree(path), "vary"):
        # YAML takes the last of two equal keys and says nothing.
        if key.value in lines:
            raise InputError(
                f"{path}, line {key.start_mark.line + 1}, vary.{key.value}: it stands in line "
                f"{lines[key.value]} already; a field varies once."
            )
        lines[key.value] = key.start_mark.line + 1
    base = read_scenario(path.parent / study.base)
    if base.failure_curve or "failure_curve" in study.vary:
        where = path.parent / study.base if base.failure_curve else f"{path}, vary"
        raise InputError(
            f"{where}: 'failure_curve' must not be set, a sweep computes no curves; leave it out, "
            "and ask 'sacrofem run' for them."
        )
    return study, base


def points_of(study: Study, base: Scenario, source: Path) -> list[StudyPoint]:
    """All points of a study in the order of its design, every value checked.

    The order: the samples of a design that draws or the rows of its table, and for each of them
    the lists of ``cross``; in a grid and in ``cross`` the last list of the file runs fastest.

    Args:
        study: The study.
        base: Its base scenario.
        source: Its file: relative names in the study are relative to its folder.

    Raises:
        InputError: A path does not lead to a field, a value does not fit its field, a formula has
            no value, a file is missing, or there are more than ``MAX_POINTS`` points.
    """
    table = None
    if study.design.file is not None:
        table = read_points(source.parent / study.design.file)
        double = [(f, v) for f in table.fields for v in study.vary if overlap(f, v)]
        if double:
            raise InputError(
                f"{table.file}, line 1, {double[0][0]}: '{double[0][1]}' of {source} leads to the "
                "same field; a field varies once."
            )
    columns, row_of = _columns(study, source, table)
    place = _places(source, table, row_of)
    for field, variation in study.vary.items():
        if isinstance(variation, Equals):
            columns[field] = _dependent(field, variation, columns, base, place)
    scenarios = variants(base, columns, source.parent, place)
    names = tuple(columns)
    rows = zip(scenarios, zip(*columns.values(), strict=True), strict=True)
    return [
        StudyPoint(number, dict(zip(names, row, strict=True)), scenario)
        for number, (scenario, row) in enumerate(rows)
    ]


def saltelli_blocks(study: Study) -> tuple[int, tuple[str, ...]]:
    """N and the names of the k parameters of a ``saltelli`` study of N (k + 2) points.

    Points 0 to N - 1 are A, the next N are B; then come N points of A with the first parameter
    from B, N with the second, and so on. A group of ``zip`` is one parameter, named by its first
    field.

    Raises:
        InputError: The design is another one.
    """
    design = study.design
    if design.kind != "saltelli":
        raise InputError(
            f"Sobol indices need 'design: {{kind: saltelli, ..}}', found '{design.kind}'."
        )
    assert design.samples is not None
    return design.samples, tuple(group[0] for group in _axes(study.vary, study.zip))


def _list_in(vary: Mapping[str, Any], field: str) -> tuple[Any, ...]:
    """The list that varies a field; what ``zip`` and ``cross`` name."""
    values = listed(vary.get(field))
    if values is None:
        lists = ", ".join(f for f, v in vary.items() if listed(v) is not None) or "none"
        raise ValueError(
            f"a list or range of 'vary' is needed, found '{field}'; there are: {lists}"
        )
    return values


def _axes(vary: Mapping[str, Any], groups: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Fields that vary together, in the order of the file; dependent fields are none."""
    group_of = {field: tuple(group) for group in groups for field in group}
    free = [field for field, variation in vary.items() if not isinstance(variation, Equals)]
    return list(dict.fromkeys(group_of.get(field, (field,)) for field in free))


def _columns(
    study: Study, source: Path, table: PointTable | None
) -> tuple[dict[str, list[Any]], np.ndarray]:
    """Values of the independent fields by point, and the row of the table of each point."""
    axes = _axes(study.vary, study.zip)
    if study.design.kind == "grid":
        over, drawn = axes, []
    else:
        over = [axis for axis in axes if set(axis) & set(study.cross)]
        drawn = [axis for axis in axes if axis not in over]
    if not drawn and study.design.kind in (*DRAWING, "grid") and not (over and not study.cross):
        raise InputError(
            f"{source}, vary: at least one field is needed that follows no other and is not in "
            f"'cross', for the design '{study.design.kind}'."
        )
    lists = {f: v for axis in axes for f in axis if (v := listed(study.vary[f])) is not None}
    lengths = [len(lists[axis[0]]) for axis in over]
    samples = len(table.rows) if table else _samples(study.design, len(drawn))
    total = samples * int(np.prod(lengths, dtype=object))
    if total > MAX_POINTS:
        raise InputError(
            f"{source}: at most {MAX_POINTS:,} points, found {total:,}; give fewer values, or a "
            "design that draws."
        )
    combinations = crossed(lengths)
    sample = np.repeat(np.arange(samples), len(combinations))
    found: dict[str, list[Any]] = {}
    if table:
        for column, field in enumerate(table.fields):
            found[field] = [table.rows[i][column] for i in sample]
    if drawn:
        share = shares(study.design, len(drawn))
        for column, axis in enumerate(drawn):
            for field, values in _drawn(study.vary, axis, lists, share[:, column]).items():
                found[field] = [values[i] for i in sample]
    for column, axis in enumerate(over):
        chosen_rows = np.tile(combinations[:, column], samples)
        found |= {field: [lists[field][i] for i in chosen_rows] for field in axis}
    ordered = [*(table.fields if table else ()), *(f for f in study.vary if f in found)]
    return {field: found[field] for field in ordered}, sample


def _samples(design: Design, fields: int) -> int:
    """Rows that a design draws; a grid is one row that all lists cross."""
    if design.kind == "grid":
        return 1
    assert design.samples is not None
    return design.samples * (fields + 2 if design.kind == "saltelli" else 1)


def _drawn(
    vary: Mapping[str, Any],
    axis: tuple[str, ...],
    lists: Mapping[str, tuple[Any, ...]],
    share: np.ndarray,
) -> dict[str, list[Any]]:
    """Values of the fields of an axis at these shares."""
    variation = vary[axis[0]]
    if isinstance(variation, Distribution):
        return {axis[0]: variation.at(share)}
    rows = chosen(share, np.ones(len(lists[axis[0]])))
    return {field: [lists[field][i] for i in rows] for field in axis}


def _dependent(
    field: str,
    follows: Equals,
    columns: Mapping[str, Sequence[Any]],
    base: Scenario,
    place: Place,
) -> list[Any]:
    """Values of a dependent field; it may follow dependent fields above it."""
    formula, points = parse_formula(follows.equals), len(next(iter(columns.values())))
    read: list[Sequence[Any]] = []
    for name in formula.names:
        if name in columns:
            read.append(columns[name])
            continue
        beside = [other for other in columns if overlap(name, other)]
        if beside or overlap(name, field):
            raise InputError(
                f"{place(field, 0)}: '{name}' varies as '{(beside or [field])[0]}'; name a field "
                "that varies as it stands under 'vary', above the one that follows it."
            )
        try:
            read.append([field_value(base, name)] * points)
        except ValueError as error:
            raise InputError(f"{place(field, 0)}: '{name}': {error}") from None
    values: list[Any] = []
    for number in range(points):
        row = {name: column[number] for name, column in zip(formula.names, read, strict=True)}
        wrong = [n for n, v in row.items() if type(v) not in (int, float)]
        if wrong:
            raise InputError(
                f"{place(field, number)}: '{wrong[0]}' must be a number, found "
                f"{row[wrong[0]]!r} (point {number})."
            )
        try:
            values.append(rounded(formula.value(row)))
        except ValueError as error:
            raise InputError(f"{place(field, number)}: {error} (point {number}).") from None
    return values


def _places(source: Path, table: PointTable | None, row_of: np.ndarray) -> Place:
    """Names file, line and field of a value for a reader."""

    def place(field: str, number: int) -> str:
        if table is not None and field in table.fields:
            return f"{table.file}, line {table.lines[row_of[number]]}, {field}"
        return f"{source}, line {_line_of(source, field)}, vary.{field}"

    return place


def _line_of(source: Path, field: str) -> int:
    """Line of a field under ``vary``."""
    keys = [key for key, _ in _pairs(_tree(source), "vary") if key.value == field]
    return keys[0].start_mark.line + 1 if keys else 1


def _tree(source: Path) -> yaml.Node | None:
    return yaml.compose(source.read_text(encoding="utf-8"))


def _pairs(tree: yaml.Node | None, field: str) -> list[tuple[yaml.Node, yaml.Node]]:
    """Keys and values under a field of a file."""
    outer = tree.value if isinstance(tree, yaml.MappingNode) else []
    inner = next((value for key, value in outer if key.value == field), None)
    return inner.value if isinstance(inner, yaml.MappingNode) else []
