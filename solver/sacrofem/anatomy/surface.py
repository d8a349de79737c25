"""The surface of one labelled bone: an iso-surface of the smoothed label that keeps its volume.

A label map is a staircase. Smoothing its indicator function and cutting it at the level that
encloses the label's own volume gives a smooth surface without shrinkage, so thin walls between
foramina survive at coarse voxels as well.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyvista as pv
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray, Grid, LabelMap

#: Largest edge of the grid on which the surface is cut, in mm.
SURFACE_GRID_MM = 1.5
#: Smoothing of the indicator function, in voxels of the label map along each axis.
SMOOTHING_VOXELS = 0.7
#: What is left of the staircase after that goes by a filter on the surface.
TAUBIN_STEPS = 20
TAUBIN_PASS_BAND = 0.08


@dataclass(frozen=True, eq=False)
class BoneSurface:
    """A closed triangle surface.

    Attributes:
        points_mm: Vertices, shape (n, 3), LPS.
        triangles: Vertex numbers, shape (m, 3), counter-clockwise seen from outside.
        label_ml: Volume of the label that it encloses.
        dropped_ml: Volume of islands that were left out.
        filled_ml: Volume of inner cavities that were filled, part of ``label_ml``.
    """

    points_mm: FloatArray
    triangles: NDArray[np.int64]
    label_ml: float
    dropped_ml: float
    filled_ml: float = 0.0

    @cached_property
    def _cross(self) -> FloatArray:
        a, b, c = (self.points_mm[self.triangles[:, i]] for i in range(3))
        return np.asarray(np.cross(b - a, c - a))

    @property
    def areas_mm2(self) -> FloatArray:
        """Area of each triangle, shape (m,)."""
        return np.asarray(0.5 * np.linalg.norm(self._cross, axis=1))

    @property
    def normals(self) -> FloatArray:
        """Outward unit normal of each triangle, shape (m, 3)."""
        length = np.linalg.norm(self._cross, axis=1, keepdims=True)
        return np.asarray(self._cross / np.maximum(length, 1e-300))

    @property
    def centroids_mm(self) -> FloatArray:
        """Centroid of each triangle, shape (m, 3)."""
        return np.asarray(self.points_mm[self.triangles].mean(axis=1))

    @property
    def volume_ml(self) -> float:
        """Enclosed volume by the divergence theorem."""
        return float((self._cross * self.points_mm[self.triangles[:, 0]]).sum() / 6000.0)


@dataclass(frozen=True, eq=False)
class BoneIndicator:
    """A bone as a smooth function of space: above 0.5 inside, below it outside.

    Attributes:
        field: Smoothed indicator on a crop of the label map's grid, refined where that is coarse.
        grid: The grid of ``field``.
        level: Value of ``field`` on the surface that encloses the label's volume.
        label_ml, dropped_ml, filled_ml: As in :class:`BoneSurface`.
    """

    field: NDArray[np.float32]
    grid: Grid
    level: float
    label_ml: float
    dropped_ml: float
    filled_ml: float

    def sample(self, world_mm: FloatArray) -> NDArray[np.float32]:
        """Values at world points, shape (n,), scaled so that the surface lies at 0.5."""
        index = self.grid.to_index(world_mm).T
        value = ndimage.map_coordinates(self.field, index, order=1, mode="constant")
        return np.asarray(value * np.float32(0.5 / self.level))


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest face-connected piece of a mask, its inner cavities filled."""
    pieces, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        mask = pieces == sizes.argmax()
    return np.asarray(ndimage.binary_fill_holes(mask))


def bone_indicator(labels: LabelMap, label: int) -> BoneIndicator:
    """The smooth indicator of the largest piece of one label.

    Raises:
        InputError: The label is so small that it has no surface (under 1 ml).
    """
    mask, grid = _cropped(labels.mask(label), labels.grid)
    bone = largest_piece(mask)
    label_ml = float(bone.sum()) * grid.voxel_ml
    if label_ml < 1.0:
        raise InputError(
            f"label {label} holds {label_ml:.2f} ml, at least 1 ml is needed to make a bone of it; "
            "check the segmentation."
        )
    field, fine = _fine_indicator(bone, grid)
    level = _volume_level(field, label_ml / fine.voxel_ml)
    dropped_ml = float((mask & ~bone).sum()) * grid.voxel_ml
    filled_ml = float((bone & ~mask).sum()) * grid.voxel_ml
    return BoneIndicator(field, fine, level, label_ml, dropped_ml, filled_ml)


