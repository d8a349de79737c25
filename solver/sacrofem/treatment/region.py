"""Regions of an exact volume, as sets of equal parts of the cells around a target.

A region is a level set ``{x : field(x) <= level}`` clipped to bone. The level is the volume
quantile of the field over the sample points, so the asked volume is met to one part of one cell
(about 0.05 mm3 at 3 mm edges) without a search, and any two regions on the same samples can be
intersected exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.mesh.samples import sample_points

#: Level of :func:`sample_points` for regions: 64 parts a cell.
REGION_LEVEL = 2


@dataclass(frozen=True, eq=False)
class BoneSamples:
    """Equal parts of the sacrum's cells within reach of a target.

    Attributes:
        points_mm: Centroids of the parts, shape (s, 3), LPS.
        cell: Cell of each part, shape (s,).
        part_ml: Volume of each part, shape (s,).
        cells: Number of cells of the whole mesh.
    """

    points_mm: FloatArray
    cell: NDArray[np.int64]
    part_ml: FloatArray
    cells: int

    def volume_ml(self, inside: NDArray[np.bool_]) -> float:
        """Volume of a region."""
        return float(self.part_ml[inside].sum())

    def fraction(self, inside: NDArray[np.bool_]) -> FloatArray:
        """Volume fraction of a region in each cell of the mesh, shape (m,)."""
        whole = np.bincount(self.cell, weights=self.part_ml, minlength=self.cells)
        part = np.bincount(self.cell[inside], weights=self.part_ml[inside], minlength=self.cells)
        return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1e-300), 0.0))


def samples_near(mesh: BoneMesh, centre_mm: FloatArray, radius_mm: float) -> BoneSamples:
    """The parts of all cells of the sacrum whose centroid lies within a radius of a centre.

    Cells of cartilage and ilia are none of them: whatever is placed on these samples, lesion,
    cement or compacted bone, stays in the sacrum.
    """
    sacrum = mesh.cells_of(Part.SACRUM)
    distance = np.linalg.norm(mesh.centroids_mm[sacrum] - centre_mm, axis=1)
    cells = sacrum[distance <= radius_mm]
    points = sample_points(mesh.points_mm, mesh.tets[cells], REGION_LEVEL)
    parts = points.shape[1]
    return BoneSamples(
        points_mm=points.reshape(-1, 3),
        cell=np.repeat(cells, parts),
        part_ml=np.repeat(mesh.cell_ml[cells] / parts, parts),
        cells=len(mesh.tets),
    )


def level_of_volume(samples: BoneSamples, field: FloatArray, volume_ml: float, what: str) -> float:
    """The level at which ``{field <= level}`` has the asked volume.

    Args:
        samples: Parts of the cells within reach.
        field: Value at each part, shape (s,); infinite where the region can never be.
        volume_ml: Asked volume; 0 gives minus infinity, an empty region.
        what: Name of the region for messages.

    Raises:
        InputError: There is not as much bone that the region can fill.
    """
    if volume_ml == 0.0:
        return -np.inf
    order = np.argsort(field, kind="stable")
    filled = np.cumsum(samples.part_ml[order])
    reachable = int(np.isfinite(field).sum())
    available = float(filled[reachable - 1]) if reachable else 0.0
    if available < volume_ml:
        raise InputError(
            f"{what}: {volume_ml:g} ml asked, but the bone within reach can hold only "
            f"{available:.1f} ml; give a smaller volume."
        )
    # The part whose inclusion comes closest to the asked volume is the last one.
    upper = int(np.searchsorted(filled, volume_ml))
    if upper > 0 and volume_ml - filled[upper - 1] < filled[upper] - volume_ml:
        upper -= 1
    return float(field[order[upper]])
