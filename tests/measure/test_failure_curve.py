"""Failure load by the linear criteria and from a curve: by hand, and exact in the load."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.measure.failure_curve import (
    YieldVolume,
    curve_measures,
    linear_failure_N,
    linear_yield_N,
)
from sacrofem.mechanics.materials import ModulusField
from sacrofem.mechanics.plasticity import LoadDisplacement
from sacrofem.mechanics.plasticity_law import YieldStrains
from sacrofem.mesh.bone_mesh import BoneMesh

E_MPA = 100.0
LIMITS = YieldStrains(compression=0.008, tension=0.006)


def pressed(mesh: BoneMesh, strain: np.ndarray) -> Any:
    """A state with one uniaxial strain along z in each cell, shape (m,), and no Poisson effect."""
    stress = np.zeros((len(strain), 3, 3))
    stress[:, 2, 2] = E_MPA * strain
    none = np.zeros(len(strain))
    return SimpleNamespace(
        stress_MPa=stress,
        principal_MPa=np.linalg.eigvalsh(stress),
        modulus=ModulusField(none + E_MPA, none, none),
        energy=SimpleNamespace(cell_mJ=0.5 * E_MPA * strain**2 * 1000.0 * mesh.cell_ml),
    )


def curve_of(moved_mm: list[float], force_N: list[float], k: np.ndarray) -> LoadDisplacement:
    moved, none = np.array(moved_mm), np.zeros(len(moved_mm))
    return LoadDisplacement(
        np.array(force_N), moved, 2.0 * moved, none + 3.0, none, none, none, k, True
    )


def test_failure_is_where_the_stated_part_is_beyond_the_stated_strain(
    box: Callable[..., BoneMesh],
) -> None:
    """Protects: the part by volume of bone, the strongest strains first, and both limits."""
    mesh = box(2)
    strain = -0.001 * (1.0 + np.arange(len(mesh.tets)) / len(mesh.tets))
    bone_ml = np.where(np.arange(len(mesh.tets)) % 2 == 0, mesh.cell_ml, 0.0)
    state = pressed(mesh, strain)
    for part, limit in ((0.02, 0.007), (0.5, 0.011), (1.0, 0.007)):
        found = linear_failure_N(mesh, state, 500.0, bone_ml, YieldVolume(part, limit))
        beyond = np.abs(strain) * found / 500.0 >= limit * (1.0 - 1e-9)
        assert bone_ml[beyond].sum() >= part * bone_ml.sum() * (1.0 - 1e-9)
        less = np.abs(strain) * found / 500.0 > limit * (1.0 + 1e-9)
        assert bone_ml[less].sum() < part * bone_ml.sum()


def test_the_linear_failure_load_does_not_depend_on_the_load(box: Callable[..., BoneMesh]) -> None:
    """Protects: linearity, exactly: twice the load and twice the strain fail at the same load."""
    mesh = box(2)
    strain = np.random.default_rng(4).uniform(-0.002, 0.002, len(mesh.tets))
    for criterion, rest in ((linear_failure_N, ()), (linear_yield_N, (0.02, LIMITS))):
        once, twice = (
            criterion(mesh, pressed(mesh, factor * strain), factor * 300.0, mesh.cell_ml, *rest)
            for factor in (1.0, 2.0)
        )
        assert twice == pytest.approx(once, rel=1e-12)


def test_tension_fails_sooner(box: Callable[..., BoneMesh]) -> None:
    """Protects: which strain has which limit."""
    mesh = box(2)
    ones = np.ones(len(mesh.tets))
    for sign, limit in ((-1.0, LIMITS.compression), (1.0, LIMITS.tension)):
        state = pressed(mesh, 0.001 * sign * ones)
        found = linear_yield_N(mesh, state, 100.0, mesh.cell_ml, 0.02, LIMITS)
        assert found == pytest.approx(100.0 * limit / 0.001)


def test_no_bone_never_fails(box: Callable[..., BoneMesh]) -> None:
    """Protects: a state without bone, or bone without strain, has no failure load of 0 N."""
    mesh = box(2)
    ones = np.ones(len(mesh.tets))
    assert linear_failure_N(mesh, pressed(mesh, ones), 1.0, 0.0 * ones) == np.inf
    assert linear_failure_N(mesh, pressed(mesh, 0.0 * ones), 1.0, mesh.cell_ml) == np.inf


def test_curve_by_hand(box: Callable[..., BoneMesh]) -> None:
    """Protects: stiffness at the endplate, the secant's loss, work, place, and the end."""
    mesh = box(2)
    k = np.ones(len(mesh.tets))
    k[[3, 7]] = 2.0, 4.0
    curve = curve_of([0.0, 1.0, 2.0], [0.0, 100.0, 150.0], k)
    found = curve_measures(mesh, curve, mesh.cell_ml)
    assert found.stiffness_N_per_mm == pytest.approx(50.0)
    # 100 + 50 (d - 1) = 95 d at d = 50 / 45.
    assert found.yield_N == pytest.approx(95.0 * 50.0 / 45.0)
    assert found.failure_N == pytest.approx(150.0)
    # 50 and 50 + 125 of work, less 50 and 150 that are stored.
    np.testing.assert_allclose(found.dissipated_mJ, [0.0, 0.0, 25.0], atol=1e-12)
    volume = mesh.cell_ml[[3, 7]] * [1.0, 3.0]
    np.testing.assert_allclose(
        found.place_mm, volume @ mesh.centroids_mm[[3, 7]] / volume.sum(), rtol=1e-12
    )
    assert np.isnan(curve_measures(mesh, replace(curve, failed=False), mesh.cell_ml).failure_N)


def test_bone_that_stays_elastic_has_no_yield_load(box: Callable[..., BoneMesh]) -> None:
    """Protects: no load is made up where the curve does not bend, nor a place."""
    mesh = box(2)
    curve = curve_of([0.0, 1.0, 2.0], [0.0, 100.0, 199.0], np.ones(len(mesh.tets)))
    found = curve_measures(mesh, curve, mesh.cell_ml)
    assert np.isnan(found.yield_N)
    assert np.isnan(found.place_mm).all()


@pytest.mark.parametrize("wrong", [(0.0, 0.007), (1.5, 0.007), (0.02, 0.0), (0.02, float("nan"))])
def test_a_criterion_that_means_nothing_is_refused(wrong: tuple[float, float]) -> None:
    """Protects: 2 given for 2 %, and a strain that any load exceeds."""
    with pytest.raises(InputError, match="Pistoia"):
        YieldVolume(*wrong)
