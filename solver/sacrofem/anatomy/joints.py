"""Which part of the sacrum's surface faces L5 and which the ilia: endplate, facets, auricular.

A triangle faces a bone when a ray along its outward normal meets that bone's label within a stated
gap. The largest connected piece is the joint; pieces behind it on either side are the facets.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sacrofem.image.volume import FloatArray, LabelMap

#: Largest disc height of L5-S1 that is bridged, in mm.
DISC_GAP_MM = 18.0
#: Largest width of the sacroiliac joint that is bridged, in mm: the interosseous recess behind the
#: auricular surface is wider.
SACROILIAC_GAP_MM = 6.0
STEP_MM = 0.5


class SurfaceTag(IntEnum):
    """Numbers of the tagged parts of a bone's surface."""

    FREE = 0
    ENDPLATE_S1 = 1
    FACET_S1_LEFT = 2
    FACET_S1_RIGHT = 3
    AURICULAR_LEFT = 4
    AURICULAR_RIGHT = 5


def faces_label(
    centroids_mm: FloatArray, normals: FloatArray, labels: LabelMap, label: int, gap_mm: float
) -> NDArray[np.bool_]:
    """Which triangles see a label along their outward normal within ``gap_mm``, shape (m,).

    Args:
        centroids_mm: Centroids of the triangles, shape (m, 3).
        normals: Outward unit normals, shape (m, 3).
        labels: The label map.
        label: The label to look for.
        gap_mm: Length of the ray.
    """
    # Interpolated, not the nearest voxel: rounding would favour one direction of each axis, and a
    # mirrored patient would get other joints.
    mask = labels.mask(label).astype(np.float32)
    seen = np.zeros(len(centroids_mm), dtype=bool)
    for distance in np.arange(STEP_MM, gap_mm + 0.5 * STEP_MM, STEP_MM):
        rest = np.flatnonzero(~seen)
        index = labels.grid.to_index(centroids_mm[rest] + distance * normals[rest]).T
        seen[rest] = ndimage.map_coordinates(mask, index, order=1, mode="constant") > 0.5
    return seen


def pieces(triangles: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of the connected piece (by shared vertices) of each chosen triangle, -1 elsewhere."""
    number = np.full(len(triangles), -1, dtype=np.int64)
    rows = np.flatnonzero(chosen)
    if len(rows) == 0:
        return number
    vertex = triangles[rows]
    row = np.repeat(np.arange(len(rows)), 3)
    size = len(rows) + int(triangles.max()) + 1
    link = coo_matrix((np.ones(row.size), (row, len(rows) + vertex.ravel())), shape=(size, size))
    number[rows] = connected_components(link, directed=False)[1][: len(rows)]
    return number


def largest(
    number: NDArray[np.int64], areas_mm2: FloatArray, at_least_mm2: float = 0.0
) -> NDArray[np.bool_]:
    """The triangles of the piece with the largest area, none if it is smaller than asked."""
    chosen = number >= 0
    if not chosen.any():
        return chosen
    _, compact = np.unique(number[chosen], return_inverse=True)
    area = np.bincount(compact, weights=areas_mm2[chosen])
    if area.max() < at_least_mm2:
        return np.zeros_like(chosen)
    best = np.zeros_like(chosen)
    best[np.flatnonzero(chosen)[compact == area.argmax()]] = True
    return best
