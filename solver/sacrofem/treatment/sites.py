"""Lesions by site, by coordinates or by a mask, each of an exact volume of bone.

A lesion grows around the line that joins the zones it lies in: a ball about one, a capsule through
several, clipped to bone. It reaches as far from the line as its volume needs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray, LabelMap
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.breach import open_faces
from sacrofem.treatment.fracture import place_fracture
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import LesionPlan
from sacrofem.treatment.region import region_of_volume
from sacrofem.treatment.site_lines import Line, line_of, line_words

#: A lesion that spares the nerves keeps so far from canal and foramina, in mm (a choice: the thin
#: cortex that borders them).
NERVE_MARGIN_MM = 1.5
#: Farthest that a lesion extends from the line through its zones, in mm: beyond the largest ball
#: that fits a lateral mass, about 25 mm.
REACH_MM = 40.0
#: Farthest that a mask grows to a larger volume, in mm.
MASK_REACH_MM = 20.0
#: A piece that a foramen or the canal cuts off is left out when it is smaller than this share of
#: the lesion (a choice): the rest grows in its place.
CRUMB = 0.1
CRUMB_ROUNDS = 5
#: Within this of the mid-sagittal plane a lesion's centre is in the middle, in mm.
MIDDLE_MM = 5.0


def place_lesions(field: OperatingField, plans: Sequence[LesionPlan]) -> tuple[Lesion, ...]:
    """Place the lesions of one bone; where two would overlap, the earlier one has the bone.

    Args:
        field: The bone.
        plans: The lesions in their order.

    Raises:
        InputError: A plan contradicts itself, names a zone or face that this bone does not have
            there, or asks for more bone than there is.
    """
    placed: list[Lesion] = []
    taken = field.samples.none
    for number, plan in enumerate(plans, start=1):
        try:
            placed.append(_place(field, plan, taken))
        except InputError as error:
            if len(plans) == 1:
                raise
            raise InputError(f"lesion {number}: {error}") from error
        taken = taken | placed[-1].inside
    return tuple(placed)


def _place(field: OperatingField, plan: LesionPlan, taken: NDArray[np.bool_]) -> Lesion:
    _require_plan(plan)
    if plan.mask is None:
        line = line_of(field, plan)
        name, start = line_words(plan), line[0][0]
        distance = _distance_to_line(field, line)
    else:
        name, start = "lesion from a mask", None
        distance = _distance_to_mask(field, plan.mask)
    distance[taken] = np.inf
    if plan.volume_ml is None:
        distance = _sparing(field, plan, np.where(distance <= 0.0, distance, np.inf))
        inside = np.isfinite(distance)
        if not inside.any():
            raise InputError(
                f"{name}: none of it lies in the bone of the sacrum that is free for it; check "
                "that the mask and the CT are of the same patient and position."
            )
    else:
        inside, distance = _region(field, plan, distance, name)
    return _lesion(field, plan, name, inside, distance, start)


def _lesion(
    field: OperatingField,
    plan: LesionPlan,
    name: str,
    inside: NDArray[np.bool_],
    distance: FloatArray,
    start_mm: FloatArray | None,
) -> Lesion:
    samples = field.samples
    volume_ml = samples.volume_ml(inside)
    centre = start_mm
    if inside.any():
        centre = np.average(samples.points_mm[inside], axis=0, weights=samples.part_ml[inside])
    assert centre is not None
    x_mm = float(field.atlas.frame.to_local(centre[None])[0, 0])
    voxels = lesion_voxels(field, inside)
    opening = open_faces(field, voxels, plan.breach, name)
    fracture = None
    if plan.fracture is not None:
        fracture = place_fracture(field, plan.fracture, inside, voxels, name)
    return Lesion(
        name=name,
        kind=plan.kind,
        side="middle" if abs(x_mm) < MIDDLE_MM else "left" if x_mm > 0.0 else "right",
        centre_mm=centre,
        radius_mm=float(np.cbrt(3000.0 * volume_ml / (4.0 * np.pi))),
        samples=samples,
        inside=inside,
        blastic=_blastic(field, plan, inside, distance),
        volume_ml=volume_ml,
        breach=plan.breach,
        cortex_lost=opening.cortex_lost,
        voxels=voxels,
        open_voxels=opening.voxels,
        fracture=fracture,
    )


def _require_plan(plan: LesionPlan) -> None:
    given = [n for n in ("site", "centre_mm", "mask") if getattr(plan, n) is not None]
    if len(given) != 1:
        raise InputError(
            f"a lesion needs exactly one of site, centre_mm and mask, found "
            f"{' and '.join(given) or 'none'}; say where it is in one way."
        )
    volume = plan.volume_ml
    if volume is None and plan.mask is None:
        raise InputError("a lesion needs volume_ml; only a mask has a volume of its own.")
    if volume is not None and not 0.0 <= volume < np.inf:
        raise InputError(f"volume_ml must be 0 or more, found {volume:g}.")
    if plan.mask is not None and plan.spreads_to:
        raise InputError("a mask has its own shape: leave spreads_to out, or give a site.")


def _distance_to_line(field: OperatingField, line: Line) -> FloatArray:
    """Distance of the parts from the nearest of a line's pieces, infinite beyond REACH_MM."""
    pieces = [field.atlas.frame.to_local(piece) for piece in line]
    ends = np.concatenate(pieces)
    local = field.local_mm
    near = np.ones(len(local), dtype=bool)
    for axis in range(3):
        near &= local[:, axis] >= ends[:, axis].min() - REACH_MM
        near &= local[:, axis] <= ends[:, axis].max() + REACH_MM
    points = local[near]
    best = np.full(len(points), np.inf)
    for first, last in pieces:
        along = last - first
        offset = points - first
        share = np.clip(offset @ along / max(float(along @ along), 1e-12), 0.0, 1.0)
        offset -= share[:, None] * along
        np.minimum(best, np.sqrt(np.einsum("ij,ij->i", offset, offset)), out=best)
    best[best > REACH_MM] = np.inf
    out = np.full(len(local), np.inf)
    out[near] = best
    return out


