"""Compartments: exact in a block whose passages are known, right and mirrored in the phantom."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from sacrofem.anatomy.atlas import Atlas, atlas_of
from sacrofem.anatomy.foramina import LEVELS, SIDES
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.image.calibration import FALLBACK_LINE
from sacrofem.image.files import read_ct, read_labels
from sacrofem.image.phantom import truth
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.compartments import FORAMINA, PASSAGES, Compartment, find_compartments
from sacrofem.mesh.tissue_grid import (
    BONE,
    ILIUM_LEFT,
    ILIUM_RIGHT,
    L5_BONE,
    SOFT,
    TissueGrid,
    make_tissue_grid,
)

#: Half width, half depth and height of the block, in mm, as the atlas of the fixture has it.
WIDE, DEEP, HIGH = 30, 15, 40
#: Half width and half depth of its canal, half width of its tunnels, in mm.
CANAL, TUNNEL = (4, 3), 1
#: Space between block and ilium, and between block and L5, in mm.
CLEFT, DISC = 3, 6
AXES = (np.arange(-50.0, 51.0), np.arange(-30.0, 31.0), np.arange(-50.0, 21.0))


class Block:
    """A block with a canal, eight tunnels, ilia and L5: tissue, and what each voxel is."""

    def __init__(self, atlas: Atlas) -> None:
        x, y, z = np.meshgrid(*AXES, indexing="ij")
        self.atlas = atlas
        solid = (np.abs(x) <= WIDE) & (np.abs(y) <= DEEP) & (z <= 0) & (z >= -HIGH)
        self.canal = solid & (np.abs(x) <= CANAL[0]) & (np.abs(y) <= CANAL[1])
        self.tunnel = {}
        for side, sign in zip(SIDES, (1, -1), strict=True):
            for number, level in enumerate(LEVELS):
                apart = np.maximum(np.abs(x - 10 * sign), np.abs(z + 8 + 8 * number))
                self.tunnel[level, side] = solid & (apart <= TUNNEL)
        hollow = np.logical_or.reduce([self.canal, *self.tunnel.values()])
        self.tissue = np.full(x.shape, SOFT, dtype=np.uint8)
        self.tissue[solid & ~hollow] = BONE
        beside = (np.abs(x) > WIDE + CLEFT) & (np.abs(x) <= WIDE + 12) & (np.abs(y) <= DEEP)
        beside &= (z <= 0) & (z >= -HIGH)
        self.tissue[beside & (x > 0)] = ILIUM_LEFT
        self.tissue[beside & (x < 0)] = ILIUM_RIGHT
        # Narrower than the plate: the disc bulges out from under it.
        body = (np.abs(x) <= WIDE - 8) & (np.abs(y) <= DEEP) & (z > DISC)
        self.tissue[body] = L5_BONE
        self.x, self.y, self.z = x, y, z

    def found(self) -> np.ndarray:
        return find_compartments(self.tissue, AXES, self.atlas)


@pytest.fixture(scope="module")
def block(plain_atlas: Callable[[SacralFrame], Atlas]) -> Block:
    return Block(plain_atlas(SacralFrame(np.zeros(3), *np.eye(3))))


@pytest.fixture(scope="module")
def found(block: Block) -> np.ndarray:
    return block.found()


def test_tunnels_and_canal_of_a_block_are_exact(block: Block, found: np.ndarray) -> None:
    """Protects: a foramen ends at the bridged faces and holds its tunnel, no voxel more or less."""
    for (level, side), tunnel in block.tunnel.items():
        code = Compartment[f"FORAMEN_{level}_{side.upper()}"]
        assert np.array_equal(found == code, tunnel), code.words
    inside = block.z <= 0
    assert np.array_equal((found == Compartment.CANAL) & inside, block.canal)


def test_canal_goes_on_above_the_sacrum(block: Block, found: np.ndarray) -> None:
    """Protects: cement that rises behind L5 has not left the canal."""
    above = (block.z > 0) & (np.abs(block.x) <= CANAL[0]) & (np.abs(block.y) <= CANAL[1])
    free = above & (block.tissue == SOFT)
    assert free.any()
    assert (found[free] == Compartment.CANAL).all()


def test_joints_disc_and_the_two_sides_of_a_block(block: Block, found: np.ndarray) -> None:
    """Protects: the cleft is the joint, what is over the plate the disc, the rest front or back."""
    x, y, z = block.x, block.y, block.z
    deep = (np.abs(y) <= DEEP - 4) & (z <= -4) & (z >= 4 - HIGH)
    cleft = (np.abs(x) > WIDE) & (np.abs(x) <= WIDE + CLEFT) & deep
    assert (found[cleft & (x > 0)] == Compartment.SI_JOINT_LEFT).all()
    assert (found[cleft & (x < 0)] == Compartment.SI_JOINT_RIGHT).all()
    joint = np.isin(found, (Compartment.SI_JOINT_LEFT, Compartment.SI_JOINT_RIGHT))
    assert (np.abs(x[joint]) > WIDE).all()
    assert (np.abs(x[joint]) <= WIDE + CLEFT).all()
    plate = np.hypot(x / WIDE, y / DEEP) <= 1.0
    disc = plate & (z > 0) & (z <= DISC) & (found != Compartment.CANAL)
    assert np.array_equal(found == Compartment.DISC_L5S1, disc)
    low = (z <= 0) & (z >= -HIGH) & (np.abs(x) <= WIDE)
    assert (found[low & (y < -DEEP)] == Compartment.PRESACRAL).all()
    assert (found[low & (y > DEEP)] == Compartment.DORSAL).all()


def test_bone_and_other_bone_are_what_the_labels_say(block: Block, found: np.ndarray) -> None:
    """Protects: a compartment never takes bone, and the neighbours are not the sacrum."""
    assert np.array_equal(found == Compartment.BONE, block.tissue == BONE)
    other = np.isin(block.tissue, (L5_BONE, ILIUM_LEFT, ILIUM_RIGHT))
    assert np.array_equal(found == Compartment.OTHER_BONE, other)


def test_a_closed_opening_ends_the_tunnel(block: Block) -> None:
    """Protects: what the labels close is no way out: an opening that was not found is no mouth."""
    name = next(n for n in block.atlas.foramina if n[:3] == ("S2", "left", "anterior"))
    lost = replace(block.atlas.foramina[name], found=False)
    atlas = replace(block.atlas, foramina={**block.atlas.foramina, name: lost})
    tunnel = block.tunnel["S2", "left"]
    tissue = block.tissue.copy()
    plug = tunnel & (block.y < -DEEP + 3)
    tissue[plug] = BONE
    dimple = tunnel & (block.y == -DEEP)
    tissue[dimple] = SOFT
    closed = find_compartments(tissue, AXES, atlas)
    assert np.array_equal(closed == Compartment.FORAMEN_S2_LEFT, tunnel & ~plug)
    assert (closed[dimple] == Compartment.PRESACRAL).all()


def test_an_open_roof_does_not_open_the_canal(block: Block) -> None:
    """Protects: where a lamina is missing the canal keeps its depth and does not flow dorsally."""
    tissue = block.tissue.copy()
    gap = (np.abs(block.x) <= CANAL[0]) & (block.y > CANAL[1]) & (np.abs(block.z + 20) <= 5)
    tissue[gap] = SOFT
    canal = find_compartments(tissue, AXES, block.atlas) == Compartment.CANAL
    inside = block.z <= 0
    assert np.array_equal(canal & inside & ~gap, block.canal)
    assert (canal & gap).sum() == 0


def test_images_without_neighbours(block: Block) -> None:
    """Protects: a CT that shows neither ilia nor L5 has passages and a disc, and no joints."""
    tissue = np.where(block.tissue == BONE, BONE, SOFT).astype(np.uint8)
    alone = find_compartments(tissue, AXES, block.atlas)
    for code in PASSAGES:
        assert (alone == code).any(), code.words
    assert (alone == Compartment.DISC_L5S1).any()
    for code in (Compartment.SI_JOINT_LEFT, Compartment.SI_JOINT_RIGHT, Compartment.OTHER_BONE):
        assert not (alone == code).any()


def area_cm2(tissue: TissueGrid, codes: tuple[Compartment, ...], z_mm: float) -> float:
    layer = round((z_mm - float(tissue.origin_local_mm[2])) / tissue.step_mm)
    inside = np.isin(tissue.compartment[..., layer], codes)
    return float(inside.sum()) * tissue.step_mm**2 / 100.0


def at_world(bone: MeshedBone, world_mm: np.ndarray) -> np.ndarray:
    """Compartments of the voxels at world points, shape (n,)."""
    index = np.rint(bone.tissue.index_of(bone.atlas.frame.to_local(world_mm))).astype(int)
    return bone.tissue.compartment[tuple(index.T)]


def test_phantom_has_its_passages_where_they_were_drawn(phantom_bone: MeshedBone) -> None:
    """Protects: canal and foramina at the places that the phantom's construction gives."""
    known = truth()
    canal = known.canal_mm[2:-3]
    assert (at_world(phantom_bone, canal) == Compartment.CANAL).mean() > 0.95
    for side in SIDES:
        for number, level in enumerate(LEVELS):
            ends = (
                known.anterior_foramina_mm[side][number],
                known.posterior_foramina_mm[side][number],
            )
            track = np.linspace(*ends, 40)[6:-6]
            code = Compartment[f"FORAMEN_{level}_{side.upper()}"]
            held = at_world(phantom_bone, track)
            assert np.isin(held, (code, Compartment.BONE)).all(), code.words
            assert (held == code).mean() > 0.7, code.words
    for side in SIDES:
        joint = at_world(phantom_bone, known.si_joint_mm[side][None])
        assert joint[0] == Compartment[f"SI_JOINT_{side.upper()}"]


