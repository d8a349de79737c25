"""Response curves: means by value or bin, what a change of a field did."""

import numpy as np
import pytest

from sacrofem.study.analysis.curves import contrast, places_of, response_curves
from sacrofem.study.analysis.ranking import codes_of


def test_a_grid_gives_its_values_and_their_means() -> None:
    volume = np.repeat([2.0, 4.0, 6.0], 10)
    way = np.array(["a", "b"] * 15)
    value = volume**2 + np.where(way == "b", 1.0, 0.0)
    first, second = response_curves(way, volume, value)
    assert first.at.tolist() == [2.0, 4.0, 6.0]
    assert [e.value for e in second.mean] == [5.0, 17.0, 37.0]
    assert [e.n for e in first.mean] == [5, 5, 5]
    assert not first.binned


def test_many_numbers_are_cut_into_bins_of_equally_many() -> None:
    volume = np.random.default_rng(1).uniform(2.0, 8.0, 400)
    (curve,) = response_curves(np.full(400, "a"), volume, 3.0 * volume)
    assert curve.binned
    assert {e.n for e in curve.mean} == {50}
    # A straight line stays one: the mean of a bin lies on it.
    np.testing.assert_allclose([e.value for e in curve.mean], 3.0 * curve.at)


def test_words_are_values_and_a_missing_case_is_left_out() -> None:
    site = np.array(["left", "right", "left", None], dtype=object)
    value = np.array([1.0, 2.0, 3.0, np.nan])
    (curve,) = response_curves(np.full(4, "a"), site, value)
    assert curve.at.tolist() == ["left", "right"]
    assert [(e.value, e.n) for e in curve.mean] == [(2.0, 2), (2.0, 1)]


def test_a_tie_at_an_edge_puts_a_value_into_one_bin() -> None:
    values = np.concatenate([np.zeros(100), np.arange(1.0, 101.0)])
    at, place, binned = places_of(values)
    assert binned
    assert len(set(place[:100])) == 1
    assert np.all(np.diff(at) > 0)


def test_a_paired_change_is_found_under_a_spread_that_hides_it() -> None:
    hard = np.repeat(100.0 * np.random.default_rng(3).random(30), 2)
    volume = np.tile([2.0, 8.0], 30)
    found = contrast(volume, hard + 0.5 * volume, codes_of([hard], 60), codes_of([hard], 60))
    assert found is not None
    assert found.paired
    assert (found.first, found.second) == (2.0, 8.0)
    assert found.change.value == pytest.approx(3.0)
    assert found.change.tells


def test_drawn_values_are_compared_by_their_ends() -> None:
    volume = np.random.default_rng(1).uniform(0.0, 8.0, 800)
    found = contrast(volume, volume, np.arange(800), np.arange(800))
    assert found is not None
    assert not found.paired
    assert found.change.value == pytest.approx(7.0, abs=0.1)


def test_words_go_from_worst_to_best_and_one_value_is_no_change() -> None:
    site = np.array(["left", "right", "body"] * 20, dtype=object)
    value, patient = np.tile([2.0, 3.0, 1.0], 20), np.repeat(np.arange(20), 3)
    found = contrast(site, value, patient, patient)
    assert found is not None
    assert (found.first, found.second) == ("body", "right")
    assert found.change.value == pytest.approx(2.0)
    assert contrast(np.full(60, 2.0), value, patient, patient) is None


def test_ways_at_one_point_count_once() -> None:
    # Ten bones, each treated in five ways that give the same: ten pairs, not fifty.
    bone = np.repeat(np.arange(10), 10)
    way = np.tile(np.repeat(np.arange(5), 2), 10)
    volume = np.tile([2.0, 8.0], 50)
    value = volume * np.random.default_rng(1).random(10)[bone]
    found = contrast(volume, value, codes_of([bone, way], 100), bone)
    assert found is not None
    assert found.change.n == 10
