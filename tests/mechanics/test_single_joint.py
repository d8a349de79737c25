"""One joint with its ligaments: closed forms on a flat joint, and the same by finite elements."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.errors import InputError, MeshError
from sacrofem.mechanics.attachments import find_ligaments
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.ligaments import ALL, LigamentName, Ligaments
from sacrofem.mechanics.loads import HangingLeg, SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, intact_modulus
from sacrofem.mechanics.single_joint import (
    MILLER_FORCE_N,
    joint_stiffness,
    ligament_rows,
    motion_under,
    single_joint_compliance,
)
from sacrofem.mechanics.state import StateSolution, solve_with_ligaments
from sacrofem.mechanics.supports import JointSprings, support_of
from sacrofem.mesh.bone_mesh import BoneMesh

K_N, K_T = 8.0, 1.5
SPRINGS = JointSprings(K_N, K_T)
#: The box's joints: y from -15 to 15, z from -40 to 0, at x = 30.
DEEP, HIGH, AWAY = 30.0, 40.0, 30.0
LEG_N = 120.0


def leveled(box: Callable[..., BoneMesh], cells: int = 4) -> BoneMesh:
    mesh = box(cells)
    level = np.clip(np.ceil(-mesh.centroids_mm[:, 2] / 8.0), 1, 5).astype(np.int8)
    return replace(mesh, level=level)


def test_a_flat_joint_has_the_stiffness_of_the_closed_form(box: Callable[..., BoneMesh]) -> None:
    """Areas and second moments of a rectangle, and lever arms from the centre of the sacrum."""
    area, found = joint_stiffness(box(3), "left", np.array([0.0, 0.0, -20.0]), SPRINGS)
    size = DEEP * HIGH
    y2, z2 = size * DEEP**2 / 12.0, size * HIGH**2 / 12.0
    assert area == pytest.approx(size)
    exact = np.diag(
        [
            K_N * size,
            K_T * size,
            K_T * size,
            K_T * (y2 + z2),
            K_N * z2 + K_T * size * AWAY**2,
            K_N * y2 + K_T * size * AWAY**2,
        ]
    )
    # A shear on a joint to the left of the centre turns it.
    exact[1, 5] = exact[5, 1] = K_T * size * AWAY
    exact[2, 4] = exact[4, 2] = -K_T * size * AWAY
    np.testing.assert_allclose(found, exact, atol=1e-9 * exact.max())


def test_the_motion_under_a_force_is_that_of_the_inverse(box: Callable[..., BoneMesh]) -> None:
    mesh = box(3)
    joint = single_joint_compliance(mesh, "left", (), SPRINGS)
    compliance = np.linalg.inv(joint.stiffness)
    assert joint.translation_mm["anterior"] == pytest.approx(MILLER_FORCE_N * compliance[1, 1])
    assert joint.translation_mm["anterior"] == pytest.approx(joint.translation_mm["posterior"])
    assert joint.rotation_deg["torsion away"] == pytest.approx(
        np.degrees(42_000.0 * compliance[5, 5])
    )
    assert joint.translation_mm["medial"] == pytest.approx(
        MILLER_FORCE_N / (K_N * DEEP * HIGH), rel=1e-9
    )


def test_ligaments_stiffen_and_sides_mirror_each_other(box: Callable[..., BoneMesh]) -> None:
    mesh = leveled(box)
    bare, left, right = (
        single_joint_compliance(mesh, side, ligaments)
        for side, ligaments in (("left", ()), ("left", ALL), ("right", ALL))
    )
    for motion in ("translation_mm", "rotation_deg"):
        for name, value in getattr(left, motion).items():
            assert 0.0 < value <= getattr(bare, motion)[name] * (1.0 + 1e-12), name
            assert value == pytest.approx(getattr(right, motion)[name]), name
    # They bear tension only: what they hold in one direction they let go in the other.
    assert left.translation_mm["medial"] < 0.99 * left.translation_mm["lateral"]


def test_a_mesh_without_the_joint_is_refused(box: Callable[..., BoneMesh]) -> None:
    mesh = box(2)
    bare = replace(mesh, facet_tag=np.zeros_like(mesh.facet_tag))
    with pytest.raises(MeshError, match="the left sacroiliac joint needs its surface"):
        joint_stiffness(bare, "left", np.zeros(3), SPRINGS)


def stance_of(
    mesh: BoneMesh, side: str, ligaments: Ligaments, young_MPa: float | None = None
) -> tuple[ElasticModel, StateSolution]:
    """A sacrum alone on one joint, gravity along the endplate's normal."""
    load = SacralLoad(500.0, 0.0, leg=HangingLeg(LEG_N, 0.0))
    support = support_of(mesh, stance="left" if side == "left" else "right")
    bone = MaterialParameters(cortex_mm=0.0)
    modulus = intact_modulus(mesh)
    if young_MPa is not None:
        modulus = replace(modulus, young_MPa=np.full(len(mesh.tets), young_MPa))
    model = make_model(mesh, load, support, bone, 1, MPI.COMM_SELF, ligaments)
    return solve_with_ligaments(model, modulus)


