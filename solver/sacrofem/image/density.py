"""Bone densities by kind, and the named conversions between them.

The field's most common error is to feed a density-modulus law with the density of another law
(Knowles 2016). A density is therefore never a bare array: each kind is a type of its own, and what
is made for one kind refuses the others at run time too.
"""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray

#: A value beyond this cannot be g/cm3: dense metal at the end of the CT's extended scale stays
#: below 30 and every whole bone in mg/cm3 has cells above it.
LARGEST_G_PER_CM3 = 50.0


class DensityKindError(InputError, TypeError):
    """A density of one kind was given where another kind is needed."""


@dataclass(frozen=True, eq=False)
class Density:
    """Base of all densities: an array of any shape in g/cm3.

    Raises:
        InputError: The values are so large that they are mg/cm3.
    """

    g_per_cm3: FloatArray
    words: ClassVar[str] = "density of no stated kind"

    def __post_init__(self) -> None:
        """Refuse mg/cm3, the second most common error."""
        largest = float(np.max(np.abs(self.g_per_cm3), initial=0.0))
        if largest > LARGEST_G_PER_CM3:
            raise InputError(
                f"a {self.words} in g/cm3 is needed, found values up to {largest:.4g}: these are "
                "mg/cm3; divide them by 1000."
            )


@dataclass(frozen=True, eq=False)
class RhoQctK2HPO4(Density):
    """Bone mineral density by quantitative CT against K2HPO4 in water, in g/cm3."""

    words = "QCT density (K2HPO4)"


@dataclass(frozen=True, eq=False)
class RhoQctHA(Density):
    """Bone mineral density by quantitative CT against hydroxyapatite, in g/cm3."""

    words = "QCT density (hydroxyapatite)"


@dataclass(frozen=True, eq=False)
class RhoAsh(Density):
    """Ash mass over bulk volume, in g/cm3."""

    words = "ash density"


@dataclass(frozen=True, eq=False)
class RhoApp(Density):
    """Wet apparent density, marrow removed, in g/cm3."""

    words = "apparent density"


D = TypeVar("D", bound=Density)


def require_kind(density: Density, kind: type[D], where: str) -> D:
    """The same density, checked to be of a kind.

    Raises:
        DensityKindError: It is of another kind, or no density at all.
    """
    if isinstance(density, kind):
        return density
    found = density.words if isinstance(density, Density) else f"a bare {type(density).__name__}"
    raise DensityKindError(
        f"{where} needs the {kind.words}, found {found}: a law is only valid for the density that "
        "it was measured with; convert it by sacrofem.image.density.convert."
    )


@dataclass(frozen=True)
class Conversion:
    """One step ``to = slope * from + intercept``, in g/cm3, with its words and source."""

    source_kind: type[Density]
    target_kind: type[Density]
    slope: float
    intercept_g_per_cm3: float
    words: str


FAULKNER = "Faulkner 1993"
SCHILEO = "Schileo 2008"

#: The published ratio is 0.598 +/- 0.004 for cortical bone and 0.598 +/- 0.036 for small
#: trabecular samples (Schileo 2008), written 0.6 in all that followed.
ASH_OVER_APPARENT = 0.6

CONVERSIONS: tuple[Conversion, ...] = (
    Conversion(
        RhoQctK2HPO4, RhoQctHA, 1.15, -0.00732, f"HA = 1.15 K2HPO4 - 7.32 mg/cm3 ({FAULKNER})"
    ),
    Conversion(
        RhoQctHA,
        RhoQctK2HPO4,
        1.0 / 1.15,
        0.00732 / 1.15,
        f"K2HPO4 = (HA + 7.32 mg/cm3) / 1.15 ({FAULKNER})",
    ),
    Conversion(
        RhoQctHA, RhoAsh, 0.877, 0.079, f"ash = 0.877 HA + 0.079 g/cm3 ({SCHILEO}, human femur)"
    ),
    Conversion(
        RhoAsh,
        RhoApp,
        1.0 / ASH_OVER_APPARENT,
        0.0,
        f"apparent = ash / {ASH_OVER_APPARENT} ({SCHILEO}, human femur)",
    ),
)


def convert(density: Density, kind: type[D]) -> D:
    """A density as another kind, by the shortest chain of :data:`CONVERSIONS`.

    Raises:
        DensityKindError: No chain leads there: nobody published one that this program trusts.
    """
    steps = _chain(type(density), kind)
    value = density.g_per_cm3
    for step in steps:
        value = step.slope * value + step.intercept_g_per_cm3
    return kind(np.asarray(value))


def chain_in_words(source: type[Density], target: type[Density]) -> str:
    """The chain of conversions for a report: ``none needed`` or the steps, in order.

    Raises:
        DensityKindError: See :func:`convert`.
    """
    return "; then ".join(step.words for step in _chain(source, target)) or "none needed"


def _chain(source: type[Density], target: type[Density]) -> tuple[Conversion, ...]:
    """Breadth first: the first chain found is the shortest."""
    waiting: list[tuple[type[Density], tuple[Conversion, ...]]] = [(source, ())]
    seen = {source}
    while waiting:
        kind, steps = waiting.pop(0)
        if kind is target:
            return steps
        for step in CONVERSIONS:
            if step.source_kind is kind and step.target_kind not in seen:
                seen.add(step.target_kind)
                waiting.append((step.target_kind, (*steps, step)))
    known = "; ".join(step.words for step in CONVERSIONS)
    raise DensityKindError(
        f"the {target.words} is needed, found {getattr(source, 'words', source.__name__)}, and no "
        f"conversion leads from one to the other; known are: {known}."
    )


__all__ = [
    "CONVERSIONS",
    "Conversion",
    "Density",
    "DensityKindError",
    "RhoApp",
    "RhoAsh",
    "RhoQctHA",
    "RhoQctK2HPO4",
    "chain_in_words",
    "convert",
    "require_kind",
]
