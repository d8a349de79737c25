"""The shape of the sacrum: fused bodies, alae, canal, foramina, crest and articular processes.

``x`` is the distance from the midline (both sides are alike), ``s`` and ``t`` the coordinates of
:mod:`sacrofem.image.phantom.curve`; all in mm.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sacrofem.image.phantom.curve import LENGTH_MM, along_and_behind, world
from sacrofem.image.phantom.shapes import (
    Array,
    Profile,
    capsule,
    difference,
    intersection,
    superellipse,
    union,
)

# Bodies: half width and depth in mm. S1 endplate 49 x 30, its waist 40 wide (40.3, PMC5799488).
BODY_HALF_WIDTH = Profile((0, 24.5), (6, 22.5), (20, 20), (45, 16), (75, 13), (95, 11), (107, 7))
BODY_DEPTH = Profile((0, 30), (25, 24.5), (45, 18), (65, 13.5), (85, 10.5), (107, 8))
# Lateral mass: its pelvic face lies behind that of the bodies in S1 (so that the promontory juts
# out) and, 45 mm from the midline, in front of it from S2 on (hollow from side to side).
PELVIC_RETREAT = Profile((10, 12), (24, 9), (40, 5.5), (62, 0))
PELVIC_HOLLOW = Profile((0, 3), (30, 4), (50, 4.5), (65, 5), (85, 4), (107, 0))
PELVIC_RIDGE = Profile(  # transverse lines where the discs fused
    (25, 0), (30, 1), (35, 0), (49, 0), (54, 1), (59, 0), (69, 0), (73, 0.9), (77, 0), (87, 0),
    (90, 0.8), (93, 0)
)  # fmt: skip
DORSAL_DEPTH = Profile(
    (-10, 45), (10, 45), (30, 42), (45, 35), (60, 24), (75, 18), (90, 15), (107, 9)
)
DORSAL_GROOVE = Profile((10, 10), (45, 8), (70, 4), (90, 1.5))  # for multifidus, beside the crest
DORSAL_FALL = Profile((10, 2), (35, 2), (55, 7), (80, 11), (107, 8))  # at 45 mm from the midline
HALF_WIDTH = Profile(
    (37, 66), (47, 55), (57, 46), (67, 38.5), (78, 33), (89, 29.5), (96, 23), (101, 14), (107, 9)
)  # fmt: skip
CANAL_HALF_WIDTH = Profile((-20, 16), (0, 15.5), (30, 13), (60, 9), (90, 6), (107, 5))
CANAL_DEPTH = Profile((-20, 16), (0, 15), (30, 12), (60, 8), (90, 5.5), (107, 5))
# Spinous tubercles of the median crest: where, and how far behind the canal.
TUBERCLES = ((13.0, 10.0), (38.0, 8.0), (59.0, 6.0), (77.0, 5.0))
LAMINA_MM = 4.5
LAMINA_TOP_MM, HIATUS_MM = 5.0, 93.0  # the canal is roofed between; below is the sacral hiatus

# The auricular plane x = AT + IN_Y * (y - AT_Y) + IN_Z * z: wider in front and above (keystone).
AURICULAR_AT_MM, AURICULAR_AT_Y_MM = 55.6, 13.0
AURICULAR_IN_Y, AURICULAR_IN_Z = -0.38, 0.08
AURICULAR_NORM = float(np.sqrt(1.0 + AURICULAR_IN_Y**2 + AURICULAR_IN_Z**2))


@dataclass(frozen=True)
class Foramen:
    """One level's foramina: where along the sacrum, how far from the midline, how wide (mm)."""

    s_mm: float
    front_x_mm: float
    front_radius_mm: float
    back_x_mm: float
    back_radius_mm: float


# Anterior S1 13.0 x 12.2, S2 12.9 x 13.1, posterior 10.4 x 7.7 and 7.1 x 7.3 mm (108 sacra, JCDR
# article 11661); heights 13, 13, 10 and pedicles 20, 12, 7 mm (PubMed 9642709); anterior S1 up to
# 31 mm (a denervation guide), posterior S1 23.5 mm (632 patients) from the midline.
FORAMINA = (
    Foramen(30.0, 24.5, 6.3, 23.5, 4.5),
    Foramen(54.5, 21.5, 6.2, 20.5, 3.7),
    Foramen(73.5, 19.0, 5.0, 18.0, 3.3),
    Foramen(88.0, 17.5, 4.4, 17.0, 3.0),
)


def auricular_x(y: Array, z: Array) -> Array:
    """Distance from the midline in mm of the sacrum's auricular plane."""
    return AURICULAR_AT_MM + AURICULAR_IN_Y * (y - AURICULAR_AT_Y_MM) + AURICULAR_IN_Z * z


def bodies(x: Array, s: Array, t: Array) -> Array:
    """Distance to the fused vertebral bodies S1 to S5."""
    depth = BODY_DEPTH(s)
    t = t + PELVIC_RIDGE(s)
    column = superellipse(x, t - 0.5 * depth, BODY_HALF_WIDTH(s), 0.5 * depth, 2.4)
    # The endplate is dished by about 1.5 mm and has a rounded rim.
    dish = 1.5 * np.maximum(1.0 - (x / 22.0) ** 2 - ((t - 15.0) / 13.0) ** 2, 0.0)
    column = intersection(column, dish - s, 3.0)
    return intersection(column, s - LENGTH_MM, 6.0)


