"""Which way of treating is best, and in how many points of a study that holds.

All ways are compared in the same circumstances: a comparison uses the circumstances in which every
one of them has a finished case. Where the points of the study were drawn from stated distributions
a share of them estimates the probability under these; of a grid it is a share of the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.study.analysis.intervals import Estimate, Share, mean_of


@dataclass(frozen=True)
class Ranking:
    """Ways of treating by a measure, the best first.

    Attributes:
        names: The ways, by their mean over the complete circumstances.
        mean: Mean of each.
        best: Circumstances in which each is better than all others by more than a tie.
        over: ``over[i][j]``: in which i is better than j by more than a tie.
        order: In which each is better than the next, ties counted against.
        tied: In which two neighbours of the order tie.
        lead: By how much the first is better than the second, the mean over the circumstances.
        left_out: Circumstances without a finished case of every way.
    """

    names: tuple[str, ...]
    mean: tuple[Estimate, ...]
    best: tuple[Share, ...]
    over: tuple[tuple[Share, ...], ...]
    order: Share
    tied: Share
    lead: Estimate
    left_out: int

    @property
    def n(self) -> int:
        """Complete circumstances."""
        return self.order.n


def codes_of(columns: Sequence[NDArray[Any]], n: int) -> NDArray[np.int64]:
    """One number for each distinct row of some columns.

    Args:
        columns: Columns of numbers or texts, shape (n,) each; without any all rows are alike.
        n: Number of rows.

    Returns:
        Numbers from 0, shape (n,).
    """
    codes = np.zeros(n, dtype=np.int64)
    for column in columns:
        keys = column.astype(str) if column.dtype == object else column
        _, own = np.unique(keys, return_inverse=True)
        _, codes = np.unique(codes * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
    return codes


def side_by_side(
    way: NDArray[np.str_], circumstance: NDArray[np.int64], value: FloatArray
) -> tuple[tuple[str, ...], FloatArray]:
    """Circumstances as rows, ways as columns; the mean of several cases, NaN without a case.

    Args:
        way: Name of the way of each case, shape (n,).
        circumstance: Number from 0 of the circumstance, shape (n,).
        value: The measure, shape (n,); a case that has none is no case.

    Returns:
        Names of the ways, and the values, shape (circumstances, ways).
    """
    names, column = np.unique(way, return_inverse=True)
    shape = (int(circumstance.max(initial=-1)) + 1, len(names))
    there = np.isfinite(value)
    flat = circumstance * shape[1] + column
    size = shape[0] * shape[1]
    count = np.bincount(flat[there], minlength=size)
    total = np.bincount(flat[there], weights=value[there], minlength=size)
    with np.errstate(invalid="ignore"):
        return tuple(str(name) for name in names), (total / count).reshape(shape)


def rank(
    way: NDArray[np.str_],
    circumstance: NDArray[np.int64],
    value: FloatArray,
    better: int,
    tie: float,
    least: float = -inf,
) -> Ranking:
    """Rank ways of treating by a measure, paired by circumstance.

    Args:
        way: Name of the way of each case, shape (n,).
        circumstance: Number from 0 of what is the same for all ways, shape (n,).
        value: The measure, shape (n,).
        better: 1 where more is better, -1 where less is.
        tie: Differences up to this count as none, in the measure's unit.
        least: Smallest value that the measure can have.
    """
    names, table = side_by_side(way, circumstance, value)
    complete = np.isfinite(table).all(axis=1)
    kept = table[complete]
    order = np.argsort(-better * kept.mean(axis=0), kind="stable") if len(kept) else range(0)
    kept = kept[:, list(order)]
    n = len(kept)
    # gain[c, i, j]: by how much i is better than j in circumstance c.
    gain = better * (kept[:, :, None] - kept[:, None, :])
    wins = gain > tie
    ways = range(kept.shape[1])
    alone = wins.sum(axis=2) == kept.shape[1] - 1
    steps = [wins[:, i, i + 1] for i in ways[:-1]]
    ties = [np.abs(gain[:, i, i + 1]) <= tie for i in ways[:-1]]
    return Ranking(
        names=tuple(names[i] for i in order),
        mean=tuple(mean_of(kept[:, i], least=least) for i in ways),
        best=tuple(Share(int(alone[:, i].sum()), n) for i in ways),
        over=tuple(tuple(Share(int(wins[:, i, j].sum()), n) for j in ways) for i in ways),
        order=Share(int(np.all(steps, axis=0).sum()) if steps else n, n),
        tied=Share(int(np.any(ties, axis=0).sum()) if ties else 0, n),
        lead=mean_of(gain[:, 0, 1] if len(ways) > 1 else np.zeros(0)),
        left_out=int((~complete).sum()),
    )
