"""Density laws: published values at known points, each for its own density alone."""

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image.density import (
    Density,
    DensityKindError,
    RhoApp,
    RhoAsh,
    RhoQctHA,
    RhoQctK2HPO4,
    convert,
)
from sacrofem.mechanics.laws import (
    LAWS,
    MODULUS_FLOOR_MPA,
    conversion_in_words,
    law_named,
    law_table,
    modulus_MPa,
    young_modulus_MPa,
)
from sacrofem.mechanics.materials import DENSITY_CEILING_G_PER_CM3, DENSITY_FLOOR_G_PER_CM3

KINDS: tuple[type[Density], ...] = (RhoQctK2HPO4, RhoQctHA, RhoAsh, RhoApp)


def at(law: str, rho_g_per_cm3: float) -> float:
    """A law as published at one density of its own kind, in MPa."""
    found = law_named(law)
    return float(young_modulus_MPa(found, found.kind(np.array([rho_g_per_cm3])))[0])


@pytest.mark.parametrize(
    ("law", "kind", "rho", "young_MPa"),
    [
        # Each by hand, to four digits; at 1 g/cm3 the coefficient itself.
        ("kopperdahl 2002", RhoQctK2HPO4, 1.0, 2980.0),
        ("kopperdahl 2002", RhoQctK2HPO4, 0.1, 265.6),
        ("kopperdahl 2002", RhoQctK2HPO4, 0.2, 549.9),
        ("kopperdahl 2002 linear", RhoQctK2HPO4, 0.1, 288.3),
        ("keller 1994", RhoAsh, 0.3, 666.5),
        ("morgan 2003 vertebra", RhoApp, 0.2, 384.1),
        ("morgan 2003 femoral neck", RhoApp, 0.5, 2439.0),
        ("morgan 2003 trochanter", RhoApp, 0.2, 449.4),
        ("morgan 2003 tibia", RhoApp, 0.2, 694.8),
        ("morgan 2003 pooled", RhoApp, 0.2, 469.1),
        ("dalstra 1993", RhoApp, 0.5, 366.6),
        ("carter-hayes 1977", RhoApp, 0.5, 359.4),
    ],
)
def test_each_law_at_a_known_density(
    law: str, kind: type[Density], rho: float, young_MPa: float
) -> None:
    assert LAWS[law].kind is kind
    assert at(law, rho) == pytest.approx(young_MPa, rel=1e-3)


@pytest.mark.parametrize("name", LAWS)
def test_a_law_refuses_every_density_but_its_own(name: str) -> None:
    """Protects: trap 1 of the field, Morgan's apparent-density law fed with a K2HPO4 density."""
    law, rho = law_named(name), np.array([0.2])
    for kind in KINDS:
        if kind is law.kind:
            assert young_modulus_MPa(law, kind(rho))[0] > 0.0
        else:
            with pytest.raises(DensityKindError, match=f"'{name}' needs the .*, found"):
                young_modulus_MPa(law, kind(rho))
    with pytest.raises(DensityKindError):
        modulus_MPa(RhoApp(rho), name)  # type: ignore[arg-type]


def test_trap_1_is_worth_a_factor() -> None:
    """Protects: the conversion is done. Unconverted, Morgan's law is 4 times too soft at 150."""
    qct = RhoQctK2HPO4(np.array([0.15]))
    right = modulus_MPa(qct, "morgan 2003 vertebra")[0]
    assert right == pytest.approx(at("morgan 2003 vertebra", convert(qct, RhoApp).g_per_cm3[0]))
    assert 3.5 < right / at("morgan 2003 vertebra", 0.15) < 5.0
    assert "Faulkner" in conversion_in_words(LAWS["morgan 2003 vertebra"])
    assert conversion_in_words(LAWS["kopperdahl 2002"]) == "none needed"


def test_trap_2_constants_for_milligrams_and_the_form_of_the_law() -> None:
    """Protects: Keller's law in its units and its form.

    py_bonemat's example has b = 0.0105 and c = 2.29 for mg/cm3, 7.4 times Keller's modulus; and
    its comment says (a + b rho)^c where its code does a + b rho^c.
    """
    keller = at("keller 1994", 0.3)
    assert keller == pytest.approx(10500.0 * 0.3**2.29)
    assert 0.0105 * 300.0**2.29 / keller == pytest.approx(7.4, abs=0.05)
    assert (10500.0 * 0.3) ** 2.29 / keller > 1e4
    linear = at("kopperdahl 2002 linear", 0.2)
    assert linear == pytest.approx(-34.7 + 3230.0 * 0.2)
    assert at("kopperdahl 2002", 0.2) < 3230.0 * 0.2


@pytest.mark.parametrize("name", LAWS)
def test_modulus_is_positive_and_rises_with_density(name: str) -> None:
    """Protects: no cell without stiffness at the floor, whatever the law (the linear is < 0)."""
    rho = np.linspace(DENSITY_FLOOR_G_PER_CM3, DENSITY_CEILING_G_PER_CM3, 200)
    young = modulus_MPa(RhoQctK2HPO4(rho), name)
    assert young.min() >= MODULUS_FLOOR_MPA
    assert (np.diff(young) >= 0.0).all()
    assert young[-1] > 50.0 * young[0] or name == "morgan 2003 femoral neck"


def test_carter_and_hayes_depend_on_the_strain_rate() -> None:
    slow, fast = (law_named("carter-hayes 1977", rate) for rate in (0.001, 1.0))
    rho = RhoApp(np.array([1.0]))
    assert young_modulus_MPa(fast, rho)[0] == pytest.approx(3790.0)
    assert young_modulus_MPa(slow, rho)[0] == pytest.approx(3790.0 * 0.001**0.06)
    assert "0.001 1/s" in slow.source
    with pytest.raises(InputError, match="strain rate above 0"):
        law_named("carter-hayes 1977", 0.0)
    with pytest.raises(InputError, match="needs a strain rate"):
        young_modulus_MPa(LAWS["carter-hayes 1977"], rho)


def test_what_a_law_cannot_take_is_named() -> None:
    with pytest.raises(InputError, match="no density law is named 'keller'; known are: kopperdahl"):
        modulus_MPa(RhoQctK2HPO4(np.array([0.1])), "keller")
    with pytest.raises(InputError, match=r"found -0\.05: fat and air have to be clamped"):
        modulus_MPa(RhoQctK2HPO4(np.array([0.1, -0.05])))


def test_the_table_holds_every_law() -> None:
    rows = law_table()
    assert [row[0] for row in rows] == list(LAWS)
    assert dict((row[0], row[2]) for row in rows)["kopperdahl 2002"][1] == pytest.approx(
        265.6, 1e-3
    )
