"""95 % intervals of means and shares."""

from dataclasses import dataclass, replace
from math import inf

import numpy as np
from scipy.special import stdtrit

from sacrofem.image.volume import FloatArray

CONFIDENCE = 0.95
#: Normal quantile of the interval's upper end.
Z = 1.959963984540054
#: From so many values on the mean's interval is the normal one: the bootstrap's differs from it by
#: less than its own noise (a choice).
NORMAL_FROM = 400
RESAMPLES = 2000
_TAILS = (100.0 * (1.0 - CONFIDENCE) / 2.0, 100.0 * (1.0 + CONFIDENCE) / 2.0)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, NaN where one value alone has none.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
        n: Values behind it.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def tells(self) -> bool:
        """Whether the interval leaves out 0: the sign is known."""
        return bool(self.low > 0.0 or self.high < 0.0)


@dataclass(frozen=True)
class Share:
    """A share of ``n`` with Wilson's 95 % interval (Wilson 1927, doi:10.2307/2276774)."""

    count: int
    n: int

    @property
    def value(self) -> float:
        """The share; NaN of none."""
        return self.count / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval; it stays within 0 and 1 and has a width at both ends."""
        if not self.n:
            return float("nan"), float("nan")
        weight = 1.0 / (1.0 + Z**2 / self.n)
        middle = weight * (self.value + Z**2 / (2.0 * self.n))
        spread = self.value * (1.0 - self.value) / self.n + Z**2 / (4.0 * self.n**2)
        half = weight * Z * float(np.sqrt(spread))
        return max(middle - half, 0.0), min(middle + half, 1.0)


def mean_of(sample: FloatArray, seed: int = 1, least: float = -inf) -> Estimate:
    """Mean and its percentile-bootstrap interval (Efron 1979); normal from 400 values on.

    The bootstrap of few values is too narrow: its ends are moved outwards by the ratio of Student's
    quantile to the normal one and of the two standard deviations, after Hesterberg 2015
    (doi:10.1080/00031305.2015.1089789), who widens the percentiles; scaling them is a choice.

    Args:
        sample: Values, shape (n,); those that are not finite are left out.
        seed: Seed of the bootstrap.
        least: Smallest value that the quantity can have.
    """
    kept = sample[np.isfinite(sample)]
    n = len(kept)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    mean = float(kept.mean())
    if n == 1:
        return Estimate(mean, float("nan"), float("nan"), 1)
    if n >= NORMAL_FROM:
        half = Z * float(kept.std(ddof=1)) / float(np.sqrt(n))
        return Estimate(mean, max(mean - half, least), mean + half, n)
    drawn = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    found = _widened(mean, kept[drawn].mean(axis=1), n)
    return replace(found, low=max(found.low, least))


def difference_of(first: FloatArray, second: FloatArray, seed: int = 1) -> Estimate:
    """Mean of the second sample less that of the first, resampled apart; see :func:`mean_of`.

    Args:
        first: Values, shape (n,); those that are not finite are left out.
        second: Values, shape (m,).
        seed: Seed of the bootstrap.
    """
    kept = [sample[np.isfinite(sample)] for sample in (first, second)]
    n = min(len(sample) for sample in kept)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(kept[1].mean() - kept[0].mean())
    if n == 1:
        return Estimate(value, float("nan"), float("nan"), 1)
    if n >= NORMAL_FROM:
        half = Z * float(np.sqrt(sum(sample.var(ddof=1) / len(sample) for sample in kept)))
        return Estimate(value, value - half, value + half, n)
    rng = np.random.default_rng(seed)
    means = [s[rng.integers(0, len(s), (RESAMPLES, len(s)))].mean(axis=1) for s in kept]
    return _widened(value, means[1] - means[0], n)


def percentile_ends(samples: FloatArray) -> FloatArray:
    """Ends of the percentile interval along the first axis, shape (2, ...)."""
    return np.percentile(samples, _TAILS, axis=0)


def _widened(value: float, resampled: FloatArray, n: int) -> Estimate:
    """The percentile interval of resampled values, widened for a sample of n."""
    factor = float(stdtrit(n - 1, 0.5 * (1.0 + CONFIDENCE))) / Z * (n / (n - 1)) ** 0.5
    low, high = np.percentile(resampled, _TAILS)
    return Estimate(value, value + factor * (low - value), value + factor * (high - value), n)
