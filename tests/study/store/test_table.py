"""The table of a study: points joined with finished cases, each column of its own kind."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.study.packing import CORE, DETAILS
from sacrofem.study.records import NUMBERS
from sacrofem.study.store import (
    PointRow,
    insert_rows,
    known_keys,
    open_store,
    put_points,
    read_table,
)

CEMENT, SITE, MARGIN = "arms.*.fill.cement_ml", "lesions.0.site", "arms.*.fill.margin_mm"


def _points(make: SimpleNamespace, arms: tuple[str, ...] = ("one", "two")) -> list[PointRow]:
    """Three points of two arms; the last point is the same cases as the first."""
    sites, margins = ("left", "right", "left"), (None, 2.0, None)
    return [
        PointRow(
            point,
            arm,
            make.row(10 * (point % 2) + place).key,
            {CEMENT: 1.5 * (point % 2) + 1, SITE: sites[point], MARGIN: margins[point]},
        )
        for point in range(3)
        for place, arm in enumerate(arms)
    ]


@pytest.fixture
def path(tmp_path: Path, make: SimpleNamespace) -> Path:
    """A store of the points, all finished but point 1 of arm two; and a case of no point."""
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        put_points(store, _points(make))
        insert_rows(store, [make.row(seed) for seed in (10, 1, 0, 99)])
    return path


def test_finished_cases_are_in_the_table_by_point_and_arm(
    path: Path, make: SimpleNamespace
) -> None:
    table = read_table(path)
    assert table.point.tolist() == [0, 0, 1, 2, 2]
    assert table.arm.tolist() == ["one", "two", "one", "one", "two"]
    assert table.varied[CEMENT].dtype == np.float64
    assert table.varied[CEMENT].tolist() == [1.0, 1.0, 2.5, 1.0, 1.0]
    assert table.varied[SITE].tolist() == ["left", "left", "right", "left", "left"]
    assert table.varied[MARGIN].tolist() == [None, None, 2.0, None, None]
    assert tuple(table.numbers) == NUMBERS
    for place, seed in enumerate((0, 1, 10, 0, 1)):
        found = {name: float(values[place]) for name, values in table.numbers.items()}
        assert make.is_same(found, make.numbers(seed))


def test_columns_that_are_asked_for_come_in_that_order(path: Path, make: SimpleNamespace) -> None:
    names = (DETAILS[-1], CORE[-1], DETAILS[10])
    table = read_table(path, names)
    assert tuple(table.numbers) == names
    for name in names:
        assert table.numbers[name].tolist() == [make.numbers(s)[name] for s in (0, 1, 10, 0, 1)]
    with pytest.raises(InputError, match="no number is called 'relif'"):
        read_table(path, ("relif",))


def test_a_study_read_again_replaces_its_points_and_keeps_the_records(
    path: Path, make: SimpleNamespace
) -> None:
    with open_store(path) as store:
        put_points(store, [PointRow(7, "one", make.row(99).key, {"load.force_N": 5})])
        assert len(known_keys(store)) == 4
    table = read_table(path, (CORE[-1],))
    assert table.point.tolist() == [7]
    assert {name: values.tolist() for name, values in table.varied.items()} == {
        "load.force_N": [5.0]
    }
    with open_store(path) as store:
        put_points(store, [])
    assert len(read_table(path).point) == 0


def test_points_that_contradict_each_other_are_refused_and_the_old_ones_stay(
    path: Path, make: SimpleNamespace
) -> None:
    key = make.row(1).key
    with open_store(path) as store:
        with pytest.raises(ValueError, match="two rows of one point and arm"):
            put_points(store, [PointRow(0, "one", key, {}), PointRow(0, "one", key, {})])
        with pytest.raises(ValueError, match="point 1: fields"):
            put_points(store, [PointRow(0, "one", key, {}), PointRow(1, "one", key, {"order": 1})])
        with pytest.raises(InputError, match=r"arms.A.order.*called like arms.a.order"):
            put_points(store, [PointRow(0, "one", key, {"arms.a.order": 1, "arms.A.order": 2})])
    assert len(read_table(path).point) == 5


def test_a_table_is_one_moment_of_a_store_that_is_being_written(
    path: Path, make: SimpleNamespace
) -> None:
    with open_store(path) as store:
        store.execute("BEGIN IMMEDIATE")
        store.execute("DELETE FROM results")
        assert len(read_table(path).point) == 5
        store.execute("COMMIT")
    assert len(read_table(path).point) == 0


def test_only_the_fields_asked_for_are_read(path: Path) -> None:
    whole, part = read_table(path), read_table(path, ("leak_ml",), (SITE,))
    assert list(part.varied) == [SITE]
    assert part.varied[SITE].tolist() == whole.varied[SITE].tolist()
    assert part.point.tolist() == whole.point.tolist()
    assert read_table(path, ("leak_ml",), ()).varied == {}
    with pytest.raises(InputError, match=r"'lesions\.7\.site'.*lesions\.0\.site"):
        read_table(path, (), ("lesions.7.site",))
