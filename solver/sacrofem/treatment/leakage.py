"""From cement on the tissue grid to a fill: what is in the bone, what left it, and how near it is.

Nothing is clipped: what the flow put outside the bone is counted by the compartment it is in.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.compartments import PASSAGES, Compartment
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.flow import REACHED, Flow, Margin
from sacrofem.treatment.medium import Box, Medium, cortex_of
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Technique
from sacrofem.treatment.region import region_of_volume

#: Outside the bone a voxel counts as touched by cement, for distances, with this part of it filled.
TOUCHED = 0.05
#: Room around the cement in which its parts in the mesh are looked for, in voxels.
AROUND = 6


def fill_of_flow(
    field: OperatingField,
    flow: Flow,
    medium: Medium,
    technique: Technique,
    *,
    cavity: NDArray[np.bool_] | None = None,
    compacted_g_per_cm3: FloatArray | None = None,
    notes: tuple[str, ...] = (),
) -> CementFill:
    """The fill that a flow made.

    Args:
        field: The bone.
        flow: The flow.
        medium: The medium that it went through.
        technique: How the cement was placed.
        cavity: Parts of the samples in a cavity, shape (s,): their cement is pure, and what it does
            not reach stays hollow.
        compacted_g_per_cm3: Density that compaction added to each cell, shape (m,).
        notes: What the reader must know.

    Raises:
        InputError: The mesh has no room for the cement that the grid has room for.
    """
    samples = field.samples
    hollowed = samples.none if cavity is None else cavity
    held_ml = flow.saturation * medium.pore * medium.voxel_ml
    bone = field.tissue.tissue[medium.box] == BONE
    cement_ml = float(held_ml[bone].sum())
    inside = _parts_with_cement(field, flow.saturation * bone, medium, hollowed, cement_ml)
    leak_ml = _by_compartment(field, np.where(bone, 0.0, held_ml), medium.box)
    touched = np.where(bone, flow.saturation >= REACHED, held_ml > TOUCHED * medium.voxel_ml)
    start = np.array([part.start for part in medium.box])
    nerve_mm = dict(nerve_distances_mm(field, np.argwhere(touched) + start))
    nerve_mm.update({passage: 0.0 for passage in PASSAGES if passage in leak_ml})
    return CementFill(
        technique=technique,
        samples=samples,
        pure=inside & hollowed,
        interdigitated=inside & ~hollowed,
        hollow=hollowed & ~inside,
        compacted_g_per_cm3=(
            np.zeros(samples.cells) if compacted_g_per_cm3 is None else compacted_g_per_cm3
        ),
        injected_ml=flow.placed_ml + flow.unplaced_ml,
        cement_ml=cement_ml,
        leak_ml=leak_ml,
        unplaced_ml=flow.unplaced_ml,
        pressure_kPa=flow.pressure_kPa,
        stopped_by=flow.stopped_by,
        nerve_distance_mm=nerve_mm,
        notes=notes,
        leak_voxels=np.argwhere(touched & ~bone) + start,
    )


def nerve_distances_mm(
    field: OperatingField, voxels: NDArray[np.int64]
) -> Mapping[Compartment, float]:
    """Smallest distance from cement to each nerve passage; infinite without cement.

    From the middle of a voxel with cement, where its front is on average, to the border of the
    passage, half a voxel before the middle of its first one; 0 in the passage.

    Args:
        field: The bone.
        voxels: Voxels of the tissue grid with cement, in the bone or outside, shape (n, 3).
    """
    if not len(voxels):
        return dict.fromkeys(PASSAGES, np.inf)
    step, box = field.tissue.step_mm, field.tissue.sacrum_box
    code = field.tissue.compartment[box]
    # Of the passages only the outer voxels can be the nearest ones, unless cement is in them.
    places = np.argwhere(cortex_of(np.isin(code, PASSAGES)))
    away = cKDTree(voxels - np.array([part.start for part in box])).query(places)[0]
    touched = field.tissue.compartment[tuple(voxels.T)]
    nearest = np.full(len(Compartment), np.inf)
    np.minimum.at(nearest, code[tuple(places.T)], away)
    nearest[touched] = 0.0
    return {passage: max((float(nearest[passage]) - 0.5) * step, 0.0) for passage in PASSAGES}


def margin_of(field: OperatingField, medium: Medium, margin_mm: float) -> Margin:
    """The rule that cement keeps a margin to the surface of the sacrum, nerve passages included.

    Cement that left the bone breaks it whatever the margin.
    """
    step = field.tissue.step_mm
    # As for the nerves: from the middle of a voxel to the border of the first one outside.
    distance = field.depth_mm[medium.box] - 0.5 * step
    reach = int(np.ceil(margin_mm / step)) + 1
    outside = np.where(
        field.tissue.tissue[medium.box] == BONE, 0, field.tissue.compartment[medium.box]
    )

    def name_of(voxel: NDArray[np.int64]) -> str:
        low = np.maximum(voxel - reach, 0)
        around = outside[tuple(slice(a, b + reach + 1) for a, b in zip(low, voxel, strict=True))]
        places = np.argwhere(around != Compartment.BONE)
        nearest = places[int(np.argmin(((places + low - voxel) ** 2).sum(axis=1)))]
        return surface_words(Compartment(int(around[tuple(nearest)])))

    return Margin(margin_mm, distance, name_of)


def surface_words(compartment: Compartment) -> str:
    """What the surface of the sacrum towards a compartment is called."""
    if compartment in (Compartment.PRESACRAL, Compartment.DORSAL):
        return f"the {compartment.words} surface"
    named = (*PASSAGES[1:], Compartment.OTHER_BONE)
    return compartment.words if compartment in named else f"the {compartment.words}"


def _by_compartment(
    field: OperatingField, held_ml: FloatArray, box: Box
) -> dict[Compartment, float]:
    wet = held_ml > 0.0
    ml = np.bincount(field.tissue.compartment[box][wet], weights=held_ml[wet])
    return {Compartment(int(code)): float(ml[code]) for code in np.flatnonzero(ml)}


def _parts_with_cement(
    field: OperatingField,
    saturation: FloatArray,
    medium: Medium,
    cavity: NDArray[np.bool_],
    cement_ml: float,
) -> NDArray[np.bool_]:
    """Parts of the samples whose pores hold the cement in the bone, shape (s,).

    They are taken by falling saturation, and beyond it by rising distance, until their pores hold
    the volume. Cement stays in voxels that let it pass, so it never shares a part with other
    cement.
    """
    if cement_ml <= 0.0:
        return field.samples.none
    crop = _crop_around(saturation > 0.0)
    wet = saturation[crop]
    away = ndimage.distance_transform_edt(wet <= 0.0) * medium.step_mm
    start = np.array([part.start + cut.start for part, cut in zip(medium.box, crop, strict=True)])
    index = field.index - start[:, None]
    within = (index >= 0.0) & (index <= np.array(wet.shape)[:, None] - 1)
    near = np.flatnonzero(within.all(axis=0))
    voxel = tuple(np.rint(index[:, near]).astype(np.int64))
    order = ndimage.map_coordinates(away - wet, index[:, near], order=1, mode="nearest")
    bone = field.tissue.tissue[medium.box][crop] == BONE
    may = bone & (medium.mobility_mm2_per_kPa_s[crop] > 0.0)
    order = np.where(may[voxel] | cavity[near], order, np.inf)
    ranked, share = np.full(len(cavity), np.inf), np.zeros(len(cavity))
    ranked[near] = order
    share[near] = np.where(cavity[near], 1.0, medium.pore[crop][voxel])
    return region_of_volume(field.samples, ranked, cement_ml, "fill, cement in the bone", share)


def _crop_around(wet: NDArray[np.bool_]) -> Box:
    """The part of a grid that holds what is true, and some room around it."""
    cuts = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        rows = np.flatnonzero(wet.any(axis=others))
        cuts.append(slice(max(int(rows[0]) - AROUND, 0), int(rows[-1]) + AROUND + 1))
    return cuts[0], cuts[1], cuts[2]
