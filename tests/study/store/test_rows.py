"""Rows: what goes into a store comes back bit by bit, all of a transaction or nothing of it."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from sacrofem.study.failures import Failure
from sacrofem.study.packing import CORE, in_kept_precision
from sacrofem.study.records import COLUMNS, NUMBERS
from sacrofem.study.store import (
    Row,
    clear_failures,
    failed_keys,
    insert_failure,
    insert_row,
    insert_rows,
    known_keys,
    open_store,
    read_failures,
    read_records,
)


def test_numbers_and_inputs_come_back_exactly(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "records.sqlite"
    rows = [make.row(seed) for seed in range(5)]
    short = in_kept_precision(make.numbers(9))
    with open_store(path) as store:
        insert_rows(store, rows)
        insert_row(store, "short", "arm", "Other", {"a": {"b": [1, 1.0, True, None, {}]}}, short)
    found = read_records(path)
    assert [record["key"] for record in found] == [row.key for row in rows] + ["short"]
    for record, row in zip(found, rows, strict=False):
        assert make.is_same(record, row.numbers)
        assert record["inputs"] == row.inputs
        assert (record["arm"], record["title"]) == (row.arm, row.title)
    assert make.is_same(found[-1], short)
    assert repr(found[-1]["inputs"]) == "{'a': {'b': [1, 1.0, True, None, {}]}}"


def test_a_number_that_is_not_there_is_nan_and_one_too_many_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        insert_row(store, "k", "arm", "title", {}, {"cement_ml": 1.0})
        with pytest.raises(ValueError, match="no column for colour"):
            insert_row(store, "l", "arm", "title", {}, {"colour": 1.0})
    (record,) = read_records(path)
    assert record["cement_ml"] == 1.0
    assert sum(record[name] != record[name] for name in NUMBERS) == len(NUMBERS) - 1


def test_a_transaction_that_fails_half_way_leaves_nothing(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    path = tmp_path / "records.sqlite"

    def rows():
        yield make.row(2)
        raise ZeroDivisionError

    with open_store(path) as store:
        insert_rows(store, [make.row(1)])
        with pytest.raises(ZeroDivisionError):
            insert_rows(store, rows())
        assert known_keys(store) == {make.row(1).key}
    assert len(read_records(path)) == 1


def test_a_failure_comes_back_and_gives_way_to_a_success(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    path = tmp_path / "records.sqlite"
    given = [make.failure(1, "solver"), make.failure(2, "worker lost"), make.failure(3, "memory")]
    with open_store(path) as store:
        for failure in given:
            insert_failure(store, failure)
        insert_failure(store, given[0])
        assert read_failures(path) == given
        insert_rows(store, [make.row(2)])
        assert failed_keys(store) == {given[0].key: "solver", given[2].key: "memory"}
        clear_failures(store, [given[0].key, "unknown"])
        assert failed_keys(store) == {given[2].key: "memory"}
        # A case that has its numbers has them, whatever a late message says.
        insert_failure(store, given[1])
        assert failed_keys(store) == {given[2].key: "memory"}
        assert known_keys(store) == {given[1].key}


def test_a_cause_off_the_list_is_refused() -> None:
    with pytest.raises(ValueError, match="'bad luck' is none of input, solver"):
        Failure("k", 0, "arm", "bad luck", "", "", "", 1, {})


def test_a_store_explains_itself_in_sql(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        insert_rows(store, [make.row(1)])
        insert_failure(store, make.failure(2))
    with sqlite3.connect(path) as other:
        (record,) = other.execute(f"SELECT key, arm, title, {CORE[-1]} FROM records")
        assert record == (make.row(1).key, "short axis", "A title", make.numbers(1)[CORE[-1]])
        (failure,) = other.execute("SELECT key, cause, host, attempts FROM failures")
        assert failure == (make.failure(2).key, "solver", "node7", 2)
        words = other.execute("SELECT name, unit, meaning, source FROM columns ORDER BY place")
        assert list(words) == [(n, c.unit, c.meaning, c.source) for n, c in COLUMNS.items()]


def test_cases_that_share_bone_and_lesions_share_their_room(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    sizes = []
    for shared in (True, False):
        path = tmp_path / f"{shared}.sqlite"
        with open_store(path) as store:
            insert_rows(
                store,
                (
                    Row(
                        str(seed),
                        "arm",
                        "title",
                        make.inputs(seed) | ({} if shared else {"order": seed}),
                        make.numbers(0 if shared else seed),
                    )
                    for seed in range(300)
                ),
            )
        sizes.append(path.stat().st_size)
        assert len(read_records(path)) == 300
    assert sizes[0] < 0.5 * sizes[1]
