"""Failure load of the states of a case, by the linear criterion or by loading to failure.

Only bone of the sacrum yields, by its part in the stiffness of each cell. Cement stays elastic (its
stress is judged against its own limits), and so do tumour, blastic too, the gap of a fracture, the
ilia and the cartilage. Where bone bridges to the supports the curve ends; where elastic cement
does, it may not, and the failure load is NaN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sacrofem.errors import SolverError
from sacrofem.measure.failure_curve import (
    CurveMeasures,
    YieldVolume,
    curve_measures,
    linear_failure_N,
    linear_yield_N,
)
from sacrofem.measure.tissues import tissue_shares
from sacrofem.mechanics.distributed import on_root
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.loads import sacral_load
from sacrofem.mechanics.plasticity import (
    LoadDisplacement,
    Stepping,
    YieldingBone,
    load_to_failure,
)
from sacrofem.mechanics.plasticity_law import YieldStrains
from sacrofem.mechanics.state import StateSolution
from sacrofem.mesh.bone_mesh import Part
from sacrofem.study.case import Bench, CaseResult, DiseasedBone
from sacrofem.study.scenario import Scenario
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion

Method = Literal["linear", "nonlinear"]
#: Degree of the displacement of the nonlinear criterion, whatever that of the case: a curve takes a
#: hundred solves and more, and one at degree 2 takes eight times as long.
CURVE_ORDER = 1
#: Bone around a ligament's end stays elastic and does not count (a choice): the model pulls at a
#: point, where stress grows without limit as cells shrink; a ligament inserts on an area.
ATTACHMENT_MM = 5.0


@dataclass(frozen=True, eq=False)
class Strength:
    """Failure load of one state.

    Attributes:
        effective_strain_N: By the linear criterion of Pistoia 2002.
        yield_strain_N: By the same part of the bone and its yield strains of either sense.
        curve: Load and displacement to failure; None for the method ``linear``.
        measures: What the curve says; None without one.
    """

    effective_strain_N: float
    yield_strain_N: float
    curve: LoadDisplacement | None
    measures: CurveMeasures | None


@dataclass(frozen=True)
class StrengthQuestion:
    """How strength is asked for.

    Attributes:
        method: ``linear`` needs no further solve; ``nonlinear`` has both criteria.
        volume: The linear criterion.
        limits: Yield strains of the bone.
        stepping: How the load is raised.
        attachment_mm: Bone so near to a ligament's end stays elastic, see :data:`ATTACHMENT_MM`.
    """

    method: Method = "linear"
    volume: YieldVolume = field(default_factory=YieldVolume)
    limits: YieldStrains = field(default_factory=YieldStrains)
    stepping: Stepping = field(default_factory=Stepping)
    attachment_mm: float = ATTACHMENT_MM


@dataclass(frozen=True, eq=False)
class StrengthOfCase:
    """Failure loads of the three states of one arm; the first two are the same for every arm."""

    intact: Strength
    lesion: Strength
    treated: Strength


@dataclass(frozen=True, eq=False)
class StrengthBench:
    """A bench on which bones are loaded to failure.

    Attributes:
        bench: The bench of the cases.
        model: The same bone, load and support at :data:`CURVE_ORDER`; None for ``linear``.
        question: What is asked.
    """

    bench: Bench
    model: ElasticModel | None
    question: StrengthQuestion


def set_up_strength(bench: Bench, scenario: Scenario, question: StrengthQuestion) -> StrengthBench:
    """Compile the model of the curves, where it is not the bench's own; collective."""
    if question.method == "linear":
        return StrengthBench(bench, None, question)
    if bench.model.order == CURVE_ORDER:
        return StrengthBench(bench, bench.model, question)
    mesh = bench.bone.mesh
    model = make_model(
        mesh,
        sacral_load(scenario.load.load_case, mesh.frame),
        bench.model.support,
        bench.materials,
        CURVE_ORDER,
        bench.model.domain.comm,
        bench.model.ligaments,
    )
    return StrengthBench(bench, model, question)


def intact_strength(bench: StrengthBench) -> Strength:
    """Failure load of the bone as the CT shows it; collective."""
    return _strength(bench, bench.bench.intact, None, ())


