"""Running a study: what is missing of its cases, on the workers of a cluster, into one store.

The client owns the record store. A case's key is the hash of its inputs, so a second call does
only what is missing, whatever ended the first one.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sacrofem.errors import InputError
from sacrofem.study.analysis.facts import facts_of, write_facts
from sacrofem.study.bones import load_patient
from sacrofem.study.case import case_inputs, case_key
from sacrofem.study.cluster import ClusterOptions, check_options, open_cluster, walltime_s
from sacrofem.study.engine import Answer, Call, Lost, run_calls
from sacrofem.study.output_folder import check_output, mark
from sacrofem.study.packing import in_kept_precision
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.ranks import call_on_ranks
from sacrofem.study.recipe import read_recipe
from sacrofem.study.store import (
    Failure,
    PointRow,
    Row,
    clear_failures,
    failed_keys,
    insert_failure,
    insert_rows,
    known_keys,
    open_store,
    put_points,
)
from sacrofem.study.study_file import StudyPoint, points_of, read_study
from sacrofem.study.workers import StudyCase, run_case, shared_parts


@dataclass(frozen=True)
class SweepOptions:
    """How a study is run.

    Attributes:
        cluster: Where.
        retry_failed: Whether cases that failed in an earlier call are run again.
        shard: ``(i, n)``: only the i-th of n parts of the study, i from 1.
    """

    cluster: ClusterOptions = field(default_factory=ClusterOptions)
    retry_failed: bool = False
    shard: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class SweepState:
    """How far a study is.

    Attributes:
        cases: Cases of the study, or of this shard of it.
        known: Of these, finished or failed before this call and not run again.
        done: Cases that this call has finished, well or not.
        failed: Number of cases of this call by cause.
        workers: Workers at the moment.
        dashboard: Address of Dask's pages; empty before there are any.
        last: What was done last.
    """

    cases: int
    known: int
    done: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    workers: int = 0
    dashboard: str = ""
    last: str = ""


@dataclass(frozen=True)
class Bone:
    """A meshed bone by its file: the workers read it, the client need not hold it."""

    file: Path
    sha256: str


#: Called whenever the state has changed.
SweepProgress = Callable[[SweepState], None]


@dataclass(frozen=True)
class SweepOutcome:
    """What a call of :func:`run_sweep` did.

    Attributes:
        records: The store.
        cases: Cases of the study, or of this shard of it.
        known_before: Of these, cases with a record before.
        failed_before: Cases that failed before and were not run again, by cause.
        failures: Message of each case that failed now, by key.
    """

    records: Path
    cases: int
    known_before: int
    failed_before: Mapping[str, int]
    failures: Mapping[str, str]


def run_sweep(
    path: Path,
    out: Path,
    options: SweepOptions = SweepOptions(),
    progress: SweepProgress = lambda _: None,
) -> SweepOutcome:
    """Run what is missing of a study.

    Args:
        path: Study file.
        out: Output folder; holds ``records.sqlite`` and the mesh.
        options: Where and what.
        progress: Told after every case.

    Raises:
        InputError: The files, the folder or the cluster cannot be used.
    """
    study, base = read_study(path)
    points = points_of(study, base, path)
    check_output(out)
    check_options(options.cluster)
    cases, rows = cases_of(points, _kept_bones(points, out), options.shard)
    title = study.title or base.title
    records = out / "records.sqlite"
    with open_store(records) as store:
        # Only once the store is ours: another client may be at work on an older study file.
        write_facts(out, facts_of(study, base, len(points)))
        put_points(store, rows)
        if options.retry_failed:
            clear_failures(store, failed_keys(store).keys() & cases.keys())
        known = known_keys(store) & cases.keys()
        failed = {
            key: cause
            for key, cause in failed_keys(store).items()
            if key in cases and key not in known
        }
        missing = {k: case for k, case in cases.items() if k not in known and k not in failed}
        told = _Told(progress, SweepState(len(cases), len(known) + len(failed)))
        failures: dict[str, str] = {}
        for together in _outcomes(missing, out, options.cluster, told):
            answers = [outcome for outcome in together if isinstance(outcome, Answer)]
            insert_rows(store, [_row(cases[answer.key], title, answer) for answer in answers])
            for answer in answers:
                told.finished(cases[answer.key].arm)
            for lost in (outcome for outcome in together if isinstance(outcome, Lost)):
                case = cases[lost.key]
                insert_failure(store, _failure(case, lost))
                failures[case.key] = f"{case.arm}, point {case.point}: {lost.message}"
                told.finished(f"failed: {lost.message}", lost.cause)
    return SweepOutcome(records, len(cases), len(known), Counter(failed.values()), failures)


def cases_of(
    points: Sequence[StudyPoint], bones: Mapping[Path, Bone], shard: tuple[int, int] = (1, 1)
) -> tuple[dict[str, StudyCase], list[PointRow]]:
    """The cases of a study by key, in an order that keeps what shares a bone and lesions together.

    Points of the design that mean the same are one case, with a row of points each.

    Args:
        points: Points of the study.
        bones: The bone of each recipe that the points name.
        shard: See :class:`SweepOptions`.

    Raises:
        InputError: There is no such shard.
    """
    i, n = shard
    if not 1 <= i <= n:
        raise InputError(f"--shard {i}/{n}: i from 1 to n is needed.")
    cases: dict[str, StudyCase] = {}
    rows: list[PointRow] = []
    for point in sorted(points, key=_work_order(points)):
        bone = bones[point.scenario.mesh]
        for arm in point.scenario.arms:
            inputs = case_inputs(point.scenario, arm, bone.sha256)
            key = case_key(inputs)
            scenario = point.scenario.model_copy(update={"arms": (arm,)})
            rows.append(PointRow(point.number, arm.name, key, point.values))
            case = StudyCase(key, point.number, inputs, scenario, bone.file, bone.sha256)
            cases.setdefault(key, case)
    if n == 1:
        return cases, rows
    # Blocks, not every n-th: cases that share lesions are neighbours, and a shard meets them all.
    keys = list(cases)[(i - 1) * len(cases) // n : i * len(cases) // n]
    mine = {key: cases[key] for key in keys}
    return mine, [row for row in rows if row.key in mine]


class _Told:
    """The state of a study, told whenever it changes."""

    def __init__(self, progress: SweepProgress, state: SweepState) -> None:
        self._progress, self._state = progress, state
        progress(state)

    def change(self, **fields: Any) -> None:
        """Change some fields and tell."""
        self._state = replace(self._state, **fields)
        self._progress(self._state)

    def finished(self, last: str, cause: str | None = None) -> None:
        """Count a case, as a failure where there is a cause."""
        failed = dict(self._state.failed)
        if cause is not None:
            failed[cause] = failed.get(cause, 0) + 1
        self.change(done=self._state.done + 1, failed=failed, last=last)


def _outcomes(
    cases: Mapping[str, StudyCase], out: Path, where: ClusterOptions, told: _Told
) -> Iterator[list[Answer | Lost]]:
    """Outcome of each case, those together that finish together."""
    if not cases:
        return
    calls = [Call(key, case, case.group) for key, case in cases.items()]
    function = run_case if where.ranks == 1 else partial(call_on_ranks, where.ranks, run_case)
    fitted = replace(where, workers=min(where.workers, len(calls)), logs=where.logs or out / "logs")
    with open_cluster(fitted) as cluster:
        told.change(dashboard=cluster.dashboard_link)
        yield from run_calls(
            function,
            calls,
            cluster,
            walltime_s(where.walltime),
            lambda number: told.change(workers=number),
        )


def _work_order(points: Sequence[StudyPoint]) -> Callable[[StudyPoint], tuple[int, int, int]]:
    """Key that sorts points by bench, then lesions, each in the order of its first point."""
    bench: dict[Hashable, int] = {}
    lesions: dict[Hashable, int] = {}
    place = {}
    for point in points:
        base, sick = shared_parts(point.scenario)
        place[point.number] = (
            bench.setdefault(base, len(bench)),
            lesions.setdefault(sick, len(lesions)),
            point.number,
        )
    return lambda point: place[point.number]


def _row(case: StudyCase, title: str, answer: Answer) -> Row:
    return Row(case.key, case.arm, title, case.inputs, in_kept_precision(answer.value))


def _failure(case: StudyCase, lost: Lost) -> Failure:
    return Failure(
        key=case.key,
        point=case.point,
        arm=case.arm,
        cause=lost.cause,
        message=lost.message,
        traceback=lost.traceback,
        host=lost.host,
        attempts=lost.attempts,
        inputs=case.inputs,
    )


def _kept_bones(points: Sequence[StudyPoint], out: Path) -> dict[Path, Bone]:
    """The bones of a study, their meshes kept in its folder, which is ours from now on."""
    kept = out / "meshes"
    bones = {}
    for recipe in dict.fromkeys(point.scenario.mesh for point in points):
        if not kept.is_dir():
            # Into the cache first: images that cannot be used must not leave a folder behind.
            load_patient(read_recipe(recipe), Stopwatch())
            mark(out)
        patient = load_patient(read_recipe(recipe), Stopwatch(), kept)
        bones[recipe] = Bone(patient.mesh_file, patient.bone.mesh.sha256)
    return bones
