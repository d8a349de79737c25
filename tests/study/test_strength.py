"""Failure load of the states of a case: what yields, what stays elastic, and who is weaker."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.errors import SolverError
from sacrofem.measure.failure_curve import YieldVolume
from sacrofem.mechanics.elasticity import make_model
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, intact_modulus
from sacrofem.mechanics.plasticity import Stepping
from sacrofem.mechanics.state import solve_state
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, Support, cartilage_springs
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.build import MeshedBone
from sacrofem.report.page import page
from sacrofem.report.table import comparison_table
from sacrofem.study import run
from sacrofem.study.bones import Patient
from sacrofem.study.case import (
    STATES,
    Bench,
    CaseResult,
    DiseasedBone,
    case_inputs,
    put_lesions,
    set_up_bench,
    treat,
)
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import MeshRecipe, PhantomRecipe
from sacrofem.study.scenario import ArmSpec, FillSpec, FractureSpec, LesionSpec, Scenario
from sacrofem.study.strength import (
    StrengthQuestion,
    intact_strength,
    lesion_strength,
    set_up_strength,
    strength_of_cases,
    treated_strength,
)
from sacrofem.study.summary import summary, write_summary

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


def test_bone_around_the_ends_of_ligaments_stays_elastic(
    case: tuple[DiseasedBone, CaseResult],
) -> None:
    """Protects: that the distance is read: where it holds all bone, none is left to yield."""
    sick, _ = case
    linear = [
        intact_strength(
            set_up_strength(sick.bench, QUESTION, StrengthQuestion("linear", attachment_mm=wide))
        ).effective_strain_N
        for wide in (0.0, 15.0, 1000.0)
    ]
    # A smaller part of less bone may be reached sooner or later.
    assert linear[1] != pytest.approx(linear[0], rel=1e-4)
    assert linear[2] == np.inf
    question = StrengthQuestion("nonlinear", attachment_mm=1000.0)
    with pytest.raises(SolverError, match="no bone that yields") as caught:
        strength_of_cases(sick, QUESTION, (), question, lambda _: None)
    # A run that ends here has solved its arms in vain: it says how to have them.
    assert str(caught.value).startswith("failure of the intact bone: ")
    assert str(caught.value).endswith("'failure_curve': leave it out.")


#: One step beyond the first yield, which counts as the end: a curve in seconds.
SHORT = Stepping(step=1.0, end_tangent=2.0, max_steps=1)


def test_a_run_shows_what_each_state_bears(
    phantom_bone: MeshedBone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects: from the scenario's field to summary, table and page, the numbers of one run."""
    patient = Patient(phantom_bone, "phantom", {"phantom": "ab" * 32}, Path("none.npz"), True)
    monkeypatch.setattr(run, "load_patient", lambda recipe, watch: patient)
    monkeypatch.setattr(run, "StrengthQuestion", partial(StrengthQuestion, stepping=SHORT))
    asked = QUESTION.model_copy(update={"failure_curve": True})
    said: list[str] = []
    result = run.run_scenario(
        asked, MeshRecipe(phantom=PhantomRecipe()), MPI.COMM_SELF, said.append
    )
    assert said[-3:] == [
        "failure of the intact bone",
        "failure of the bone with its lesions",
        "failure after arm a",
    ]
    assert result.seconds["failure"] > 0.0
    write_summary(tmp_path / "summary.json", summary(result))
    values = json.loads((tmp_path / "summary.json").read_text())
    assert values["schema"] == 2
    failure = {state: values["arms"]["a"][state]["failure"] for state in STATES}
    for state, found in failure.items():
        strength = getattr(result.strength[0], state)
        assert found["curve"]["force_N"] == strength.curve.force_N.tolist()
        assert found["curve"]["force_N"][-1] == found["failure_N"]
        assert found["load_N"] == pytest.approx(500.0)
        stiffness = values["arms"]["a"][state]["stiffness_N_per_mm"]
        assert found["stiffness_N_per_mm"] == pytest.approx(stiffness, rel=1e-7)
        assert found["residual"] <= 1e-8
        assert found["equilibrium_error"] <= 1e-8
        assert np.linalg.norm(np.array(found["place_mm"]) - phantom_bone.mesh.frame.origin_mm) < 90
    assert failure["lesion"]["effective_strain_N"] < failure["treated"]["effective_strain_N"]
    assert failure["lesion"]["failure_N"] < failure["intact"]["failure_N"]
    text = comparison_table(values)
    assert "Loaded to failure" in text
    assert f"{failure['treated']['failure_N']:.0f}" in text
    assert "Loaded to failure" in page(values, asked, [])


def test_asking_for_the_curve_is_no_other_case() -> None:
    """Protects: a record's key, and so its place in a store, does not depend on the curves."""
    asked = QUESTION.model_copy(update={"failure_curve": True})
    assert case_inputs(asked, ARM, "0") == case_inputs(QUESTION, ARM, "0")


@pytest.mark.mpi
def test_the_strength_does_not_depend_on_the_ranks(box: Callable[..., BoneMesh]) -> None:
    """Protects: that what yields, and the linear criteria, are of the whole bone on each rank."""
    mesh, materials = box(3), MaterialParameters()
    support = Support(SACROILIAC_JOINTS, cartilage_springs())
    found = []
    for comm in (MPI.COMM_SELF, MPI.COMM_WORLD):
        model = make_model(mesh, SacralLoad(force_N=100.0), support, materials, 2, comm)
        state = solve_state(model, intact_modulus(mesh))
        bone = cast("MeshedBone", SimpleNamespace(mesh=mesh))
        bench = Bench(bone, None, model, materials, (), (), state)
        question = StrengthQuestion("nonlinear", stepping=SHORT)
        strength = intact_strength(set_up_strength(bench, QUESTION, question))
        assert strength.curve is not None
        found.append(
            [*strength.curve.force_N, strength.effective_strain_N, strength.yield_strain_N]
        )
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
