"""What a record rests on: hashes of inputs and code, versions, time and memory."""

import hashlib
import json
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import dolfinx
import petsc4py
from mpi4py import MPI

import sacrofem

PACKAGE = Path(sacrofem.__file__).parent
#: Rooms whose code decides the mesh, and those that decide a case on it.
MESH_ROOMS = ("image", "anatomy", "mesh")
CASE_ROOMS = (*MESH_ROOMS, "treatment", "mechanics", "measure")


@dataclass(frozen=True)
class Stopwatch:
    """Seconds spent in each named stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


def sha256_of_file(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def sha256_of_value(value: Any) -> str:
    """Hash of anything that JSON can hold, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@cache
def sha256_of_code(rooms: tuple[str, ...]) -> str:
    """Hash of the source of some rooms of the package."""
    digest = hashlib.sha256()
    for room in rooms:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of everything that touches the numbers."""
    found = {
        "sacrofem": sacrofem.__version__,
        "code": sha256_of_code(CASE_ROOMS)[:12],
        "python": platform.python_version(),
        "dolfinx": dolfinx.__version__,
        "petsc4py": petsc4py.__version__,
    }
    for name in ("numpy", "scipy", "vtk", "SimpleITK", "scikit-fmm"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def peak_memory_GB(comm: MPI.Comm) -> float:
    """Largest memory that this run held, summed over the ranks; collective."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bytes_each = peak if sys.platform == "darwin" else 1024 * peak
    return float(comm.allreduce(bytes_each, op=MPI.SUM)) / 1e9
