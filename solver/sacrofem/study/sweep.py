"""Sweeps: a base scenario, the fields that vary, and a grid of cases run by Dask workers.

The client owns the record store. A case's key is the hash of its inputs, so a second call does
only what is missing, whatever ended the first one.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from mpi4py import MPI
from pydantic import Field, ValidationError

from sacrofem.errors import InputError, SacrofemError
from sacrofem.mesh.files import load_bone
from sacrofem.study.bones import Patient, load_patient
from sacrofem.study.case import (
    Bench,
    DiseasedBone,
    case_inputs,
    case_key,
    put_lesions,
    set_up_bench,
    treat,
)
from sacrofem.study.output_folder import check_output, mark
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import read_recipe
from sacrofem.study.records import numbers_of
from sacrofem.study.scenario import Scenario, read_scenario
from sacrofem.study.store import insert_row, known_keys, open_store
from sacrofem.study.yaml_file import FileModel, read_yaml

#: Called with the number of finished cases, of all cases, and a line about the last one.
SweepProgress = Callable[[int, int, str], None]


class Design(FileModel):
    """How the values of a sweep are combined."""

    kind: Literal["grid"] = "grid"


class Sweep(FileModel):
    """A sweep file: every arm of the base scenario, for every combination of the values."""

    base: Path
    vary: dict[str, tuple[Any, ...]] = Field(min_length=1)
    design: Design = Design()


@dataclass(frozen=True)
class SweepCase:
    """One case to run: a scenario with a single arm."""

    key: str
    inputs: Mapping[str, Any]
    scenario: Scenario
    mesh_file: Path
    mesh_sha256: str


@dataclass(frozen=True)
class SweepOutcome:
    """What a call of :func:`run_sweep` did."""

    records: Path
    cases: int
    known_before: int
    failures: Mapping[str, str]


def read_sweep(path: Path) -> tuple[Sweep, Scenario]:
    """Read a sweep file and its base scenario.

    Raises:
        InputError: See :func:`sacrofem.study.yaml_file.read_yaml`.
    """
    sweep = read_yaml(path, Sweep)
    for field, values in sweep.vary.items():
        if not values:
            raise InputError(f"{path}, vary.{field}: at least one value is needed, found none.")
    return sweep, read_scenario(path.parent / sweep.base)


def expand(sweep: Sweep, base: Scenario, source: Path) -> list[Scenario]:
    """The scenarios of a sweep, each with one arm; arms of the base are crossed with the values.

    Raises:
        InputError: A path does not lead to a field, or a value does not fit its field.
    """
    scenarios = []
    for values in itertools.product(*sweep.vary.values()):
        data = base.model_dump(mode="json")
        for field, value in zip(sweep.vary, values, strict=True):
            _put(data, field.split("."), value, f"{source}, vary.{field}")
        try:
            varied = Scenario.model_validate(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"{source}, vary: {place} {first['msg'][0].lower()}{first['msg'][1:]}, found "
                f"{first.get('input')!r}."
            ) from error
        scenarios += [varied.model_copy(update={"arms": (arm,)}) for arm in varied.arms]
    return scenarios


def run_sweep(
    path: Path,
    out: Path,
    workers: int,
    progress: SweepProgress = lambda *_: None,
) -> SweepOutcome:
    """Run what is missing of a sweep on local workers.

    Args:
        path: Sweep file.
        out: Output folder; holds ``records.sqlite``.
        workers: Number of worker processes, one solver each.
        progress: Told after every case.

    Raises:
        InputError: The files or the folder cannot be used.
    """
    sweep, base = read_sweep(path)
    scenarios = expand(sweep, base, path)
    check_output(out)
    cases = _cases(scenarios, _kept_patient(base, out))
    records = out / "records.sqlite"
    failures: dict[str, str] = {}
    with open_store(records) as store:
        known = known_keys(store) & set(cases)
        missing = {key: case for key, case in cases.items() if key not in known}
        done = len(known)
        progress(done, len(cases), f"{done} known")
        for key, outcome in _compute(missing, min(workers, max(len(missing), 1))):
            done += 1
            if isinstance(outcome, str):
                failures[key] = outcome
                progress(done, len(cases), f"failed: {outcome}")
                continue
            arm = cases[key].scenario.arms[0]
            insert_row(store, key, arm.name, base.title, cases[key].inputs, outcome)
            progress(done, len(cases), arm.name)
    return SweepOutcome(records, len(cases), len(known), failures)


def _kept_patient(base: Scenario, out: Path) -> Patient:
    """The bone of a sweep, its mesh kept in the sweep's folder, which is ours from now on."""
    recipe, kept = read_recipe(base.mesh), out / "meshes"
    if not kept.is_dir():
        # Into the cache first: images that cannot be used must not leave a folder behind.
        load_patient(recipe, Stopwatch())
        mark(out)
    return load_patient(recipe, Stopwatch(), kept)


