"""``summary.json``: the contract that other tools read (docs/summary.md)."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sacrofem.measure.response import relief, restoration
from sacrofem.measure.sections import SectionLoad
from sacrofem.mechanics.materials import clamped_ml
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.study.case import STATES, CaseMeasures, CaseResult
from sacrofem.study.provenance import versions
from sacrofem.study.run import ScenarioResult
from sacrofem.study.strength import Strength
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.procedure import Procedure

#: Raised when a field changes its meaning or goes away; new fields do not raise it. 1 had one path
#: and one leak an arm.
SCHEMA = 2
#: Part of the bone with clamped density above which the run says so.
CLAMPED_TOLD_ABOVE = 0.05


def summary(result: ScenarioResult) -> dict[str, Any]:
    """The summary of a finished scenario as JSON values; needs what rank 0 holds."""
    mesh = result.patient.bone.mesh
    report = result.patient.bone.report
    return {
        "schema": SCHEMA,
        "title": result.scenario.title,
        "mesh": {
            "nodes": len(mesh.points_mm),
            "cells": len(mesh.tets),
            "dofs": result.cases[0].measures.dofs,
            "volume_ml": mesh.volume_ml,
            "model": report.model,
            "edge_mm": report.zone_mm,
            "edge_elsewhere_mm": report.elsewhere_mm,
            "label_volume_ml": report.parts["sacrum"].label_ml,
            "sacrum_volume_ml": report.parts["sacrum"].mesh_ml,
            "quality_min": report.shape.minimum,
            "quality_p01": report.shape.percentile_1,
            "parts": {name: asdict(part) for name, part in report.parts.items()},
            "foramina_open": report.foramina_open,
            "clamped_density_ml": clamped_ml(mesh),
            "sha256": mesh.sha256,
            "from_cache": result.patient.from_cache,
        },
        "lesions": [_lesion(lesion) for lesion in result.diseased.lesions or ()],
        "arms": _arms(result),
        "calibration": dict(report.calibration),
        "warnings": [*report.warnings, *_density_warning(mesh)],
        "seconds": {name: round(spent, 3) for name, spent in result.seconds.items()},
        "peak_memory_GB": result.peak_memory_GB,
        "ranks": result.ranks,
        "inputs": {
            **result.patient.inputs,
            "scenario": result.scenario.model_dump(mode="json", exclude={"mesh"}),
        },
        "versions": versions(),
    }


def _arms(result: ScenarioResult) -> dict[str, dict[str, Any]]:
    """Values of every arm, with the loads of failure where they were asked for."""
    arms = {case.arm: arm_values(case) for case in result.cases}
    load_N = float(np.linalg.norm(result.diseased.bench.model.force_N))
    if result.strength:
        for arm, strength in zip(arms.values(), result.strength, strict=True):
            for state in STATES:
                arm[state]["failure"] = {"load_N": load_N} | _failure(getattr(strength, state))
    return arms


def _failure(strength: Strength) -> dict[str, Any]:
    """Failure loads and curve of one state as JSON values."""
    curve, measures = strength.curve, strength.measures
    assert curve is not None
    assert measures is not None
    return {
        "effective_strain_N": strength.effective_strain_N,
        "yield_strain_N": strength.yield_strain_N,
        "yield_N": measures.yield_N,
        "failure_N": measures.failure_N,
        "stiffness_N_per_mm": measures.stiffness_N_per_mm,
        "yielded_ml": measures.yielded_ml,
        "dissipated_mJ": float(measures.dissipated_mJ[-1]),
        "place_mm": measures.place_mm.tolist(),
        "residual": float(curve.residual.max()),
        "equilibrium_error": float(curve.equilibrium_error.max()),
        "curve": {
            name: getattr(curve, name).tolist() for name in ("force_N", "moved_mm", "endplate_mm")
        },
    }


def _density_warning(mesh: BoneMesh) -> list[str]:
    """A word where much of the bone had no density that the law accepts."""
    part = clamped_ml(mesh) / mesh.part_ml(Part.SACRUM)
    if part <= CLAMPED_TOLD_ABOVE:
        return []
    return [
        f"{clamped_ml(mesh):.1f} ml ({100 * part:.0f} %) of the sacrum has a density outside the "
        "law's range and was clamped: fatty marrow, or a calibration that does not fit this scanner"
    ]


def write_summary(path: Path, values: dict[str, Any]) -> None:
    """Write a summary; numbers that are not finite become null, as JSON has none."""
    text = json.dumps(_finite(values), indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def arm_values(case: CaseResult) -> dict[str, Any]:
    """Measures and procedures of one arm as JSON values."""
    measures = case.measures
    values: dict[str, Any] = {
        "key": case.key,
        "lesion_ml": measures.lesion_ml,
        "injected_ml": measures.injected_ml,
        "cement_ml": measures.cement_ml,
        "augmented_ml": measures.augmented_ml,
        "leak_ml": measures.leaked_ml,
        "leaks": {place.words: volume for place, volume in measures.leak_ml.items()},
        "unplaced_ml": measures.unplaced_ml,
        "nerve_distance_mm": measures.nerve_distance_mm,
        "clamped_compaction_g": measures.clamped_compaction_g,
    }
    values |= {state: _state(measures, state) for state in STATES}
    values["treated"] |= {
        "cement": asdict(measures.cement),
        "interface": asdict(measures.interface),
    }
    values["relief"] = _changes(measures, _relief)
    values["relief"]["rim"] = values["relief"].get("rim", {}) | {
        "von_mises_mean": measures.relief_rim.von_mises_mean,
        "von_mises_p95": measures.relief_rim.von_mises_p95,
    }
    values["restoration"] = _changes(measures, restoration)
    if case.treatment is not None:
        values["procedures"] = [procedure_values(p) for p in case.treatment.procedures]
    return values


def _relief(_intact: float, lesion: float, treated: float) -> float:
    return relief(lesion, treated)


def _changes(
    measures: CaseMeasures, change: Callable[[float, float, float], float]
) -> dict[str, dict[str, float]]:
    """A change between intact, lesion and treated by region and by quantity's mean and p95."""
    out: dict[str, dict[str, float]] = {}
    for region, states in measures.regions.items():
        intact, lesion, treated = (states[state] for state in STATES)
        out[region] = {}
        for name in intact:
            three = intact[name], lesion[name], treated[name]
            word = name.removesuffix("_MPa")
            out[region][f"{word}_mean"] = change(*(spread.mean for spread in three))
            out[region][f"{word}_p95"] = change(*(spread.p95 for spread in three))
    return out


