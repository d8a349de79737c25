"""Landmarks of one sacrum: frame, joint surfaces, S1 foramina and the lateral masses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.frame import SacralFrame, left_axis, make_frame, symmetry_plane
from sacrofem.anatomy.joints import (
    DISC_GAP_MM,
    SACROILIAC_GAP_MM,
    SurfaceTag,
    faces_label,
    largest,
    pieces,
)
from sacrofem.anatomy.surface import BoneSurface, bone_surface, largest_piece
from sacrofem.errors import InputError
from sacrofem.image.files import require_labels
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.volume import FloatArray, LabelMap

#: Where the S1 foramen is looked for, in the frame, in mm: its lateral border is 31 mm from the
#: midline and 30 mm below the promontory, its posterior opening 23.5 mm from the midline
#: (facts: denervation guide; epain, n = 632).
FORAMEN_S1_LATERAL_MM = (13.0, 34.0)
FORAMEN_S1_BELOW_MM = (14.0, 42.0)
#: The endplate is nearly flat: triangles tilted more than this from it belong to its rim.
ENDPLATE_TILT_DEG = 45.0
#: Half of the widest S1 endplate, in mm: S1 body width 40.3 +/- 7.0 mm plus two SD
#: (facts: PMC5799488, n = 78). Cuts off the wings where they face the processes of L5.
ENDPLATE_HALF_WIDTH_MM = 27.0
#: Depth under the endplate at which the front wall of the canal is looked for.
CANAL_BELOW_ENDPLATE_MM = 8.0
#: Largest gap of a lumbosacral facet joint that is bridged, and where the facets lie.
FACET_GAP_MM = 6.0
FACET_LATERAL_MM = (8.0, 34.0)
#: Smallest area of an S1 facet that is believed, in mm2.
FACET_AREA_AT_LEAST_MM2 = 15.0

SIDES = ("left", "right")


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What the program knows of one sacrum.

    Attributes:
        frame: Sacral frame.
        surface: Smooth surface of the sacrum.
        surface_tag: :class:`SurfaceTag` of each triangle, shape (m,).
        foramen_s1_mm: Middle of the S1 foramen by side, world, shape (3,).
        lateral_mass_mm: Centre of the largest sphere inside each lateral mass of S1, world.
        warnings: What was not found, and what was done instead.
    """

    frame: SacralFrame
    surface: BoneSurface
    surface_tag: NDArray[np.int8]
    foramen_s1_mm: dict[str, FloatArray]
    lateral_mass_mm: dict[str, FloatArray]
    warnings: tuple[str, ...]

    def area_mm2(self, tag: SurfaceTag) -> float:
        """Area of one tagged part of the surface."""
        return float(self.surface.areas_mm2[self.surface_tag == tag].sum())


def find_anatomy(labels: LabelMap, source: str = "labels") -> Anatomy:
    """Find frame, joint surfaces, foramina and lateral masses in a label map.

    Args:
        labels: Label map with sacrum, both hips and L5.
        source: Name of the label file for messages.

    Raises:
        InputError: A label is missing, sides are swapped, or the S1 endplate or an auricular
            surface is not found.
    """
    require_labels(labels, (SACRUM, HIP_LEFT, HIP_RIGHT, L5), source)
    guess = left_axis(labels)
    surface = bone_surface(labels, SACRUM)
    tag = np.zeros(len(surface.triangles), dtype=np.int8)
    frame = _tag_endplate(tag, surface, labels, guess, source)
    warnings = _tag_facets(tag, surface, labels, frame)
    _tag_auricular(tag, surface, labels, source)
    foramen = {side: _foramen_s1(labels, frame, side) for side in SIDES}
    mass = {side: _lateral_mass(labels, frame, foramen[side], side) for side in SIDES}
    return Anatomy(frame, surface, tag, foramen, mass, warnings)


def side_sign(side: str) -> int:
    """The sign of the frame's left coordinate on a side."""
    return 1 if side == "left" else -1


