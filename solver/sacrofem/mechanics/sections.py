"""Forces through sections of the bone, from consistent nodal forces.

A section parts the cells into a far and a near set. The near side pushes the far side with the
internal forces of the far cells, ``sum over n of integral of sigma . grad N_n``, at the nodes n
that both share, with the cortex and the springs of the far side. A ligament at one of these nodes
counts to the near side. By the equilibrium of every node this is what the far side's supports and
ligaments carry less the load that acts on it: exact to the solver's tolerance on any mesh, which
stresses sampled on a plane are not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem, la
from mpi4py import MPI
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.elasticity import ElasticModel, boundary_measure, spring_traction
from sacrofem.mechanics.element_forces import CellForces, bulk_forces, node_flags
from sacrofem.mesh.bone_mesh import BoneMesh

#: Vertices of the bone mesh, shape (j,), and the force at each, world, shape (j, 3).
NodalForces = tuple[NDArray[np.int64], FloatArray]


@dataclass(frozen=True, eq=False)
class Section:
    """Two sets of cells and the vertices between them.

    Attributes:
        name: What it is called in tables.
        far: Cells of the far side, shape (m,).
        shared: Vertices that far and near cells share, shape (n,).
        border: Vertices that far cells share with any other cell, shape (n,); more than
            ``shared`` where the far side ends at a cartilage.
    """

    name: str
    far: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    border: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SectionForces:
    """What goes through a section from its near to its far side, world.

    ``force_N = cell_force_N.sum(axis=0) + cortex_N + rim_N``.

    Attributes:
        name: Of the section.
        centre_mm: Mean of its vertices, shape (3,).
        force_N: The whole force, shape (3,).
        moment_Nmm: The whole moment about the centre, shape (3,).
        cells: Far cells at the section, shape (k,).
        cell_force_N: Part of the force in each of them, without cortex, shape (k, 3).
        cortex_N: Part of the force in the cortical membrane, shape (3,).
        rim_N: Springs less load on the far side at the section's own nodes, shape (3,).
        error: Force that statics of the far side misses, or moment over the size of the mesh,
            relative to the load.
    """

    name: str
    centre_mm: FloatArray
    force_N: FloatArray
    moment_Nmm: FloatArray
    cells: NDArray[np.int64]
    cell_force_N: FloatArray
    cortex_N: FloatArray
    rim_N: FloatArray
    error: float


def make_section(
    mesh: BoneMesh, name: str, far: NDArray[np.bool_], near: NDArray[np.bool_]
) -> Section:
    """The section between two sets of cells, each of shape (m,), that have no cell in common."""
    other = _touched(mesh, ~far)
    own = _touched(mesh, far)
    return Section(name, far, own & _touched(mesh, near), own & other)


def section_forces(
    model: ElasticModel,
    u: fem.Function,
    sections: Sequence[Section],
    cortex: CellForces,
    pulls: NodalForces | None = None,
) -> tuple[SectionForces, ...]:
    """Resultants of all sections for a solution; collective, the same on every rank.

    Args:
        model: The model with the moduli of the solution.
        u: The solution.
        sections: The sections.
        cortex: Forces of the cortex, see :func:`sacrofem.mechanics.element_forces.cortex_forces`.
        pulls: Forces with which ligaments resist, by vertex of the bone mesh; None without any.
    """
    if not sections:
        return ()
    side = fem.Function(model.coefficients.young.function_space)
    outer = fem.form(_surface_work(model, u, side))
    owned = np.arange(model.domain.owned)
    near_any = node_flags(model, np.logical_or.reduce([s.border for s in sections]), owned)
    bulk = bulk_forces(model, u, owned[near_any.any(axis=1)])
    nodes_mm = model.space.tabulate_dof_coordinates()
    found = []
    for section in sections:
        side.x.array[:] = section.far[model.domain.cells]
        vector = fem.assemble_vector(outer)
        vector.scatter_reverse(la.InsertMode.add)
        surface = vector.array[: 3 * model.space.dofmap.index_map.size_local].reshape(-1, 3)
        ties = _ligament_part(model, section, pulls)
        found.append(_resultants(model, section, (bulk, cortex), surface, nodes_mm, ties))
    return tuple(found)


def _touched(mesh: BoneMesh, cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    out = np.zeros(len(mesh.points_mm), dtype=bool)
    out[mesh.tets[cells]] = True
    return out


def _surface_work(model: ElasticModel, u: fem.Function, side: fem.Function) -> Any:
    """Virtual work of springs less load on the cells where ``side`` is 1."""
    mesh, v = model.domain.mesh, ufl.TestFunction(model.space)
    held = boundary_measure(model.domain)(tuple(int(t) for t in model.support.surfaces.values()))
    traction = spring_traction(u, ufl.FacetNormal(mesh), model.support.springs, mesh)
    test = model.work.arguments()[0]
    return ufl.inner(traction, side * v) * held - ufl.replace(model.work, {test: side * v})


def _resultants(
    model: ElasticModel,
    section: Section,
    parts: tuple[CellForces, CellForces],
    surface: FloatArray,
    nodes_mm: FloatArray,
    ties: FloatArray,
) -> SectionForces:
    """Sum the nodal forces of the far side at a section's nodes."""
    centre = model.bone.points_mm[section.shared].mean(axis=0)
    bulk = _at_section(model, section, parts[0])
    sums = []
    for part in (bulk, _at_section(model, section, parts[1])):
        for vertices in (section.shared, section.border):
            at = node_flags(model, vertices, part.cells)
            sums.append(_force_and_moment(part.force_N[at], part.place_mm[at] - centre))
    loaded = np.flatnonzero(surface.any(axis=1))
    force, arm = surface[loaded], nodes_mm[loaded] - centre
    at, around = (_of_nodes(model, v)[loaded] for v in (section.shared, section.border))
    sums += [_force_and_moment(force[kept], arm[kept]) for kept in (at, ~around)]
    total = model.domain.comm.allreduce(np.array(sums), op=MPI.SUM)
    inside, inside_all, shell, shell_all, rim, rest = total
    cells, forces = _cell_parts(model, section, bulk)
    return SectionForces(
        name=section.name,
        centre_mm=centre,
        force_N=(inside + shell + rim)[:3],
        moment_Nmm=(inside + shell + rim)[3:],
        cells=cells,
        cell_force_N=forces,
        cortex_N=shell[:3],
        rim_N=rim[:3],
        error=_relative(model, inside_all + shell_all - rest - ties),
    )


