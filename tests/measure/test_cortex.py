"""The cortical membrane: plane stress of a stretched box, its measures by hand, ranks."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from sacrofem.measure.cortex import cortex_response
from sacrofem.mechanics.cortex import CortexSurface, gather_cortex
from sacrofem.mechanics.elasticity import ElasticModel, make_model, set_modulus
from sacrofem.mechanics.element_forces import cortex_forces
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import BONE_POISSON, MaterialParameters, intact_modulus
from sacrofem.mechanics.supports import support_of
from sacrofem.mesh.bone_mesh import BoneMesh, boundary_facets, facet_areas_mm2

MATERIALS = MaterialParameters(cortex_mm=0.7, cortex_MPa=9000.0)
E, NU, T = MATERIALS.cortex_MPa, BONE_POISSON, MATERIALS.cortex_mm
#: A strain with all parts, and its growth along x for the quadratic displacement.
STRAIN = 1e-3 * np.array([[2.0, 0.3, -0.4], [0.3, -1.0, 0.2], [-0.4, 0.2, 0.5]])


def surface(mesh: BoneMesh, order: int, comm: MPI.Comm, bend: float = 0.0) -> CortexSurface:
    """The membrane of a box under ``u = strain x (1 + bend x_0)``."""
    model: ElasticModel = make_model(
        mesh, SacralLoad(500.0, 0.0), support_of(mesh), MATERIALS, order, comm
    )
    set_modulus(model, intact_modulus(mesh, MATERIALS))
    u = fem.Function(model.space)
    u.interpolate(lambda x: STRAIN @ x * (1.0 + bend * x[0]))
    return gather_cortex(model, cortex_forces(model, u))


def plane_stress(strain: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Stress of a membrane from a strain, by the textbook, world."""
    P = np.eye(3) - np.outer(normal, normal)
    within = P @ strain @ P
    return np.asarray(E / (1.0 - NU**2) * ((1.0 - NU) * within + NU * np.trace(within) * P))


@pytest.mark.parametrize("order", [1, 2])
def test_a_stretched_box_has_plane_stress_on_each_face(
    box: Callable[..., BoneMesh], order: int
) -> None:
    """Protects: which facet has which stress, thickness and Poisson's effect, areas."""
    mesh = box(2)
    facets, behind = boundary_facets(mesh.tets)
    corner = mesh.points_mm[facets]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    exact = np.array([T * plane_stress(STRAIN, n) for n in normal])
    found = surface(mesh, order, MPI.COMM_SELF)
    assert found.area_mm2.sum() == pytest.approx(facet_areas_mm2(mesh.points_mm, facets).sum())
    np.testing.assert_array_equal(found.cell, np.sort(behind))
    for cell in np.unique(behind):
        mine, theirs = found.N_per_mm[found.cell == cell], exact[behind == cell]
        # A cell with two facets: in either order.
        error = min(np.abs(mine - t).max() for t in (theirs, theirs[::-1]))
        assert error < 1e-9 * T * E


def test_a_bent_membrane_has_its_mean(box: Callable[..., BoneMesh]) -> None:
    """Protects: of a linear stress the mean over the facet is kept, not a point of the cell."""
    mesh, bend = box(2), 0.02
    found = surface(mesh, 2, MPI.COMM_SELF, bend)
    top = np.isclose(mesh.points_mm[mesh.tets][found.cell][:, :, 2].max(axis=1), 0.0)
    facets, behind = boundary_facets(mesh.tets)
    above = np.isclose(mesh.points_mm[facets][:, :, 2], 0.0).all(axis=1)
    for cell, centre in zip(behind[above], mesh.points_mm[facets[above]].mean(axis=1), strict=True):
        spin = np.outer(STRAIN @ centre, [bend, 0.0, 0.0])
        strain = STRAIN * (1.0 + bend * centre[0]) + 0.5 * (spin + spin.T)
        exact = T * plane_stress(strain, np.array([0.0, 0.0, 1.0]))
        mine = found.N_per_mm[top & (found.cell == cell)]
        assert min(np.abs(one - exact).max() for one in mine) < 1e-9 * T * E


def state_of(stress_MPa: np.ndarray, cells: int) -> Any:
    """A state whose membrane has one stress, on one facet of each cell, of area 1, 2, ..."""
    area_mm2 = 1.0 + np.arange(cells)
    cortex = CortexSurface(np.arange(cells), area_mm2, np.tile(T * stress_MPa, (cells, 1, 1)))
    return SimpleNamespace(cortex=cortex)


def test_plane_stress_by_hand() -> None:
    """Protects: each quantity by its formula, and that the normal counts for nothing."""
    high, low = 30.0, -50.0
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    state = state_of(turn @ np.diag([high, 0.0, low]) @ turn.T, 3)
    found = cortex_response(state, np.ones(3, dtype=bool), MATERIALS)
    assert found["von_mises_MPa"].mean == pytest.approx(np.sqrt(high**2 - high * low + low**2))
    assert found["max_principal_MPa"].p95 == pytest.approx(high)
    assert found["compressive_strain"].mean == pytest.approx((-low + NU * high) / E)
    energy = (high**2 + low**2 - 2.0 * NU * high * low) / (2.0 * E)
    assert found["energy_density_MPa"].mean == pytest.approx(energy)


def test_only_the_asked_cells_count_by_their_area() -> None:
    """Protects: the region, and the weight; no cortex has no stress."""
    state = state_of(np.diag([10.0, 0.0, 0.0]), 4)
    state.cortex.N_per_mm[2] *= 3.0
    state.cortex.N_per_mm[3] *= 100.0
    here = np.array([True, False, True, False])
    mean = cortex_response(state, here, MATERIALS)["von_mises_MPa"].mean
    assert mean == pytest.approx((1.0 * 10.0 + 3.0 * 30.0) / 4.0)
    assert np.isnan(cortex_response(state, ~here & here, MATERIALS)["von_mises_MPa"].mean)
    none = replace(MATERIALS, cortex_mm=0.0)
    assert np.isnan(cortex_response(state, here, none)["von_mises_MPa"].mean)


@pytest.mark.mpi
def test_all_ranks_know_the_same_surface(box: Callable[..., BoneMesh]) -> None:
    """Protects: facets of the mesh, each once, in one order, on any number of ranks."""
    mesh = box(3)
    one, many = (surface(mesh, 2, comm, 0.02) for comm in (MPI.COMM_SELF, MPI.COMM_WORLD))
    np.testing.assert_array_equal(one.cell, many.cell)
    np.testing.assert_allclose(one.area_mm2, many.area_mm2, rtol=1e-12)
    np.testing.assert_allclose(one.N_per_mm, many.N_per_mm, atol=1e-9 * T * E)
