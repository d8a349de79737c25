"""Drawn values: the stated mean, SD and range come out, given values stay, everywhere the same."""

import numpy as np
import pytest
from pydantic import ValidationError

from sacrofem.errors import InputError
from sacrofem.study.draw import DrawRule, draw_missing, draw_order

CEMENT = DrawRule(mean=6.0, sd=1.78, range=(4.0, 10.0), step=0.1)
AGE = DrawRule(mean=56.3, sd=13.8, limits=(30, 80), step=1)


@pytest.mark.parametrize("seed", range(20))
def test_mean_sd_and_range_come_out_for_any_seed(seed: int) -> None:
    drawn = np.array(draw_missing(CEMENT, [None] * 12, seed, "cement_ml"))
    assert drawn.sum() == pytest.approx(72.0)
    assert drawn.std(ddof=1) == pytest.approx(1.78, abs=0.02)
    assert (drawn.min(), drawn.max()) == (4.0, 10.0)
    np.testing.assert_allclose(drawn, np.round(drawn, 1), atol=1e-12)


def test_given_values_stay_and_count_for_mean_and_sd() -> None:
    given = [72.0, None, None, 69.0, *[None] * 6]
    drawn = np.array(draw_missing(AGE, given, 3, "age_years"))
    assert (drawn[0], drawn[3]) == (72.0, 69.0)
    assert drawn.sum() == pytest.approx(563.0)
    assert drawn.std(ddof=1) == pytest.approx(13.8, abs=0.2)
    assert drawn.min() >= 30
    assert drawn.max() <= 80


def test_a_draw_is_the_same_on_every_machine() -> None:
    # PCG64 and SeedSequence are stable by NumPy's policy; these values must never move.
    expected = (4.0, 5.1, 10.0, 6.7, 5.4, 5.6, 5.6, 5.6)
    assert draw_missing(CEMENT, [None] * 8, 7, "cement_ml") == expected
    assert draw_order(5, 7, "sex") == [0, 1, 2, 4, 3]


def test_other_names_and_seeds_give_other_values() -> None:
    found = {
        draw_missing(CEMENT, [None] * 8, seed, name)
        for seed, name in ((1, "cement_ml"), (2, "cement_ml"), (1, "volume_ml"))
    }
    assert len(found) == 3


def test_values_follow_what_they_are_told_to() -> None:
    along = [3.0, 9.0, 1.0, 7.0, 5.0, 2.0, 8.0, 6.0, 4.0]
    drawn = np.array(draw_missing(CEMENT, [None] * 9, 1, "cement_ml", along))
    assert (np.diff(drawn[np.argsort(along)]) >= 0.0).all()
    assert tuple(drawn.tolist()) != draw_missing(CEMENT, [None] * 9, 1, "cement_ml")


def test_nothing_is_drawn_where_all_is_given() -> None:
    assert draw_missing(CEMENT, [1.0, 2.0], 1, "cement_ml") == (1.0, 2.0)


def test_one_missing_value_stays_within_the_limits() -> None:
    assert 30 <= draw_missing(AGE, [50.0, None], 1, "age_years")[1] <= 80


def test_a_rule_that_given_values_contradict_is_refused() -> None:
    # Nine patients of 31 leave no tenth that lifts the mean to 56.
    with pytest.raises(InputError, match=r"draw\.age_years: no sample of 10 with 8 given"):
        draw_missing(AGE, [31.0] * 8 + [None] * 2, 1, "age_years")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"limits": (0, 10)}, "either 'range'"),
        ({"range": None}, "either 'range'"),
        ({"range": (7.0, 10.0)}, "must lie between 7 and 10"),
        ({"sd": 0.0}, "greater than 0"),
    ],
)
def test_a_rule_that_says_nothing_sound_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        DrawRule.model_validate(CEMENT.model_dump() | change)
