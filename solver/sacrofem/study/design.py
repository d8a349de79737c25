"""Designs: how the values of a study's fields are combined into points.

All designs that draw share one step: numbers between 0 and 1, a column a field, which the fields'
distributions turn into values.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import Field, model_validator
from scipy.stats import qmc

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.study.yaml_file import FileModel

#: Designs that draw from distributions; a seed in the file makes them repeatable.
DRAWING = ("lhs", "sobol", "random", "saltelli")
#: Designs of Sobol sequences, balanced at powers of two only (Sobol 1967; Owen 2020).
POWERS_OF_TWO = ("sobol", "saltelli")
#: More points than this are a slip: at a second each they are twelve days of a core.
MAX_POINTS = 1_000_000
#: The discrepancy of a sample costs the square of its size.
MAX_OPTIMISED = 2_000
#: Shares of 0 and 1 are the infinite ends of a normal distribution; half a step of a Sobol sequence
#: of 30 bits stays clear of them.
_EDGE = 2.0**-31


class Design(FileModel):
    """How values are combined.

    Attributes:
        kind: ``grid`` crosses lists; ``lhs``, ``sobol`` and ``random`` draw; ``saltelli`` draws for
            Sobol indices; ``csv`` takes the points from a table.
        samples: Number of draws; of ``saltelli`` the N in N (k + 2) points.
        seed: Seed of the draws.
        optimised: ``lhs``: whether columns are permuted for a low centred discrepancy.
        file: ``csv``: the table, its header dotted paths; relative to the study file.
    """

    kind: Literal["grid", "lhs", "sobol", "random", "csv", "saltelli"] = "grid"
    samples: Annotated[int, Field(ge=1, le=MAX_POINTS)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    optimised: bool = False
    file: Path | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Design":
        draws = self.kind in DRAWING
        self._belongs("samples", self.samples is not None, draws)
        self._belongs("seed", self.seed is not None, draws)
        self._belongs("file", self.file is not None, self.kind == "csv")
        if self.optimised and (self.kind != "lhs" or (self.samples or 0) > MAX_OPTIMISED):
            raise ValueError(f"'optimised' is for 'lhs' of at most {MAX_OPTIMISED} samples")
        if self.kind in POWERS_OF_TWO and self.samples:
            below = 2 ** (self.samples.bit_length() - 1)
            if self.samples != below:
                raise ValueError(
                    f"'{self.kind}' is balanced only where 'samples' is a power of 2; "
                    f"give {below} or {2 * below}"
                )
        return self

    def _belongs(self, field: str, given: bool, needed: bool) -> None:
        if given and not needed:
            raise ValueError(f"'{field}' does not belong to the design '{self.kind}'")
        if needed and not given:
            raise ValueError(f"the design '{self.kind}' needs '{field}'")


@dataclass(frozen=True)
class PointTable:
    """A table of points from a CSV file.

    Attributes:
        file: The file.
        fields: Dotted paths of its columns.
        rows: Values, a row a point.
        lines: Line of each row in the file.
    """

    file: Path
    fields: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    lines: tuple[int, ...]


def shares(design: Design, fields: int) -> FloatArray:
    """Numbers between 0 and 1 of a design that draws, shape (points, fields).

    ``sobol`` and ``random`` begin with the same points whatever their number; ``lhs`` does not.
    ``saltelli`` stacks N rows A, N rows B and, for each field i, N rows of A with column i of B
    (Saltelli 2010), from one Sobol sequence of twice as many columns.
    """
    assert design.samples is not None
    assert design.seed is not None
    n, rng = design.samples, np.random.default_rng(design.seed)
    if design.kind == "lhs":
        optimization: Literal["random-cd"] | None = "random-cd" if design.optimised else None
        found = qmc.LatinHypercube(fields, optimization=optimization, rng=rng).random(n)
    elif design.kind == "sobol":
        found = qmc.Sobol(fields, rng=rng).random(n)
    elif design.kind == "random":
        found = rng.random((n, fields))
    else:
        both = qmc.Sobol(2 * fields, rng=rng).random(n)
        first, second = both[:, :fields], both[:, fields:]
        mixed = np.repeat(first[None], fields, axis=0)
        for i in range(fields):
            mixed[i, :, i] = second[:, i]
        found = np.concatenate([first, second, mixed.reshape(-1, fields)])
    return np.clip(found, _EDGE, 1.0 - _EDGE)


def crossed(lengths: Sequence[int]) -> np.ndarray:
    """Every combination of so many entries, shape (combinations, lists); the last runs fastest."""
    if not lengths:
        return np.zeros((1, 0), dtype=np.int64)
    grid = np.indices(tuple(lengths), dtype=np.int64)
    return grid.reshape(len(lengths), -1).T


def read_points(path: Path) -> PointTable:
    """Read the table of a ``csv`` design: cells are YAML values, ``null`` is none.

    Raises:
        InputError: The file is missing, has no points, or a row does not fit its header.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; 'design.file' is a CSV table of points.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.reader(source, strict=True)
            numbered = [(reader.line_num, row) for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as a CSV table ({error}).") from error
    if len(numbered) < 2:
        raise InputError(f"{path}: a header of dotted paths and one point at least are needed.")
    fields = tuple(word.strip() for word in numbered[0][1])
    double = sorted({f for f in fields if fields.count(f) > 1})
    if double or not all(fields):
        what = f"'{double[0]}' stands there twice" if double else "a column has no name"
        raise InputError(f"{path}, line 1: columns are named by dotted paths that differ; {what}.")
    if len(numbered) - 1 > MAX_POINTS:
        raise InputError(f"{path}: at most {MAX_POINTS} points, found {len(numbered) - 1}.")
    known: dict[str, Any] = {}
    rows = []
    for line, row in numbered[1:]:
        if len(row) != len(fields):
            raise InputError(
                f"{path}, line {line}: {len(fields)} values are needed, found {len(row)}."
            )
        rows.append(
            tuple(
                _cell(text.strip(), f"{path}, line {line}, {field}", known)
                for field, text in zip(fields, row, strict=True)
            )
        )
    return PointTable(path, fields, tuple(rows), tuple(line for line, _ in numbered[1:]))


def _cell(text: str, where: str, known: dict[str, Any]) -> Any:
    """The value of a cell; ``known`` keeps what was parsed."""
    if text not in known:
        if not text:
            raise InputError(
                f"{where}: a value is needed, found an empty cell; write null for none."
            )
        try:
            # Most cells are numbers, and YAML takes a hundred times as long for one.
            number = float(text)
        except ValueError:
            known[text] = _yaml_value(text, where)
        else:
            if not isfinite(number):
                raise InputError(f"{where}: a finite number is needed, found {text}.")
            known[text] = int(text) if text.lstrip("+-").isdecimal() else number
    return known[text]


def _yaml_value(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"{where}: not readable as a YAML value, found {text!r}.") from None
