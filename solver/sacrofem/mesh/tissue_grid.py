"""The CT around the sacrum on a grid that follows the sacral frame, for paths and flow."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.atlas import Atlas
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.surface import BoneSurface, largest_piece
from sacrofem.image.calibration import Calibration, to_density
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.volume import CtVolume, FloatArray, Grid, LabelMap
from sacrofem.mesh.compartments import BONE as BONE
from sacrofem.mesh.compartments import ILIUM_LEFT as ILIUM_LEFT
from sacrofem.mesh.compartments import ILIUM_RIGHT as ILIUM_RIGHT
from sacrofem.mesh.compartments import L5_BONE as L5_BONE
from sacrofem.mesh.compartments import SOFT as SOFT
from sacrofem.mesh.compartments import find_compartments

GRID_STEP_MM = 1.0
#: What is kept around the sacrum along the frame's axes (left and right, front and back, down and
#: up), in mm: room for leakage, for the rear of the ilia that a transiliac path crosses, and for
#: the lower part of L5.
MARGIN_MM = np.array([[35.0, 35.0], [12.0, 40.0], [8.0, 25.0]])

_LABELS = {L5_BONE: L5, ILIUM_LEFT: HIP_LEFT, ILIUM_RIGHT: HIP_RIGHT, BONE: SACRUM}


@dataclass(frozen=True, eq=False)
class TissueGrid:
    """Tissue, compartment and density on an isotropic grid along the axes of the sacral frame.

    Attributes:
        origin_local_mm: Frame coordinates of voxel (0, 0, 0), shape (3,).
        step_mm: Voxel size.
        tissue: SOFT, BONE (the sacrum), L5_BONE, ILIUM_LEFT or ILIUM_RIGHT, uint8, shape
            (nx, ny, nz).
        compartment: :class:`sacrofem.mesh.compartments.Compartment` of each voxel: where cement is
            that left the bone, uint8.
        density: Density of each voxel.
    """

    origin_local_mm: FloatArray
    step_mm: float
    tissue: NDArray[np.uint8]
    compartment: NDArray[np.uint8]
    density: RhoQctK2HPO4

    def index_of(self, local_mm: FloatArray) -> FloatArray:
        """Continuous voxel indices, shape (n, 3), of frame coordinates, shape (n, 3)."""
        return np.asarray((np.asarray(local_mm) - self.origin_local_mm) / self.step_mm)

    def local_of(self, index: NDArray[Any]) -> FloatArray:
        """Frame coordinates, shape (n, 3), of voxel indices, shape (n, 3)."""
        return np.asarray(self.origin_local_mm + self.step_mm * np.asarray(index))

    def local_points(self) -> FloatArray:
        """Frame coordinates of all voxel centres, shape (nx, ny, nz, 3)."""
        axes = [
            start + self.step_mm * np.arange(n)
            for start, n in zip(self.origin_local_mm, self.tissue.shape, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return self.step_mm**3 / 1000.0

    @cached_property
    def sacrum_box(self) -> tuple[slice, slice, slice]:
        """The part of the grid that holds the sacrum and 8 mm around it: where cement can be."""
        grown = round(8.0 / self.step_mm)
        found = []
        for axis in range(3):
            others = tuple(i for i in range(3) if i != axis)
            rows = np.flatnonzero((self.tissue == BONE).any(axis=others))
            first, last = (int(rows[0]), int(rows[-1])) if len(rows) else (0, 0)
            found.append(
                slice(max(first - grown, 0), min(last + grown + 1, self.tissue.shape[axis]))
            )
        return found[0], found[1], found[2]


def make_tissue_grid(
    ct: CtVolume,
    labels: LabelMap,
    surface: BoneSurface,
    atlas: Atlas,
    calibration: Calibration,
) -> TissueGrid:
    """Resample CT and labels onto the frame's grid around the sacrum.

    The sacrum is what the mesh holds: the largest piece of its label, inner cavities filled. Where
    the images end before the margin does, there is soft tissue of the nearest density.
    """
    low, shape = _extent(surface, atlas.frame)
    axes = tuple(a + GRID_STEP_MM * np.arange(n) for a, n in zip(low, shape, strict=True))
    place = _placement(labels.grid, atlas.frame, low, shape)
    tissue = np.full(shape, SOFT, dtype=np.uint8)
    for code, number in _LABELS.items():
        mask = labels.labels[place.box] == number
        if code == BONE:
            mask = largest_piece(mask)
        place.mark(tissue, mask, code)
    return TissueGrid(
        origin_local_mm=low,
        step_mm=GRID_STEP_MM,
        tissue=tissue,
        compartment=find_compartments(tissue, axes, atlas),
        density=to_density(place.resampled(ct.hu[place.box]).astype(np.float64), calibration),
    )


@dataclass(frozen=True, eq=False)
class _Placement:
    """How the tissue grid lies in the images.

    Attributes:
        matrix: Voxels of the images, as columns, that a step along each axis of the grid makes.
        start: Voxel (0, 0, 0) of the grid in voxels of the images, shape (3,).
        shape: Number of voxels of the grid.
        box: The part of the images that holds the grid, with a voxel around it.
    """

    matrix: FloatArray
    start: FloatArray
    shape: tuple[int, int, int]
    box: tuple[slice, ...]

    def resampled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values on ``box`` at the grid's voxels, linear; the nearest ones outside the images."""
        first = np.array([part.start for part in self.box])
        return np.asarray(
            ndimage.affine_transform(
                values, self.matrix, self.start - first, self.shape, order=1, mode="nearest"
            )
        )

    def mark(self, tissue: NDArray[np.uint8], mask: NDArray[np.bool_], code: int) -> None:
        """Write a code where a mask on ``box`` is nearer to 1 than to 0, linear between voxels."""
        found = ndimage.find_objects(mask.astype(np.uint8))
        if not found:
            return
        # Only the part of the grid that can lie in the mask is asked: a bone is a part of it.
        ends = [(part.start - 1, part.stop) for part in found[0]]
        corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1)
        corners += np.array([part.start for part in self.box])[:, None]
        index = np.linalg.solve(self.matrix, corners - self.start[:, None])
        low = np.clip(np.floor(index.min(axis=1)), 0, self.shape).astype(int)
        high = np.clip(np.ceil(index.max(axis=1)) + 1, low, self.shape).astype(int)
        region = tuple(slice(int(i), int(j)) for i, j in zip(low, high, strict=True))
        if tissue[region].size == 0:
            return
        start = self.start - [part.start for part in self.box] + self.matrix @ low
        share = ndimage.affine_transform(
            mask.astype(np.float32), self.matrix, start, tissue[region].shape, order=1
        )
        tissue[region][share > 0.5] = code


