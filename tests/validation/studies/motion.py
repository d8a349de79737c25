"""Rigid motions: the rotation and translation that fit a displacement best, and their axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RigidMotion:
    """``x -> centre + R (x - centre) + translation``.

    Attributes:
        rotation: Proper rotation R, shape (3, 3).
        centre_mm: Mean of the fitted points, shape (3,).
        translation_mm: Motion of that mean, shape (3,).
    """

    rotation: FloatArray
    centre_mm: FloatArray
    translation_mm: FloatArray

    @property
    def turn_deg(self) -> FloatArray:
        """Rotation vector, its length the angle in degrees, shape (3,); angles below 180 deg."""
        skew = 0.5 * (self.rotation - self.rotation.T)
        axis = np.array([skew[2, 1], skew[0, 2], skew[1, 0]])
        sine = float(np.linalg.norm(axis))
        if sine == 0.0:
            return np.zeros(3)
        angle = np.arctan2(sine, 0.5 * (np.trace(self.rotation) - 1.0))
        return np.asarray(np.degrees(angle) * axis / sine)

    def displacement_mm(self, points_mm: FloatArray) -> FloatArray:
        """Displacement of points, shape (n, 3)."""
        arm = points_mm - self.centre_mm
        return np.asarray(arm @ (self.rotation - np.eye(3)).T + self.translation_mm)

    def seen_from(self, other: "RigidMotion") -> "RigidMotion":
        """This motion relative to another body: what remains when that body is put back."""
        turned = other.rotation.T @ self.rotation
        moved = self.centre_mm + self.translation_mm - other.translation_mm - other.centre_mm
        back = other.centre_mm + other.rotation.T @ moved
        return RigidMotion(turned, self.centre_mm, back - self.centre_mm)

    def still_point_mm(self, normal: FloatArray) -> FloatArray:
        """The point of the plane through the centre that does not move within it, shape (3,).

        The centre of motion of a body seen along ``normal``; exact for a rotation about it.

        Args:
            normal: Unit normal of the plane, shape (3,).
        """
        turn = np.radians(float(self.turn_deg @ normal))
        flat = self.translation_mm - (self.translation_mm @ normal) * normal
        off = 0.5 * (flat + np.cross(normal, flat) / np.tan(0.5 * turn))
        return np.asarray(self.centre_mm + off)


def fit_rigid(points_mm: FloatArray, displacement_mm: FloatArray) -> RigidMotion:
    """The rigid motion nearest to a displacement, by least squares (Kabsch 1976).

    Args:
        points_mm: At least three points that are not on one line, shape (n, 3).
        displacement_mm: Of each, shape (n, 3).
    """
    centre, moved = points_mm.mean(axis=0), (points_mm + displacement_mm).mean(axis=0)
    covariance = (points_mm - centre).T @ (points_mm + displacement_mm - moved)
    left, _, right = np.linalg.svd(covariance)
    # A reflection would fit flat or noisy points as well.
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    return RigidMotion((left @ proper @ right).T, centre, moved - centre)
