"""The record store: one SQLite file, one row a case, committed as soon as the case is finished."""

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from sacrofem.study.case import CaseResult
from sacrofem.study.failures import Failure
from sacrofem.study.packing import (
    CORE,
    NOTHING,
    changed_leaves,
    detail_values,
    in_kept_precision,
    join_inputs,
    named_details,
    pack,
    shared_hash,
    split_inputs,
    unpack,
    with_changes,
)
from sacrofem.study.records import NUMBERS, numbers_of
from sacrofem.study.store_faults import StoreError, damaged
from sacrofem.study.store_file import (
    index_design,
    make_design,
    open_store,
    transaction,
    word_number,
)
from sacrofem.study.table import Table, read_table

__all__ = [
    "Failure",
    "PointRow",
    "Row",
    "Table",
    "clear_failures",
    "failed_keys",
    "insert_failure",
    "insert_row",
    "insert_rows",
    "known_keys",
    "open_store",
    "put_points",
    "read_failures",
    "read_records",
    "read_table",
    "write_record",
]

_KNOWN = frozenset(NUMBERS)


@dataclass(frozen=True)
class Row:
    """A finished case: its key, the names of arm and study, its inputs, its numbers by column."""

    key: str
    arm: str
    title: str
    inputs: Mapping[str, Any]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class PointRow:
    """A case of a study: its point, its arm, and the varied fields by dotted path."""

    point: int
    arm: str
    key: str
    values: Mapping[str, float | str | None]


def write_record(store: sqlite3.Connection, case: CaseResult, title: str, seconds: float) -> None:
    """Write a finished case, or replace the row of the same key, in a transaction of its own."""
    numbers = in_kept_precision(numbers_of(case.measures, seconds))
    insert_row(store, case.key, case.arm, title, case.inputs, numbers)


def insert_row(
    store: sqlite3.Connection,
    key: str,
    arm: str,
    title: str,
    inputs: Mapping[str, Any],
    numbers: Mapping[str, float],
) -> None:
    """Write one row in a transaction of its own; see :func:`insert_rows`."""
    insert_rows(store, [Row(key, arm, title, inputs, numbers)])