def test_phantom_is_mirrored_into_itself(phantom_bone: MeshedBone) -> None:
    """Protects: no side is treated better: left and right agree within the voxels of a border."""
    tissue = phantom_bone.tissue
    mirrored = tissue.compartment[::-1]
    swap = np.arange(16, dtype=np.uint8)
    for left in (2, 4, 6, 8, 10):
        swap[[left, left + 1]] = left + 1, left
    mirrored = swap[mirrored]
    assert abs(float(tissue.local_of(np.array(tissue.tissue.shape) - 1.0)[0])) == pytest.approx(
        abs(float(tissue.origin_local_mm[0])), abs=1.01
    )
    for code in (*PASSAGES, Compartment.SI_JOINT_LEFT, Compartment.DISC_L5S1):
        here, there = tissue.compartment == code, mirrored == code
        near = ndimage.binary_dilation(there, iterations=2)
        assert here.sum() == pytest.approx(there.sum(), rel=0.08), code.words
        assert near[here].mean() > 0.99, code.words


def test_phantom_sizes_are_anatomical(phantom_bone: MeshedBone) -> None:
    """Protects: no passage leaks out: sizes of canal, foramina, joints and disc of an adult."""
    tissue = phantom_bone.tissue
    assert 1.5 < area_cm2(tissue, (Compartment.CANAL,), -15.0) < 4.0
    ml = {c: (tissue.compartment == c).sum() * tissue.voxel_ml for c in Compartment}
    for code in FORAMINA:
        assert 0.4 < ml[code] < 5.0, code.words
    for side in SIDES:
        assert 3.0 < ml[Compartment[f"SI_JOINT_{side.upper()}"]] < 10.0
    assert 5.0 < ml[Compartment.DISC_L5S1] < 20.0
    # Each passage is one piece, and touches bone.
    for code in FORAMINA:
        assert ndimage.label(tissue.compartment == code, np.ones((3, 3, 3)))[1] == 1, code.words


