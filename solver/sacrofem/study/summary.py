"""``summary.json``: the contract that other tools read (docs/summary.md)."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sacrofem.mechanics.materials import clamped_ml
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.study.case import STATES, CaseMeasures, CaseResult
from sacrofem.study.provenance import versions
from sacrofem.study.run import ScenarioResult

#: Raised when a field changes its meaning or goes away; new fields do not raise it.
SCHEMA = 1
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
        "arms": {case.arm: _arm(case) for case in result.cases},
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


def _arm(case: CaseResult) -> dict[str, Any]:
    measures = case.measures
    values: dict[str, Any] = {
        "key": case.key,
        "lesion_ml": measures.lesion_ml,
        "cement_ml": measures.cement_ml,
        "leak_ml": measures.leak_ml,
    }
    values |= {state: _state(measures, state) for state in STATES}
    values["relief"] = {
        "rim": {
            "von_mises_mean": measures.relief_rim.von_mises_mean,
            "von_mises_p95": measures.relief_rim.von_mises_p95,
        }
    }
    if case.treatment is not None:
        path = case.treatment.path
        values["path"] = {
            "approach": path.name,
            "entry_mm": path.entry_mm.tolist(),
            "target_mm": path.target_mm.tolist(),
            "length_in_bone_mm": path.length_in_bone_mm,
            "sagittal_angle_deg": path.sagittal_angle_deg,
            "clearance_mm": path.clearance_mm,
        }
    return values


def _state(measures: CaseMeasures, state: str) -> dict[str, Any]:
    transfer, rim = measures.transfer[state], measures.rim[state]
    return {
        "stiffness_N_per_mm": transfer.stiffness_N_per_mm,
        "load_share_left": transfer.share_left,
        "load_share_right": transfer.share_right,
        "rim_von_mises_mean_MPa": rim.von_mises_mean_MPa,
        "rim_von_mises_p95_MPa": rim.von_mises_p95_MPa,
        "equilibrium_error": measures.equilibrium_error[state],
        "iterations": measures.iterations[state],
        "residual": measures.residual[state],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and value - value != 0.0:
        return None
    return value
