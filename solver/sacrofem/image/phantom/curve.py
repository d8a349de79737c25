"""The curve of the sacrum in the mid-sagittal plane, and coordinates along and across it.

The curve is the pelvic (anterior) face of the sacral bodies in the midline: straight in S1, an arc
through S2 to S4, straight to the apex. ``s`` runs down along it from the promontory, ``t`` is
the depth behind it; both in mm. The origin is the centre of the S1 endplate. Everything here is
in drawn coordinates (:mod:`sacrofem.image.phantom.form`), the default phantom's world.
"""

from math import cos, radians, sin

import numpy as np

from sacrofem.image.phantom.shapes import Array

SLOPE_DEG = 40.0  # sacral slope, about the mean of healthy adults (41, Vialle 2005)
KYPHOSIS_DEG = 62.0  # from the S1 to the S5 pelvic face
STRAIGHT_MM = 26.0  # the arc begins at the foot of S1 ...
ARC_END_MM = 90.0  # ... and ends in S5
LENGTH_MM = 107.0  # along the pelvic face; its chord, 100 mm, is the height (98, PMC5799488)
ENDPLATE_DEPTH_MM = 30.0  # front to back, S1

_KYPHOSIS = radians(KYPHOSIS_DEG)
RADIUS_MM = (ARC_END_MM - STRAIGHT_MM) / _KYPHOSIS
# Unit vectors in (y, z): down along the S1 bodies, and backwards along the endplate.
_DOWN = np.array([sin(radians(SLOPE_DEG)), -cos(radians(SLOPE_DEG))])
_BACK = np.array([cos(radians(SLOPE_DEG)), sin(radians(SLOPE_DEG))])
_PROMONTORY = -0.5 * ENDPLATE_DEPTH_MM * _BACK
_CENTRE = _PROMONTORY + STRAIGHT_MM * _DOWN - RADIUS_MM * _BACK


def along_and_behind(y: Array, z: Array) -> tuple[Array, Array]:
    """Coordinates (s, t) in mm of drawn points (y, z) in mm."""
    back = (y - _CENTRE[0]) * _BACK[0] + (z - _CENTRE[1]) * _BACK[1]
    down = (y - _CENTRE[0]) * _DOWN[0] + (z - _CENTRE[1]) * _DOWN[1]
    angle = np.where(down <= 0.0, 0.0, np.clip(np.arctan2(down, back), 0.0, _KYPHOSIS))
    cosine, sine = np.cos(angle), np.sin(angle)
    # Before and after the arc the frame is that of its end; on the arc the second term is zero.
    s = STRAIGHT_MM + angle * RADIUS_MM + (cosine * down - sine * back)
    t = cosine * back + sine * down - RADIUS_MM
    return s, t


def world(x_mm: float, s_mm: float, t_mm: float) -> tuple[float, float, float]:
    """Drawn position (x, y, z) in mm of a point given by (x, s, t) in mm."""
    angle = min(max((s_mm - STRAIGHT_MM) / RADIUS_MM, 0.0), _KYPHOSIS)
    beyond = s_mm - STRAIGHT_MM - angle * RADIUS_MM
    back = (RADIUS_MM + t_mm) * cos(angle) - beyond * sin(angle)
    down = (RADIUS_MM + t_mm) * sin(angle) + beyond * cos(angle)
    y, z = _CENTRE + back * _BACK + down * _DOWN
    return x_mm, float(y), float(z)
