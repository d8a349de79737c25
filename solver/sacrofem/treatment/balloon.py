"""Balloon sacroplasty: overlapping inflations along the path make a cavity, PMMA fills it.

The balloon is inflated several times along its path, from the centre of the lesion to its
periphery, overlapping (Andresen 2014). Each inflation opens where that takes least work: per unit
of its wall, moving outwards by ds takes (b + strength) ds, with b what the balloon resists with
itself and the strength of the bone there. The cavity is the set of places that the walls of all
inflations reach with the same work, an eikonal equation that fast marching solves (Sethian 1996,
scikit-fmm): a union of balls in uniform tissue, drawn towards soft tumour where it meets bone. The
inflations are made under CT: the balloon is kept inside the bone, at a breach as well.

What it displaces becomes a shell (:mod:`sacrofem.treatment.shell`). The cement then flows from the
inflations' places through cavity, shell and bone by the same flow that a vertebroplasty has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import skfmm
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.flow import inject
from sacrofem.treatment.leakage import fill_of_flow
from sacrofem.treatment.lesion import BLASTIC_G_PER_CM3, Lesion
from sacrofem.treatment.medium import medium_of
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan
from sacrofem.treatment.region import region_of_volume
from sacrofem.treatment.shell import compact, on_grid, shell_words, tissue_at_samples
from sacrofem.treatment.track import Stretch, share_out, stretches_of, track_of
from sacrofem.treatment.vertebroplasty import FLOW_ML_PER_S, stops_of

#: Spacing of the inflations as a part of the path's length in the lesion, and how far from its
#: middle the outermost may be: they overlap and stay inside. The papers give neither number.
SPACING_OF_LENGTH = 0.175
OUTERMOST_OF_LENGTH = 0.35
#: How far a balloon can be pushed out of the cannula, in mm: a choice, about a balloon's length.
REACH_MM = 15.0
#: The cavity's distance to the surface of the bone, in mm: more than the surface's voxels, those
#: at edges and corners too.
WALL_MM = 1.5
#: What the balloon itself resists with while it opens, in MPa, everywhere alike: a choice, of the
#: order of the strength of trabecular bone. The larger it is beside the bone's, the rounder the
#: cavity; with this one tumour is opened twice as easily as bone of 0.24 g/cm3.
BALLOON_MPA = 5.0
#: Radius of the folded balloon, in mm: it passes a 10 G cannula (a choice).
FOLDED_MM = 1.5


@dataclass(frozen=True, eq=False)
class Cavity:
    """A cavity that inflations opened.

    Attributes:
        centres_mm: Places of the inflations in their order, world, shape (n, 3).
        inside: Parts of the samples in it, shape (s,).
        voxels: Voxels of the tissue grid in it, as many as have its volume, shape of the grid.
        volume_ml: Its volume.
    """

    centres_mm: FloatArray
    inside: NDArray[np.bool_]
    voxels: NDArray[np.bool_]
    volume_ml: float


def fill_balloon(
    field: OperatingField,
    lesions: Sequence[Lesion],
    path: AccessPath,
    plan: FillPlan,
    occupied: NDArray[np.bool_] | None = None,
    treated: Sequence[Lesion] | None = None,
) -> CementFill:
    """Inflate along the path, compact what is displaced, and inject into the cavity.

    Cement beyond the cavity's volume leaves it into the shell and the bone behind; with less the
    part of the cavity that it does not reach, farthest from the inflations' places, stays hollow.

    Args:
        field: The bone.
        lesions: Its lesions.
        path: The needle's path.
        plan: Volumes, number of inflations, viscosity and stop rules.
        occupied: Voxels with hardened cement, shape of the tissue grid.
        treated: The lesions in which it is inflated; all of them by default.

    Raises:
        InputError: No volume is given, the balloon has no room, or the bone is too dense for it.
    """
    if plan.cement_ml is None:
        raise InputError("fill, balloon: cement_ml is needed, found none; give a volume.")
    balloon_ml = plan.cement_ml if plan.balloon_ml is None else plan.balloon_ml
    wall = wall_mm(field, plan)
    aims = lesions if treated is None else treated
    centres = inflation_centres(field, aims, path, plan.inflations, balloon_ml, wall)
    cavity = open_cavity(field, lesions, centres, balloon_ml, wall, occupied)
    return fill_cavity(field, lesions, path, plan, cavity, plan.cement_ml, occupied)


def inflation_centres(
    field: OperatingField,
    lesions: Sequence[Lesion],
    path: AccessPath,
    inflations: int,
    volume_ml: float,
    keep_off_mm: float = WALL_MM,
) -> FloatArray:
    """Places of the inflations, world, shape (inflations, 3): in each lesion the central one first.

    Each lesion on the path has a share of them by the length of the path in it, at least one. They
    stand around the place nearest to its centre, ``SPACING_OF_LENGTH`` of that length apart but not
    further than the radius of one inflation, so that they overlap. A place too near to the bone's
    surface moves along the path to the nearest where the balloon has room. Where the path meets no
    lesion it is inflated around the tip.

    Raises:
        InputError: There are fewer inflations than lesions on the path, or no room on it.
    """
    track = track_of(path, REACH_MM)
    stretches = stretches_of(field, lesions, track)
    if not stretches:
        half = ball_radius_mm(volume_ml)
        tip = track.tip_mm
        stretches = (Stretch("the tip", tip - half, tip, tip + half),)
    if inflations < len(stretches):
        raise InputError(
            f"fill, balloon: the {len(stretches)} lesions on the path "
            f"({', '.join(s.name for s in stretches)}) need at least as many inflations, found "
            f"{inflations}; give more."
        )
    depth = field.depth_mm[tuple(field.voxel_of(track.points_mm).T)]
    room = track.along_mm[depth > keep_off_mm + FOLDED_MM]
    if len(room) == 0:
        raise InputError(
            f"fill, balloon: no place on the {path.approach} path is {keep_off_mm + FOLDED_MM:g} "
            "mm inside the sacrum, as a balloon needs; choose another target or approach, or the "
            "technique vertebroplasty."
        )
    radius = ball_radius_mm(volume_ml / inflations)
    places: list[float] = []
    for stretch, count in zip(stretches, share_out(stretches, inflations), strict=True):
        step = min(SPACING_OF_LENGTH * stretch.length_mm, radius)
        step = min(step, 2.0 * OUTERMOST_OF_LENGTH * stretch.length_mm / max(count - 1, 1))
        offsets = step * (np.arange(count) - (count - 1) / 2.0)
        offsets = offsets[np.argsort(np.abs(offsets), kind="stable")]
        places.extend(np.clip(stretch.middle_mm + offsets, stretch.start_mm, stretch.end_mm))
    return track.at(room[np.abs(np.array(places)[:, None] - room).argmin(axis=1)])


def open_cavity(
    field: OperatingField,
    lesions: Sequence[Lesion],
    centres_mm: FloatArray,
    volume_ml: float,
    keep_off_mm: float = WALL_MM,
    occupied: NDArray[np.bool_] | None = None,
) -> Cavity:
    """Inflate at places until the cavity has a volume.

    Args:
        field: The bone.
        lesions: Its lesions.
        centres_mm: Places of the inflations, world, shape (n, 3).
        volume_ml: Volume of the cavity.
        keep_off_mm: Its distance to the surface of the bone.
        occupied: Voxels with hardened cement, shape of the tissue grid.

    Raises:
        InputError: There is not so much bone within reach.
    """
    tissue = field.tissue
    voxels = np.zeros(tissue.tissue.shape, dtype=bool)
    if volume_ml <= 0.0:
        return Cavity(centres_mm, field.samples.none, voxels, 0.0)
    may = (field.depth_mm > keep_off_mm) & (tissue.tissue == BONE)
    if occupied is not None:
        may &= ~occupied
    centres = tissue.index_of(field.atlas.frame.to_local(centres_mm))
    count = max(round(volume_ml / tissue.voxel_ml), 1)
    for box in (_box_around(field, centres, volume_ml), tissue.sacrum_box):
        work = _work_mm(field, lesions, centres, may, box)
        at_samples = _at_samples(field, work, may, box)
        reached = np.flatnonzero(np.isfinite(work))
        # A box is large enough where the cavity keeps off its sides.
        if len(reached) > count and _keeps_off_sides(work, count):
            break
    inside = region_of_volume(field.samples, at_samples, volume_ml, "fill, balloon")
    flat = work.ravel()
    first = reached[np.argpartition(flat[reached], min(count, len(reached)) - 1)[:count]]
    cut = np.zeros(work.size, dtype=bool)
    cut[first] = True
    voxels[box] = cut.reshape(work.shape)
    return Cavity(centres_mm, inside, voxels, field.samples.volume_ml(inside))


def fill_cavity(
    field: OperatingField,
    lesions: Sequence[Lesion],
    path: AccessPath,
    plan: FillPlan,
    cavity: Cavity,
    cement_ml: float,
    occupied: NDArray[np.bool_] | None,
) -> CementFill:
    """Compact what a cavity displaced into a shell, and inject into the cavity.

    The cannula is withdrawn during the injection: the farthest place is filled first.

    Raises:
        InputError: The bone is too dense for the cavity, or has not as many pores as the cement
            beyond it needs.
    """
    taken = field.samples.none if occupied is None else occupied[field.voxel]
    shell = compact(field, tissue_at_samples(field, lesions), cavity.inside, taken)
    medium = medium_of(
        field,
        lesions,
        plan.viscosity,
        cavity=cavity.voxels,
        added_g_per_cm3=on_grid(field, shell.closing_g_per_cm3),
        occupied=occupied,
    )
    from_entry = np.linalg.norm(cavity.centres_mm - path.entry_mm, axis=1)
    places = field.tissue.index_of(field.atlas.frame.to_local(cavity.centres_mm))
    places = places[np.argsort(-from_entry, kind="stable")]
    sources = [(place, 1.0 / len(places)) for place in places]
    flow = inject(medium, sources, cement_ml, FLOW_ML_PER_S, stops_of(field, medium, plan))
    return fill_of_flow(
        field,
        flow,
        medium,
        plan.technique,
        cavity=cavity.inside,
        compacted_g_per_cm3=field.samples.per_cell(shell.bone_g_per_cm3),
        notes=(cavity_words(cavity), shell_words(shell)),
    )


def cavity_words(cavity: Cavity) -> str:
    """A cavity in words, for the notes of a fill."""
    count = len(cavity.centres_mm)
    return f"cavity of {cavity.volume_ml:.2f} ml by {count} inflation{'s' if count > 1 else ''}"


def wall_mm(field: OperatingField, plan: FillPlan) -> float:
    """How far a cavity keeps off the surface of the bone.

    A margin that the cement has to keep is kept by the balloon too, and a voxel more, so that the
    cement can fill the cavity before it ends the injection.
    """
    margin = 0.0 if plan.margin_mm is None else plan.margin_mm + 1.5 * field.tissue.step_mm
    return max(WALL_MM, margin)


def ball_radius_mm(volume_ml: float) -> float:
    """Radius of the ball of a volume."""
    return float(np.cbrt(3000.0 * volume_ml / (4.0 * np.pi)))


def _box_around(field: OperatingField, centres: FloatArray, volume_ml: float) -> tuple[slice, ...]:
    """Part of the sacrum's box that holds a cavity unless hard bone flattens it much."""
    reach = 1.6 * ball_radius_mm(volume_ml) / field.tissue.step_mm + 3.0
    low, high = centres.min(axis=0) - reach, centres.max(axis=0) + reach
    return tuple(
        slice(max(int(a), whole.start), min(int(b) + 1, whole.stop))
        for a, b, whole in zip(low, high, field.tissue.sacrum_box, strict=True)
    )


