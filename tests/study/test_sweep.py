"""Running a study: what is missing, in which order, what a failure leaves; workers are feigned."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.study import sweep
from sacrofem.study.cluster import ClusterOptions
from sacrofem.study.engine import Answer, Call, Lost
from sacrofem.study.packing import CORE, DETAILS
from sacrofem.study.ranks import call_on_ranks
from sacrofem.study.records import NUMBERS
from sacrofem.study.store import read_failures, read_records
from sacrofem.study.study_file import points_of, read_study
from sacrofem.study.sweep import Bone, SweepOptions, SweepState, cases_of, run_sweep
from sacrofem.study.workers import run_case

ROOT = Path(__file__).parents[2]
#: Not to be held by single precision.
VALUE = 0.1


def study_file(folder: Path, vary: str) -> Path:
    base = ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml"
    (folder / "study.yaml").write_text(f"base: {base}\nvary: {vary}\n")
    return folder / "study.yaml"


class Feigned:
    """Stands for engine and cluster: answers at once, or loses the cases it is told to lose."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lose: dict[str, str] = {}
        self.calls: list[Call] = []
        self.function: Any = None
        self.stop_after: int | None = None
        monkeypatch.setattr(sweep, "open_cluster", self.open)
        monkeypatch.setattr(sweep, "run_calls", self.run)
        monkeypatch.setattr(sweep, "_kept_bones", self.bones)

    def open(self, options: ClusterOptions) -> Any:
        return nullcontext(SimpleNamespace(dashboard_link="here"))

    def bones(self, points: Any, out: Path) -> dict[Path, Bone]:
        out.mkdir(exist_ok=True)
        (out / ".sacrofem").touch()
        return bones_of(points)

    def run(self, function: Any, calls: list[Call], *_: Any) -> Iterator[list[Answer | Lost]]:
        self.calls, self.function = calls, function
        for number, call in enumerate(calls):
            if number == self.stop_after:
                raise KeyboardInterrupt
            cause = self.lose.get(call.argument.arm)
            if cause:
                yield [Lost(call.key, cause, "no way", "Traceback ...", "node7", 2)]
            else:
                yield [Answer(call.key, dict.fromkeys(NUMBERS, VALUE), "node7")]


@pytest.fixture
def feigned(monkeypatch: pytest.MonkeyPatch) -> Feigned:
    return Feigned(monkeypatch)


def bones_of(points: Any) -> dict[Path, Bone]:
    return {p.scenario.mesh: Bone(Path("mesh.npz"), "5a" * 32) for p in points}


def test_failures_are_records_that_only_retry_failed_runs_again(
    tmp_path: Path, feigned: Feigned
) -> None:
    """Protects: cause, traceback, host and inputs are kept; a resume does not repeat them."""
    study, out = study_file(tmp_path, "{arms.*.fill.cement_ml: [4, 6]}"), tmp_path / "out"
    feigned.lose = {"balloon": "worker lost"}
    states: list[str] = []
    outcome = run_sweep(study, out, progress=lambda s: states.append(dict(s.failed).__repr__()))
    assert (outcome.cases, len(outcome.failures)) == (4, 2)
    assert states[-1] == "{'worker lost': 2}"
    kept = read_failures(outcome.records)
    assert [(f.arm, f.cause, f.host, f.attempts, f.traceback) for f in kept] == [
        ("balloon", "worker lost", "node7", 2, "Traceback ...")
    ] * 2
    assert kept[0].inputs["procedures"]

    feigned.lose = {}
    again = run_sweep(study, out)
    assert (again.known_before, dict(again.failed_before), again.failures) == (
        2,
        {"worker lost": 2},
        {},
    )

    retried = run_sweep(study, out, SweepOptions(retry_failed=True))
    assert (retried.known_before, dict(retried.failed_before)) == (2, {})
    assert len(feigned.calls) == 2
    assert not read_failures(outcome.records)
    assert len(read_records(outcome.records)) == 4


def test_an_interrupted_study_keeps_what_is_finished_and_does_the_rest(
    tmp_path: Path, feigned: Feigned
) -> None:
    """Protects: Ctrl-C after three of six cases; then the other three, and a new value's alone."""
    study, out = study_file(tmp_path, "{arms.*.fill.cement_ml: [4, 5, 6]}"), tmp_path / "out"
    feigned.stop_after = 3
    with pytest.raises(KeyboardInterrupt):
        run_sweep(study, out)
    feigned.stop_after = None
    assert run_sweep(study, out).known_before == 3
    assert len(feigned.calls) == 3

    wider = study_file(tmp_path, "{arms.*.fill.cement_ml: [4, 5, 6, 7]}")
    seen: list[SweepState] = []
    assert run_sweep(wider, out, progress=seen.append).known_before == 6
    assert {call.argument.scenario.arms[0].fill.cement_ml for call in feigned.calls} == {7.0}
    assert (seen[-1].cases, seen[-1].known, seen[-1].done) == (8, 6, 2)