def _distance_to_mask(field: OperatingField, mask: LabelMap) -> FloatArray:
    """Signed distance of the parts from a mask's outline, negative inside, infinite far away."""
    inside = mask.labels != 0
    if not inside.any():
        raise InputError("the lesion's mask is empty: no voxel differs from 0; give another file.")
    spacing = np.array(mask.grid.spacing_mm)
    grown = np.ceil(MASK_REACH_MM / spacing).astype(int)
    found = ndimage.find_objects(inside.astype(np.uint8))[0]
    low = np.array([cut.start for cut in found]) - grown
    high = np.array([cut.stop for cut in found]) + grown
    # Padding where the image ends before the margin: a distance needs an outside.
    before, after = np.maximum(-low, 0), np.maximum(high - inside.shape, 0)
    box = tuple(slice(max(a, 0), b) for a, b in zip(low, high, strict=True))
    cut = np.pad(inside[box], np.column_stack([before, after]))
    signed = ndimage.distance_transform_edt(~cut, sampling=spacing)
    signed -= ndimage.distance_transform_edt(cut, sampling=spacing)
    index = (mask.grid.to_index(field.samples.points_mm) - low).T
    return np.asarray(ndimage.map_coordinates(signed, index, order=1, mode="constant", cval=np.inf))


def _region(
    field: OperatingField, plan: LesionPlan, distance: FloatArray, name: str
) -> tuple[NDArray[np.bool_], FloatArray]:
    """The region of the plan's volume, and the distance with what it cannot have at infinity."""
    assert plan.volume_ml is not None
    # A few times the volume is nearly always enough, and saves sorting the whole bone.
    for times in (4.0, np.inf):
        allowed = _sparing(field, plan, _nearest(field, distance, times * plan.volume_ml))
        if times == np.inf or _held_ml(field, allowed) > 1.5 * plan.volume_ml:
            break
    inside = region_of_volume(field.samples, allowed, plan.volume_ml, name)
    for _ in range(CRUMB_ROUNDS if plan.mask is None else 0):
        crumbs = crumbs_of(field, inside)
        if not crumbs.any():
            break
        allowed = np.where(crumbs, np.inf, allowed)
        inside = region_of_volume(field.samples, allowed, plan.volume_ml, name)
    return inside, allowed