def _ligament_part(model: ElasticModel, section: Section, pulls: NodalForces | None) -> FloatArray:
    """Force and moment of the ligaments inside the far side, away from its border, shape (6,)."""
    if pulls is None:
        return np.zeros(6)
    vertex, force = pulls
    inside = _touched(model.bone, section.far) & ~section.border
    centre = model.bone.points_mm[section.shared].mean(axis=0)
    kept = inside[vertex]
    return _force_and_moment(force[kept], model.bone.points_mm[vertex[kept]] - centre)


def _relative(model: ElasticModel, missing: FloatArray) -> float:
    """A force, or a moment over the size of the mesh, relative to the load."""
    size_mm = np.linalg.norm(np.ptp(model.bone.points_mm, axis=0))
    worst = max(np.linalg.norm(missing[:3]), np.linalg.norm(missing[3:]) / size_mm)
    return float(worst / np.linalg.norm(model.force_N))


def _at_section(model: ElasticModel, section: Section, part: CellForces) -> CellForces:
    """The far cells that touch a section's border."""
    far = np.flatnonzero(section.far[model.domain.cells[part.cells]])
    return part.of(far[node_flags(model, section.border, part.cells[far]).any(axis=1)])


def _of_nodes(model: ElasticModel, vertices: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Flags of this rank's nodes of the space, ghosts too, from those of the mesh's vertices."""
    sizes = model.space.dofmap.index_map
    out = np.zeros(sizes.size_local + sizes.num_ghosts, dtype=bool)
    cells = np.arange(len(model.domain.cells))
    out[model.space.dofmap.list[node_flags(model, vertices, cells)]] = True
    return out


def _force_and_moment(force_N: FloatArray, arm_mm: FloatArray) -> FloatArray:
    """Sum of forces and of their moments, shape (6,)."""
    return np.concatenate([force_N.sum(axis=0), np.cross(arm_mm, force_N).sum(axis=0)])


def _cell_parts(
    model: ElasticModel, section: Section, bulk: CellForces
) -> tuple[NDArray[np.int64], FloatArray]:
    """Far cells at the section by their number in the bone mesh, and the force in each."""
    shared = node_flags(model, section.shared, bulk.cells)
    force = (bulk.force_N * shared[:, :, None]).sum(axis=1)
    parts = model.domain.comm.allgather((model.domain.cells[bulk.cells], force))
    cells = np.concatenate([p[0] for p in parts])
    order = np.argsort(cells)
    return cells[order], np.concatenate([p[1] for p in parts])[order]
