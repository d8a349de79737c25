"""A mesh as DOLFINx has it: made from every rank's share, with tags on its facets."""

from typing import Any

import basix.ufl
import dolfinx
import numpy as np
import ufl
from dolfinx.io.utils import distribute_entity_data
from mpi4py import MPI
from numpy.typing import NDArray

from sacrofem.mesh.share import MeshShare


def make_domain(share: MeshShare, comm: MPI.Comm) -> Any:
    """The DOLFINx mesh of all ranks' shares; collective.

    Its ``topology.original_cell_index`` and ``geometry.input_global_indices`` number cells and
    points as the whole mesh does, since shares follow each other in the order of the ranks.
    """
    return dolfinx.mesh.create_mesh(
        comm,
        cells=share.tets,
        x=share.points_mm,
        e=ufl.Mesh(basix.ufl.element("Lagrange", "tetrahedron", 1, shape=(3,))),
    )


def tag_facets(domain: Any, share: MeshShare) -> Any:
    """Mesh tags of the outer facets from all ranks' shares of them; collective.

    A facet is known by its vertex numbers and goes to the ranks that have it, wherever its row
    was: exact for any partition, and for ranks without a facet.
    """
    fdim = domain.topology.dim - 1
    domain.topology.create_entities(fdim)
    domain.topology.create_connectivity(fdim, 0)
    domain.topology.create_connectivity(fdim, domain.topology.dim)
    vertices, values = distribute_entity_data(
        domain, fdim, share.facets, share.facet_tag.astype(np.int32)
    )
    return dolfinx.mesh.meshtags_from_entities(
        domain,
        fdim,
        dolfinx.graph.adjacencylist(vertices),
        values.astype(np.int32, copy=False),
    )


def tag_cells(domain: Any, values: NDArray[np.integer]) -> Any:
    """Mesh tags of all cells of this rank, shape (owned and ghost cells,)."""
    cells = np.arange(len(values), dtype=np.int32)
    return dolfinx.mesh.meshtags(domain, domain.topology.dim, cells, values.astype(np.int32))
