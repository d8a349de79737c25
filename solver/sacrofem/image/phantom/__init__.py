"""A phantom CT: a pelvis made of implicit shapes, scanned at any voxel size, with its labels.

The phantom is for tests, demonstrations and studies that need a known truth. Sizes and densities
come from the literature; it is nobody's pelvis.
"""

from dataclasses import dataclass

import numpy as np

from sacrofem.image.phantom import raster, tissue
from sacrofem.image.volume import CtVolume, Grid, LabelMap

# What the scan covers, in mm: the pelvis from above L5 to the ischia.
FIELD_MM = np.array([[-156.0, -120.0, -156.0], [156.0, 104.0, 64.0]])


@dataclass(frozen=True)
class PhantomSpec:
    """What is scanned and how.

    Attributes:
        voxel_mm: Voxel size along x, y, z.
        seed: Seed of trabecular texture and scanner noise; the anatomy does not depend on it.
        noise_hu: Standard deviation of the scanner's noise.
        blur_mm: Standard deviation of the scanner's point spread.
        texture_hu: Standard deviation of the trabecular texture.
    """

    voxel_mm: tuple[float, float, float] = (1.5, 1.5, 1.5)
    seed: int = 1
    noise_hu: float = 12.0
    blur_mm: float = 0.8
    texture_hu: float = 25.0


def phantom_grid(voxel_mm: tuple[float, float, float]) -> Grid:
    """The grid of a scan: axis-aligned LPS, symmetric about the midline x = 0."""
    spacing = np.asarray(voxel_mm, dtype=np.float64)
    shape = np.ceil((FIELD_MM[1] - FIELD_MM[0]) / spacing).astype(int) + 1
    origin = FIELD_MM[0].copy()
    origin[0] = -0.5 * (shape[0] - 1) * spacing[0]
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), voxel_mm, origin, np.eye(3))


def make_phantom(spec: PhantomSpec = PhantomSpec()) -> tuple[CtVolume, LabelMap]:
    """CT and labels of the phantom (25 sacrum, 27 L5, 77 and 78 hips)."""
    grid = phantom_grid(spec.voxel_mm)
    x, y, z = raster.axes(grid)
    edge_mm = float(np.mean(spec.voxel_mm))
    hu = tissue.soft_tissue(x, y, z, edge_mm).astype(np.float32)
    raster.paint_soft_parts(grid, hu, edge_mm)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    field = tissue.texture(spec.seed, spec.texture_hu)
    for bone in raster.bones():
        raster.paint(bone, grid, hu, labels, field)
    hu = tissue.scan(hu, spec.voxel_mm, spec.blur_mm, spec.noise_hu, spec.seed)
    return CtVolume(hu, grid), LabelMap(labels, grid)


__all__ = ["PhantomSpec", "make_phantom", "phantom_grid"]