def test_one_leg_bears_the_load_and_the_leg_that_hangs(box: Callable[..., BoneMesh]) -> None:
    """By statics: the hip that hangs pulls with the leg, the other carries both; they sum to 1."""
    mesh = leveled(box)
    for side, other in (("left", "right"), ("right", "left")):
        _, state = stance_of(mesh, side, find_ligaments(mesh, ALL))
        assert state.equilibrium_error < 1e-8
        assert state.energy.error < 1e-9
        np.testing.assert_allclose(state.joint_force_N[side], [0, 0, -500.0 - LEG_N], atol=1e-5)
        np.testing.assert_allclose(state.joint_force_N[other], [0, 0, LEG_N], atol=1e-9)
        # The ligaments of the hip that hangs end on nothing that is fixed.
        assert {s for sides in state.ligament_force_N.values() for s in sides} == {"left", "right"}
        for sides in state.ligament_force_N.values():
            assert (sides[other] == 0.0).all()


@pytest.mark.parametrize("names", [(), ALL])
def test_one_leg_stance_is_the_single_joint_under_load_and_leg(
    box: Callable[..., BoneMesh], names: tuple[LigamentName, ...]
) -> None:
    """A rigid block by finite elements against the closed form of the joint's stiffness."""
    mesh = leveled(box)
    joint = single_joint_compliance(mesh, "left", ())
    arms = np.array([[0.0, 0.0, 0.0], [-AWAY, 0.0, -0.5 * HIGH]]) - joint.centre_mm
    forces = np.array([[0.0, 0.0, -500.0], [0.0, 0.0, -LEG_N]])
    wrench = np.concatenate([forces.sum(axis=0), np.cross(arms, forces).sum(axis=0)])
    found = find_ligaments(mesh, names)
    left = found.of(found.side == "left")
    rows = ligament_rows(mesh, left, joint.centre_mm)
    motion = motion_under(joint.joint_stiffness, rows, left.stiffness_N_per_mm, wrench)
    endplate = motion[:3] + np.cross(motion[3:], arms[0])
    _, state = stance_of(mesh, "left", found, young_MPa=1e5)
    np.testing.assert_allclose(state.endplate_mm, endplate, rtol=0.02, atol=1e-3)


def test_a_leg_and_a_stance_go_together(box: Callable[..., BoneMesh]) -> None:
    mesh, bone = box(2), MaterialParameters()
    load = SacralLoad(leg=HangingLeg(LEG_N, 40.0))
    for one, support in ((load, support_of(mesh)), (SacralLoad(), support_of(mesh, stance="left"))):
        with pytest.raises(InputError, match="go together"):
            make_model(mesh, one, support, bone, 1, MPI.COMM_SELF)
