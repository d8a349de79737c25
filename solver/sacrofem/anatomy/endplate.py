"""The S1 endplate: what faces L5, or the flat upper end of the bone where L5 has no label."""

import numpy as np
from numpy.typing import NDArray

from sacrofem.anatomy.frame import SacralFrame, make_frame
from sacrofem.anatomy.joints import DISC_GAP_MM, faces_label, largest, pieces
from sacrofem.anatomy.surface import BoneIndicator, BoneSurface
from sacrofem.errors import InputError
from sacrofem.image.labels import L5
from sacrofem.image.volume import FloatArray, LabelMap

#: The endplate is nearly flat: triangles tilted more than this from it belong to its rim.
ENDPLATE_TILT_DEG = 45.0
#: Half of the widest S1 endplate, in mm: S1 body width 40.3 +/- 7.0 mm plus two SD
#: (facts: PMC5799488, n = 78). Cuts off the wings where they face the processes of L5.
ENDPLATE_HALF_WIDTH_MM = 27.0
#: Depth under the endplate at which the front wall of the canal is looked for.
CANAL_BELOW_ENDPLATE_MM = 8.0
#: Without L5: tilts of the endplate that are tried, forwards from the patient's axial plane
#: (sacral slope, 41 +/- 8 degrees in health, Vialle 2005), and how flat it is: mostly within this
#: angle and this distance of its plane. The last two are choices.
SLOPES_DEG = (-20.0, 90.0, 5.0)
FLAT_DEG, FLAT_MM = 30.0, 6.0
#: Smallest endplate that is believed, in mm2: half of 40 x 30 mm.
ENDPLATE_AREA_AT_LEAST_MM2 = 500.0


def find_endplate(
    labels: LabelMap,
    bone: BoneIndicator,
    surface: BoneSurface,
    plane: tuple[FloatArray, float],
    source: str,
) -> tuple[NDArray[np.bool_], SacralFrame]:
    """The triangles of the S1 endplate, shape (m,), and the frame that stands on it.

    What faces L5 includes the superior articular processes and parts of the wings, joined to the
    endplate by narrow strips. A first frame from all of it shows where the canal begins; the
    endplate is what lies in front of that.

    Args:
        labels: The label map.
        bone: Indicator of the sacrum.
        surface: Its surface.
        plane: Mid-sagittal plane: unit normal to the left, and offset in mm.
        source: Name of the label file for messages.

    Raises:
        InputError: Nothing faces L5, or without L5 there is no flat upper end.
    """
    if labels.mask(L5).any():
        towards = faces_label(surface.centroids_mm, surface.normals, labels, L5, DISC_GAP_MM)
        start = largest(pieces(surface.triangles, towards), surface.areas_mm2)
        if not start.any():
            raise InputError(
                f"{source}: no part of the sacrum faces L5 within {DISC_GAP_MM:g} mm, so the S1 "
                "endplate is unknown; label L5 (27) down to its lower endplate, or give "
                "landmarks.frame."
            )
        return _refined(bone, surface, plane, towards, start, source)
    start, up = _flat_upper_end(surface, plane, source)
    # The hollow of the pelvic face looks up as well, far below.
    height = surface.centroids_mm @ up
    towards = (surface.normals @ up > 0.5) & (height > height[start].min() - FLAT_MM)
    return _refined(bone, surface, plane, towards, start, source)


def endplate_of(bone: BoneIndicator, surface: BoneSurface, frame: SacralFrame) -> NDArray[np.bool_]:
    """The triangles of the S1 endplate in a given frame, whose origin lies on it, shape (m,)."""
    local = frame.to_local(surface.centroids_mm)
    near = np.abs(local[:, 2]) < 2.0 * FLAT_MM
    return _in_front(bone, surface, frame, frame.superior, near)


def promontory(surface: BoneSurface, frame: SacralFrame) -> FloatArray:
    """The front corner of the S1 body in the midline, world, shape (3,).

    Where a line at 45 degrees to the endplate touches the bone; the mean of what it touches, as the
    corner is flat across the midline.
    """
    local = frame.to_local(surface.points_mm)
    body = local[(np.abs(local[:, 0]) < 6.0) & (local[:, 1] < 0.0)]
    reach = body[:, 2] - body[:, 1]
    corner = body[reach > reach.max() - 0.7].mean(axis=0) * [0.0, 1.0, 1.0]
    return np.asarray(frame.to_world(corner[None])[0])


