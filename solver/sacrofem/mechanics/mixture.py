"""Elastic constants of a cell that holds several tissues, from their volume fractions.

Bulk and shear modulus are mixed, then read back as Young's modulus and Poisson's ratio. Fractions
alone fix neither: the rules are bounds, or lie between them. Voigt (equal strain) and Reuss (equal
stress) hold for any arrangement, Hashin and Shtrikman's bounds for an isotropic one. A tissue
takes part only where its fraction is above 0.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray

Mixture = Literal["voigt", "reuss", "hs lower", "hs upper", "hill"]
MIXTURES: tuple[Mixture, ...] = ("voigt", "hs upper", "hill", "hs lower", "reuss")
#: How far the fractions of a cell may miss 1: they are sums of rounded parts.
FRACTIONS_WITHIN = 1e-9


@dataclass(frozen=True, eq=False)
class Phase:
    """One tissue in a set of cells.

    Attributes:
        fraction: Volume fraction in each cell, shape (m,).
        young_MPa: Young's modulus, shape (m,), above 0 wherever the fraction is.
        poisson: Poisson's ratio, shape (m,).
    """

    fraction: FloatArray
    young_MPa: FloatArray
    poisson: FloatArray


def mix(phases: tuple[Phase, ...], mixture: Mixture) -> tuple[FloatArray, FloatArray]:
    """Young's modulus in MPa and Poisson's ratio of each cell, shape (m,) each.

    ``hill`` is the mean of Voigt and Reuss (Hill 1952). The bounds of more than two phases, and of
    phases of which none is both the stiffest in bulk and in shear, are those of Walpole 1966.

    Raises:
        InputError: The mixture is not known, or the fractions of a cell do not sum to 1.
    """
    if mixture not in MIXTURES:
        raise InputError(f"no mixture is named '{mixture}'; known are: {', '.join(MIXTURES)}.")
    fraction, young, poisson = (
        np.stack([getattr(phase, name) for phase in phases])
        for name in ("fraction", "young_MPa", "poisson")
    )
    wrong = np.abs(fraction.sum(axis=0) - 1.0).max(initial=0.0)
    if wrong > FRACTIONS_WITHIN or fraction.min(initial=0.0) < 0.0:
        raise InputError(
            "the volume fractions of a cell have to be 0 or more and sum to 1; found a sum that "
            f"misses it by {wrong:.2g}, or a negative one: some part was counted twice or not."
        )
    bulk, shear = young / (3.0 * (1.0 - 2.0 * poisson)), young / (2.0 * (1.0 + poisson))
    mixed_bulk, mixed_shear = _mixed(fraction, bulk, shear, mixture)
    both = 3.0 * mixed_bulk + mixed_shear
    return (
        np.asarray(9.0 * mixed_bulk * mixed_shear / both),
        np.asarray((3.0 * mixed_bulk - 2.0 * mixed_shear) / (2.0 * both)),
    )


def _mixed(
    fraction: FloatArray, bulk: FloatArray, shear: FloatArray, mixture: Mixture
) -> tuple[FloatArray, FloatArray]:
    """Bulk and shear modulus, shape (m,), of phases in rows, shape (p, m)."""
    if mixture == "hill":
        pairs = [_mixed(fraction, bulk, shear, bound) for bound in ("voigt", "reuss")]
        return 0.5 * (pairs[0][0] + pairs[1][0]), 0.5 * (pairs[0][1] + pairs[1][1])
    if mixture == "voigt":
        return (fraction * bulk).sum(axis=0), (fraction * shear).sum(axis=0)
    if mixture == "reuss":
        return _shifted(fraction, bulk, 0.0), _shifted(fraction, shear, 0.0)
    best, none = (np.max, -np.inf) if mixture == "hs upper" else (np.min, np.inf)
    # The comparison material: the extreme moduli of the phases that are there (Walpole 1966).
    K, G = (best(np.where(fraction > 0.0, value, none), axis=0) for value in (bulk, shear))
    zeta = G / 6.0 * (9.0 * K + 8.0 * G) / (K + 2.0 * G)
    return _shifted(fraction, bulk, 4.0 / 3.0 * G), _shifted(fraction, shear, zeta)


def _shifted(fraction: FloatArray, modulus: FloatArray, shift: FloatArray | float) -> FloatArray:
    """Harmonic mean of moduli that are raised by a shift, lowered by it again."""
    present = fraction > 0.0
    inverse = fraction / np.where(present, modulus + shift, 1.0)
    return np.asarray(1.0 / np.where(present, inverse, 0.0).sum(axis=0) - shift)
