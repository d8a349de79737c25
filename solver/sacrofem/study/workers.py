"""What a worker does: one case of a study on a bone that stays in its memory.

A worker is a process of its own, or the ranks of one, see :mod:`sacrofem.study.ranks`.
"""

import signal
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mpi4py import MPI

from sacrofem.mesh.files import load_bone
from sacrofem.study.case import Bench, DiseasedBone, put_lesions, set_up_bench, treat
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.ranks import close_ranks
from sacrofem.study.records import numbers_of
from sacrofem.study.scenario import Scenario


@dataclass(frozen=True)
class StudyCase:
    """One case to run: a scenario with a single arm, and where it stands in the study."""

    key: str
    point: int
    inputs: Mapping[str, Any]
    scenario: Scenario
    mesh_file: Path
    mesh_sha256: str

    @property
    def group(self) -> Hashable:
        """What it shares with other cases: the bone with its lesions, before any treatment."""
        return shared_parts(self.scenario)[1]

    @property
    def arm(self) -> str:
        """Name of the arm."""
        return self.scenario.arms[0].name


def shared_parts(scenario: Scenario) -> tuple[Hashable, Hashable]:
    """What tells scenarios of this process with other benches apart, and those with other lesions.

    Points of a study share the parts that are equal, so that identity tells, in no time.
    Equal parts that are not shared would cost a worker's time and change no result.
    """
    bench = (scenario.mesh, id(scenario.materials), id(scenario.load), scenario.order)
    return bench, (bench, tuple(map(id, scenario.lesions)))


def dask_setup(worker: Any) -> None:
    """Called by Dask when a worker starts.

    Ctrl-C goes to every process of a terminal; the client alone decides what it means.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def dask_teardown(worker: Any) -> None:
    """Called by Dask when a worker ends in order."""
    close_ranks()


def run_case(case: StudyCase) -> dict[str, float]:
    """Solve one case and return the numbers of its record; collective.

    Raises:
        InputError: The path or the fill is not possible in this bone.
        SolverError: The solve failed its checks.
    """
    start = time.perf_counter()
    scenario = case.scenario
    sick = _diseased(case.mesh_file, scenario.model_copy(update={"arms": ()}))
    result = treat(sick, scenario, scenario.arms[0], case.mesh_sha256, Stopwatch())
    return numbers_of(result.measures, time.perf_counter() - start)


@lru_cache(maxsize=2)
def _bench(mesh_file: Path, base: Scenario) -> Bench:
    """The bench stays in the worker's memory: a case costs what its own solve costs."""
    return set_up_bench(load_bone(mesh_file), base, Stopwatch(), MPI.COMM_WORLD)


@lru_cache(maxsize=2)
def _diseased(mesh_file: Path, base: Scenario) -> DiseasedBone:
    bench = _bench(mesh_file, base.model_copy(update={"lesions": ()}))
    return put_lesions(bench, base, Stopwatch())
