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
class ShapeFigures:
    """Shapes of the cells of a mesh.

    Attributes:
        minimum: Smallest :func:`inverse_condition`.
        percentile_1: Its first percentile.
        aspect_p99: 99th percentile of the aspect ratio: longest edge by inscribed diameter, scaled
            to 1 for the regular tetrahedron.
        aspect_max: Its largest value.
        dihedral_min_deg: Smallest dihedral angle.
        dihedral_max_deg: Largest dihedral angle.
    """

    minimum: float
    percentile_1: float
    aspect_p99: float
    aspect_max: float
    dihedral_min_deg: float
    dihedral_max_deg: float


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


def mean_ratio(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Shape of tetrahedra by their corners (..., 3): 1 regular, 0 flat, negative inverted.

    ``12 (3 V)^(2/3) / sum of squared edges`` (Liu and Joe 1994).
    """
    ab, ac, ad = b - a, c - a, d - a
    volume = np.einsum("...i,...i->...", np.cross(ab, ac), ad) / 6.0
    edges = sum((e * e).sum(axis=-1) for e in (ab, ac, ad, c - b, d - b, d - c))
    return np.asarray(12.0 * np.cbrt(3.0 * volume) * np.abs(np.cbrt(3.0 * volume)) / edges)


def aspect_ratio(points_mm: FloatArray, tets: NDArray[np.int64]) -> FloatArray:
    """Longest edge by inscribed radius over ``2 sqrt(6)``, shape (m,): 1 for the regular one."""
    corner = points_mm[tets]
    edges = np.stack([corner[:, j] - corner[:, i] for i in range(4) for j in range(i + 1, 4)])
    longest = np.linalg.norm(edges, axis=2).max(axis=0)
    normals = _face_normals(corner)
    areas = 0.5 * np.linalg.norm(normals, axis=2).sum(axis=1)
    volume = np.abs(np.einsum("ij,ij->i", np.cross(edges[0], edges[1]), edges[2])) / 6.0
    return np.asarray(longest * areas / (3.0 * volume) / (2.0 * np.sqrt(6.0)))


def dihedral_angles_deg(points_mm: FloatArray, tets: NDArray[np.int64]) -> FloatArray:
    """The six dihedral angles of each cell in degrees, shape (m, 6)."""
    normals = _face_normals(points_mm[tets])
    unit = normals / np.linalg.norm(normals, axis=2, keepdims=True)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    cosines = np.stack([-np.einsum("ij,ij->i", unit[:, i], unit[:, j]) for i, j in pairs], axis=1)
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


def _face_normals(corner: FloatArray) -> FloatArray:
    """Outward normals of the faces opposite each corner, twice the area long, shape (m, 4, 3)."""
    faces = ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))
    sides = [(corner[:, b] - corner[:, a], corner[:, c] - corner[:, a]) for a, b, c in faces]
    return np.stack([np.cross(u, v) for u, v in sides], axis=1)


def shape_figures(points_mm: FloatArray, tets: NDArray[np.int64]) -> ShapeFigures:
    """Quality figures of a mesh."""
    quality, aspect = inverse_condition(points_mm, tets), aspect_ratio(points_mm, tets)
    angles = dihedral_angles_deg(points_mm, tets)
    return ShapeFigures(
        minimum=float(quality.min()),
        percentile_1=float(np.percentile(quality, 1.0)),
        aspect_p99=float(np.percentile(aspect, 99.0)),
        aspect_max=float(aspect.max()),
        dihedral_min_deg=float(angles.min()),
        dihedral_max_deg=float(angles.max()),
    )