def _nearest(field: OperatingField, distance: FloatArray, volume_ml: float) -> FloatArray:
    """The distance, infinite beyond about the volume nearest to the line."""
    finite = np.flatnonzero(np.isfinite(distance))
    if volume_ml == np.inf or not len(finite):
        return distance
    part_ml = field.samples.part_ml[finite]
    counted, edge = np.histogram(distance[finite], bins=400, weights=part_ml)
    last = min(int(np.searchsorted(np.cumsum(counted), volume_ml)), len(counted) - 1)
    return np.where(distance <= edge[last + 1], distance, np.inf)


def _sparing(field: OperatingField, plan: LesionPlan, distance: FloatArray) -> FloatArray:
    """The distance, infinite beside canal and foramina where the plan spares the nerves."""
    if not plan.spares_nerves:
        return distance
    finite = np.flatnonzero(np.isfinite(distance))
    near = ndimage.map_coordinates(field.nerve_mm, field.index[:, finite], order=1, mode="nearest")
    out = distance.copy()
    out[finite[near < NERVE_MARGIN_MM]] = np.inf
    return out


def _held_ml(field: OperatingField, distance: FloatArray) -> float:
    return field.samples.volume_ml(np.isfinite(distance))


def crumbs_of(field: OperatingField, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Parts of a region in pieces of less than CRUMB of its volume, shape (s,)."""
    out = field.samples.none
    if not inside.any():
        return out
    index = np.stack([axis[inside] for axis in field.voxel])
    index -= index.min(axis=1, keepdims=True)
    grid = np.zeros(index.max(axis=1) + 1, dtype=bool)
    grid[tuple(index)] = True
    piece = ndimage.label(grid, np.ones((3, 3, 3)))[0][tuple(index)]
    part = np.bincount(piece, weights=field.samples.part_ml[inside])
    out[inside] = (part < CRUMB * part.sum())[piece]
    return out


def _blastic(
    field: OperatingField, plan: LesionPlan, inside: NDArray[np.bool_], distance: FloatArray
) -> NDArray[np.bool_]:
    """Which parts are denser bone.

    Of a mixed lesion the inner half of its volume is lytic and the outer half blastic: a tumour
    with a sclerotic rim. That is a choice; the papers give no proportion.
    """
    if plan.kind == "blastic":
        return inside.copy()
    if plan.kind == "lytic":
        return field.samples.none
    half = 0.5 * field.samples.volume_ml(inside)
    within = np.where(inside, distance, np.inf)
    return inside & ~region_of_volume(field.samples, within, half, "lytic half")


def lesion_voxels(field: OperatingField, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of bone of whose parts at least half lie in a region, shape of the grid.

    A voxel that holds no part, as in a coarse mesh, is like the nearest one that does.
    """
    out = np.zeros(field.tissue.tissue.shape, dtype=bool)
    if not inside.any():
        return out
    low = np.array([axis[inside].min() for axis in field.voxel]) - 2
    low = np.maximum(low, 0)
    high = np.array([axis[inside].max() for axis in field.voxel]) + 3
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    shape = out[box].shape
    here = np.logical_and.reduce(
        [(axis >= a) & (axis < b) for axis, a, b in zip(field.voxel, low, high, strict=True)]
    )
    flat = np.ravel_multi_index(
        [axis[here] - a for axis, a in zip(field.voxel, low, strict=True)], shape
    )
    size = int(np.prod(shape))
    whole = np.bincount(flat, minlength=size).reshape(shape)
    part = np.bincount(flat, weights=inside[here], minlength=size).reshape(shape)
    covered = 2.0 * part >= np.maximum(whole, 1)
    _, nearest = ndimage.distance_transform_edt(whole == 0, return_indices=True)
    out[box] = covered[tuple(nearest)] & (field.tissue.tissue[box] == BONE)
    return out
