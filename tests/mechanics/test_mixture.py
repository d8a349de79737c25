"""Mixtures: exact solutions that reach the bounds, the order of the bounds, and no phase lost."""

from itertools import pairwise

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.mechanics.mixture import MIXTURES, Mixture, Phase, mix

BONE, TUMOUR, CEMENT = (266.0, 0.3), (0.2, 0.45), (2000.0, 0.3)


def moduli(young: np.ndarray, poisson: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return young / (3 * (1 - 2 * poisson)), young / (2 * (1 + poisson))


def phases(*parts: tuple[float, tuple[float, float]]) -> tuple[Phase, ...]:
    return tuple(Phase(*(np.array([x]) for x in (f, *constants))) for f, constants in parts)


def mixed(mixture: Mixture, *parts: tuple[float, tuple[float, float]]) -> tuple[float, float]:
    """Bulk and shear modulus of one cell."""
    bulk, shear = moduli(*mix(phases(*parts), mixture))
    return float(bulk[0]), float(shear[0])


@pytest.mark.parametrize("mixture", MIXTURES)
def test_one_tissue_is_itself_whatever_else_is_not_there(mixture: Mixture) -> None:
    """Protects: a full cell keeps its tissue; an absent one is no comparison material."""
    for constants in (BONE, TUMOUR, CEMENT):
        others = [(0.0, other) for other in (BONE, TUMOUR, CEMENT)]
        young, poisson = mix(phases((1.0, constants), *others), mixture)
        np.testing.assert_allclose([young[0], poisson[0]], constants, rtol=1e-12)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_equal_poisson_makes_voigt_linear_and_reuss_harmonic(fraction: float) -> None:
    parts = ((fraction, CEMENT), (1.0 - fraction, BONE))
    (stiff,), (nu,) = mix(phases(*parts), "voigt")
    assert stiff == pytest.approx(fraction * CEMENT[0] + (1 - fraction) * BONE[0])
    assert nu == pytest.approx(0.3)
    (soft,), (nu,) = mix(phases(*parts), "reuss")
    assert 1.0 / soft == pytest.approx(fraction / CEMENT[0] + (1 - fraction) / BONE[0])
    assert nu == pytest.approx(0.3)
    (middle,), _ = mix(phases(*parts), "hill")
    assert middle == pytest.approx(0.5 * (stiff + soft))


def coated_sphere_bulk_MPa(core: tuple[float, float], coat: tuple[float, float], f: float) -> float:
    """Pressure over volume strain of a ball in a coat, u = A r + B / r^2 in each (Lame)."""
    a, b = f ** (1.0 / 3.0), 1.0
    (K1, _), (K2, G2) = (moduli(*map(np.array, c)) for c in (core, coat))
    # Unknown A of the core, A and B of the coat; stress 3 K A - 4 G B / r^3.
    matrix = np.array(
        [
            [a, -a, -1.0 / a**2],
            [3.0 * K1, -3.0 * K2, 4.0 * G2 / a**3],
            [0.0, 3.0 * K2, -4.0 * G2 / b**3],
        ]
    )
    _, A, B = np.linalg.solve(matrix, [0.0, 0.0, 1.0])
    return float(1.0 / (3.0 * (A * b + B / b**2)))


@pytest.mark.parametrize("fraction", [0.05, 0.4, 0.8])
def test_a_coated_sphere_reaches_the_bounds_of_the_bulk_modulus(fraction: float) -> None:
    """The exact arrangement of Hashin 1962: the soft or the stiff tissue is the coat."""
    for core, coat, bound in ((CEMENT, TUMOUR, "hs lower"), (TUMOUR, CEMENT, "hs upper")):
        bulk, _ = mixed(bound, (fraction, core), (1.0 - fraction, coat))  # type: ignore[arg-type]
        assert bulk == pytest.approx(coated_sphere_bulk_MPa(core, coat, fraction), rel=1e-12)


@pytest.mark.parametrize("fraction", [0.05, 0.4, 0.8])
def test_two_phases_have_the_published_bounds_of_the_shear_modulus(fraction: float) -> None:
    """Hashin and Shtrikman 1963, eq. 4.3 and 4.4, as they wrote them."""
    (K1, G1), (K2, G2) = (moduli(*map(np.array, c)) for c in (TUMOUR, BONE))
    f1, f2 = 1.0 - fraction, fraction
    lower = G1 + f2 / (1 / (G2 - G1) + 6 * (K1 + 2 * G1) * f1 / (5 * G1 * (3 * K1 + 4 * G1)))
    upper = G2 + f1 / (1 / (G1 - G2) + 6 * (K2 + 2 * G2) * f2 / (5 * G2 * (3 * K2 + 4 * G2)))
    parts = ((f1, TUMOUR), (f2, BONE))
    assert mixed("hs lower", *parts)[1] == pytest.approx(lower)
    assert mixed("hs upper", *parts)[1] == pytest.approx(upper)


def test_equal_shear_moduli_leave_no_room_between_the_bounds() -> None:
    """Hill 1963: with one shear modulus the bulk modulus is the same for every arrangement."""
    one, other = (260.0, 0.3), (200.0 * 1.1, 0.1)
    assert one[0] / (1 + one[1]) == pytest.approx(other[0] / (1 + other[1]))
    parts = ((0.3, one), (0.7, other))
    np.testing.assert_allclose(mixed("hs lower", *parts), mixed("hs upper", *parts), rtol=1e-12)
    assert mixed("reuss", *parts)[0] < mixed("hs lower", *parts)[0] < mixed("voigt", *parts)[0]


def test_bounds_are_in_order_for_any_tissues() -> None:
    rng = np.random.default_rng(3)
    share = rng.dirichlet(np.ones(4), 400).T
    share[0, ::5] += share[1, ::5]
    share[1, ::5] = 0.0
    tissue = tuple(
        Phase(f, 10.0 ** rng.uniform(-2, 4, 400), rng.uniform(0.0, 0.48, 400)) for f in share
    )
    found = {name: np.stack(moduli(*mix(tissue, name))) for name in MIXTURES}
    order: tuple[Mixture, ...] = ("reuss", "hs lower", "hs upper", "voigt")
    for low, high in pairwise(order):
        assert (found[low] < found[high]).all()
    np.testing.assert_allclose(found["hill"], 0.5 * (found["voigt"] + found["reuss"]))


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_tissue_in_two_parts_is_one_tissue(mixture: Mixture) -> None:
    """Protects: bounds look at the tissues that are there, however they are listed."""
    once = mixed(mixture, (0.6, BONE), (0.4, TUMOUR))
    twice = mixed(mixture, (0.6, BONE), (0.1, TUMOUR), (0.3, TUMOUR))
    np.testing.assert_allclose(once, twice, rtol=1e-12)
    absent = mixed(mixture, (0.6, BONE), (0.4, TUMOUR), (0.0, CEMENT))
    np.testing.assert_allclose(once, absent, rtol=1e-12)


def test_wrong_fractions_and_names_are_refused() -> None:
    with pytest.raises(InputError, match="sum to 1; found a sum that misses it by 0"):
        mix(phases((0.6, BONE), (0.5, TUMOUR)), "voigt")
    with pytest.raises(InputError, match="or a negative one"):
        mix(phases((1.2, BONE), (-0.2, TUMOUR)), "reuss")
    with pytest.raises(InputError, match="no mixture is named 'mean'; known are: voigt"):
        mix(phases((1.0, BONE)), "mean")  # type: ignore[arg-type]
