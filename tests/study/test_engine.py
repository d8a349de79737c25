"""The engine: every call answered once, whatever dies; nothing of the cases is needed for that."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sacrofem.errors import InputError, MeshError, SolverError
from sacrofem.study.cluster import ClusterOptions, check_options, open_cluster, walltime_s
from sacrofem.study.engine import (
    ATTEMPTS,
    WALLTIME_MARGIN_S,
    Answer,
    Call,
    Lost,
    _Backlog,
    cause_of,
    run_calls,
)

#: Bytes that a worker may hold here.
LIMIT = 1_000_000_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers of 1 GB each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distributed.system.MEMORY_LIMIT", 2 * LIMIT)
        with open_cluster(ClusterOptions(workers=2)) as opened:
            yield opened


def pid(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def misbehave(how: str) -> int:
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "memory":
        raise MemoryError
    if how == "fills":
        held = b"1" * LIMIT
        time.sleep(30.0)
        del held
    if how == "input":
        raise InputError("no such field")
    if how == "unpicklable":
        raise type("Local", (Exception,), {})("of this process alone")
    return os.getpid()


def each(*arguments: Any) -> Iterator[Answer | Lost]:
    """Answers one by one, in the order in which they come."""
    return chain.from_iterable(run_calls(*arguments))


def outcomes(found: Iterable[Answer | Lost]) -> dict[str, Answer | Lost]:
    listed = list(found)
    by_key = {one.key: one for one in listed}
    assert len(by_key) == len(listed), "a key was answered twice"
    return by_key


def test_calls_of_a_group_stay_together_and_no_worker_idles(cluster: Any) -> None:
    """Protects: a worker meets the same lesion again; the last big group is shared out."""
    while len(cluster.scheduler.workers) < 2:  # one may have been killed by another test
        time.sleep(0.1)
    calls = [Call(f"g-{g}-{i}", 0.02, g) for i in range(10) for g in "abcd"]
    workers: dict[str, Counter[int]] = {}
    for one in each(pid, calls, cluster):
        assert isinstance(one, Answer)
        workers.setdefault(one.key.split("-")[1], Counter())[one.value] += 1
    assert sorted(len(w) for w in workers.values())[:3] == [1, 1, 1]

    alone = each(pid, [Call(f"one-{i}", 0.02, "a") for i in range(20)], cluster)
    shares = Counter(one.value for one in alone if isinstance(one, Answer))
    assert len(shares) == 2
    assert min(shares.values()) >= 5


def test_many_small_calls_each_come_back_with_their_own_value(cluster: Any) -> None:
    """Protects: more calls than fit at once; what one costs is measured by docs/cluster_show.py."""
    found = outcomes(each(abs, [Call(f"many-{i}", -i) for i in range(400)], cluster))
    assert len(found) == 400
    assert all(isinstance(o, Answer) and o.value == int(k[5:]) for k, o in found.items())


def test_one_bad_call_never_ends_the_others_and_its_cause_is_told(cluster: Any) -> None:
    """Protects: a study of bad cases goes on; each failure with cause, traceback and attempts."""
    hows = ["ok"] * 4 + ["input", "memory", "unpicklable", "dies", "fills"] + ["ok"] * 4
    calls = [Call(f"bad-{i}-{how}", how) for i, how in enumerate(hows)]
    by_how = {
        key.split("-")[2]: one for key, one in outcomes(each(misbehave, calls, cluster)).items()
    }
    assert isinstance(by_how.pop("ok"), Answer)
    lost = {how: (one.cause, one.attempts) for how, one in by_how.items() if isinstance(one, Lost)}
    assert lost == {
        "input": ("input", 1),
        "memory": ("memory", ATTEMPTS),
        "unpicklable": ("unexpected", 1),
        "dies": ("worker lost", ATTEMPTS),
        "fills": ("memory", ATTEMPTS),
    }
    fills, unexpected = by_how["fills"], by_how["unpicklable"]
    assert isinstance(unexpected, Lost)
    assert isinstance(fills, Lost)
    assert "memory limit" in fills.message
    assert "in misbehave" in unexpected.traceback
    assert unexpected.host


def test_workers_killed_in_the_middle_lose_nothing(cluster: Any) -> None:
    """Protects: after each of two kills every call is answered once, by its own value."""
    answered = []
    for one in each(pid, [Call(f"kill-{i}", 0.02) for i in range(60)], cluster):
        assert isinstance(one, Answer), one
        answered.append(one)
        if len(answered) in (15, 35):
            os.kill(one.value, signal.SIGKILL)
    assert len({one.key for one in answered}) == len(answered) == 60
    assert len({one.value for one in answered}) >= 3


def test_a_worker_lost_near_the_end_of_its_job_was_ended_by_it(cluster: Any) -> None:
    """Protects: who reads the failures learns to ask for a longer time."""
    found = outcomes(each(misbehave, [Call("time", "dies")], cluster, WALLTIME_MARGIN_S))["time"]
    assert isinstance(found, Lost)
    assert (found.cause, found.attempts) == ("walltime", ATTEMPTS)


@pytest.mark.slow
def test_a_worker_killed_while_it_starts_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: its own nanny does not start it again; the study would wait for ever."""
    monkeypatch.setattr("sacrofem.study.cluster.REPLACE_EVERY_S", 1)
    with open_cluster(ClusterOptions(workers=1)) as cluster:
        before, killed = _children(), list[int]()

        def kill_twice(first: int) -> None:
            os.kill(first, signal.SIGKILL)
            while not (starting := [p for p in _children() if p not in before]):
                time.sleep(0.02)
            os.kill(starting[0], signal.SIGKILL)
            killed.extend([first, *starting])

        answered = set()
        for one in each(pid, [Call(f"s{i}", 0.01) for i in range(20)], cluster):
            assert isinstance(one, Answer)
            answered.add(one.key)
            if len(answered) == 5:
                killer = Thread(target=kill_twice, args=(one.value,))
                killer.start()
        assert len(answered) == 20
        killer.join()
        assert len(killed) == 2