def lesion_strength(bench: StrengthBench, sick: DiseasedBone) -> Strength:
    """Failure load of the bone with its lesions; collective."""
    return _strength(bench, sick.state, sick.lesions, ())


def treated_strength(bench: StrengthBench, sick: DiseasedBone, case: CaseResult) -> Strength:
    """Failure load of the bone after one arm; collective."""
    fills = () if case.treatment is None else case.treatment.fills
    return _strength(bench, case.state, sick.lesions, fills)


def strength_of_cases(
    sick: DiseasedBone,
    scenario: Scenario,
    cases: Sequence[CaseResult],
    question: StrengthQuestion,
    progress: Callable[[str], None],
) -> tuple[StrengthOfCase, ...]:
    """Failure loads of the cases of a scenario, in their order; collective.

    Args:
        sick: The bone with its lesions, solved.
        scenario: The scenario.
        cases: Its arms, solved.
        question: How strength is asked for.
        progress: Told what begins.

    Raises:
        SolverError: A step did not converge or is not in equilibrium.
    """
    bench = set_up_strength(sick.bench, scenario, question)

    def told(what: str, work: Callable[[], Strength]) -> Strength:
        progress(f"failure {what}")
        try:
            return work()
        except SolverError as error:
            raise SolverError(
                f"failure {what}: {error} All other numbers need no 'failure_curve': leave it out."
            ) from error

    intact = told("of the intact bone", lambda: intact_strength(bench))
    lesion = told("of the bone with its lesions", lambda: lesion_strength(bench, sick))
    treated = [
        told(f"after arm {case.arm}", partial(treated_strength, bench, sick, case))
        for case in cases
    ]
    return tuple(StrengthOfCase(intact, lesion, strength) for strength in treated)


def _strength(
    bench: StrengthBench,
    state: StateSolution,
    lesions: Sequence[Lesion] | None,
    fills: Sequence[CementFill],
) -> Strength:
    """Failure load of a state; what is on rank 0 only is asked for there only."""
    mesh, question = bench.bench.bone.mesh, bench.question
    comm: MPI.Comm = bench.bench.model.domain.comm
    bone = on_root(comm, lambda: _yielding(bench, state, lesions or (), fills))
    force_N = float(np.linalg.norm(bench.bench.model.force_N))
    curve = measures = None
    if bench.model is not None:
        curve = load_to_failure(bench.model, state.modulus, bone, question.stepping)
        measures = curve_measures(mesh, curve, bone.volume_ml)
    return Strength(
        linear_failure_N(mesh, state, force_N, bone.volume_ml, question.volume),
        linear_yield_N(mesh, state, force_N, bone.volume_ml, question.volume.part, question.limits),
        curve,
        measures,
    )


def _yielding(
    bench: StrengthBench,
    state: StateSolution,
    lesions: Sequence[Lesion],
    fills: Sequence[CementFill],
) -> YieldingBone:
    """What yields in a state: bone of the sacrum, by its part in each cell."""
    mesh, materials = bench.bench.bone.mesh, bench.bench.materials
    shares = tissue_shares(bench.bench.intact.modulus, state.modulus, lesions, fills, materials)
    sacrum = (mesh.part == Part.SACRUM) & ~_at_ligaments(bench)
    part = sacrum * (1.0 - shares.gap) * np.clip(1.0 - shares.cement - shares.lesion, 0.0, 1.0)
    volume_ml = sacrum * shares.bone_volume * mesh.cell_ml
    return YieldingBone(part, volume_ml, bench.question.limits)


def _at_ligaments(bench: StrengthBench) -> NDArray[np.bool_]:
    """Cells around the points where ligaments pull, see :data:`ATTACHMENT_MM`, shape (m,)."""
    ligaments, mesh = bench.bench.model.ligaments, bench.bench.bone.mesh
    if len(ligaments) == 0:
        return np.zeros(len(mesh.tets), dtype=bool)
    away_mm, _ = cKDTree(mesh.points_mm[ligaments.vertex]).query(mesh.centroids_mm)
    return np.asarray(away_mm < bench.question.attachment_mm)
