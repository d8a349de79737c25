"""The shapes of the hip bone (ilium, acetabulum, pubis, ischium) and of the L5 vertebra.

Both sides are alike: ``x`` is the distance from the midline. World coordinates in mm, the origin at
the centre of the S1 endplate.
"""

from functools import reduce

import numpy as np
from scipy.special import expit

from sacrofem.image.phantom.curve import along_and_behind, world
from sacrofem.image.phantom.sacrum import AURICULAR_NORM, auricular_x, facet_side
from sacrofem.image.phantom.shapes import (
    Array,
    Profile,
    capsule,
    difference,
    ellipsoid,
    intersection,
    polygon,
    superellipse,
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
])  # fmt: skip
# The ilium from the side, in (y, z): iliac crest, posterior spines, greater sciatic notch, front.
ILIUM_YZ = (
    (-61, 4), (-49, 19), (-33, 32), (-14, 42), (6, 45), (24, 41), (40, 32), (52, 20), (57, 8),
    (57, -6), (54, -20), (49, -34), (41, -45), (31, -52), (22, -58), (15, -70), (-10, -76),
    (-36, -68), (-52, -56), (-57, -44), (-58, -32), (-64, -18), (-68, -4),
)  # fmt: skip
ROUND_MM = 5.0  # the outline above is drawn that far inside, so that its corners are round
BLADE_THICKNESS = Profile((-80, 9), (-40, 7), (-10, 8), (4, 12), (15, 18), (45, 17), (65, 12))

SOCKET = (85.0, -24.0, -68.0)  # centre of the hip joint, mm
HEAD_RADIUS_MM = 24.5
OPENING = (0.77, -0.3, -0.56)  # the socket looks to the side, forwards and down

DISC_MM = 9.0  # L5-S1 disc height


def _cubic(y: Array, z: Array) -> list[Array]:
    """Monomials up to the third degree of (y, z) scaled to about one."""
    u, v = y / 50.0, z / 50.0
    return [u**i * v**j for i in range(4) for j in range(4 - i)]


_BLADE = np.linalg.lstsq(
    np.stack(_cubic(BLADE_YZX[:, 0], BLADE_YZX[:, 1]), axis=1), BLADE_YZX[:, 2], rcond=None
)[0]


def joint_face(y: Array, z: Array, gap_mm: float) -> Array:
    """Distance from the midline in mm of the ilium's joint face, ``gap_mm`` off the sacrum's."""
    return auricular_x(y, z) + gap_mm * AURICULAR_NORM


def ilium(x: Array, y: Array, z: Array, gap_mm: float) -> Array:
    """Distance to the ilium: blade, crest, joint face and posterior spines."""
    outline = polygon(y, z, ILIUM_YZ) - ROUND_MM
    middle = np.zeros(outline.shape)
    for coefficient, monomial in zip(_BLADE, _cubic(y, z), strict=True):
        middle = middle + coefficient * monomial
    thickness = BLADE_THICKNESS(y)
    thickness = thickness + 6.0 * np.exp(-((np.minimum(outline, 0.0) / 9.0) ** 2)) * np.clip(
        z / 25.0, 0.0, 1.0
    )
    # Behind, below the crest, the blade thickens into the joint face and runs along it.
    facing = expit((y - 10.0) / 3.5) * expit((24.0 - z) / 5.0)
    face = joint_face(y, z, gap_mm)
    # So far inside the face that the blend below leaves the face as it is.
    middle = middle + facing * (face + 0.5 * thickness - 7.0 - middle)
    inner = intersection(middle - 0.5 * thickness, face, 6.0)
    outer = intersection(middle + 0.5 * thickness, inner + 1.1 * thickness, 6.0)
    lean = (
        1.35  # of the blade against the sagittal plane: distances across it are shorter than in x
    )
    plate = intersection((inner - x) / lean, (x - outer) / lean, 3.0)
    return intersection(plate, outline, 6.0)


