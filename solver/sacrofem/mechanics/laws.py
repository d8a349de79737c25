"""Density-modulus laws by name, each for its own kind of density only.

Two traps of the field are closed here. A law refuses the density of another law: Morgan's law on a
K2HPO4 density instead of an apparent one is off by a factor of 4. And a law is evaluated as
``E = intercept + coefficient * density**exponent`` in g/cm3 and MPa: constants that were made
for mg/cm3, or the form ``(a + b * density)**c``, give something else.
"""

from dataclasses import dataclass, replace

import numpy as np

from sacrofem.errors import InputError
from sacrofem.image.density import (
    Density,
    RhoApp,
    RhoAsh,
    RhoQctK2HPO4,
    chain_in_words,
    convert,
    require_kind,
)
from sacrofem.image.volume import FloatArray

DEFAULT_LAW = "kopperdahl 2002"
#: Modulus below which no bone cell falls, in MPa: a choice, just under what the default law gives
#: at the floor of the density; the linear law is negative below 0.0107 g/cm3.
MODULUS_FLOOR_MPA = 20.0
#: Strain rate of walking in bone, in 1/s: a choice; only Carter and Hayes' law depends on it, by
#: 15 % a decade.
STRAIN_RATE_PER_S = 0.01


@dataclass(frozen=True)
class Law:
    """A published law ``E = intercept + coefficient * density**exponent``.

    Attributes:
        name: How a recipe names it.
        kind: The density that it was measured with.
        coefficient_MPa: Modulus at 1 g/cm3, less the intercept.
        exponent: Exponent of the density in g/cm3.
        source: Authors, year, bone.
        intercept_MPa: Modulus at density 0.
        range_g_per_cm3: Densities of its specimens, of its own kind, as commonly quoted (not
            checked against the full papers); None where no range is at hand.
        strain_rate_exponent: Exponent of the strain rate in 1/s.
    """

    name: str
    kind: type[Density]
    coefficient_MPa: float
    exponent: float
    source: str
    intercept_MPa: float = 0.0
    range_g_per_cm3: tuple[float, float] | None = None
    strain_rate_exponent: float = 0.0

    @property
    def formula(self) -> str:
        """The law in words, for reports."""
        power = "" if self.exponent == 1.0 else f"^{self.exponent:g}"
        start = f"{self.intercept_MPa:g} + " if self.intercept_MPa else ""
        return (
            f"E = {start}{self.coefficient_MPa:.5g} rho{power} MPa, rho {self.kind.words} in g/cm3"
        )


MORGAN = "Morgan 2003, J Biomech 36:897"

_ALL = (
    Law(
        "kopperdahl 2002",
        RhoQctK2HPO4,
        2980.0,
        1.05,
        "Kopperdahl 2002, vertebral trabecular bone",
    ),
    Law(
        "kopperdahl 2002 linear",
        RhoQctK2HPO4,
        3230.0,
        1.0,
        "Kopperdahl 2002, vertebral trabecular bone (Ogo names the same line Crawford 2003)",
        intercept_MPa=-34.7,
    ),
    Law(
        "keller 1994",
        RhoAsh,
        10500.0,
        2.29,
        "Keller 1994, vertebral and femoral bone",
        range_g_per_cm3=(0.03, 1.22),
    ),
    Law(
        "morgan 2003 vertebra",
        RhoApp,
        4730.0,
        1.56,
        f"{MORGAN}, vertebra",
        range_g_per_cm3=(0.11, 0.35),
    ),
    Law(
        "morgan 2003 femoral neck",
        RhoApp,
        6850.0,
        1.49,
        f"{MORGAN}, femoral neck",
        range_g_per_cm3=(0.26, 0.75),
    ),
    Law(
        "morgan 2003 trochanter",
        RhoApp,
        15010.0,
        2.18,
        f"{MORGAN}, greater trochanter",
        range_g_per_cm3=(0.14, 0.28),
    ),
    Law(
        "morgan 2003 tibia",
        RhoApp,
        15520.0,
        1.93,
        f"{MORGAN}, proximal tibia",
        range_g_per_cm3=(0.09, 0.41),
    ),
    Law(
        "morgan 2003 pooled",
        RhoApp,
        8920.0,
        1.83,
        f"{MORGAN}, all sites pooled",
        range_g_per_cm3=(0.09, 0.75),
    ),
    Law(
        "dalstra 1993",
        RhoApp,
        2017.3,
        2.46,
        "Dalstra 1993, J Biomech 26:523, pelvic trabecular bone",
    ),
    Law(
        "carter-hayes 1977",
        RhoApp,
        3790.0,
        3.0,
        "Carter and Hayes 1977, human and bovine bone with marrow",
        range_g_per_cm3=(0.07, 1.8),
        strain_rate_exponent=0.06,
    ),
)

