"""The shapes of the hip bone (ilium, acetabulum, pubis, ischium) and of the upper femur.

Drawn once, in drawn coordinates (:mod:`sacrofem.image.phantom.form`), ``x`` being the distance from
the midline; only the spheres of the hip joint are drawn in the world, so that they stay spheres.
The hip joints stand 100 mm below and before the S1 endplate: a pelvic incidence of 60 degrees, 46
of sacral slope and 14 of pelvic tilt (55 +- 11, 41 +- 8 and 13 +- 6, Vialle 2005).
"""

import numpy as np
from numpy.polynomial.polynomial import polyval2d
from scipy.special import expit

from sacrofem.image.phantom.form import Form
from sacrofem.image.phantom.sacrum import AURICULAR_NORM, auricular_x
from sacrofem.image.phantom.shapes import (
    Array,
    Point,
    Profile,
    capsule,
    difference,
    ellipsoid,
    intersection,
    polygon,
    union,
)

# The middle of the iliac blade: distance from the midline at points (y, z), read off the CT of an
# adult and scaled to this sacrum's width.
BLADE_YZX = np.array([
    (-18, 43, 115), (-6, 43, 104), (6, 43, 90), (18, 43, 76), (-42, 31, 124), (-18, 31, 117),
    (-6, 31, 103), (6, 31, 84), (18, 31, 68), (42, 31, 55), (-54, 19, 124), (-30, 19, 121),
    (-6, 19, 96), (18, 19, 62), (42, 19, 51), (-66, 7, 118), (-30, 7, 115), (-6, 7, 92),
    (6, 7, 74), (18, 7, 62), (54, 7, 47), (-54, -5, 115), (-30, -5, 110), (-6, -5, 87),
    (18, -5, 62), (54, -5, 46), (-66, -17, 110), (-18, -17, 95), (6, -17, 68), (42, -17, 50),
    (-66, -29, 105), (-42, -29, 99), (-18, -29, 87), (6, -29, 66), (30, -29, 54),
    (-54, -41, 98), (-30, -41, 90), (-6, -41, 75), (-30, -53, 82), (6, -53, 70),
    (-45, -68, 83), (-25, -75, 77), (6, -75, 66), (-40, -90, 77), (-20, -95, 71), (5, -92, 62),
])  # fmt: skip
# The ilium from the side, in (y, z): iliac crest, posterior spines, greater sciatic notch, front.
ILIUM_YZ = (
    (-61, 4), (-49, 19), (-33, 32), (-14, 42), (6, 45), (24, 41), (40, 32), (52, 20), (57, 8),
    (57, -6), (54, -20), (50, -36), (44, -50), (36, -55), (28, -50), (21, -47), (15, -54),
    (10, -66), (8, -90), (-8, -98), (-34, -93), (-49, -80), (-53, -66), (-55, -48), (-59, -32),
    (-65, -18), (-68, -4),
)  # fmt: skip
ROUND_MM = 5.0  # the outline above is drawn that far inside, so that its corners are round
BLADE_THICKNESS = Profile((-80, 9), (-40, 7), (-10, 8), (4, 12), (15, 18), (45, 17), (65, 12))

HIP_JOINT = (87.0, -25.0, -96.0)  # its centre, mm
SOCKET_RADIUS_MM = 24.5  # of the articular surface; the head is smaller by the joint space
HIP_SPACE_MM = 2.7
CUP_AT, CUP_HALF_MM = (84.0, -24.0, -92.0), (31.0, 31.0, 31.0)
OPENING = (0.77, -0.3, -0.56)  # the socket looks to the side, forwards and down
# Bars (start, end, radii in mm) that carry from the sacroiliac joint to the socket and the pubis,
# and those of pubis and ischium.
PUBIS, ISCHIUM = (11.0, -67.0, -120.0), (58.0, 10.0, -146.0)
BARS: tuple[tuple[Point, Point, tuple[float, float]], ...] = (
    ((66.0, 12.0, -30.0), (82.0, -18.0, -70.0), (9.0, 13.0)),  # sciatic buttress
    ((64.0, 0.0, -38.0), (66.0, -34.0, -84.0), (7.0, 9.0)),  # arcuate line
    ((66.0, -36.0, -86.0), PUBIS, (12.0, 8.0)),  # superior ramus
    (PUBIS, (10.0, -64.0, -135.0), (9.5, 9.0)),
    ((12.0, -64.0, -136.0), (48.0, -8.0, -155.0), (7.0, 7.0)),  # inferior ramus
    ((73.0, -2.0, -108.0), ISCHIUM, (16.0, 14.0)),
    (ISCHIUM, (51.0, -3.0, -153.0), (13.0, 8.0)),  # tuberosity
    ((64.0, 6.0, -96.0), (53.0, 15.0, -102.0), (7.0, 3.5)),  # spine
)
# Femur: neck, greater trochanter and shaft, at 127 degrees.
FEMUR_BARS: tuple[tuple[Point, Point, tuple[float, float]], ...] = (
    (HIP_JOINT, (124.0, -18.0, -123.0), (15.0, 17.0)),
    ((131.0, -9.0, -108.0), (129.0, -14.0, -122.0), (13.0, 17.0)),
    ((126.0, -18.0, -126.0), (122.0, -19.0, -190.0), (16.5, 15.0)),
)
STUMP_Z_MM = -168.0  # the drawn femur ends here, within every scan
HIGH_SACRUM_MM = 6.0  # a dysmorphic sacrum stands higher between the ilia by up to this


