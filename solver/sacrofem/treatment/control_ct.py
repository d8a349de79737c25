"""The cement of a control CT: what was measured in a patient in place of what a model would do.

The mask gives place and shape, whatever is in the bone and whatever leaked. It does not tell where
the cement stands in a cavity of its own and where among bone, nor what was compacted: all of it
counts as interdigitated, and no shell is assumed.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray, LabelMap
from sacrofem.mesh.compartments import Compartment
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.leakage import nerve_distances_mm
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan

#: Farthest that a mask grows to a larger volume, in mm.
REACH_MM = 10.0
NOTE = (
    "cement from a mask: where it stands in a cavity is unknown, so all of it counts as "
    "interdigitated, without a shell of compacted bone"
)


def fill_from_mask(
    field: OperatingField, plan: FillPlan, occupied: NDArray[np.bool_] | None
) -> CementFill:
    """The cement that a control CT shows.

    It has the mask's own volume, or the plan's ``cement_ml``: then the mask's outline is moved
    outwards or inwards by as many mm everywhere as that volume needs. What of it lies outside the
    bone is leakage.

    Args:
        field: The bone.
        plan: The plan, with its mask.
        occupied: Voxels with cement of earlier procedures, which the mask cannot claim again,
            shape of the tissue grid.

    Raises:
        InputError: There is no mask, it is empty, it does not lie at this sacrum, or the volume
            is more than it can grow to.
    """
    mask = _required_mask(plan)
    tissue, samples = field.tissue, field.samples
    own_ml = _volume_at_sacrum_ml(field, mask)
    box = _box_around(field, mask)
    parts = np.flatnonzero(_within(field, box))
    beside = np.argwhere(_beside_bone(field, box)) + [cut.start for cut in box]
    beside_mm = field.atlas.frame.to_world(tissue.local_of(beside.astype(np.float64)))
    distance = np.concatenate(
        [signed_distance_mm(mask, points) for points in (samples.points_mm[parts], beside_mm)]
    )
    ml = np.concatenate([samples.part_ml[parts], np.full(len(beside), tissue.voxel_ml)])
    if occupied is not None:
        voxel = np.stack([axis[parts] for axis in field.voxel], axis=1)
        distance[occupied[tuple(np.concatenate([voxel, beside]).T)]] = np.inf
    asked_ml = own_ml if plan.cement_ml is None else plan.cement_ml
    inside = _nearest_ml(distance, ml, asked_ml)
    cement = samples.none
    cement[parts[inside[: len(parts)]]] = True
    leaked = beside[inside[len(parts) :]]
    leak_ml = _by_compartment(field, leaked)
    return CementFill(
        technique="mask",
        samples=samples,
        pure=samples.none,
        interdigitated=cement,
        hollow=samples.none,
        compacted_g_per_cm3=np.zeros(samples.cells),
        injected_ml=asked_ml,
        cement_ml=asked_ml - sum(leak_ml.values()),
        leak_ml=leak_ml,
        unplaced_ml=0.0,
        pressure_kPa=None,
        stopped_by="",
        nerve_distance_mm=_nerve_distances_mm(field, cement, leaked),
        notes=(NOTE, *_part_elsewhere(mask, own_ml)),
    )


def signed_distance_mm(mask: LabelMap, points_mm: FloatArray) -> FloatArray:
    """Distance of world points, shape (n, 3), from a mask's outline, shape (n,).

    Negative within the mask, infinite farther from it than ``REACH_MM``. Between voxel centres it
    is linear.
    """
    inside = mask.labels != 0
    spacing = np.array(mask.grid.spacing_mm)
    margin = np.ceil(REACH_MM / spacing).astype(int) + 1
    rows = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    low = np.array([row[0] for row in rows])
    high = np.array([row[-1] + 1 for row in rows])
    cut = np.pad(
        inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))],
        np.stack([margin, margin], axis=1),
    )
    # The outline runs half a voxel from the last centres on both sides of it.
    signed = ndimage.distance_transform_edt(~cut, sampling=spacing)
    signed -= ndimage.distance_transform_edt(cut, sampling=spacing)
    index = (mask.grid.to_index(points_mm) - (low - margin)).T
    last = np.array(cut.shape)[:, None] - 1
    near = ((index >= 0) & (index <= last)).all(axis=0)
    out = np.full(len(points_mm), np.inf)
    out[near] = ndimage.map_coordinates(signed, index[:, near], order=1)
    return np.where(out > REACH_MM, np.inf, out)


def _required_mask(plan: FillPlan) -> LabelMap:
    if plan.mask is None:
        raise InputError("fill, mask: no mask is given; name the label map of the control CT.")
    if not plan.mask.labels.any():
        raise InputError("fill, mask: the mask is empty: no voxel in it differs from 0.")
    return plan.mask


def _box_around(field: OperatingField, mask: LabelMap) -> tuple[slice, ...]:
    """The part of the tissue grid that the mask can grow into."""
    index = field.tissue.index_of(field.atlas.frame.to_local(_places_mm(mask)))
    reach = REACH_MM / field.tissue.step_mm + 1.0
    shape = np.array(field.tissue.tissue.shape)
    low = np.clip(np.floor(index.min(axis=0) - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0) + reach) + 1, 0, shape).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _within(field: OperatingField, box: tuple[slice, ...]) -> NDArray[np.bool_]:
    """Parts of the samples in a box of the tissue grid, shape (s,)."""
    here = np.ones(len(field.samples.cell), dtype=bool)
    for axis, cut in zip(field.voxel, box, strict=True):
        here &= (axis >= cut.start) & (axis < cut.stop)
    return here


def _beside_bone(field: OperatingField, box: tuple[slice, ...]) -> NDArray[np.bool_]:
    """Voxels of a box that are neither sacrum nor hold parts of its mesh, shape of the box."""
    beside = field.tissue.tissue != BONE
    beside[field.voxel] = False
    return np.asarray(beside[box])


def _places_mm(mask: LabelMap) -> FloatArray:
    """Voxels of a mask, world, shape (n, 3)."""
    return mask.grid.to_world(np.argwhere(mask.labels != 0).astype(np.float64))


def _volume_at_sacrum_ml(field: OperatingField, mask: LabelMap) -> float:
    """Volume of the mask within the tissue grid.

    Raises:
        InputError: There is none.
    """
    points = _places_mm(mask)
    index = np.rint(field.tissue.index_of(field.atlas.frame.to_local(points)))
    here = ((index >= 0) & (index < field.tissue.tissue.shape)).all(axis=1)
    if not here.any():
        middle = field.atlas.frame.to_local(points.mean(axis=0)[None])[0]
        raise InputError(
            f"fill, mask: the mask lies around {middle.round(0)} mm (left, posterior, superior of "
            "the S1 endplate), nowhere near this sacrum; register the control CT to the first CT, "
            "or give the mask in its coordinates."
        )
    return float(here.sum()) * mask.grid.voxel_ml


def _part_elsewhere(mask: LabelMap, own_ml: float) -> tuple[str, ...]:
    elsewhere = float((mask.labels != 0).sum()) * mask.grid.voxel_ml - own_ml
    if elsewhere < 1e-9:
        return ()
    return (f"{elsewhere:.2f} ml of the mask lie farther from the sacrum than is looked at",)


def _nearest_ml(distance: FloatArray, ml: FloatArray, asked_ml: float) -> NDArray[np.bool_]:
    """The places of least distance that have a volume together, to one of them.

    Raises:
        InputError: All places within reach have less.
    """
    order = np.argsort(distance, kind="stable")
    order = order[np.isfinite(distance[order])]
    filled = np.cumsum(ml[order])
    if len(filled) == 0 or filled[-1] < asked_ml * (1.0 - 1e-9):
        held = filled[-1] if len(filled) else 0.0
        raise InputError(
            f"fill, mask: {asked_ml:g} ml asked, but within {REACH_MM:g} mm of the mask there are "
            f"only {held:.1f} ml that are free; give its own volume or a smaller one."
        )
    # The places whose volume comes closest to the asked one, none where none is asked.
    before = np.concatenate([[0.0], filled])
    count = int(np.abs(before - asked_ml).argmin())
    inside = np.zeros(len(distance), dtype=bool)
    inside[order[:count]] = True
    return inside


def _by_compartment(field: OperatingField, leaked: NDArray[np.int64]) -> dict[Compartment, float]:
    codes = field.tissue.compartment[tuple(leaked.T)]
    number, count = np.unique(codes, return_counts=True)
    return {
        Compartment(int(n)): float(c) * field.tissue.voxel_ml
        for n, c in zip(number, count, strict=True)
    }


def _nerve_distances_mm(
    field: OperatingField, cement: NDArray[np.bool_], leaked: NDArray[np.int64]
) -> Mapping[Compartment, float]:
    inside = np.unique(np.stack([axis[cement] for axis in field.voxel], axis=1), axis=0)
    return nerve_distances_mm(field, np.concatenate([inside, leaked]))
