"""Regions of an exact volume, as sets of equal parts of the sacrum's cells.

A region is a level set ``{x : field(x) <= level}`` clipped to bone. The level is the volume
quantile of the field over the sample points, so the asked volume is met to one part of one cell
without a search, and any two regions on the same samples can be intersected exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.mesh.samples import sample_points

#: Parts of a cell are at most this large, in mm3: half a voxel of the tissue grid, and 1e-4 of the
#: smallest volume that is injected.
PART_MM3 = 0.5


@dataclass(frozen=True, eq=False)
class BoneSamples:
    """Equal parts of all cells of the sacrum: on them lie lesions, cement and compacted bone.

    Cells of cartilage and ilia have none: whatever is placed on these samples stays in the sacrum.

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

    @property
    def none(self) -> NDArray[np.bool_]:
        """An empty region, shape (s,)."""
        return np.zeros(len(self.cell), dtype=bool)

    def volume_ml(self, inside: NDArray[np.bool_]) -> float:
        """Volume of a region."""
        return float(self.part_ml[inside].sum())

    def integral(self, inside: NDArray[np.bool_], values: FloatArray) -> float:
        """Sum of values per ml, shape (s,), times the volume of the parts in a region."""
        return float(self.part_ml[inside] @ values[inside])

    def fraction(self, inside: NDArray[np.bool_]) -> FloatArray:
        """Volume fraction of a region in each cell of the mesh, shape (m,)."""
        return self.per_cell(inside.astype(np.float64))

    def per_cell(self, values: FloatArray) -> FloatArray:
        """Volume-weighted mean of values of the parts, shape (s,), in each cell, shape (m,)."""
        whole = np.bincount(self.cell, weights=self.part_ml, minlength=self.cells)
        part = np.bincount(self.cell, weights=self.part_ml * values, minlength=self.cells)
        return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1e-300), 0.0))


def samples_of(mesh: BoneMesh) -> BoneSamples:
    """The parts of all cells of the sacrum: 8, 64 or 512 a cell, on average below PART_MM3."""
    cells = mesh.cells_of(Part.SACRUM)
    mean_mm3 = 1000.0 * float(mesh.cell_ml[cells].mean())
    level = int(np.clip(np.ceil(np.log(mean_mm3 / PART_MM3) / np.log(8.0)), 1, 3))
    points = sample_points(mesh.points_mm, mesh.tets[cells], level)
    parts = points.shape[1]
    return BoneSamples(
        points_mm=points.reshape(-1, 3),
        cell=np.repeat(cells, parts),
        part_ml=np.repeat(mesh.cell_ml[cells] / parts, parts),
        cells=len(mesh.tets),
    )


def region_of_volume(
    samples: BoneSamples,
    field: FloatArray,
    volume_ml: float,
    what: str,
    share: FloatArray | None = None,
) -> NDArray[np.bool_]:
    """The region ``{field <= level}`` of an asked volume, shape (s,).

    Args:
        samples: Parts of the cells.
        field: Value at each part, shape (s,); infinite where the region can never be.
        volume_ml: Asked volume; 0 gives an empty region.
        what: Name of the region for messages.
        share: Part of each sample's volume that counts, shape (s,); all of it by default. Cement
            that permeates bone counts with the pores that it fills.

    Raises:
        InputError: There is not as much bone that the region can fill.
    """
    inside = samples.none
    if volume_ml <= 0.0:
        return inside
    reachable = np.flatnonzero(np.isfinite(field))
    order = reachable[np.argsort(field[reachable], kind="stable")]
    counted = samples.part_ml[order] if share is None else (samples.part_ml * share)[order]
    filled = np.cumsum(counted)
    available = float(filled[-1]) if len(filled) else 0.0
    # Sums of the same parts in another order differ in their last bits.
    if available < volume_ml * (1.0 - 1e-9):
        raise InputError(
            f"{what}: {volume_ml:g} ml asked, but the bone within reach can hold only "
            f"{available:.1f} ml; give a smaller volume."
        )
    # The part whose inclusion comes closest to the asked volume is the last one.
    last = min(int(np.searchsorted(filled, volume_ml)), len(filled) - 1)
    if last > 0 and volume_ml - filled[last - 1] < filled[last] - volume_ml:
        last -= 1
    inside[order[: last + 1]] = True
    return inside
