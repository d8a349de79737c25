"""Where the tip goes: the target in the lesions, and the places near it that will do."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

from sacrofem.image.volume import FloatArray
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField

#: Smallest distance of the tip to the outside of the bone: a choice.
TIP_CLEARANCE_MM = 3.0
#: Where no track reaches the target itself, the tip may stop so far from it, as a part of the
#: radius of the smallest treated lesion: a choice, the needle still stands in the lesion's core.
CORE_SHARE = 0.5
#: A needle that injects while it is withdrawn goes first to the upper part of the lesion, from the
#: top of its extent along the sacrum: a choice, a third.
FAR_SHARE = 1.0 / 3.0


@dataclass(frozen=True, eq=False)
class Aims:
    """Places for the tip, in frame coordinates.

    Attributes:
        target_mm: The target, shape (3,).
        places_mm: Where a tip can stand, best first, shape (a, 3); the first is the target unless
            that lies too near the surface; may be empty.
    """

    target_mm: FloatArray
    places_mm: FloatArray


def aims_at(
    field: OperatingField,
    lesions: Sequence[Lesion],
    target_mm: FloatArray | None,
    far_end: bool,
) -> Aims:
    """The target and the places around it.

    Args:
        field: The bone.
        lesions: The lesions that are treated.
        target_mm: A given target, world, shape (3,), that alone is aimed at.
        far_end: Whether the tip goes to the upper end of the lesions and not to their centre.
    """
    frame = field.atlas.frame
    if target_mm is not None:
        target = frame.to_local(np.asarray(target_mm)[None])[0]
        return Aims(target, _deep(field, target[None]))
    centre = _far_end_mm(field, lesions) if far_end else _centre_mm(lesions)
    target = frame.to_local(centre[None])[0]
    radius = CORE_SHARE * min(lesion.radius_mm for lesion in lesions)
    corners = np.array(list(product((-1.0, 1.0), repeat=3))) / np.sqrt(3.0)
    around = np.vstack([np.eye(3), -np.eye(3), corners])
    places = _deep(field, np.vstack([target, target + radius * around]))
    if not len(places):
        places = _nearest_part(field, lesions, target)
    return Aims(target, places)


def _centre_mm(lesions: Sequence[Lesion]) -> FloatArray:
    """Centre of all lesions, by their volume, world, shape (3,)."""
    # A lesion of 0 ml, the control, still has a centre.
    weight = [max(one.samples.volume_ml(one.inside), 1e-9) for one in lesions]
    return np.average([lesion.centre_mm for lesion in lesions], axis=0, weights=weight)


def _far_end_mm(field: OperatingField, lesions: Sequence[Lesion]) -> FloatArray:
    """Centre of the uppermost lesion, or of the upper part of the only one, world, shape (3,)."""
    if len(lesions) > 1:
        s = field.atlas.curve.to_curved(np.stack([lesion.centre_mm for lesion in lesions]))[:, 1]
        return lesions[int(np.argmin(s))].centre_mm
    points = lesions[0].samples.points_mm[lesions[0].inside]
    if not len(points):
        return lesions[0].centre_mm
    s = field.atlas.curve.to_curved(points)[:, 1]
    return np.asarray(points[s <= s.min() + FAR_SHARE * np.ptp(s)].mean(axis=0))


def _deep(field: OperatingField, local_mm: FloatArray) -> FloatArray:
    """Those frame points, shape (n, 3), at which a tip keeps its distance to the surface."""
    i, j, k = field.voxel_of(field.atlas.frame.to_world(local_mm)).T
    return local_mm[field.depth_mm[i, j, k] >= TIP_CLEARANCE_MM]


def _nearest_part(
    field: OperatingField, lesions: Sequence[Lesion], target: FloatArray
) -> FloatArray:
    """The deep enough part of the lesions nearest to the target, shape (0 or 1, 3)."""
    points = np.concatenate([lesion.samples.points_mm[lesion.inside] for lesion in lesions])
    deep = _deep(field, field.atlas.frame.to_local(points))
    if not len(deep):
        return deep
    return deep[[int(cKDTree(deep).query(target)[1])]]
