"""Run fTetWild on one surface: ``python -m sacrofem.mesh.ftetwild IN.npz OUT.npz``.

A process of its own, because fTetWild writes a file into the current directory and a fault of it
would take the whole program down.
"""

import sys
from pathlib import Path

import numpy as np
import pytetwild


def main(source: Path, target: Path) -> None:
    """Read points, triangles, edge length and envelope; write points and cells."""
    with np.load(source) as given:
        points, cells = pytetwild.tetrahedralize(
            given["points_mm"],
            given["triangles"],
            edge_length_abs=float(given["edge_mm"]),
            epsilon=float(given["envelope_of_diagonal"]),
            quiet=True,
        )
    np.savez(target, points_mm=points, tets=cells)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