def lateral_masses(x: Array, y: Array, z: Array, s: Array, t: Array) -> Array:
    """Distance to alae and lateral masses: what fused from the ribs beside the bodies."""
    out = (x / 45.0) ** 2
    groove = DORSAL_GROOVE(s) * np.exp(-((x / 21.0) ** 2))
    front = PELVIC_RETREAT(s) - PELVIC_HOLLOW(s) * out - t
    back = t - DORSAL_DEPTH(s) + DORSAL_FALL(s) * out + groove
    # The upper face slopes forwards and down (alar slope).
    rim = 0.02 * np.maximum(x - 40.0, 0.0) ** 2 - 0.04 * (x - 24.0)
    top = (30.0 + rim - 0.818 * t - s) / 1.3
    # Behind the ear-shaped joint the sacrum falls back from the ilium (ligament pit).
    pit = 21.0 - np.hypot(s - 14.0, t - 57.0)
    side = (x - auricular_x(y, z)) / AURICULAR_NORM
    side = side + 0.5 * np.maximum(pit, 0.0) ** 2 / (np.maximum(pit, 0.0) + 6.0)
    side = intersection(side, x - HALF_WIDTH(s), 7.0)
    mass = intersection(intersection(front, top, 5.0), intersection(back, side, 4.0), 8.0)
    return intersection(mass, s - LENGTH_MM + 5.0, 5.0)


def canal(x: Array, s: Array, t: Array, wider_mm: float = 0.0) -> Array:
    """Distance to the triangular sacral canal, or to its offset by ``wider_mm``."""
    half, depth = CANAL_HALF_WIDTH(s), CANAL_DEPTH(s)
    floor = BODY_DEPTH(s) - t - wider_mm
    slope = half / depth
    roof = (x - slope * (depth - (t - BODY_DEPTH(s)))) / np.sqrt(1.0 + slope**2) - wider_mm
    return intersection(floor, intersection(roof, t - BODY_DEPTH(s) - depth + 2.5 - wider_mm), 3.0)


def dorsal_wall(x: Array, y: Array, z: Array, s: Array, t: Array) -> Array:
    """Distance to laminae and median crest."""
    wall = canal(x, s, t, LAMINA_MM)
    wall = intersection(wall, LAMINA_TOP_MM - 0.25 * (t - 45.0) - s, 3.0)
    wall = intersection(wall, s - HIATUS_MM, 3.0)
    tips = []
    for s_mm, height_mm in TUBERCLES:
        roof = float(BODY_DEPTH(np.array(s_mm)) + CANAL_DEPTH(np.array(s_mm)))
        root, tip = world(0.0, s_mm, roof + 2.0), world(0.0, s_mm + 4.0, roof + height_mm)
        wall = union(wall, capsule(x, y, z, root, tip, (3.5, 3.0)), 4.0)
        tips.append(world(0.0, s_mm + 2.0, roof + 0.6 * height_mm - 1.0))
    for upper, lower in pairwise(tips):
        wall = union(wall, capsule(x, y, z, upper, lower, (2.6, 2.6)), 4.0)
    return wall


def facet_side(x: Array, s: Array, t: Array) -> Array:
    """Distance in mm behind the L5-S1 facet joint, whose normal looks back and inwards."""
    return -0.6 * (x - 21.5) + 0.8 * (t - 45.0)


def articular_processes(x: Array, y: Array, z: Array, s: Array, t: Array, gap_mm: float) -> Array:
    """Distance to the superior articular processes of S1."""
    root, tip = world(23.0, 9.0, 39.0), world(25.0, -9.0, 41.5)
    process = capsule(x, y, z, root, tip, (8.0, 7.0))
    return intersection(process, facet_side(x, s, t) + 0.5 * gap_mm, 1.5)


def foramen(x: Array, y: Array, z: Array, level: Foramen) -> Array:
    """Distance to one level's passages: canal to the front opening and to the back opening."""
    s_mm = np.array(level.s_mm)
    depth, dorsal = float(BODY_DEPTH(s_mm)), float(DORSAL_DEPTH(s_mm))
    # The nerve leaves the canal above its foramen and runs down and out to it.
    inner = world(4.0, level.s_mm - 5.0, depth + 0.25 * level.front_radius_mm)
    middle = world(level.front_x_mm - 1.5, level.s_mm, 0.85 * depth)
    mouth = world(level.front_x_mm, level.s_mm + 1.0, float(PELVIC_RETREAT(s_mm)))
    front = world(level.front_x_mm, level.s_mm + 1.0, -8.0)
    back = world(level.back_x_mm, level.s_mm + 1.0, dorsal + 8.0)
    neck_mm, front_mm, back_mm = (
        0.65 * level.front_radius_mm,
        level.front_radius_mm,
        level.back_radius_mm,
    )
    passage = capsule(x, y, z, inner, middle, (neck_mm, neck_mm))
    passage = union(passage, capsule(x, y, z, middle, mouth, (neck_mm, front_mm)), 3.0)
    passage = union(passage, capsule(x, y, z, mouth, front, (front_mm, front_mm)))
    return union(passage, capsule(x, y, z, middle, back, (back_mm, back_mm)), 3.0)


def passages(x: Array, y: Array, z: Array, s: Array, t: Array) -> Array:
    """Distance to canal and foramina together: what holds nerves and fat, not bone."""
    hollow = canal(x, s, t)
    for level in FORAMINA:
        hollow = union(hollow, foramen(x, y, z, level), 2.0)
    return hollow


def sacrum(x: Array, y: Array, z: Array, gap_mm: float) -> Array:
    """Distance in mm to the sacrum at world points (x, y, z) in mm."""
    side = np.abs(x)
    s, t = along_and_behind(y, z)
    bone = union(bodies(side, s, t), lateral_masses(side, y, z, s, t), 9.0)
    bone = union(bone, dorsal_wall(side, y, z, s, t), 3.0)
    bone = union(bone, articular_processes(side, y, z, s, t, gap_mm), 4.0)
    return difference(bone, passages(side, y, z, s, t), 1.5)
