"""One arm on one diseased bone: every procedure's path and fill, one after the other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.treatment.access import find_path
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.fill import fill
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import ProcedurePlan
from sacrofem.treatment.procedure import Procedure, Treatment


def treat(
    field: OperatingField, lesions: Sequence[Lesion], plans: Sequence[ProcedurePlan]
) -> Treatment:
    """Do all procedures of an arm; cement of the earlier ones is hard when the next begins.

    Args:
        field: The bone.
        lesions: All its lesions.
        plans: The procedures in their order, at least one.

    Raises:
        InputError: A path or a fill is not possible in this bone.
    """
    done: list[Procedure] = []
    occupied = np.zeros(field.tissue.tissue.shape, dtype=bool)
    for number, plan in enumerate(plans, start=1):
        treated = [lesions[i] for i in plan.lesions]
        try:
            path = find_path(field, treated, plan.path)
            filled = fill(
                field, lesions, path, plan.fill, occupied if done else None, treated=treated
            )
        except InputError as error:
            if len(plans) == 1:
                raise
            raise InputError(f"procedure {number}: {error}") from error
        occupied |= cement_voxels(field, filled)
        done.append(Procedure(plan, path, filled))
    return Treatment(tuple(done))


def cement_voxels(field: OperatingField, filled: CementFill) -> NDArray[np.bool_]:
    """Which voxels of the tissue grid hold cement, in the bone or outside, shape of the grid."""
    out = np.zeros(field.tissue.tissue.shape, dtype=bool)
    out[tuple(axis[filled.inside] for axis in field.voxel)] = True
    out[tuple(filled.leak_voxels.T)] = True
    return out
