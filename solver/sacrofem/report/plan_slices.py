"""Planes through a planned treatment, and what lies in them: CT, lesion, cement and needle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.report.mesh_slices import AXIAL, CORONAL, SAGITTAL, CutPlane
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.operating_field import OperatingField

#: Distance of the points of a slice, in mm.
PIXEL_MM = 0.7
#: What is shown around the bone and the needle in a slice, and of the needle behind its entry, mm.
BORDER_MM, NEEDLE_MM = 6.0, 22.0
#: Farthest from the middle of a slice that is looked at, in mm.
HALF_MM = 110.0
#: A path whose corners leave a straight line by less than this is straight, in mm.
STRAIGHT_MM = 0.5
#: Smoothing of a region's share of the voxels before its outline is drawn, in voxels.
SOFTENED = 0.7


@dataclass(frozen=True, eq=False)
class PlanSlice:
    """The points of a plane, cropped to what is to be seen.

    Attributes:
        plane: The plane.
        right_mm, up_mm: Coordinates of columns and rows in the picture, shapes (w,) and (h,).
        index: Continuous voxel numbers of the points in the tissue grid, shape (3, h, w).
    """

    plane: CutPlane
    right_mm: FloatArray
    up_mm: FloatArray
    index: FloatArray

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Edges of the picture in mm: left, right, lower, upper."""
        half = 0.5 * PIXEL_MM
        ends = self.right_mm[[0, -1]], self.up_mm[[0, -1]]
        (left, right), (low, high) = ends
        return float(left - half), float(right + half), float(low - half), float(high + half)

    def of_grid(self, values: FloatArray, outside: float = 0.0) -> FloatArray:
        """Values of the tissue grid, linear, shape (h, w)."""
        return np.asarray(ndimage.map_coordinates(values, self.index, order=1, cval=outside))

    def of_region(self, region: "Region") -> FloatArray:
        """Share of a region, shape (h, w)."""
        index = self.index - np.array([part.start for part in region.box])[:, None, None]
        return np.asarray(ndimage.map_coordinates(region.share, index, order=1))

    def nearest(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Codes of the nearest voxels of the tissue grid, shape (h, w); 0 outside it."""
        return np.asarray(ndimage.map_coordinates(codes, self.index, order=0))


@dataclass(frozen=True, eq=False)
class Region:
    """A region of the bone's samples on the tissue grid.

    Attributes:
        box: The part of the grid that holds it.
        share: Its share of each voxel there, smoothed by a voxel; its outline is at 0.5.
    """

    box: tuple[slice, ...]
    share: NDArray[np.float32]

    @property
    def empty(self) -> bool:
        """Whether nothing of it is large enough to be drawn."""
        return bool(self.share.max(initial=0.0) <= 0.5)


def region_of(field: OperatingField, inside: NDArray[np.bool_]) -> Region:
    """A region of the samples, shape (s,), on the tissue grid."""
    if not inside.any():
        return Region((slice(0, 1),) * 3, np.zeros((1, 1, 1), dtype=np.float32))
    own = np.stack([axis[inside] for axis in field.voxel])
    low = np.maximum(own.min(axis=1) - 3, 0)
    high = np.minimum(own.max(axis=1) + 4, field.tissue.tissue.shape)
    near = np.logical_and.reduce(
        [(v >= a) & (v < b) for v, a, b in zip(field.voxel, low, high, strict=True)]
    )
    every = np.stack([axis[near] for axis in field.voxel])
    size = tuple(int(n) for n in high - low)
    held, whole = (
        np.bincount(np.ravel_multi_index(tuple(v - low[:, None]), size), minlength=np.prod(size))
        for v in (own, every)
    )
    # A voxel holds a few samples, seldom none: smoothing gives it its neighbours' share.
    smooth = [
        ndimage.gaussian_filter(count.reshape(size).astype(np.float32), SOFTENED)
        for count in (held, whole)
    ]
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    # Towards the outside of the bone samples thin out: there the outline follows the bone.
    share = smooth[0] / np.maximum(smooth[1], 0.8 * float(whole[whole > 0].mean()))
    return Region(box, share.astype(np.float32))


def region_of_voxels(field: OperatingField, voxels: NDArray[np.int64]) -> Region:
    """Voxels of the tissue grid, shape (n, 3), as a region."""
    if len(voxels) == 0:
        return region_of(field, field.samples.none)
    low = np.maximum(voxels.min(axis=0) - 3, 0)
    high = np.minimum(voxels.max(axis=0) + 4, field.tissue.tissue.shape)
    share = np.zeros(tuple(high - low), dtype=np.float32)
    share[tuple((voxels - low).T)] = 1.0
    # A leak is often a sheet of one voxel: it is spread by half a voxel so that it is seen.
    spread = np.minimum(2.0 * ndimage.gaussian_filter(share, SOFTENED), 1.0)
    return Region(tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), spread)


def plan_planes(
    frame: SacralFrame, centre_mm: FloatArray, path: AccessPath
) -> tuple[CutPlane, ...]:
    """Axial, coronal and sagittal of the sacral frame through a point, and the needle's own."""
    left, back, up = frame.left, frame.posterior, frame.superior
    return (
        CutPlane("axial", centre_mm, left, -back, AXIAL),
        CutPlane("coronal", centre_mm, left, up, CORONAL),
        CutPlane("sagittal", centre_mm, back, up, SAGITTAL),
        needle_plane(frame, path),
    )


def needle_plane(frame: SacralFrame, path: AccessPath) -> CutPlane:
    """The plane that holds a needle, with its bends; of a straight one the most familiar plane.

    That is the one nearest to the axial plane, or to the sagittal one for a needle that runs along
    the sacrum.
    """
    points = path.points_mm - path.points_mm.mean(axis=0)
    _, size, ways = np.linalg.svd(points)
    track = path.tip_mm - path.entry_mm
    track = track / np.linalg.norm(track)
    along = abs(float(track @ frame.superior)) > np.sqrt(0.5)
    if size[1] > STRAIGHT_MM:
        normal = ways[2]
        along = abs(float(normal @ frame.left)) > abs(float(normal @ frame.superior))
    else:
        wanted = frame.left if along else -frame.superior
        normal = wanted - (wanted @ track) * track
        normal = normal / np.linalg.norm(normal)
    first, second = (frame.posterior, frame.superior) if along else (frame.left, -frame.posterior)
    right = first - (first @ normal) * normal
    right = right / np.linalg.norm(right)
    up = np.cross(normal, right)
    up = up if up @ second > 0.0 else -up
    letters = tuple(direction_letters(frame, way) for way in (-right, right, -up, up))
    return CutPlane(
        "along the needle", path.tip_mm, right, up, (letters[0], letters[1], letters[2], letters[3])
    )


def direction_letters(frame: SacralFrame, way: FloatArray) -> str:
    """The patient's directions that a unit vector has, the largest first: ``A``, ``AS``."""
    parts = frame.axes @ way
    order = np.argsort(-np.abs(parts))
    names = ("RL", "AP", "IS")
    kept = [axis for axis in order if abs(parts[axis]) > 0.4]
    return "".join(names[axis][int(parts[axis] > 0.0)] for axis in kept)


def needle_mm(path: AccessPath) -> FloatArray:
    """The cannula's axis from behind its entry to its tip, world, shape (k + 1, 3)."""
    outwards = path.points_mm[0] - path.points_mm[1]
    start = path.points_mm[0] + NEEDLE_MM * outwards / np.linalg.norm(outwards)
    return np.vstack([start, path.points_mm])


def cut(field: OperatingField, plane: CutPlane, path: AccessPath) -> PlanSlice:
    """The slice of a plane, cropped to the sacrum and the needle in it."""
    axis = np.arange(-HALF_MM, HALF_MM, PIXEL_MM)
    right, up = np.meshgrid(axis, axis)
    world = plane.to_world(np.stack([right, up], axis=-1).reshape(-1, 2))
    index = field.tissue.index_of(field.atlas.frame.to_local(world)).T
    piece = PlanSlice(plane, axis, axis, index.reshape(3, *right.shape))
    bone = piece.nearest((field.tissue.tissue == BONE).astype(np.uint8)) > 0
    needle = plane.flat(needle_mm(path))
    kept = []
    for way, place in ((0, needle[:, 1]), (1, needle[:, 0])):
        seen = axis[bone.any(axis=1 - way)]
        ends = np.concatenate([seen, place])
        low, high = ends.min() - BORDER_MM, ends.max() + BORDER_MM
        first, last = np.searchsorted(axis, [low, high])
        kept.append(slice(int(first), int(max(last, first + 2))))
    rows, columns = kept
    return PlanSlice(plane, axis[columns], axis[rows], piece.index[:, rows, columns])
