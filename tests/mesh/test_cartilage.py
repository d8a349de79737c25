"""The cartilage: a conforming layer of the stated thickness, with no folds."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import (
    BoneMesh,
    Part,
    boundary_facets,
    facet_areas_mm2,
    signed_volumes_mm3,
)
from sacrofem.mesh.cartilage import COSINE_AT_LEAST, joint_facets, open_joints, smooth_parts
from sacrofem.mesh.lattice import make_lattice
from sacrofem.mesh.stuffing import cut

IntArray = NDArray[np.int64]
Mesh = tuple[FloatArray, IntArray, NDArray[np.int8]]
#: Joints of the block lie at these x, in mm.
JOINT_X = 15.0


@pytest.fixture
def block(box: Callable[..., BoneMesh]) -> Mesh:
    """A sacrum between two ilia: a box of 60 x 30 x 40 mm cut by the planes x = -15 and 15 mm."""
    mesh = box(8)
    x = mesh.centroids_mm[:, 0]
    part = np.select([x > JOINT_X, x < -JOINT_X], [Part.ILIUM_LEFT, Part.ILIUM_RIGHT], Part.SACRUM)
    return mesh.points_mm, mesh.tets, part.astype(np.int8)


def towards_sacrum(x: FloatArray) -> FloatArray:
    return JOINT_X - np.abs(x[:, 0])


def require_conforming(tets: IntArray) -> None:
    faces = tets[:, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]].reshape(-1, 3)
    assert np.unique(np.sort(faces, axis=1), axis=0, return_counts=True)[1].max() <= 2


# --- facets ------------------------------------------------------------------------------------


def test_facets_of_the_joint_look_from_the_sacrum(block: Mesh) -> None:
    points, tets, part = block
    facets, ilium = joint_facets(tets, part)
    assert facet_areas_mm2(points, facets).sum() == pytest.approx(2 * 30.0 * 40.0)
    a, b, c = (points[facets[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    left = ilium == Part.ILIUM_LEFT
    assert (normal[left, 0] > 0.0).all()
    assert (normal[~left, 0] < 0.0).all()
    np.testing.assert_allclose(
        points[facets][:, :, 0], np.where(left, 15.0, -15.0)[:, None] + [0] * 3
    )


def test_bones_that_touch_at_an_edge_alone_have_no_joint(block: Mesh) -> None:
    points, tets, _ = block
    middle = points[tets].mean(axis=1)
    part = np.where(middle[:, 0] * (middle[:, 2] + 20.0) > 0.0, Part.SACRUM, Part.ILIUM_LEFT)
    corner = (middle[:, 0] > 0.0) == (middle[:, 2] > -20.0)
    only = np.where(middle[:, 0] > 0.0, Part.SACRUM, Part.ILIUM_LEFT)[corner]
    assert len(joint_facets(tets, part.astype(np.int8))[0]) > 0
    assert len(joint_facets(tets[corner], only.astype(np.int8))[0]) == 0


# --- the layer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("thickness", [0.5, 2.0, 3.0])
def test_a_plane_joint_gets_an_exact_layer(block: Mesh, thickness: float) -> None:
    """Protects: thickness, volume, parts and outer surface, exactly."""
    points, tets, part = block
    _, ilium = joint_facets(tets, part)
    made, cells, parts = open_joints(points, tets, part, thickness)
    volume = signed_volumes_mm3(made, cells)
    assert volume.min() > 0.0
    require_conforming(cells)
    # The box keeps its outside, so the bones give what the layer takes.
    assert volume.sum() == pytest.approx(60.0 * 30.0 * 40.0)
    for name, side, sign in (("LEFT", Part.ILIUM_LEFT, 1.0), ("RIGHT", Part.ILIUM_RIGHT, -1.0)):
        layer = parts == Part[f"CARTILAGE_{name}"]
        assert layer.sum() == 3 * (ilium == side).sum()
        assert volume[layer].sum() == pytest.approx(30.0 * 40.0 * thickness)
        x = sign * made[np.unique(cells[layer])][:, 0]
        np.testing.assert_allclose(np.abs(x - JOINT_X), 0.5 * thickness)
        bone = volume[parts == side].sum()
        assert bone == pytest.approx(30.0 * 40.0 * (15.0 - 0.5 * thickness))
    outside, _ = boundary_facets(cells)
    assert facet_areas_mm2(made, outside).sum() == pytest.approx(2 * (1800 + 2400 + 1200))
    # Bones touch each other nowhere any more.
    bones = np.isin(parts, (Part.SACRUM, Part.ILIUM_LEFT, Part.ILIUM_RIGHT))
    assert len(joint_facets(cells[bones], parts[bones])[0]) == 0


def test_every_facet_of_the_joint_has_a_prism_of_three_cells(block: Mesh) -> None:
    points, tets, part = block
    facets, ilium = joint_facets(tets, part)
    _, cells, parts = open_joints(points, tets, part, 1.0)
    layer = cells[len(tets) :].reshape(-1, 3, 4)
    assert len(layer) == len(facets)
    for facet, prism in zip(facets, layer, strict=True):
        nodes = np.unique(prism)
        assert len(nodes) == 6
        assert set(facet) <= set(nodes)
        # The other three are new nodes, the ilium's.
        assert (np.setdiff1d(nodes, facet) >= len(points)).all()
    np.testing.assert_array_equal(
        parts[len(tets) :].reshape(-1, 3)[:, 0] == Part.CARTILAGE_LEFT, ilium == Part.ILIUM_LEFT
    )
    np.testing.assert_array_equal(parts[: len(tets)], part)


def test_two_half_balls_get_a_disc() -> None:
    """Protects: the rim of a joint inside a rounded body, cut as the mesher cuts it."""

    def everywhere(centres: FloatArray, _: float) -> NDArray[np.bool_]:
        return np.ones(len(centres), dtype=bool)

    made = make_lattice(np.full(3, -15.0), np.full(3, 15.0), (2.5,), everywhere, everywhere)
    points, tets, _ = cut(made.points_mm, made.tets, lambda x: 12.0 - np.linalg.norm(x, axis=1))
    points, tets, side = cut(points, tets, lambda x: 0.4 - x[:, 0], both_sides=True)
    part = np.where(side > 0, Part.SACRUM, Part.ILIUM_LEFT).astype(np.int8)
    disc = facet_areas_mm2(points, joint_facets(tets, part)[0]).sum()
    assert disc == pytest.approx(np.pi * (144.0 - 0.16), rel=0.03)
    points, cells, part = open_joints(points, tets, part, 2.0)
    require_conforming(cells)
    volume = signed_volumes_mm3(points, cells)
    assert volume.min() > 0.0
    assert volume[part == Part.CARTILAGE_LEFT].sum() == pytest.approx(2.0 * disc, rel=0.03)


# --- folds -------------------------------------------------------------------------------------


def test_teeth_of_one_bone_in_the_other_are_smoothed(block: Mesh) -> None:
    """Protects: no facet of the joint looks the wrong way, or the layer turns inside out."""
    points, tets, part = block
    joint = np.unique(joint_facets(tets, part)[0])
    at_joint = np.flatnonzero(np.isin(tets, joint).sum(axis=1) == 3)
    wrong = part.copy()
    for cell in np.random.default_rng(5).choice(at_joint, 30, replace=False):
        side = Part.ILIUM_LEFT if points[tets[cell]][:, 0].mean() > 0 else Part.ILIUM_RIGHT
        wrong[cell] = side if part[cell] == Part.SACRUM else Part.SACRUM
    kept = wrong.copy()
    np.testing.assert_array_equal(smooth_parts(points, tets, wrong, towards_sacrum), part)
    np.testing.assert_array_equal(wrong, kept)
    # A plane joint needs nothing.
    np.testing.assert_array_equal(smooth_parts(points, tets, part, towards_sacrum), part)


def test_a_rough_joint_gets_no_inverted_prism(block: Mesh) -> None:
    """Protects: what the smoothing is for, where cells were parted at random beside the joint."""
    points, tets, _ = block
    x = points[tets].mean(axis=1)[:, 0]
    rough = x + np.random.default_rng(9).uniform(-4.0, 4.0, len(x))
    sides = [rough > JOINT_X, rough < -JOINT_X]
    part = np.select(sides, [Part.ILIUM_LEFT, Part.ILIUM_RIGHT], Part.SACRUM).astype(np.int8)
    smooth = smooth_parts(points, tets, part, towards_sacrum)
    facets, ilium = joint_facets(tets, smooth)
    a, b, c = (points[facets[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    way = np.where(ilium == Part.ILIUM_LEFT, 1.0, -1.0)
    assert (way * normal[:, 0] >= COSINE_AT_LEAST * np.linalg.norm(normal, axis=1)).all()