def hip(x: Array, y: Array, z: Array, gap_mm: float) -> Array:
    """Distance in mm to the hip bones at world points (x, y, z) in mm."""
    side = np.abs(x)
    bone = ilium(side, y, z, gap_mm)
    head = (SOCKET[0] + 8.0, SOCKET[1] - 2.0, SOCKET[2] - 3.0)
    rim = OPENING[0] * (side - head[0]) + OPENING[1] * (y - head[1]) + OPENING[2] * (z - head[2])
    cup = ellipsoid(side, y, z, SOCKET, (32.0, 31.0, 31.0))
    bone = union(bone, intersection(cup, rim - 3.0, 3.0), 12.0)
    pubis, ischium = (11.0, -66.0, -112.0), (58.0, 12.0, -128.0)
    for start, end, radius_mm in (
        ((66.0, -46.0, -70.0), pubis, (12.0, 8.0)),  # superior ramus
        (pubis, (10.0, -63.0, -126.0), (9.5, 9.0)),
        ((12.0, -63.0, -127.0), (48.0, -8.0, -146.0), (7.0, 7.0)),  # inferior ramus
        ((72.0, -4.0, -82.0), ischium, (16.0, 13.0)),
        (ischium, (50.0, -4.0, -143.0), (13.0, 8.0)),
    ):
        bone = union(bone, capsule(side, y, z, start, end, radius_mm), 6.0)
    half = (HEAD_RADIUS_MM,) * 3
    bone = difference(bone, ellipsoid(side, y, z, head, half), 2.0)
    return intersection(bone, 2.5 - side, 1.0)  # symphysis


def lumbar(x_mm: float, behind_mm: float, up_mm: float) -> tuple[float, float, float]:
    """World point from L5's own frame: behind the axis of its body, above the S1 endplate."""
    return world(x_mm, -up_mm, behind_mm + 15.0)


def vertebra_body(x: Array, up: Array, behind: Array) -> Array:
    """Distance to the body of L5: a wedge, 28 mm high in front and 23 behind, waisted."""
    waist = 3.0 * np.clip(1.0 - ((up - DISC_MM - 12.5) / 12.5) ** 2, 0.0, 1.0)
    body = superellipse(x, behind + 1.0, 25.5 - waist, 17.5 - 0.7 * waist, 2.3)
    lower = DISC_MM - up
    upper = (up - DISC_MM - 25.5 + 0.15 * behind) / 1.01
    return intersection(body, intersection(lower, upper), 3.0)


def vertebra_arch(x: Array, y: Array, z: Array) -> Array:
    """Distance to pedicles, processes and laminae of L5, without the facet cut."""
    parts = (
        ((15, 10, 26), (18, 24, 26), (7.0, 6.5)),  # pedicle
        ((21, 17, 26), (44, 24, 31), (6.0, 4.0)),  # transverse process
        ((19, 24, 27), (23, 31, 40), (6.0, 5.0)),  # superior articular process
        ((18, 25, 24), (19, 33, 11), (5.5, 5.5)),  # pars
        ((19.5, 32.5, 9), (19.8, 32.5, -5), (6.7, 6.5)),  # inferior articular process
        ((16, 33, 17), (2, 43, 10), (4.5, 4.5)),  # lamina
        ((0, 43, 11), (0, 63, 4), (4.5, 5.0)),  # spinous process
    )
    bars = (
        capsule(x, y, z, lumbar(*start), lumbar(*end), radius_mm) for start, end, radius_mm in parts
    )
    return reduce(lambda arch, bar: union(arch, bar, 4.0), bars)


def vertebra(x: Array, y: Array, z: Array, sacrum_mm: Array, gap_mm: float) -> Array:
    """Distance in mm to L5 at world points; ``sacrum_mm`` is the distance to the sacrum there."""
    side = np.abs(x)
    s, t = along_and_behind(y, z)
    up, behind = -s, t - 15.0
    arch = vertebra_arch(side, y, z)
    before_facet = intersection(facet_side(side, s, t) - 0.5 * gap_mm, up - 14.0)
    arch = difference(arch, before_facet, 1.0)
    bone = union(vertebra_body(side, up, behind), arch, 4.0)
    return intersection(bone, gap_mm - sacrum_mm)


def disc(x: Array, y: Array, z: Array) -> Array:
    """Distance to the L5-S1 disc."""
    s, t = along_and_behind(y, z)
    ring = superellipse(np.abs(x), t - 15.0, np.array(24.0), np.array(15.5), 2.4)
    return intersection(ring, np.abs(-s - 0.5 * DISC_MM) - 0.5 * DISC_MM - 1.0)
