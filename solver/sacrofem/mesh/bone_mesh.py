"""The tetrahedral mesh of one bone, with everything that belongs to its cells and facets."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.image.calibration import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray


@dataclass(frozen=True, eq=False)
class BoneMesh:
    """Tetrahedra of a bone; one mesh serves every lesion, fill and state of a patient.

    Attributes:
        points_mm: Vertices, shape (n, 3), LPS.
        tets: Vertex numbers, shape (m, 4), positively oriented.
        facets: Vertex numbers of all boundary triangles, shape (f, 3), outward.
        facet_tag: :class:`sacrofem.anatomy.joints.SurfaceTag` of each, shape (f,).
        density: Mean density of each cell, integrated over the cell, shape (m,).
        frame: Sacral frame.
        lateral_mass_mm: Centre of each lateral mass of S1 by side, world.
        foramen_s1_mm: Middle of the S1 foramen by side, world.
        label_ml: Volume of the label that was meshed.
        warnings: What the anatomy did not find.
    """

    points_mm: FloatArray
    tets: NDArray[np.int64]
    facets: NDArray[np.int64]
    facet_tag: NDArray[np.int8]
    density: RhoQctK2HPO4
    frame: SacralFrame
    lateral_mass_mm: dict[str, FloatArray]
    foramen_s1_mm: dict[str, FloatArray]
    label_ml: float
    warnings: tuple[str, ...]

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

    @cached_property
    def sha256(self) -> str:
        """Hash of geometry, tags and density: the mesh part of every record's key."""
        digest = hashlib.sha256()
        for array in (self.points_mm, self.tets, self.facet_tag, self.density.g_per_cm3):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def signed_volumes_mm3(points_mm: FloatArray, tets: NDArray[np.int64]) -> FloatArray:
    """Signed volume of each tetrahedron, shape (m,)."""
    a, b, c, d = (points_mm[tets[:, i]] for i in range(4))
    return np.asarray(np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) / 6.0)


def boundary_facets(tets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Outward boundary triangles, shape (f, 3), and the cell behind each, shape (f,)."""
    corners = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])
    faces = tets[:, corners].reshape(-1, 3)
    key = np.sort(faces, axis=1)
    _, first, count = np.unique(key, axis=0, return_index=True, return_counts=True)
    once = np.sort(first[count == 1])
    return faces[once], once // 4


def facet_areas_mm2(points_mm: FloatArray, facets: NDArray[np.int64]) -> FloatArray:
    """Area of each triangle, shape (f,)."""
    a, b, c = (points_mm[facets[:, i]] for i in range(3))
    return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1))
