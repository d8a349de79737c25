"""The CT around the sacrum on a grid that follows the sacral frame, for paths and flow."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.surface import BoneSurface
from sacrofem.image.calibration import Calibration, to_density
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.volume import CtVolume, FloatArray, LabelMap

GRID_STEP_MM = 1.0
#: Soft tissue that is kept around the bone, in mm: room for leakage.
MARGIN_MM = 8.0

SOFT, BONE, OTHER_BONE = 0, 1, 2


@dataclass(frozen=True, eq=False)
class TissueGrid:
    """Tissue and density on an isotropic grid along the axes of the sacral frame.

    Attributes:
        origin_local_mm: Frame coordinates of voxel (0, 0, 0), shape (3,).
        step_mm: Voxel size.
        tissue: SOFT, BONE (the sacrum) or OTHER_BONE (hips, L5), uint8, shape (nx, ny, nz).
        density: Density of each voxel.
    """

    origin_local_mm: FloatArray
    step_mm: float
    tissue: NDArray[np.uint8]
    density: RhoQctK2HPO4

    def index_of(self, local_mm: FloatArray) -> FloatArray:
        """Continuous voxel indices, shape (n, 3), of frame coordinates, shape (n, 3)."""
        return np.asarray((np.asarray(local_mm) - self.origin_local_mm) / self.step_mm)

    def local_points(self) -> FloatArray:
        """Frame coordinates of all voxel centres, shape (nx, ny, nz, 3)."""
        axes = [
            start + self.step_mm * np.arange(n)
            for start, n in zip(self.origin_local_mm, self.tissue.shape, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def make_tissue_grid(
    ct: CtVolume,
    labels: LabelMap,
    surface: BoneSurface,
    frame: SacralFrame,
    calibration: Calibration,
) -> TissueGrid:
    """Resample CT and labels onto the frame's grid around the sacrum."""
    local = frame.to_local(surface.points_mm)
    low = np.floor(local.min(axis=0) - MARGIN_MM)
    count = np.ceil((local.max(axis=0) + MARGIN_MM - low) / GRID_STEP_MM).astype(int) + 1
    empty = np.zeros(tuple(count), dtype=np.uint8)
    grid = TissueGrid(low, GRID_STEP_MM, empty, RhoQctK2HPO4(np.zeros(0)))
    world = frame.to_world(grid.local_points().reshape(-1, 3))
    index = labels.grid.to_index(world).T
    hu = ndimage.map_coordinates(ct.hu, index, order=1, mode="nearest", output=np.float64)
    tissue = np.full(len(world), SOFT, dtype=np.uint8)
    for code, numbers in ((OTHER_BONE, (HIP_LEFT, HIP_RIGHT, L5)), (BONE, (SACRUM,))):
        mask = np.isin(labels.labels, numbers).astype(np.float32)
        tissue[ndimage.map_coordinates(mask, index, order=1, mode="constant") > 0.5] = code
    density = to_density(hu.reshape(empty.shape), calibration)
    return TissueGrid(low, GRID_STEP_MM, tissue.reshape(empty.shape), density)
