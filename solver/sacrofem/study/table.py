"""The table of a study: points joined with the numbers of their cases, as arrays."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sacrofem.study.packing import CORE, DETAILS, NOTHING, Details, unpack
from sacrofem.study.records import NUMBERS
from sacrofem.study.store_faults import StoreError, damaged
from sacrofem.study.store_file import open_store, quoted, transaction

_FROM = "FROM design AS d CROSS JOIN results AS r ON r.id = d.id"
_ORDER = "ORDER BY d.point, d.arm"


@dataclass(frozen=True, eq=False)
class Table:
    """Finished cases of a study, n rows by point and arm; NaN for a number that a case has not.

    Args:
        arm: Names of the arms, (n,) strings.
        point: Numbers of the points, (n,) int64.
        varied: The varied fields by dotted path, (n,): float64 where all values of the study are
            numbers, objects otherwise.
        numbers: Numbers by column of :data:`sacrofem.study.records.NUMBERS`, (n,) float64.
    """

    arm: npt.NDArray[np.str_]
    point: npt.NDArray[np.int64]
    varied: dict[str, npt.NDArray[Any]]
    numbers: dict[str, npt.NDArray[np.float64]]


def read_table(
    path: Path, columns: Sequence[str] = (), varied: Sequence[str] | None = None
) -> Table:
    """The table of a study with some numbers, or all where none are named.

    It may be read while it is written. Numbers of :data:`sacrofem.study.packing.DETAILS` take
    twenty times as long as those with a column of their own.

    Args:
        path: Record store.
        columns: Numbers to read.
        varied: Dotted paths of the varied fields to read; None reads all of them.

    Raises:
        InputError: A column or a field is not known; see also :func:`open_store`.
    """
    names = tuple(columns) or NUMBERS
    if unknown := [name for name in names if name not in NUMBERS]:
        raise StoreError(
            f"{path}: no number is called {unknown[0]!r}; docs/records.md tells which there are."
        )
    core = [name for name in names if name in CORE]
    with open_store(path, write=False) as store, transaction(store, "BEGIN"):
        fields = _fields(path, store, varied)
        words = dict(store.execute("SELECT id, word FROM words"))
        plain = [field for field, is_number in fields.items() if is_number]
        shown = ["d.point", "d.arm", *(f"d.{quoted(f)}" for f in plain), *(f"r.{c}" for c in core)]
        rows = store.execute(f"SELECT {', '.join(shown)} {_FROM} {_ORDER}")
        # Straight into the array: a million tuples that live at once cost twice the time.
        found = np.fromiter(chain.from_iterable(rows), np.float64).reshape(-1, len(shown))
        arrays = [np.ascontiguousarray(column) for column in found.T]
        values: dict[str, npt.NDArray[Any]] = dict(zip(plain, arrays[2:], strict=False))
        values |= {f: _objects(store, f) for f in fields if f not in values}
        numbers = dict(zip(core, arrays[2 + len(plain) :], strict=True))
        numbers |= _details(path, store, [n for n in names if n not in numbers], len(found))
    return Table(
        arm=_named(arrays[1].astype(np.int64), words),
        point=arrays[0].astype(np.int64),
        varied={field: values[field] for field in fields},
        numbers={name: numbers[name] for name in names},
    )


def _fields(path: Path, store: sqlite3.Connection, asked: Sequence[str] | None) -> dict[str, int]:
    """The varied fields that are asked for, and whether all values of each are numbers."""
    fields = dict(store.execute("SELECT path, is_number FROM fields ORDER BY place"))
    if asked is None:
        return fields
    if unknown := [field for field in asked if field not in fields]:
        raise StoreError(
            f"{path}: no field that varies is called {unknown[0]!r}; there are: "
            f"{', '.join(fields) or 'none'}."
        )
    return {field: fields[field] for field in asked}


def _named(numbers: npt.NDArray[np.int64], words: dict[int, str]) -> npt.NDArray[np.str_]:
    """Words by their numbers."""
    present, place = np.unique(numbers, return_inverse=True)
    return np.array([words[int(number)] for number in present], np.str_)[place]


def _objects(store: sqlite3.Connection, field: str) -> npt.NDArray[np.object_]:
    rows = store.execute(f"SELECT d.{quoted(field)} {_FROM} {_ORDER}").fetchall()
    values = np.empty(len(rows), np.object_)
    values[:] = [value for (value,) in rows]
    return values


def _details(
    path: Path, store: sqlite3.Connection, names: Sequence[str], rows: int
) -> dict[str, npt.NDArray[np.float64]]:
    if not names:
        return {}
    places = [DETAILS.index(name) for name in names]
    values = np.empty((len(places), rows))
    for row, details in enumerate(_unpacked(path, store)):
        values[:, row] = details[places]
    return dict(zip(names, values, strict=True))


def _unpacked(path: Path, store: sqlite3.Connection) -> Iterator[Details]:
    """The details of each row; neighbours mostly have the same base."""
    rows = store.execute(
        f"SELECT r.id, p.packed, p.base, b.packed {_FROM} JOIN details AS p ON p.id = r.id "
        f"JOIN bases AS b ON b.id = p.base {_ORDER}"
    )
    last, base = -1, NOTHING
    for case, packed, number, packed_base in rows:
        try:
            if number != last:
                last, base = number, unpack(packed_base, NOTHING)
            yield unpack(packed, base)
        except ValueError as error:
            raise damaged(path, f"record of case {case}: {error}") from error
