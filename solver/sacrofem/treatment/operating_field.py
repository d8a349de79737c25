"""The bone as a treatment sees it: made once a bone, used by every lesion, path and fill on it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.atlas import Atlas
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.compartments import PASSAGES
from sacrofem.mesh.tissue_grid import BONE, TissueGrid
from sacrofem.treatment.region import BoneSamples, samples_of


@dataclass(frozen=True, eq=False)
class OperatingField:
    """Mesh, grid, landmarks and samples of one bone, and the distances that planning asks for.

    Attributes:
        mesh: Bone mesh.
        tissue: CT and tissue on a grid along the axes of the sacral frame.
        atlas: Landmarks.
        samples: Parts of the sacrum's cells.
    """

    mesh: BoneMesh
    tissue: TissueGrid
    atlas: Atlas
    samples: BoneSamples

    @cached_property
    def local_mm(self) -> FloatArray:
        """Frame coordinates (left, posterior, superior) of the samples, shape (s, 3)."""
        return self.atlas.frame.to_local(self.samples.points_mm)

    @cached_property
    def index(self) -> FloatArray:
        """Continuous voxel indices of the samples, shape (3, s), for ``map_coordinates``."""
        return np.ascontiguousarray(self.tissue.index_of(self.local_mm).T)

    @cached_property
    def voxel(self) -> tuple[NDArray[np.int64], ...]:
        """Nearest voxel of each sample, three arrays of shape (s,), to index the grid with."""
        limit = np.array(self.tissue.tissue.shape)[:, None] - 1
        return tuple(np.clip(np.rint(self.index).astype(np.int64), 0, limit))

    @cached_property
    def depth_mm(self) -> FloatArray:
        """Distance of each voxel of the sacrum to the nearest voxel outside it, 0 outside."""
        return self._distance(self.tissue.tissue == BONE)

    @cached_property
    def nerve_mm(self) -> FloatArray:
        """Distance of each voxel to the nearest nerve passage (canal or foramen)."""
        return self._distance(~np.isin(self.tissue.compartment, PASSAGES))

    def at_samples(self, grid: FloatArray) -> FloatArray:
        """Values of the grid at the samples, linear, shape (s,)."""
        return np.asarray(ndimage.map_coordinates(grid, self.index, order=1, mode="nearest"))

    def voxel_of(self, world_mm: FloatArray) -> NDArray[np.int64]:
        """Nearest voxels of world points, shape (n, 3); those outside the grid at its border."""
        index = self.tissue.index_of(self.atlas.frame.to_local(world_mm))
        limit = np.array(self.tissue.tissue.shape) - 1
        return np.clip(np.rint(index).astype(np.int64), 0, limit)

    def _distance(self, away_from_zero: NDArray[np.bool_]) -> FloatArray:
        """Distance transform over the part of the grid that holds the sacrum; 0 or inf beyond."""
        out = np.where(away_from_zero, np.inf, 0.0)
        box = self.tissue.sacrum_box
        out[box] = ndimage.distance_transform_edt(away_from_zero[box]) * self.tissue.step_mm
        return out


def operating_field(bone: MeshedBone) -> OperatingField:
    """The operating field of a meshed bone."""
    return OperatingField(bone.mesh, bone.tissue, bone.atlas, samples_of(bone.mesh))
