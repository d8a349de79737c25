"""Cortical breach: which faces of the sacrum's surface a lesion has laid open."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import Part, boundary_facets, facet_areas_mm2
from sacrofem.mesh.compartments import PASSAGES, Compartment
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Breach

Box = tuple[slice, slice, slice]

#: A lesion has destroyed the cortex that is at most so far from it, in mm (a choice: the thickest
#: cortex, 2 mm, and a voxel).
REACH_MM = 3.0
#: The pelvic and the dorsal face look forwards and backwards across the sacral curve within
#: acos(0.5) = 60 degrees (a choice); what looks up or aside is neither.
FACING = 0.5
#: Smoothing of the bone's outline before its normals are taken, in mm.
NORMAL_SMOOTHING_MM = 1.5
JOINTS = (Compartment.SI_JOINT_LEFT, Compartment.SI_JOINT_RIGHT)
AURICULAR = (SurfaceTag.AURICULAR_LEFT, SurfaceTag.AURICULAR_RIGHT)
ENDPLATE = (SurfaceTag.ENDPLATE_S1,)
#: Places on a facet at which it is asked whether its cortex is gone, in twelfths of its height:
#: centroids of 16 equal parts, those that stand on their base and those that hang from it.
_PLACES = np.array(
    [(3 * i + 1, 3 * j + 1, 10 - 3 * i - 3 * j) for i in range(4) for j in range(4 - i)]
    + [(3 * i + 2, 3 * j + 2, 8 - 3 * i - 3 * j) for i in range(3) for j in range(3 - i)]
)
_NEXT = ndimage.generate_binary_structure(3, 1)


@dataclass(frozen=True, eq=False)
class Opening:
    """What a breach opened.

    Attributes:
        voxels: Voxels of the bone's surface without cortex, shape of the grid.
        cortex_lost: Part of the cortex on each cell's outer facets that is gone, shape (m,).
    """

    voxels: NDArray[np.bool_]
    cortex_lost: FloatArray


def open_faces(
    field: OperatingField,
    lesion: NDArray[np.bool_],
    breach: Sequence[Breach],
    name: str,
) -> Opening:
    """Destroy the cortex of the named faces within REACH_MM of a lesion.

    Args:
        field: The bone.
        lesion: Voxels of the lesion, shape of the grid.
        breach: The faces.
        name: Name of the lesion for messages.

    Raises:
        InputError: A face is not that close to the lesion.
    """
    opened = np.zeros(lesion.shape, dtype=bool)
    lost = np.zeros(len(field.mesh.tets))
    if not breach:
        return Opening(opened, lost)
    if not lesion.any():
        raise InputError(f"{name}: a lesion of 0 ml cannot breach the cortex; leave breach out.")
    box = _around(lesion, REACH_MM / field.tissue.step_mm)
    near = _distance_mm(field, lesion[box]) <= REACH_MM
    faces = faces_in(field, box)
    for face in breach:
        here = faces[face] & near
        if not here.any():
            raise InputError(_too_far(field, lesion, face, name))
        opened[box] |= here
    surface = np.logical_or.reduce(list(faces.values())) | outline(field, box)
    return Opening(opened, _cortex_lost(field, box, surface, opened[box]))


def outline(field: OperatingField, box: Box) -> NDArray[np.bool_]:
    """Voxels of the sacrum, in a box of the grid, that touch what is not sacrum."""
    bone = field.tissue.tissue[box] == BONE
    return np.asarray(bone & ~ndimage.binary_erosion(bone, _NEXT, border_value=1))


def faces_in(field: OperatingField, box: Box) -> dict[Breach, NDArray[np.bool_]]:
    """Voxels of the bone's surface by face, in a box of the grid; a voxel has one face or none.

    ``foraminal`` borders a nerve passage, ``articular`` the sacroiliac joint; ``anterior`` and
    ``posterior`` is what of the rest looks to the front and to the back of the sacral curve. The
    S1 endplate is none of them.
    """
    surface = outline(field, box)
    compartment = field.tissue.compartment[box]
    foraminal = surface & ndimage.binary_dilation(np.isin(compartment, PASSAGES), _NEXT)
    articular, endplate = (
        surface & (ndimage.binary_dilation(np.isin(compartment, beside), _NEXT) | tagged)
        for beside, tagged in (
            (JOINTS, _tagged(field, box, surface, AURICULAR)),
            (Compartment.DISC_L5S1, _tagged(field, box, surface, ENDPLATE)),
        )
    )
    articular &= ~foraminal
    rest = surface & ~foraminal & ~articular & ~endplate
    backwards = np.zeros(surface.shape)
    backwards[rest] = _facing_back(field, box, rest)
    return {
        "anterior": backwards <= -FACING,
        "posterior": backwards >= FACING,
        "foraminal": foraminal,
        "articular": articular,
    }


def _tagged(
    field: OperatingField, box: Box, surface: NDArray[np.bool_], tags: Sequence[SurfaceTag]
) -> NDArray[np.bool_]:
    """Which voxels of the surface lie nearest to a facet of the mesh that has one of the tags."""
    out = np.zeros_like(surface)
    mesh = field.mesh
    has = np.isin(mesh.facet_tag, tags)
    if has.any() and surface.any():
        middle = mesh.points_mm[mesh.facets].mean(axis=1)
        out[surface] = has[cKDTree(middle).query(_world(field, box, surface))[1]]
    return out


def _facing_back(field: OperatingField, box: Box, asked: NDArray[np.bool_]) -> FloatArray:
    """Cosine between the outward normal of voxels and the way back from the sacral curve."""
    sigma = NORMAL_SMOOTHING_MM / field.tissue.step_mm
    # The outline beside the box bends its normals as well.
    margin = int(np.ceil(4.0 * sigma))
    starts = [max(cut.start - margin, 0) for cut in box]
    wide = tuple(slice(a, cut.stop + margin) for a, cut in zip(starts, box, strict=True))
    bone = (field.tissue.tissue[wide] == BONE).astype(np.float32)
    at = np.argwhere(asked) + [cut.start - a for a, cut in zip(starts, box, strict=True)]
    inward = np.column_stack(
        [
            ndimage.gaussian_filter(bone, sigma, order=order)[tuple(at.T)]
            for order in np.eye(3, dtype=int)
        ]
    )
    outward = -inward / np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-12)
    curve, world = field.atlas.curve, _world(field, box, asked)
    curved = curve.to_curved(world)
    back = curve.to_world(curved + np.array([0.0, 0.0, 1.0])) - curve.to_world(curved)
    return np.asarray(((back @ field.atlas.frame.axes.T) * outward).sum(axis=1))


def _cortex_lost(
    field: OperatingField, box: Box, surface: NDArray[np.bool_], opened: NDArray[np.bool_]
) -> FloatArray:
    """Share of each cell's outer facets whose nearest voxel of the surface is open, shape (m,)."""
    mesh = field.mesh
    facets, behind = boundary_facets(mesh.tets)
    world = _world(field, box, surface)
    corner = mesh.points_mm[facets]
    low, high = world.min(axis=0) - REACH_MM, world.max(axis=0) + REACH_MM
    near = ((corner.max(axis=1) >= low) & (corner.min(axis=1) <= high)).all(axis=1)
    near &= mesh.part[behind] == Part.SACRUM
    places = np.einsum("ka,fai->fki", _PLACES / 12.0, corner[near])
    away, nearest = cKDTree(world).query(places.reshape(-1, 3), distance_upper_bound=REACH_MM)
    open_here = np.append(opened[surface], False)[nearest] & np.isfinite(away)
    share = open_here.reshape(places.shape[:2]).mean(axis=1)
    area, cells = facet_areas_mm2(mesh.points_mm, facets), len(mesh.tets)
    whole = np.bincount(behind, weights=area, minlength=cells)
    gone = np.bincount(behind[near], weights=area[near] * share, minlength=cells)
    return np.asarray(np.where(whole > 0.0, gone / np.maximum(whole, 1e-300), 0.0))


