"""The tissue grid: the images at its voxels, the mesh's bone, and nothing beyond the images."""

import numpy as np
import pytest

from sacrofem.anatomy.atlas import atlas_of
from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.image.calibration import FALLBACK_LINE, to_density
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.volume import CtVolume, Grid, LabelMap
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.compartments import Compartment
from sacrofem.mesh.tissue_grid import (
    BONE,
    ILIUM_LEFT,
    ILIUM_RIGHT,
    L5_BONE,
    MARGIN_MM,
    SOFT,
    TissueGrid,
    make_tissue_grid,
)

CODES = {BONE: SACRUM, L5_BONE: L5, ILIUM_LEFT: HIP_LEFT, ILIUM_RIGHT: HIP_RIGHT}


@pytest.fixture(scope="module")
def anatomy(phantom_images: tuple[CtVolume, LabelMap]) -> Anatomy:
    return find_anatomy(phantom_images[1])


def made(ct: CtVolume, labels: LabelMap, anatomy: Anatomy) -> TissueGrid:
    return make_tissue_grid(ct, labels, anatomy.surface, atlas_of(anatomy), FALLBACK_LINE)


def test_voxels_hold_what_the_images_show_there(
    phantom_images: tuple[CtVolume, LabelMap], phantom_bone: MeshedBone
) -> None:
    """Protects: no axis is swapped, mirrored or shifted by half a voxel between CT and grid."""
    ct, labels = phantom_images
    tissue, frame = phantom_bone.tissue, phantom_bone.atlas.frame
    rng = np.random.default_rng(4)
    index = np.argwhere(np.ones(ct.grid.shape, dtype=bool))
    index = index[rng.choice(len(index), 40_000, replace=False)]
    local = frame.to_local(ct.grid.to_world(index))
    place = tissue.index_of(local)
    nearest = np.rint(place).astype(int)
    inside = ((nearest >= 1) & (nearest < np.array(tissue.tissue.shape) - 1)).all(axis=1)
    # Points of the images that lie on a voxel of the grid but for a tenth of a millimetre.
    close = inside & (np.abs(place - nearest).max(axis=1) < 0.12)
    assert close.sum() > 100
    i, j, k = index[close].T
    there = tuple(nearest[close].T)
    expected = to_density(ct.hu[i, j, k].astype(float), FALLBACK_LINE).g_per_cm3
    error = np.abs(tissue.density.g_per_cm3[there] - expected)
    assert np.median(error) < 0.004
    for code, number in CODES.items():
        assert ((tissue.tissue[there] == code) == (labels.labels[i, j, k] == number)).mean() > 0.99


def test_volumes_are_those_of_the_labels(
    phantom_images: tuple[CtVolume, LabelMap], phantom_bone: MeshedBone
) -> None:
    """Protects: resampling neither shrinks nor grows the sacrum."""
    tissue, labels = phantom_bone.tissue, phantom_images[1]
    ml = (tissue.tissue == BONE).sum() * tissue.voxel_ml
    assert ml == pytest.approx(labels.mask(SACRUM).sum() * labels.grid.voxel_ml, rel=0.02)


def test_sacrum_box_holds_the_sacrum_and_room_around_it(phantom_bone: MeshedBone) -> None:
    """Protects: what is done in the box alone misses no bone and no cement beside it."""
    tissue = phantom_bone.tissue
    bone = tissue.tissue == BONE
    assert bone[tissue.sacrum_box].sum() == bone.sum()
    for axis, part in enumerate(tissue.sacrum_box):
        rows = np.flatnonzero(bone.any(axis=tuple({0, 1, 2} - {axis})))
        assert part.start == max(rows[0] - 8, 0)
        assert part.stop == min(rows[-1] + 9, bone.shape[axis])


def test_margins_and_coordinates(anatomy: Anatomy, phantom_bone: MeshedBone) -> None:
    """Protects: the room around the bone that paths and leaks need; index and place invert."""
    tissue = phantom_bone.tissue
    local = anatomy.frame.to_local(anatomy.surface.points_mm)
    last = tissue.local_of(np.array(tissue.tissue.shape) - 1.0)
    assert (local.min(axis=0) - tissue.origin_local_mm >= MARGIN_MM[:, 0]).all()
    assert (last - local.max(axis=0) >= MARGIN_MM[:, 1]).all()
    index = np.array([[0.0, 3.5, 7.25]])
    assert tissue.index_of(tissue.local_of(index)) == pytest.approx(index)
    assert tissue.local_points()[3, 4, 5] == pytest.approx(
        tissue.local_of(np.array([3.0, 4.0, 5.0]))
    )


def test_cavities_are_bone_and_islands_are_not(
    phantom_images: tuple[CtVolume, LabelMap], anatomy: Anatomy
) -> None:
    """Protects: grid and mesh agree: a void in the label is bone, a crumb beside it is not."""
    ct, labels = phantom_images
    world = labels.grid.to_world(np.argwhere(labels.labels >= 0))
    local = anatomy.frame.to_local(world).reshape(*labels.grid.shape, 3)
    spoilt = labels.labels.copy()
    ala = anatomy.frame.to_local(anatomy.lateral_mass_mm["left"][None])[0]
    spoilt[np.linalg.norm(local - ala, axis=-1) < 5.0] = 0
    crumb = np.linalg.norm(local - [0.0, -28.0, 10.0], axis=-1) < 4.0
    spoilt[crumb & (spoilt == 0)] = SACRUM
    tissue = made(ct, LabelMap(spoilt, labels.grid), anatomy)
    at = tuple(np.rint(tissue.index_of(ala)).astype(int))
    assert tissue.tissue[at] == BONE
    assert tissue.compartment[at] == Compartment.BONE
    at = tuple(np.rint(tissue.index_of(np.array([0.0, -28.0, 10.0]))).astype(int))
    assert tissue.tissue[at] == SOFT


def test_images_that_end_at_the_bone(
    phantom_images: tuple[CtVolume, LabelMap], anatomy: Anatomy, phantom_bone: MeshedBone
) -> None:
    """Protects: a tight field of view gives the same bone, soft tissue beyond it, and no L5."""
    ct, labels = phantom_images
    inside = np.argwhere(labels.mask(SACRUM))
    low, high = inside.min(axis=0) - 1, inside.max(axis=0) + 2
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    nx, ny, nz = (int(n) for n in high - low)
    grid = Grid(
        (nx, ny, nz),
        labels.grid.spacing_mm,
        labels.grid.to_world(low[None].astype(float))[0],
        labels.grid.direction,
    )
    tight = made(CtVolume(ct.hu[part], grid), LabelMap(labels.labels[part], grid), anatomy)
    assert np.array_equal(phantom_bone.tissue.tissue == BONE, tight.tissue == BONE)
    corner = tight.tissue[:5, :5, -5:]
    assert (corner == SOFT).all()
    assert np.isfinite(tight.density.g_per_cm3).all()
