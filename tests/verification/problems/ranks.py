"""The answer does not depend on the number of ranks; by mpirun, this module solves on several."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from problems.random_box import random_model
from problems.row import Row, Size
from sacrofem.mechanics.distributed import DistributedMesh
from sacrofem.mechanics.state import solve_state

WITHIN = 1e-8


def run(size: Size, broken: bool = False) -> list[Row]:
    """Displacement on 2 and 3 ranks, in processes of their own, against that on 1.

    ``broken`` gives the cells of a rank the moduli of others: what must be caught.
    """
    cells = 4 if size == "small" else 10
    several = (2,) if size == "small" else (2, 3)
    model, modulus = random_model(cells, 2)
    alone = solve_state(model, modulus).displacement_mm
    rows = []
    for n in several:
        answer = _answer(n, cells, broken)
        off = float(np.abs(answer - alone).max() / np.abs(alone).max())
        what = f"displacement on {n} ranks, P2, {6 * cells**3:,} cells"
        rows.append(Row(what, "that on 1", f"off by {off:.1e}", off, WITHIN))
    return rows


def _answer(ranks: int, cells: int, broken: bool) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "displacement.npy"
        command = ["mpirun", "-n", str(ranks), sys.executable, "-m", __name__, str(cells), str(out)]
        command += ["broken"] if broken else []
        # The processes have to find this package too.
        path = os.pathsep.join(str(p) for p in sys.path if p)
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with:\n{done.stderr}")
        return np.asarray(np.load(out))


def _by_local_number(self: DistributedMesh, values: np.ndarray, out: fem.Function) -> None:
    out.x.array[:] = values[: len(self.cells)]


def _solve(cells: int, out: Path) -> None:
    model, modulus = random_model(cells, 2, MPI.COMM_WORLD)
    solved = solve_state(model, modulus)
    if MPI.COMM_WORLD.rank == 0:
        np.save(out, solved.displacement_mm)


if __name__ == "__main__":
    if sys.argv[3:] == ["broken"]:
        DistributedMesh.scatter_cells = _by_local_number  # type: ignore[method-assign]
    _solve(int(sys.argv[1]), Path(sys.argv[2]))
