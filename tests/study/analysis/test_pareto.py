"""The front holds exactly the rows that nothing dominates."""

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.study.analysis.pareto import pareto_front


def by_definition(costs: np.ndarray) -> np.ndarray:
    """A row is out if another is nowhere worse and somewhere better."""
    nowhere_worse = (costs[:, None] <= costs[None]).all(axis=2)
    better = (costs[:, None] < costs[None]).any(axis=2)
    return ~(nowhere_worse & better).any(axis=0)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("digits", [1, 6])
def test_it_is_the_definition(k: int, digits: int) -> None:
    # One digit makes ties and equal rows, six make none.
    for seed in range(5):
        costs = np.round(np.random.default_rng(seed).random((200, k)), digits)
        np.testing.assert_array_equal(pareto_front(costs), by_definition(costs))


def test_equal_rows_stay_together_and_infinity_counts() -> None:
    costs = np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0], [-np.inf, 3.0]])
    assert pareto_front(costs).tolist() == [True, True, False, True]
    assert pareto_front(np.zeros((0, 3))).shape == (0,)


def test_a_row_without_a_number_is_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        pareto_front(np.array([[1.0, np.nan]]))