def _work_mm(
    field: OperatingField,
    lesions: Sequence[Lesion],
    centres: FloatArray,
    may: NDArray[np.bool_],
    box: tuple[slice, ...],
) -> FloatArray:
    """Work of the balloon's wall up to each voxel of a box over that of 1 mm without resistance.

    Infinite where no balloon can be. The strength of bone is its compressive yield stress,
    37.4 rho^1.39 MPa (Kopperdahl 2002); tumour has none: its modulus is 0.2 MPa (La Barbera 2025).
    """
    density = _bone_g_per_cm3(field, lesions, box)
    resistance = 1.0 + 37.4 * density**1.39 / BALLOON_MPA
    index = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in box], indexing="ij"), -1)
    ball = np.min([np.linalg.norm(index - centre, axis=-1) for centre in centres], axis=0)
    ball = ball * field.tissue.step_mm - FOLDED_MM
    closed = ~may[box]
    work = skfmm.travel_time(
        np.ma.MaskedArray(ball, closed), 1.0 / resistance, dx=field.tissue.step_mm
    )
    # Inside the folded balloon no work is done: the order there is that of the distance.
    work = np.where(ball <= 0.0, ball, np.ma.filled(work, np.inf))
    return np.where(closed, np.inf, work)


def _bone_g_per_cm3(
    field: OperatingField, lesions: Sequence[Lesion], box: tuple[slice, ...]
) -> FloatArray:
    """Bone density of each voxel of a box: none in soft tumour, thickened where it is blastic."""
    density = np.maximum(field.tissue.density.g_per_cm3[box], 0.0)
    for lesion in lesions:
        blastic = on_grid(field, lesion.blastic.astype(float))[box] > 0.5
        density[lesion.voxels[box] & ~blastic] = 0.0
        density[blastic] = np.maximum(density[blastic], BLASTIC_G_PER_CM3)
    return density


