"""Faults of a segmentation: cavities, loose specks and rough surfaces in a label map."""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.phantom.spec import PhantomSpec

Labels = NDArray[np.uint8]
CROSS = ndimage.generate_binary_structure(3, 1)
HOLE_VOXELS, ISLAND_VOXELS = (1.0, 3.0), (1.0, 2.0)  # radii
APART = 4  # voxels between a speck and a bone


def damage(labels: Labels, spec: PhantomSpec) -> Labels:
    """A copy of labels with the faults that the spec asks for, the same for the same seed."""
    rng = np.random.default_rng([spec.seed, 4])
    faulty = labels.copy()
    if spec.label_roughness > 0.0:
        roughen(faulty, spec.label_roughness, rng)
    if spec.label_holes > 0:
        inside = ndimage.binary_erosion(labels > 0, CROSS, iterations=2)
        for centre in _some(inside, spec.label_holes, rng):
            faulty[_ball(labels.shape, centre, rng.uniform(*HOLE_VOXELS))] = 0
    if spec.label_islands > 0:
        outside = ~ndimage.binary_dilation(labels > 0, CROSS, iterations=APART)
        for centre in _some(outside, spec.label_islands, rng):
            value = rng.choice(np.unique(labels)[1:])
            faulty[_ball(labels.shape, centre, rng.uniform(*ISLAND_VOXELS))] = value
    return faulty


def roughen(labels: Labels, sd_voxels: float, rng: np.random.Generator) -> None:
    """Shift each bone's surface by normal random amounts, by one voxel at most, in place.

    The voxels on both sides of a surface lie half a voxel off it: those that a shift of more than
    that passes change sides. Shifts of neighbours are correlated, as those of a real outline are.
    """
    shift = ndimage.gaussian_filter(rng.standard_normal(labels.shape, dtype=np.float32), 0.7)
    shift *= sd_voxels / shift.std()
    bone = labels > 0
    # Only free voxels are gained: bones do not grow into each other.
    gained = ndimage.binary_dilation(bone, CROSS) & ~bone & (shift > 0.5)
    lost = bone & ~ndimage.binary_erosion(bone, CROSS) & (shift < -0.5)
    neighbours = ndimage.grey_dilation(labels, footprint=CROSS)
    labels[gained] = neighbours[gained]
    labels[lost] = 0


def _some(mask: NDArray[np.bool_], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices (count, 3) of random voxels of a mask."""
    return np.stack(np.unravel_index(rng.choice(np.flatnonzero(mask), count), mask.shape), axis=1)


def _ball(
    shape: tuple[int, ...], centre: NDArray[np.intp], radius: float
) -> tuple[NDArray[np.intp], ...]:
    """Indices of the voxels within a radius in voxels of a centre, within the image."""
    steps = np.array(list(product(range(-int(radius), int(radius) + 1), repeat=3)))
    index = centre + steps[(steps**2).sum(axis=1) <= radius**2]
    inside = np.all((index >= 0) & (index < shape), axis=1)
    return tuple(index[inside].T)
