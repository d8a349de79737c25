"""Which part of the sacrum's surface faces L5 and which the ilia: endplate, facets, auricular.

A triangle faces a bone when a ray along its outward normal meets that bone's label within a stated
gap. The largest connected piece is the joint; pieces behind it on either side are the facets.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.surface import BoneSurface
from sacrofem.errors import InputError
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, NAMES
from sacrofem.image.volume import FloatArray, LabelMap

#: Largest disc height of L5-S1 that is bridged, in mm.
DISC_GAP_MM = 18.0
#: Largest width of the sacroiliac joint that is bridged, in mm: the interosseous recess behind the
#: auricular surface is wider.
SACROILIAC_GAP_MM = 6.0
#: What stands farther back from the hip than the median of the joint by this is its recess, in mm
#: (a choice: half the undulation of the joint's surface and half a voxel of 3 mm).
RECESS_MM = 2.5
#: Smallest auricular surface that is believed, in mm2.
AURICULAR_AREA_AT_LEAST_MM2 = 200.0
#: A joint given by its centre alone: 15.0 cm2 (Poilliot) as a disk, and how far its triangles may
#: tilt from the one at the centre (a choice).
AURICULAR_RADIUS_MM, AURICULAR_TILT_DEG = 21.9, 60.0
#: Largest gap of a lumbosacral facet joint that is bridged, and where the facets lie.
FACET_GAP_MM = 6.0
FACET_LATERAL_MM = (8.0, 34.0)
#: Smallest area of an S1 facet that is believed, in mm2.
FACET_AREA_AT_LEAST_MM2 = 15.0
STEP_MM = 0.5


class SurfaceTag(IntEnum):
    """Numbers of the tagged parts of a bone's surface."""

    FREE = 0
    ENDPLATE_S1 = 1
    FACET_S1_LEFT = 2
    FACET_S1_RIGHT = 3
    AURICULAR_LEFT = 4
    AURICULAR_RIGHT = 5
    ACETABULUM_LEFT = 6
    ACETABULUM_RIGHT = 7
    ISCHIUM_LEFT = 8
    ISCHIUM_RIGHT = 9


def faces_label(
    centroids_mm: FloatArray, normals: FloatArray, labels: LabelMap, label: int, gap_mm: float
) -> NDArray[np.bool_]:
    """Which triangles see a label along their outward normal within ``gap_mm``, shape (m,).

    Arguments are those of :func:`gap_to_label`.
    """
    return np.isfinite(gap_to_label(centroids_mm, normals, labels, label, gap_mm))


def gap_to_label(
    centroids_mm: FloatArray, normals: FloatArray, labels: LabelMap, label: int, gap_mm: float
) -> FloatArray:
    """How far along their outward normals triangles see a label, in mm, shape (m,); inf if not.

    Args:
        centroids_mm: Centroids of the triangles, shape (m, 3).
        normals: Outward unit normals, shape (m, 3).
        labels: The label map.
        label: The label to look for.
        gap_mm: Length of the ray.
    """
    # Interpolated, not the nearest voxel: rounding would favour one direction of each axis, and a
    # mirrored patient would get other joints. Only the box that the rays reach is looked at.
    start = labels.grid.to_index(centroids_mm)
    way = labels.grid.to_index(centroids_mm + normals) - start
    reach = np.stack([start, start + gap_mm * way]).reshape(-1, 3)
    low = np.clip(np.floor(reach.min(axis=0)).astype(int) - 1, 0, None)
    high = np.ceil(reach.max(axis=0)).astype(int) + 2
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    mask = (labels.labels[box] == label).astype(np.float32)
    gap = np.full(len(centroids_mm), np.inf)
    if not mask.any():
        return gap
    for distance in np.arange(STEP_MM, gap_mm + 0.5 * STEP_MM, STEP_MM):
        rest = np.flatnonzero(np.isinf(gap))
        index = (start[rest] + distance * way[rest] - low).T
        seen = ndimage.map_coordinates(mask, index, order=1, mode="constant") > 0.5
        gap[rest[seen]] = distance
    return gap


