"""A needle pushed on beyond its target, as far as the bone allows."""

import numpy as np

from sacrofem.treatment.access.aim import TIP_CLEARANCE_MM
from sacrofem.treatment.access.measure import measured_path
from sacrofem.treatment.access.structures import SAFETY_MM, clearances
from sacrofem.treatment.access.tracks import STEP_MM
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.operating_field import OperatingField


def advance(field: OperatingField, path: AccessPath, beyond_mm: float) -> AccessPath:
    """The path with its tip moved on along its last piece.

    Args:
        field: The bone.
        path: The path.
        beyond_mm: Wanted distance beyond the tip; it stops before the tip comes nearer than
            TIP_CLEARANCE_MM to the outside of the bone or its wall nearer than SAFETY_MM to a
            structure. Never moves it back.
    """
    further = np.arange(0.0, beyond_mm + 1e-9, STEP_MM)
    points = path.tip_mm + further[:, None] * path.direction
    i, j, k = field.voxel_of(points).T
    clear = field.depth_mm[i, j, k] >= TIP_CLEARANCE_MM
    local = field.atlas.frame.to_local(points)
    each = np.ones((len(points), 1), dtype=bool)
    for least in clearances(field, local[:, None], each, path.cannula).values():
        clear &= least >= SAFETY_MM
    clear[0] = True
    last = int(np.argmin(clear)) - 1 if not clear.all() else len(further) - 1
    if last < 1:
        return path
    corners = field.atlas.frame.to_local(path.points_mm)
    corners[-1] = local[last]
    return measured_path(
        field,
        path.approach,
        path.cannula,
        corners,
        path.crosses,
        path.allowed_by_rule,
        path.notes,
    )
