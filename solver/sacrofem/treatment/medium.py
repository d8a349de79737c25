"""What cement flows through: the pores of each voxel and how easily it moves in them.

Permeability follows the solid part of a voxel by Kozeny-Carman (Carman 1937), anchored at the
measured permeability of vertebral trabecular bone (Baroud 2004). Bone, tumour, compacted bone and
the cortex differ in nothing but their solid part, with two exceptions: the outermost voxel of the
sacrum is its cortex and lets nothing pass, unless a lesion or a fracture has opened it, and soft
tumour is pushed aside by cement, so that cement can take all of its place.

The permeability is isotropic; Baroud's two directions differ by 22 %, their scatter is 39 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.tissue_grid import BONE, SOFT
from sacrofem.treatment.breach import REACH_MM
from sacrofem.treatment.lesion import BLASTIC_G_PER_CM3, Fracture, Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Viscosity
from sacrofem.treatment.sites import lesion_voxels

Box = tuple[slice, slice, slice]

#: Mineral density of solid bone, K2HPO4 equivalent: turns density into solid fraction (cortical
#: bone about 1200 HU, i.e. 0.97 g/cm3 on the fallback line, at a fraction near 0.9).
SOLID_G_PER_CM3 = 1.08
#: Permeability of trabecular bone in m2, mean of one longitudinal and two transverse directions:
#: 4.45e-8 superior-inferior, 3.44e-8 anterior-posterior (Baroud 2004).
TRABECULAR_M2 = (4.45e-8 + 2.0 * 3.44e-8) / 3.0
#: Solid fraction of that bone: mid-range of trabecular bone (a choice; the paper's abstract has
#: none).
TRABECULAR_FRACTION = 0.12
#: Below this solid fraction tissue counts as a void and gains no more permeability: the lowest
#: found in biopsies is 0.057 (Kinzl 2011).
VOID_FRACTION = 0.05
#: The densest bone keeps its Haversian pores, 5 % (a choice): no voxel is without any pore.
SOLIDEST_FRACTION = 0.95
#: Solid fraction of soft tumour: that whose permeability is 1.20 / 5.09 of a void's. Injected at
#: the same rate into a simulated metastasis, the peak pressure was 5.09 kPa without and 1.20 kPa
#: with a void in it (JOSR 2015;10:20).
TUMOUR_FRACTION = 0.0956
#: Permeability of an empty cavity in m2: a tube of 5 mm radius, r^2 / 8 (Poiseuille), half the
#: radius of a cavity of 4 ml. So wide that the pressure in it is even.
CAVITY_M2 = 5e-3**2 / 8.0
#: Soft tissue outside a destroyed cortex lets cement pass like a void in bone: nothing solid is in
#: its way, it only has to push the tissue aside. An assumption: nobody has measured it.
SOFT_FRACTION = VOID_FRACTION
#: Viscosity at delivery in Pa s: about 100 to 1000 (from memory, no source seen); the middle one is
#: their geometric mean.
VISCOSITY_PA_S: dict[Viscosity, float] = {"low": 100.0, "medium": 316.0, "high": 1000.0}
#: Pores of a voxel at the border of the box, in voxels: cement that comes so far has left what is
#: looked at. It finds room without end there and stays counted.
BEYOND = 1e9
#: From m2 / (Pa s) to mm2 / (kPa s).
_MM2_PER_KPA = 1e9


@dataclass(frozen=True, eq=False)
class Medium:
    """The part of the tissue grid that cement can flow in.

    Attributes:
        box: Where it lies on the tissue grid.
        step_mm: Voxel size.
        pore: Part of each voxel that cement can fill, shape (nx, ny, nz) of the box.
        mobility_mm2_per_kPa_s: Permeability over viscosity, same shape; 0 where no cement passes.
    """

    box: Box
    step_mm: float
    pore: FloatArray
    mobility_mm2_per_kPa_s: FloatArray

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return self.step_mm**3 / 1000.0

    @cached_property
    def rooms(self) -> NDArray[np.int32]:
        """Number of the connected open region of each voxel, 0 where it is closed."""
        number, _ = ndimage.label(self.mobility_mm2_per_kPa_s > 0.0)
        return np.asarray(number, dtype=np.int32)

    @cached_property
    def room_ml(self) -> FloatArray:
        """Pores of each connected open region, by its number; that of the closed voxels is 0."""
        pores = np.bincount(self.rooms.ravel(), weights=self.pore.ravel()) * self.voxel_ml
        pores[0] = 0.0
        return np.asarray(pores)


def medium_of(
    field: OperatingField,
    lesions: Sequence[Lesion],
    viscosity: Viscosity,
    *,
    cavity: NDArray[np.bool_] | None = None,
    added_g_per_cm3: FloatArray | None = None,
    occupied: NDArray[np.bool_] | None = None,
) -> Medium:
    """The medium of a bone with its lesions.

    Args:
        field: The bone.
        lesions: Its lesions, those that are not treated as well.
        viscosity: Class of the cement.
        cavity: Voxels of an empty cavity, shape of the tissue grid.
        added_g_per_cm3: Density that compaction added to each voxel, same shape.
        occupied: Voxels of earlier cement, hard by now, same shape.
    """
    box = field.tissue.sacrum_box
    tissue = field.tissue.tissue[box]
    bone, soft = tissue == BONE, tissue == SOFT
    solid, pushed_aside, closed = _tissue(field, lesions, bone)
    added = np.zeros(bone.shape)
    if added_g_per_cm3 is not None:
        added = added_g_per_cm3[box] / SOLID_G_PER_CM3
    total = np.minimum(solid + added, SOLIDEST_FRACTION)
    # Soft tissue gives way to cement, bone and what is compacted do not.
    pore = 1.0 - np.where(pushed_aside, np.minimum(added, SOLIDEST_FRACTION), total)
    permeability = permeability_m2(total)
    if cavity is not None:
        hollow = cavity[box]
        pore[hollow], permeability[hollow], closed[hollow] = 1.0, CAVITY_M2, False
    closed |= ~(bone | soft)
    if occupied is not None:
        closed |= occupied[box]
    permeability[closed] = 0.0
    pore[soft & _border(bone.shape)] = BEYOND
    mobility = permeability * (_MM2_PER_KPA / VISCOSITY_PA_S[viscosity])
    return Medium(box, field.tissue.step_mm, pore, mobility)


def permeability_m2(solid: FloatArray | float) -> FloatArray:
    """Permeability at a solid fraction f, proportional to ``(1 - f)^3 / f^2``.

    Kozeny-Carman (Carman 1937), anchored at trabecular bone (Baroud 2004).
    """
    f = np.asarray(solid)
    carman = (1.0 - f) ** 3 / (f * f)
    anchor = (1.0 - TRABECULAR_FRACTION) ** 3 / TRABECULAR_FRACTION**2
    return np.asarray(TRABECULAR_M2 / anchor * carman)


def solid_fraction_of(permeability: float) -> float:
    """Solid fraction of a permeability in m2, the inverse of :func:`permeability_m2`.

    It stays between a void and the densest bone.
    """
    lowest, highest = permeability_m2(SOLIDEST_FRACTION), permeability_m2(VOID_FRACTION)
    inside = float(np.clip(permeability, lowest, highest))
    found = optimize.brentq(
        lambda f: float(permeability_m2(f)) - inside, VOID_FRACTION, SOLIDEST_FRACTION
    )
    return float(found)


def cortex_of(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a bone that share a face with what is not bone."""
    inner = bone.copy()
    for axis in range(3):
        first, last = [slice(None)] * 3, [slice(None)] * 3
        first[axis], last[axis] = slice(1, None), slice(None, -1)
        inner[tuple(first)] &= bone[tuple(last)]
        inner[tuple(last)] &= bone[tuple(first)]
    return np.asarray(bone & ~inner)


