"""Images on a regular grid, in world coordinates LPS (x to the left, y to the back, z up), in mm.

Arrays are indexed ``[i, j, k]`` along the grid's own axes; SimpleITK's reversed order and the
RAS convention of NIfTI stay behind the file boundary in :mod:`sacrofem.image.files`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of an image lie.

    Attributes:
        shape: Number of voxels along each axis.
        spacing_mm: Voxel size along each axis.
        origin_mm: World position of the centre of voxel (0, 0, 0), shape (3,).
        direction: Unit vectors of the axes as columns, shape (3, 3), orthonormal.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: FloatArray
    direction: FloatArray

    @cached_property
    def matrix(self) -> FloatArray:
        """Index to world: ``world = matrix @ index + origin_mm``."""
        return self.direction * np.asarray(self.spacing_mm)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def to_world(self, index: FloatArray) -> FloatArray:
        """World coordinates in mm, shape (n, 3), of voxel indices, shape (n, 3)."""
        return np.asarray(index, dtype=np.float64) @ self.matrix.T + self.origin_mm

    def to_index(self, world_mm: FloatArray) -> FloatArray:
        """Continuous voxel indices, shape (n, 3), of world points in mm, shape (n, 3)."""
        offset = np.asarray(world_mm, dtype=np.float64) - self.origin_mm
        return offset @ np.linalg.inv(self.matrix).T

    def same_as(self, other: "Grid", tolerance_mm: float = 1e-2) -> bool:
        """Whether both grids put every voxel at the same place."""
        if self.shape != other.shape:
            return False
        corner = np.array([[0, 0, 0], *np.diag(self.shape), self.shape], dtype=np.float64)
        return bool(np.abs(self.to_world(corner) - other.to_world(corner)).max() <= tolerance_mm)


@dataclass(frozen=True, eq=False)
class CtVolume:
    """A CT in Hounsfield units: ``hu`` float32, shape ``grid.shape``."""

    hu: NDArray[np.float32]
    grid: Grid


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A segmentation: ``labels`` uint8, shape ``grid.shape``; see :mod:`sacrofem.image.labels`."""

    labels: NDArray[np.uint8]
    grid: Grid

    def mask(self, label: int) -> NDArray[np.bool_]:
        """Voxels that carry ``label``."""
        return np.asarray(self.labels == label)
