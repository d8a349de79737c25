"""One scenario from its files to finished cases; collective over the ranks of a communicator."""

from collections.abc import Callable
from dataclasses import dataclass

from mpi4py import MPI

from sacrofem.mechanics.distributed import on_root
from sacrofem.study.bones import Patient, load_patient
from sacrofem.study.case import CaseResult, DiseasedBone, put_lesions, set_up_bench, treat
from sacrofem.study.provenance import Stopwatch, peak_memory_GB
from sacrofem.study.recipe import MeshRecipe
from sacrofem.study.scenario import Scenario
from sacrofem.study.strength import StrengthOfCase, StrengthQuestion, strength_of_cases

#: Called with a line of text when a stage begins.
Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class ScenarioResult:
    """A finished scenario.

    Attributes:
        scenario: What was asked.
        patient: The bone.
        diseased: Bench, intact state and the state with the lesions.
        cases: One for each arm, in the scenario's order.
        strength: Failure loads of each case, where the scenario asks for them; else empty.
        seconds: Time by stage.
        peak_memory_GB: Summed over the ranks.
        ranks: Number of MPI ranks.
    """

    scenario: Scenario
    patient: Patient
    diseased: DiseasedBone
    cases: tuple[CaseResult, ...]
    strength: tuple[StrengthOfCase, ...]
    seconds: dict[str, float]
    peak_memory_GB: float
    ranks: int


def run_scenario(
    scenario: Scenario,
    recipe: MeshRecipe,
    comm: MPI.Comm = MPI.COMM_WORLD,
    progress: Progress = lambda _: None,
) -> ScenarioResult:
    """Mesh the bone, place the lesion, solve every arm and measure; then load to failure if asked.

    Args:
        scenario: The scenario.
        recipe: Its mesh recipe.
        comm: Communicator; rank 0 meshes and places, all ranks solve.
        progress: Told what begins.

    Raises:
        SacrofemError: With a cause and a way out, on all ranks.
    """
    watch = Stopwatch()
    progress("CT, anatomy and mesh")
    patient = on_root(comm, lambda: load_patient(recipe, watch))
    sha256 = patient.bone.mesh.sha256
    progress("model and intact bone")
    bench = set_up_bench(patient.bone, scenario, watch, comm, with_planes=True)
    progress("lesions")
    diseased = put_lesions(bench, scenario, watch)
    cases = []
    for arm in scenario.arms:
        progress(f"arm {arm.name}")
        cases.append(treat(diseased, scenario, arm, sha256, watch))
    strength: tuple[StrengthOfCase, ...] = ()
    if scenario.failure_curve:
        with watch.stage("failure"):
            strength = strength_of_cases(
                diseased, scenario, cases, StrengthQuestion("nonlinear"), progress
            )
    return ScenarioResult(
        scenario,
        patient,
        diseased,
        tuple(cases),
        strength,
        watch.seconds,
        peak_memory_GB(comm),
        comm.size,
    )