def _too_far(field: OperatingField, lesion: NDArray[np.bool_], face: Breach, name: str) -> str:
    box = field.tissue.sacrum_box
    there = faces_in(field, box)[face]
    if not there.any():
        return f"{name}: this bone has no {face} face to breach; leave it out."
    away = float(_distance_mm(field, lesion[box])[there].min())
    return (
        f"{name}: breach '{face}' needs that face within {REACH_MM:g} mm of the lesion, the "
        f"nearest place is {away:.1f} mm away; move the lesion there, make it larger, or leave "
        "the breach out."
    )


def _distance_mm(field: OperatingField, lesion: NDArray[np.bool_]) -> FloatArray:
    return np.asarray(field.tissue.step_mm * ndimage.distance_transform_edt(~lesion))


def _around(lesion: NDArray[np.bool_], voxels: float) -> Box:
    """The box that holds a lesion and a margin."""
    grown = int(np.ceil(voxels)) + 2
    i, j, k = ndimage.find_objects(lesion.astype(np.uint8))[0]
    low = [max(cut.start - grown, 0) for cut in (i, j, k)]
    return (
        slice(low[0], i.stop + grown),
        slice(low[1], j.stop + grown),
        slice(low[2], k.stop + grown),
    )


def _world(field: OperatingField, box: Box, asked: NDArray[np.bool_]) -> FloatArray:
    """World coordinates of voxels in a box of the grid, shape (n, 3)."""
    index = np.argwhere(asked) + [cut.start for cut in box]
    return field.atlas.frame.to_world(field.tissue.local_of(index))
