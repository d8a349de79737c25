"""What the pictures need of a finished scenario, as plain arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.measure.stress_relief import von_mises_MPa
from sacrofem.mechanics.materials import lesion_modulus, treated_modulus
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.tissue_grid import TissueGrid
from sacrofem.study.run import ScenarioResult
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.lesion import diseased
from sacrofem.treatment.region import BoneSamples


@dataclass(frozen=True, eq=False)
class ArmView:
    """One arm after its treatment.

    Attributes:
        name: Its name in the scenario.
        paths: The needle path of each procedure.
        inside: Which of the bone's samples hold cement, shape (s,).
        cement: Volume fraction of cement in each cell, shape (m,).
        young_MPa: Young's modulus of each cell, shape (m,).
        von_mises_MPa: Von Mises stress of each cell, shape (m,).
    """

    name: str
    paths: tuple[AccessPath, ...]
    inside: NDArray[np.bool_]
    cement: FloatArray
    young_MPa: FloatArray
    von_mises_MPa: FloatArray


@dataclass(frozen=True, eq=False)
class BoneView:
    """A bone with its lesions, and the arms.

    Attributes:
        mesh: Bone mesh.
        tissue: CT and tissue on the axes of the sacral frame.
        samples: Parts of the sacrum's cells.
        diseased: Which of them belong to a lesion, shape (s,).
        centre_mm: Centre of the largest lesion, world, shape (3,): slices go through it.
        young_MPa: Young's modulus of each cell with the lesions, shape (m,).
        von_mises_MPa: Von Mises stress of each cell with the lesions, shape (m,).
        arms: The arms in the scenario's order.
    """

    mesh: BoneMesh
    tissue: TissueGrid
    samples: BoneSamples
    diseased: NDArray[np.bool_]
    centre_mm: FloatArray
    young_MPa: FloatArray
    von_mises_MPa: FloatArray
    arms: tuple[ArmView, ...]


def view_of(result: ScenarioResult) -> BoneView:
    """The view of a result; needs what rank 0 holds."""
    bench, lesions = result.diseased.bench, result.diseased.lesions
    mesh = bench.bone.mesh
    assert lesions is not None
    arms = []
    for case in result.cases:
        assert case.treatment is not None
        treatment = case.treatment
        modulus = treated_modulus(mesh, lesions, treatment.fills, bench.materials)
        arms.append(
            ArmView(
                name=case.arm,
                paths=tuple(procedure.path for procedure in treatment.procedures),
                inside=treatment.inside,
                cement=treatment.fraction,
                young_MPa=modulus.young_MPa,
                von_mises_MPa=von_mises_MPa(case.state.stress_MPa),
            )
        )
    return BoneView(
        mesh=mesh,
        tissue=bench.bone.tissue,
        samples=lesions[0].samples,
        diseased=diseased(lesions),
        centre_mm=max(lesions, key=lambda lesion: lesion.volume_ml).centre_mm,
        young_MPa=lesion_modulus(mesh, lesions, bench.materials).young_MPa,
        von_mises_MPa=von_mises_MPa(result.diseased.state.stress_MPa),
        arms=tuple(arms),
    )