def _children() -> list[int]:
    """Workers that are children of this process."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()
            spawned = "multiprocessing.spawn" in Path(f"/proc/{name}/cmdline").read_text()
        except OSError:
            continue
        if spawned and int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.append(int(name))
    return found


CLIENT = """
import sys
sys.path.insert(0, {folder!r})
from test_engine import pid
from sacrofem.study.cluster import ClusterOptions, open_cluster
from sacrofem.study.engine import Call, run_calls

if __name__ == "__main__":
    with open_cluster(ClusterOptions(workers=2)) as cluster:
        for together in run_calls(pid, [Call(str(i), 0.3) for i in range(1000)], cluster):
            for one in together:
                print(one.value, flush=True)
"""


def test_workers_of_a_killed_client_end_by_themselves(tmp_path: Any) -> None:
    """Protects: a client that is killed leaves no process that eats the machine."""
    script = tmp_path / "client.py"
    script.write_text(CLIENT.format(folder=os.path.dirname(__file__)))
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as client:
        assert client.stdout is not None
        workers: set[int] = set()
        while len(workers) < 2:
            workers.add(int(client.stdout.readline()))
        client.kill()
    deadline = time.monotonic() + 20.0
    while any(_runs(worker) for worker in workers):
        assert time.monotonic() < deadline, "workers outlive their client"
        time.sleep(0.1)


def _runs(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_the_backlog_hands_out_every_call_once_and_takes_one_back_first() -> None:
    backlog = _Backlog([Call(f"{g}{i}", None, g) for g in "ab" for i in range(3)])
    assert [backlog.next(w).key for w in ("x", "y", "x")] == ["a0", "b0", "a1"]  # type: ignore[union-attr]
    backlog.again(Call("b0", None, "b"))
    assert [backlog.next("x").key for _ in range(4)] == ["b0", "a2", "b1", "b2"]  # type: ignore[union-attr]
    assert backlog.next("x") is None
    assert not backlog


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (InputError(""), "input"),
        (SolverError(""), "solver"),
        (MeshError(""), "mesh"),
        (MemoryError(), "memory"),
        (ZeroDivisionError(), "unexpected"),
    ],
)
def test_the_cause_follows_from_the_error(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause


def test_petsc_without_memory_is_a_cause_of_its_own() -> None:
    from petsc4py import PETSc

    assert cause_of(PETSc.Error(55)) == "memory"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:30:00", 1800.0), ("1-02:00:30", 93630.0), ("04:00", 14400.0), (None, None)],
)
def test_walltime_is_read_as_batch_systems_write_it(text: str | None, seconds: float) -> None:
    assert walltime_s(text) == seconds


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ClusterOptions(kind="cray"), "allowed: local, slurm"),
        (ClusterOptions(memory="4GB"), "--memory tells about the jobs"),
        (ClusterOptions(cores=4), "--cores tells about the jobs"),
        (ClusterOptions(ranks=4), "mpirun is not in PATH"),
        (ClusterOptions(extra=("-C avx2",)), "--extra tells about the jobs"),
        (ClusterOptions(kind="lsf", memory="1GB", walltime="01:00"), "bsub is not in PATH"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_explained(
    options: ClusterOptions, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InputError, match=words):
        check_options(options)


def test_a_job_holds_whole_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: no worker of a job has fewer cores than ranks; by itself a job holds one."""
    for name in ("sbatch", "mpirun"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    job = ClusterOptions(kind="slurm", memory="1GB", walltime="01:00:00", cores=6, ranks=4)
    with pytest.raises(InputError, match="give --cores 8"):
        check_options(job)
    check_options(replace(job, ranks=3))
    assert replace(job, ranks=3).workers_a_job == 2
    assert replace(job, cores=None).workers_a_job == 1


def test_a_wrong_walltime_is_explained() -> None:
    with pytest.raises(InputError, match="HH:MM:SS"):
        walltime_s("4 hours")
