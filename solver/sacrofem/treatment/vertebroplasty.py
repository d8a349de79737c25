"""Vertebroplasty: a cement front that grows from the needle tip through permeable tissue.

The front moves at Darcy speed: arrival times come from fast marching (Sethian 1996, scikit-fmm)
with a speed that follows the permeability of the tissue. Bone: Kozeny-Carman with the bone volume
fraction from density. Tumour: slower than a void by the ratio measured between injections into a
simulated metastasis with and without one. Intact cortex is impermeable; where the lesion destroyed
it, cement may leave the bone, and what does is counted as leakage. The balloon's advantage in
leakage is not put in by hand: the same breach is there for both, but a cavity needs no pressure.
"""

import numpy as np
import skfmm
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.tissue_grid import BONE, OTHER_BONE, SOFT, TissueGrid
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.region import level_of_volume

#: Mineral density of solid bone in g/cm3, K2HPO4 equivalent: turns density into volume fraction
#: (cortical bone about 1200 HU, i.e. 0.97 g/cm3 on the fallback line, at a fraction near 0.9).
SOLID_DENSITY_G_PER_CM3 = 1.08
#: Bone volume fraction at which the relative mobility is 1: mid-range of trabecular bone.
REFERENCE_FRACTION = 0.12
#: Below this bone volume fraction tissue counts as a void and gains no more mobility: the lowest
#: found in biopsies is 0.057 (Kinzl 2011).
VOID_FRACTION = 0.05
#: Mobility of tumour relative to a void: injected at the same rate into a simulated metastasis, the
#: peak pressure was 5.09 kPa without and 1.20 kPa with a void (JOSR 2015;10:20).
TUMOUR_OF_VOID = 1.20 / 5.09
#: Mobility of soft tissue outside a breached cortex, relative to trabecular bone: an assumption.
SOFT_TISSUE_MOBILITY = 1.0
#: Thickness of the impermeable cortex, in voxels of the tissue grid.
CORTEX_VOXELS = 1
#: How far beyond the lesion's centre the needle begins, as a part of its radius: it is withdrawn
#: during injection (Tian 2019), so it begins in the far half; the number is a choice.
TIP_BEYOND_CENTRE_OF_RADIUS = 0.5
#: Radius of the opening of a 13 G needle's deposit from which the front starts, in mm.
TIP_RADIUS_MM = 1.5


def fill_vertebroplasty(
    mesh: BoneMesh, tissue: TissueGrid, lesion: Lesion, path: AccessPath, cement_ml: float
) -> CementFill:
    """Advance the front from the needle tip until the bone holds the asked volume of cement.

    Raises:
        InputError: The front cannot reach as much bone.
    """
    samples = lesion.samples
    if cement_ml == 0.0:
        inside = np.zeros(len(samples.cell), dtype=bool)
        return _fill(lesion, inside, 0.0)
    arrival = arrival_times(mesh, tissue, lesion, path.target_mm)
    index = tissue.index_of(mesh.frame.to_local(samples.points_mm)).T
    field = ndimage.map_coordinates(arrival, index, order=1, mode="nearest")
    field = np.where(field >= _NEVER, np.inf, field)
    level = level_of_volume(samples, field, cement_ml, "fill, vertebroplasty")
    outside = (tissue.tissue != BONE) & (arrival <= level)
    leak_ml = float(outside.sum()) * tissue.step_mm**3 / 1000.0
    return _fill(lesion, field <= level, leak_ml)


def arrival_times(
    mesh: BoneMesh, tissue: TissueGrid, lesion: Lesion, tip_mm: FloatArray
) -> NDArray[np.float64]:
    """When the front arrives at each voxel, relative, shape of the grid; large where never."""
    local = tissue.local_points()
    tip = mesh.frame.to_local(tip_mm[None])[0]
    centre = mesh.frame.to_local(lesion.centre_mm[None])[0]
    in_lesion = np.linalg.norm(local - centre, axis=-1) <= lesion.radius_mm
    speed = mobility(tissue, in_lesion)
    start = np.linalg.norm(local - tip, axis=-1) - TIP_RADIUS_MM
    closed = speed <= 0.0
    if closed[start <= 0.0].all():
        raise InputError(
            f"fill, vertebroplasty: the needle tip at {tip.round(0)} mm (left, posterior, superior "
            "of the S1 endplate) is not in permeable bone; choose another target."
        )
    times = skfmm.travel_time(
        np.ma.MaskedArray(start, closed), np.where(closed, 1.0, speed), dx=tissue.step_mm
    )
    return np.asarray(np.ma.filled(times, 10.0 * _NEVER))


def mobility(tissue: TissueGrid, in_lesion: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Speed of the cement front relative to trabecular bone, shape of the grid."""
    fraction = np.minimum(tissue.density.g_per_cm3 / SOLID_DENSITY_G_PER_CM3, 0.999)
    speed = relative_mobility(np.maximum(fraction, VOID_FRACTION))
    bone = tissue.tissue == BONE
    speed[bone & in_lesion] = TUMOUR_OF_VOID * relative_mobility(VOID_FRACTION)
    cortex = bone & ~ndimage.binary_erosion(bone, iterations=CORTEX_VOXELS)
    speed[cortex & ~in_lesion] = 0.0
    speed[tissue.tissue == SOFT] = SOFT_TISSUE_MOBILITY
    speed[tissue.tissue == OTHER_BONE] = 0.0
    return np.asarray(speed)


def relative_mobility(fraction: FloatArray | float) -> FloatArray:
    """Permeability at a bone volume fraction f, relative to trabecular bone.

    Kozeny-Carman: proportional to ``(1 - f)^3 / f^2`` (Carman 1937).
    """
    f, reference = np.asarray(fraction), REFERENCE_FRACTION
    return np.asarray(((1.0 - f) / (1.0 - reference)) ** 3 * (reference / f) ** 2)


def _fill(lesion: Lesion, inside: NDArray[np.bool_], leak_ml: float) -> CementFill:
    return CementFill(
        technique="vertebroplasty",
        lesion=lesion,
        inside=inside,
        volume_ml=lesion.samples.volume_ml(inside),
        leak_ml=leak_ml,
        interdigitated=True,
        compacted_g_per_cm3=np.zeros(lesion.samples.cells),
    )


_NEVER = 1e9
