"""Hounsfield units: what bone, marrow and soft tissue look like to a scanner.

Marrow densities follow the zones of the sacrum: S1 body above ala (Zheng 2000), S2 below S1 and
a fatty void in the ala of the elderly (Rommens and Wagner); values in HU at clinical energies.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.phantom import pelvis, sacrum
from sacrofem.image.phantom.curve import along_and_behind
from sacrofem.image.phantom.shapes import Array, Profile, ellipsoid

AIR_HU, FAT_HU, SOFT_HU, DISC_HU, CANAL_HU = -1000.0, -100.0, 42.0, 90.0, 25.0
CORTEX_HU, CORTEX_MM = 1200.0, 1.1
SKIN_YZ_CENTRE, SKIN_HALF_XY = -14.0, (178.0, 112.0)  # body ellipse in the axial plane, mm
FAT_MM = 20.0

BODY_HU = Profile((0, 195), (25, 185), (45, 150), (75, 120), (107, 100))
ALA_HU, VOID_HU = 120.0, -45.0
VOID_SXT, VOID_HALF = (15.0, 36.0, 30.0), (9.0, 8.0, 9.0)
HIP_HU, LUMBAR_HU = 170.0, 150.0
ENDPLATE_HU = 260.0  # added under the S1 endplate, fading within 3 mm
SCAR_HU = 110.0  # added at the fused discs S1|S2 to S4|S5
FUSED_DISCS_MM = (30.0, 54.0, 73.0, 90.0)

TEXTURE_CELL_MM = 2.0
TEXTURE_BOX = np.array([[-160.0, -110.0, -170.0], [160.0, 90.0, 80.0]])


def soft_tissue(x: Array, y: Array, z: Array, voxel_mm: float) -> Array:
    """HU of the body without bones; edges are shared out over one voxel."""
    u, v = x / SKIN_HALF_XY[0], (y - SKIN_YZ_CENTRE) / SKIN_HALF_XY[1]
    level = np.hypot(u, v)
    slope = np.hypot(u / SKIN_HALF_XY[0], v / SKIN_HALF_XY[1]) / np.maximum(level, 1e-6)
    depth = (1.0 - level) / np.maximum(slope, 1e-6)
    hu = AIR_HU + (FAT_HU - AIR_HU) * _share(-depth, voxel_mm)
    hu = hu + (SOFT_HU - FAT_HU) * _share(FAT_MM - depth, voxel_mm)
    return np.broadcast_to(hu, np.broadcast_shapes(x.shape, y.shape, z.shape)).copy()


def _share(distance: Array, voxel_mm: float) -> Array:
    """Share of a voxel inside a flat surface at the given distance from its centre."""
    return np.clip(0.5 - distance / voxel_mm, 0.0, 1.0)


def add_canal_and_disc(hu: Array, x: Array, y: Array, z: Array, voxel_mm: float) -> Array:
    """HU with the disc L5-S1 and the contents of canal and foramina put in."""
    side = np.abs(x)
    s, t = along_and_behind(y, z)
    share = _share(pelvis.disc(side, y, z), voxel_mm)
    hu = hu + share * (DISC_HU - hu)
    hollow = np.maximum(sacrum.passages(side, y, z, s, t), s - 100.0)
    return hu + _share(hollow, voxel_mm) * (CANAL_HU - hu)


def sacral_marrow(x: Array, y: Array, z: Array) -> Array:
    """HU of the spongiosa of the sacrum, without texture."""
    side = np.abs(x)
    s, t = along_and_behind(y, z)
    central = 1.0 / (1.0 + np.exp((side - sacrum.BODY_HALF_WIDTH(s)) / 3.0))
    column = BODY_HU(s)
    ala = ALA_HU - 0.35 * np.maximum(s - 30.0, 0.0)
    hu = ala + central * (column - ala)
    void = ellipsoid(s, side, t, VOID_SXT, VOID_HALF)
    hu = hu + (VOID_HU - hu) / (1.0 + np.exp(np.clip(void / 1.5, -30, 30)))
    hu = hu + central * ENDPLATE_HU * np.exp(-((s / 2.5) ** 2))
    for disc_mm in FUSED_DISCS_MM:
        hu = hu + central * SCAR_HU * np.exp(-(((s - disc_mm) / 1.5) ** 2))
    return hu


def texture(seed: int, sd_hu: float) -> NDArray[np.float32]:
    """Trabecular texture: a seeded random field on a lattice fixed in the world, SD ``sd_hu``."""
    shape = tuple(((TEXTURE_BOX[1] - TEXTURE_BOX[0]) / TEXTURE_CELL_MM).astype(int) + 1)
    field = np.random.default_rng([seed, 1]).standard_normal(shape, dtype=np.float32)
    field = ndimage.gaussian_filter(field, 0.9)
    return np.asarray(field * (sd_hu / field.std()), dtype=np.float32)


def texture_at(field: NDArray[np.float32], x: Array, y: Array, z: Array) -> Array:
    """The texture at points in mm, all coordinates of one shape (n,)."""
    index = (np.stack([x, y, z]) - TEXTURE_BOX[0][:, None]) / TEXTURE_CELL_MM
    return ndimage.map_coordinates(field, index, order=1, mode="nearest").astype(np.float64)


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