def _tag_endplate(
    tag: NDArray[np.int8],
    surface: BoneSurface,
    labels: LabelMap,
    guess: FloatArray,
    source: str,
) -> SacralFrame:
    """Tag the S1 endplate and return the frame that stands on it.

    What faces L5 includes the superior articular processes and parts of the wings, joined to the
    endplate by narrow strips. A first frame from all of it shows where the canal begins; the
    endplate is what lies in front of that.
    """
    towards = faces_label(surface.centroids_mm, surface.normals, labels, L5, DISC_GAP_MM)
    endplate = largest(pieces(surface.triangles, towards), surface.areas_mm2)
    if not endplate.any():
        raise InputError(
            f"{source}: no part of the sacrum faces L5 within {DISC_GAP_MM:g} mm, so the S1 "
            "endplate is unknown; label L5 (27) down to its lower endplate."
        )
    normal, offset = symmetry_plane(surface, guess)
    for _ in range(2):
        up = _plane_normal(surface, endplate)
        weight = surface.areas_mm2 * endplate
        frame = make_frame(normal, offset, up, weight @ surface.centroids_mm / weight.sum())
        local = frame.to_local(surface.centroids_mm)
        front = towards & (local[:, 1] < _canal_front_mm(labels, frame))
        front &= np.abs(local[:, 0]) < ENDPLATE_HALF_WIDTH_MM
        front &= surface.normals @ up > np.cos(np.radians(ENDPLATE_TILT_DEG))
        endplate = largest(pieces(surface.triangles, front), surface.areas_mm2)
    tag[endplate] = SurfaceTag.ENDPLATE_S1
    return frame


def _canal_front_mm(labels: LabelMap, frame: SacralFrame) -> float:
    """Posterior border of the S1 body in the mid-sagittal plane, in the frame."""
    y = np.arange(-10.0, 50.0, 0.5)
    depth = np.arange(-CANAL_BELOW_ENDPLATE_MM - 4.0, -CANAL_BELOW_ENDPLATE_MM + 4.0)
    local = np.stack(np.meshgrid([0.0], y, depth, indexing="ij"), axis=-1).reshape(-1, 3)
    bone = sample_mask(labels, SACRUM, frame.to_world(local)).reshape(len(y), -1).mean(axis=1)
    outside = np.flatnonzero(bone < 0.5)
    return float(y[outside[0]]) if len(outside) else float(y[-1])


def sample_mask(labels: LabelMap, label: int, world_mm: FloatArray) -> NDArray[np.float32]:
    """The indicator of a label, linearly interpolated at world points, shape (n,)."""
    mask = labels.mask(label).astype(np.float32)
    index = labels.grid.to_index(world_mm).T
    return np.asarray(ndimage.map_coordinates(mask, index, order=1, mode="constant"))


def _plane_normal(surface: BoneSurface, chosen: NDArray[np.bool_]) -> FloatArray:
    """Outward normal of the plane through a patch, by least squares, area-weighted.

    The mean of the triangles' normals would lean towards the side whose bent rim was caught.
    """
    weight = surface.areas_mm2[chosen]
    points = surface.centroids_mm[chosen]
    offset = points - weight @ points / weight.sum()
    normal = np.linalg.svd(np.sqrt(weight)[:, None] * offset, full_matrices=False)[2][2]
    outward = np.sign(weight @ surface.normals[chosen] @ normal)
    return np.asarray(outward * normal)


