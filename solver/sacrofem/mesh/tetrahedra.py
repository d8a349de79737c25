"""Fill a closed surface with tetrahedra by fTetWild (Hu 2020, MPL-2.0).

fTetWild accepts any triangle soup and keeps the surface within a stated envelope, so a rough
segmentation gives a mesh instead of an error.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyvista as pv
from numpy.typing import NDArray

from sacrofem.anatomy.surface import BoneSurface
from sacrofem.errors import MeshError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import signed_volumes_mm3

#: Distance by which the mesh may leave the surface, in mm: a tenth of an edge of 3 mm.
ENVELOPE_MM = 0.3
#: Edge of the surface triangles given to the mesher, as a part of the target edge: finer ones cost
#: time and the envelope hides their detail.
SURFACE_EDGE_PART = 0.7
#: Longest time for one bone, in seconds; a usual one takes half a minute.
TIME_LIMIT_S = 1800


def fill_surface(surface: BoneSurface, edge_mm: float) -> tuple[FloatArray, NDArray[np.int64]]:
    """Tetrahedra of the inside of a surface.

    Args:
        surface: Closed surface.
        edge_mm: Target edge length.

    Returns:
        Points in mm, shape (n, 3), and positively oriented cells, shape (m, 4).

    Raises:
        MeshError: The mesher failed, returned no cells or ran over its time limit.
    """
    diagonal = float(np.linalg.norm(np.ptp(surface.points_mm, axis=0)))
    coarse = _decimate(surface, SURFACE_EDGE_PART * edge_mm)
    with tempfile.TemporaryDirectory(prefix="sacrofem-mesh-") as folder:
        source, target = Path(folder) / "surface.npz", Path(folder) / "cells.npz"
        np.savez(
            source,
            points_mm=np.asarray(coarse.points, dtype=np.float64),
            triangles=coarse.regular_faces.astype(np.int32),
            edge_mm=edge_mm,
            envelope_of_diagonal=ENVELOPE_MM / diagonal,
        )
        _run(source, target, surface, edge_mm)
        with np.load(target) as made:
            points = made["points_mm"].astype(np.float64)
            tets = made["tets"].astype(np.int64)
    if len(tets) == 0:
        raise MeshError(
            f"fTetWild returned no cells for a surface of {surface.volume_ml:.1f} ml; try another "
            f"edge length than {edge_mm:g} mm."
        )
    flipped = signed_volumes_mm3(points, tets) < 0
    tets[flipped] = tets[flipped][:, [1, 0, 2, 3]]
    used, tets = np.unique(tets, return_inverse=True)
    return points[used], tets.reshape(-1, 4)


def _decimate(surface: BoneSurface, edge_mm: float) -> pv.PolyData:
    """The surface with as many triangles as regular ones of the given edge would need."""
    wanted = surface.areas_mm2.sum() / (np.sqrt(3.0) / 4.0 * edge_mm**2)
    mesh = pv.PolyData.from_regular_faces(surface.points_mm, surface.triangles)
    part = 1.0 - wanted / len(surface.triangles)
    return mesh.decimate(part, volume_preservation=True) if part > 0.0 else mesh


def _run(source: Path, target: Path, surface: BoneSurface, edge_mm: float) -> None:
    command = [sys.executable, "-m", "sacrofem.mesh.ftetwild", str(source), str(target)]
    about = f"a surface of {len(surface.triangles)} triangles and {surface.volume_ml:.1f} ml"
    try:
        done = subprocess.run(
            command, cwd=source.parent, capture_output=True, text=True, timeout=TIME_LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise MeshError(
            f"fTetWild did not finish {about} in {TIME_LIMIT_S} s; try a larger edge length than "
            f"{edge_mm:g} mm."
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MeshError(
            f"fTetWild ended with status {done.returncode} on {about} ({last}); look at the label "
            "for holes and loose parts, or try another edge length."
        )
