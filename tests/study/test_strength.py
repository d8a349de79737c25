"""Failure load of the states of a case: what yields, what stays elastic, and who is weaker."""

from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.measure.failure_curve import YieldVolume
from sacrofem.mechanics.plasticity import Stepping
from sacrofem.mesh.build import MeshedBone
from sacrofem.study.case import CaseResult, DiseasedBone, put_lesions, set_up_bench, treat
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.scenario import ArmSpec, FillSpec, FractureSpec, LesionSpec, Scenario
from sacrofem.study.strength import (
    StrengthQuestion,
    intact_strength,
    lesion_strength,
    set_up_strength,
    treated_strength,
)

ARM = ArmSpec(name="a", fill=FillSpec(technique="vertebroplasty", cement_ml=6.0))
SITE = LesionSpec(site="lateral mass right", volume_ml=7.1, fracture=FractureSpec(zone="I"))
QUESTION = Scenario(title="f", mesh=Path("none.yaml"), lesions=(SITE,), arms=(ARM,), order=1)


@pytest.fixture(scope="module")
def case(phantom_bone: MeshedBone) -> tuple[DiseasedBone, CaseResult]:
    """A fractured lesion in the right ala, filled; order 1."""
    watch = Stopwatch()
    bench = set_up_bench(phantom_bone, QUESTION, watch, MPI.COMM_SELF)
    sick = put_lesions(bench, QUESTION, watch)
    return sick, treat(sick, QUESTION, ARM, phantom_bone.mesh.sha256, watch)


def test_a_lesion_weakens_and_the_linear_criterion_needs_no_curve(
    case: tuple[DiseasedBone, CaseResult],
) -> None:
    """Protects: the order of the states, and that a larger part of the bone fails later."""
    sick, treated = case
    loads = []
    for part in (0.02, 0.07):
        question = StrengthQuestion("linear", YieldVolume(part, 0.007))
        bench = set_up_strength(sick.bench, QUESTION, question)
        found = (
            intact_strength(bench),
            lesion_strength(bench, sick),
            treated_strength(bench, sick, treated),
        )
        assert all(strength.curve is None and strength.measures is None for strength in found)
        intact_N, lesion_N, treated_N = (strength.effective_strain_N for strength in found)
        assert 0.0 < lesion_N < intact_N
        assert lesion_N < treated_N
        loads.append(intact_N)
    assert loads[0] < loads[1]


def test_bone_yields_and_nothing_else(case: tuple[DiseasedBone, CaseResult]) -> None:
    """Protects: cement and tumour stay elastic; the curve starts with the case's stiffness."""
    sick, treated = case
    question = StrengthQuestion("nonlinear", stepping=Stepping(step=1.0, max_steps=1))
    bench = set_up_strength(sick.bench, QUESTION, question)
    found = treated_strength(bench, sick, treated)
    assert found.curve is not None
    assert found.measures is not None
    assert treated.treatment is not None
    cement = sick.lesions[0].samples.fraction(treated.treatment.inside)  # type: ignore[index]
    lesion = sick.lesions[0].samples.fraction(sick.lesions[0].inside)  # type: ignore[index]
    assert (found.curve.k[(cement > 1.0 - 1e-9) | (lesion > 1.0 - 1e-9)] == 1.0).all()
    assert (found.curve.k > 1.0).any()
    along = float(treated.state.endplate_mm @ sick.bench.model.direction)
    stiffness = float(np.linalg.norm(sick.bench.model.force_N)) / along
    assert found.measures.stiffness_N_per_mm == pytest.approx(stiffness, rel=1e-7)
    assert found.curve.force_N[-1] < stiffness * found.curve.endplate_mm[-1]
