"""The fit of rigid motions, against motions that are known exactly."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from studies.motion import RigidMotion, fit_rigid

POINTS_MM = np.random.default_rng(7).normal(size=(40, 3)) * (30.0, 12.0, 20.0)


def moved_by(turn_deg: np.ndarray, point_mm: np.ndarray, shift_mm: np.ndarray) -> np.ndarray:
    """Displacement of the points turned about a point and shifted."""
    turn = Rotation.from_rotvec(turn_deg, degrees=True).as_matrix()
    return (POINTS_MM - point_mm) @ turn.T + point_mm + shift_mm - POINTS_MM


def fit(turn_deg: list[float], point_mm: list[float], shift_mm: list[float]) -> RigidMotion:
    return fit_rigid(POINTS_MM, moved_by(*map(np.array, (turn_deg, point_mm, shift_mm))))


@pytest.mark.parametrize("turn_deg", [[0.0, 0.0, 0.0], [1e-4, 0.0, 0.0], [3.0, -20.0, 150.0]])
def test_a_rigid_motion_is_found_exactly(turn_deg: list[float]) -> None:
    """Protects: nutation and translation of the sacrum are read off the fit."""
    shift = np.array([0.3, -0.2, 5.0])
    found = fit(turn_deg, [10.0, 4.0, -3.0], shift.tolist())
    np.testing.assert_allclose(found.turn_deg, turn_deg, atol=1e-9)
    expected = moved_by(np.array(turn_deg), np.array([10.0, 4.0, -3.0]), shift)
    np.testing.assert_allclose(found.displacement_mm(POINTS_MM), expected, atol=1e-10)


def test_flat_points_are_not_reflected() -> None:
    """Protects: points in a plane fit a mirror image as well, which is no motion."""
    flat = POINTS_MM * (1.0, 1.0, 0.0)
    turn = Rotation.from_rotvec([10.0, 20.0, 5.0], degrees=True).as_matrix()
    found = fit_rigid(flat, flat @ turn.T - flat)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(found.rotation, turn, atol=1e-12)


def test_noise_is_averaged() -> None:
    """Protects: least squares over all points, not a motion through three of them."""
    noise = np.random.default_rng(3).normal(size=POINTS_MM.shape) * 0.01
    found = fit_rigid(
        POINTS_MM, moved_by(np.array([0.0, 1.0, 0.0]), np.zeros(3), np.zeros(3)) + noise
    )
    assert found.turn_deg[1] == pytest.approx(1.0, abs=0.02)


def test_what_a_carried_body_does_on_its_carrier_is_seen_from_it() -> None:
    """Protects: the sacrum moves with the ilium; only their difference is the joint's."""
    carrier = fit([2.0, 5.0, -3.0], [50.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    own = np.array([0.0, 0.7, 0.0]), np.array([5.0, 6.0, 7.0]), np.array([0.1, 0.0, 0.0])
    first = POINTS_MM + moved_by(*own)
    both = first + carrier.displacement_mm(first) - POINTS_MM
    seen = fit_rigid(POINTS_MM, both).seen_from(carrier)
    np.testing.assert_allclose(seen.displacement_mm(POINTS_MM), moved_by(*own), atol=1e-10)


def test_the_still_point_is_where_the_axis_was_put() -> None:
    """Protects: the centre of motion of the sacrum in the sagittal plane (Hammer 2013)."""
    normal = np.array([1.0, 0.0, 0.0])
    place = np.array([0.0, 17.0, -40.0])
    # A shift along the axis moves no point within the plane.
    found = fit([5.0, 0.0, 0.0], place.tolist(), [0.4, 0.0, 0.0])
    still = found.still_point_mm(normal)
    np.testing.assert_allclose(still[1:], place[1:], atol=1e-9)