def endplate_size(
    surface: BoneSurface, chosen: NDArray[np.bool_], frame: SacralFrame
) -> tuple[float, float]:
    """Width and midline depth of the endplate in mm, with its rounded rim."""
    local = frame.to_local(surface.points_mm[np.unique(surface.triangles[chosen])])
    if len(local) == 0:
        return 0.0, 0.0
    middle = local[np.abs(local[:, 0]) < 6.0]
    return float(np.ptp(local[:, 0])), float(np.ptp(middle[:, 1])) if len(middle) else 0.0


def canal_front_mm(bone: BoneIndicator, frame: SacralFrame) -> float:
    """Posterior border of the S1 body in the mid-sagittal plane, in the frame."""
    y = np.arange(-10.0, 50.0, 0.5)
    depth = np.arange(-CANAL_BELOW_ENDPLATE_MM - 4.0, -CANAL_BELOW_ENDPLATE_MM + 4.0)
    local = np.stack(np.meshgrid([0.0], y, depth, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = bone.sample(frame.to_world(local)).reshape(len(y), -1).mean(axis=1)
    outside = np.flatnonzero(inside < 0.5)
    return float(y[outside[0]]) if len(outside) else float(y[-1])


def _refined(
    bone: BoneIndicator,
    surface: BoneSurface,
    plane: tuple[FloatArray, float],
    towards: NDArray[np.bool_],
    start: NDArray[np.bool_],
    source: str,
) -> tuple[NDArray[np.bool_], SacralFrame]:
    """The endplate within ``towards``, from a first guess of it."""
    endplate = start
    for _ in range(2):
        up = _plane_normal(surface, endplate)
        weight = surface.areas_mm2 * endplate
        frame = make_frame(*plane, up, weight @ surface.centroids_mm / weight.sum())
        endplate = _in_front(bone, surface, frame, up, towards)
        if not endplate.any():
            raise InputError(
                f"{source}: the part of the sacrum that faces L5 is not the front of its upper end,"
                " so the S1 endplate is unknown; check the labels 25 and 27 (is the sacrum whole, "
                "and L5 the vertebra above it?), or give landmarks.frame."
            )
    return endplate, frame


def _in_front(
    bone: BoneIndicator,
    surface: BoneSurface,
    frame: SacralFrame,
    up: FloatArray,
    towards: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """The largest piece of ``towards`` that looks up, in front of the canal, between the wings."""
    local = frame.to_local(surface.centroids_mm)
    front = towards & (local[:, 1] < canal_front_mm(bone, frame))
    front &= np.abs(local[:, 0]) < ENDPLATE_HALF_WIDTH_MM
    front &= surface.normals @ up > np.cos(np.radians(ENDPLATE_TILT_DEG))
    return largest(pieces(surface.triangles, front), surface.areas_mm2)


def _flat_upper_end(
    surface: BoneSurface, plane: tuple[FloatArray, float], source: str
) -> tuple[NDArray[np.bool_], FloatArray]:
    """The largest flat patch at the upper end of the bone, and its normal.

    For every tilt the patch touches the plane that rests on the middle of the bone.
    """
    normal, offset = plane
    centroids, normals = surface.centroids_mm, surface.normals
    middle = np.abs(centroids @ normal - offset) < 0.75 * ENDPLATE_HALF_WIDTH_MM
    head = np.array([0.0, 0.0, 1.0]) - normal[2] * normal
    head /= np.linalg.norm(head)
    front = -np.cross(head, normal)
    best: NDArray[np.bool_] = np.zeros(len(middle), dtype=bool)
    best_up, best_mm2 = head, 0.0
    for slope in np.radians(np.arange(*SLOPES_DEG)):
        up = np.cos(slope) * head + np.sin(slope) * front
        height = centroids @ up
        flat = middle & (normals @ up > np.cos(np.radians(FLAT_DEG)))
        flat &= height > height[middle].max() - FLAT_MM
        patch = largest(pieces(surface.triangles, flat), surface.areas_mm2)
        area_mm2 = float(surface.areas_mm2[patch] @ (normals[patch] @ up))
        if area_mm2 > best_mm2:
            best, best_up, best_mm2 = patch, up, area_mm2
    if best_mm2 < ENDPLATE_AREA_AT_LEAST_MM2:
        raise InputError(
            f"{source}: without a label of L5 (27) the S1 endplate is looked for as the flat upper "
            f"end of the sacrum; the largest flat part has {best_mm2 / 100:.1f} cm2, at least "
            f"{ENDPLATE_AREA_AT_LEAST_MM2 / 100:g} are needed; label L5, or give landmarks.frame."
        )
    return best, best_up


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
