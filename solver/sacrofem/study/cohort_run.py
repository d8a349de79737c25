"""A cohort from its file to ``cohort.json``: every patient solved once, failures kept with reasons.

Each patient has a folder with the scenario, its recipe and the result; a second call of the same
cohort does only what is missing or changed. Collective over the ranks of a communicator.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mpi4py import MPI

from sacrofem.errors import InputError, SacrofemError
from sacrofem.measure.stress_relief import RIM_MM
from sacrofem.mechanics.distributed import on_root
from sacrofem.study.case import STATES, CaseResult
from sacrofem.study.cohort import (
    Cohort,
    CohortPatient,
    expand_cohort,
    read_cohort,
    write_patient,
)
from sacrofem.study.output_folder import check_output, mark
from sacrofem.study.plans import identity
from sacrofem.study.provenance import CASE_ROOMS, sha256_of_code, sha256_of_value, versions
from sacrofem.study.run import Progress, ScenarioResult, run_scenario
from sacrofem.study.statistics import compare_pairs, describe, friedman
from sacrofem.study.store import open_store, write_record
from sacrofem.study.summary import write_summary

#: Raised when a field of ``cohort.json`` or ``patient.json`` changes its meaning or goes away.
SCHEMA = 1
#: Measures that every arm has one number of.
BY_ARM = (
    "relief_mean",
    "relief_p95",
    "stiffness_gain",
    "cement_ml",
    "leaked_ml",
    "unplaced_ml",
    "nerve_distance_mm",
)
#: Measures that every arm has a number of in each state.
BY_STATE = ("stiffness_N_per_mm", "rim_mean_MPa", "rim_p95_MPa", "load_share_left")
#: Those whose difference between the states is tested; a load share has no better or worse.
TESTED_BY_STATE = BY_STATE[:3]


@dataclass(frozen=True)
class CohortOutcome:
    """What a call of :func:`run_cohort` did.

    Attributes:
        values: What ``cohort.json`` holds.
        file: Where it is.
        patients: How many there are.
        known_before: How many of them were done before.
        failures: What could not be done, by patient and arm.
    """

    values: Mapping[str, Any]
    file: Path
    patients: int
    known_before: int
    failures: Mapping[str, str]


def run_cohort(
    path: Path,
    out: Path,
    comm: MPI.Comm = MPI.COMM_WORLD,
    progress: Progress = lambda _: None,
) -> CohortOutcome:
    """Run what is missing of a cohort and write ``cohort.json`` and ``records.sqlite``.

    An arm that fails does not stop the others, nor a patient the next one.

    Args:
        path: Cohort file or its folder.
        out: Output folder; ``patients/NN`` holds each patient's scenario and result.
        comm: Communicator; all ranks work on one patient after the other.
        progress: Told what begins.

    Raises:
        InputError: The file or the folder cannot be used.
    """
    cohort, patients = on_root(comm, lambda: _read(path, out))
    results: list[Mapping[str, Any]] = []
    known = 0
    for number, patient in enumerate(patients, start=1):
        place = f"patient {patient.id}, {number} of {len(patients)}"
        done, was_known = _result(patient, out, comm, partial(_tell, progress, place))
        results.append(done)
        known += was_known
    values = cohort_values(cohort, patients, results)
    on_root(comm, lambda: write_summary(out / "cohort.json", values))
    failures = {
        f"patient {p.id}, {arm}": reason
        for p, done in zip(patients, results, strict=True)
        for arm, reason in done["failures"].items()
    }
    return CohortOutcome(values, out / "cohort.json", len(patients), known, failures)


def patient_key(patient: CohortPatient) -> str:
    """Hash of everything that decides a patient's numbers; see ``case_inputs`` for one arm's."""
    scenario = identity(patient.scenario.model_copy(update={"mesh": None}))
    inputs = {
        "schema": SCHEMA,
        "scenario": {name: value for name, value in scenario.items() if name != "title"},
        "recipe": patient.recipe.model_dump(mode="json"),
        "code": sha256_of_code(CASE_ROOMS),
    }
    return sha256_of_value(inputs)[:32]


def measures_of(case: CaseResult) -> dict[str, Any]:
    """The numbers of a finished case that a cohort compares; needs what rank 0 holds."""
    found = case.measures
    stiffness = {state: found.transfer[state].stiffness_N_per_mm for state in STATES}
    return {
        "key": case.key,
        "relief_mean": found.relief_rim.von_mises_mean,
        "relief_p95": found.relief_rim.von_mises_p95,
        "stiffness_gain": stiffness["treated"] / stiffness["lesion"] - 1.0,
        "lesion_ml": found.lesion_ml,
        "injected_ml": found.injected_ml,
        "cement_ml": found.cement_ml,
        "leaked_ml": found.leaked_ml,
        "leak_ml": {space.words: volume for space, volume in found.leak_ml.items()},
        "unplaced_ml": found.unplaced_ml,
        "nerve_distance_mm": found.nerve_distance_mm,
        "stiffness_N_per_mm": stiffness,
        "rim_mean_MPa": {state: found.rim[state].von_mises_mean_MPa for state in STATES},
        "rim_p95_MPa": {state: found.rim[state].von_mises_p95_MPa for state in STATES},
        "load_share_left": {state: found.transfer[state].share_left for state in STATES},
        "procedures": [
            {
                "approach": done.path.approach,
                "allowed_by_rule": done.path.allowed_by_rule,
                "least_clearance_mm": done.path.least_clearance_mm,
                "stopped_by": done.fill.stopped_by,
            }
            for done in (case.treatment.procedures if case.treatment is not None else ())
        ],
    }


def cohort_values(
    cohort: Cohort, patients: tuple[CohortPatient, ...], results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What ``cohort.json`` holds.

    Args:
        cohort: The file.
        patients: Its patients.
        results: What ``patient.json`` holds of each.
    """
    return {
        "schema": SCHEMA,
        "title": cohort.title,
        "citation": cohort.citation,
        "choices": list(cohort.choices),
        "arms": {arm.name: _arm_words(arm.model_dump(mode="json")) for arm in cohort.arms},
        "draw": cohort.draw.model_dump(mode="json", exclude_none=True),
        "mesh": {"model": cohort.mesh.model, "edge_mm": cohort.mesh.edge_mm},
        "order": cohort.order,
        "load": cohort.load.model_dump(mode="json"),
        "materials": cohort.materials.model_dump(mode="json"),
        "rim_mm": RIM_MM,
        "clinical": cohort.clinical.model_dump(mode="json"),
        "patients": [_row(p, done) for p, done in zip(patients, results, strict=True)],
        "statistics": _statistics([arm.name for arm in cohort.arms], results),
        "versions": versions(),
    }


