"""What a cavity displaces: its tissue, pressed into a shell around it.

Bone and tumour in the cavity are not lost: they are pushed outwards (Andresen 2014: the balloon
compacts the tumour's periphery and the fracture zone and closes fissures). The shell's material is
spread evenly and never beyond solid: each part takes as much as the others until it is full.

- Bone mass goes to parts that are bone. It makes them stiffer, and closes their pores.
- Soft tumour carries no bone mass. Its solid, by volume, goes to every part of the shell, its own
  rim as well as the pores of bone and the gap of a fracture. It makes nothing stiffer but is as
  much in the way of cement; what finds no room leaves with the marrow.

How much less cement then leaves the cavity follows from the permeability of the shell alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.lesion import BLASTIC_G_PER_CM3, Lesion
from sacrofem.treatment.medium import SOLID_G_PER_CM3, SOLIDEST_FRACTION, TUMOUR_FRACTION
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.region import BoneSamples

#: Thickness of the shell in mm (facts: 1-3 mm, a choice), and how far it may widen where the bone
#: is too dense to take in all that is displaced: beyond that a balloon does not open (a choice).
SHELL_MM = 2.0
WIDEST_SHELL_MM = 6.0
WIDENED_BY_MM = 0.5


@dataclass(frozen=True, eq=False)
class Tissue:
    """What the samples hold before a cavity is made.

    Attributes:
        bone_g_per_cm3: Bone mass, 0 in soft tumour and in fatty voids, shape (s,).
        tumour: Solid fraction of soft tumour, 0 elsewhere, shape (s,).
    """

    bone_g_per_cm3: FloatArray
    tumour: FloatArray


@dataclass(frozen=True, eq=False)
class Shell:
    """Tissue compacted around a cavity.

    Attributes:
        parts: Parts of the samples in the shell, shape (s,).
        thickness_mm: Its thickness.
        displaced_g: Bone mass that was in the cavity and is in the shell now.
        bone_g_per_cm3: Bone density that was added to each part, shape (s,).
        tumour: Solid fraction of tumour that was added to each part, shape (s,).
    """

    parts: NDArray[np.bool_]
    thickness_mm: float
    displaced_g: float
    bone_g_per_cm3: FloatArray
    tumour: FloatArray

    @property
    def closing_g_per_cm3(self) -> FloatArray:
        """All added solid as if it were bone, shape (s,): what closes pores to cement."""
        return np.asarray(self.bone_g_per_cm3 + SOLID_G_PER_CM3 * self.tumour)


def tissue_at_samples(field: OperatingField, lesions: Sequence[Lesion]) -> Tissue:
    """Bone mass and tumour solid of each sample; density below 0 is fat and counts as none."""
    samples = field.samples
    bone = np.maximum(field.mesh.density.g_per_cm3, 0.0)[samples.cell]
    tumour = np.zeros(len(bone))
    for lesion in lesions:
        bone[lesion.lytic] = 0.0
        tumour[lesion.lytic] = TUMOUR_FRACTION
        bone[lesion.blastic] = np.maximum(bone[lesion.blastic], BLASTIC_G_PER_CM3)
    return Tissue(bone, tumour)


def compact(
    field: OperatingField,
    tissue: Tissue,
    cavity: NDArray[np.bool_],
    taken: NDArray[np.bool_],
    thickness_mm: float = SHELL_MM,
) -> Shell:
    """Press what is in a cavity into a shell around it; bone mass is conserved to round-off.

    Args:
        field: The bone.
        tissue: What is in the samples.
        cavity: Parts of the cavity, shape (s,).
        taken: Parts with hardened cement, which take nothing in, shape (s,).
        thickness_mm: Thickness of the shell; where its bone would become denser than solid bone,
            it widens, at most to ``WIDEST_SHELL_MM``.

    Raises:
        InputError: The bone is too dense for the cavity.
    """
    samples = field.samples
    bone = tissue.bone_g_per_cm3
    displaced_g = samples.integral(cavity, bone)
    free = ~cavity & ~taken
    room = np.where(tissue.tumour > 0.0, 0.0, np.maximum(SOLID_G_PER_CM3 - bone, 0.0))
    steps = np.arange(thickness_mm, max(thickness_mm, WIDEST_SHELL_MM) + 1e-9, WIDENED_BY_MM)
    # The search for near parts is what takes time, and most shells need not widen.
    distance = _distance_mm(samples, cavity, thickness_mm)
    for number, thickness in enumerate(steps):
        if number == 1:
            distance = _distance_mm(samples, cavity, float(steps[-1]))
        parts = free & (distance <= thickness)
        room_g = samples.integral(parts, room)
        if room_g >= displaced_g:
            break
    else:
        cavity_ml = samples.volume_ml(cavity)
        raise InputError(
            f"fill: a balloon cannot open {cavity_ml:.1f} ml here: {displaced_g:.2f} g of bone "
            f"({displaced_g / cavity_ml:.2f} g/cm3) would have to go into the {steps[-1]:g} mm "
            f"around it, which take {room_g:.2f} g until they are solid; the bone is too dense, "
            "as in a blastic lesion: give a smaller volume or the technique vertebroplasty."
        )
    added = np.zeros(len(bone))
    added[parts] = _spread(samples.part_ml[parts], room[parts], displaced_g)
    solid = (bone + added) / SOLID_G_PER_CM3 + tissue.tumour
    pores = np.maximum(SOLIDEST_FRACTION - solid, 0.0)
    tumour_ml = min(samples.integral(cavity, tissue.tumour), samples.integral(parts, pores))
    tumour = np.zeros(len(bone))
    tumour[parts] = _spread(samples.part_ml[parts], pores[parts], tumour_ml)
    return Shell(parts, float(thickness), displaced_g, added, tumour)


def shell_words(shell: Shell) -> str:
    """A shell in words, for the notes of a fill."""
    if shell.displaced_g <= 0.0:
        return "no bone was displaced, only tumour"
    return f"{shell.displaced_g:.2f} g of bone compacted into a shell of {shell.thickness_mm:g} mm"


def on_grid(field: OperatingField, values: FloatArray) -> FloatArray:
    """Mean of the samples' values, shape (s,), in each voxel of the tissue grid.

    A voxel that holds no sample, as in a coarse mesh, is like the nearest one that does.
    """
    out = np.zeros(field.tissue.tissue.shape)
    here = np.flatnonzero(values)
    if len(here) == 0:
        return out
    low = np.array([max(int(axis[here].min()) - 2, 0) for axis in field.voxel])
    box = tuple(
        slice(a, int(axis[here].max()) + 3) for a, axis in zip(low, field.voxel, strict=True)
    )
    shape = out[box].shape
    near = np.ones(len(values), dtype=bool)
    for axis, cut in zip(field.voxel, box, strict=True):
        near &= (axis >= cut.start) & (axis < cut.stop)
    at = [axis[near] - a for axis, a in zip(field.voxel, low, strict=True)]
    index, size = np.ravel_multi_index(at, shape), int(np.prod(shape))
    part = field.samples.part_ml[near]
    whole = np.bincount(index, weights=part, minlength=size).reshape(shape)
    total = np.bincount(index, weights=part * values[near], minlength=size).reshape(shape)
    mean = np.where(whole > 0.0, total / np.maximum(whole, 1e-300), 0.0)
    _, nearest = ndimage.distance_transform_edt(whole == 0.0, return_indices=True)
    out[box] = np.where(field.tissue.tissue[box] == BONE, mean[tuple(nearest)], 0.0)
    return out


def _distance_mm(samples: BoneSamples, cavity: NDArray[np.bool_], within_mm: float) -> FloatArray:
    """Distance of each part from the wall of a cavity, infinite beyond a limit, shape (s,).

    The wall runs half a part's width outside the middle of the cavity's outermost parts.
    """
    points = samples.points_mm
    out = np.full(len(points), np.inf)
    if not cavity.any():
        return out
    half_mm = 0.5 * np.cbrt(1000.0 * samples.part_ml[cavity])
    reach = within_mm + float(half_mm.max())
    low, high = points[cavity].min(axis=0) - reach, points[cavity].max(axis=0) + reach
    near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    tree = cKDTree(points[cavity])
    distance, nearest = tree.query(points[near], distance_upper_bound=reach)
    found = np.isfinite(distance)
    out[near[found]] = distance[found] - half_mm[nearest[found]]
    return out


def _spread(volume_ml: FloatArray, room: FloatArray, amount: float) -> FloatArray:
    """Spread an amount so that all parts take the same per ml until they are full.

    Args:
        volume_ml: Volume of each part, shape (n,).
        room: Most that a part takes per ml, shape (n,).
        amount: What is spread; not more than there is room for.
    """
    if amount <= 0.0:
        return np.zeros(len(room))
    order = np.argsort(room)
    volume, most = volume_ml[order], room[order]
    full = np.concatenate([[0.0], np.cumsum(volume * most)[:-1]])
    rest = np.cumsum(volume[::-1])[::-1]
    # Taken by all when the level stands at the room of each part: ascending.
    first = min(int(np.searchsorted(full + rest * most, amount)), len(most) - 1)
    added = np.minimum((amount - full[first]) / rest[first], room)
    return np.asarray(added * (amount / float(volume_ml @ added)))
