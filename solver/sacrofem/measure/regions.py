"""Regions of sound bone whose response is compared between states."""

import numpy as np
from numpy.typing import NDArray

from sacrofem.anatomy.atlas import Atlas
from sacrofem.anatomy.foramina import FACES, LEVELS, SIDES, Opening
from sacrofem.image.volume import FloatArray
from sacrofem.measure.stress_relief import RIM_MM, rim_cells, sound_cells
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.region import BoneSamples

_ZONES = {1: "I", 2: "II", 3: "III"}
#: Names of the regions of cells, ``rim`` first.
CELL_REGIONS = (
    "rim",
    *(f"zone {word} {side}" for word in _ZONES.values() for side in SIDES),
    *(f"foramen rims {side}" for side in SIDES),
    "whole",
)
#: The cortical membrane of the sound bone, see :mod:`sacrofem.measure.cortex`.
CORTEX = "cortex"
REGIONS = (*CELL_REGIONS, CORTEX)


def sound_regions(
    mesh: BoneMesh,
    atlas: Atlas,
    samples: BoneSamples,
    diseased: NDArray[np.bool_],
    cement: NDArray[np.bool_],
) -> dict[str, NDArray[np.bool_]]:
    """Cells of each region of :data:`CELL_REGIONS`, shape (m,), without lesion and cement.

    Args:
        mesh: Bone mesh.
        atlas: Its anatomy.
        samples: Parts of the sacrum's cells.
        diseased, cement: Which of them are lesion, and which hold cement of this arm, shape (s,).
    """
    sound = sound_cells(mesh, samples, diseased, cement)
    left = mesh.frame.to_local(mesh.centroids_mm)[:, 0] >= 0.0
    found = {"rim": rim_cells(mesh, samples, diseased, cement)}
    for zone, word in _ZONES.items():
        for side, here in zip(SIDES, (left, ~left), strict=True):
            found[f"zone {word} {side}"] = sound & (mesh.zone == zone) & here
    for side in SIDES:
        found[f"foramen rims {side}"] = sound & _near_foramina(mesh.centroids_mm, atlas, side)
    return found | {"whole": sound}


def _near_foramina(points_mm: FloatArray, atlas: Atlas, side: str) -> NDArray[np.bool_]:
    """Points within ``RIM_MM`` of the wall of a foramen of one side.

    A foramen is a straight channel between its two openings, as wide as the mean of both.
    """
    near = np.zeros(len(points_mm), dtype=bool)
    for level in LEVELS:
        front, back = (atlas.foramina[Opening(level, side, face)] for face in FACES)
        radius = 0.25 * (front.diameter_mm + back.diameter_mm)
        near |= _from_line(points_mm, front.centre_mm, back.centre_mm) <= radius + RIM_MM
    return near


def _from_line(points_mm: FloatArray, start_mm: FloatArray, end_mm: FloatArray) -> FloatArray:
    """Distance of points from a straight piece, shape (n,)."""
    way = end_mm - start_mm
    along = np.clip((points_mm - start_mm) @ way / max(float(way @ way), 1e-12), 0.0, 1.0)
    return np.asarray(np.linalg.norm(points_mm - start_mm - along[:, None] * way, axis=1))
