"""From the words of a scenario to plans of the treatment room, and what identifies them."""

from pathlib import Path
from typing import Any

import numpy as np

from sacrofem.image.segmentations import load_segmentation
from sacrofem.image.volume import FloatArray, LabelMap
from sacrofem.study.provenance import sha256_of_file
from sacrofem.study.scenario import ArmSpec, FillSpec, LesionSpec, ProcedureSpec, Scenario
from sacrofem.treatment.plan import (
    FillPlan,
    FracturePlan,
    LesionPlan,
    PathPlan,
    ProcedurePlan,
)


def lesion_plans(scenario: Scenario) -> tuple[LesionPlan, ...]:
    """The lesions of a scenario; reads the masks that they name.

    Raises:
        InputError: A mask cannot be read.
    """
    return tuple(_lesion(spec) for spec in scenario.lesions)


def procedure_plans(scenario: Scenario, arm: ArmSpec) -> tuple[ProcedurePlan, ...]:
    """The procedures of an arm; reads the masks that they name.

    Raises:
        InputError: A mask cannot be read.
    """
    return tuple(_procedure(spec) for spec in arm.of_lesions(len(scenario.lesions)))


def identity(spec: Any) -> Any:
    """A specification as JSON values with hashes in place of files: part of a record's key."""
    if isinstance(spec, Path):
        return sha256_of_file(spec)
    if hasattr(spec, "model_fields_set"):
        return {name: identity(getattr(spec, name)) for name in type(spec).model_fields}
    if isinstance(spec, tuple):
        return [identity(inner) for inner in spec]
    return spec


def _lesion(spec: LesionSpec) -> LesionPlan:
    fracture = spec.fracture
    return LesionPlan(
        kind=spec.kind,
        volume_ml=spec.volume_ml,
        site=spec.site,
        spreads_to=spec.spreads_to,
        level=spec.level,
        centre_mm=_point(spec.centre_mm),
        mask=_mask(spec.mask),
        breach=spec.breach,
        spares_nerves=spec.spares_nerves,
        fracture=None if fracture is None else FracturePlan(fracture.zone, fracture.gap_mm),
    )


def _procedure(spec: ProcedureSpec) -> ProcedurePlan:
    return ProcedurePlan(
        lesions=tuple(number - 1 for number in spec.lesions),
        path=PathPlan(spec.approach, spec.cannula, _point(spec.target_mm), spec.bevel),
        fill=_fill(spec.fill),
    )


def _fill(spec: FillSpec) -> FillPlan:
    plain = {name: getattr(spec, name) for name in FillSpec.model_fields if name != "mask"}
    return FillPlan(**plain, mask=_mask(spec.mask))


def _point(values: tuple[float, float, float] | None) -> FloatArray | None:
    return None if values is None else np.array(values)


def _mask(path: Path | None) -> LabelMap | None:
    return None if path is None else load_segmentation(path).value
