"""Vesselplasty: a mesh container expands in the lesion by the cement that is pressed into it.

The container displaces and compacts tissue as a balloon does, but stays, with its cement in it; a
stated share of the cement permeates through its mesh into the bone around (Klingler 2013; Andresen
2014 suggests it where a lesion has a large soft part). How large that share is depends on mesh and
cement and is no result of this model; where it goes is, by the flow that the other techniques have.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.balloon import Cavity, fill_cavity, inflation_centres, open_cavity, wall_mm
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.leakage import nerve_distances_mm
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan
from sacrofem.treatment.shell import compact, shell_words, tissue_at_samples
from sacrofem.treatment.track import stretches_of, track_of


def fill_vesselplasty(
    field: OperatingField,
    lesions: Sequence[Lesion],
    path: AccessPath,
    plan: FillPlan,
    occupied: NDArray[np.bool_] | None = None,
    treated: Sequence[Lesion] | None = None,
) -> CementFill:
    """Expand one container in the middle of each lesion on the path, and let its share permeate.

    Args:
        field: The bone.
        lesions: Its lesions.
        path: The needle's path.
        plan: Volume, share that permeates, viscosity and stop rules.
        occupied: Voxels with hardened cement, shape of the tissue grid.
        treated: The lesions that get a container; all of them by default.

    Raises:
        InputError: No volume is given, a stop rule is set though nothing leaves the container, it
            has no room, or the bone is too dense for it.
    """
    if plan.cement_ml is None:
        raise InputError("fill, vesselplasty: cement_ml is needed, found none; give a volume.")
    container_ml = plan.cement_ml * (1.0 - plan.permeating_share)
    aims = lesions if treated is None else treated
    containers = max(len(stretches_of(field, aims, track_of(path, 0.0))), 1)
    wall = wall_mm(field, plan)
    centres = inflation_centres(field, aims, path, containers, container_ml, wall)
    cavity = open_cavity(field, lesions, centres, container_ml, wall, occupied)
    if plan.permeating_share > 0.0:
        return fill_cavity(field, lesions, path, plan, cavity, plan.cement_ml, occupied)
    return _closed(field, lesions, plan, cavity, occupied)


def _closed(
    field: OperatingField,
    lesions: Sequence[Lesion],
    plan: FillPlan,
    cavity: Cavity,
    occupied: NDArray[np.bool_] | None,
) -> CementFill:
    """A container whose cement stays in it: there is no flow in the bone."""
    if plan.margin_mm is not None or plan.pressure_kPa is not None:
        raise InputError(
            "fill, vesselplasty: margin_mm and pressure_kPa end a flow through bone, but with "
            "permeating_share 0 nothing leaves the container; leave them out or give a share."
        )
    assert plan.cement_ml is not None
    samples = field.samples
    taken = samples.none if occupied is None else occupied[field.voxel]
    shell = compact(field, tissue_at_samples(field, lesions), cavity.inside, taken)
    return CementFill(
        technique=plan.technique,
        samples=samples,
        pure=cavity.inside,
        interdigitated=samples.none,
        hollow=samples.none,
        compacted_g_per_cm3=samples.per_cell(shell.bone_g_per_cm3),
        injected_ml=plan.cement_ml,
        cement_ml=plan.cement_ml,
        leak_ml={},
        unplaced_ml=0.0,
        pressure_kPa=None,
        stopped_by="",
        nerve_distance_mm=nerve_distances_mm(field, np.argwhere(cavity.voxels)),
        notes=("a closed container", shell_words(shell)),
    )