def _read(path: Path, out: Path) -> tuple[Cohort, tuple[CohortPatient, ...]]:
    cohort = read_cohort(path)
    patients = expand_cohort(cohort)
    check_output(out)
    mark(out)
    return cohort, patients


def _known(folder: Path, key: str) -> dict[str, Any] | None:
    """The result of a patient that was finished with the same inputs."""
    try:
        found = json.loads((folder / "patient.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("key") != key or found.get("again") is not False:
        return None
    return found


def _result(
    patient: CohortPatient, out: Path, comm: MPI.Comm, progress: Progress
) -> tuple[dict[str, Any], bool]:
    """The result of a patient, and whether it was known before."""
    folder, key = out / "patients" / f"{patient.id:02d}", patient_key(patient)
    known = on_root(comm, lambda: _known(folder, key))
    if known is not None:
        return known, True
    done = {"schema": SCHEMA, "key": key, **_run(patient, out, comm, progress)}
    on_root(comm, lambda: _keep(folder, patient, done))
    return done, False


def _tell(progress: Progress, place: str, text: str) -> None:
    progress(f"{place}: {text}")


def _run(patient: CohortPatient, out: Path, comm: MPI.Comm, progress: Progress) -> dict[str, Any]:
    """All arms of a patient at once or, where one fails, each on its own."""
    parts = [patient.scenario]
    arms: dict[str, Any] = {}
    failures: dict[str, str] = {}
    seconds: dict[str, float] = {}
    again = False
    while parts:
        part = parts.pop(0)
        try:
            result = run_scenario(part, patient.recipe, comm, progress)
        except SacrofemError as error:
            if len(part.arms) > 1:
                parts = [part.model_copy(update={"arms": (arm,)}) for arm in part.arms]
            else:
                failures[part.arms[0].name] = str(error)
                # What the anatomy refuses it refuses again; a solver may be luckier.
                again |= not isinstance(error, InputError)
            continue
        arms |= on_root(comm, partial(_record, out, result))
        for stage, spent in result.seconds.items():
            seconds[stage] = round(seconds.get(stage, 0.0) + spent, 3)
    return {"again": again, "arms": arms, "failures": failures, "seconds": seconds}


def _record(out: Path, result: ScenarioResult) -> dict[str, Any]:
    """Write the rows of a patient; the numbers by arm."""
    with open_store(out / "records.sqlite") as store:
        for case in result.cases:
            write_record(store, case, result.scenario.title, sum(result.seconds.values()))
    return {case.arm: measures_of(case) for case in result.cases}


def _keep(folder: Path, patient: CohortPatient, done: Mapping[str, Any]) -> None:
    """Write a patient: the question, and the result last."""
    folder.mkdir(parents=True, exist_ok=True)
    write_patient(folder, patient)
    part = folder / "patient.json.part"
    write_summary(part, dict(done))
    part.rename(folder / "patient.json")


def _arm_words(arm: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arm.items() if name != "name"}


def _row(patient: CohortPatient, done: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": patient.id,
        "sex": patient.sex,
        "age_years": patient.age_years,
        "size": patient.size,
        "primary": patient.primary,
        "lesions": [
            {"words": spec.words, "volume_ml": volume, "cement_ml": cement}
            for spec, volume, cement in zip(
                patient.scenario.lesions, patient.volumes_ml, patient.cement_ml, strict=True
            )
        ],
        "approaches": {
            arm.name: [p.approach for p in arm.of_lesions(len(patient.scenario.lesions))]
            for arm in patient.scenario.arms
        },
        "drawn": list(patient.drawn),
        "arms": done["arms"],
        "failures": done["failures"],
        "seconds": done["seconds"],
    }


def _statistics(arms: list[str], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Descriptions of each arm, Friedman over its states, and pairs of the first arm with others.

    The unit is the patient: a patient with two lesions has one bone and one row.
    """

    def of_arm(arm: str, measure: str) -> list[float | None]:
        return [_value(done, arm, measure) for done in results]

    def of_state(arm: str, measure: str, state: str) -> list[float | None]:
        return [_value(done, arm, measure, state) for done in results]

    return {
        "by_arm": {
            arm: {name: asdict(describe(of_arm(arm, name))) for name in BY_ARM} for arm in arms
        },
        "by_state": {
            arm: {
                name: {state: asdict(describe(of_state(arm, name, state))) for state in STATES}
                for name in BY_STATE
            }
            for arm in arms
        },
        "friedman": {
            arm: {
                name: asdict(friedman(*(of_state(arm, name, state) for state in STATES)))
                for name in TESTED_BY_STATE
            }
            for arm in arms
        },
        "pairs": {
            other: {
                name: asdict(compare_pairs(of_arm(arms[0], name), of_arm(other, name)))
                for name in BY_ARM
            }
            for other in arms[1:]
        },
    }


def _value(
    done: Mapping[str, Any], arm: str, measure: str, state: str | None = None
) -> float | None:
    value = done["arms"].get(arm, {}).get(measure)
    if state is not None and value is not None:
        value = value.get(state)
    return value if value is None else float(value)
