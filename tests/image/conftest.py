"""A pelvis of boxes whose every voxel is known, and its picture with other array axes."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.volume import CtVolume, Grid, LabelMap

Order = tuple[tuple[int, ...], tuple[int, ...]]
#: Orders and flips of array axes: all flips, and some exchanges.
ORDERS = [((0, 1, 2), f) for n in range(4) for f in itertools.combinations(range(3), n)]
ORDERS += [((2, 0, 1), (0,)), ((1, 0, 2), ()), ((0, 2, 1), (1, 2))]


@pytest.fixture
def pelvis() -> tuple[CtVolume, LabelMap]:
    """Boxes where the bones are, in a body of fat; no two voxels of the CT alike."""
    grid = Grid((20, 14, 16), (6.0, 7.0, 8.0), np.array([-57.0, -40.0, -60.0]), np.eye(3))
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[8:12, 8:12, 3:9] = SACRUM
    labels[8:12, 6:10, 10:13] = L5
    labels[14:18, 3:9, 2:9] = HIP_LEFT
    labels[2:6, 3:9, 2:9] = HIP_RIGHT
    hu = np.linspace(-190.0, 190.0, labels.size).astype(np.float32).reshape(grid.shape)
    return CtVolume(hu, grid), LabelMap(labels, grid)


def _stored(ct: CtVolume, axes: tuple[int, ...], flips: tuple[int, ...]) -> CtVolume:
    """The same picture with its array's axes exchanged and flipped."""
    last = np.array(ct.grid.shape) - 1
    corner = np.where(np.isin(np.arange(3), flips), last, 0)
    sign = np.where(np.isin(np.arange(3), flips), -1.0, 1.0)
    grid = Grid(
        tuple(ct.grid.shape[a] for a in axes),
        tuple(ct.grid.spacing_mm[a] for a in axes),
        ct.grid.to_world(corner[None].astype(float))[0],
        (ct.grid.direction * sign)[:, axes],
    )
    return CtVolume(np.flip(ct.hu, flips).transpose(axes), grid)


@pytest.fixture
def stored() -> Callable[[CtVolume, tuple[int, ...], tuple[int, ...]], CtVolume]:
    """Exchanges and flips the axes of the array; see :func:`_stored`."""
    return _stored


@pytest.fixture
def orders() -> list[Order]:
    """Orders and flips of array axes."""
    return ORDERS
