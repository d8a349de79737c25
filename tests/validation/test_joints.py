"""The motion of the joint, read off a block pelvis whose sacrum moves as one body."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from studies import joints, lesions
from studies.joints import JointMotion, joint_motion
from studies.lesions import OnSupport

from sacrofem.mesh.bone_mesh import BoneMesh, Part

TURN_DEG, AXIS_MM = 1.5, np.array([0.0, 4.0, -30.0])


@pytest.fixture(scope="module")
def blocks(box: Callable[..., BoneMesh]) -> BoneMesh:
    """A box of 60 mm: 20 mm of sacrum in the middle, cartilage and ilium on each side."""
    mesh = box(12)
    x = mesh.centroids_mm[:, 0]
    part = np.select(
        [x < -15.0, x < -10.0, x <= 10.0, x <= 15.0],
        [Part.ILIUM_RIGHT, Part.CARTILAGE_RIGHT, Part.SACRUM, Part.CARTILAGE_LEFT],
        Part.ILIUM_LEFT,
    ).astype(np.int8)
    level = np.where(mesh.centroids_mm[:, 2] > -20.0, 1, 2)
    return replace(mesh, part=part, level=np.where(part == Part.SACRUM, level, 0).astype(np.int8))


def nodding(mesh: BoneMesh, carried_mm: float) -> SimpleNamespace:
    """The sacrum turned forwards about a transverse axis; all of it carried upwards besides."""
    turn = Rotation.from_rotvec(TURN_DEG * mesh.frame.left, degrees=True).as_matrix()
    out = np.zeros_like(mesh.points_mm)
    own = np.unique(mesh.tets[mesh.part == Part.SACRUM])
    arm = mesh.points_mm[own] - AXIS_MM
    out[own] = arm @ turn.T - arm
    return SimpleNamespace(displacement_mm=out + carried_mm * mesh.frame.superior)


def test_nutation_and_its_axis_are_found(blocks: BoneMesh) -> None:
    """Protects: the rows of Bruna-Rosso and Hammer: sign, angle, axis and its level."""
    found = joint_motion(blocks, nodding(blocks, 0.0))
    assert found.nutation_deg == pytest.approx(TURN_DEG, abs=1e-9)
    assert found.angle_deg == pytest.approx(TURN_DEG, abs=1e-9)
    np.testing.assert_allclose(found.still_mm, AXIS_MM, atol=1e-9)
    assert found.level == 2
    # The middle of either joint: so far does the layer lie from the axis.
    arm = np.hypot(0.0 - AXIS_MM[1], -20.0 - AXIS_MM[2])
    assert found.translation_mm == pytest.approx(np.radians(TURN_DEG) * arm, rel=1e-3)


def test_what_carries_both_bones_is_no_motion_of_the_joint(blocks: BoneMesh) -> None:
    """Protects: the hips sink into their supports; only what differs between the bones counts."""
    still, carried = (joint_motion(blocks, nodding(blocks, mm)) for mm in (0.0, 7.0))
    assert carried.translation_mm == pytest.approx(still.translation_mm, abs=1e-9)
    assert carried.nutation_deg == pytest.approx(still.nutation_deg, abs=1e-9)


def test_a_backward_turn_is_no_nutation(blocks: BoneMesh) -> None:
    """Protects: the sign: nutation tips the base of the sacrum forwards."""
    state = nodding(blocks, 0.0)
    back = SimpleNamespace(displacement_mm=-state.displacement_mm)
    assert joint_motion(blocks, back).nutation_deg < 0.0


def test_the_rows_of_the_joint_judge_by_its_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: a joint that moves as published is inside, a stiff one outside."""

    def moving(factor: float) -> list[str]:
        def moved(_size: str, asked: object, *_: object) -> JointMotion:
            force_N = asked.force_N  # type: ignore[attr-defined]
            turn = factor * joints.NUTATION_DEG.get(force_N, 1.0)
            return JointMotion(turn, turn, factor * 0.3, (0.0, 10.0, -40.0), 2, 1.0)

        monkeypatch.setattr(joints, "moved", moved)
        return [row.verdict for row in joints.nutation("small")]

    assert moving(1.0) == ["inside"] * 3
    assert moving(0.1) == ["OUTSIDE", "OUTSIDE", "inside"]


def test_the_rows_of_the_supports_judge_by_their_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: a relief that depends on the support is not called insensitive."""

    def verdicts(relief: float) -> list[str]:
        found = {
            "sacrum on springs": OnSupport(2000.0, 1.0, 0.20, 0.5, 0.5),
            "sacrum fixed": OnSupport(9000.0, 2.0, relief, 0.5, 0.5),
        }
        monkeypatch.setattr(lesions, "ensemble", lambda _size: found)
        return [row.verdict for row in lesions.supports("small")]

    assert verdicts(0.19) == ["trend", "trend", "trend", "-"]
    assert verdicts(0.0) == ["trend", "trend", "TREND MISSED", "-"]
