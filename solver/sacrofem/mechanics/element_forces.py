"""Nodal forces and strain energy of single cells and of the cortex on them.

Written out on arrays, apart from the forms that the solver assembles: statics of the sections and
the energy balance, checked on every solve, compare the two.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import basix
import basix.ufl
import numpy as np
from dolfinx import fem
from dolfinx.mesh import exterior_facet_indices
from numpy.typing import NDArray

from sacrofem import _compat
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.elasticity import ElasticModel
from sacrofem.mechanics.materials import BONE_POISSON

#: Vertices of the edges and of the facets of the reference tetrahedron.
_EDGES = np.array(basix.topology(basix.CellType.tetrahedron)[1])
_FACETS = np.array(basix.topology(basix.CellType.tetrahedron)[2])
_CORNERS = basix.geometry(basix.CellType.tetrahedron)


@dataclass(frozen=True, eq=False)
class CellForces:
    """Internal forces on the nodes of some cells, or of the cortex on them.

    Attributes:
        cells: Local number of each cell, shape (k,); a cell with two outer facets is there twice.
        force_N: World, shape (k, nodes, 3).
        place_mm: Of the nodes, shape (k, nodes, 3).
        energy_mJ: Strain energy of each, shape (k,).
    """

    cells: NDArray[np.int64]
    force_N: FloatArray
    place_mm: FloatArray
    energy_mJ: FloatArray

    def of(self, rows: NDArray[np.int64]) -> "CellForces":
        """Some of the rows."""
        return CellForces(
            self.cells[rows], self.force_N[rows], self.place_mm[rows], self.energy_mJ[rows]
        )


@dataclass(frozen=True, eq=False)
class CortexForces(CellForces):
    """The same of the cortex, one row an outer facet.

    Attributes:
        facet: Which of its cell's four, shape (k,).
        area_mm2: Shape (k,).
        mean_N_per_mm: Force per length within the facet, its mean, world, shape (k, 3, 3).
    """

    facet: NDArray[np.int64]
    area_mm2: FloatArray
    mean_N_per_mm: FloatArray


@dataclass(frozen=True, eq=False)
class _Strains:
    """Strains at the quadrature points of some cells, and what integrates and tests them.

    Attributes:
        strain: Shape (k, q, 3, 3).
        inverse: Of the Jacobian, ``[reference, world]``, shape (k, 3, 3).
        volume: Volume over that of the reference cell, shape (k,).
        slopes: Of the shape functions on the reference cell, shape (3, q, nodes).
        weight: Shape (q,).
        place_mm: Nodes, shape (k, nodes, 3).
    """

    strain: FloatArray
    inverse: FloatArray
    volume: FloatArray
    slopes: FloatArray
    weight: FloatArray
    place_mm: FloatArray

    def nodal_forces_N(self, stress: FloatArray, size: FloatArray) -> FloatArray:
        """Integral of ``stress . grad N_n``, shape (k, nodes, 3).

        Args:
            stress: At the points, shape (k, q, 3, 3).
            size: Measure of each cell or facet over that of the reference one, shape (k,).
        """
        drawn = (stress @ self.inverse.swapaxes(1, 2)[:, None]) * self.weight[:, None, None]
        points = len(self.weight)
        rows = drawn.transpose(0, 2, 3, 1).reshape(len(drawn), 3, 3 * points)
        forces = rows @ self.slopes.reshape(3 * points, -1)
        return np.asarray(forces.swapaxes(1, 2) * size[:, None, None])


def bulk_forces(model: ElasticModel, u: fem.Function, cells: NDArray[np.int64]) -> CellForces:
    """Forces of cells without cortex, by Hooke's law, isotropic; ``cells`` are local numbers."""
    points, weight = basix.make_quadrature(basix.CellType.tetrahedron, _degree(model))
    found = _strains(model, u, cells, points, weight)
    stress, density = _hooke(model, found.strain, cells)
    return CellForces(
        cells=cells,
        force_N=found.nodal_forces_N(stress, found.volume),
        place_mm=found.place_mm,
        energy_mJ=density @ weight * found.volume,
    )


def bulk_energies_mJ(model: ElasticModel, u: fem.Function) -> FloatArray:
    """Strain energy of the owned cells without cortex, shape (owned,)."""
    points, weight = basix.make_quadrature(basix.CellType.tetrahedron, _degree(model))
    cells = np.arange(model.domain.owned)
    found = _strains(model, u, cells, points, weight)
    density = _hooke(model, found.strain, cells)[1]
    return np.asarray(density @ weight * found.volume)


