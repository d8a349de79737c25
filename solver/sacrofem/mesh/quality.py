"""Shape quality of tetrahedra."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray

#: Edge vectors of the regular tetrahedron as columns.
_REGULAR = np.array(
    [[1.0, 0.5, 0.5], [0.0, np.sqrt(3.0) / 2.0, np.sqrt(3.0) / 6.0], [0.0, 0.0, np.sqrt(2.0 / 3.0)]]
)


@dataclass(frozen=True)
class MeshQuality:
    """Smallest value and first percentile of :func:`inverse_condition` over the cells."""

    minimum: float
    percentile_1: float


def inverse_condition(points_mm: FloatArray, tets: NDArray[np.int64]) -> FloatArray:
    """Signed inverse condition number of each cell (gmsh's SICN), shape (m,).

    1 for the regular tetrahedron, 0 for a flat one, negative for an inverted one
    (Knupp 2000; Johnen 2016).
    """
    edges = (points_mm[tets[:, 1:]] - points_mm[tets[:, :1]]).transpose(0, 2, 1)
    jacobian = edges @ np.linalg.inv(_REGULAR)
    determinant = np.linalg.det(jacobian)
    norm = np.linalg.norm(jacobian, axis=(1, 2))
    cofactor = np.cross(jacobian[:, :, [1, 2, 0]], jacobian[:, :, [2, 0, 1]], axis=1)
    return np.asarray(3.0 * determinant / (norm * np.linalg.norm(cofactor, axis=(1, 2))))


def mesh_quality(points_mm: FloatArray, tets: NDArray[np.int64]) -> MeshQuality:
    """Quality figures of a mesh."""
    quality = inverse_condition(points_mm, tets)
    return MeshQuality(float(quality.min()), float(np.percentile(quality, 1.0)))