def test_cases_that_finish_together_are_kept_in_the_precision_of_the_store(
    tmp_path: Path, feigned: Feigned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects: each case of a batch is kept by its own inputs, its details in half the room."""
    one_by_one = feigned.run
    monkeypatch.setattr(
        sweep, "run_calls", lambda *a: [[one for batch in one_by_one(*a) for one in batch]]
    )
    study = study_file(tmp_path, "{arms.*.fill.cement_ml: [4, 6]}")
    feigned.lose = {"balloon": "solver"}
    outcome = run_sweep(study, tmp_path / "out")
    assert (outcome.cases, len(outcome.failures)) == (4, 2)
    kept = read_records(outcome.records)
    assert sorted(row["inputs"]["procedures"][0]["fill"]["cement_ml"] for row in kept) == [4, 6]
    assert {row["arm"] for row in kept} == {"vertebroplasty"}
    assert all(row[name] == VALUE for row in kept for name in CORE)
    assert all(row[name] == float(np.float32(VALUE)) for row in kept for name in DETAILS)


@pytest.mark.parametrize("ranks", [1, 3])
def test_the_ranks_of_a_case_change_neither_cases_nor_keys(
    tmp_path: Path, feigned: Feigned, ranks: int
) -> None:
    """Protects: a study begun on one rank goes on on several; only who makes the call differs."""
    study, out = study_file(tmp_path, "{arms.*.fill.cement_ml: [4, 6]}"), tmp_path / "out"
    run_sweep(study, out)
    wider = study_file(tmp_path, "{arms.*.fill.cement_ml: [4, 6, 7]}")
    outcome = run_sweep(wider, out, SweepOptions(ClusterOptions(ranks=ranks)))
    assert (outcome.known_before, len(feigned.calls)) == (4, 2)
    if ranks == 1:
        assert feigned.function is run_case
    else:
        assert feigned.function.func is call_on_ranks
        assert feigned.function.args == (ranks, run_case)


def test_cases_with_the_same_lesions_are_neighbours_and_of_one_group(tmp_path: Path) -> None:
    """Protects: a worker meets the same lesion again, though the design runs through others."""
    vary = "{arms.*.fill.cement_ml: [4, 6], lesions.0.volume_ml: [5.0, 7.1, 9.0]}"
    path = study_file(tmp_path, vary)
    points = points_of(*read_study(path), path)
    cases, rows = cases_of(points, bones_of(points))
    assert len(cases) == len(rows) == 12
    volumes = [case.scenario.lesions[0].volume_ml for case in cases.values()]
    assert volumes == sorted(volumes)
    groups = [case.group for case in cases.values()]
    assert len(set(groups)) == 3
    assert [groups[i] for i in (0, 4, 8)] == list(dict.fromkeys(groups))
    assert all(len(case.scenario.arms) == 1 for case in cases.values())


def test_points_that_mean_the_same_are_one_case_with_a_row_each(tmp_path: Path) -> None:
    path = study_file(tmp_path, "{arms.*.fill.cement_ml: [4, 4.0, 6]}")
    points = points_of(*read_study(path), path)
    cases, rows = cases_of(points, bones_of(points))
    assert (len(cases), len(rows)) == (4, 6)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_shards_part_a_study_without_gap_or_overlap(tmp_path: Path, n: int) -> None:
    path = study_file(tmp_path, "{arms.*.fill.cement_ml: [1, 2, 3, 4, 5, 6]}")
    points = points_of(*read_study(path), path)
    whole, rows = cases_of(points, bones_of(points))
    parts = [cases_of(points, bones_of(points), (i, n)) for i in range(1, n + 1)]
    assert [key for cases, _ in parts for key in cases] == list(whole)
    assert sum(len(part_rows) for _, part_rows in parts) == len(rows)


def test_a_shard_that_is_none_is_refused(tmp_path: Path) -> None:
    path = study_file(tmp_path, "{arms.*.fill.cement_ml: [1]}")
    points = points_of(*read_study(path), path)
    with pytest.raises(InputError, match="--shard 3/2"):
        cases_of(points, bones_of(points), (3, 2))