def _tissue(
    field: OperatingField, lesions: Sequence[Lesion], bone: NDArray[np.bool_]
) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
    """Solid fraction, what cement pushes aside, and the cortex that is left, in the box."""
    box = field.tissue.sacrum_box
    density = field.tissue.density.g_per_cm3[box]
    solid = np.clip(density / SOLID_G_PER_CM3, VOID_FRACTION, SOLIDEST_FRACTION)
    solid[~bone] = SOFT_FRACTION
    pushed_aside, closed = ~bone, cortex_of(bone)
    for lesion in lesions:
        here, opened = lesion.voxels[box] & bone, lesion.open_voxels[box]
        blastic = here & lesion_voxels(field, lesion.blastic)[box]
        solid[blastic] = np.maximum(solid[blastic], BLASTIC_G_PER_CM3 / SOLID_G_PER_CM3)
        # A cortex that is gone has soft tumour in its place, through all of its thickness.
        soft = (here & ~blastic) | opened | (_breached(here, opened, field.tissue.step_mm) & bone)
        solid[soft] = TUMOUR_FRACTION
        pushed_aside |= soft
        closed &= ~opened
        if lesion.fracture is not None:
            gap = _gap_voxels(field, lesion.fracture)[box]
            solid[gap] = np.minimum(solid[gap], _gap_fraction(field, lesion.fracture))
            closed &= ~gap
    return solid, pushed_aside, closed


def _breached(
    lesion: NDArray[np.bool_], opened: NDArray[np.bool_], step_mm: float
) -> NDArray[np.bool_]:
    """What lies between a lesion and the openings in the bone's surface, in the box.

    A cortex is thicker than the voxels of its surface: the way from the lesion through a place to
    an opening is hardly longer than the longest that a breach goes.
    """
    between = np.zeros(lesion.shape, dtype=bool)
    if opened.any() and lesion.any():
        cut = ndimage.find_objects((lesion | opened).astype(np.uint8))[0]
        way = ndimage.distance_transform_edt(~lesion[cut])
        way += ndimage.distance_transform_edt(~opened[cut])
        between[cut] = way * step_mm <= REACH_MM + step_mm
    return between


def _gap_fraction(field: OperatingField, fracture: Fracture) -> float:
    """Solid fraction of voxels with a gap: its permeability is that of the gap between plates.

    The cubic law, ``gap^3 / (12 step)`` on average over a voxel (Witherspoon 1980). As a solid
    fraction it lets compaction close the gap.
    """
    gap_m, step_m = fracture.gap_mm / 1000.0, field.tissue.step_mm / 1000.0
    return solid_fraction_of(gap_m**3 / (12.0 * step_m))


def _gap_voxels(field: OperatingField, fracture: Fracture) -> NDArray[np.bool_]:
    gap = np.zeros(field.tissue.tissue.shape, dtype=bool)
    i, j, k = (axis[fracture.layer] for axis in field.voxel)
    gap[i, j, k] = True
    return gap


def _border(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    border = np.ones(shape, dtype=bool)
    border[1:-1, 1:-1, 1:-1] = False
    return border
