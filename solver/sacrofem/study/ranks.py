"""MPI ranks of one worker: each call is made on all of them, in processes that stay alive between.

The worker is none of the ranks: one that dies takes the others along, and not the worker, which
tells. Each rank answers by a socket of its own, so that one that fails alone is noticed, while the
others wait for it in a collective call. Run as a module, this is a rank.
"""

import fcntl
import gc
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from math import inf
from multiprocessing.connection import Connection, wait
from typing import IO, Any

import psutil

from sacrofem.study.engine import Raised, Value, make_call

#: Seconds within which ranks must have started, slow file systems included, and those by which
#: ranks may lag behind one that has raised, before they count as waiting for it. Choices.
START_WITHIN_S = 180.0
AGREE_WITHIN_S = 30.0
#: Seconds between looks at their memory, and at ranks that start. A choice.
LOOK_EVERY_S = 0.5
#: Seconds that ranks are given to end. A choice.
END_WITHIN_S = 5.0
#: Part of the memory limit at which ranks are ended: that of Dask's nannies, which see the worker
#: alone (distributed.worker.memory.terminate).
FULL = 0.95
#: What batch systems and an outer MPI leave in the environment. The ranks of a worker share its
#: node: mpirun must not ask the batch system for others, nor take the worker for a rank.
FOREIGN = ("SLURM", "PBS_", "LSB_", "PE_HOSTFILE", "PMI_", "PMIX_", "OMPI_COMM_")


class RanksLostError(Exception):
    """Ranks are gone; ``cause`` is a word of the list in the failures of a store."""

    def __init__(self, cause: str, message: str) -> None:
        """The cause, and what to tell."""
        super().__init__(message)
        self.cause = cause


class Ranks:
    """Ranks of MPI on this machine, that end with this process, whatever ends it."""

    def __init__(self, count: int, memory_limit: int | None = None) -> None:
        """Start them.

        Args:
            count: How many.
            memory_limit: Bytes that they and this process may hold; None for any.

        Raises:
            RanksLostError: They do not start.
        """
        self._memory_limit = memory_limit
        self._lifelines: list[socket.socket] = []
        self._links: list[Connection] = []
        self._pids: list[int] = []
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the ranks
        until = time.monotonic() + START_WITHIN_S
        with (
            tempfile.TemporaryDirectory(prefix="sacrofem-") as folder,
            _door(f"{folder}/life", count) as life,
            _door(f"{folder}/talk", count) as talk,
        ):
            self._mpirun = _start(count, folder, self._said)
            for _ in range(count):
                self._lifelines.append(self._accept(life, until))
                self._links.append(Connection(self._accept(talk, until).detach()))
        said = [(*self._hello(link, until), link) for link in self._links]
        said.sort(key=lambda one: one[0])
        self._pids = [pid for _, pid, _ in said]
        self._links = [link for _, _, link in said]

    @property
    def closed(self) -> bool:
        """Whether others must be made in their place."""
        return not self._links

    def call(self, function: Callable[[Any], Any], argument: Any) -> Value | Raised:
        """Make a call on all ranks: the value of rank 0, or what was raised.

        Raises:
            RanksLostError: They are gone, or were ended at their memory limit.
        """
        try:
            for link in self._links:
                link.send((function, argument))
            answers = self._answers()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        raised = [answer for answer in answers if isinstance(answer, Raised)]
        if raised and len(raised) < len(self._links):
            # Some of them wait for the others, and no two remember the same.
            self.close(at_once=True)
        return raised[0] if raised else answers[0]

    def close(self, at_once: bool = False) -> None:
        """End them, ``at_once`` even in the middle of a call."""
        for link in self._links:
            link.close()
        self._links = []
        if not at_once:
            self._ended()  # in order: MPI then cleans up after itself
        for lifeline in self._lifelines:
            lifeline.close()
        if not self._ended():
            self._mpirun.kill()
            self._mpirun.wait()

    def _ended(self) -> bool:
        try:
            self._mpirun.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _answers(self) -> list[Value | Raised]:
        """Answers in the order of the ranks; without those that wait for one that has raised."""
        answers: dict[Connection, Value | Raised] = {}
        until = inf
        while len(answers) < len(self._links) and time.monotonic() < until:
            for link in wait([x for x in self._links if x not in answers], LOOK_EVERY_S):
                assert isinstance(link, Connection)
                answers[link] = link.recv()
                if until == inf and isinstance(answers[link], Raised):
                    until = time.monotonic() + AGREE_WITHIN_S
            self._check_memory()
        return [answers[link] for link in self._links if link in answers]

    def _check_memory(self) -> None:
        if self._memory_limit is None:
            return
        held = sum(_resident_bytes(pid) for pid in (os.getpid(), *self._pids))
        if held > FULL * self._memory_limit:
            self.close(at_once=True)
            text = f"{held / 1e9:.2f} GB, its limit is {self._memory_limit / 1e9:.2f} GB"
            raise RanksLostError(
                "memory", f"the ranks were ended: with their worker they held {text}"
            )

    def _accept(self, door: socket.socket, until: float) -> socket.socket:
        while True:
            try:
                return door.accept()[0]
            except TimeoutError:
                self._check_start(until)

    def _hello(self, link: Connection, until: float) -> tuple[int, int]:
        """Rank and pid of who is at the other end."""
        while not link.poll(LOOK_EVERY_S):
            self._check_start(until)
        try:
            rank, pid = link.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        return rank, pid

    def _check_start(self, until: float) -> None:
        if self._mpirun.poll() is not None or time.monotonic() > until:
            raise self._lost()

    def _lost(self) -> RanksLostError:
        self.close(at_once=True)
        self._said.seek(0)
        said = self._said.read()[-2000:].decode(errors="replace").strip()
        status = self._mpirun.returncode
        return RanksLostError("worker lost", f"a rank is gone; mpirun ended with {status}: {said}")