def pieces(triangles: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of the connected piece (by shared vertices) of each chosen triangle, -1 elsewhere."""
    number = np.full(len(triangles), -1, dtype=np.int64)
    rows = np.flatnonzero(chosen)
    if len(rows) == 0:
        return number
    vertex = triangles[rows]
    row = np.repeat(np.arange(len(rows)), 3)
    size = len(rows) + int(triangles.max()) + 1
    link = coo_matrix((np.ones(row.size), (row, len(rows) + vertex.ravel())), shape=(size, size))
    number[rows] = connected_components(link, directed=False)[1][: len(rows)]
    return number


def largest(
    number: NDArray[np.int64], areas_mm2: FloatArray, at_least_mm2: float = 0.0
) -> NDArray[np.bool_]:
    """The triangles of the piece with the largest area, none if it is smaller than asked."""
    chosen = number >= 0
    if not chosen.any():
        return chosen
    _, compact = np.unique(number[chosen], return_inverse=True)
    area = np.bincount(compact, weights=areas_mm2[chosen])
    if area.max() < at_least_mm2:
        return np.zeros_like(chosen)
    best = np.zeros_like(chosen)
    best[np.flatnonzero(chosen)[compact == area.argmax()]] = True
    return best


def find_facets(
    surface: BoneSurface,
    labels: LabelMap,
    frame: SacralFrame,
    canal_front_mm: float,
    free: NDArray[np.bool_],
) -> tuple[dict[SurfaceTag, NDArray[np.bool_]], tuple[str, ...]]:
    """The S1 facets: what faces L5 behind the body, on either side.

    Args:
        surface: The sacrum.
        labels: The label map.
        frame: Sacral frame.
        canal_front_mm: Posterior border of the S1 body in the frame.
        free: Triangles without a tag so far, shape (m,).

    Returns:
        The triangles of each facet, shape (m,), and what was not found, in words.
    """
    seen = faces_label(surface.centroids_mm, surface.normals, labels, L5, FACET_GAP_MM)
    local = frame.to_local(surface.centroids_mm)
    behind = seen & free & (local[:, 1] > canal_front_mm)
    facets, warnings = {}, []
    for side, sign, tag in (
        ("left", 1.0, SurfaceTag.FACET_S1_LEFT),
        ("right", -1.0, SurfaceTag.FACET_S1_RIGHT),
    ):
        lateral = sign * local[:, 0]
        there = behind & (lateral > FACET_LATERAL_MM[0]) & (lateral < FACET_LATERAL_MM[1])
        number = pieces(surface.triangles, there)
        facets[tag] = largest(number, surface.areas_mm2, FACET_AREA_AT_LEAST_MM2)
        if not facets[tag].any():
            warnings.append(
                f"no {side} S1 facet faces L5 within {FACET_GAP_MM:g} mm in these labels; its load "
                "goes to the other facet or, where both are missing, to the endplate"
            )
    return facets, tuple(warnings)


def find_auricular(
    surface: BoneSurface,
    labels: LabelMap,
    free: NDArray[np.bool_],
    given_mm: dict[str, FloatArray],
    source: str,
) -> dict[SurfaceTag, NDArray[np.bool_]]:
    """The auricular surfaces: what faces the hips, or a disk about a given centre.

    Args:
        surface: The sacrum.
        labels: The label map.
        free: Triangles without a tag so far, shape (m,).
        given_mm: Centres of the joints that are given, by side, world.
        source: Name of the label file for messages.

    Raises:
        InputError: A hip has no label or is too far away, and its joint is not given.
    """
    found = {}
    for side, label, tag in (
        ("left", HIP_LEFT, SurfaceTag.AURICULAR_LEFT),
        ("right", HIP_RIGHT, SurfaceTag.AURICULAR_RIGHT),
    ):
        if side in given_mm:
            found[tag] = free & _disk(surface, given_mm[side])
            continue
        if not labels.mask(label).any():
            raise InputError(
                f"{source}: label {label} ({NAMES[label]}) is missing, so the {side} auricular "
                f"surface is unknown; label the hip, or give landmarks.auricular.{side}, the "
                "centre of the joint in world mm."
            )
        found[tag] = _facing(surface, labels, free, label)
        if not found[tag].any():
            raise InputError(
                f"{source}: no part of the sacrum faces the hip label {label} within "
                f"{SACROILIAC_GAP_MM:g} mm over at least "
                f"{AURICULAR_AREA_AT_LEAST_MM2 / 100:g} cm2, so the {side} sacroiliac joint is "
                "unknown; label the hip up to its joint surface (is it cut off by the edge of the "
                f"image?), or give landmarks.auricular.{side}."
            )
    return found


def _facing(
    surface: BoneSurface, labels: LabelMap, free: NDArray[np.bool_], label: int
) -> NDArray[np.bool_]:
    """The largest piece that faces a hip, without the recess behind the joint, shape (m,).

    How wide a joint is depends on who drew the labels: some leave no gap at all, and the recess
    then lies within a fixed distance too. What stands back from the joint itself is no joint.
    """
    gap = gap_to_label(surface.centroids_mm, surface.normals, labels, label, SACROILIAC_GAP_MM)
    number = pieces(surface.triangles, np.isfinite(gap) & free)
    joint = largest(number, surface.areas_mm2, AURICULAR_AREA_AT_LEAST_MM2)
    if not joint.any():
        return joint
    rows = np.flatnonzero(joint)[np.argsort(gap[joint], kind="stable")]
    area = np.cumsum(surface.areas_mm2[rows])
    middle_mm = float(gap[rows[np.searchsorted(area, 0.5 * area[-1])]])
    close = joint & (gap <= middle_mm + RECESS_MM)
    return largest(pieces(surface.triangles, close), surface.areas_mm2)


def _disk(surface: BoneSurface, centre_mm: FloatArray) -> NDArray[np.bool_]:
    """The triangles about a centre that look the same way as the nearest one, shape (m,)."""
    away = np.linalg.norm(surface.centroids_mm - centre_mm, axis=1)
    near = away < away.min() + 5.0
    normal = surface.areas_mm2[near] @ surface.normals[near]
    normal = normal / np.linalg.norm(normal)
    facing = surface.normals @ normal > np.cos(np.radians(AURICULAR_TILT_DEG))
    chosen = facing & (away < AURICULAR_RADIUS_MM)
    return largest(pieces(surface.triangles, chosen), surface.areas_mm2)
