"""Phantoms for the tests of anatomy: one at 3 mm, one found, and tools to spoil a label map."""

from collections.abc import Callable

import numpy as np
import pytest

from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.image.labels import SACRUM
from sacrofem.image.phantom import PhantomSpec, PhantomTruth, make_phantom, truth
from sacrofem.image.volume import CtVolume, Grid, LabelMap

COARSE = PhantomSpec(voxel_mm=(3.0, 3.0, 3.0), noise_hu=0.0, texture_hu=0.0)


@pytest.fixture(scope="session")
def anatomy(phantom_images: tuple[CtVolume, LabelMap]) -> Anatomy:
    return find_anatomy(phantom_images[1])


@pytest.fixture(scope="session")
def coarse() -> LabelMap:
    """Labels of the default phantom at 3 mm."""
    return make_phantom(COARSE)[1]


@pytest.fixture(scope="session")
def coarse_anatomy(coarse: LabelMap) -> Anatomy:
    return find_anatomy(coarse)


@pytest.fixture(scope="session")
def known() -> PhantomTruth:
    """Where the default phantom has its landmarks."""
    return truth()


@pytest.fixture(scope="session")
def without() -> Callable[..., LabelMap]:
    """Maker of label maps without some labels."""

    def remove(labels: LabelMap, *gone: int) -> LabelMap:
        return LabelMap(np.where(np.isin(labels.labels, gone), 0, labels.labels), labels.grid)

    return remove


@pytest.fixture(scope="session")
def filled() -> Callable[..., LabelMap]:
    """Maker of label maps in which balls about world points are sacrum."""

    def fill(labels: LabelMap, centres_mm: np.ndarray, radius_mm: float) -> LabelMap:
        values = labels.labels.copy()
        index = np.argwhere(values >= 0)
        world = labels.grid.to_world(index)
        for centre in np.atleast_2d(centres_mm):
            near = index[np.linalg.norm(world - centre, axis=1) < radius_mm]
            values[tuple(near.T)] = SACRUM
        return LabelMap(values, labels.grid)

    return fill


@pytest.fixture(scope="session")
def cropped() -> Callable[..., LabelMap]:
    """Maker of label maps cut off below and above a world height."""

    def crop(labels: LabelMap, low_mm: float = -1e9, high_mm: float = 1e9) -> LabelMap:
        z = labels.grid.origin_mm[2] + labels.grid.spacing_mm[2] * np.arange(labels.grid.shape[2])
        keep = np.flatnonzero((z >= low_mm) & (z <= high_mm))
        values = labels.labels[:, :, keep]
        origin = labels.grid.origin_mm + np.array([0.0, 0.0, z[keep[0]] - z[0]])
        nx, ny, nz = values.shape
        grid = Grid((nx, ny, nz), labels.grid.spacing_mm, origin, labels.grid.direction)
        return LabelMap(values, grid)

    return crop
