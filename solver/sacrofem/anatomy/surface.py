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
    """

    points_mm: FloatArray
    triangles: NDArray[np.int64]
    label_ml: float
    dropped_ml: float

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


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest face-connected piece of a mask, its inner cavities filled."""
    pieces, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        mask = pieces == sizes.argmax()
    return np.asarray(ndimage.binary_fill_holes(mask))


def bone_surface(labels: LabelMap, label: int) -> BoneSurface:
    """The smooth closed surface of the largest piece of one label.

    Raises:
        InputError: The label is so small that it has no surface (under 1 ml).
    """
    mask = labels.mask(label)
    bone = largest_piece(mask)
    label_ml = float(bone.sum()) * labels.grid.voxel_ml
    if label_ml < 1.0:
        raise InputError(
            f"label {label} holds {label_ml:.2f} ml, at least 1 ml is needed to make a bone of it; "
            "check the segmentation."
        )
    field, grid = _fine_indicator(bone, labels.grid)
    level = _volume_level(field, label_ml / grid.voxel_ml)
    vertices, faces, _, _ = measure.marching_cubes(field, level, allow_degenerate=False)
    points = grid.to_world(vertices)
    triangles = faces.astype(np.int64)
    dropped_ml = float((mask & ~bone).sum()) * labels.grid.voxel_ml
    surface = BoneSurface(_smooth(points, triangles), triangles, label_ml, dropped_ml)
    if surface.volume_ml < 0:
        surface = replace(surface, triangles=np.ascontiguousarray(triangles[:, ::-1]))
    return surface


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
    fine = ndimage.zoom(smooth, shape / np.array(padded.shape), order=3, grid_mode=False)
    nx, ny, nz = (int(n) for n in shape)
    sx, sy, sz = (float(s) for s in np.array(grid.spacing_mm) / factor)
    return fine, Grid((nx, ny, nz), (sx, sy, sz), grid.to_world(start[None])[0], grid.direction)


def _volume_level(field: NDArray[np.float32], voxels: float) -> float:
    """The level above which the field holds the given number of voxels."""
    count = int(np.clip(round(voxels), 1, field.size - 1))
    level = float(np.partition(field.ravel(), field.size - count)[field.size - count])
    return float(np.clip(level, 0.2, 0.8))
