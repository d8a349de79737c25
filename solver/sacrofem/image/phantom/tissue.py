"""Hounsfield units: what bone, marrow and soft tissue look like to a scanner.

Marrow densities follow the zones of the sacrum: S1 body above ala (Zheng 2000), S2 below S1 and
a fatty void in the ala of the elderly (Rommens and Wagner); values in HU at clinical energies.
Written down for a woman of 70; :class:`Age` says what another age and sex change.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.calibration import FALLBACK_LINE
from sacrofem.image.phantom import lumbar, sacrum
from sacrofem.image.phantom.curve import along_and_behind
from sacrofem.image.phantom.form import Form
from sacrofem.image.phantom.shapes import Array, Profile, ellipsoid
from sacrofem.image.phantom.spec import PhantomSpec

AIR_HU, FAT_HU, SOFT_HU, DISC_HU, CANAL_HU = -1000.0, -100.0, 42.0, 90.0, 25.0
CORTEX_HU, CORTEX_MM = 1200.0, 1.1
REMNANT_HU, REMNANT_MM = 70.0, 2.8  # dysmorphic disc S1|S2: HU, half height
SKIN_Y_CENTRE, SKIN_HALF_XY = -14.0, (178.0, 112.0)  # body ellipse in the axial plane, mm
FAT_MM = 20.0

BODY_HU = Profile((0, 195), (25, 185), (45, 150), (75, 120), (107, 100))
ALA_HU, VOID_HU = 120.0, -45.0
VOID_SXT, VOID_HALF = (15.0, 36.0, 30.0), (9.0, 8.0, 9.0)
HIP_HU, LUMBAR_HU, FEMUR_HU = 170.0, 150.0, 180.0
ENDPLATE_HU = 260.0  # added under the S1 endplate, fading within 3 mm
SCAR_HU = 110.0  # added at the fused discs S1|S2 to S4|S5
FUSED_DISCS_MM = (30.0, 54.0, 73.0, 90.0)

# Loss in mg/cm3 a year of spongiosa and cortex (54 sacra, 10.1002/jor.25329).
LOSS = {"female": (1.6, 2.1), "male": (0.7, 0.9)}
YOUNG, AS_WRITTEN = 30.0, 70.0  # years; alike in both sexes at the first: a choice
CORTEX_MM_PER_MG = 0.005  # the cortex thins with the density: a choice
VOIDLESS_MG = 40.0  # no fatty void in bone denser by this than at 70, a choice

TEXTURE_CELL_MM = 2.0
TEXTURE_BOX = np.array([[-160.0, -110.0, -170.0], [160.0, 90.0, 80.0]])


@dataclass(frozen=True)
class Age:
    """How a person's bone differs from that of a woman of 70.

    Attributes:
        marrow_hu: Added to the HU of the spongiosa.
        cortex_hu: Added to the HU of the cortex.
        cortex_mm: Thickness of the cortex.
        void: Size of the fatty voids of the alae, 1 at 70 in women, 0 for none.
    """

    marrow_hu: float
    cortex_hu: float
    cortex_mm: float
    void: float


def age_of(spec: PhantomSpec) -> Age:
    """Density by age and sex: constant loss of mg/cm3 a year (10.1002/jor.25329)."""
    years = spec.age_years - YOUNG
    spongy, cortical = (
        woman * (AS_WRITTEN - YOUNG) - loss * years
        for woman, loss in zip(LOSS["female"], LOSS[spec.sex], strict=True)
    )
    per_mg = 1.0 / FALLBACK_LINE.slope_mg_per_cm3_per_HU
    return Age(
        marrow_hu=spongy * per_mg,
        cortex_hu=cortical * per_mg,
        cortex_mm=CORTEX_MM + CORTEX_MM_PER_MG * spongy,
        void=float(np.clip(1.0 - spongy / VOIDLESS_MG, 0.0, 1.4)),
    )


def soft_tissue(x: Array, y: Array, z: Array, voxel_mm: float, form: Form) -> NDArray[np.float32]:
    """HU of the body without bones; edges are shared out over one voxel."""
    x, y, _ = form.drawn(x, y, z)
    u, v = x / SKIN_HALF_XY[0], (y - SKIN_Y_CENTRE) / SKIN_HALF_XY[1]
    level = np.hypot(u, v)
    slope = np.hypot(u / SKIN_HALF_XY[0], v / SKIN_HALF_XY[1]) / np.maximum(level, 1e-6)
    depth = form.scale * (1.0 - level) / np.maximum(slope, 1e-6)
    hu = AIR_HU + (FAT_HU - AIR_HU) * share(-depth, voxel_mm)
    return (hu + (SOFT_HU - FAT_HU) * share(FAT_MM - depth, voxel_mm)).astype(np.float32)


def share(distance: Array, voxel_mm: float) -> Array:
    """Share of a voxel inside a flat surface at the given distance from its centre."""
    return np.clip(0.5 - distance / voxel_mm, 0.0, 1.0)


def disc(x: Array, y: Array, z: Array, form: Form) -> Array:
    """Distance in mm to the disc L5-S1 at world points in mm."""
    x, y, z = form.drawn(x, y, z)
    return form.scale * lumbar.disc(x, y, z, form)


def hollow(x: Array, y: Array, z: Array, form: Form) -> Array:
    """Distance in mm to canal and foramina at world points in mm."""
    x, y, z = form.drawn(x, y, z)
    s, t = along_and_behind(y, z)
    return form.scale * np.maximum(sacrum.passages(np.abs(x), y, z, s, t, form), s - 100.0)


def sacral_marrow(x: Array, y: Array, z: Array, form: Form, age: Age) -> Array:
    """HU of the spongiosa of the sacrum at drawn points in mm, without texture."""
    side = np.abs(x)
    s, t = along_and_behind(y, z)
    central = 1.0 / (1.0 + np.exp((side - sacrum.body_half_width(s, form)) / 3.0))
    column = BODY_HU(s)
    ala = ALA_HU - 0.35 * np.maximum(s - 30.0, 0.0)
    hu = ala + central * (column - ala) + age.marrow_hu
    if age.void > 0.0:
        half = (age.void * VOID_HALF[0], age.void * VOID_HALF[1], age.void * VOID_HALF[2])
        void = ellipsoid(s, side, t, VOID_SXT, half)
        hu = hu + (VOID_HU - hu) / (1.0 + np.exp(np.clip(void / 1.5, -30, 30)))
    hu = hu + central * ENDPLATE_HU * np.exp(-((s / 2.5) ** 2))
    for disc_mm in FUSED_DISCS_MM:
        hu = hu + central * SCAR_HU * np.exp(-(((s - disc_mm) / 1.5) ** 2))
    return hu if form.dysmorphism == 0.0 else _with_remnant(hu, side, s, t, form)


def _with_remnant(hu: Array, side: Array, s: Array, t: Array, form: Form) -> Array:
    """The marrow with a remnant of the disc S1|S2 between two endplates."""
    half_mm = REMNANT_MM * form.dysmorphism
    depth = 0.5 * sacrum.BODY_DEPTH(s)
    inside = np.hypot(side / (0.8 * sacrum.body_half_width(s, form)), (t - depth) / (0.8 * depth))
    within = 1.0 / (1.0 + np.exp(np.clip((inside - 1.0) / 0.05, -30, 30)))
    off = np.abs(s - FUSED_DISCS_MM[0]) - half_mm
    plate = SCAR_HU * np.exp(-((off / 1.2) ** 2))
    remnant = 1.0 / (1.0 + np.exp(np.clip(off / 0.4, -30, 30)))
    return hu + within * (plate + remnant * (REMNANT_HU - hu - plate))


def texture(seed: int, sd_hu: float) -> NDArray[np.float32]:
    """Trabecular texture: a seeded random field on a lattice fixed in the world, SD ``sd_hu``."""
    shape = tuple(((TEXTURE_BOX[1] - TEXTURE_BOX[0]) / TEXTURE_CELL_MM).astype(int) + 1)
    field = np.random.default_rng([seed, 1]).standard_normal(shape, dtype=np.float32)
    field = ndimage.gaussian_filter(field, 0.9)
    return np.asarray(field * (sd_hu / field.std()), dtype=np.float32)


def texture_at(field: NDArray[np.float32], x: Array, y: Array, z: Array) -> Array:
    """The texture at points in mm, all of one shape (n,); it repeats
    beyond its box."""
    index = (np.stack([x, y, z]) - TEXTURE_BOX[0][:, None]) / TEXTURE_CELL_MM
    return ndimage.map_coordinates(field, index, order=1, mode="grid-wrap").astype(np.float64)


def scan(
    hu: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    blur_mm: float,
    noise_hu: float,
    seed: int,
) -> NDArray[np.float32]:
    """What the scanner makes of true HU: point spread, noise correlated over a voxel, whole HU."""
    sigma = blur_mm / np.asarray(spacing_mm)
    hu = ndimage.gaussian_filter(hu, sigma, mode="nearest")
    if noise_hu > 0.0:
        noise = np.random.default_rng([seed, 2]).standard_normal(hu.shape, dtype=np.float32)
        noise = ndimage.gaussian_filter(noise, 0.6)
        hu = hu + noise * (noise_hu / noise.std())
    return np.rint(np.clip(hu, -1024.0, 3071.0)).astype(np.float32)
