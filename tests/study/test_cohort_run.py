"""A cohort's run: failures are kept with their reason, and what is done is not done again."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from mpi4py import MPI

from sacrofem.errors import InputError, SacrofemError, SolverError
from sacrofem.measure.cement import NO_CEMENT, NO_INTERFACE
from sacrofem.measure.load_transfer import LoadTransfer
from sacrofem.measure.stress_relief import RegionStress, relief
from sacrofem.mesh.compartments import Compartment
from sacrofem.study import cohort_run
from sacrofem.study.case import STATES, CaseMeasures, CaseResult
from sacrofem.study.cohort_run import run_cohort
from sacrofem.study.recipe import MeshRecipe
from sacrofem.study.scenario import ArmSpec, Scenario
from sacrofem.study.store import read_records


def _cohort() -> dict[str, Any]:
    lesion = {"site": "lateral mass right", "volume_ml": 4.0, "approach": "short axis"}
    return {
        "title": "Small",
        "citation": "Nobody, nowhere.",
        "choices": ["All of it."],
        "mesh": {"phantom": {"voxel_mm": [2.0, 2.0, 2.0]}, "edge_mm": 8.0},
        "order": 1,
        "arms": [
            {"name": name, "fill": {"technique": name}, "why": "To compare."}
            for name in ("balloon", "vertebroplasty")
        ],
        "draw": {
            "seed": 1,
            "cement_per": "lesion",
            "cement_ml": {"mean": 2.5, "sd": 0.2, "limits": [2, 3], "step": 0.1},
        },
        "patients": [
            {"id": n, "sex": "female", "age_years": 60 + n, "lesions": [lesion]} for n in (1, 2)
        ],
        "clinical": {},
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writer of a cohort's folder."""

    def write(values: dict[str, Any]) -> Path:
        folder = tmp_path / "cohort"
        folder.mkdir(exist_ok=True)
        (folder / "cohort.yaml").write_text(yaml.safe_dump(values))
        return folder

    return write


def _measures(cement_ml: float) -> CaseMeasures:
    stress = {"intact": (0.20, 0.5), "lesion": (0.25, 0.6), "treated": (0.21, 0.55)}
    rim = {state: RegionStress(*stress[state]) for state in STATES}
    stiffness = {"intact": 2000.0, "lesion": 1900.0, "treated": 1950.0}
    return CaseMeasures(
        lesion_ml=4.0,
        injected_ml=cement_ml,
        cement_ml=cement_ml - 0.25,
        augmented_ml=cement_ml,
        leak_ml={Compartment.PRESACRAL: 0.25},
        unplaced_ml=0.0,
        nerve_distance_mm=3.5,
        clamped_compaction_g=0.0,
        transfer={s: LoadTransfer(0.5, 0.5, 0.0, 0.0, stiffness[s]) for s in STATES},
        rim=rim,
        relief_rim=relief(rim["lesion"], rim["treated"]),
        micromotion=None,
        load_path={s: {} for s in STATES},
        levels={s: () for s in STATES},
        cement=NO_CEMENT,
        interface=NO_INTERFACE,
        energy_mJ={s: {} for s in STATES},
        energy_error=dict.fromkeys(STATES, 1e-12),
        regions={},
        bone_at_risk_ml=dict.fromkeys(STATES, 0.0),
        failure_load_linear_N=dict.fromkeys(STATES, 4000.0),
        ligament_tension_N={s: {} for s in STATES},
        equilibrium_error=dict.fromkeys(STATES, 1e-12),
        iterations=dict.fromkeys(STATES, 30),
        residual=dict.fromkeys(STATES, 1e-10),
        dofs=100,
    )


@dataclass
class Solver:
    """Stands in for the solver: remembers what it was asked, fails where it is told to."""

    asked: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    fails: dict[tuple[float, str], SacrofemError] = field(default_factory=dict)

    def __call__(
        self, scenario: Scenario, recipe: MeshRecipe, comm: Any, progress: Callable[[str], None]
    ) -> Any:
        assert recipe.phantom is not None
        age = recipe.phantom.age_years
        self.asked.append((age, tuple(arm.name for arm in scenario.arms)))
        progress("solving")
        for arm in scenario.arms:
            if (age, arm.name) in self.fails:
                raise self.fails[age, arm.name]
        cases = tuple(self._case(age, arm) for arm in scenario.arms)
        return SimpleNamespace(scenario=scenario, cases=cases, seconds={"solve": 1.0})

    @staticmethod
    def _case(age: float, arm: ArmSpec) -> CaseResult:
        assert arm.procedures is not None
        measures = _measures(arm.procedures[0].fill.cement_ml or 0.0)
        state: Any = None
        return CaseResult(arm.name, f"{age:g}-{arm.name}", {}, measures, None, state)


@pytest.fixture
def solver(monkeypatch: pytest.MonkeyPatch) -> Solver:
    """A stand-in for the solver."""
    made = Solver()
    monkeypatch.setattr(cohort_run, "run_scenario", made)
    return made


BOTH = ("balloon", "vertebroplasty")


