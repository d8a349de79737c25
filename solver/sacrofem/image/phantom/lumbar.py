"""The shapes of the L5 vertebra and of the disc below it, in drawn coordinates (mm)."""

from functools import reduce

import numpy as np

from sacrofem.image.phantom.curve import along_and_behind, world
from sacrofem.image.phantom.form import Form
from sacrofem.image.phantom.sacrum import facet_side
from sacrofem.image.phantom.shapes import (
    Array,
    capsule,
    difference,
    intersection,
    superellipse,
    union,
)

DISC_MM = 9.0  # L5-S1 disc height


def lumbar(x_mm: float, behind_mm: float, up_mm: float) -> tuple[float, float, float]:
    """Drawn point from L5's own frame: behind the axis of its body, above the S1 endplate."""
    return world(x_mm, -up_mm, behind_mm + 15.0)


def vertebra_body(x: Array, up: Array, behind: Array, form: Form) -> Array:
    """Distance to the body of L5: a wedge, 28 mm high in front and 23 behind, waisted."""
    waist = 3.0 * np.clip(1.0 - ((up - DISC_MM - 12.5) / 12.5) ** 2, 0.0, 1.0)
    body = superellipse(x, behind + 1.0, form.body * (25.5 - waist), 17.5 - 0.7 * waist, 2.3)
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


def vertebra(x: Array, y: Array, z: Array, sacrum_mm: Array, gap_mm: float, form: Form) -> Array:
    """Distance in mm to L5 at drawn points; ``sacrum_mm`` is the distance to the sacrum there."""
    side = np.abs(x)
    s, t = along_and_behind(y, z)
    up, behind = -s, t - 15.0
    arch = vertebra_arch(side, y, z)
    before_facet = intersection(facet_side(side, s, t) - 0.5 * gap_mm, up - 14.0)
    arch = difference(arch, before_facet, 1.0)
    bone = union(vertebra_body(side, up, behind, form), arch, 4.0)
    return intersection(bone, gap_mm - sacrum_mm)


def disc(x: Array, y: Array, z: Array, form: Form) -> Array:
    """Distance to the L5-S1 disc."""
    s, t = along_and_behind(y, z)
    ring = superellipse(np.abs(x), t - 15.0, np.array(24.0 * form.body), np.array(15.5), 2.4)
    return intersection(ring, np.abs(-s - 0.5 * DISC_MM) - 0.5 * DISC_MM - 1.0)
