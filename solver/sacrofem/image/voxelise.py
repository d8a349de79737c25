"""Closed surfaces to voxels: how much of each voxel lies inside, and which voxels to take.

Rays along the third axis cross the surface; every crossing adds or takes away what lies below it.
Along a ray the covered part of a voxel is exact, across it ``RAYS`` x ``RAYS`` rays a voxel are
averaged. Nothing is sorted and no ray is cast anew, so cost grows with the surface's area.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.volume import FloatArray

IntArray = NDArray[np.int64]

#: Rays a voxel along each of the two other axes (a choice: the volume of a ball of radius 10 voxels
#: is right to 0.05 %).
RAYS = 4
#: Pairs of a triangle and a ray that are held at once.
PAIRS = 2_000_000
#: Weight of a voxel's neighbours against its own covered part: settles ties and no more (a choice).
TIE = 0.01
#: Moves the rays off vertices and edges of surfaces that were made on a grid, in rays: one that
#: meets two triangles on their common edge would count both or none.
OFF_GRID = (1.37e-5, 2.11e-5)


def inside_fraction(
    points: FloatArray, triangles: IntArray, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Part of each voxel that lies inside a closed surface.

    Where pieces of the surface overlap, the union counts.

    Args:
        points: In voxel indices, shape (n, 3); voxel ``i`` reaches from ``i - 0.5`` to ``i + 0.5``.
        triangles: Vertices, shape (m, 3), their normals outward by the right-hand rule.
        shape: Number of voxels; what lies outside is cut off.

    Returns:
        0 to 1, shape ``shape``.
    """
    across = (points[:, :2] + 0.5) * RAYS - 0.5 + OFF_GRID
    top = points[:, 2] + 0.5
    deep = shape[2]
    partial = np.zeros((shape[0] * shape[1], deep + 1), dtype=np.float32)
    below = np.zeros_like(partial)
    for chunk in _chunks(across, triangles, shape):
        column, height, sign = _crossings(across, top, triangles[chunk], shape)
        height = height.clip(0.0, deep)
        voxel = np.floor(height).astype(np.int64)
        np.add.at(partial, (column, voxel), (sign * (height - voxel)).astype(np.float32))
        np.add.at(below, (column, voxel), sign.astype(np.float32))
    # A crossing in voxel k covers all voxels before k.
    total = partial[:, :deep] + np.cumsum(below[:, :0:-1], axis=1)[:, ::-1]
    return (total / RAYS**2).clip(0.0, 1.0).reshape(shape)


def most_covered(fraction: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The voxels of largest covered part, as many as have the volume of all parts together.

    Voxels that are covered alike go by their neighbours; those that even these leave alike are
    taken together or not at all, so that a plane stays a plane.
    """
    part = fraction + TIE * ndimage.uniform_filter(fraction, 3, mode="constant")
    part = np.round(np.where(fraction > 0.0, part, 0.0), 5)
    some = np.sort(part[part > 0.0])[::-1]
    count = min(round(float(fraction.sum(dtype=np.float64))), some.size)
    if count == 0:
        return np.zeros(fraction.shape, dtype=bool)
    edge = some[count - 1]
    fewer, more = int(np.count_nonzero(some > edge)), int(np.count_nonzero(some >= edge))
    return np.asarray(part >= edge if more - count <= count - fewer else part > edge)


def _chunks(across: FloatArray, triangles: IntArray, shape: tuple[int, int, int]) -> list[IntArray]:
    """Triangles that can meet a ray, in groups of about ``PAIRS`` pairs."""
    low, high = _reach(across, triangles, shape)
    pairs = np.prod((high - low + 1).clip(min=0), axis=1)
    meeting = np.flatnonzero(pairs)
    group = np.cumsum(pairs[meeting]) // PAIRS
    return np.split(meeting, np.flatnonzero(np.diff(group)) + 1) if meeting.size else []


def _reach(
    across: FloatArray, triangles: IntArray, shape: tuple[int, int, int]
) -> tuple[IntArray, IntArray]:
    corners = across[triangles]
    limit = np.array(shape[:2]) * RAYS - 1
    low = np.ceil(corners.min(axis=1)).clip(min=0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(axis=1)), limit).astype(np.int64)
    return low, high


def _crossings(
    across: FloatArray, top: FloatArray, triangles: IntArray, shape: tuple[int, int, int]
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Where rays cross triangles: column of voxels, height, and +1 upward (out) or -1 (in)."""
    low, high = _reach(across, triangles, shape)
    size = high - low + 1
    pairs = np.prod(size, axis=1)
    owner = np.repeat(np.arange(len(triangles)), pairs)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    ray = np.stack([within // size[owner, 1], within % size[owner, 1]], axis=1) + low[owner]
    a, b, c = (across[triangles[:, n]] for n in range(3))
    sign = np.sign(_cross(b - a, c - a))
    weight = np.empty((len(owner), 3))
    inside = sign[owner] != 0.0
    for n in range(3):
        start, end = triangles[:, (n + 1) % 3], triangles[:, (n + 2) % 3]
        # Two triangles compute their shared edge in one direction, so that none is missed.
        forward = np.where(start < end, 1.0, -1.0)
        first, last = across[np.minimum(start, end)], across[np.maximum(start, end)]
        area = _cross((last - first)[owner], ray - first[owner])
        weight[:, n] = area * forward[owner]
        inside &= weight[:, n] * sign[owner] > 0.0
    ray, weight, owner = ray[inside], weight[inside], owner[inside]
    height = (weight * top[triangles[owner]]).sum(axis=1) / weight.sum(axis=1)
    column = (ray[:, 0] // RAYS) * shape[1] + ray[:, 1] // RAYS
    return column, height, sign[owner]


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
