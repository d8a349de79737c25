"""Bones as signed distances: smooth fields that are positive inside, from the labels."""

from dataclasses import dataclass, replace

import numpy as np
import skfmm
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.surface import bone_indicator
from sacrofem.image.volume import FloatArray, Grid, LabelMap

#: Distances beyond this are not needed and hold this value, in mm.
BAND_MM = 10.0


@dataclass(frozen=True, eq=False)
class BoneField:
    """Signed distance to the surface of one bone, positive inside.

    Attributes:
        distance_mm: On the grid, float32, cut off at :data:`BAND_MM`.
        grid: Where it is known; outside it is ``-BAND_MM``.
        label_ml: Volume of the label.
        dropped_ml: Volume of loose islands of the label that were left out.
        filled_ml: Volume of cavities of the label that were filled.
        offset_mm: Added to the distance: moves the surface outwards.
    """

    distance_mm: NDArray[np.float32]
    grid: Grid
    label_ml: float
    dropped_ml: float
    filled_ml: float
    offset_mm: float = 0.0

    def at(self, points_mm: FloatArray) -> FloatArray:
        """Signed distance in mm at world points, shape (n, 3)."""
        index = self.grid.to_index(points_mm).T
        value = ndimage.map_coordinates(
            self.distance_mm, index, order=1, mode="constant", cval=-BAND_MM, output=np.float64
        )
        return np.asarray(value + self.offset_mm)

    def moved(self, offset_mm: float) -> "BoneField":
        """The same bone with its surface moved outwards by so much more."""
        return replace(self, offset_mm=self.offset_mm + offset_mm)

    @property
    def box_mm(self) -> FloatArray:
        """Lower and upper corner of the grid in the world, shape (2, 3)."""
        shape = np.array(self.distance_mm.shape) - 1.0
        corner = self.grid.to_world(
            np.array(np.meshgrid(*([0, n] for n in shape))).reshape(3, -1).T
        )
        return np.stack([corner.min(axis=0), corner.max(axis=0)])


def bone_field(labels: LabelMap, label: int) -> BoneField:
    """The signed distance to the largest piece of a label, its cavities filled.

    Raises:
        InputError: The label holds less than 1 ml.
    """
    bone = bone_indicator(labels, label)
    inside = bone.field > bone.level
    distance = skfmm.distance(bone.field - bone.level, dx=bone.grid.spacing_mm, narrow=BAND_MM)
    far = np.where(inside, BAND_MM, -BAND_MM)
    distance = np.where(np.ma.getmaskarray(distance), far, np.ma.getdata(distance))
    return BoneField(
        distance_mm=np.clip(distance, -BAND_MM, BAND_MM).astype(np.float32),
        grid=bone.grid,
        label_ml=bone.label_ml,
        dropped_ml=bone.dropped_ml,
        filled_ml=bone.filled_ml,
    )
