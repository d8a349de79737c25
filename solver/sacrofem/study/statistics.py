"""Descriptions and tests of paired samples, as the clinical papers used them for their scores."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sacrofem.image.volume import FloatArray

#: Below this many complete pairs or rows a test is not made.
AT_LEAST = 3
#: Up to this many pairs all signs are enumerated, which is exact with ties too.
ENUMERATED_UP_TO = 16
#: Differences below this part of the largest value are the solver's, and count as none.
NOISE = 1e-8

Values = Sequence[float | None]


@dataclass(frozen=True)
class Description:
    """A sample in numbers; None where it is too small for one.

    Attributes:
        n: Values that are numbers.
        missing: Values that are not.
        mean: Mean.
        sd: Standard deviation of the sample, divisor n - 1.
        median: Median.
        quartiles: First and third quartile, linear between values.
        range: Smallest and largest value.
    """

    n: int
    missing: int
    mean: float | None
    sd: float | None
    median: float | None
    quartiles: tuple[float, float] | None
    range: tuple[float, float] | None


@dataclass(frozen=True)
class SignificanceTest:
    """The outcome of a test; ``statistic`` and ``p`` are None where it could not be made.

    Attributes:
        name: Its name.
        n: Complete rows or pairs that went into it.
        statistic: Its statistic.
        p: Probability of such a statistic or a more extreme one without an effect, two-sided.
        note: Ties, pairs left out, or why there is no result.
    """

    name: str
    n: int
    statistic: float | None
    p: float | None
    note: str


@dataclass(frozen=True)
class PairedComparison:
    """Two samples of the same patients.

    Attributes:
        difference: Second minus first, complete pairs.
        rose: Pairs in which the second is larger.
        fell: Pairs in which it is smaller.
        wilcoxon: Signed-rank test.
        t: Paired t test.
    """

    difference: Description
    rose: int
    fell: int
    wilcoxon: SignificanceTest
    t: SignificanceTest


def describe(values: Iterable[float | None]) -> Description:
    """Mean, SD, median, quartiles and range of the values that are finite numbers."""
    listed = list(values)
    sample = np.array([v for v in listed if _is_number(v)], dtype=float)
    n, missing = len(sample), len(listed) - len(sample)
    if n == 0:
        return Description(0, missing, None, None, None, None, None)
    first, median, third = (float(v) for v in np.percentile(sample, (25.0, 50.0, 75.0)))
    return Description(
        n,
        missing,
        float(sample.mean()),
        float(sample.std(ddof=1)) if n > 1 else None,
        median,
        (first, third),
        (float(sample.min()), float(sample.max())),
    )


def friedman(*states: Values) -> SignificanceTest:
    """Friedman's rank test over three or more states of the same patients (Friedman 1937).

    The p is that of chi-squared with k - 1 degrees of freedom, corrected for ties, as the usual
    statistics programs give it; a patient with a state missing is left out.

    Args:
        states: One sample a state, equally long.

    Raises:
        ValueError: Fewer than three states, or lengths that differ.
    """
    if len(states) < 3:
        raise ValueError("the Friedman test compares three states or more")
    rows = _complete(*states)
    name, n = "Friedman", rows.shape[1]
    left_out = _left_out(len(states[0]) - n)
    if n < AT_LEAST:
        return SignificanceTest(name, n, None, None, _too_few(n, "complete rows"))
    tied = sum(len(set(row)) < len(row) for row in rows.T)
    if all(len(set(row)) == 1 for row in rows.T):
        return SignificanceTest(name, n, None, None, "no patient differs between the states")
    found = stats.friedmanchisquare(*rows)
    note = "; ".join(filter(None, (left_out, f"ties in {tied} rows" if tied else "")))
    return SignificanceTest(name, n, float(found.statistic), float(found.pvalue), note)


def compare_pairs(first: Values, second: Values) -> PairedComparison:
    """Compare two samples of the same patients by Wilcoxon's signed-rank and the paired t test.

    Pairs with a value missing are left out of both.

    Raises:
        ValueError: Lengths that differ.
    """
    pairs = _complete(first, second)
    ranked = np.round((pairs[1] - pairs[0]) / NOISE) * NOISE
    left_out = _left_out(len(first) - len(ranked))
    return PairedComparison(
        describe((_scale(first, second) * ranked).tolist()),
        int((ranked > 0).sum()),
        int((ranked < 0).sum()),
        _wilcoxon(ranked, left_out),
        _paired_t(ranked, left_out),
    )


def _wilcoxon(change: FloatArray, left_out: str) -> SignificanceTest:
    """Wilcoxon 1945: pairs without a difference are dropped, the smaller rank sum is given."""
    moved = change[change != 0.0]
    n, zeros = len(moved), len(change) - len(moved)
    name = "Wilcoxon signed-rank"
    dropped = f"{zeros} without a difference dropped" if zeros else ""
    if n == 0 and zeros:
        return SignificanceTest(name, 0, None, None, "no pair differs")
    if n < AT_LEAST:
        what = "pair that differs" if n == 1 else "pairs that differ"
        note = "; ".join(filter(None, (_too_few(n, what), dropped)))
        return SignificanceTest(name, n, None, None, note)
    tied = len(np.unique(np.abs(moved))) < n
    exact = n <= ENUMERATED_UP_TO
    method = stats.PermutationMethod(n_resamples=2**n) if exact else "auto"
    found = stats.wilcoxon(moved, method=method)
    how = "exact" if exact else ""
    note = "; ".join(filter(None, (how, "tied ranks" if tied else "", dropped, left_out)))
    return SignificanceTest(name, n, float(found.statistic), float(found.pvalue), note)


def _paired_t(change: FloatArray, left_out: str) -> SignificanceTest:
    n, name = len(change), "paired t"
    if n < AT_LEAST:
        return SignificanceTest(name, n, None, None, _too_few(n, "pairs"))
    if np.ptp(change) == 0.0:
        return SignificanceTest(name, n, None, None, "all differences are equal: no spread")
    found = stats.ttest_1samp(change, 0.0)
    return SignificanceTest(name, n, float(found.statistic), float(found.pvalue), left_out)


def _complete(*samples: Values) -> FloatArray:
    """Complete rows in parts of the largest value, rounded to the noise; shape (k, n)."""
    rows = [row for row in zip(*samples, strict=True) if all(_is_number(v) for v in row)]
    table = np.array(rows, dtype=float).reshape(len(rows), len(samples)).T
    return np.asarray(np.round(table / _scale(*samples) / NOISE) * NOISE)


def _scale(*samples: Values) -> float:
    """The largest value, 1 where all are 0."""
    sizes = [abs(v) for sample in samples for v in sample if v is not None and math.isfinite(v)]
    return max(sizes, default=0.0) or 1.0


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _too_few(n: int, what: str) -> str:
    return f"{n} {what}; at least {AT_LEAST} are needed"


def _left_out(count: int) -> str:
    return f"{count} incomplete left out" if count else ""
