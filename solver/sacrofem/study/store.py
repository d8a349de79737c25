"""The record store: one SQLite file, one row a case, committed as soon as the case is finished."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sacrofem.errors import InputError
from sacrofem.study.case import CaseResult
from sacrofem.study.records import NUMBERS, SCHEMA, numbers_of


@contextmanager
def open_store(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store, made new where it does not exist.

    Raises:
        InputError: The file is no store, or was written by a newer sacrofem.
    """
    with closing(sqlite3.connect(path)) as store:
        try:
            # The rollback journal works on network disks too; write-ahead logging does not.
            store.execute("PRAGMA journal_mode = DELETE")
            found = int(store.execute("PRAGMA user_version").fetchone()[0])
            if found == 0:
                _create(store)
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{path}: not a record store ({error}); move it away, or give another folder."
            ) from error
        if found not in (0, SCHEMA):
            raise InputError(
                f"{path}: written with schema {found}, this sacrofem knows {SCHEMA}; give another "
                "folder, or use the sacrofem that wrote it."
            )
        yield store


def write_record(store: sqlite3.Connection, case: CaseResult, title: str, seconds: float) -> None:
    """Write a finished case, or replace the row of the same key, in a transaction of its own."""
    insert_row(store, case.key, case.arm, title, case.inputs, numbers_of(case.measures, seconds))


def insert_row(
    store: sqlite3.Connection,
    key: str,
    arm: str,
    title: str,
    inputs: Mapping[str, Any],
    numbers: Mapping[str, float],
) -> None:
    """Write one row; see :func:`write_record`."""
    row: dict[str, Any] = {
        "key": key,
        "arm": arm,
        "title": title,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": json.dumps(inputs, sort_keys=True),
        **numbers,
    }
    columns = ", ".join(row)
    marks = ", ".join("?" * len(row))
    with store:
        store.execute(
            f"INSERT OR REPLACE INTO records ({columns}) VALUES ({marks})", list(row.values())
        )


def known_keys(store: sqlite3.Connection) -> set[str]:
    """Keys of all finished cases."""
    return {row[0] for row in store.execute("SELECT key FROM records")}


def read_records(path: Path) -> list[dict[str, Any]]:
    """All rows of a store in the order of their keys; ``inputs`` is parsed."""
    with open_store(path) as store:
        cursor = store.execute("SELECT * FROM records ORDER BY key")
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, values, strict=True)) for values in cursor]
    return [row | {"inputs": json.loads(row["inputs"])} for row in rows]


def _create(store: sqlite3.Connection) -> None:
    numbers = ", ".join(f"{name} REAL" for name in NUMBERS)
    with store:
        store.execute(
            "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, arm TEXT NOT NULL, "
            f"title TEXT NOT NULL, finished TEXT NOT NULL, inputs TEXT NOT NULL, {numbers})"
        )
        store.execute(f"PRAGMA user_version = {SCHEMA}")