def procedure_values(procedure: Procedure) -> dict[str, Any]:
    """Path and fill of one procedure as JSON values."""
    path, fill = procedure.path, procedure.fill
    return {
        "lesions": [number + 1 for number in procedure.plan.lesions],
        "path": {
            "approach": path.approach,
            "cannula": path.cannula,
            "points_mm": path.points_mm.tolist(),
            "length_in_bone_mm": path.length_in_bone_mm,
            "axial_angle_deg": path.axial_angle_deg,
            "sagittal_angle_deg": path.sagittal_angle_deg,
            "clearance_mm": dict(path.clearance_mm),
            "least_clearance_mm": path.least_clearance_mm,
            "crosses": list(path.crosses),
            "allowed_by_rule": path.allowed_by_rule,
            "notes": list(path.notes),
        },
        "fill": {
            "technique": fill.technique,
            "injected_ml": fill.injected_ml,
            "cement_ml": fill.cement_ml,
            "augmented_ml": fill.augmented_ml,
            "leaks": {place.words: volume for place, volume in fill.leak_ml.items()},
            "unplaced_ml": fill.unplaced_ml,
            "pressure_kPa": fill.pressure_kPa,
            "stopped_by": fill.stopped_by,
            "nerve_distance_mm": {p.words: d for p, d in fill.nerve_distance_mm.items()},
            "notes": list(fill.notes),
        },
    }


def _lesion(lesion: Lesion) -> dict[str, Any]:
    return {
        "name": lesion.name,
        "kind": lesion.kind,
        "side": lesion.side,
        "volume_ml": lesion.volume_ml,
        "centre_mm": lesion.centre_mm.tolist(),
        "breach": list(lesion.breach),
        "fractured": lesion.fracture is not None,
    }


def _state(measures: CaseMeasures, state: str) -> dict[str, Any]:
    transfer, rim = measures.transfer[state], measures.rim[state]
    moved = measures.micromotion[state] if measures.micromotion else None
    fractured = {} if moved is None else {"micromotion": asdict(moved)}
    return {
        **fractured,
        "stiffness_N_per_mm": transfer.stiffness_N_per_mm,
        "load_share_left": transfer.share_left,
        "load_share_right": transfer.share_right,
        "rim_von_mises_mean_MPa": rim.von_mises_mean_MPa,
        "rim_von_mises_p95_MPa": rim.von_mises_p95_MPa,
        "sections": {name: _section(load) for name, load in measures.load_path[state].items()},
        "levels": [
            asdict(at.level) | {"above": at.above} | _section(at.load)
            for at in measures.levels[state]
        ],
        "energy_mJ": dict(measures.energy_mJ[state]),
        "energy_error": measures.energy_error[state],
        "regions": {
            region: {name: asdict(spread) for name, spread in states[state].items()}
            for region, states in measures.regions.items()
        },
        "bone_at_risk_ml": measures.bone_at_risk_ml[state],
        "failure_load_linear_N": measures.failure_load_linear_N[state],
        "ligament_share_left": transfer.ligament_share_left,
        "ligament_share_right": transfer.ligament_share_right,
        "ligament_tension_N": {
            name: dict(sides) for name, sides in measures.ligament_tension_N[state].items()
        },
        "equilibrium_error": measures.equilibrium_error[state],
        "iterations": measures.iterations[state],
        "residual": measures.residual[state],
    }


def _section(load: SectionLoad) -> dict[str, Any]:
    return asdict(load) | {"bone_share": load.bone_share}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and value - value != 0.0:
        return None
    return value
