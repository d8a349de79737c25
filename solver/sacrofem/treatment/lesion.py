"""A lesion: a region of the sacrum that a tumour has replaced."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.region import BoneSamples, level_of_volume, samples_near

#: Lesion and cement lie within this distance of the lesion's centre: the wing and the body of S1
#: with the upper half of S2.
REACH_MM = 45.0


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lytic lesion clipped to the sacrum.

    Attributes:
        side: ``left`` or ``right``.
        centre_mm: Its centre, world, shape (3,).
        radius_mm: Radius of the sphere that is clipped.
        samples: Parts of the cells around it, shared with the fill.
        inside: Which parts belong to it, shape (s,).
        volume_ml: Its volume.
    """

    side: str
    centre_mm: FloatArray
    radius_mm: float
    samples: BoneSamples
    inside: NDArray[np.bool_]
    volume_ml: float

    @property
    def fraction(self) -> FloatArray:
        """Volume fraction in each cell of the mesh, shape (m,)."""
        return self.samples.fraction(self.inside)


def place_lesion(mesh: BoneMesh, side: str, volume_ml: float) -> Lesion:
    """A sphere about the middle of the lateral mass of S1, clipped to the sacrum, of exact volume.

    Args:
        mesh: Bone mesh.
        side: ``left`` or ``right``, the patient's.
        volume_ml: Volume after clipping.

    Raises:
        InputError: The bone around the lateral mass holds less than the volume.
    """
    centre = mesh.lateral_mass_mm[side]
    samples = samples_near(mesh, centre, REACH_MM)
    distance = np.linalg.norm(samples.points_mm - centre, axis=1)
    radius = level_of_volume(samples, distance, volume_ml, f"lesion, lateral mass {side}")
    inside = distance <= radius
    return Lesion(side, centre, max(radius, 0.0), samples, inside, samples.volume_ml(inside))