def test_real_sacrum(real_ct: tuple[Path, Path]) -> None:
    """Protects: a patient's canal, closed at S3 in the labels, and foramina that are all there."""
    ct, labels = read_ct(real_ct[0]), read_labels(real_ct[1])
    anatomy: Anatomy = find_anatomy(labels)
    atlas = atlas_of(anatomy)
    tissue = make_tissue_grid(ct, labels, anatomy.surface, atlas, FALLBACK_LINE)
    assert 2.0 < area_cm2(tissue, (Compartment.CANAL,), -20.0) < 4.5
    canal = np.argwhere(tissue.compartment == Compartment.CANAL)
    world = atlas.frame.to_world(tissue.local_of(canal))
    assert atlas.map.level_of(world).max() <= 3
    ml = {c: (tissue.compartment == c).sum() * tissue.voxel_ml for c in Compartment}
    for code in FORAMINA:
        assert 0.4 < ml[code] < 6.0, code.words
    for side in SIDES:
        assert 2.0 < ml[Compartment[f"SI_JOINT_{side.upper()}"]] < 10.0


def test_every_compartment_has_words() -> None:
    """Protects: a report can name each compartment."""
    words = [code.words for code in Compartment]
    assert len(set(words)) == len(Compartment)
    assert Compartment.FORAMEN_S1_LEFT.words == "foramen S1 left"
