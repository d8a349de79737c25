"""Planes of the sacral frame through the lesion, with the mesh resampled onto them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.report.view import BoneView

#: Distance of the points of a slice, in mm: finer than the cells, so their borders are smooth.
PIXEL_MM = 0.5
#: Space around the bone in a slice, in mm.
BORDER_MM = 7.0
#: A point belongs to a region when the nearest sample does and is not farther than this, in mm.
REACH_MM = 1.5


@dataclass(frozen=True)
class Plane:
    """A plane of the sacral frame, drawn in the radiological convention.

    Axes are numbered left 0, posterior 1, superior 2. ``right_of`` and ``up_of`` are the axes that
    run to the right and upwards in the picture; ``up_sign`` is -1 where they run downwards.
    ``letters`` stand at the picture's left, right, lower and upper side.
    """

    name: str
    right_of: int
    up_of: int
    up_sign: int
    letters: tuple[str, str, str, str]

    @property
    def through(self) -> int:
        """The axis across the plane."""
        return 3 - self.right_of - self.up_of


#: Axial seen from the feet, coronal from the front, sagittal from the patient's left.
PLANES = (
    Plane("axial", 0, 1, -1, ("R", "L", "P", "A")),
    Plane("coronal", 0, 2, 1, ("R", "L", "I", "S")),
    Plane("sagittal", 1, 2, 1, ("A", "P", "I", "S")),
)


@dataclass(frozen=True, eq=False)
class Slice:
    """The points of a plane through the largest lesion's centre.

    Attributes:
        plane: The plane.
        at_mm: Its place on the axis across it, frame coordinates.
        local_mm: Frame coordinates of the points, shape (h, w, 3).
        bone: Which points lie in the bone, shape (h, w).
        cell: The cell whose centroid is nearest to each point, shape (h, w).
    """

    plane: Plane
    at_mm: float
    local_mm: FloatArray
    bone: NDArray[np.bool_]
    cell: NDArray[np.int64]

    @property
    def right_mm(self) -> FloatArray:
        """Coordinates of the columns, shape (w,)."""
        return np.asarray(self.local_mm[0, :, self.plane.right_of])

    @property
    def up_mm(self) -> FloatArray:
        """Coordinates of the rows, shape (h,)."""
        return np.asarray(self.local_mm[:, 0, self.plane.up_of])

    def of_cells(self, values: FloatArray) -> np.ma.MaskedArray:
        """Values of the cells, shape (m,), on the points, masked outside the bone."""
        return np.ma.masked_array(values[self.cell], ~self.bone)


def cut(view: BoneView) -> tuple[Slice, ...]:
    """The slices of all planes through the largest lesion's centre."""
    frame = view.mesh.frame
    local = frame.to_local(view.mesh.points_mm)
    low, high = local.min(axis=0) - BORDER_MM, local.max(axis=0) + BORDER_MM
    centre = frame.to_local(view.centre_mm[None])[0]
    tree = cKDTree(frame.to_local(view.mesh.centroids_mm))
    # The voxels of the grid would show as steps in the outline of the bone.
    softened = ndimage.gaussian_filter((view.tissue.tissue == BONE).astype(float), 0.8)
    return tuple(_cut(view, plane, low, high, centre, tree, softened) for plane in PLANES)


def _cut(
    view: BoneView,
    plane: Plane,
    low: FloatArray,
    high: FloatArray,
    centre: FloatArray,
    tree: cKDTree,
    softened: FloatArray,
) -> Slice:
    axes = [np.arange(low[i], high[i], PIXEL_MM) for i in (plane.right_of, plane.up_of)]
    right, up = np.meshgrid(*axes)
    points = np.empty((*right.shape, 3))
    points[..., plane.right_of], points[..., plane.up_of] = right, up
    points[..., plane.through] = centre[plane.through]
    bone = on_tissue(view, softened, points) > 0.5
    shown, inside = _cropped(points, bone)
    cell = np.zeros(inside.shape, dtype=np.int64)
    cell[inside] = tree.query(shown[inside])[1]
    return Slice(plane, float(centre[plane.through]), shown, inside, cell)


def _cropped(points: FloatArray, bone: NDArray[np.bool_]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """A slice without what is farther from its bone than the border."""
    border = round(BORDER_MM / PIXEL_MM)
    rows, columns = (np.flatnonzero(bone.any(axis=axis)) for axis in (1, 0))
    keep = tuple(
        slice(max(int(found[0]) - border, 0), int(found[-1]) + border + 1)
        if len(found)
        else slice(None)
        for found in (rows, columns)
    )
    return points[keep], bone[keep]


def on_tissue(view: BoneView, values: FloatArray, local_mm: FloatArray) -> FloatArray:
    """Values of the tissue grid at frame coordinates, shape (..., 3), linear; 0 outside it."""
    index = view.tissue.index_of(local_mm.reshape(-1, 3)).T
    return np.asarray(ndimage.map_coordinates(values, index, order=1)).reshape(local_mm.shape[:-1])


def in_region(view: BoneView, inside: NDArray[np.bool_], local_mm: FloatArray) -> NDArray[np.bool_]:
    """Which points lie in a region of the bone's samples.

    Args:
        view: The bone.
        inside: Which samples make the region, shape (s,).
        local_mm: Frame coordinates, shape (..., 3).
    """
    points = local_mm.reshape(-1, 3)
    found = np.zeros(len(points), dtype=bool)
    if not inside.any():
        return found.reshape(local_mm.shape[:-1])
    samples = view.mesh.frame.to_local(view.samples.points_mm)
    region = samples[inside]
    low = np.maximum(region.min(axis=0), points.min(axis=0)) - 2.0 * REACH_MM
    high = np.minimum(region.max(axis=0), points.max(axis=0)) + 2.0 * REACH_MM
    near = ((samples >= low) & (samples <= high)).all(axis=1)
    asked = ((points >= low) & (points <= high)).all(axis=1)
    if not near.any() or not asked.any():
        return found.reshape(local_mm.shape[:-1])
    member = np.append(inside[near], False)
    _, nearest = cKDTree(samples[near]).query(points[asked], distance_upper_bound=REACH_MM)
    found[asked] = member[nearest]
    return found.reshape(local_mm.shape[:-1])
