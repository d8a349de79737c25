"""Non-dominated choices: nothing else is at least as good in all measures and better in one."""

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray


def pareto_front(costs: FloatArray) -> NDArray[np.bool_]:
    """Rows that no other row dominates; rows that are equal stay together.

    Exact: of the rows in lexicographic order the first one left is on the front, and takes with it
    all that it dominates; a later row never dominates an earlier one. The work is rows times front.

    Args:
        costs: Less is better in every column, shape (n, k).

    Returns:
        Whether a row is on the front, shape (n,).

    Raises:
        InputError: A cost is NaN: such a row is neither better nor worse than another.
    """
    if np.isnan(costs).any():
        raise InputError(
            "a Pareto front needs a number in every row and column, found NaN; leave such rows out."
        )
    if not len(costs):
        return np.zeros(0, dtype=bool)
    rows, place = np.unique(costs, axis=0, return_inverse=True)
    on_front = np.zeros(len(rows), dtype=bool)
    left = np.arange(len(rows))
    while len(left):
        on_front[left[0]] = True
        dominated = (rows[left] >= rows[left[0]]).all(axis=1)
        left = left[~dominated]
    found: NDArray[np.bool_] = on_front[place.ravel()]
    return found