#: The ranks of this worker by their number: one entry at most.
_kept: dict[int, Ranks] = {}


def call_on_ranks(count: int, function: Callable[[Any], Any], argument: Any) -> Value | Raised:
    """In a worker: make a call on its ranks, which are made where there are none."""
    try:
        if count not in _kept or _kept[count].closed:
            _kept[count] = Ranks(count, _memory_limit())
        return _kept[count].call(function, argument)
    except RanksLostError as error:
        return Raised(error.cause, str(error), "")


def close_ranks() -> None:
    """In a worker that ends: end its ranks in order."""
    for ranks in _kept.values():
        ranks.close()


def _memory_limit() -> int | None:
    """Bytes that a worker of Dask and its ranks may hold."""
    from distributed import get_worker

    try:
        limit: int | None = get_worker().memory_manager.memory_limit
    except ValueError:  # not in a worker
        return None
    return limit


def _door(path: str, count: int) -> socket.socket:
    door = socket.socket(socket.AF_UNIX)
    door.bind(path)
    door.listen(count)
    door.settimeout(LOOK_EVERY_S)
    return door


def _start(count: int, folder: str, said: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            *("mpirun", "-n", str(count)),
            # Each mpirun of a node would bind its ranks to the same first cores.
            *("--bind-to", "none"),
            *(sys.executable, "-m", __name__, folder),
        ],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        # Out of reach of Ctrl-C, on which mpirun would end; the client decides what it means.
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    ours = {name: v for name, v in os.environ.items() if not name.startswith(FOREIGN)}
    # Ranks that wait give way. Of Open MPI's choice, to wait busily, a case took 12 s in place of
    # 2.6 s on a machine with four processes to a core (measured).
    return {"OMPI_MCA_mpi_yield_when_idle": "1"} | ours


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _serve(folder: str) -> None:
    """As a rank: make calls until the worker closes or is gone."""
    lifeline = socket.socket(socket.AF_UNIX)
    lifeline.connect(f"{folder}/life")
    # The kernel ends this process with SIGIO when the other end of the lifeline is gone, though it
    # may be in the middle of a solve. Nothing is ever sent by it: that would be a signal, too.
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    talk = socket.socket(socket.AF_UNIX)
    talk.connect(f"{folder}/talk")
    link = Connection(talk.detach())

    from mpi4py import MPI

    link.send((MPI.COMM_WORLD.rank, os.getpid()))
    # To free a mesh is a collective call, so that all ranks collect garbage at the same places.
    gc.disable()
    while True:
        try:
            function, argument = link.recv()
        except EOFError:
            return
        link.send(make_call(function, argument))
        gc.collect()


if __name__ == "__main__":
    _serve(sys.argv[1])