def cortex_forces(model: ElasticModel, u: fem.Function) -> CortexForces:
    """Forces of the cortical membrane on the nodes of the cells behind this rank's outer facets.

    Plane stress in the surface, see :mod:`sacrofem.mechanics.elasticity`.
    """
    mesh = model.domain.mesh
    facets = exterior_facet_indices(mesh.topology)
    mesh.topology.create_connectivity(3, 2)
    behind, facets_of = mesh.topology.connectivity(2, 3), mesh.topology.connectivity(3, 2)
    cells = behind.array[behind.offsets[facets]].astype(np.int64)
    which = np.argmax(facets_of.array.reshape(-1, 4)[cells] == facets[:, None], axis=1)
    parts = [_membrane(model, u, cells[which == i], i) for i in range(4)]
    names = (field.name for field in fields(CortexForces))
    return CortexForces(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def node_flags(
    model: ElasticModel, vertices: NDArray[np.bool_], cells: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Flags of the nodes of local cells from those of the mesh's vertices, shape (k, nodes).

    A node in the middle of an edge is flagged where both ends are.
    """
    mesh = model.domain.mesh
    corner = vertices[mesh.geometry.input_global_indices[_compat.geometry_dofmap(mesh)[cells]]]
    if model.order == 1:
        return np.asarray(corner)
    return np.concatenate([corner, corner[:, _EDGES].all(axis=2)], axis=1)


def _membrane(
    model: ElasticModel, u: fem.Function, cells: NDArray[np.int64], facet: int
) -> CortexForces:
    """The membrane on one of the four facets of some cells."""
    flat, weight = basix.make_quadrature(basix.CellType.triangle, _degree(model))
    a, b, c = _CORNERS[_FACETS[facet]]
    found = _strains(model, u, cells, a + flat @ np.stack([b - a, c - a]), weight)
    corner = found.place_mm[:, _FACETS[facet]]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    double_area = np.linalg.norm(normal, axis=1)
    normal = normal / double_area[:, None]
    P = (np.eye(3) - normal[:, :, None] * normal[:, None, :])[:, None]
    within = P @ found.strain @ P
    trace = np.trace(within, axis1=2, axis2=3)[:, :, None, None]
    left = model.coefficients.cortex.x.array[cells]
    stiff = model.membrane_N_per_mm * left[:, None, None, None]
    drawn = stiff * ((1.0 - BONE_POISSON) * within + BONE_POISSON * trace * P)
    # The reference triangle has half a unit of area: twice the area is the ratio of the two.
    return CortexForces(
        cells=cells,
        force_N=found.nodal_forces_N(drawn, double_area),
        place_mm=found.place_mm,
        energy_mJ=0.5 * np.einsum("kqij,kqij->kq", drawn, within) @ weight * double_area,
        facet=np.full(len(cells), facet),
        area_mm2=0.5 * double_area,
        mean_N_per_mm=2.0 * np.einsum("kqij,q->kij", drawn, weight),
    )


def _strains(
    model: ElasticModel,
    u: fem.Function,
    cells: NDArray[np.int64],
    points: FloatArray,
    weight: FloatArray,
) -> _Strains:
    mesh = model.domain.mesh
    corner = mesh.geometry.x[_compat.geometry_dofmap(mesh)[cells]]
    inverse, volume = _inverse(*(corner[:, i] - corner[:, 0] for i in (1, 2, 3)))
    slopes = _element(model.order).tabulate(1, points)[1:]
    moved = u.x.array.reshape(-1, 3)[model.space.dofmap.list[cells]]
    nodes = slopes.shape[2]
    drawn = moved.swapaxes(1, 2).reshape(-1, nodes) @ slopes.reshape(-1, nodes).T
    # Component, reference direction and point; the last to the front for the product.
    gradient = drawn.reshape(-1, 3, 3, len(points)).transpose(0, 3, 1, 2) @ inverse[:, None]
    place = corner
    if model.order == 2:
        place = np.concatenate([corner, corner[:, _EDGES].mean(axis=2)], axis=1)
    symmetric = 0.5 * (gradient + gradient.swapaxes(2, 3))
    return _Strains(symmetric, inverse, volume, slopes, weight, place)


def _inverse(a: FloatArray, b: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverse and size of the determinant of matrices of three columns, each shape (k, 3)."""
    rows = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    determinant = np.einsum("ki,ki->k", a, rows[:, 0])
    return rows / determinant[:, None, None], np.abs(determinant)


def _hooke(
    model: ElasticModel, strain: FloatArray, cells: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Stress in MPa, shape (k, q, 3, 3), and energy density in mJ/mm3, shape (k, q)."""
    E = model.coefficients.young.x.array[cells]
    nu = model.coefficients.poisson.x.array[cells]
    mu = (E / (2.0 * (1.0 + nu)))[:, None]
    lam = (E * nu / ((1.0 + nu) * (1.0 - 2.0 * nu)))[:, None]
    trace = np.trace(strain, axis1=2, axis2=3)
    density = mu * np.einsum("kqij,kqij->kq", strain, strain) + 0.5 * lam * trace**2
    stress = 2.0 * mu[:, :, None, None] * strain + (lam * trace)[:, :, None, None] * np.eye(3)
    return stress, density


def _degree(model: ElasticModel) -> int:
    """Exact for affine cells: strains have degree order - 1, their product twice that."""
    return 2 * (model.order - 1)


@cache
def _element(order: int) -> Any:
    return basix.ufl.element("Lagrange", "tetrahedron", order)
