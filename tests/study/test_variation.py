"""Lists, ranges and distributions: the values that a study file states."""

from typing import Any

import numpy as np
import pytest
from scipy import integrate

from sacrofem.study.variation import Distribution, listed, rounded, variation_of

#: Middles of 60,000 equal shares: means over them are integrals, without noise of sampling.
SHARES = (np.arange(60_000) + 0.5) / 60_000


def drawn(entry: dict[str, Any]) -> np.ndarray:
    variation = variation_of(entry)
    assert isinstance(variation, Distribution)
    return np.array(variation.at(SHARES))


@pytest.mark.parametrize(
    ("entry", "mean", "sd", "median"),
    [
        ({"uniform": [2, 8]}, 5.0, 6 / np.sqrt(12), 5.0),
        ({"normal": [500, 50]}, 500.0, 50.0, 500.0),
        # Exact moments of the log-normal: median * exp(s^2 / 2), mean * sqrt(exp(s^2) - 1).
        (
            {"lognormal": [7, 1.5]},
            7 * np.exp(np.log(1.5) ** 2 / 2),
            7 * np.exp(np.log(1.5) ** 2 / 2) * np.sqrt(np.exp(np.log(1.5) ** 2) - 1),
            7.0,
        ),
        # Cut at one SD on both sides: variance 1 - 2 phi(1) / (2 Phi(1) - 1) = 0.29113.
        ({"truncated_normal": [10, 2, 8, 12]}, 10.0, 2 * np.sqrt(0.291125), 10.0),
    ],
)
def test_distributions_have_their_moments(
    entry: dict[str, Any], mean: float, sd: float, median: float
) -> None:
    found = drawn(entry)
    assert np.isclose(found.mean(), mean, rtol=1e-4)
    assert np.isclose(found.std(), sd, rtol=1e-3)
    assert np.isclose(np.median(found), median, rtol=1e-4)
    assert (np.diff(found) >= 0).all()


def test_a_lognormal_has_two_thirds_within_its_geometric_sd() -> None:
    found = drawn({"lognormal": [7, 1.5]})
    assert np.isclose(np.mean((found > 7 / 1.5) & (found < 7 * 1.5)), 0.6827, atol=1e-4)


def test_a_skew_cut_is_that_of_the_normal_before_it() -> None:
    """Protects: mean and SD of a truncated normal are those before the cut."""

    def density(x: float) -> float:
        return float(np.exp(-0.5 * ((x - 6.0) / 1.78) ** 2))

    mass, _ = integrate.quad(density, 4.0, 10.0)
    mean, _ = integrate.quad(lambda x: x * density(x) / mass, 4.0, 10.0)
    found = drawn({"truncated_normal": [6.0, 1.78, 4.0, 10.0]})
    assert np.isclose(found.mean(), mean, rtol=1e-5)
    assert found.min() >= 4.0
    assert found.max() <= 10.0


def test_a_cut_far_in_the_tail_is_still_a_distribution() -> None:
    found = drawn({"truncated_normal": [0.0, 1.0, 10.0, 11.0]})
    assert np.isfinite(found).all()
    assert 10.0 < np.median(found) < 10.1


def test_choices_have_their_weights() -> None:
    found = list(drawn({"choice": ["a", "b", "c"], "weights": [1, 2, 5]}))
    assert [found.count(word) / len(found) for word in "abc"] == pytest.approx(
        [1 / 8, 2 / 8, 5 / 8]
    )
    equal = list(drawn({"choice": ["a", "b", "c"]}))
    assert equal.count("c") / len(equal) == pytest.approx(1 / 3, abs=1e-5)


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ([4, 2.5, "a", None], (4, 2.5, "a", None)),
        ({"from": 2, "to": 8, "step": 2}, (2, 4, 6, 8)),
        ({"from": 0.1, "to": 0.5, "step": 0.1}, (0.1, 0.2, 0.3, 0.4, 0.5)),
        ({"from": 3, "to": 1, "step": -1}, (3, 2, 1)),
        ({"from": 1, "to": 2, "count": 5}, (1.0, 1.25, 1.5, 1.75, 2.0)),
        ({"from": 1, "to": 100, "count": 3, "spacing": "log"}, (1.0, 10.0, 100.0)),
    ],
)
def test_lists_and_ranges(entry: Any, values: tuple[Any, ...]) -> None:
    found = listed(variation_of(entry))
    assert found == values
    # order: 2.0 is refused, so whole numbers must stay whole.
    assert [type(v) for v in found] == [type(v) for v in values]


def test_values_are_rounded_to_ten_digits_and_whole_numbers_stay() -> None:
    """Protects: the last bit of a mathematical library makes no other key."""
    assert rounded(7.1 * 0.7) == rounded(np.nextafter(7.1 * 0.7, 8)) == 4.97
    assert type(rounded(3)) is int
    assert rounded(1.23456789012e-7) == 1.23456789e-7


@pytest.mark.parametrize(
    "entry",
    [
        {"lognormal": [7, 1.0]},
        {"lognormal": [-7, 1.5]},
        {"truncated_normal": [7, 1, 9, 8]},
        {"uniform": [1, float("inf")]},
        {"from": 0, "to": 1, "count": 3, "spacing": "log"},
        {"from": 0, "to": 1, "step": 0},
        {"from": 0, "to": 1, "step": -0.5},
        {"from": 0, "to": 1, "step": 1e-9},
        {"from": 0, "to": 1, "step": 0.5, "count": 3},
        {"from": 0, "to": float("nan"), "count": 3},
        {"choice": []},
        {"choice": [1], "weights": [0]},
        {"uniform": [1, 2], "normal": [1, 2]},
        {},
        "much",
    ],
)
def test_what_is_no_variation_is_refused(entry: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        variation_of(entry)
