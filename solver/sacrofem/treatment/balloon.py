"""Balloon sacroplasty: overlapping inflations along the path make a cavity, PMMA fills it.

The balloon is inflated several times from the centre of the lesion to its periphery (Andresen
2014). The cavity is the union of the inflations; bone that it displaces is compacted, with its
mass, into a shell around it.
"""

import numpy as np

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.region import level_of_volume

#: Inflations along the path and their spacing as a part of the lesion's radius: they overlap and
#: their outermost centres stay inside the lesion. The papers give neither number.
INFLATIONS = 3
SPACING_OF_RADIUS = 0.35
#: Thickness of the shell of compacted bone, in mm (facts: 1-3 mm, a choice).
SHELL_MM = 2.0


def inflation_centres(path: AccessPath, lesion: Lesion) -> FloatArray:
    """Centres of the inflations, shape (INFLATIONS, 3), world, the central one first."""
    steps = np.arange(INFLATIONS) - (INFLATIONS - 1) / 2
    steps = steps[np.argsort(np.abs(steps), kind="stable")]
    spacing = SPACING_OF_RADIUS * lesion.radius_mm
    return np.asarray(lesion.centre_mm + spacing * steps[:, None] * path.direction)


def fill_balloon(mesh: BoneMesh, lesion: Lesion, path: AccessPath, cement_ml: float) -> CementFill:
    """Inflate along the path until the cavity in the bone holds the cement.

    Raises:
        InputError: The bone within reach holds less than the volume.
    """
    samples = lesion.samples
    centres = inflation_centres(path, lesion)
    distance = np.min(
        [np.linalg.norm(samples.points_mm - centre, axis=1) for centre in centres], axis=0
    )
    radius = level_of_volume(samples, distance, cement_ml, "fill, balloon")
    cavity = distance <= radius
    shell = ~cavity & ~lesion.inside & (distance <= radius + SHELL_MM)
    density = np.maximum(mesh.density.g_per_cm3, 0.0)
    displaced = cavity & ~lesion.inside
    mass_g = float((density[samples.cell] * samples.part_ml)[displaced].sum())
    shell_ml = samples.volume_ml(shell)
    added = mass_g / shell_ml if shell_ml > 0 else 0.0
    return CementFill(
        technique="balloon",
        lesion=lesion,
        inside=cavity,
        volume_ml=samples.volume_ml(cavity),
        # Cement enters an open cavity at low pressure: it has no reason to leave it.
        leak_ml=0.0,
        interdigitated=False,
        compacted_g_per_cm3=added * samples.fraction(shell),
    )
