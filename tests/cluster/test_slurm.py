"""A study through a real Slurm: jobs of dask-jobqueue, one of them killed, every record once."""

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import chain
from operator import methodcaller
from pathlib import Path

import pytest
from mpi4py import MPI

from sacrofem.errors import InputError
from sacrofem.study.cluster import SETTINGS, ClusterOptions, open_cluster
from sacrofem.study.engine import Answer, Call, run_calls
from sacrofem.study.ranks import call_on_ranks
from sacrofem.study.sweep import SweepOptions, SweepState, run_sweep

sys.path.insert(0, str(Path(__file__).parent))
from slurm import ask, one_node_slurm, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    with one_node_slurm() as environment, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", environment["SLURM_CONF"])
        yield environment


def jobs_of(folder: Path, **more: object) -> ClusterOptions:
    values = {"workers": 2, "memory": "2GB", "walltime": "00:10:00", "interface": "lo"}
    return ClusterOptions(kind="slurm", logs=folder / "logs", **values | more)


def test_a_refused_job_ends_the_study_with_the_words_of_slurm(
    slurm: dict[str, str], tmp_path: Path
) -> None:
    """Protects: nobody waits for workers that will never come."""
    with (
        pytest.raises(InputError, match="invalid partition specified: nonesuch"),
        open_cluster(jobs_of(tmp_path, queue="nonesuch")),
    ):
        pass


@pytest.mark.slow
def test_a_study_through_slurm_with_a_killed_worker_has_every_record_once(
    small_study: Path, slurm: dict[str, str], tmp_path: Path, own_cache: Path
) -> None:
    """Protects: the whole way from a study file to records by jobs; a killed worker loses none."""
    killed = []

    def kill_one(state: SweepState) -> None:
        if state.done >= 2 and not killed:
            killed.append(worker_pids(slurm)[0])
            os.kill(killed[0], signal.SIGKILL)

    outcome = run_sweep(small_study, tmp_path / "out", SweepOptions(jobs_of(tmp_path)), kill_one)
    assert killed
    assert not outcome.failures
    assert outcome.cases == 8
    with sqlite3.connect(outcome.records) as store:
        keys = [key for (key,) in store.execute("SELECT key FROM records")]
    assert len(keys) == len(set(keys)) == 8
    until(lambda: not ask(slurm, "squeue", "-h"), "jobs are left")


@pytest.mark.slow
def test_a_job_that_is_cancelled_is_replaced(
    slurm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects: a lost node does not leave a study with fewer workers, or none, for good."""
    # The waits of a real cluster are shortened; what is waited for is the same.
    monkeypatch.setitem(SETTINGS, "distributed.deploy.lost-worker-timeout", "1s")
    monkeypatch.setattr("sacrofem.study.cluster.REPLACE_EVERY_S", 1)
    most = 0
    with open_cluster(jobs_of(tmp_path, workers=1)) as cluster:
        calls = [Call(str(i), 0.05) for i in range(40)]
        answered = 0
        for one in chain.from_iterable(run_calls(time.sleep, calls, cluster)):
            assert isinstance(one, Answer)
            answered += 1
            if answered == 5:
                jobs = ask(slurm, "squeue", "-h", "-t", "R", "-o", "%i").split()
                most = int(jobs[0])
                ask(slurm, "scancel", jobs[0])
        assert answered == 40
        assert int(ask(slurm, "squeue", "-h", "-t", "R", "-o", "%i").split()[0]) > most


def test_ranks_of_a_worker_in_a_job_meet(slurm: dict[str, str], tmp_path: Path) -> None:
    """Protects: mpirun inside a job starts its ranks beside the worker and asks Slurm for none;
    the job has a core for each.
    """
    with open_cluster(jobs_of(tmp_path, workers=1, ranks=2)) as cluster:
        sum_of_ones = partial(call_on_ranks, 2, methodcaller("allreduce", 1))
        calls = [Call(name, MPI.COMM_WORLD) for name in "ab"]
        found = list(chain.from_iterable(run_calls(sum_of_ones, calls, cluster)))
        assert ask(slurm, "squeue", "-h", "-o", "%C") == "2"
    assert [one.value for one in found if isinstance(one, Answer)] == [2, 2], found


def worker_pids(slurm: dict[str, str]) -> list[int]:
    """Processes of workers in jobs of this Slurm: children of a nanny, with a job id."""
    ours = b"SLURM_CONF=" + slurm["SLURM_CONF"].encode()
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            variables = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        in_a_job = ours in variables and b"SLURM_JOB_ID=" in variables
        if in_a_job and b"multiprocessing.spawn" in command:
            found.append(int(name))
    return sorted(found)


def until(done, words: str) -> None:
    deadline = time.monotonic() + 20.0
    while not done():
        assert time.monotonic() < deadline, words
        time.sleep(0.2)
