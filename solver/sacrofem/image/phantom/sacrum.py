"""The shape of the sacrum: fused bodies, alae, canal, foramina, crest and articular processes.

Drawn coordinates (:mod:`sacrofem.image.phantom.form`): ``x`` is the distance from the midline
(both sides are alike), ``s`` and ``t`` are those of :mod:`sacrofem.image.phantom.curve`; all in mm.

Upper sacral dysmorphism (Routt 1996, Kaiser 2014) is drawn by its signs: alae that fall steeply
outwards and forwards, a narrower S1 body that stands higher above them, mammillary bodies, large
oval upper foramina, a joint that begins lower and is more deeply furrowed. A remnant of the disc
S1|S2 is in :mod:`sacrofem.image.phantom.tissue`. How far each sign goes is a choice.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.special import expit

from sacrofem.image.phantom.curve import LENGTH_MM, along_and_behind, world
from sacrofem.image.phantom.form import Form
from sacrofem.image.phantom.shapes import (
    Array,
    Point,
    Profile,
    capsule,
    difference,
    ellipsoid,
    intersection,
    polygon,
    superellipse,
    union,
)

# Bodies: half width and depth in mm. S1 endplate 49 x 30, its waist 40 wide (40.3, PMC5799488).
BODY_HALF_WIDTH = Profile((0, 24.5), (6, 22.5), (20, 20), (45, 16), (75, 13), (95, 12), (107, 9))
BODY_DEPTH = Profile((0, 30), (25, 24.5), (45, 18), (65, 13.5), (85, 10.5), (107, 8))
# Lateral mass: its pelvic face lies behind that of the bodies in S1 (so that the promontory juts
# out) and sweeps forwards by HOLLOW at 45 mm from the midline, as in the CT of an adult.
PELVIC_RETREAT = Profile((0, 13), (10, 13), (24, 10.5), (40, 6), (62, 0))
PELVIC_HOLLOW = Profile((0, 9), (24, 9), (40, 7), (65, 5), (85, 4), (107, 0))
PELVIC_RIDGE = Profile(  # transverse lines where the discs fused
    (25, 0), (30, 1), (35, 0), (49, 0), (54, 1), (59, 0), (69, 0), (73, 0.9), (77, 0), (87, 0),
    (90, 0.8), (93, 0)
)  # fmt: skip
DORSAL_DEPTH = Profile(
    (-10, 45), (10, 44.5), (30, 40.5), (45, 33.5), (60, 24), (75, 18), (90, 15), (107, 9)
)
DORSAL_GROOVE = Profile((10, 10), (45, 8), (70, 4), (90, 1.5))  # for multifidus, beside the crest
# Fall of the dorsal face at 45 mm from the midline.
DORSAL_FALL = Profile((0, 2.5), (12, 2.5), (24, 6), (35, 4), (55, 7), (80, 11), (107, 8))
LATERAL_CREST_AT = Profile((20, 33), (54, 30), (73, 26), (90, 23))  # beside the dorsal foramina
LATERAL_CREST_MM = 1.5
HALF_WIDTH = Profile(
    (44, 66), (55, 53), (63, 44), (70, 38), (78, 34), (89, 29.5), (95, 24), (101, 15), (107, 9)
)  # fmt: skip
CANAL_HALF_WIDTH = Profile((-20, 16), (0, 15.5), (30, 13), (60, 9), (90, 6), (107, 5))
CANAL_DEPTH = Profile((-20, 16), (0, 15), (30, 12), (60, 9), (90, 7.5), (107, 7))
FLAT_MM = 2.5  # the roof is cut off this far before its ridge: the canal is 5 mm deep at its end
# Spinous tubercles of the median crest: where, and how far behind the canal.
TUBERCLES = ((13.0, 10.0), (38.0, 8.0), (59.0, 6.0), (77.0, 4.0))
LAMINA_MM = 4.5
LAMINA_TOP_MM, HIATUS_MM = 5.0, 93.0  # the canal is roofed between; below is the sacral hiatus
FACET_AT = (22.5, 5.0, 44.0)  # middle of the L5-S1 facet joint in (x, s, t), mm

# The auricular plane x = AT + IN_Y * (y - AT_Y) + IN_Z * z: wider in front and above (keystone).
AURICULAR_AT_MM, AURICULAR_AT_Y_MM = 52.7, 13.0
AURICULAR_IN_Y, AURICULAR_IN_Z = -0.36, 0.08
AURICULAR_NORM = float(np.sqrt(1.0 + AURICULAR_IN_Y**2 + AURICULAR_IN_Z**2))
WAVE_MM, WAVE_LENGTH_MM = 0.7, 36.0  # the joint's ridges and hollows
# The ear-shaped joint in (s, t), after the CT of an adult: a long upper limb at S1, a short lower
# one down to S3. With its edges rounded off by the sacrum's, it is 53 mm high along the sacrum
# (56.2 +- 4.6, PMC5799488) and 14.5 cm2 (15.0 +- 2.4, Poilliot).
EAR_ST = (
    (1, 36), (4, 22), (9, 10), (17, 7), (28, 6), (40, 7), (49, 10), (55, 14), (58, 18), (57, 24),
    (52, 29), (44, 31), (37, 27), (31, 22), (25, 22), (20, 27), (17, 34), (14, 39), (5, 40),
)  # fmt: skip
EAR_ROUND_MM = 2.0  # the outline above is drawn that far inside
RECESS_MM, RECESS_OVER_MM = 8.0, 4.5  # how far the sacrum stands back behind the joint

# What full dysmorphism adds.
STEEPER_OUT, STEEPER_FORWARDS = 0.22, 0.25  # alar slope
LOWER_JOINT_MM, DEEPER_WAVE_MM = 5.0, 1.3
NARROWER_BODY, WIDER_FORAMEN = 0.08, 0.15
MAMMILLARY_XT = (37.0, 33.0)


@dataclass(frozen=True)
class Foramen:
    """One level's foramina: where along the sacrum, how far from the midline, how wide (mm)."""

    s_mm: float
    front_x_mm: float
    front_radius_mm: float
    back_x_mm: float
    back_radius_mm: float
    oval_mm: float = 0.0  # the pelvic opening is drawn out upwards and outwards by this


