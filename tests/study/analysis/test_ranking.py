"""Ranking: paired by circumstance, ties counted, intervals that cover."""

import numpy as np
import pytest
from scipy import stats

from sacrofem.study.analysis.intervals import Share, difference_of, mean_of
from sacrofem.study.analysis.ranking import codes_of, rank, side_by_side


def test_a_hand_made_ranking() -> None:
    # Four circumstances; a beats b three times, ties once within 0.1; c has no case in the last.
    way = np.array(["a", "b", "c"] * 3 + ["a", "b"])
    where = np.repeat([0, 1, 2, 3], 3)[:11]
    value = np.array([3.0, 2.0, 1.0, 3.0, 2.95, 1.0, 3.0, 1.0, 2.0, 9.0, 0.0])
    found = rank(way, where, value, better=1, tie=0.1)
    assert found.names == ("a", "b", "c")
    assert (found.n, found.left_out) == (3, 1)
    assert [share.count for share in found.best] == [2, 0, 0]
    assert found.over[0][1].count == 2
    assert found.over[2][1].count == 1
    assert found.order.count == 1
    assert found.tied.count == 1
    assert found.mean[0].value == pytest.approx(3.0)
    # a leads b by 1, 0.05 and 2.
    assert found.lead.value == pytest.approx(3.05 / 3)


def test_less_is_better_turns_the_order() -> None:
    way, where = np.array(["a", "b"] * 5), np.repeat(np.arange(5), 2)
    found = rank(way, where, np.tile([1.0, 2.0], 5), better=-1, tie=0.0)
    assert found.names == ("a", "b")
    assert found.order.count == 5
    assert rank(way, where, np.tile([1.0, 2.0], 5), better=1, tie=0.0).names == ("b", "a")


def test_pairing_sees_what_the_spread_of_circumstances_hides() -> None:
    rng = np.random.default_rng(2)
    hard = 50.0 * rng.random(200)
    value = np.stack([hard, hard - 1.0], axis=1).ravel()
    found = rank(np.array(["a", "b"] * 200), np.repeat(np.arange(200), 2), value, 1, 0.1)
    assert found.over[0][1].count == 200


def test_nothing_in_common_is_no_ranking() -> None:
    found = rank(np.array(["a", "b"]), np.array([0, 1]), np.array([1.0, 2.0]), 1, 0.0)
    assert (found.names, found.n, found.left_out) == ((), 0, 2)


def test_codes_tell_rows_apart() -> None:
    number, word = np.array([1.0, 1.0, 2.0, 2.0]), np.array(["x", "y", "x", "x"], dtype=object)
    codes = codes_of([number, word], 4)
    assert codes[2] == codes[3]
    assert len(set(codes[:3])) == 3
    assert codes_of([], 3).tolist() == [0, 0, 0]


def test_several_cases_of_one_circumstance_are_averaged() -> None:
    names, table = side_by_side(
        np.array(["a", "a", "b"]), np.array([0, 0, 1]), np.array([1.0, 3.0, np.nan])
    )
    assert names == ("a", "b")
    np.testing.assert_array_equal(table, [[2.0, np.nan], [np.nan, np.nan]])


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (3, 10), (450, 1000)])
def test_wilson_is_that_of_scipy(count: int, n: int) -> None:
    theirs = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    assert Share(count, n).interval == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("n", [3, 8])
def test_intervals_of_few_values_cover_the_mean_too(n: int) -> None:
    # The plain percentile interval of three normal values covers it in about 7 of 10.
    rng = np.random.default_rng(8)
    found = [mean_of(rng.standard_normal(n)) for _ in range(300)]
    assert sum(e.low <= 0.0 <= e.high for e in found) >= 270


@pytest.mark.parametrize("n", [40, 500])
def test_intervals_of_a_mean_cover_it_nineteen_times_of_twenty(n: int) -> None:
    rng = np.random.default_rng(7)
    found = [mean_of(rng.exponential(1.0, n)) for _ in range(200)]
    covered = sum(e.low <= 1.0 <= e.high for e in found)
    assert 178 <= covered <= 199


def test_one_value_has_no_interval() -> None:
    one = mean_of(np.array([2.0, np.nan]))
    assert (one.value, one.n) == (2.0, 1)
    assert np.isnan(one.low)
    assert not one.tells
    assert mean_of(np.array([])).n == 0
    apart = difference_of(np.array([1.0, 2.0, 1.5]), np.array([5.0, 6.0, 5.5]))
    assert apart.value == pytest.approx(4.0)
    assert apart.tells


def test_no_interval_goes_below_what_a_measure_can_be() -> None:
    sample = np.array([0.0, 0.0, 3.0])
    assert mean_of(sample).low < 0.0
    assert mean_of(sample, least=0.0).low == 0.0
    found = rank(np.array(["a"] * 3), np.arange(3), sample, -1, 0.0, least=0.0)
    assert found.mean[0].low == 0.0
