"""How a field varies: a list, a range, a distribution, or a formula of other fields.

A distribution is its inverse distribution function: a design gives it numbers between 0 and 1. Its
values are rounded to :data:`DIGITS` significant digits, so that the last bit of a mathematical
library does not make another case.
"""

import difflib
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import Field, PlainSerializer, PlainValidator, ValidationError, model_validator
from scipy.special import ndtri
from scipy.stats import truncnorm

from sacrofem.image.volume import FloatArray
from sacrofem.study.formula import parse_formula
from sacrofem.study.yaml_file import FileModel

Finite = Annotated[float, Field(allow_inf_nan=False)]
#: Whole numbers of a file stay whole numbers: ``order`` takes no 2.0.
Number = int | Finite
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: Significant digits of drawn and computed values; a choice, far finer than any input is known.
DIGITS = 10
#: A range of more values is a slip of the step.
MAX_VALUES = 100_000


def rounded(value: float) -> float:
    """A value to :data:`DIGITS` significant digits; whole numbers stay as they are."""
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")


@runtime_checkable
class Distribution(Protocol):
    """What a sampling design needs of a field."""

    def at(self, share: FloatArray) -> list[Any]:
        """Values below which these shares of the distribution lie; shares between 0 and 1."""
        ...


class Range(FileModel):
    """Evenly spaced values, both ends among them; ``spacing: log`` gives equal ratios."""

    start: Number = Field(alias="from")
    to: Number
    step: Number | None = None
    count: Annotated[int, Field(ge=2, le=MAX_VALUES)] | None = None
    spacing: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _fits(self) -> "Range":
        if (self.step is None) == (self.count is None):
            raise ValueError("give either 'step' or 'count'")
        if self.spacing == "log" and (self.count is None or min(self.start, self.to) <= 0):
            raise ValueError("'spacing: log' needs a 'count' and positive ends")
        if self.step is not None:
            self._check_step(self.step)
        return self

    def _check_step(self, step: Number) -> None:
        if step == 0 or (self.to - self.start) / step < 0:
            raise ValueError(f"steps of {step:g} do not lead from {self.start:g} to {self.to:g}")
        steps, rest = divmod(self._length, _exact(step))
        if rest:
            end = _exact(self.start) + steps * _exact(step)
            raise ValueError(
                f"steps of {step:g} from {self.start:g} meet {float(end):g}, not 'to', {self.to:g}"
            )
        if steps >= MAX_VALUES:
            raise ValueError(f"a range has at most {MAX_VALUES} values, found {int(steps) + 1}")

    @property
    def _length(self) -> Decimal:
        return _exact(self.to) - _exact(self.start)

    @property
    def values(self) -> tuple[int | float, ...]:
        """The values; steps are decimal, 0.1 three times is 0.3."""
        if self.step is not None:
            steps = int(self._length / _exact(self.step))
            found = [_exact(self.start) + i * _exact(self.step) for i in range(steps + 1)]
            whole = isinstance(self.start, int) and isinstance(self.step, int)
            return tuple(int(v) if whole else float(v) for v in found)
        assert self.count is not None
        spaced = np.geomspace if self.spacing == "log" else np.linspace
        return tuple(rounded(float(v)) for v in spaced(self.start, self.to, self.count))


class Uniform(FileModel):
    """Equally likely between two ends."""

    uniform: tuple[Finite, Finite]

    @model_validator(mode="after")
    def _fits(self) -> "Uniform":
        _increase("uniform", self.uniform)
        return self

    def at(self, share: FloatArray) -> list[Any]:
        """See :class:`Distribution`."""
        low, high = self.uniform
        return _rounded(low + share * (high - low))


class Normal(FileModel):
    """``[mean, sd]``."""

    normal: tuple[Finite, Positive]

    def at(self, share: FloatArray) -> list[Any]:
        """See :class:`Distribution`."""
        mean, sd = self.normal
        return _rounded(mean + sd * ndtri(share))


class TruncatedNormal(FileModel):
    """``[mean, sd, low, high]``: the normal distribution of that mean and SD, cut at the ends.

    Mean and SD are those before the cut, as a paper reports them that found a normal distribution.
    """

    truncated_normal: tuple[Finite, Positive, Finite, Finite]

    @model_validator(mode="after")
    def _fits(self) -> "TruncatedNormal":
        _increase("truncated_normal", self.truncated_normal[2:])
        return self

    def at(self, share: FloatArray) -> list[Any]:
        """See :class:`Distribution`."""
        mean, sd, low, high = self.truncated_normal
        found = truncnorm.ppf(share, (low - mean) / sd, (high - mean) / sd, loc=mean, scale=sd)
        return _rounded(np.clip(found, low, high))


