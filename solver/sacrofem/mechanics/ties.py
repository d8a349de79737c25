"""Ligaments in the assembled matrix: blocks of 3 x 3 between the nodes at their ends."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from sacrofem import _compat
from sacrofem.mechanics.elasticity import ElasticModel


def add_ligaments(A: PETSc.Mat, model: ElasticModel, space: Any) -> None:
    """Add the model's ligaments to a stiffness matrix on one of its spaces; collective.

    Args:
        A: Assembled matrix, in blocks of 3.
        model: The model.
        space: The Lagrange space of the matrix, of degree 1 or 2.
    """
    ligaments = model.ligaments
    if len(ligaments) == 0:
        return
    ends = np.stack([ligaments.vertex, ligaments.hip_vertex], axis=1)
    node = node_numbers(model, space)
    fixed = bool(ligaments.grounded.all())
    # Between two bones the pattern of the bone has no place: it is made in a matrix of its own.
    B = A if fixed else _empty_like(A)
    first, last = (n // 3 for n in A.getOwnershipRange())
    for pair, k, d in zip(ends, ligaments.stiffness_N_per_mm, ligaments.direction, strict=True):
        block = k * np.outer(d, d)
        there = [node[vertex] for vertex in pair if vertex >= 0]
        for i, row in enumerate(there):
            if first <= row < last:
                for j, column in enumerate(there):
                    value = block if i == j else -block
                    B.setValuesBlocked([row], [column], value, addv=PETSc.InsertMode.ADD)
    B.assemble()
    if not fixed:
        A.axpy(1.0, B, structure=PETSc.Mat.Structure.DIFFERENT_NONZERO_PATTERN)
        B.destroy()


def node_numbers(model: ElasticModel, space: Any) -> dict[int, int]:
    """Global number in a space of each vertex of the bone mesh at which a ligament ends."""
    mesh, owned = model.domain.mesh, model.domain.owned
    ends = np.unique(np.concatenate([model.ligaments.vertex, model.ligaments.hip_vertex]))
    corner = mesh.geometry.input_global_indices[_compat.geometry_dofmap(mesh)[:owned]]
    # The nodes of a cell begin with its vertices, in the order of the geometry.
    nodes: NDArray[np.int32] = np.asarray(space.dofmap.list)[:owned, :4]
    here = np.isin(corner, ends)
    numbers = space.dofmap.index_map.local_to_global(nodes[here].astype(np.int32))
    found: dict[int, int] = {}
    for vertices, rows in mesh.comm.allgather((corner[here], numbers)):
        found.update(zip(vertices.tolist(), rows.tolist(), strict=True))
    return found


def _empty_like(A: PETSc.Mat) -> PETSc.Mat:
    B = PETSc.Mat().create(A.comm)
    B.setSizes(A.getSizes(), bsize=3)
    B.setType(A.getType())
    B.setUp()
    B.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)
    return B
