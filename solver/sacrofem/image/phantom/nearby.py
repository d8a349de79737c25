"""Voxels near a surface, found without evaluating its distance everywhere.

A cell of voxels whose centre is farther from the surface than its own half diagonal holds no
surface. So cells are halved only where the surface is near: the work grows with the area of a
bone, not with its box, and a rotated grid costs no more than a straight one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.phantom.shapes import Array
from sacrofem.image.volume import Grid

Shape = Callable[[Array, Array, Array], Array]
Indices = NDArray[np.intp]

FIRST_CELL_MM = 14.0
# Upper bound of how fast the distances of blended and stretched shapes may change per mm.
STEEPEST = 1.8
CHUNK = 200_000  # points evaluated at a time: bounds the memory


@dataclass(frozen=True, eq=False)
class Nearby:
    """What a shape fills of a grid.

    Attributes:
        near: Indices, shape (n, 3), of the voxels within the asked band of the surface.
        distance: Distance in mm at their centres, shape (n,).
        deep: Indices, shape (m, 3), of the voxels inside and beyond the band.
    """

    near: Indices
    distance: Array
    deep: Indices


def window(grid: Grid, box_mm: Array) -> tuple[Indices, Indices]:
    """First and one past the last index, clipped to the grid, of a world box (2, 3) in mm."""
    corners = np.array(list(product(*box_mm.T)))
    index = grid.to_index(corners)
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, grid.shape)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, 0, grid.shape)
    return low, high


def evaluate(shape: Shape, grid: Grid, index: Array) -> Array:
    """Distance in mm at (fractional) indices, shape (n,)."""
    distance = np.empty(len(index))
    for start in range(0, len(index), CHUNK):
        points = grid.to_world(index[start : start + CHUNK])
        distance[start : start + CHUNK] = shape(*points.T)
    return distance


def find(shape: Shape, grid: Grid, box_mm: Array, outside_mm: float, inside_mm: float) -> Nearby:
    """Voxels of a box within ``outside_mm`` outside or ``inside_mm`` inside a surface, and deeper.

    Args:
        shape: Distance to the surface in world mm, negative inside.
        grid: The voxels.
        box_mm: World box (2, 3) that holds the shape.
        outside_mm: Width of the band outside.
        inside_mm: Width of the band inside.
    """
    spacing = np.asarray(grid.spacing_mm)
    low, high = window(grid, box_mm)
    stride: Indices = 2 ** np.maximum(np.rint(np.log2(FIRST_CELL_MM / spacing)), 0).astype(int)
    starts: Indices = np.stack(
        np.meshgrid(*(np.arange(a, b, s) for a, b, s in zip(low, high, stride, strict=True)),
                    indexing="ij"), axis=-1,
    ).reshape(-1, 3)  # fmt: skip
    deep = []
    while True:
        distance = evaluate(shape, grid, starts + 0.5 * (stride - 1))
        reach = STEEPEST * 0.5 * float(np.linalg.norm((stride - 1) * spacing))
        kept = (distance < outside_mm + reach) & (distance > -(inside_mm + reach))
        deep.append(_spread(starts[~kept & (distance < 0.0)], stride, high))
        starts, distance = starts[kept], distance[kept]
        if np.all(stride == 1):
            return Nearby(starts, distance, np.concatenate(deep))
        finer = np.maximum(stride // 2, 1)
        starts = _children(starts, finer, stride // finer, high)
        stride = finer


def _children(starts: Indices, finer: Indices, parts: Indices, high: Indices) -> Indices:
    """First indices of the parts of cells, without those beyond the window."""
    steps = np.array(list(product(*(range(n) for n in parts)))) * finer
    children = (starts[:, None, :] + steps).reshape(-1, 3)
    return np.asarray(children[np.all(children < high, axis=1)])


def _spread(starts: Indices, stride: Indices, high: Indices) -> Indices:
    """All voxels of cells."""
    return _children(starts, np.ones(3, dtype=int), stride, high)
