"""Which varied field drives a measure: Sobol's indices, or main effects by bins.

The estimators are those of :func:`scipy.stats.sobol_indices` (Saltelli 2010,
doi:10.1016/j.cpc.2009.09.018). That function demands a number of rows that is a power of two, which
a study with one failed case no longer has; a test holds that both agree where it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.study.analysis.curves import BINS, places_of
from sacrofem.study.analysis.intervals import Estimate, percentile_ends

RESAMPLES = 500
#: Cases times resamples that main effects are worth, many cases need fewer; and that Sobol's
#: indices take at once (a choice).
EFFORT = 500_000
#: Fewer complete rows give intervals that say nothing (a choice).
ROWS_AT_LEAST = 16
#: Cases a bin, on average, that a main effect by bins needs (a choice).
CASES_A_BIN = 5
#: More bins, which lose less, where there are so many cases a bin; up to so many (a choice).
CASES_A_FINE_BIN, FINE_BINS = 50, 32
#: Variance over squared size below which a measure does not vary: it is rounding.
CONSTANT = 1e-20


@dataclass(frozen=True)
class Sensitivity:
    """What a field does to the variance of a measure.

    Attributes:
        field: The varied field.
        first: Part of the variance that goes with the field alone.
        total: The same with all its interactions; None where the design does not give it.
    """

    field: str
    first: Estimate
    total: Estimate | None


@dataclass(frozen=True)
class Sensitivities:
    """Sensitivities of a measure.

    Attributes:
        fields: One a field, the largest first.
        rows: Complete rows of the design, or cases.
        left_out: Rows that miss a case.
        method: How they were found, and what is known of the error.
    """

    fields: tuple[Sensitivity, ...]
    rows: int
    left_out: int
    method: str


def as_blocks(point: NDArray[np.int64], value: FloatArray, rows: int, fields: int) -> FloatArray:
    """Values of a `saltelli` design by block: A, B, then A with each field in turn taken from B.

    Args:
        point: Number of the point of each case, shape (n,).
        value: The measure, shape (n,).
        rows: Rows N of a block.
        fields: Number k of fields.

    Returns:
        Shape (k + 2, N); NaN where a case is missing.

    Raises:
        InputError: A point lies beyond the design.
    """
    if point.size and int(point.max()) >= rows * (fields + 2):
        raise InputError(
            f"a design of {rows} rows and {fields} fields has {rows * (fields + 2)} points, found "
            f"point {int(point.max())}; run the study again: its file was changed since."
        )
    blocks = np.full(rows * (fields + 2), np.nan)
    blocks[point] = value
    return blocks.reshape(fields + 2, rows)


def sobol_indices(blocks: FloatArray, names: Sequence[str], seed: int = 1) -> Sensitivities:
    """First-order and total indices with bootstrap intervals over the rows.

    A row with a missing case is left out in all blocks. An estimate may be below 0 or above 1 by
    its own error.

    Args:
        blocks: Values, shape (k + 2, N); see :func:`as_blocks`.
        names: The k fields.
        seed: Seed of the bootstrap.

    Raises:
        InputError: Too few complete rows, or the measure does not vary.
    """
    complete = np.isfinite(blocks).all(axis=0)
    kept, n = blocks[:, complete], int(complete.sum())
    if n < ROWS_AT_LEAST:
        raise InputError(
            f"Sobol's indices need {ROWS_AT_LEAST} complete rows and more, found {n} of "
            f"{blocks.shape[1]}; run what is missing, or take more samples."
        )
    _refuse_constant(kept[:2])
    first, total = _saltelli(kept[:, None])[:, 0]
    rng = np.random.default_rng(seed)
    at_once = max(1, EFFORT // (n * len(blocks)))
    sizes = [min(at_once, RESAMPLES - done) for done in range(0, RESAMPLES, at_once)]
    # Shape (2, resamples, k).
    drawn = np.concatenate([_saltelli(kept[:, rng.integers(0, n, (r, n))]) for r in sizes], axis=1)
    low, high = percentile_ends(drawn.swapaxes(0, 1))
    found = [
        Sensitivity(
            name,
            Estimate(float(first[i]), float(low[0, i]), float(high[0, i]), n),
            Estimate(float(total[i]), float(low[1, i]), float(high[1, i]), n),
        )
        for i, name in enumerate(names)
    ]
    found.sort(key=lambda s: -(s.total.value if s.total else 0.0))
    return Sensitivities(
        tuple(found),
        n,
        blocks.shape[1] - n,
        "Sobol's indices (Saltelli 2010), intervals by bootstrap over the rows of the design",
    )


def main_effects(
    fields: dict[str, NDArray[Any]], value: FloatArray, whole_grid: bool, seed: int = 1
) -> Sensitivities:
    """Part of the variance between the values, or bins, of each field: a first-order index.

    In a whole grid the ratio of variances is exact for equally likely values. Else chance alone
    makes it (bins - 1) / (n - 1) on average, which is taken off (Kelley 1935, epsilon squared);
    what varies within a bin is lost, so that the estimate is low for steep curves. Interactions are
    not seen.

    Args:
        fields: The varied fields, shape (n,) each.
        value: The measure, shape (n,).
        whole_grid: Whether these are all points of a grid.
        seed: Seed of the bootstrap.

    Raises:
        InputError: Too few cases, or the measure does not vary.
    """
    there = np.isfinite(value)
    kept, n = value[there], int(there.sum())
    bins = min(max(BINS, n // CASES_A_FINE_BIN), FINE_BINS)
    places = {name: places_of(field[there], bins)[1] for name, field in fields.items()}
    places = {name: place for name, place in places.items() if place.max(initial=0) > 0}
    most = max((int(place.max()) + 1 for place in places.values()), default=1)
    if (not whole_grid and n < CASES_A_BIN * most) or n < 2:
        raise InputError(
            f"main effects need {CASES_A_BIN} cases a bin, {CASES_A_BIN * most} in all, found {n}; "
            "take more samples, or design: {kind: saltelli} for total indices too."
        )
    _refuse_constant(kept)
    rng = np.random.default_rng(seed)
    again = min(max(EFFORT // n, RESAMPLES // 10), RESAMPLES)
    drawn = np.arange(n)[None] if whole_grid else rng.integers(0, n, (again, n))
    found = []
    for name, place in places.items():
        one = float(_between(place[None], kept[None], corrected=not whole_grid)[0])
        low = high = float("nan")
        if not whole_grid:
            resampled = _between(place[drawn], kept[drawn], corrected=True)
            # Cases drawn twice look like an effect: what the resamples add is taken off.
            bias = float(resampled.mean()) - one
            low, high = (float(end) - bias for end in percentile_ends(resampled))
        found.append(Sensitivity(name, Estimate(one, low, high, n), None))
    found.sort(key=lambda s: -s.first.value)
    method = (
        "main effects over the whole grid, exact for equally likely values; without interactions"
        if whole_grid
        else "main effects by values or bins, less what chance gives; without interactions, low "
        "for what varies within a bin. For total indices take design: {kind: saltelli}"
    )
    return Sensitivities(tuple(found), n, len(value) - n, method)


def _saltelli(blocks: FloatArray) -> FloatArray:
    """First-order and total indices of many samples: rows (b) and (f) of Saltelli's Table 2.

    Args:
        blocks: Values, shape (k + 2, samples, N).

    Returns:
        Shape (2, samples, k).
    """
    both = np.concatenate([blocks[0], blocks[1]], axis=1)
    # Centred first: the product below loses the indices in a large mean.
    a, b, *mixed = blocks - both.mean(axis=1)[:, None]
    ab = np.array(mixed)
    variance = both.var(axis=1)
    variance[variance == 0.0] = np.inf
    first = (b * (ab - a)).mean(axis=2) / variance
    total = 0.5 * ((a - ab) ** 2).mean(axis=2) / variance
    return np.array([first.T, total.T])


def _between(place: NDArray[np.int64], value: FloatArray, *, corrected: bool) -> FloatArray:
    """Variance between places over the whole variance, corrected for chance where asked.

    Args:
        place: Number of the place of each case, shape (samples, n).
        value: The measure, shape (samples, n).
        corrected: Whether what chance gives is taken off.

    Returns:
        Shape (samples,).
    """
    samples, n = value.shape
    width = int(place.max(initial=0)) + 1
    flat = (place + width * np.arange(samples)[:, None]).ravel()
    count = np.bincount(flat, minlength=samples * width).reshape(samples, width)
    middle = value.mean(axis=1, keepdims=True)
    total = np.bincount(flat, (value - middle).ravel(), samples * width).reshape(samples, width)
    whole = value.var(axis=1)
    whole[whole == 0.0] = np.inf
    part = (total**2 / np.maximum(count, 1)).sum(axis=1) / n / whole
    if not corrected:
        return np.asarray(part)
    inside = np.maximum(n - (count > 0).sum(axis=1), 1)
    return np.asarray(1.0 - (1.0 - part) * (n - 1) / inside)


def _refuse_constant(value: FloatArray) -> None:
    if float(np.var(value)) <= CONSTANT * max(float(np.mean(value**2)), 1e-300):
        raise InputError(
            "sensitivities need a measure that varies, found the same value in every case; the "
            "varied fields do not touch it."
        )
