"""The record store: rows by key, each once, and stores that are not ours refused."""

import sqlite3
from pathlib import Path

import pytest

from sacrofem.errors import InputError
from sacrofem.study.output_folder import check_output, mark, staged
from sacrofem.study.records import NUMBERS, SCHEMA
from sacrofem.study.store import insert_row, known_keys, open_store, read_records

ROW = dict.fromkeys(NUMBERS, 1.5)


def test_a_row_comes_back_and_a_key_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    for value in (1.0, 2.0):
        with open_store(path) as store:
            insert_row(store, "k1", "arm", "title", {"a": [1]}, ROW | {"cement_ml": value})
    with open_store(path) as store:
        insert_row(store, "k0", "arm", "title", {}, ROW)
        assert known_keys(store) == {"k0", "k1"}
    rows = read_records(path)
    assert [row["key"] for row in rows] == ["k0", "k1"]
    assert rows[1]["cement_ml"] == 2.0
    assert rows[1]["inputs"] == {"a": [1]}


def test_a_row_is_safe_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        insert_row(store, "k", "arm", "title", {}, ROW)
        # Another process must see it now: the writer may be killed before it closes the store.
        assert len(read_records(path)) == 1


@pytest.mark.parametrize("schema", [SCHEMA - 1, SCHEMA + 1])
def test_a_store_of_another_version_is_refused(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        store.execute(f"PRAGMA user_version = {schema}")
    with pytest.raises(InputError, match=f"schema {schema}, this sacrofem knows {SCHEMA}"):
        read_records(path)


def test_a_file_that_is_no_store_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    path.write_text("these are no records, only words in a file of some length")
    with pytest.raises(InputError, match="not a record store"), open_store(path):
        pass
    assert path.read_text().startswith("these are")


def test_store_uses_no_write_ahead_log(tmp_path: Path) -> None:
    with open_store(tmp_path / "r.sqlite") as store:
        assert store.execute("PRAGMA journal_mode").fetchone()[0] == "delete"


def test_a_foreign_folder_is_refused_and_ours_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(InputError, match="not made by sacrofem"):
        check_output(tmp_path / "photos")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="this is a file"):
        check_output(tmp_path / "file")
    mark(tmp_path / "ours")
    (tmp_path / "ours" / "old.txt").touch()
    check_output(tmp_path / "ours")
    with staged(tmp_path / "ours") as stage:
        (stage / "new.txt").touch()
    assert sorted(p.name for p in (tmp_path / "ours").iterdir()) == [".sacrofem", "new.txt"]


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    mark(tmp_path / "ours")

    def fail_half_way() -> None:
        with staged(tmp_path / "ours") as stage:
            (stage / "half.txt").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert [p.name for p in tmp_path.iterdir()] == ["ours"]
    assert [p.name for p in (tmp_path / "ours").iterdir()] == [".sacrofem"]


def test_store_is_plain_sqlite(tmp_path: Path) -> None:
    with open_store(tmp_path / "r.sqlite") as store:
        insert_row(store, "k", "arm", "title", {}, ROW)
    with sqlite3.connect(tmp_path / "r.sqlite") as other:
        assert other.execute("SELECT lesion_ml FROM records").fetchone() == (1.5,)