def _placement(
    images: Grid, frame: SacralFrame, low_mm: FloatArray, shape: tuple[int, int, int]
) -> _Placement:
    matrix = np.linalg.inv(images.matrix) @ frame.axes.T * GRID_STEP_MM
    start = images.to_index(frame.to_world(low_mm[None]))[0]
    corners = np.array(np.meshgrid(*([0, n - 1] for n in shape))).reshape(3, -1)
    index = start[:, None] + matrix @ corners
    limit = np.array(images.shape)
    # One voxel at least: outside the images the nearest one counts.
    first = np.clip(np.floor(index.min(axis=1)) - 1, 0, limit - 1).astype(int)
    last = np.clip(np.ceil(index.max(axis=1)) + 2, first + 1, limit).astype(int)
    box = tuple(slice(int(i), int(j)) for i, j in zip(first, last, strict=True))
    return _Placement(matrix, start, shape, box)


def _extent(surface: BoneSurface, frame: SacralFrame) -> tuple[FloatArray, tuple[int, int, int]]:
    """Lowest frame coordinates and number of voxels of the grid around a sacrum."""
    local = frame.to_local(surface.points_mm)
    low = np.floor(local.min(axis=0) - MARGIN_MM[:, 0])
    high = local.max(axis=0) + MARGIN_MM[:, 1]
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / GRID_STEP_MM) + 1)
    return low, (nx, ny, nz)
