"""Ranks of a worker: the same call on all, remembered between calls, none left behind."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).parent / "on_ranks"
sys.path.insert(0, str(HERE))
import calls  # noqa: E402

from sacrofem.study import ranks  # noqa: E402
from sacrofem.study.engine import Raised, Value, make_call  # noqa: E402
from sacrofem.study.merge import NOT_RESULTS, RELATIVE  # noqa: E402
from sacrofem.study.ranks import Ranks, RanksLostError, call_on_ranks, close_ranks  # noqa: E402
from sacrofem.study.study_file import points_of, read_study  # noqa: E402
from sacrofem.study.sweep import _kept_bones, cases_of  # noqa: E402
from sacrofem.study.workers import run_case  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="module")
def _importable() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        yield
        close_ranks()


def met(back: Value | Raised) -> tuple[int, list[int], list[object]]:
    assert isinstance(back, Value), back
    rank, pids, found = back.value
    assert rank == 0
    return rank, pids, found


def test_ranks_meet_remember_and_end() -> None:
    """Protects: one communicator of all ranks; a bench stays in memory; what a library prints
    does not get into the answers; closing leaves no process.
    """
    two = Ranks(2)
    _, pids, found = met(two.call(calls.meet, "a"))
    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    assert found == ["a"]
    assert met(two.call(calls.meet, "b"))[1:] == (pids, ["a", "b"])
    two.close()
    assert not any(runs(pid) for pid in pids)


def test_ranks_that_fail_together_stay_and_those_that_differ_are_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Protects: a failure of all has its cause and costs no bench; one of a single rank, or its
    death, ends all of them, and the next call finds others.
    """
    monkeypatch.setattr(ranks, "AGREE_WITHIN_S", 1.0)
    _, pids, _ = met(call_on_ranks(2, calls.meet, 0))
    together = call_on_ranks(2, calls.fail, "all")
    assert isinstance(together, Raised)
    assert (together.cause, together.message) == ("input", "InputError: no such field")
    assert "in fail" in together.traceback
    assert met(call_on_ranks(2, calls.meet, 1))[1:] == (pids, [0, 1])

    for how, cause in (("memory", "memory"), ("dies", "worker lost")):
        _, before, _ = met(call_on_ranks(2, calls.meet, 2))
        alone = call_on_ranks(2, calls.fail, how)
        assert isinstance(alone, Raised)
        assert alone.cause == cause
        assert not any(runs(pid) for pid in before)
        _, after, found = met(call_on_ranks(2, calls.meet, 3))
        assert not set(before) & set(after)
        assert found == [3]


def test_ranks_at_their_memory_limit_are_ended() -> None:
    """Protects: a nanny of Dask sees its worker alone, not the ranks, which hold the bone."""
    # This process counts as their worker, and has whatever the tests before it left.
    limit = psutil.Process().memory_info().rss + 1_500_000_000
    two = Ranks(2, limit)
    _, pids, _ = met(two.call(calls.meet, 0))
    with pytest.raises(RanksLostError, match=f"its limit is {limit / 1e9:.2f} GB") as lost:
        two.call(calls.hold, 1_500_000_000)
    assert lost.value.cause == "memory"
    assert two.closed
    assert not any(runs(pid) for pid in pids)


def test_ranks_that_do_not_start_are_told_with_the_words_of_mpirun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects: nobody waits for ranks that will never come."""
    (tmp_path / "mpirun").write_text("#!/bin/sh\necho no slots >&2; exit 3\n")
    (tmp_path / "mpirun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(RanksLostError, match="mpirun ended with 3: no slots"):
        Ranks(2)


def test_what_ranks_say_is_handed_on_by_the_worker_as_it_is() -> None:
    raised = Raised("memory", "full", "")
    assert make_call(lambda _: raised, None) is raised


WORKER = """
import sys
sys.path.insert(0, {here!r})
import calls
from sacrofem.study.ranks import Ranks

two = Ranks(2)
print(*two.call(calls.meet, 0).value[1], two._mpirun.pid, flush=True)
two.call(calls.{call}, None)
"""


@pytest.mark.parametrize("call", ["meet", "hold_interpreter"])
def test_ranks_of_a_killed_worker_end_though_they_are_busy(call: str) -> None:
    """Protects: a worker that is killed leaves no process that eats the machine."""
    script = WORKER.format(here=str(HERE), call=call) + "import time; time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        left = [int(pid) for pid in worker.stdout.readline().split()]
        assert len(left) == 3
        time.sleep(0.3)
        worker.kill()
    deadline = time.monotonic() + 10.0
    while any(runs(pid) for pid in left):
        assert time.monotonic() < deadline, "ranks outlive their worker"
        time.sleep(0.05)


def runs(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_case_on_two_ranks_has_the_record_of_one(tmp_path: Path, own_cache: Path) -> None:
    """Protects: records of a study do not depend on how many ranks solved them."""
    (tmp_path / "mesh.yaml").write_text("phantom: {voxel_mm: [3, 3, 3]}\nedge_mm: 8.0\n")
    text = (ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml").read_text()
    text = text.replace("../meshes/phantom.yaml", "mesh.yaml")
    (tmp_path / "scenario.yaml").write_text(text + "order: 1\n")
    (tmp_path / "study.yaml").write_text(
        "base: scenario.yaml\nvary: {arms.*.fill.cement_ml: [4]}\n"
    )
    points = points_of(*read_study(tmp_path / "study.yaml"), tmp_path / "study.yaml")
    cases, _ = cases_of(points, _kept_bones(points, tmp_path / "out"))
    assert len(cases) == 2
    for case in cases.values():
        on_one, on_two = make_call(run_case, case), call_on_ranks(2, run_case, case)
        assert isinstance(on_one, Value), on_one
        assert isinstance(on_two, Value), on_two
        assert on_one.value.keys() == on_two.value.keys()
        for name, value in on_one.value.items():
            if not name.endswith(NOT_RESULTS):
                near = pytest.approx(value, rel=RELATIVE, abs=1e-9, nan_ok=True)
                assert on_two.value[name] == near, name
