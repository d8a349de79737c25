"""The bone mesh on all ranks, and arrays between the global numbering and the ranks' own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import basix.ufl
import dolfinx
import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class DistributedMesh:
    """A mesh spread over the ranks of a communicator.

    Attributes:
        mesh: The DOLFINx mesh.
        facet_tags: Tags of the boundary facets, values of :class:`SurfaceTag`.
        cells: Number in the bone mesh of each cell that this rank owns or ghosts.
        owned: How many of them it owns.
        cell_count: Cells of the bone mesh.
    """

    mesh: Any
    facet_tags: Any
    cells: NDArray[np.int64]
    owned: int
    cell_count: int

    @property
    def comm(self) -> MPI.Comm:
        """The communicator."""
        return self.mesh.comm

    def sum(self, value: float) -> float:
        """Sum of a number over the ranks."""
        return float(self.comm.allreduce(value, op=MPI.SUM))

    def integral(self, form: Any) -> float:
        """Value of a compiled scalar form over all ranks."""
        return self.sum(float(fem.assemble_scalar(form)))

    def scatter_cells(self, values: FloatArray, out: fem.Function) -> None:
        """Put one value per cell of the bone mesh, shape (m,), into a DG0 function."""
        out.x.array[:] = values[self.cells]

    def gather_cells(self, local: FloatArray) -> FloatArray:
        """One row per cell of the bone mesh on every rank, from each rank's owned rows."""
        parts = self.comm.allgather((self.cells[: self.owned], local[: self.owned]))
        out = np.empty((self.cell_count, *local.shape[1:]), dtype=local.dtype)
        for cells, rows in parts:
            out[cells] = rows
        return out


def on_root(comm: MPI.Comm, work: Callable[[], T]) -> T:
    """Run something on rank 0 and give its result to all ranks; an error is raised on all."""
    return comm.bcast(kept_on_root(comm, work), root=0)  # type: ignore[no-any-return]


def kept_on_root(comm: MPI.Comm, work: Callable[[], T]) -> T | None:
    """Run something on rank 0, whose result stays there; an error is raised on all ranks."""
    result: T | None = None
    error: Exception | None = None
    if comm.rank == 0:
        try:
            result = work()
        except Exception as caught:
            error = caught
    if comm.size > 1:
        other = comm.bcast(error, root=0)
        error = error or other
    if error is not None:
        raise error
    return result


def distribute(bone: BoneMesh, comm: MPI.Comm) -> DistributedMesh:
    """Spread a bone mesh, known to every rank, over the ranks."""
    root = comm.rank == 0
    mesh = dolfinx.mesh.create_mesh(
        comm,
        cells=bone.tets if root else np.empty((0, 4), dtype=np.int64),
        x=bone.points_mm if root else np.empty((0, 3)),
        e=ufl.Mesh(basix.ufl.element("Lagrange", "tetrahedron", 1, shape=(3,))),
    )
    index_map = mesh.topology.index_map(mesh.topology.dim)
    return DistributedMesh(
        mesh=mesh,
        facet_tags=_facet_tags(bone, mesh),
        cells=np.asarray(mesh.topology.original_cell_index, dtype=np.int64),
        owned=index_map.size_local,
        cell_count=len(bone.tets),
    )


def _facet_tags(bone: BoneMesh, mesh: Any) -> Any:
    """Tags of this rank's boundary facets, recognised by their midpoints."""
    fdim = mesh.topology.dim - 1
    mesh.topology.create_entities(fdim)
    mesh.topology.create_connectivity(fdim, mesh.topology.dim)
    facets = dolfinx.mesh.exterior_facet_indices(mesh.topology)
    middle = dolfinx.mesh.compute_midpoints(mesh, fdim, facets)
    if len(facets) == 0:
        return dolfinx.mesh.meshtags(mesh, fdim, facets, np.empty(0, dtype=np.int32))
    tree = cKDTree(bone.points_mm[bone.facets].mean(axis=1))
    distance, nearest = tree.query(middle)
    assert distance.max() < 1e-6, "a boundary facet of the distributed mesh is not in the bone mesh"
    return dolfinx.mesh.meshtags(mesh, fdim, facets, bone.facet_tag[nearest].astype(np.int32))


AURICULAR = {"left": SurfaceTag.AURICULAR_LEFT, "right": SurfaceTag.AURICULAR_RIGHT}
