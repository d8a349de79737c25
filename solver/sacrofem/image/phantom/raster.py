"""Implicit shapes to voxels: labels at the voxel centres, HU averaged over each voxel."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.phantom import pelvis, sacrum, tissue
from sacrofem.image.phantom.shapes import Array
from sacrofem.image.volume import Grid

SI_GAP_MM, FACET_GAP_MM = 2.8, 2.6  # joint spaces with their cartilage, 2-3 mm
SAMPLE_MM = 1.0  # largest distance of the samples inside a voxel
CHUNK = 200_000  # voxels sampled at a time: bounds the memory

SOFT_BOX_MM = np.array([[-40.0, -30.0, -115.0], [40.0, 62.0, 64.0]])

Shape = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True)
class Bone:
    """A bone: its distance in mm, HU of its marrow, the box (2, 3) in mm that holds it, label."""

    label: int
    distance: Shape
    marrow_hu: Shape
    box_mm: Array


def bones() -> tuple[Bone, ...]:
    """Sacrum, L5 and the two hip bones."""

    def sacral(x: Array, y: Array, z: Array) -> Array:
        return sacrum.sacrum(x, y, z, FACET_GAP_MM)

    def lumbar(x: Array, y: Array, z: Array) -> Array:
        return pelvis.vertebra(x, y, z, sacral(x, y, z), FACET_GAP_MM)

    def hip(x: Array, y: Array, z: Array) -> Array:
        return pelvis.hip(x, y, z, SI_GAP_MM)

    def even(hu: float) -> Shape:
        return lambda x, y, z: np.full(x.shape, hu)

    left, right = [[2, -80, -160], [140, 70, 60]], [[-140, -80, -160], [-2, 70, 60]]
    return (
        Bone(SACRUM, sacral, tissue.sacral_marrow, _box([[-58, -18, -115], [58, 62, 40]])),
        Bone(L5, lumbar, even(tissue.LUMBAR_HU), _box([[-52, -45, -12], [52, 54, 62]])),
        Bone(HIP_LEFT, hip, even(tissue.HIP_HU), _box(left)),
        Bone(HIP_RIGHT, hip, even(tissue.HIP_HU), _box(right)),
    )


def _box(corners: list[list[int]]) -> Array:
    return np.array(corners, dtype=np.float64)


def axes(grid: Grid) -> tuple[Array, Array, Array]:
    """World coordinates of the voxel centres along x, y, z, shaped to broadcast together."""
    x, y, z = (grid.origin_mm[d] + grid.spacing_mm[d] * np.arange(grid.shape[d]) for d in range(3))
    return x[:, None, None], y[None, :, None], z[None, None, :]


def _window(grid: Grid, box_mm: Array) -> tuple[slice, slice, slice]:
    """The part of the grid that covers a box."""
    low = np.floor((box_mm[0] - grid.origin_mm) / grid.spacing_mm).astype(int)
    high = np.ceil((box_mm[1] - grid.origin_mm) / grid.spacing_mm).astype(int) + 1
    a, b, c = (
        slice(max(m, 0), max(min(n, size), 0))
        for m, n, size in zip(low, high, grid.shape, strict=True)
    )
    return a, b, c


def _axes_in(grid: Grid, window: tuple[slice, slice, slice]) -> tuple[Array, Array, Array]:
    """World coordinates of the voxel centres of a part of the grid."""
    x, y, z = axes(grid)
    return x[window[0]], y[:, window[1]], z[:, :, window[2]]


def paint_soft_parts(grid: Grid, hu: NDArray[np.float32], voxel_mm: float) -> None:
    """Put disc, canal and foramina into ``hu``, in place."""
    window = _window(grid, SOFT_BOX_MM)
    x, y, z = _axes_in(grid, window)
    hu[window] = tissue.add_canal_and_disc(hu[window], x, y, z, voxel_mm)


def _offsets(spacing_mm: tuple[float, float, float]) -> Array:
    """Sample points of a voxel relative to its centre in mm, shape (n, 3)."""
    steps = []
    for size in spacing_mm:
        count = max(int(np.ceil(size / SAMPLE_MM)), 2)
        steps.append(size * ((np.arange(count) + 0.5) / count - 0.5))
    return np.array(list(product(*steps)))


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        yield slice(start, start + CHUNK)


def _bone_hu(
    bone: Bone, field: NDArray[np.float32], x: Array, y: Array, z: Array, distance: Array
) -> Array:
    """HU inside a bone at points with the given distances: cortex, else textured marrow."""
    marrow = bone.marrow_hu(x, y, z) + tissue.texture_at(field, x, y, z)
    cortex = -distance < tissue.CORTEX_MM
    return np.where(cortex, tissue.CORTEX_HU, marrow)


def _mixed_hu(
    bone: Bone, field: NDArray[np.float32], points: Array, around: Array, offsets: Array
) -> Array:
    """HU of voxels near a surface, shape (n,): mean over samples, ``around`` outside the bone."""
    total = np.zeros(len(points))
    for offset in offsets:
        x, y, z = (points + offset).T
        distance = bone.distance(x, y, z)
        inside = distance < 0.0
        value = around.copy()
        value[inside] = _bone_hu(bone, field, x[inside], y[inside], z[inside], distance[inside])
        total += value
    return total / len(offsets)


def paint(
    bone: Bone,
    grid: Grid,
    hu: NDArray[np.float32],
    labels: NDArray[np.uint8],
    field: NDArray[np.float32],
) -> None:
    """Put a bone into ``hu`` and ``labels``, in place."""
    window = _window(grid, bone.box_mm)
    x, y, z = _axes_in(grid, window)
    distance = bone.distance(x, y, z)
    labels[window][ndimage.binary_fill_holes(distance < 0.0)] = bone.label
    reach = 0.5 * float(np.linalg.norm(grid.spacing_mm))
    part = hu[window]
    offsets = _offsets(grid.spacing_mm)
    # Slopes of a blended distance may fall to 0.6: the band is wider by as much.
    mixed = np.argwhere((distance < reach) & (distance > -(1.5 * reach + tissue.CORTEX_MM)))
    inner = np.argwhere(distance <= -(1.5 * reach + tissue.CORTEX_MM))
    for index, samples in ((mixed, offsets), (inner, np.zeros((1, 3)))):
        for chunk in _chunks(len(index)):
            i, j, k = index[chunk].T
            points = np.stack([x[i, 0, 0], y[0, j, 0], z[0, 0, k]], axis=1)
            around = part[i, j, k].astype(np.float64)
            part[i, j, k] = _mixed_hu(bone, field, points, around, samples)
