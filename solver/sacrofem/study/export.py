"""A store as one table for other programmes: Parquet or CSV, with a data dictionary beside it."""

import csv
import math
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sacrofem.errors import InputError
from sacrofem.study.packing import CORE, named_details
from sacrofem.study.records import COLUMNS, NUMBERS
from sacrofem.study.store_faults import damaged
from sacrofem.study.store_file import open_store, quoted

#: Records that are in memory at once, and in a row group of Parquet: 35 MB.
ROWS = 10_000
#: Columns before the varied fields and the numbers, with their meaning.
NAMES = {
    "key": "hash of everything that decides the case",
    "point": "point of the study; empty for a case that no study asks for",
    "arm": "arm of the scenario",
    "title": "title of the scenario",
    "finished": "when the case was finished (UTC)",
}
Rows = list[list[Any]]


def dictionary_path(out: Path) -> Path:
    """Where the data dictionary of an exported table is."""
    return out.with_name(f"{out.stem}.columns.csv")


def export_table(path: Path, out: Path) -> int:
    """Export the records of a store with the varied fields of its study; return their number.

    A record that several points of the study share has a row for each. The store is read page by
    page and may be written meanwhile. A file that exists is replaced when the new one is complete.

    Args:
        path: The store.
        out: File to write, ``.parquet`` or ``.csv``. NaN is an empty cell of the CSV.

    Raises:
        InputError: The name of the file has another ending, it cannot be written, or the store
            cannot be read.
    """
    writers = {".parquet": _write_parquet, ".csv": _write_csv}
    if out.suffix not in writers:
        raise InputError(
            f"{out}: the ending tells the format, .parquet or .csv, found {out.suffix or 'none'!r}."
        )
    part = out.with_name(f"{out.name}.part")
    with open_store(path, write=False) as store:
        fields = dict(store.execute("SELECT path, is_number FROM fields ORDER BY place"))
        try:
            rows = writers[out.suffix](part, fields, _pages(path, store, list(fields)))
            _write_dictionary(dictionary_path(out), list(fields))
            part.replace(out)
        except OSError as error:
            raise InputError(
                f"{out}: cannot be written ({error.strerror or error}); give a file in a folder "
                "that exists, on a disk with room."
            ) from error
        finally:
            part.unlink(missing_ok=True)
    return rows


def _pages(path: Path, store: sqlite3.Connection, fields: list[str]) -> Iterator[Rows]:
    """Rows by number of their case; each page is a query of its own, to let a writer go on."""
    varied = "".join(f", d.{quoted(field)}" for field in fields)
    core = ", ".join(f"r.{name}" for name in CORE)
    query = (
        "SELECT p.packed, b.packed, c.key, d.point, a.word, t.word, r.finished"
        f"{varied}, {core} FROM results AS r JOIN cases AS c ON c.id = r.id JOIN details AS p ON "
        "p.id = r.id JOIN bases AS b ON b.id = p.base JOIN words AS a ON a.id = r.arm JOIN words "
        "AS t ON t.id = r.title LEFT JOIN design AS d ON d.id = r.id "
        "WHERE r.id > ? AND r.id <= ? ORDER BY r.id, d.point, d.arm"
    )
    last = store.execute("SELECT max(id) FROM cases").fetchone()[0] or 0
    for first in range(0, last, ROWS):
        found = store.execute(query, (first, first + ROWS)).fetchall()
        if found:
            yield [_row(path, len(fields), *row) for row in found]


def _row(path: Path, fields: int, packed: bytes, base: bytes, *rest: Any) -> list[Any]:
    names, values = list(rest[: len(NAMES)]), rest[len(NAMES) :]
    try:
        details = named_details(packed, base)
    except ValueError as error:
        raise damaged(path, f"record {names[0]}: {error}") from error
    names[-1] = datetime.fromtimestamp(names[-1], UTC).isoformat(timespec="seconds")
    core = (math.nan if value is None else value for value in values[fields:])
    numbers = dict(zip(CORE, core, strict=True)) | details
    return [*names, *values[:fields], *(numbers[name] for name in NUMBERS)]


def _write_parquet(part: Path, fields: Mapping[str, int], pages: Iterator[Rows]) -> int:
    # A quarter of a second to import, which every other command would spend.
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = dict.fromkeys(NAMES, pa.string()) | {"point": pa.int64()}
    kinds |= {field: pa.float64() if number else pa.string() for field, number in fields.items()}
    kinds |= dict.fromkeys(NUMBERS, pa.float64())
    schema, rows = pa.schema(list(kinds.items())), 0
    with pq.ParquetWriter(part, schema, compression="zstd") as file:
        for page in pages:
            columns = [
                pa.array([_text(v) for v in values] if kind == pa.string() else values, kind)
                for values, kind in zip(zip(*page, strict=True), kinds.values(), strict=True)
            ]
            file.write_table(pa.Table.from_arrays(columns, schema=schema))
            rows += len(page)
    return rows


def _write_csv(part: Path, fields: Mapping[str, int], pages: Iterator[Rows]) -> int:
    rows = 0
    with part.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*NAMES, *fields, *NUMBERS])
        for page in pages:
            # The writer takes digits that come back bit by bit. Only NaN is not itself.
            table.writerows([None if value != value else value for value in row] for row in page)
            rows += len(page)
    return rows


def _text(value: Any) -> str | None:
    return value if value is None else str(value)


def _write_dictionary(path: Path, fields: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "unit", "meaning", "source"])
        table.writerows(
            [name, "", meaning, "sacrofem.study.store"] for name, meaning in NAMES.items()
        )
        for field in fields:
            table.writerow(
                [field, "", "varied field; its name ends with its unit", "the study file"]
            )
        for name, column in COLUMNS.items():
            table.writerow([name, column.unit, column.meaning, column.source])