def _tag_facets(
    tag: NDArray[np.int8], surface: BoneSurface, labels: LabelMap, frame: SacralFrame
) -> tuple[str, ...]:
    seen = faces_label(surface.centroids_mm, surface.normals, labels, L5, FACET_GAP_MM)
    local = frame.to_local(surface.centroids_mm)
    behind = seen & (tag == 0) & (local[:, 1] > _canal_front_mm(labels, frame))
    warnings = []
    for side, value in (("left", SurfaceTag.FACET_S1_LEFT), ("right", SurfaceTag.FACET_S1_RIGHT)):
        lateral = side_sign(side) * local[:, 0]
        there = behind & (lateral > FACET_LATERAL_MM[0]) & (lateral < FACET_LATERAL_MM[1])
        number = pieces(surface.triangles, there)
        facet = largest(number, surface.areas_mm2, FACET_AREA_AT_LEAST_MM2)
        tag[facet] = value
        if not facet.any():
            warnings.append(
                f"no {side} S1 facet faces L5 within {FACET_GAP_MM:g} mm in these labels; its load "
                "goes to the other facet or, where both are missing, to the endplate"
            )
    return tuple(warnings)


def _tag_auricular(
    tag: NDArray[np.int8], surface: BoneSurface, labels: LabelMap, source: str
) -> None:
    for label, value in (
        (HIP_LEFT, SurfaceTag.AURICULAR_LEFT),
        (HIP_RIGHT, SurfaceTag.AURICULAR_RIGHT),
    ):
        seen = faces_label(surface.centroids_mm, surface.normals, labels, label, SACROILIAC_GAP_MM)
        joint = largest(pieces(surface.triangles, seen & (tag == 0)), surface.areas_mm2, 200.0)
        if not joint.any():
            raise InputError(
                f"{source}: no part of the sacrum faces the hip label {label} within "
                f"{SACROILIAC_GAP_MM:g} mm over at least 2 cm2, so the sacroiliac joint is unknown;"
                " label the hip up to its joint surface."
            )
        tag[joint] = value


def _foramen_s1(labels: LabelMap, frame: SacralFrame, side: str) -> FloatArray:
    """Where the bone is thinnest from front to back in the window of the S1 foramen."""
    step = 1.0
    x = side_sign(side) * np.arange(*FORAMEN_S1_LATERAL_MM, step)
    y = np.arange(-60.0, 60.0, step)
    z = -np.arange(*FORAMEN_S1_BELOW_MM, step)
    local = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    world = frame.to_world(local.reshape(-1, 3))
    bone = sample_mask(labels, SACRUM, world).reshape(local.shape[:3])
    # Missing bone outside the wings is no foramen: columns count only between front and back.
    thickness = ndimage.gaussian_filter(bone.sum(axis=1) * step, 2.0 / step, mode="nearest")
    i, k = np.unravel_index(int(thickness.argmin()), thickness.shape)
    column = bone[i].sum(axis=1) if bone[i, :, k].sum() < 1.0 else bone[i, :, k]
    middle = float((column * y).sum() / max(column.sum(), 1e-9))
    return np.asarray(frame.to_world(np.array([[x[i], middle, z[k]]]))[0])


def _lateral_mass(
    labels: LabelMap, frame: SacralFrame, foramen_mm: FloatArray, side: str
) -> FloatArray:
    """Centre of the largest sphere in the bone lateral to and above the S1 foramen."""
    bone = largest_piece(labels.mask(SACRUM))
    depth = ndimage.distance_transform_edt(bone, sampling=labels.grid.spacing_mm)
    index = np.argwhere(bone).astype(np.float64)
    local = frame.to_local(labels.grid.to_world(index))
    foramen = frame.to_local(foramen_mm[None])[0]
    sign = side_sign(side)
    # The plateau of the distance map is flat: weigh by a high power instead of taking one voxel.
    here = (sign * (local[:, 0] - foramen[0]) > 6.0) & (local[:, 2] > foramen[2] - 5.0)
    if not here.any():
        raise InputError(
            f"no bone lies lateral to the {side} S1 foramen found at {foramen.round(0)} mm in the "
            "sacral frame; give the label of the whole sacrum with its wings."
        )
    weight = depth[bone][here] ** 8
    return np.asarray(frame.to_world((weight @ local[here] / weight.sum())[None])[0])
