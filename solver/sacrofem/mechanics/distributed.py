"""The bone mesh on all ranks, and arrays between the global numbering and the ranks' own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from numpy.typing import NDArray

from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.domain import make_domain, tag_facets
from sacrofem.mesh.files import read_share
from sacrofem.mesh.share import MeshShare, first_rows, share_of

T = TypeVar("T")
V = TypeVar("V", bound=np.generic)


@dataclass(frozen=True, eq=False)
class DistributedMesh:
    """A mesh spread over the ranks of a communicator.

    Attributes:
        mesh: The DOLFINx mesh.
        facet_tags: Tags of the boundary facets, values of :class:`SurfaceTag`.
        cells: Number in the bone mesh of each cell that this rank owns or ghosts.
        owned: How many of them it owns.
        cell_count: Cells of the bone mesh.
        density: Mean density of each of ``cells``.
        part: :class:`sacrofem.mesh.bone_mesh.Part` of each of ``cells``, shape (k,).
    """

    mesh: Any
    facet_tags: Any
    cells: NDArray[np.int64]
    owned: int
    cell_count: int
    density: RhoQctK2HPO4
    part: NDArray[np.int8]

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


def together(comm: MPI.Comm, work: Callable[[], T]) -> T:
    """Run something on every rank; an error of any of them is raised on all."""
    result: T | None = None
    error: Exception | None = None
    try:
        result = work()
    except Exception as caught:
        error = caught
    for other in comm.allgather(error):
        if other is not None:
            raise error or other
    return result  # type: ignore[return-value]


def distribute(bone: BoneMesh, comm: MPI.Comm) -> DistributedMesh:
    """Spread a bone mesh, known to every rank, over the ranks; collective."""
    return _spread(share_of(bone, comm.rank, comm.size), comm)


def distribute_file(path: Path, comm: MPI.Comm) -> DistributedMesh:
    """Spread the mesh of a file over the ranks, each of which reads its own share; collective.

    Args:
        path: What :func:`sacrofem.mesh.files.save_bone` wrote, visible to every rank.
        comm: Communicator.

    Raises:
        MeshFileError: A rank cannot read the file; raised on all.
    """
    return _spread(together(comm, lambda: read_share(path, comm.rank, comm.size)), comm)


def _spread(share: MeshShare, comm: MPI.Comm) -> DistributedMesh:
    mesh = make_domain(share, comm)
    cells = np.asarray(mesh.topology.original_cell_index, dtype=np.int64)
    density = share.density.g_per_cm3
    return DistributedMesh(
        mesh=mesh,
        facet_tags=tag_facets(mesh, share),
        cells=cells,
        owned=mesh.topology.index_map(mesh.topology.dim).size_local,
        cell_count=share.cell_count,
        density=RhoQctK2HPO4(fetch_rows(comm, density, share.cell_count, cells)),
        part=fetch_rows(comm, share.part, share.cell_count, cells),
    )


def fetch_rows(
    comm: MPI.Comm, held: NDArray[V], count: int, wanted: NDArray[np.int64]
) -> NDArray[V]:
    """Rows of an array of which each rank holds its share; collective.

    Args:
        comm: Communicator.
        held: This rank's share, see :func:`sacrofem.mesh.share.first_rows`, shape (m', ...).
        count: Rows of the whole array.
        wanted: Numbers of the rows that this rank asks for, shape (k,).

    Returns: The rows in the order of ``wanted``, shape (k, ...).
    """
    first = first_rows(count, comm.size)
    holder = np.searchsorted(first, wanted, side="right") - 1
    places = [np.flatnonzero(holder == rank) for rank in range(comm.size)]
    asked = comm.alltoall([wanted[place] for place in places])
    answers = comm.alltoall([held[rows - first[comm.rank]] for rows in asked])
    out = np.empty((len(wanted), *held.shape[1:]), dtype=held.dtype)
    for place, rows in zip(places, answers, strict=True):
        out[place] = rows
    return out
