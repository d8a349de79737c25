"""Points that divide each tetrahedron into equal parts, for integrals of fields on cells."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray


@cache
def _barycentric(level: int) -> FloatArray:
    """Barycentric centroids of the 8**level equal parts of a tetrahedron, shape (8**level, 4)."""
    tets = np.eye(4)[None]
    for _ in range(level):
        tets = np.concatenate([_eighths(tet) for tet in tets])
    return np.asarray(tets.mean(axis=1))


def _eighths(tet: FloatArray) -> FloatArray:
    """The eight equal parts of one tetrahedron: four corners and the octahedron cut in four."""
    a, b, c, d = tet
    ab, ac, ad, bc, bd, cd = ((p + q) / 2 for p, q in _pairs(a, b, c, d))
    return np.array(
        [
            (a, ab, ac, ad),
            (b, ab, bc, bd),
            (c, ac, bc, cd),
            (d, ad, bd, cd),
            (ab, cd, ac, ad),
            (ab, cd, ad, bd),
            (ab, cd, bd, bc),
            (ab, cd, bc, ac),
        ]
    )


def _pairs(
    a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray
) -> list[tuple[FloatArray, FloatArray]]:
    return [(a, b), (a, c), (a, d), (b, c), (b, d), (c, d)]


def sample_points(points_mm: FloatArray, tets: NDArray[np.int64], level: int) -> FloatArray:
    """Centroids of the equal parts of each cell, shape (m, 8**level, 3), in mm."""
    return np.asarray(np.einsum("sa,maj->msj", _barycentric(level), points_mm[tets]))
