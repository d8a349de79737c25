"""Calls for the ranks of tests, which import this module by its name."""

import os
import signal
import time
from typing import Any

from mpi4py import MPI

from sacrofem.errors import InputError

COMM = MPI.COMM_WORLD
_met: list[Any] = []


def meet(argument: Any) -> tuple[int, list[int], list[Any]]:
    """Rank, pids of all ranks, and what this rank was called with until now."""
    os.write(1, b"libraries print")
    _met.append(argument)
    return COMM.rank, COMM.allgather(os.getpid()), list(_met)


def fail(how: str) -> None:
    """Fail on all ranks, or on the last alone, for which the others wait."""
    if how == "all":
        raise InputError("no such field")
    if COMM.rank == COMM.size - 1:
        if how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "memory":
            raise MemoryError
    COMM.barrier()


def hold(size: int) -> None:
    """Hold some bytes on the last rank while the others wait."""
    held = b"1" * size if COMM.rank == COMM.size - 1 else b""
    time.sleep(20.0)
    COMM.barrier()
    del held


def hold_interpreter(_: Any) -> None:
    """Keep Python busy in C, as a solver does."""
    sum(range(10**11))