def insert_rows(store: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write the cases that are finished, all in one transaction; a failure of theirs is forgotten.

    A row of the same key is replaced. A number that a row does not have is NaN.

    Raises:
        ValueError: A number has no column.
    """
    with transaction(store):
        for row in rows:
            _insert(store, row)


def known_keys(store: sqlite3.Connection) -> set[str]:
    """Keys of all finished cases."""
    rows = store.execute("SELECT key FROM cases JOIN results USING (id)")
    return set(chain.from_iterable(rows))


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records of a store in the order of their keys: names, ``inputs`` and every number.

    Raises:
        InputError: See :func:`open_store`; or a record is damaged.
    """
    core = ", ".join(f"r.{name}" for name in CORE)
    with open_store(path, write=False) as store:
        rows = store.execute(
            "SELECT c.key, a.word, t.word, r.finished, f.form, f.leaves, r.changes, d.packed, "
            f"b.packed, {core} FROM cases AS c JOIN results AS r ON r.id = c.id JOIN details AS d "
            "ON d.id = r.id JOIN bases AS b ON b.id = d.base JOIN words AS a ON a.id = r.arm "
            "JOIN words AS t ON t.id = r.title JOIN forms AS f ON f.id = r.form ORDER BY c.key"
        )
        return [_record(path, *row) for row in rows]


def put_points(store: sqlite3.Connection, rows: Iterable[PointRow]) -> None:
    """Write which case belongs to which point and arm, in place of what was there.

    Lists among the values are kept as JSON.

    Raises:
        InputError: Two fields differ in capitals only, or one is called like a number's column.
        ValueError: Rows with different fields, or two rows of one point and arm.
    """
    kept = list(rows)
    paths = list(kept[0].values) if kept else []
    _check_fields(paths)
    values = [[_plain(row.values[path]) for path in paths] for row in kept if _has(row, paths)]
    numbers = {
        path: all(isinstance(row[place], int | float) for row in values)
        for place, path in enumerate(paths)
    }
    with transaction(store):
        make_design(store, numbers)
        arms = {arm: word_number(store, arm) for arm in sorted({row.arm for row in kept})}
        case = _case_numbers(store, dict.fromkeys(row.key for row in kept))
        marks = ", ?" * len(paths)
        try:
            store.executemany(
                f"INSERT INTO design VALUES (?, ?, ?{marks})",
                (
                    (row.point, arms[row.arm], case[row.key], *varied)
                    for row, varied in zip(kept, values, strict=True)
                ),
            )
            index_design(store)
        except sqlite3.IntegrityError as error:
            raise ValueError(f"two rows of one point and arm ({error})") from error


def _case_numbers(store: sqlite3.Connection, keys: Iterable[str]) -> dict[str, int]:
    """Numbers of cases by key, given now, in the order of the keys, where they are new.

    Cases finish about in the order of their points: numbers in that order fill the pages of a file.
    """
    known: dict[str, int] = dict(store.execute("SELECT key, id FROM cases"))
    new = [key for key in keys if key not in known]
    if not new:
        return known
    store.executemany("INSERT INTO cases (key) VALUES (?)", ((key,) for key in new))
    return dict(store.execute("SELECT key, id FROM cases"))


def insert_failure(store: sqlite3.Connection, failure: Failure) -> None:
    """Write a failure in a transaction of its own, in place of an earlier one of its key.

    A case that has a record keeps it, and no failure beside it.
    """
    with transaction(store):
        case = _case_number(store, failure.key)
        if store.execute("SELECT 1 FROM results WHERE id = ?", (case,)).fetchone():
            return
        values = (
            case,
            failure.point,
            word_number(store, failure.arm),
            failure.cause,
            failure.message,
            failure.traceback,
            failure.host,
            failure.attempts,
            int(time.time()),
            *_put_inputs(store, failure.inputs),
        )
        marks = ", ".join("?" * len(values))
        store.execute(f"INSERT OR REPLACE INTO failed VALUES ({marks})", values)


def failed_keys(store: sqlite3.Connection) -> dict[str, str]:
    """Cause by key of every case that failed and has no record."""
    return dict(store.execute("SELECT key, cause FROM cases JOIN failed USING (id)"))


def clear_failures(store: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Forget failures, before their cases are tried again."""
    with transaction(store):
        store.executemany(
            "DELETE FROM failed WHERE id = (SELECT id FROM cases WHERE key = ?)",
            ((key,) for key in keys),
        )


def read_failures(path: Path) -> list[Failure]:
    """All failures of a store, by point and arm.

    Raises:
        InputError: See :func:`open_store`.
    """
    with open_store(path, write=False) as store:
        rows = store.execute(
            "SELECT c.key, r.point, a.word, r.cause, r.message, r.traceback, r.host, r.attempts, "
            "f.form, f.leaves, r.changes FROM failed AS r JOIN cases AS c ON c.id = r.id JOIN "
            "words AS a ON a.id = r.arm JOIN forms AS f ON f.id = r.form ORDER BY r.point, a.word"
        )
        return [Failure(*(*row[:8], _get_inputs(*row[8:]))) for row in rows]


def _insert(store: sqlite3.Connection, row: Row) -> None:
    if unknown := sorted(set(row.numbers) - _KNOWN):
        raise ValueError(f"no column for {', '.join(unknown)}")
    case = _case_number(store, row.key)
    values = (
        case,
        word_number(store, row.arm),
        word_number(store, row.title),
        int(time.time()),
        *_put_inputs(store, row.inputs),
        *(row.numbers.get(name) for name in CORE),
    )
    marks = ", ".join("?" * len(values))
    store.execute(f"INSERT OR REPLACE INTO results VALUES ({marks})", values)
    _put_details(store, case, row)
    store.execute("DELETE FROM failed WHERE id = ?", (case,))


def _put_details(store: sqlite3.Connection, case: int, row: Row) -> None:
    """Pack the details of a case as what differs from the first case with its bone and lesions."""
    values, shared = detail_values(row.numbers), shared_hash(row.inputs)
    find = "SELECT id, packed FROM bases WHERE shared = ? ORDER BY id LIMIT 1"
    found = store.execute(find, (shared,)).fetchone()
    if found is None:
        packed = pack(values, NOTHING)
        store.execute("INSERT INTO bases (shared, packed) VALUES (?, ?)", (shared, packed))
        found = store.execute(find, (shared,)).fetchone()
    packed = pack(values, unpack(found[1], NOTHING))
    store.execute("INSERT OR REPLACE INTO details VALUES (?, ?, ?)", (case, found[0], packed))


def _case_number(store: sqlite3.Connection, key: str) -> int:
    store.execute("INSERT OR IGNORE INTO cases (key) VALUES (?)", (key,))
    return int(store.execute("SELECT id FROM cases WHERE key = ?", (key,)).fetchone()[0])


def _put_inputs(store: sqlite3.Connection, inputs: Mapping[str, Any]) -> tuple[int, str]:
    """Number of the form of an input document, and what differs from the first of that form."""
    form, leaves = split_inputs(inputs)
    find = "SELECT id, leaves FROM forms WHERE form = ? ORDER BY id LIMIT 1"
    found = store.execute(find, (form,)).fetchone()
    if found is None:
        row = (form, "\n".join(leaves))
        store.execute("INSERT INTO forms (form, leaves) VALUES (?, ?)", row)
        found = store.execute(find, (form,)).fetchone()
    return int(found[0]), changed_leaves(leaves, _lines(found[1]))


def _get_inputs(form: str, first: str, changes: str) -> dict[str, Any]:
    return join_inputs(form, with_changes(_lines(first), changes))


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _record(
    path: Path,
    key: str,
    arm: str,
    title: str,
    finished: int,
    form: str,
    leaves: str,
    changes: str,
    packed: bytes,
    base: bytes,
    *core: float | None,
) -> dict[str, Any]:
    try:
        details = named_details(packed, base)
        inputs = _get_inputs(form, leaves, changes)
    except (ValueError, IndexError) as error:
        raise damaged(path, f"record {key}: {error}") from error
    # SQLite has no NaN and keeps NULL for it.
    numbers = dict(zip(CORE, (math.nan if v is None else v for v in core), strict=True))
    numbers |= details
    return {
        "key": key,
        "arm": arm,
        "title": title,
        "finished": datetime.fromtimestamp(finished, UTC).isoformat(timespec="seconds"),
        "inputs": inputs,
        **{name: numbers[name] for name in NUMBERS},
    }


def _check_fields(paths: Sequence[str]) -> None:
    """SQL does not tell capitals apart."""
    taken = {name.lower(): name for name in ("point", "arm", "id", "key", *CORE)}
    for path in paths:
        if (other := taken.get(path.lower())) is not None:
            raise StoreError(
                f"vary.{path}: is called like {other} in the table of points (capitals do not "
                "count there); rename the arm that it names, or vary one of the two."
            )
        taken[path.lower()] = path


def _has(row: PointRow, paths: Sequence[str]) -> bool:
    if set(row.values) != set(paths):
        raise ValueError(f"point {row.point}: fields {sorted(row.values)} for {sorted(paths)}")
    return True


def _plain(value: Any) -> float | str | None:
    return value if value is None or isinstance(value, int | float | str) else json.dumps(value)
