"""Forces within the cortical membrane, gathered facet by facet."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem import _compat
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.elasticity import ElasticModel
from sacrofem.mechanics.element_forces import CortexForces


@dataclass(frozen=True, eq=False)
class CortexSurface:
    """The cortical membrane on the outer facets of the bone mesh, in the order of their cells.

    Attributes:
        cell: Cell of the bone mesh behind each facet, shape (f,).
        area_mm2: Shape (f,).
        N_per_mm: Mean force per length within each facet, world, shape (f, 3, 3); over the
            thickness it is the plane stress.
    """

    cell: NDArray[np.int64]
    area_mm2: FloatArray
    N_per_mm: FloatArray


def gather_cortex(model: ElasticModel, forces: CortexForces) -> CortexSurface:
    """The membrane of all ranks on every rank; collective.

    Args:
        model: The model.
        forces: See :func:`sacrofem.mechanics.element_forces.cortex_forces`.
    """
    mesh = model.domain.mesh
    corner = _compat.geometry_dofmap(mesh)[forces.cells, forces.facet]
    mine = (
        model.domain.cells[forces.cells],
        mesh.geometry.input_global_indices[corner],
        forces.area_mm2,
        forces.mean_N_per_mm,
    )
    parts = zip(*mesh.comm.allgather(mine), strict=True)
    cell, opposite, area_mm2, N_per_mm = (np.concatenate(part) for part in parts)
    # A cell's facets by the vertex opposite: the same order on any number of ranks.
    order = np.lexsort((opposite, cell))
    return CortexSurface(cell[order], area_mm2[order], N_per_mm[order])