# Anterior S1 13.0 x 12.2, S2 12.9 x 13.1, posterior 10.4 x 7.7 and 7.1 x 7.3 mm (108 sacra, JCDR
# article 11661); heights 13, 13, 10 and pedicles 20, 12, 7 mm (PubMed 9642709); anterior S1 up to
# 31 mm (a denervation guide), posterior S1 23.5 mm (632 patients) from the midline.
FORAMINA = (
    Foramen(30.0, 24.5, 6.3, 23.5, 4.5),
    Foramen(54.5, 21.5, 6.2, 20.5, 3.7),
    Foramen(73.5, 19.0, 5.0, 18.0, 3.3),
    Foramen(88.0, 17.5, 4.4, 17.0, 3.0),
)


def foramina(form: Form) -> tuple[Foramen, ...]:
    """The foramina S1 to S4 of one form: they stand beside its bodies."""
    wider = [1.0 + WIDER_FORAMEN * form.dysmorphism * share for share in (1.0, 0.7, 0.0, 0.0)]
    return tuple(
        replace(
            level,
            front_x_mm=level.front_x_mm * form.body,
            back_x_mm=level.back_x_mm * form.body,
            front_radius_mm=level.front_radius_mm * factor,
            oval_mm=20.0 * (factor - 1.0),
        )
        for level, factor in zip(FORAMINA, wider, strict=True)
    )


def auricular_x(y: Array, z: Array, form: Form) -> Array:
    """Distance from the midline in mm of the sacrum's auricular surface, gently undulating."""
    wave_mm = WAVE_MM + DEEPER_WAVE_MM * form.dysmorphism
    plane = AURICULAR_AT_MM + AURICULAR_IN_Y * (y - AURICULAR_AT_Y_MM) + AURICULAR_IN_Z * z
    turn = 2.0 * np.pi / WAVE_LENGTH_MM
    return plane + wave_mm * np.sin(turn * (y - 0.6 * z)) * np.cos(0.6 * turn * (z + 0.6 * y))


def body_half_width(s: Array, form: Form) -> Array:
    """Half width of the bodies in mm."""
    narrower = NARROWER_BODY * form.dysmorphism * np.clip(1.5 - s / 30.0, 0.0, 1.0)
    return BODY_HALF_WIDTH(s) * form.body * (1.0 - narrower)