def bone_surface(labels: LabelMap, label: int) -> BoneSurface:
    """The smooth closed surface of the largest piece of one label.

    Raises:
        InputError: The label is so small that it has no surface (under 1 ml).
    """
    return surface_of(bone_indicator(labels, label))


def surface_of(bone: BoneIndicator) -> BoneSurface:
    """The smooth closed surface of a bone's indicator."""
    vertices, faces, _, _ = measure.marching_cubes(bone.field, bone.level, allow_degenerate=False)
    triangles = faces.astype(np.int64)
    points = _smooth(bone.grid.to_world(vertices), triangles)
    surface = BoneSurface(points, triangles, bone.label_ml, bone.dropped_ml, bone.filled_ml)
    if surface.volume_ml < 0:
        surface = replace(surface, triangles=np.ascontiguousarray(triangles[:, ::-1]))
    return surface


def _cropped(mask: NDArray[np.bool_], grid: Grid) -> tuple[NDArray[np.bool_], Grid]:
    """The box of a mask with one voxel around it, and its grid; an empty mask as it is."""
    box = ndimage.find_objects(mask.astype(np.uint8))
    if not box:
        return mask, grid
    keep = tuple(
        slice(max(part.start - 1, 0), min(part.stop + 1, size))
        for part, size in zip(box[0], mask.shape, strict=True)
    )
    start = np.array([part.start for part in keep], dtype=np.float64)
    crop = mask[keep]
    nx, ny, nz = crop.shape
    origin = grid.to_world(start[None])[0]
    return crop, Grid((nx, ny, nz), grid.spacing_mm, origin, grid.direction)


def _smooth(points_mm: FloatArray, triangles: NDArray[np.int64]) -> FloatArray:
    """Points moved by a low-pass filter that does not shrink (Taubin 1995)."""
    mesh = pv.PolyData.from_regular_faces(points_mm, triangles)
    smooth = mesh.smooth_taubin(n_iter=TAUBIN_STEPS, pass_band=TAUBIN_PASS_BAND)
    return np.asarray(smooth.points, dtype=np.float64)


def _fine_indicator(bone: NDArray[np.bool_], grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """The smoothed indicator of the bone on a fine, padded crop of the grid."""
    span = [(int(n.min()), int(n.max())) for n in np.nonzero(bone)]
    pad = 4
    crop = bone[tuple(slice(max(low - pad, 0), high + pad + 1) for low, high in span)]
    before = [min(low, pad) - pad for low, _ in span]
    padded = np.pad(crop, [(-b, pad) for b in before]).astype(np.float32)
    start = np.array([max(low - pad, 0) + b for (low, _), b in zip(span, before, strict=True)])
    smooth = ndimage.gaussian_filter(padded, SMOOTHING_VOXELS)
    factor = np.maximum(np.ceil(np.array(grid.spacing_mm) / SURFACE_GRID_MM), 1).astype(int)
    shape = (np.array(padded.shape) - 1) * factor + 1
    # Cubic interpolation: linear would bring the staircase of the voxels back.
    zoom = shape / np.array(padded.shape)
    fine = ndimage.zoom(smooth, zoom, order=3, grid_mode=False) if factor.max() > 1 else smooth
    nx, ny, nz = (int(n) for n in shape)
    sx, sy, sz = (float(s) for s in np.array(grid.spacing_mm) / factor)
    return fine, Grid((nx, ny, nz), (sx, sy, sz), grid.to_world(start[None])[0], grid.direction)


def _volume_level(field: NDArray[np.float32], voxels: float) -> float:
    """The level above which the field holds the given number of voxels."""
    count = int(np.clip(round(voxels), 1, field.size - 1))
    level = float(np.partition(field.ravel(), field.size - count)[field.size - count])
    return float(np.clip(level, 0.2, 0.8))