class LogNormal(FileModel):
    """``[median, gsd]``: the logarithm is normal with mean ``ln median`` and SD ``ln gsd``.

    The geometric standard deviation is above 1: 68 % lie between ``median / gsd`` and
    ``median * gsd`` (Limpert 2001).
    """

    lognormal: tuple[Positive, Annotated[float, Field(gt=1, allow_inf_nan=False)]]

    def at(self, share: FloatArray) -> list[Any]:
        """See :class:`Distribution`."""
        median, gsd = self.lognormal
        return _rounded(median * np.exp(np.log(gsd) * ndtri(share)))


class Choice(FileModel):
    """One of several values, equally likely or by ``weights``, which need not sum to 1."""

    choice: Annotated[tuple[Any, ...], Field(min_length=1)]
    weights: tuple[Positive, ...] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Choice":
        if self.weights is not None and len(self.weights) != len(self.choice):
            raise ValueError(
                f"one weight for each of the {len(self.choice)} choices is needed, "
                f"found {len(self.weights)}"
            )
        return self

    def at(self, share: FloatArray) -> list[Any]:
        """See :class:`Distribution`."""
        weights = np.ones(len(self.choice)) if self.weights is None else np.array(self.weights)
        return [self.choice[i] for i in chosen(share, weights)]


class Equals(FileModel):
    """A field that follows others: a formula of dotted paths."""

    equals: str

    @model_validator(mode="after")
    def _fits(self) -> "Equals":
        parse_formula(self.equals)
        return self


Variation = (
    tuple[Any, ...] | Range | Uniform | Normal | TruncatedNormal | LogNormal | Choice | Equals
)
_BY_WORD: dict[str, type[FileModel]] = {
    "from": Range,
    "uniform": Uniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "lognormal": LogNormal,
    "choice": Choice,
    "equals": Equals,
}


def chosen(share: FloatArray, weights: FloatArray) -> list[int]:
    """Which of several weighted entries each share falls on."""
    edges = np.cumsum(weights) / np.sum(weights)
    found = np.searchsorted(edges, share, side="right")
    return [int(i) for i in np.minimum(found, len(weights) - 1)]


def listed(variation: Any) -> tuple[Any, ...] | None:
    """The values of a list or a range; None of all else."""
    if isinstance(variation, Range):
        return variation.values
    return variation if isinstance(variation, tuple) else None


def variation_of(found: Any) -> Any:
    """The variation that an entry of a study file describes.

    Raises:
        ValueError: It describes none; the message says why, and what is allowed.
    """
    if isinstance(found, list | tuple):
        if not found:
            raise ValueError("at least one value is needed")
        return tuple(found)
    if isinstance(found, tuple(_BY_WORD.values())):
        return found
    words = ", ".join(_BY_WORD)
    if not isinstance(found, dict):
        raise ValueError(f"a list [..] or one of {{{words}: ..}} is needed")
    kinds = [word for word in _BY_WORD if word in found]
    if len(kinds) != 1:
        close = [c for k in found for c in difflib.get_close_matches(str(k), _BY_WORD, 1, 0.6)]
        hint = f"; did you mean '{close[0]}'?" if close and not kinds else ""
        raise ValueError(f"exactly one of {words} is needed{hint}")
    try:
        return _BY_WORD[kinds[0]].model_validate(found)
    except ValidationError as error:
        raise ValueError(_in_words(error, _BY_WORD[kinds[0]])) from None


def as_written(variation: Any) -> Any:
    """A variation as it stands in a file."""
    if isinstance(variation, tuple):
        return list(variation)
    return variation.model_dump(by_alias=True, exclude_none=True)


#: A field of a file model that holds a variation.
VariationField = Annotated[
    Variation, PlainValidator(variation_of), PlainSerializer(as_written, return_type=Any)
]


def _in_words(error: ValidationError, model: type[FileModel]) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        words = [f.alias or name for name, f in model.model_fields.items()]
        return f"unknown word '{place}'; allowed: {', '.join(words)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}" if place else message


def _exact(number: int | float) -> Decimal:
    return Decimal(repr(number))


def _increase(word: str, ends: Sequence[float]) -> None:
    if not ends[0] < ends[1]:
        raise ValueError(f"the ends of '{word}' must increase, found {ends[0]:g} and {ends[1]:g}")


def _rounded(values: FloatArray) -> list[Any]:
    return [rounded(float(value)) for value in values]