def bodies(x: Array, s: Array, t: Array, form: Form) -> Array:
    """Distance to the fused vertebral bodies S1 to S5."""
    depth = BODY_DEPTH(s)
    t = t + PELVIC_RIDGE(s)
    column = superellipse(x, t - 0.5 * depth, body_half_width(s, form), 0.5 * depth, 2.4)
    # The endplate is dished by about 1.5 mm and has a rounded rim.
    dish = 1.5 * np.maximum(1.0 - (x / 22.0) ** 2 - ((t - 15.0) / 13.0) ** 2, 0.0)
    column = intersection(column, dish - s, 3.0)
    return intersection(column, s - LENGTH_MM, 6.0)


def alar_top(x: Array, t: Array, form: Form) -> Array:
    """Where along ``s`` the upper face of the ala is: falling forwards and, ever more, outwards."""
    wing = np.maximum(x - 24.0, 0.0)
    top = 9.0 - 0.3 * t + 0.06 * wing + 0.008 * wing**2
    return top + form.dysmorphism * (STEEPER_OUT * wing + STEEPER_FORWARDS * (30.0 - t))


def lateral_masses(x: Array, y: Array, z: Array, s: Array, t: Array, form: Form) -> Array:
    """Distance to alae and lateral masses: what fused from the ribs beside the bodies."""
    out = (x / 45.0) ** 2
    groove = DORSAL_GROOVE(s) * np.exp(-((x / 23.0) ** 2))
    groove = groove - LATERAL_CREST_MM * np.exp(-(((x - LATERAL_CREST_AT(s)) / 4.0) ** 2))
    front = PELVIC_RETREAT(s) - PELVIC_HOLLOW(s) * out - t
    back = t - DORSAL_DEPTH(s) + DORSAL_FALL(s) * out + groove
    top = (alar_top(x, t, form) - s) / (1.1 + 0.1 * form.dysmorphism)
    side = lateral_face(x, y, z, s, t, form)
    side = intersection(side, x - HALF_WIDTH(s - LOWER_JOINT_MM * form.dysmorphism), 12.0)
    mass = intersection(intersection(front, side, 10.0), intersection(back, top, 6.0), 9.0)
    if form.dysmorphism > 0.0:
        mass = union(mass, mammillary_body(x, s, t, form), 4.0)
    return intersection(mass, s - LENGTH_MM + 5.0, 5.0)


def mammillary_body(x: Array, s: Array, t: Array, form: Form) -> Array:
    """Distance to the knob that dysmorphic alae bear on their upper face."""
    at_x, at_t = MAMMILLARY_XT
    at_s = float(alar_top(np.array(at_x), np.array(at_t), form)) + 2.5
    radius_mm = 4.0 + 3.5 * form.dysmorphism
    return ellipsoid(x, s, t, (at_x, at_s, at_t), (radius_mm,) * 3)


def ear(s: Array, t: Array, form: Form) -> Array:
    """Distance to the outline of the ear-shaped joint, negative within it."""
    return polygon(s - LOWER_JOINT_MM * form.dysmorphism, t, EAR_ST) - EAR_ROUND_MM


def lateral_face(x: Array, y: Array, z: Array, s: Array, t: Array, form: Form) -> Array:
    """Distance to the side: the joint's face, and set back behind it the sacral tuberosity."""
    outside = np.maximum(ear(s, t, form), 0.0)
    behind = expit((t - 22.0) / 3.0)
    recess = RECESS_MM * behind * (1.0 - np.exp(-((outside / RECESS_OVER_MM) ** 2)))
    return (x - auricular_x(y, z, form)) / AURICULAR_NORM + recess


def canal(x: Array, s: Array, t: Array, wider_mm: float = 0.0) -> Array:
    """Distance to the triangular sacral canal, or to its offset by ``wider_mm``."""
    half, depth = CANAL_HALF_WIDTH(s), CANAL_DEPTH(s)
    floor = BODY_DEPTH(s) - t - wider_mm
    slope = half / depth
    sides = (x - slope * (depth - (t - BODY_DEPTH(s)))) / np.sqrt(1.0 + slope**2)
    roof = intersection(sides, t - BODY_DEPTH(s) - depth + FLAT_MM)
    return intersection(floor, roof - wider_mm, 3.0)


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
    return -0.6 * (x - FACET_AT[0]) + 0.8 * (t - FACET_AT[2])


