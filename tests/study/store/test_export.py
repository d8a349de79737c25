"""Exports: every number of every record, bit by bit, and a dictionary that names each column."""

import csv
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from sacrofem.errors import InputError
from sacrofem.study import export
from sacrofem.study.export import dictionary_path, export_table
from sacrofem.study.records import COLUMNS, NUMBERS
from sacrofem.study.store import PointRow, insert_rows, open_store, put_points

CEMENT, SITE = "arms.*.fill.cement_ml", "lesions.0.site"


@pytest.fixture
def path(tmp_path: Path, make: SimpleNamespace) -> Path:
    """Two points of one case, one of another; a third case of no point."""
    path = tmp_path / "records.sqlite"
    keys = [make.row(seed).key for seed in (1, 2, 1)]
    with open_store(path) as store:
        put_points(
            store,
            [
                PointRow(n, "short axis", key, {CEMENT: n + 0.1, SITE: f"site {n}"})
                for n, key in enumerate(keys)
            ],
        )
        insert_rows(store, [make.row(seed) for seed in (1, 2, 3)])
    return path


#: Seed of the case, point, cement and site of each row.
ROWS = [
    (1, 0, 0.1, "site 0"),
    (1, 2, 2.1, "site 2"),
    (2, 1, 1.1, "site 1"),
    (3, None, None, None),
]


def test_parquet_holds_every_row_in_groups(
    path: Path, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ROWS", 2)
    out = path.with_name("table.parquet")
    assert export_table(path, out) == len(ROWS)
    assert pq.ParquetFile(out).num_row_groups == 2
    for row, (seed, point, cement, site) in zip(pq.read_table(out).to_pylist(), ROWS, strict=True):
        assert make.is_same(row, make.numbers(seed))
        assert (row["key"], row["point"]) == (make.row(seed).key, point)
        assert (row[CEMENT], row[SITE]) == (cement, site)


def test_csv_holds_every_row_bit_by_bit(path: Path, make: SimpleNamespace) -> None:
    out = path.with_name("table.csv")
    export_table(path, out)
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, (seed, point, _, site) in zip(rows, ROWS, strict=True):
        found = {name: float(row[name] or "nan") for name in NUMBERS}
        assert make.is_same(found, make.numbers(seed))
        assert (row["point"], row[SITE]) == ("" if point is None else str(point), site or "")


def test_the_dictionary_names_each_column_in_its_order(path: Path) -> None:
    out = path.with_name("table.csv")
    export_table(path, out)
    with dictionary_path(out).open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    with out.open(encoding="utf-8", newline="") as file:
        assert [line["name"] for line in lines] == next(csv.reader(file))
    for line, (name, column) in zip(lines[-len(COLUMNS) :], COLUMNS.items(), strict=True):
        given = {"unit": column.unit, "meaning": column.meaning, "source": column.source}
        assert line == {"name": name} | given
    assert all(line["meaning"] and line["source"] for line in lines)


def test_what_cannot_be_written_is_told_and_nothing_is_left(path: Path) -> None:
    with pytest.raises(InputError, match=r"\.parquet or \.csv, found '\.xlsx'"):
        export_table(path, path.with_name("table.xlsx"))
    with pytest.raises(InputError, match="cannot be written"):
        export_table(path, path.parent / "nowhere" / "table.csv")
    with pytest.raises(InputError, match="no such record store"):
        export_table(path.with_name("other.sqlite"), path.with_name("table.csv"))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
