"""Response curves: the mean of a measure over the values of a varied field, with its interval."""

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.study.analysis.intervals import Estimate, difference_of, mean_of
from sacrofem.study.analysis.ranking import side_by_side

#: A field with more distinct numbers than this is cut into bins of equally many points.
DISTINCT_UP_TO = 12
BINS = 8


@dataclass(frozen=True, eq=False)
class Curve:
    """The response of one way of treating.

    Attributes:
        way: The way.
        at: Values of the field, or the mean of each bin, shape (k,): numbers or texts.
        mean: Mean of the measure at each with its interval, k of them.
        spread: 10th and 90th percentile of the cases, shape (k, 2).
        binned: Whether the values are bins.
    """

    way: str
    at: NDArray[Any]
    mean: tuple[Estimate, ...]
    spread: FloatArray
    binned: bool


@dataclass(frozen=True)
class Contrast:
    """What changing a field from one value to another did to a measure.

    Attributes:
        first: The value, or the mean of the bin, before.
        second: The one after.
        change: Mean change with its interval.
        paired: Whether cases that differ in nothing else were compared one by one.
    """

    first: Any
    second: Any
    change: Estimate
    paired: bool


def is_numeric(values: NDArray[Any]) -> bool:
    """Whether a field holds numbers alone; the other fields hold words."""
    return bool(np.issubdtype(values.dtype, np.number))


def places_of(
    values: NDArray[Any], bins: int = BINS
) -> tuple[NDArray[Any], NDArray[np.int64], bool]:
    """Where the cases stand on a field: distinct values, or bins of equally many cases.

    Args:
        values: The field of each case, shape (n,).
        bins: How many bins there are at most.

    Returns:
        The values or means of the bins in rising order, shape (k,); the number of each case's own,
        shape (n,); whether they are bins.
    """
    keys = values if is_numeric(values) else values.astype(str)
    distinct, place = np.unique(keys, return_inverse=True)
    if not is_numeric(values) or len(distinct) <= DISTINCT_UP_TO:
        return distinct, place, False
    edges = np.unique(np.quantile(keys, np.linspace(0.0, 1.0, bins + 1)))
    place = np.searchsorted(edges[1:-1], keys, side="right")
    means = np.bincount(place, weights=keys) / np.maximum(np.bincount(place), 1)
    return means, place, True


def response_curves(
    way: NDArray[np.str_],
    field: NDArray[Any],
    value: FloatArray,
    seed: int = 1,
    least: float = -inf,
) -> tuple[Curve, ...]:
    """The response of each way of treating to a field.

    The mean is over all that varies besides, as often as the design has it; its interval takes the
    cases of a place as drawn independently.

    Args:
        way: Name of the way of each case, shape (n,).
        field: The varied field, shape (n,).
        value: The measure, shape (n,).
        seed: Seed of the bootstrap.
        least: Smallest value that the measure can have.
    """
    at, place, binned = places_of(field)
    curves = []
    for name in np.unique(way):
        samples = [value[(way == name) & (place == k)] for k in range(len(at))]
        samples = [sample[np.isfinite(sample)] for sample in samples]
        there = [k for k, sample in enumerate(samples) if len(sample)]
        if there:
            spread = [np.percentile(samples[k], (10.0, 90.0)) for k in there]
            means = tuple(mean_of(samples[k], seed, least) for k in there)
            curves.append(Curve(str(name), at[there], means, np.array(spread), binned))
    return tuple(curves)


def contrast(
    field: NDArray[Any],
    value: FloatArray,
    others: NDArray[np.int64],
    unit: NDArray[np.int64],
    seed: int = 1,
) -> Contrast | None:
    """What changing a field did: from its least to its largest number, or from worst to best word.

    Paired where cases differ in this field alone, as in a grid; else means of the two ends. The two
    words are picked by their means, which makes their difference look larger than it is.

    Args:
        field: The varied field, shape (n,).
        value: The measure, shape (n,).
        others: Number from 0 of everything else that is set in a case, shape (n,).
        unit: Number from 0 of what counts once, shape (n,): the ways of treating at one point are
            no independent cases.
        seed: Seed of the bootstrap.

    Returns:
        None where the field or the measure has no two values to compare.
    """
    there = np.isfinite(value)
    at, place, binned = places_of(field[there])
    if len(at) < 2:
        return None
    kept, others, unit = value[there], others[there], unit[there]
    # Numbers of equal width sort as text.
    names = np.array([f"{k:06d}" for k in range(len(at))])[place]
    _, table = side_by_side(names, others, kept)
    complete = np.isfinite(table).all(axis=1)
    means = np.array([kept[place == k].mean() for k in range(len(at))])
    if complete.any():
        means = table[complete].mean(axis=0)
    first, second = (0, len(at) - 1) if is_numeric(field) else (means.argmin(), means.argmax())
    gain = table[:, second] - table[:, first]
    if binned or not np.isfinite(gain).any():
        _, by_unit = side_by_side(names, unit, kept)
        change = difference_of(by_unit[:, first], by_unit[:, second], seed)
        return Contrast(at[first], at[second], change, False)
    unit_of = np.zeros(len(table), dtype=np.int64)
    unit_of[others] = unit
    _, by_unit = side_by_side(np.full(len(gain), "gain"), unit_of, gain)
    return Contrast(at[first], at[second], mean_of(by_unit[:, 0], seed), True)