def _cases(scenarios: list[Scenario], patient: Patient) -> dict[str, SweepCase]:
    """The cases by key; two points of the design that mean the same are one case."""
    sha256 = patient.bone.mesh.sha256
    cases = {}
    for scenario in scenarios:
        inputs = case_inputs(scenario, scenario.arms[0], sha256)
        key = case_key(inputs)
        cases[key] = SweepCase(key, inputs, scenario, patient.mesh_file, sha256)
    return cases


def _compute(
    cases: Mapping[str, SweepCase], workers: int
) -> Iterator[tuple[str, dict[str, float] | str]]:
    """Numbers of each case, or the text of its error, as they finish."""
    if not cases:
        return
    # A quarter of a second to import, which every other command would spend.
    from distributed import Client, LocalCluster, as_completed

    # Loopback only: the workers of a laptop have no business on its network.
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=40,
        ) as cluster,
        Client(cluster) as client,
    ):
        futures = [
            client.submit(_run_case, case, key=key, retries=1) for key, case in cases.items()
        ]
        for future in as_completed(futures):
            error = future.exception()
            yield future.key, str(error) if error else future.result()
            future.release()


def _run_case(case: SweepCase) -> dict[str, float] | str:
    """Solve one case in a worker; what the case itself does wrong is its result."""
    start = time.perf_counter()
    scenario, watch = case.scenario, Stopwatch()
    base = scenario.model_copy(update={"arms": ()})
    try:
        diseased = _diseased(case.mesh_file, base)
        result = treat(diseased, scenario, scenario.arms[0], case.mesh_sha256, watch)
    except SacrofemError as error:
        return f"{type(error).__name__}: {error}"
    return numbers_of(result.measures, time.perf_counter() - start)


@lru_cache(maxsize=2)
def _bench(mesh_file: Path, base: Scenario) -> Bench:
    """The bench stays in the worker's memory: a case costs what its own solve costs."""
    return set_up_bench(load_bone(mesh_file), base, Stopwatch(), MPI.COMM_SELF)


@lru_cache(maxsize=2)
def _diseased(mesh_file: Path, base: Scenario) -> DiseasedBone:
    bench = _bench(mesh_file, base.model_copy(update={"lesions": ()}))
    return put_lesions(bench, base, Stopwatch())


def _put(data: Any, way: list[str], value: Any, where: str) -> None:
    """Put a value at a dotted path; ``*`` stands for every entry of a list."""
    step, rest = way[0], way[1:]
    if isinstance(data, list):
        entries = range(len(data)) if step == "*" else [_number(step, len(data), where)]
        for entry in entries:
            if rest:
                _put(data[entry], rest, value, where)
            else:
                data[entry] = value
        return
    if not isinstance(data, dict) or step not in data:
        allowed = ", ".join(data) if isinstance(data, dict) else "nothing below a value"
        raise InputError(f"{where}: '{step}' is no field here; allowed: {allowed}.")
    if rest:
        _put(data[step], rest, value, where)
    else:
        data[step] = value


def _number(step: str, length: int, where: str) -> int:
    if step.isdigit() and int(step) < length:
        return int(step)
    raise InputError(f"{where}: '*' or a number below {length} is needed, found '{step}'.")
