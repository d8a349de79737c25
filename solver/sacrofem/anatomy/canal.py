"""The sacral canal: its centre line from S1 to the hiatus."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from sacrofem.anatomy.curve import STEP_MM, SacralCurve
from sacrofem.anatomy.unrolled import Unrolled
from sacrofem.image.volume import FloatArray

#: Half width of the strip about the midline in which the canal is looked for, in mm.
STRIP_MM = 3.0
#: Smallest depth of the canal that is seen, and shortest roof that is one, in mm.
DEPTH_AT_LEAST_MM, ROOF_AT_LEAST_MM = 2.0, 4.0
#: The hiatus is open when the dorsal face falls to the middle of the canal within so much, in mm.
STEP_WITHIN_MM = 6.0
SMOOTHING_MM = 3.0
#: The canal begins this far under the plane of the endplate, whose rim is round, in mm.
UNDER_ENDPLATE_MM = 4.0


@dataclass(frozen=True, eq=False)
class Canal:
    """The sacral canal.

    Attributes:
        line_mm: Middle of the canal from S1 to the hiatus, or to where the labels close it, world,
            shape (n, 3); n may be 0.
        hiatus_mm: Apex of the hiatus: the lower end of the roof, world, shape (3,).
        found: Whether the hiatus is open in the labels; else it is put on the dorsal face at S4,
            where most people have it, or at the end of the canal if that is further down.
    """

    line_mm: FloatArray
    hiatus_mm: FloatArray
    found: bool


def find_canal(image: Unrolled, s4_mm: float) -> Canal:
    """Follow the void between bodies and laminae downwards.

    Where the labels close the canal, or it never had a roof, the line goes straight on between what
    is seen above and below.

    Args:
        image: The unrolled sacrum.
        s4_mm: ``s`` of the foramina S4.
    """
    strip = np.abs(image.x_mm) <= STRIP_MM
    bone = image.bone[strip].mean(axis=0) > 0.5
    rows = np.flatnonzero((image.s_mm >= 0.0) & (image.s_mm <= image.curve.length_mm))
    front = np.full(len(rows), np.nan)
    roof = np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        runs, count = ndimage.label(bone[row])
        if count == 0:
            continue
        if count == 1:
            front[i] = image.t_mm[np.flatnonzero(bone[row])[-1]] + STEP_MM
            continue
        # Bodies in front, then the widest gap, then the roof.
        edges = ndimage.find_objects(runs)
        gaps = [b[0].start - a[0].stop for a, b in pairwise(edges)]
        widest = int(np.argmax(gaps))
        if gaps[widest] * STEP_MM >= DEPTH_AT_LEAST_MM:
            front[i] = image.t_mm[edges[widest][0].stop]
            roof[i] = image.t_mm[edges[widest + 1][0].start - 1]
    return _canal(image, image.s_mm[rows], front, roof, s4_mm)


def _canal(
    image: Unrolled, s: FloatArray, front: FloatArray, roof: FloatArray, s4_mm: float
) -> Canal:
    roofed = ndimage.binary_opening(
        np.isfinite(roof), np.ones(round(ROOF_AT_LEAST_MM / STEP_MM), dtype=bool)
    )
    if not roofed.any():
        return Canal(np.empty((0, 3)), _on_dorsal_face(image, s4_mm), False)
    last = int(np.flatnonzero(roofed)[-1])
    known = np.flatnonzero(roofed)
    first = _first_row(image.curve, s, front, int(known[0]))
    s_mm = s[first : last + 1]
    middle = np.interp(s_mm, s[known], 0.5 * (front + roof)[known])
    # In S1 the roof may begin further down than the bodies: there the line follows their back.
    above = slice(first, int(known[0]))
    half = 0.5 * float((roof - front)[known[0]])
    middle[: known[0] - first] = front[above] + half
    middle = ndimage.gaussian_filter1d(middle, SMOOTHING_MM / STEP_MM, mode="nearest")
    line = image.curve.to_world(np.column_stack([np.zeros_like(s_mm), s_mm, middle]))
    lost_mm = float(s[last])
    if _dorsal_mm(image, lost_mm, lost_mm + STEP_WITHIN_MM).min() <= middle[-1]:
        return Canal(line, image.curve.to_world(np.array([[0.0, lost_mm, roof[last]]]))[0], True)
    return Canal(line, _on_dorsal_face(image, max(lost_mm, s4_mm)), False)


def _first_row(curve: SacralCurve, s: FloatArray, front: FloatArray, roofed: int) -> int:
    """The uppermost row whose body ends behind the endplate and not in it, at most ``roofed``."""
    ends = curve.to_world(np.column_stack([np.zeros_like(s), s, np.nan_to_num(front)]))
    below = curve.frame.to_local(ends)[:, 2] < -UNDER_ENDPLATE_MM
    usable = below & np.isfinite(front)
    first = roofed
    while first > 0 and usable[first - 1]:
        first -= 1
    return first


def _dorsal_mm(image: Unrolled, low_mm: float, high_mm: float) -> FloatArray:
    """``t`` of the dorsal face in the midline from one ``s`` to another."""
    i, first = image.column(0.0, low_mm)
    _, last = image.column(0.0, high_mm)
    return np.asarray((image.back_mm - image.back_pit_mm)[i, first : last + 1])


def _on_dorsal_face(image: Unrolled, s_mm: float) -> FloatArray:
    t = float(_dorsal_mm(image, s_mm, s_mm)[0])
    return np.asarray(image.curve.to_world(np.array([[0.0, s_mm, t]]))[0])
