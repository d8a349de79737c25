"""One rank's share of a mesh: consecutive rows of each of its arrays, nothing more."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh


@dataclass(frozen=True, eq=False)
class MeshShare:
    """The rows of a :class:`BoneMesh` that one rank of several holds.

    Vertex numbers are those of the whole mesh: they may name points that other ranks hold.

    Attributes:
        points_mm: Vertices, shape (n', 3), LPS.
        tets: Vertex numbers, shape (m', 4).
        facets: Vertex numbers of outer boundary triangles, shape (f', 3).
        facet_tag: Tag of each of them, shape (f',).
        density: Mean density of each cell, shape (m',).
        part: Part of each cell, shape (m',).
        cell_count: Cells of the whole mesh.
        point_count: Vertices of the whole mesh.
    """

    points_mm: FloatArray
    tets: NDArray[np.int64]
    facets: NDArray[np.int64]
    facet_tag: NDArray[np.int8]
    density: RhoQctK2HPO4
    part: NDArray[np.int8]
    cell_count: int
    point_count: int


def first_rows(count: int, ranks: int) -> NDArray[np.int64]:
    """First row of each rank's share of ``count`` rows, then ``count``, shape (ranks + 1,)."""
    return np.arange(ranks + 1, dtype=np.int64) * count // ranks


def share_of(mesh: BoneMesh, rank: int, ranks: int) -> MeshShare:
    """The share of one rank, cut from a whole mesh (views, no copies)."""

    def rows(count: int) -> slice:
        first = first_rows(count, ranks)
        return slice(int(first[rank]), int(first[rank + 1]))

    points, cells, facets = (rows(len(a)) for a in (mesh.points_mm, mesh.tets, mesh.facets))
    return MeshShare(
        points_mm=mesh.points_mm[points],
        tets=mesh.tets[cells],
        facets=mesh.facets[facets],
        facet_tag=mesh.facet_tag[facets],
        density=RhoQctK2HPO4(mesh.density.g_per_cm3[cells]),
        part=mesh.part[cells],
        cell_count=len(mesh.tets),
        point_count=len(mesh.points_mm),
    )
