"""The sacral frame: axes that belong to the bone, whatever the position of the patient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from sacrofem.anatomy.surface import BoneSurface
from sacrofem.errors import InputError
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, NAMES
from sacrofem.image.volume import FloatArray, LabelMap

#: Points of the surface that the search for the plane of symmetry compares.
SYMMETRY_POINTS = 3000
#: Distances above this count as this: a bent coccyx must not turn the plane, in mm.
SYMMETRY_CLIP_MM = 5.0


@dataclass(frozen=True, eq=False)
class SacralFrame:
    """Origin at the centre of the S1 endplate, axes to the left, to the back and upwards.

    ``superior`` is the normal of the S1 endplate within the mid-sagittal plane; all axes are unit
    vectors in LPS, shape (3,), and ``left x posterior = superior``.
    """

    origin_mm: FloatArray
    left: FloatArray
    posterior: FloatArray
    superior: FloatArray

    @property
    def axes(self) -> FloatArray:
        """The axes as rows, shape (3, 3)."""
        return np.stack([self.left, self.posterior, self.superior])

    def to_local(self, world_mm: FloatArray) -> FloatArray:
        """Coordinates (left, posterior, superior) in mm of world points, shape (n, 3)."""
        return np.asarray((np.asarray(world_mm) - self.origin_mm) @ self.axes.T)

    def to_world(self, local_mm: FloatArray) -> FloatArray:
        """World points in mm, shape (n, 3), of frame coordinates, shape (n, 3)."""
        return np.asarray(np.asarray(local_mm) @ self.axes + self.origin_mm)


def left_axis(labels: LabelMap) -> FloatArray:
    """First guess of the unit vector to the patient's left: from the hips, else the file's x axis.

    Raises:
        InputError: The left hip lies on the right by the file's own axes.
    """
    if not all(labels.mask(label).any() for label in (HIP_LEFT, HIP_RIGHT)):
        return np.array([1.0, 0.0, 0.0])
    left, right = (_centroid(labels, label) for label in (HIP_LEFT, HIP_RIGHT))
    axis = (left - right) / np.linalg.norm(left - right)
    if axis[0] <= 0.0:
        raise InputError(
            f"the label {HIP_LEFT} ({NAMES[HIP_LEFT]}) lies at x = {left[0]:.0f} mm and "
            f"{HIP_RIGHT} ({NAMES[HIP_RIGHT]}) at x = {right[0]:.0f} mm, but x grows to the "
            "patient's left: the labels are swapped or the image is mirrored; export both again "
            "with their orientation."
        )
    return axis


def symmetry_plane(surface: BoneSurface, guess: FloatArray) -> tuple[FloatArray, float]:
    """The plane in which the bone mirrors best into itself.

    Args:
        surface: The bone.
        guess: Approximate unit normal of the plane.

    Returns:
        Its unit normal, shape (3,), on the side of ``guess``, and its offset ``normal . x`` in mm.
    """
    rng = np.random.default_rng(0)
    weight = surface.areas_mm2 / surface.areas_mm2.sum()
    points = surface.centroids_mm[rng.choice(len(weight), SYMMETRY_POINTS, p=weight)]
    tree = cKDTree(surface.centroids_mm)
    first, second = _perpendicular(guess)
    centre = points.mean(axis=0)

    def plane(x: FloatArray) -> tuple[FloatArray, float]:
        normal = guess + np.tan(x[0]) * first + np.tan(x[1]) * second
        normal = normal / np.linalg.norm(normal)
        return normal, float(normal @ centre + x[2] * 10.0)

    def mismatch(x: FloatArray) -> float:
        normal, offset = plane(x)
        mirrored = points - 2.0 * np.outer(points @ normal - offset, normal)
        distance = tree.query(mirrored, distance_upper_bound=SYMMETRY_CLIP_MM)[0]
        return float(np.minimum(distance, SYMMETRY_CLIP_MM).mean())

    best = minimize(
        mismatch,
        np.zeros(3),
        method="Nelder-Mead",
        options={"initial_simplex": 0.1 * np.vstack([np.zeros(3), np.eye(3)]), "xatol": 1e-3},
    )
    return plane(best.x)


def make_frame(
    normal: FloatArray, offset_mm: float, endplate_normal: FloatArray, endplate_centre: FloatArray
) -> SacralFrame:
    """The frame of a mid-sagittal plane and an S1 endplate (outward normal, centre in mm)."""
    superior = endplate_normal - (endplate_normal @ normal) * normal
    superior = superior / np.linalg.norm(superior)
    origin = endplate_centre - (endplate_centre @ normal - offset_mm) * normal
    return SacralFrame(origin, normal, np.cross(superior, normal), superior)


def _centroid(labels: LabelMap, label: int) -> NDArray[np.float64]:
    index = np.argwhere(labels.mask(label)).mean(axis=0)
    return np.asarray(labels.grid.to_world(index[None])[0])


def _perpendicular(axis: FloatArray) -> tuple[FloatArray, FloatArray]:
    first = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    first = first / np.linalg.norm(first)
    return first, np.cross(axis, first)
