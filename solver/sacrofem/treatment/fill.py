"""One fill of any technique."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.balloon import fill_balloon
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.control_ct import fill_from_mask
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan, Technique
from sacrofem.treatment.vertebroplasty import fill_vertebroplasty
from sacrofem.treatment.vesselplasty import fill_vesselplasty

_FLOW = ("viscosity", "margin_mm", "pressure_kPa")
#: Fields of a plan that each technique reads.
READS: dict[Technique, tuple[str, ...]] = {
    "balloon": ("cement_ml", *_FLOW, "balloon_ml", "inflations"),
    "vertebroplasty": ("cement_ml", *_FLOW, "deposits"),
    "vesselplasty": ("cement_ml", *_FLOW, "permeating_share"),
    "mask": ("cement_ml", "mask"),
}


def fill(
    field: OperatingField,
    lesions: Sequence[Lesion],
    path: AccessPath,
    plan: FillPlan,
    occupied: NDArray[np.bool_] | None = None,
    treated: Sequence[Lesion] | None = None,
) -> CementFill:
    """Inject as planned.

    Args:
        field: The bone.
        lesions: Its lesions.
        path: The needle's path; a mask does not need it.
        plan: What is injected, and how.
        occupied: Voxels with hardened cement of earlier procedures, shape of the tissue grid.
        treated: The lesions that this needle treats; all of them by default.

    Raises:
        InputError: The plan sets a field that its technique does not read, a value is not
            possible, or the bone does not allow the fill.
    """
    require_fields(plan)
    if plan.technique == "balloon":
        return fill_balloon(field, lesions, path, plan, occupied, treated)
    if plan.technique == "vesselplasty":
        return fill_vesselplasty(field, lesions, path, plan, occupied, treated)
    if plan.technique == "vertebroplasty":
        return fill_vertebroplasty(field, lesions, path, plan, occupied, treated)
    return fill_from_mask(field, plan, occupied)


def require_fields(plan: FillPlan) -> None:
    """Refuse what the plan's technique does not read, and values that cannot be.

    Raises:
        InputError: A field is set that is not read, ``cement_ml`` is missing, or a value is out
            of its range.
    """
    for field in fields(plan):
        if field.name == "technique" or field.name in READS[plan.technique]:
            continue
        value = getattr(plan, field.name)
        if value is not field.default and value != field.default:
            readers = [name for name, read in READS.items() if field.name in read]
            raise InputError(
                f"fill: {field.name} is set, but the technique {plan.technique!r} does not read "
                f"it; {' and '.join(readers)} would: change the technique or leave it out."
            )
    if plan.cement_ml is None and plan.technique != "mask":
        raise InputError(
            f"fill: the technique {plan.technique!r} needs cement_ml; only a mask has a volume of "
            "its own."
        )
    for name in ("cement_ml", "balloon_ml", "margin_mm", "pressure_kPa"):
        value = getattr(plan, name)
        if value is not None and not 0.0 <= value < np.inf:
            raise InputError(f"fill: {name} must be 0 or more, found {value:g}.")
    if plan.inflations < 1:
        raise InputError(f"fill: inflations must be 1 or more, found {plan.inflations}.")
    if plan.deposits is not None and plan.deposits < 1:
        raise InputError(f"fill: deposits must be 1 or more, found {plan.deposits}.")
    if not 0.0 <= plan.permeating_share < 1.0:
        raise InputError(
            f"fill: permeating_share must be 0 or more and below 1, found {plan.permeating_share:g}"
            "; with all of it outside its container it is a vertebroplasty."
        )