def test_every_patient_is_solved_once_and_kept(
    solver: Solver, written: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    told: list[str] = []
    found = run_cohort(written(_cohort()), tmp_path / "out", MPI.COMM_SELF, told.append)
    assert solver.asked == [(61, BOTH), (62, BOTH)]
    assert told == ["patient 1, 1 of 2: solving", "patient 2, 2 of 2: solving"]
    assert (found.patients, found.known_before, found.failures) == (2, 0, {})
    values = json.loads(found.file.read_text())
    assert [row["id"] for row in values["patients"]] == [1, 2]
    arm = values["patients"][0]["arms"]["balloon"]
    assert arm["leak_ml"] == {"presacral": 0.25}
    assert arm["relief_mean"] == pytest.approx(1 - 0.21 / 0.25)
    assert arm["stiffness_gain"] == pytest.approx(1950 / 1900 - 1)
    described = values["statistics"]["by_arm"]["balloon"]["leaked_ml"]
    assert (described["n"], described["median"]) == (2, 0.25)
    assert len(read_records(tmp_path / "out" / "records.sqlite")) == 4


def test_what_is_done_is_not_done_again(
    solver: Solver, written: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    folder, out = written(_cohort()), tmp_path / "out"
    first = run_cohort(folder, out, MPI.COMM_SELF)
    solver.asked.clear()
    again = run_cohort(folder, out, MPI.COMM_SELF)
    assert solver.asked == []
    assert again.known_before == 2
    assert again.values == first.values


def test_only_the_changed_patient_is_done_again(
    solver: Solver, written: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    out, values = tmp_path / "out", _cohort()
    run_cohort(written(values), out, MPI.COMM_SELF)
    solver.asked.clear()
    values["title"] = "Another title decides no number"
    values["patients"][1]["lesions"] = [
        values["patients"][1]["lesions"][0] | {"breach": ["anterior"]}
    ]
    run_cohort(written(values), out, MPI.COMM_SELF)
    assert solver.asked == [(62, BOTH)]


def test_a_damaged_result_is_done_again(
    solver: Solver, written: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    folder, out = written(_cohort()), tmp_path / "out"
    run_cohort(folder, out, MPI.COMM_SELF)
    (out / "patients" / "01" / "patient.json").write_text('{"key": ')
    solver.asked.clear()
    run_cohort(folder, out, MPI.COMM_SELF)
    assert solver.asked == [(61, BOTH)]


def test_a_failing_arm_leaves_the_other_and_its_reason(
    solver: Solver, written: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    solver.fails[61, "balloon"] = InputError("the path crosses the canal.")
    folder, out = written(_cohort()), tmp_path / "out"
    found = run_cohort(folder, out, MPI.COMM_SELF)
    assert solver.asked == [(61, BOTH), (61, ("balloon",)), (61, ("vertebroplasty",)), (62, BOTH)]
    assert found.failures == {"patient 1, balloon": "the path crosses the canal."}
    assert list(found.values["patients"][0]["arms"]) == ["vertebroplasty"]
    pair = found.values["statistics"]["pairs"]["vertebroplasty"]["relief_mean"]
    assert pair["difference"]["n"] == 1
    # Anatomy refuses it again: it is not asked again.
    solver.asked.clear()
    assert run_cohort(folder, out, MPI.COMM_SELF).failures == found.failures
    assert solver.asked == []


def test_a_solver_that_failed_is_asked_again(
    solver: Solver, written: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    for arm in BOTH:
        solver.fails[61, arm] = SolverError("did not converge.")
    folder, out = written(_cohort()), tmp_path / "out"
    assert len(run_cohort(folder, out, MPI.COMM_SELF).failures) == 2
    solver.fails.clear()
    solver.asked.clear()
    found = run_cohort(folder, out, MPI.COMM_SELF)
    assert solver.asked == [(61, BOTH)]
    assert found.failures == {}
    assert found.known_before == 1


def test_a_foreign_folder_is_refused(
    solver: Solver, written: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="was not made by sacrofem"):
        run_cohort(written(_cohort()), out, MPI.COMM_SELF)
    assert solver.asked == []


@pytest.mark.usefixtures("own_cache")
def test_a_small_cohort_runs_with_the_real_solver(
    written: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    found = run_cohort(written(_cohort()), tmp_path / "out", MPI.COMM_SELF)
    assert found.failures == {}
    for row in found.values["patients"]:
        assert list(row["arms"]) == list(BOTH)
        for numbers in row["arms"].values():
            volumes = numbers["cement_ml"] + numbers["leaked_ml"] + numbers["unplaced_ml"]
            assert volumes == pytest.approx(numbers["injected_ml"], abs=1e-9)
            assert numbers["lesion_ml"] == pytest.approx(4.0, rel=0.005)
            stiffness = numbers["stiffness_N_per_mm"]
            assert stiffness["lesion"] < min(stiffness["treated"], stiffness["intact"])
    again = run_cohort(tmp_path / "cohort", tmp_path / "out", MPI.COMM_SELF)
    assert again.known_before == 2
    assert again.values == found.values
