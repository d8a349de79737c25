"""The solid that is meshed: one bone, or the sacrum and both ilia grown together at their joints.

Where sacrum and ilium face each other across the narrow sacroiliac joint, the gap is closed, so
that one surface bounds the solid and one surface halfway between the bones divides it. The
cartilage opens there later (:mod:`sacrofem.mesh.cartilage`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import Part
from sacrofem.mesh.fields import BoneField

#: Widest gap between sacrum and ilium that belongs to the joint, in mm: 2-3 mm of cartilage and
#: fluid on both sides and what a blurred label adds.
JOINT_GAP_MM = 5.0
#: Width of the slit between hips whose labels touch at the symphysis, in mm: 3-5 mm in adults.
SYMPHYSIS_MM = 4.0
#: Step of the differences for a gradient, in mm: about a voxel of the fields.
GRADIENT_STEP_MM = 0.5
#: Kinks of the fields: a Newton step is not longer than with this slope.
SLOPE_AT_LEAST = 0.3

Field = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Solid:
    """Bones as fields.

    Attributes:
        bones: Field of each bone; the sacrum is always there.
    """

    bones: Mapping[Part, BoneField]

    @cached_property
    def ilia(self) -> tuple[Part, ...]:
        """The ilia that are there."""
        return tuple(part for part in self.bones if part != Part.SACRUM)

    def outer(self, points_mm: FloatArray) -> FloatArray:
        """Signed distance to the outer surface, positive inside, shape (n,), in mm."""
        sacrum = self.bones[Part.SACRUM].at(points_mm)
        value = sacrum
        ilia = [self.bones[part].at(points_mm) for part in self.ilia]
        if len(ilia) == 2:
            # Where the labels touch at the symphysis, a slit keeps the hips apart.
            half = 0.5 * (ilia[0] - ilia[1])
            slit = [half - 0.5 * SYMPHYSIS_MM, -half - 0.5 * SYMPHYSIS_MM]
            ilia = [np.minimum(i, s) for i, s in zip(ilia, slit, strict=True)]
        for ilium in ilia:
            gap = 0.5 * (JOINT_GAP_MM + sacrum + ilium)
            value = np.maximum(value, np.maximum(ilium, gap))
        return value

    def towards_sacrum(self, points_mm: FloatArray) -> FloatArray:
        """Signed distance to the surface between sacrum and ilia, positive towards the sacrum."""
        sacrum = self.bones[Part.SACRUM].at(points_mm)
        other = np.max([self.bones[part].at(points_mm) for part in self.ilia], axis=0)
        return np.asarray(0.5 * (sacrum - other))

    def nearest_ilium(self, points_mm: FloatArray) -> NDArray[np.int8]:
        """Which ilium holds points, values of :class:`Part`, shape (n,)."""
        fields = np.stack([self.bones[part].at(points_mm) for part in self.ilia])
        return np.array(self.ilia, dtype=np.int8)[fields.argmax(axis=0)]

    def moved(self, offset_mm: Mapping[Part, float]) -> "Solid":
        """The same solid with the surface of each bone moved outwards."""
        return replace(
            self, bones={p: field.moved(offset_mm[p]) for p, field in self.bones.items()}
        )

    @property
    def box_mm(self) -> FloatArray:
        """A box that holds all bones, shape (2, 3)."""
        boxes = np.stack([field.box_mm for field in self.bones.values()])
        return np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])


def gradient(field: Field, points_mm: FloatArray) -> FloatArray:
    """Gradient of a field at points, shape (n, 3)."""
    steps = GRADIENT_STEP_MM * np.eye(3)
    slopes = [(field(points_mm + step) - field(points_mm - step)) for step in steps]
    return np.stack(slopes, axis=1) / (2.0 * GRADIENT_STEP_MM)


def onto(field: Field, points_mm: FloatArray, steps: int = 2) -> FloatArray:
    """Points moved onto the zero surface of a field by Newton steps along its gradient."""
    points = np.array(points_mm, dtype=np.float64)
    for _ in range(steps):
        slope = gradient(field, points)
        square = np.maximum((slope * slope).sum(axis=1), SLOPE_AT_LEAST**2)
        points -= (field(points) / square)[:, None] * slope
    return points