def articular_processes(x: Array, y: Array, z: Array, s: Array, t: Array, gap_mm: float) -> Array:
    """Distance to the superior articular processes of S1: short and stout, cut by the facet."""
    across = 0.8 * (x - FACET_AT[0]) + 0.6 * (t - FACET_AT[2])
    behind = facet_side(x, s, t)
    process = ellipsoid(across, behind, s, (1.0, -4.0, FACET_AT[1]), (9.5, 9.0, 11.0))
    return intersection(process, behind + 0.5 * gap_mm, 1.5)


def dorsal_axis(level: Foramen) -> tuple[Point, Point]:
    """Drawn points on the axis of a posterior foramen: behind the bone, and deep in it."""
    s_mm = np.array(level.s_mm)
    depth, dorsal = float(BODY_DEPTH(s_mm)), float(DORSAL_DEPTH(s_mm))
    behind = world(level.back_x_mm, level.s_mm + 1.0, dorsal + 8.0)
    return behind, world(level.front_x_mm - 1.5, level.s_mm, 0.85 * depth)


def foramen(x: Array, y: Array, z: Array, level: Foramen) -> Array:
    """Distance to one level's passages: canal to the front opening and to the back opening."""
    s_mm = np.array(level.s_mm)
    depth = float(BODY_DEPTH(s_mm))
    # The nerve leaves the canal above its foramen and runs down and out to it.
    inner = world(4.0, level.s_mm - 5.0, depth + 0.25 * level.front_radius_mm)
    back, middle = dorsal_axis(level)
    mouth = world(level.front_x_mm, level.s_mm + 1.0, float(PELVIC_RETREAT(s_mm)))
    front = world(level.front_x_mm, level.s_mm + 1.0, -8.0)
    neck_mm, front_mm, back_mm = (
        0.65 * level.front_radius_mm,
        level.front_radius_mm,
        level.back_radius_mm,
    )
    passage = capsule(x, y, z, inner, middle, (neck_mm, neck_mm))
    passage = union(passage, capsule(x, y, z, middle, mouth, (neck_mm, front_mm)), 3.0)
    passage = union(passage, capsule(x, y, z, mouth, front, (front_mm, front_mm)))
    if level.oval_mm > 0.0:
        aside = 0.7 * level.oval_mm
        inside, outside = (
            world(level.front_x_mm + aside, level.s_mm + 1.0 - aside, t_mm)
            for t_mm in (float(PELVIC_RETREAT(s_mm)) + 2.0, -8.0)
        )
        passage = union(passage, capsule(x, y, z, inside, outside, (0.8 * front_mm, front_mm)), 2.0)
    return union(passage, capsule(x, y, z, middle, back, (back_mm, back_mm)), 3.0)


def passages(x: Array, y: Array, z: Array, s: Array, t: Array, form: Form) -> Array:
    """Distance to canal and foramina together: what holds nerves and fat, not bone."""
    hollow = canal(x, s, t)
    for level in foramina(form):
        hollow = union(hollow, foramen(x, y, z, level), 2.0)
    return hollow


def solid(x: Array, y: Array, z: Array, s: Array, t: Array, gap_mm: float, form: Form) -> Array:
    """Distance to the sacrum with canal and foramina filled."""
    bone = union(bodies(x, s, t, form), lateral_masses(x, y, z, s, t, form), 9.0)
    bone = union(bone, dorsal_wall(x, y, z, s, t), 3.0)
    return union(bone, articular_processes(x, y, z, s, t, gap_mm), 4.0)


def sacrum(x: Array, y: Array, z: Array, gap_mm: float, form: Form) -> Array:
    """Distance in mm to the sacrum at drawn points (x, y, z) in mm."""
    side = np.abs(x)
    s, t = along_and_behind(y, z)
    bone = solid(side, y, z, s, t, gap_mm, form)
    return difference(bone, passages(side, y, z, s, t, form), 1.5)
