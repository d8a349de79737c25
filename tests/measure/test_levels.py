"""Planes across the bone: statics at any plane, what is above and below, where the levels are."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.anatomy.atlas import Atlas
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.errors import InputError
from sacrofem.measure.levels import (
    LEVELS,
    ROW_BEGINS_MM,
    Level,
    Plane,
    level_loads,
    level_plane,
    load_below,
    row_of_levels,
    section_of,
)
from sacrofem.measure.sections import load_path
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.loads import HangingLeg, SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, intact_modulus
from sacrofem.mechanics.state import solve_state
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, support_of
from sacrofem.mesh.bone_mesh import BoneMesh, Part

FORCE_N = 500.0


def model_of(mesh: BoneMesh, comm: MPI.Comm = MPI.COMM_SELF) -> ElasticModel:
    return make_model(
        mesh, SacralLoad(FORCE_N, 25.0), support_of(mesh), MaterialParameters(), 1, comm
    )


def column(mesh: BoneMesh) -> BoneMesh:
    """The box with its joints on its foot: all of the load goes down through it."""
    middle = mesh.points_mm[mesh.facets].mean(axis=1)
    tag = np.zeros_like(mesh.facet_tag)
    foot, head = np.isclose(middle[:, 2], -40.0), np.isclose(middle[:, 2], 0.0)
    left, right = SACROILIAC_JOINTS["left"], SACROILIAC_JOINTS["right"]
    tag[foot] = np.where(middle[foot, 0] > 0.0, left, right)
    tag[head] = mesh.facet_tag[head]
    return replace(mesh, facet_tag=tag)


@pytest.mark.parametrize("normal", [(0.0, 0.0, -1.0), (0.2, -0.1, -3.0), (-0.1, 0.3, -1.0)])
def test_any_plane_of_a_column_bears_the_load(
    box: Callable[..., BoneMesh], normal: tuple[float, float, float]
) -> None:
    """Protects: a plane of any tilt, whatever the length of its normal: the force is the load."""
    mesh = column(box(4))
    plane = Plane("p", np.array([0.0, 0.0, -20.0]), np.array(normal), whole=True)
    model = model_of(mesh)
    solved = solve_state(model, intact_modulus(mesh), [section_of(mesh, plane)])
    load = load_path(solved, model.force_N, np.zeros(len(mesh.tets)))["p"]
    assert load.share == pytest.approx(1.0, abs=1e-8)
    np.testing.assert_allclose(load.force_N, model.force_N, atol=1e-8 * FORCE_N)
    assert load.error < 1e-8


def test_what_joints_took_above_is_what_they_do_not_take_below(
    box: Callable[..., BoneMesh], plain_atlas: Callable[[SacralFrame], Atlas]
) -> None:
    """Protects: the balance at each level, by the springs' forces above and below the plane.

    The joints reach over the whole height: with uniform sinking each layer takes alike.
    """
    mesh = box(4)
    levels = [Level(f"{-z:g}", -z, "S1", 0.0) for z in (-10.0, -20.0, -30.0)]
    down = np.array([0.0, 0.0, -1.0])
    cuts = [
        section_of(mesh, Plane(lev.name, lev.depth_mm * down, down, whole=False)) for lev in levels
    ]
    stiff = replace(intact_modulus(mesh), young_MPa=np.full(len(mesh.tets), 1e5))
    model = make_model(
        mesh, SacralLoad(FORCE_N, 0.0), support_of(mesh), MaterialParameters(), 1, MPI.COMM_SELF
    )
    solved = solve_state(model, stiff, cuts)
    paths = load_path(solved, model.force_N, np.zeros(len(mesh.tets)))
    found = level_loads(levels, paths)
    for at, exact in zip(found, (0.25, 0.5, 0.75), strict=True):
        assert at.above == pytest.approx(exact, abs=5e-3)
        assert at.above + at.level.load_below + at.load.share == pytest.approx(1.0)


def test_load_below_a_plane_that_cuts_the_endplate(box: Callable[..., BoneMesh]) -> None:
    """Protects: the load counts on the side where it is applied; here a quarter, half, all."""
    mesh = box(4)
    cuts = [
        section_of(mesh, Plane(f"{x:g}", np.array([x, 0.0, 0.0]), np.eye(3)[0], whole=False))
        for x in (15.0, 0.0)
    ]
    below = section_of(mesh, Plane("z", np.array([0, 0, -20.0]), -np.eye(3)[2], whole=False))
    np.testing.assert_allclose(load_below(model_of(mesh), [*cuts, below]), [0.25, 0.5, 0.0])


def test_a_hanging_leg_is_no_load_on_the_sacrum(box: Callable[..., BoneMesh]) -> None:
    """Protects: below S1 nothing is applied; the leg's weight is in what its joint takes."""
    mesh = box(4)
    load = SacralLoad(FORCE_N, 25.0, leg=HangingLeg(120.0, 25.0))
    support = support_of(mesh, stance="left")
    model = make_model(mesh, load, support, MaterialParameters(), 1, MPI.COMM_SELF)
    down = np.array([0.0, 0.0, -1.0])
    cuts = [section_of(mesh, Plane(f"{z:g}", z * down, down, whole=False)) for z in (10.0, 30.0)]
    np.testing.assert_allclose(load_below(model, cuts), 0.0, atol=1e-12)


