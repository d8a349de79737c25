"""Merging: shards become one store in which each case stands once, and contradictions are told."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from sacrofem.errors import InputError
from sacrofem.study.merge import MergeOutcome, merge_stores
from sacrofem.study.store import (
    PointRow,
    Row,
    insert_failure,
    insert_row,
    insert_rows,
    open_store,
    put_points,
    read_failures,
    read_records,
    read_table,
)


@pytest.fixture
def shards(tmp_path: Path, make: SimpleNamespace) -> list[Path]:
    """Cases 0 to 3 and 2 to 5, named in another order; 7 failed in both, 5 in the first."""
    paths = [tmp_path / "one.sqlite", tmp_path / "two.sqlite"]
    for path, seeds in zip(paths, ((0, 1, 2, 3), (5, 4, 3, 2)), strict=True):
        with open_store(path) as store:
            put_points(
                store, [PointRow(s, f"arm {s % 2}", make.row(s).key, {"x": s / 2}) for s in seeds]
            )
            insert_rows(store, [make.row(s, f"arm {s % 2}") for s in seeds])
            for failed in {5, 7} - set(seeds):
                insert_failure(store, make.failure(failed))
    return paths


def test_shards_become_one_store(shards: list[Path], make: SimpleNamespace) -> None:
    before = [path.read_bytes() for path in shards]
    out = shards[0].with_name("all.sqlite")
    found = merge_stores(shards, out)
    assert found == MergeOutcome(records=6, duplicates=2, failures=1, replaced_failures=1, points=6)
    records = read_records(out)
    assert [record["key"] for record in records] == [make.row(s).key for s in range(6)]
    for seed, record in enumerate(records):
        assert make.is_same(record, make.numbers(seed))
        assert (record["arm"], record["inputs"]) == (f"arm {seed % 2}", make.inputs(seed))
    assert read_failures(out) == [make.failure(7)]
    table = read_table(out, ("seconds",))
    assert table.point.tolist() == list(range(6))
    assert table.varied["x"].tolist() == [s / 2 for s in range(6)]
    assert [path.read_bytes() for path in shards] == before
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "all.sqlite",
        "one.sqlite",
        "two.sqlite",
    ]


def test_a_merged_store_goes_on(shards: list[Path], make: SimpleNamespace) -> None:
    out = shards[0].with_name("all.sqlite")
    merge_stores(shards, out)
    with open_store(out) as store:
        insert_rows(store, [make.row(7), make.row(0)])
    assert len(read_records(out)) == 7
    assert read_failures(out) == []


def _changed(row: Row, name: str, factor: float) -> Row:
    numbers = dict(row.numbers) | {name: row.numbers[name] * factor}
    return Row(row.key, row.arm, row.title, row.inputs, numbers)


@pytest.mark.parametrize(
    ("name", "factor", "is_told"),
    [
        ("treated_stiffness_N_per_mm", 1.0 + 1e-5, True),
        ("treated_stiffness_N_per_mm", 1.0 + 1e-8, False),
        ("seconds", 2.0, False),
        ("treated_iterations", 2.0, False),
    ],
)
def test_two_results_of_one_case_are_told(
    shards: list[Path], make: SimpleNamespace, name: str, factor: float, is_told: bool
) -> None:
    out = shards[0].with_name("all.sqlite")
    with open_store(shards[1]) as store:
        insert_rows(store, [_changed(make.row(2), name, factor)])
    if is_told:
        with pytest.raises(InputError, match=f"two.sqlite: record {make.row(2).key} has {name}"):
            merge_stores(shards, out)
        assert not list(out.parent.glob("all*"))
    else:
        merge_stores(shards, out)
        assert read_records(out)[2][name] == make.numbers(2)[name]


def test_other_studies_are_refused(shards: list[Path], make: SimpleNamespace) -> None:
    out = shards[0].with_name("all.sqlite")
    key = make.row(9).key
    with open_store(shards[1]) as store:
        put_points(store, [PointRow(1, "arm 1", key, {"x": 0.5})])
    with pytest.raises(InputError, match="point 1, arm arm 1 is another case"):
        merge_stores(shards, out)
    with open_store(shards[1]) as store:
        put_points(store, [PointRow(1, "arm 1", key, {"y": 0.5})])
    with pytest.raises(InputError, match=r"another study than .*one.sqlite .vary: x"):
        merge_stores(shards, out)
    with pytest.raises(InputError, match="at least one store"):
        merge_stores([], out)
    with pytest.raises(InputError, match="exists already"):
        merge_stores(shards, shards[0])
    assert not out.exists()


def test_a_store_without_a_study_is_merged_too(shards: list[Path], make: SimpleNamespace) -> None:
    run, out = shards[0].with_name("run.sqlite"), shards[0].with_name("all.sqlite")
    with open_store(run) as store:
        insert_row(store, "k", "arm", "title", {"a": 1}, make.numbers(9))
    found = merge_stores([run, *shards], out)
    assert (found.records, found.points) == (7, 6)
