"""The load at which a bone fails, by a linear criterion and from a curve of load and displacement.

The linear criterion asks of one solved state how far its load can be raised until a stated part of
the bone is beyond a stated strain, as if none had yielded. Pistoia 2002 found 2 % beyond 0.7 % of
effective strain for distal radii in high-resolution peripheral CT: the part depends on the size of
the voxels (other tools ship 7 % and 1.1 %), and none is known for cells of a few millimetres. It
ranks states of one mesh; its size is no prediction.
"""

from dataclasses import dataclass

import numpy as np

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.measure.response import cell_response
from sacrofem.mechanics.plasticity import LoadDisplacement
from sacrofem.mechanics.plasticity_law import YieldStrains
from sacrofem.mechanics.state import StateSolution
from sacrofem.mesh.bone_mesh import BoneMesh

#: Yield of a structure: the secant is so much less stiff than the first step. ASTM E399 takes 5 %;
#: an offset of 0.2 % would need a length, which a sacrum does not have.
SECANT_LOSS = 0.05


@dataclass(frozen=True)
class YieldVolume:
    """The linear criterion.

    Attributes:
        part: Part of the bone's volume.
        effective_strain: Limit of the effective strain (Pistoia 2002: 0.02 and 0.007).
    """

    part: float = 0.02
    effective_strain: float = 0.007

    def __post_init__(self) -> None:
        """Refuse what no load reaches or any does.

        Raises:
            InputError: The part is not in (0, 1], or the strain is not above 0.
        """
        if not (0.0 < self.part <= 1.0 and 0.0 < self.effective_strain < np.inf):
            raise InputError(
                "a yield volume is a part of the bone above 0 and at most 1 and a strain above 0, "
                f"found {self.part:g} and {self.effective_strain:g}; Pistoia 2002 has 0.02 and "
                "0.007."
            )


@dataclass(frozen=True, eq=False)
class CurveMeasures:
    """What a curve of load and displacement says.

    Attributes:
        stiffness_N_per_mm: Of the first step, per displacement of the S1 endplate along the force.
        yield_N: Load where the secant has lost :data:`SECANT_LOSS` of that stiffness.
        failure_N: Load at the end; NaN where the bone has not failed.
        yielded_ml: Bone beyond its yield strain at the end.
        dissipated_mJ: Work of the load that the bone does not give back, at each step, shape (s,).
        place_mm: Where it fails: centre of the yielded bone, weighted by how far it is beyond
            yield, world, shape (3,); NaN where none has yielded.
    """

    stiffness_N_per_mm: float
    yield_N: float
    failure_N: float
    yielded_ml: float
    dissipated_mJ: FloatArray
    place_mm: FloatArray


def linear_failure_N(
    mesh: BoneMesh,
    state: StateSolution,
    force_N: float,
    bone_ml: FloatArray,
    limit: YieldVolume = YieldVolume(),
) -> float:
    """Load at which a part of the bone is beyond an effective strain (Pistoia 2002).

    Args:
        mesh: Bone mesh.
        state: The state, solved.
        force_N: Size of the load it was solved under.
        bone_ml: Bone in each cell, shape (m,).
        limit: The criterion.
    """
    energy_MPa = state.energy.cell_mJ / (1000.0 * mesh.cell_ml)
    strain = np.sqrt(2.0 * energy_MPa / state.modulus.young_MPa)
    return force_N * _factor(strain / limit.effective_strain, bone_ml, limit.part)


def linear_yield_N(
    mesh: BoneMesh,
    state: StateSolution,
    force_N: float,
    bone_ml: FloatArray,
    part: float,
    limits: YieldStrains,
) -> float:
    """Load at which a part of the bone has a principal strain beyond yield, in either sense.

    Args:
        mesh: Bone mesh.
        state: The state, solved.
        force_N: Size of the load it was solved under.
        bone_ml: Bone in each cell, shape (m,).
        part: Part of the bone's volume.
        limits: Yield strains.
    """
    response = cell_response(mesh, state)
    ratio = np.maximum(
        response.by_name["compressive_strain"] / limits.compression,
        response.tensile_strain / limits.tension,
    )
    return force_N * _factor(ratio, bone_ml, part)


def curve_measures(mesh: BoneMesh, curve: LoadDisplacement, bone_ml: FloatArray) -> CurveMeasures:
    """What a curve says.

    Args:
        mesh: Bone mesh.
        curve: The curve.
        bone_ml: Bone in each cell, shape (m,).
    """
    beyond = bone_ml * (curve.k - 1.0)
    total = float(beyond.sum())
    place = beyond @ mesh.centroids_mm / total if total > 0.0 else np.full(3, np.nan)
    return CurveMeasures(
        stiffness_N_per_mm=float(curve.force_N[1] / curve.endplate_mm[1]),
        yield_N=_yield_N(curve),
        failure_N=float(curve.force_N[-1]) if curve.failed else float("nan"),
        yielded_ml=float(curve.yielded_ml[-1]),
        dissipated_mJ=dissipated_mJ(curve),
        place_mm=place,
    )


def dissipated_mJ(curve: LoadDisplacement) -> FloatArray:
    """Work of the load less what the bone would give back, shape (s,).

    Bone unloads along its secant, so it would give back half the load times how far it moved.
    """
    step_mJ = 0.5 * (curve.force_N[1:] + curve.force_N[:-1]) * np.diff(curve.moved_mm)
    work_mJ = np.concatenate([[0.0], np.cumsum(step_mJ)])
    return np.asarray(work_mJ - 0.5 * curve.force_N * curve.moved_mm)


def _yield_N(curve: LoadDisplacement) -> float:
    """Where the curve, straight between its steps, crosses the less stiff line; NaN if nowhere."""
    slope = (1.0 - SECANT_LOSS) * curve.force_N[1] / curve.moved_mm[1]
    above = curve.force_N - slope * curve.moved_mm
    crossed = np.flatnonzero(above[2:] <= 0.0)
    if not len(crossed):
        return float("nan")
    after = int(crossed[0]) + 2
    way = above[after - 1] / (above[after - 1] - above[after])
    return float(curve.force_N[after - 1] + way * np.diff(curve.force_N)[after - 1])


def _factor(ratio: FloatArray, bone_ml: FloatArray, part: float) -> float:
    """Least factor of the load at which a part of the bone has a ratio above 1; infinite if none.

    The volume beyond it grows by whole cells: the factor is that of the cell which completes it.
    """
    order = np.argsort(-ratio)
    beyond_ml = np.cumsum(bone_ml[order])
    if not beyond_ml[-1] > 0.0:
        return float("inf")
    # A sum of all cells may miss the whole by rounding.
    cell = int(np.searchsorted(beyond_ml, part * beyond_ml[-1] * (1.0 - 1e-12)))
    with np.errstate(divide="ignore"):
        return float(1.0 / ratio[order[cell]])