@pytest.mark.mpi
def test_load_below_on_all_ranks(box: Callable[..., BoneMesh]) -> None:
    """Protects: the load is summed over the ranks, once."""
    mesh = box(4)
    cut = section_of(mesh, Plane("x", np.array([15.0, 0, 0]), np.eye(3)[0], whole=False))
    assert load_below(model_of(mesh, MPI.COMM_WORLD), [cut]) == pytest.approx([0.25])


def test_a_plane_of_the_sacrum_cuts_no_ilium(box: Callable[..., BoneMesh]) -> None:
    """Protects: levels of a pelvis are those of its sacrum; a free plane cuts all."""
    mesh = box(4)
    ilium = mesh.centroids_mm[:, 0] > 15.0
    mesh = replace(mesh, part=np.where(ilium, Part.ILIUM_LEFT, Part.SACRUM).astype(np.int8))
    at, down = np.array([0.0, 0.0, -20.0]), np.array([0.0, 0.0, -1.0])
    assert not section_of(mesh, Plane("s", at, down, whole=False)).far[ilium].any()
    assert section_of(mesh, Plane("w", at, down, whole=True)).far[ilium].any()


def test_a_plane_beside_the_bone_is_refused(box: Callable[..., BoneMesh]) -> None:
    """Protects: no silent zero for a point in other coordinates; the message says how far off."""
    plane = Plane("aside", np.array([42.0, 0.0, 0.0]), np.array([2.0, 0.0, 0.0]), whole=True)
    with pytest.raises(InputError, match=r"'aside' has to cut the bone.* 12\.0 mm; move"):
        section_of(box(2), plane)


def test_levels_follow_the_anatomy(plain_atlas: Callable[[SacralFrame], Atlas]) -> None:
    """Protects: where the planes are and which way is down, whatever the position of the patient.

    The atlas of the straight block has foramina, the borders of its levels, 8, 16, 24 and 32 mm
    below the endplate.
    """
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    frame = SacralFrame(np.array([5.0, -7.0, 11.0]), *turn)
    atlas = plain_atlas(frame)
    for number, body in enumerate(LEVELS[:4]):
        plane = level_plane(atlas, "p", body)
        assert frame.to_local(plane.point_mm[None])[0, 2] == pytest.approx(-4.0 - 8.0 * number)
        np.testing.assert_allclose(plane.normal, -frame.superior, atol=1e-9)
        assert not plane.whole
    row = row_of_levels(atlas)
    depths = [level.depth_mm for _, level in row]
    assert depths == sorted(depths)
    assert depths[0] == ROW_BEGINS_MM
    assert [level.body for _, level in row][:: len(row) - 1] == ["S1", "S4"]
    assert len({plane.name for plane, _ in row}) == len(row)
