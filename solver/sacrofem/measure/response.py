"""Response of the bone: stress, strain and energy density of cells, by region and state."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.measure.stress_relief import von_mises_MPa, weighted_percentile
from sacrofem.mechanics.plasticity_law import YieldStrains
from sacrofem.mechanics.state import StateSolution
from sacrofem.mesh.bone_mesh import BoneMesh, Part

#: Compression counts positive: it is the smallest principal strain with its sign turned.
QUANTITIES = (
    "von_mises_MPa",
    "max_principal_MPa",
    "compressive_strain",
    "energy_density_MPa",
)
#: Effect of a lesion on a quantity, relative to the intact state, below which a restoration would
#: be a ratio of two small differences (a choice).
LESION_EFFECT_AT_LEAST = 0.01
#: Beyond these strains bone is at risk: where it yields in :class:`YieldStrains`, which has the
#: source.
YIELD_COMPRESSION, YIELD_TENSION = YieldStrains().compression, YieldStrains().tension


@dataclass(frozen=True, eq=False)
class CellResponse:
    """Response of each cell in one state, each shape (m,); means over the cell.

    Attributes:
        by_name: Values of :data:`QUANTITIES`.
        tensile_strain: Largest principal strain.
    """

    by_name: Mapping[str, FloatArray]
    tensile_strain: FloatArray


@dataclass(frozen=True)
class Spread:
    """Mean and 95th percentile over a region by volume, or by area; NaN where it is empty."""

    mean: float
    p95: float


def cell_response(mesh: BoneMesh, state: StateSolution) -> CellResponse:
    """Response of a state's cells, from the mean stress by Hooke's law."""
    principal = state.principal_MPa
    young, poisson = state.modulus.young_MPa, state.modulus.poisson
    trace = principal.sum(axis=1)
    smallest, largest = (
        ((1.0 + poisson) * principal[:, i] - poisson * trace) / young for i in (0, 2)
    )
    values = (
        von_mises_MPa(state.stress_MPa),
        principal[:, 2],
        -smallest,
        state.energy.cell_mJ / (1000.0 * mesh.cell_ml),
    )
    return CellResponse(dict(zip(QUANTITIES, values, strict=True)), largest)


def region_response(
    mesh: BoneMesh, cells: NDArray[np.bool_], response: CellResponse
) -> dict[str, Spread]:
    """Mean and 95th percentile of each of :data:`QUANTITIES` over some cells, shape (m,)."""
    if not cells.any():
        return dict.fromkeys(QUANTITIES, Spread(float("nan"), float("nan")))
    volume = mesh.cell_ml[cells]
    return {name: spread(response.by_name[name][cells], volume) for name in QUANTITIES}


def spread(values: FloatArray, weights: FloatArray) -> Spread:
    """Mean and 95th percentile of values, each shape (k,), by weight."""
    mean = float(weights @ values / weights.sum())
    return Spread(mean, weighted_percentile(values, weights, 95.0))


def relief(lesion: float, treated: float) -> float:
    """``1 - treated / lesion``: 1 is all, below 0 is worse; NaN unless the lesion's is positive."""
    return 1.0 - treated / lesion if lesion > 0.0 else float("nan")


def restoration(intact: float, lesion: float, treated: float) -> float:
    """``(lesion - treated) / (lesion - intact)``: 1 is back to the intact bone.

    NaN where the lesion changes too little, see :data:`LESION_EFFECT_AT_LEAST`.
    """
    effect = lesion - intact
    if not abs(effect) >= LESION_EFFECT_AT_LEAST * abs(intact) or effect == 0.0:
        return float("nan")
    return (lesion - treated) / effect


def bone_at_risk_ml(mesh: BoneMesh, response: CellResponse, bone_share: FloatArray) -> float:
    """Volume of the sacrum's bone beyond a yield strain, in compression or in tension.

    Args:
        mesh: Bone mesh.
        response: Response of the state.
        bone_share: Part of each cell's volume that is bone in all states that are compared, shape
            (m,).
    """
    compressed = response.by_name["compressive_strain"] > YIELD_COMPRESSION
    yields = compressed | (response.tensile_strain > YIELD_TENSION)
    here = yields & (mesh.part == Part.SACRUM)
    return float(mesh.cell_ml[here] @ bone_share[here])
