"""The tetrahedral mesh of a model, with everything that belongs to its cells and facets."""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.errors import MeshError
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray


class Part(IntEnum):
    """What a cell is made of: the bones and joints of the posterior pelvis.

    The model `sacrum` has only the first, the model `pelvis` has all five.
    """

    SACRUM = 1
    CARTILAGE_LEFT = 2
    CARTILAGE_RIGHT = 3
    ILIUM_LEFT = 4
    ILIUM_RIGHT = 5


@dataclass(frozen=True, eq=False)
class BoneMesh:
    """Tetrahedra of a model; one mesh serves every lesion, fill and state of a patient.

    Attributes:
        points_mm: Vertices, shape (n, 3), LPS.
        tets: Vertex numbers, shape (m, 4), positively oriented.
        facets: Vertex numbers of all outer boundary triangles, shape (f, 3), outward.
        facet_tag: :class:`sacrofem.anatomy.joints.SurfaceTag` of each, shape (f,).
        density: Mean density of each cell, integrated over the cell, shape (m,).
        part: :class:`Part` of each cell, shape (m,).
        level: Sacral level 1 to 5 of each cell, 0 outside the sacrum, shape (m,).
        zone: Denis' zone 1 to 3 of each cell, 0 outside the sacrum, shape (m,).
        frame: Sacral frame.
        lateral_mass_mm: Centre of each lateral mass of S1 by side, world.
        foramen_s1_mm: Middle of the S1 foramen by side, world.
    """

    points_mm: FloatArray
    tets: NDArray[np.int64]
    facets: NDArray[np.int64]
    facet_tag: NDArray[np.int8]
    density: RhoQctK2HPO4
    part: NDArray[np.int8]
    level: NDArray[np.int8]
    zone: NDArray[np.int8]
    frame: SacralFrame
    lateral_mass_mm: dict[str, FloatArray]
    foramen_s1_mm: dict[str, FloatArray]

    @cached_property
    def cell_ml(self) -> FloatArray:
        """Volume of each cell in ml, shape (m,)."""
        return signed_volumes_mm3(self.points_mm, self.tets) / 1000.0

    @cached_property
    def centroids_mm(self) -> FloatArray:
        """Centroid of each cell, shape (m, 3)."""
        return np.asarray(self.points_mm[self.tets].mean(axis=1))

    @property
    def volume_ml(self) -> float:
        """Volume of the mesh."""
        return float(self.cell_ml.sum())

    def cells_of(self, part: Part) -> NDArray[np.int64]:
        """Numbers of the cells of a part, ascending; empty where the model does not have it."""
        return np.flatnonzero(self.part == part)

    def part_ml(self, part: Part) -> float:
        """Volume of a part in ml, 0 where the model does not have it."""
        return float(self.cell_ml[self.part == part].sum())

    @cached_property
    def sha256(self) -> str:
        """Hash of geometry, tags, parts and density: the mesh part of every record's key."""
        digest = hashlib.sha256()
        density = self.density.g_per_cm3
        for array in (self.points_mm, self.tets, self.facet_tag, density, self.part):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def signed_volumes_mm3(points_mm: FloatArray, tets: NDArray[np.int64]) -> FloatArray:
    """Signed volume of each tetrahedron, shape (m,)."""
    a, b, c, d = (points_mm[tets[:, i]] for i in range(4))
    return np.asarray(np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) / 6.0)


def boundary_facets(tets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Outward boundary triangles, shape (f, 3), and the cell behind each, shape (f,).

    Raises:
        MeshError: There are more than two million vertices.
    """
    corners = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])
    faces = tets[:, corners].reshape(-1, 3)
    low, middle, high = np.sort(faces, axis=1).T
    # One number a face: rows compare ten times slower. Vertex numbers fit three times into 63 bits.
    size = int(tets.max()) + 1 if len(tets) else 1
    if size >= 1 << 21:
        raise MeshError(
            f"a mesh of {size} vertices is too large (limit {1 << 21}: three numbers share one of "
            "64 bits); take larger edges."
        )
    key = (low * size + middle) * size + high
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    once = np.sort(first[count == 1])
    return faces[once], once // 4


def facet_areas_mm2(points_mm: FloatArray, facets: NDArray[np.int64]) -> FloatArray:
    """Area of each triangle, shape (f,)."""
    a, b, c = (points_mm[facets[:, i]] for i in range(3))
    return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1))
