"""Descriptions and tests against values worked out by hand, and their edges."""

import math

import pytest

from sacrofem.study.statistics import SignificanceTest, compare_pairs, describe, friedman


def test_a_description_is_that_of_a_hand_calculation() -> None:
    found = describe([4.0, None, 1.0, 3.0, math.nan, 2.0])
    assert (found.n, found.missing) == (4, 2)
    assert found.mean == 2.5
    assert found.median == 2.5
    assert found.quartiles == (1.75, 3.25)
    assert found.range == (1.0, 4.0)
    assert found.sd == pytest.approx(math.sqrt(5.0 / 3.0))


def test_an_empty_sample_has_no_numbers_and_one_value_no_spread() -> None:
    assert describe([]).mean is None
    assert describe([math.nan]).missing == 1
    one = describe([3.0])
    assert (one.mean, one.sd, one.range) == (3.0, None, (3.0, 3.0))


def test_friedman_of_a_clear_order_is_its_largest_value() -> None:
    # Every patient in the same order: chi2 = 12/(n k (k+1)) sum R^2 - 3 n (k+1) = n (k - 1) = 8,
    # and the tail of chi2 with 2 degrees of freedom is exp(-chi2 / 2).
    found = friedman([1, 1, 2, 3], [5, 2, 4, 4], [9, 3, 6, 5])
    assert found.statistic == pytest.approx(8.0)
    assert found.p == pytest.approx(math.exp(-4.0))
    assert found.n == 4


def test_friedman_corrects_for_ties() -> None:
    # Ranks (1.5, 1.5, 3), (1, 2, 3), (1, 2, 3): rank sums 3.5, 5.5, 9 about 6;
    # chi2 = 12 * 15.5 / (3 * 3 * 4) / (1 - 6 / (3 * 24)) = 5.6364.
    found = friedman([1, 1, 1], [1, 2, 2], [3, 3, 3])
    assert found.statistic == pytest.approx(12 * 15.5 / 36 / (1 - 6 / 72))
    assert "ties in 1 rows" in found.note


def test_friedman_leaves_out_the_incomplete_and_needs_three() -> None:
    whole = friedman([1, 2, 3], [2, 3, 4], [3, 4, 5])
    found = friedman([1, None, 2, 3], [2, 9.0, 3, 4], [3, 9.0, 4, 5])
    assert (found.n, found.statistic) == (3, whole.statistic)
    assert found.note == "1 incomplete left out"
    few = friedman([1, math.nan, 2], [2, 3, 3], [3, 4, 4])
    assert few == SignificanceTest(
        "Friedman", 2, None, None, "2 complete rows; at least 3 are needed"
    )


def test_friedman_without_any_difference_has_no_result() -> None:
    assert friedman([1, 2, 3], [1, 2, 3], [1, 2, 3]).p is None


def test_friedman_of_two_states_is_refused() -> None:
    with pytest.raises(ValueError, match="three states"):
        friedman([1, 2, 3], [1, 2, 3])


def test_wilcoxon_is_exact_for_few_pairs() -> None:
    # Differences 1, 2, 3, 4, -5: rank sums 10 and 5. Of the 32 signs, the sets of ranks of sum
    # 5 or less are {}, 1, 2, 3, 4, 5, 12, 13, 14, 23: ten, so that p = 2 * 10 / 32.
    found = compare_pairs([0, 0, 0, 0, 5], [1, 2, 3, 4, 0]).wilcoxon
    assert (found.n, found.statistic) == (5, 5.0)
    assert found.p == pytest.approx(20 / 32)
    assert found.note == "exact"


def test_wilcoxon_is_exact_with_ties_and_drops_zeros() -> None:
    # Five equal rises of rank 3 each: only all or none of the signs is as extreme, 2 / 32.
    found = compare_pairs([0.0] * 6, [0.1] * 5 + [0.0]).wilcoxon
    assert (found.n, found.statistic) == (5, 0.0)
    assert found.p == pytest.approx(2 / 32)
    assert found.note == "exact; tied ranks; 1 without a difference dropped"


def test_paired_t_is_that_of_a_hand_calculation() -> None:
    # Differences 1, 2, 3: mean 2, SD 1, t = 2 sqrt(3); with 2 degrees of freedom the two-sided p
    # is 1 - t / sqrt(t^2 + 2).
    found = compare_pairs([5, 6, 7], [6, 8, 10])
    assert found.t.statistic == pytest.approx(2 * math.sqrt(3))
    assert found.t.p == pytest.approx(1 - math.sqrt(12 / 14))
    assert (found.difference.mean, found.rose, found.fell) == (2.0, 3, 0)


def test_no_difference_at_all_gives_no_p() -> None:
    found = compare_pairs([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert found.wilcoxon.p is None
    assert found.wilcoxon.note == "no pair differs"
    assert found.t.note == "all differences are equal: no spread"


def test_the_noise_of_a_solver_is_no_difference() -> None:
    base = [1000.0, 1100.0, 1200.0, 1300.0]
    noisy = [value * (1 + 1e-11) for value in base]
    assert compare_pairs(base, noisy).rose == 0
    assert friedman(base, noisy, base).p is None


def test_two_pairs_are_too_few_and_missing_ones_are_left_out() -> None:
    found = compare_pairs([1.0, 2.0, None], [2.0, 4.0, 3.0])
    assert found.difference.n == 2
    assert found.wilcoxon.p is None
    assert found.t.p is None
    assert found.t.note == "2 pairs; at least 3 are needed"


def test_many_pairs_use_scipys_own_choice() -> None:
    found = compare_pairs([0.0] * 20, [float(i) for i in range(1, 21)]).wilcoxon
    assert found.p == pytest.approx(2 / 2**20)
