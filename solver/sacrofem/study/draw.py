"""Values that a paper gives as mean, SD and range only: drawn by a seeded rule, mean and SD kept.

The rule. Each missing value comes from a normal distribution of the stated mean and SD, truncated
to the stated range, by inversion of one uniform number; every value has a PCG64 stream of its own.
Where the range was observed, the smallest draw becomes its lower end and the largest its upper end.
The other draws are shifted and scaled so that the whole sample, given values among it, has the
stated mean and SD, and rounded to a step in such a way that the sum stays. A sample that leaves the
range by that is drawn anew from the next streams. A single value that is missing stays as drawn.
"""

import zlib
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtr, ndtri

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.study.yaml_file import FileModel

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Numbers = Sequence[float | None]

#: Samples that are tried before the rule counts as one that cannot be met.
ATTEMPTS = 1000


class DrawRule(FileModel):
    """How one quantity is drawn.

    Attributes:
        mean: Mean that the sample gets.
        sd: Standard deviation that it gets, divisor n - 1.
        range: Range as observed: the sample reaches both ends.
        limits: Range as chosen: the sample stays within.
        step: Values are multiples of it.
        follows: The larger lesion gets the larger value, instead of any.
    """

    mean: Finite
    sd: Positive
    range: tuple[Finite, Finite] | None = None
    limits: tuple[Finite, Finite] | None = None
    step: Positive
    follows: Literal["lesion volume"] | None = None

    @model_validator(mode="after")
    def _one_range(self) -> "DrawRule":
        if (self.range is None) == (self.limits is None):
            raise ValueError("give either 'range', which the sample reaches, or 'limits'")
        low, high = self.ends
        if not low < self.mean < high:
            raise ValueError(f"the mean {self.mean:g} must lie between {low:g} and {high:g}")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """Smallest and largest value allowed."""
        ends = self.range or self.limits
        assert ends is not None
        return ends


def draw_missing(
    rule: DrawRule, given: Numbers, seed: int, name: str, along: Numbers | None = None
) -> tuple[float, ...]:
    """A sample whose given values stay and whose missing ones are drawn.

    Args:
        rule: Its rule.
        given: The sample, None where a value is missing.
        seed: Seed of the file.
        name: Name of the quantity; other names get other streams.
        along: What the drawn values follow by rank, where the rule says so.

    Raises:
        InputError: No sample has the stated mean, SD and range together with the given values.
    """
    values = np.array([np.nan if value is None else value for value in given], dtype=np.float64)
    free = [int(i) for i in np.flatnonzero(np.isnan(values))]
    if not free:
        return tuple(float(value) for value in values)
    for attempt in range(ATTEMPTS):
        drawn = np.array([_truncated(rule, _uniform(seed, name, attempt, i)) for i in free])
        matched = _matched(rule, values, drawn)
        if matched is not None:
            break
    else:
        raise InputError(
            f"draw.{name}: no sample of {len(values)} with {len(values) - len(free)} given values "
            f"has mean {rule.mean:g}, SD {rule.sd:g} and stays within {rule.ends[0]:g} to "
            f"{rule.ends[1]:g}; give a smaller SD or a wider range."
        )
    placed = _rounded(matched, rule.step)
    if along is not None:
        placed = _by_rank(placed, np.array([along[i] for i in free], dtype=np.float64))
    values[free] = placed
    # Ten digits: 0.1 * 63 is to be 6.3 in files.
    return tuple(round(float(value), 10) for value in values)


def draw_order(count: int, seed: int, name: str) -> list[int]:
    """The numbers below ``count`` in a drawn order."""
    return sorted(range(count), key=lambda i: _uniform(seed, name, 0, i))


def _uniform(seed: int, name: str, attempt: int, index: int) -> float:
    """One number of a stream that belongs to this value alone."""
    root = np.random.SeedSequence([seed, zlib.crc32(name.encode()), attempt, int(index)])
    return float(np.random.Generator(np.random.PCG64(root)).random())


def _truncated(rule: DrawRule, uniform: float) -> float:
    """The truncated normal's quantile."""
    below, above = (float(ndtr((end - rule.mean) / rule.sd)) for end in rule.ends)
    return rule.mean + rule.sd * float(ndtri(below + uniform * (above - below)))


def _matched(rule: DrawRule, values: FloatArray, drawn: FloatArray) -> FloatArray | None:
    """The draws shifted and scaled, their extremes at the ends of an observed range; or None."""
    low, high = rule.ends
    fixed = values[~np.isnan(values)]
    out, inner = drawn.copy(), np.ones(len(drawn), dtype=bool)
    if rule.range is not None:
        for end, place in ((low, int(drawn.argmin())), (high, int(drawn.argmax()))):
            if not (fixed == end).any():
                out[place], inner[place] = end, False
    known = np.concatenate([fixed, out[~inner]])
    k, n = int(inner.sum()), len(values)
    if k < 2:
        # Nothing is left to shift and scale: what was drawn stays.
        return out
    # Sum and sum of squares about the mean that are left for the inner values.
    mean = (n * rule.mean - known.sum()) / k
    squares = (n - 1) * rule.sd**2 - ((known - rule.mean) ** 2).sum() - k * (mean - rule.mean) ** 2
    if squares < 0.0:
        return None
    centred = out[inner] - out[inner].mean()
    out[inner] = mean + centred * np.sqrt(squares / (centred**2).sum())
    return out if ((out >= low) & (out <= high)).all() else None


def _rounded(values: FloatArray, step: float) -> FloatArray:
    """Multiples of a step next to the values, their sum next to that of the values."""
    units = values / step
    whole = np.floor(units + 1e-9)
    short = round(float((units - whole).sum()))
    whole[np.argsort(whole - units, kind="stable")[:short]] += 1.0
    return np.asarray(whole * step)


def _by_rank(values: FloatArray, along: FloatArray) -> FloatArray:
    """The values in the order of what they follow; ties in the order of the file."""
    out = np.empty_like(values)
    out[np.argsort(along, kind="stable")] = np.sort(values)
    return out