def _keeps_off_sides(work: FloatArray, count: int) -> bool:
    """Whether the ``count`` voxels of least work leave the sides of their box untouched."""
    level = np.partition(work.ravel(), count - 1)[count - 1]
    sides = [work[0], work[-1], work[:, 0], work[:, -1], work[:, :, 0], work[:, :, -1]]
    return bool(np.isfinite(level) and min(side.min() for side in sides) > level)


def _at_samples(
    field: OperatingField,
    work: FloatArray,
    may: NDArray[np.bool_],
    box: tuple[slice, ...],
) -> FloatArray:
    """The work at the samples, linear, shape (s,); infinite where no balloon can be."""
    out = np.full(len(field.samples.cell), np.inf)
    inside = may[field.voxel]
    for axis, part in zip(field.voxel, box, strict=True):
        inside &= (axis >= part.start) & (axis < part.stop)
    near = np.flatnonzero(inside)
    # Between the last voxels and the wall the work goes on as in the last voxels.
    never = ~np.isfinite(work)
    _, source = ndimage.distance_transform_edt(never, return_indices=True)
    filled = work[tuple(source)]
    start = np.array([part.start for part in box])[:, None]
    at = ndimage.map_coordinates(filled, field.index[:, near] - start, order=1, mode="nearest")
    voxel = tuple(axis[near] - part.start for axis, part in zip(field.voxel, box, strict=True))
    out[near] = np.where(never[voxel], np.inf, at)
    return out
