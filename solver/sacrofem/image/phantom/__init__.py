"""A phantom CT: a pelvis made of implicit shapes, scanned at any voxel size, with its labels.

The phantom is for tests, demonstrations and studies that need a known truth. Sizes and densities
come from the literature; it is nobody's pelvis.
"""

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.phantom import raster, tissue
from sacrofem.image.phantom.damage import damage
from sacrofem.image.phantom.form import form_of
from sacrofem.image.phantom.grid import phantom_grid
from sacrofem.image.phantom.spec import DEFAULT, PhantomSpec, random_spec
from sacrofem.image.phantom.truth import PhantomTruth, sacrum_volume_ml, truth
from sacrofem.image.volume import CtVolume, LabelMap


def phantom_labels(spec: PhantomSpec = DEFAULT) -> LabelMap:
    """The labels of ``make_phantom(spec)`` without its CT, in a tenth of the time."""
    grid = phantom_grid(spec)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    for bone in raster.bones(form_of(spec), tissue.age_of(spec)):
        raster.paint_label(bone, grid, labels)
    return LabelMap(damage(labels, spec), grid)


def make_phantom(spec: PhantomSpec = DEFAULT) -> tuple[CtVolume, LabelMap]:
    """CT and labels of the phantom (25 sacrum, 27 L5, 75 and 76 femora, 77 and 78 hips)."""
    grid, form, age = phantom_grid(spec), form_of(spec), tissue.age_of(spec)
    hu: NDArray[np.float32] = np.empty(grid.shape, dtype=np.float32)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    raster.paint_body(grid, hu, form)
    scanner = raster.Scanner(age, tissue.texture(spec.seed, spec.texture_hu))
    for bone in raster.bones(form, age):
        raster.paint(bone, grid, hu, labels, scanner)
    hu = tissue.scan(hu, spec.voxel_mm, spec.blur_mm, spec.noise_hu, spec.seed)
    return CtVolume(hu, grid), LabelMap(damage(labels, spec), grid)


__all__ = [
    "PhantomSpec",
    "PhantomTruth",
    "make_phantom",
    "phantom_grid",
    "phantom_labels",
    "random_spec",
    "sacrum_volume_ml",
    "truth",
]