def _blade() -> Array:
    """Coefficients [i, j] of (y / 50)**i (z / 50)**j that fit the blade: a cubic surface."""
    powers = [(i, j) for i in range(4) for j in range(4 - i)]
    u, v = BLADE_YZX[:, 0] / 50.0, BLADE_YZX[:, 1] / 50.0
    terms = np.stack([u**i * v**j for i, j in powers], axis=1)
    coefficients = np.zeros((4, 4))
    coefficients[tuple(np.array(powers).T)] = np.linalg.lstsq(terms, BLADE_YZX[:, 2], rcond=None)[0]
    return coefficients


_BLADE = _blade()


def joint_face(y: Array, z: Array, gap_mm: float, form: Form) -> Array:
    """Distance from the midline in mm of the ilium's joint face, ``gap_mm`` off the sacrum's."""
    return auricular_x(y, z, form) + gap_mm * AURICULAR_NORM


def ilium(x: Array, y: Array, z: Array, face: Array) -> Array:
    """Distance to the ilium: blade, crest, joint face (at x = ``face``), posterior spines."""
    outline = polygon(y, z, ILIUM_YZ) - ROUND_MM
    middle = polyval2d(y / 50.0, z / 50.0, _BLADE)
    thickness = BLADE_THICKNESS(y)
    thickness = thickness + 6.0 * np.exp(-((np.minimum(outline, 0.0) / 9.0) ** 2)) * np.clip(
        z / 25.0, 0.0, 1.0
    )
    # The body of the ilium, above the socket, is thicker than its wing.
    thickness = thickness + 11.0 * np.clip((-20.0 - z) / 40.0, 0.0, 1.0)
    # Behind, below the crest, the blade thickens into the joint face and runs along it.
    facing = expit((y - 10.0) / 3.5) * expit((24.0 - z) / 5.0)
    # So far inside the face that the blend below leaves the face as it is.
    middle = middle + facing * (face + 0.5 * thickness - 7.0 - middle)
    inner = intersection(middle - 0.5 * thickness, face, 6.0)
    outer = intersection(middle + 0.5 * thickness, inner + 1.1 * thickness, 6.0)
    lean = (
        1.35  # of the blade against the sagittal plane: distances across it are shorter than in x
    )
    plate = intersection((inner - x) / lean, (x - outer) / lean, 3.0)
    return intersection(plate, outline, 6.0)


def hip_joint(sign: float, form: Form) -> Array:
    """Centre in world mm, shape (3,), of the left (``sign`` 1) or right (-1) hip joint."""
    x, y, z = HIP_JOINT
    return form.world((sign * x, y, z - HIGH_SACRUM_MM * form.dysmorphism))


def socket_radius(form: Form) -> float:
    """Radius in mm of the acetabulum's articular surface."""
    return SOCKET_RADIUS_MM * form.long


def hip(x: Array, y: Array, z: Array, sign: float, gap_mm: float, form: Form) -> Array:
    """Distance in mm to the left (``sign`` 1) or right (-1) hip bone at world points in mm."""
    across, v, w = form.drawn(x, y, z)
    side, face = sign * across, joint_face(v, w, gap_mm / form.wide, form)
    w = w + HIGH_SACRUM_MM * form.dysmorphism
    bone = ilium(side, v, w, face)
    rim = sum(n * (q - c) for n, q, c in zip(OPENING, (side, v, w), HIP_JOINT, strict=True))
    cup = ellipsoid(side, v, w, CUP_AT, CUP_HALF_MM)
    bone = union(bone, intersection(cup, np.asarray(rim), 3.0), 12.0)
    for start, end, radius_mm in BARS:
        bone = union(bone, capsule(side, v, w, start, end, radius_mm), 6.0)
    # Bars and fillets must not close the joint space; before the joint there is nothing to spare.
    bone = intersection(bone, (face - side) / AURICULAR_NORM - 1.2 * np.maximum(-v, 0.0))
    bone = form.scale * bone
    bone = difference(bone, _ball(x, y, z, hip_joint(sign, form), socket_radius(form)), 2.0)
    return intersection(bone, 2.5 - sign * x, 1.0)  # symphysis


def femur(x: Array, y: Array, z: Array, sign: float, form: Form) -> Array:
    """Distance in mm to the upper end of the left or right femur at world points in mm."""
    head = _ball(x, y, z, hip_joint(sign, form), socket_radius(form) - HIP_SPACE_MM)
    across, v, w = form.drawn(x, y, z)
    w = w + HIGH_SACRUM_MM * form.dysmorphism
    bars = [capsule(sign * across, v, w, *bar) for bar in FEMUR_BARS]
    shaft = union(union(bars[0], bars[1], 8.0), bars[2], 8.0)
    end = STUMP_Z_MM - z / form.long
    return union(head, form.scale * intersection(shaft, end, 2.0), 3.0)


def _ball(x: Array, y: Array, z: Array, centre: Array, radius_mm: float) -> Array:
    return np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2) - radius_mm