#: Every law by its name.
LAWS = {law.name: law for law in _ALL}


def law_named(name: str, strain_rate_per_s: float = STRAIN_RATE_PER_S) -> Law:
    """The law of a name; one that depends on the strain rate is taken at the one given.

    Raises:
        InputError: There is no law of this name, or the strain rate is not positive.
    """
    if name not in LAWS:
        raise InputError(f"no density law is named '{name}'; known are: {', '.join(LAWS)}.")
    if not (np.isfinite(strain_rate_per_s) and strain_rate_per_s > 0.0):
        raise InputError(f"a strain rate above 0 1/s is needed, found {strain_rate_per_s:g}.")
    law = LAWS[name]
    if law.strain_rate_exponent == 0.0:
        return law
    factor = strain_rate_per_s**law.strain_rate_exponent
    return replace(
        law,
        coefficient_MPa=law.coefficient_MPa * factor,
        strain_rate_exponent=0.0,
        source=f"{law.source}, at a strain rate of {strain_rate_per_s:g} 1/s",
    )


def young_modulus_MPa(law: Law, density: Density) -> FloatArray:
    """A law as published, same shape as the density; not clamped.

    Raises:
        DensityKindError: The density is not of the law's kind.
        InputError: A density is negative or not finite, or the law's strain rate is not chosen.
    """
    rho = np.asarray(require_kind(density, law.kind, f"the law '{law.name}'").g_per_cm3)
    if law.strain_rate_exponent != 0.0:
        raise InputError(f"the law '{law.name}' needs a strain rate; take it from law_named.")
    if rho.size and not (np.isfinite(rho).all() and rho.min() >= 0.0):
        raise InputError(
            f"the law '{law.name}' needs densities of 0 g/cm3 and more, found "
            f"{float(rho.min()):.4g}: fat and air have to be clamped first."
        )
    return np.asarray(law.intercept_MPa + law.coefficient_MPa * rho**law.exponent)


def modulus_MPa(
    density_qct: RhoQctK2HPO4,
    law_name: str = DEFAULT_LAW,
    strain_rate_per_s: float = STRAIN_RATE_PER_S,
) -> FloatArray:
    """Young's modulus in MPa of clamped QCT densities, same shape, at least the modulus floor.

    The density is converted to the law's kind by :func:`sacrofem.image.density.convert`.

    Raises:
        DensityKindError: The density is not the K2HPO4 one.
        InputError: See :func:`law_named` and :func:`young_modulus_MPa`.
    """
    law = law_named(law_name, strain_rate_per_s)
    qct = require_kind(density_qct, RhoQctK2HPO4, f"the modulus by '{law_name}'")
    return np.maximum(young_modulus_MPa(law, convert(qct, law.kind)), MODULUS_FLOOR_MPA)


def conversion_in_words(law: Law) -> str:
    """How a K2HPO4 density becomes the law's density, for the report."""
    return chain_in_words(RhoQctK2HPO4, law.kind)


def law_table(
    mg_per_cm3: tuple[float, ...] = (50.0, 100.0, 150.0, 200.0, 300.0),
) -> tuple[tuple[str, str, tuple[float, ...]], ...]:
    """Rows (name, density's kind in words, modulus in MPa at K2HPO4 densities) of every law."""
    density = RhoQctK2HPO4(np.array(mg_per_cm3) / 1000.0)
    return tuple(
        (law.name, law.kind.words, tuple(float(E) for E in modulus_MPa(density, law.name)))
        for law in _ALL
    )
