"""``fields/*.vtu``: the bone in each state, for ParaView."""

from pathlib import Path

import numpy as np

from sacrofem.image.volume import FloatArray
from sacrofem.measure.stress_relief import rim_cells, von_mises_MPa
from sacrofem.mechanics.materials import (
    ModulusField,
    intact_modulus,
    lesion_modulus,
    treated_modulus,
)
from sacrofem.mechanics.state import StateSolution
from sacrofem.mesh.files import write_vtu
from sacrofem.study.run import ScenarioResult
from sacrofem.treatment.lesion import diseased


def write_fields(folder: Path, result: ScenarioResult) -> list[Path]:
    """Write ``intact.vtu``, ``lesion.vtu`` and one file for each arm; needs what rank 0 holds."""
    bench, lesions = result.diseased.bench, result.diseased.lesions
    mesh = bench.bone.mesh
    assert lesions is not None
    base = {"density_g_per_cm3": mesh.density.g_per_cm3}
    samples, parts = lesions[0].samples, diseased(lesions)
    sick = base | {"lesion_fraction": samples.fraction(parts)}
    states: dict[str, tuple[StateSolution, ModulusField, dict[str, FloatArray]]] = {
        "intact": (bench.intact, intact_modulus(mesh, bench.materials), base),
        "lesion": (
            result.diseased.state,
            lesion_modulus(mesh, lesions, bench.materials),
            sick,
        ),
    }
    for case in result.cases:
        assert case.treatment is not None
        treatment = case.treatment
        compacted = np.sum([fill.compacted_g_per_cm3 for fill in treatment.fills], axis=0)
        cells = sick | {
            "cement_fraction": treatment.fraction,
            "compacted_g_per_cm3": compacted,
            "rim": rim_cells(mesh, samples, parts, treatment.inside).astype(float),
        }
        modulus = treated_modulus(mesh, lesions, treatment.fills, bench.materials)
        states[f"arm-{case.arm}"] = (case.state, modulus, cells)
    written = []
    for name, (state, modulus, cells) in states.items():
        stress = {
            "young_MPa": modulus.young_MPa,
            "von_mises_MPa": von_mises_MPa(state.stress_MPa),
        }
        path = folder / f"{name}.vtu"
        write_vtu(path, mesh, {"displacement_mm": state.displacement_mm}, cells | stress)
        written.append(path)
    return written
