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
from sacrofem.treatment.lesion import Lesion


@dataclass(frozen=True, eq=False)
class ArmView:
    """One arm after its treatment.

    Attributes:
        name: Its name in the scenario.
        path: The needle path.
        inside: Which of the lesion's samples are cement, shape (s,).
        cement: Volume fraction of cement in each cell, shape (m,).
        young_MPa: Young's modulus of each cell, shape (m,).
        von_mises_MPa: Von Mises stress of each cell, shape (m,).
    """

    name: str
    path: AccessPath
    inside: NDArray[np.bool_]
    cement: FloatArray
    young_MPa: FloatArray
    von_mises_MPa: FloatArray


@dataclass(frozen=True, eq=False)
class BoneView:
    """A bone with its lesion, and the arms.

    Attributes:
        mesh: Bone mesh.
        tissue: CT and tissue on the axes of the sacral frame.
        lesion: The lesion.
        young_MPa: Young's modulus of each cell with the lesion, shape (m,).
        von_mises_MPa: Von Mises stress of each cell with the lesion, shape (m,).
        arms: The arms in the scenario's order.
    """

    mesh: BoneMesh
    tissue: TissueGrid
    lesion: Lesion
    young_MPa: FloatArray
    von_mises_MPa: FloatArray
    arms: tuple[ArmView, ...]


def view_of(result: ScenarioResult) -> BoneView:
    """The view of a result; needs what rank 0 holds."""
    bench, lesion = result.diseased.bench, result.diseased.lesion
    mesh = bench.bone.mesh
    assert lesion is not None
    arms = []
    for case in result.cases:
        assert case.treatment is not None
        fill = case.treatment.fill
        arms.append(
            ArmView(
                name=case.arm,
                path=case.treatment.path,
                inside=fill.inside,
                cement=fill.fraction,
                young_MPa=treated_modulus(mesh, fill, bench.materials).young_MPa,
                von_mises_MPa=von_mises_MPa(case.state.stress_MPa),
            )
        )
    return BoneView(
        mesh=mesh,
        tissue=bench.bone.tissue,
        lesion=lesion,
        young_MPa=lesion_modulus(mesh, lesion, bench.materials).young_MPa,
        von_mises_MPa=von_mises_MPa(result.diseased.state.stress_MPa),
        arms=tuple(arms),
    )
