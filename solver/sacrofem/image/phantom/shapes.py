"""Implicit shapes: functions that give the signed distance in mm to a surface, negative inside.

Every function takes coordinate arrays that broadcast together, so that what depends on two
coordinates only is computed on a plane. Distances are exact for the round shapes and to first
order near the surface for the others; blends (Quilez 2013) keep them so away from the seam.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Array = NDArray[np.floating]
Point = tuple[float, float, float]


def union(first: Array, second: Array, blend_mm: float = 0.0) -> Array:
    """Distance to what lies in either shape, with a fillet of about ``blend_mm``."""
    nearer = np.minimum(first, second)
    if blend_mm == 0.0:
        return nearer
    overlap = np.maximum(blend_mm - np.abs(first - second), 0.0)
    overlap *= overlap
    overlap *= 0.25 / blend_mm
    return nearer - overlap


def intersection(first: Array, second: Array, blend_mm: float = 0.0) -> Array:
    """Distance to what lies in both shapes, with edges rounded by about ``blend_mm``."""
    return -union(-first, -second, blend_mm)


def difference(first: Array, second: Array, blend_mm: float = 0.0) -> Array:
    """Distance to what lies in the first shape and not in the second."""
    return -union(-first, second, blend_mm)


def superellipse(u: Array, v: Array, half_u: Array, half_v: Array, power: float = 2.0) -> Array:
    """Distance to an infinite bar along the third axis, with a (super)elliptic section.

    Args:
        u: First coordinate from the bar's axis in mm.
        v: Second coordinate from the bar's axis in mm.
        half_u: Half axis along ``u`` in mm, may vary along the bar.
        half_v: Half axis along ``v`` in mm.
        power: 2 for an ellipse, larger for a rounder box.
    """
    a = np.abs(u) / half_u
    b = np.abs(v) / half_v
    level = np.maximum((a**power + b**power) ** (1.0 / power), 1e-3)
    slope = np.hypot((a / level) ** (power - 1) / half_u, (b / level) ** (power - 1) / half_v)
    return (level - 1.0) / slope


def ellipsoid(x: Array, y: Array, z: Array, centre: Point, half_mm: Point) -> Array:
    """Distance to first order to an ellipsoid with axes along the coordinates."""
    a, b, c = ((w - m) / h for w, m, h in zip((x, y, z), centre, half_mm, strict=True))
    level = np.sqrt(a * a + b * b + c * c)
    ga, gb, gc = (w / h for w, h in zip((a, b, c), half_mm, strict=True))
    slope = np.sqrt(ga * ga + gb * gb + gc * gc)
    # level / slope has no limit at the centre, where any depth near the half axes will do.
    return (level - 1.0) * np.where(level > 1e-3, level / np.maximum(slope, 1e-9), min(half_mm))


def capsule(
    x: Array, y: Array, z: Array, start: Point, end: Point, radius_mm: tuple[float, float]
) -> Array:
    """Distance to a round bar from ``start`` to ``end`` whose radius changes linearly."""
    axis = [e - s for s, e in zip(start, end, strict=True)]
    square = sum(c * c for c in axis)
    px, py, pz = (w - s for w, s in zip((x, y, z), start, strict=True))
    along = np.clip((px * axis[0] + py * axis[1] + pz * axis[2]) / square, 0.0, 1.0)
    qx, qy, qz = (w - along * c for w, c in zip((px, py, pz), axis, strict=True))
    radius = radius_mm[0] + along * (radius_mm[1] - radius_mm[0])
    return np.sqrt(qx * qx + qy * qy + qz * qz) - radius


def polygon(u: Array, v: Array, corners: Sequence[tuple[float, float]]) -> Array:
    """Distance to an infinite prism over a simple polygon, exact."""
    square = np.full(np.broadcast_shapes(u.shape, v.shape), np.inf)
    inside = np.zeros(square.shape, dtype=bool)
    for (u0, v0), (u1, v1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        du, dv = u1 - u0, v1 - v0
        along = np.clip(((u - u0) * du + (v - v0) * dv) / (du * du + dv * dv), 0.0, 1.0)
        np.minimum(square, (u - u0 - along * du) ** 2 + (v - v0 - along * dv) ** 2, out=square)
        if dv != 0.0:
            crosses = (v0 > v) != (v1 > v)
            inside ^= crosses & (u < u0 + (v - v0) * (du / dv))
    distance = np.sqrt(square)
    return np.where(inside, -distance, distance)


class Profile:
    """A size that changes along a line: monotone cubic through knots, constant beyond the ends."""

    def __init__(self, *knots: tuple[float, float]) -> None:
        """Make the profile from (position, value) knots in rising order of position."""
        position, value = np.array(knots, dtype=np.float64).T
        # A dense table with linear look-up is ten times faster than the cubic itself.
        self._position = np.linspace(position[0], position[-1], 401)
        self._value = PchipInterpolator(position, value)(self._position)

    def __call__(self, position: Array) -> Array:
        """Value at each position, same shape."""
        return np.interp(position, self._position, self._value)
