"""The sacrum unrolled: its pelvic face in the midline as a curve, and coordinates along it.

Every sacrum is bent, each by another angle. Along the curve of its own pelvic face the bodies stand
in a row, the foramina look to the front and to the back, and levels and zones have simple borders.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from scipy.interpolate import make_smoothing_spline
from scipy.spatial import cKDTree

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.surface import BoneIndicator
from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray

#: Step of the curve's points and of all searches along it, in mm.
STEP_MM = 1.0
#: Newton steps from the nearest point of the table to the foot of a perpendicular.
ITERATIONS = 4
#: Half thickness of the slab about the midline in which the pelvic face is looked for, in mm.
SLAB_MM = 4.0
#: How far before the chord from promontory to apex the rays to the pelvic face start, in mm.
RAYS_FROM_MM = 30.0
#: Number of those rays, and the running median and the stiffness of the spline (its angle in rad,
#: its radius in mm) that even out the ridges of the fused discs and the gaps between the bodies.
RAYS, MEDIAN_RAYS, SPLINE_STIFFNESS = 200, 9, 2e-3
#: Within this distance the smooth curve bends to the promontory itself, in mm.
PROMONTORY_MM = 20.0
#: Straight continuation above the promontory and below the apex, in mm.
ABOVE_MM, BELOW_MM = 60.0, 60.0


@dataclass(frozen=True, eq=False)
class SacralCurve:
    """The pelvic face of the sacral bodies in the mid-sagittal plane, from promontory to apex.

    Attributes:
        frame: The sacral frame in which the curve lies.
        points_mm: (posterior, superior) of the curve in the frame, every :data:`STEP_MM`,
            shape (n, 2); the first is the promontory.
    """

    frame: SacralFrame
    points_mm: FloatArray

    @property
    def length_mm(self) -> float:
        """Length from promontory to apex along the pelvic face."""
        return float((len(self.points_mm) - 1) * STEP_MM)

    @cached_property
    def _line(self) -> tuple[FloatArray, FloatArray, FloatArray, cKDTree]:
        """Arc length, points and unit tangents of the curve with its straight continuations."""
        points = self.points_mm
        reach = min(10, len(points) - 1)
        first, last = points[reach] - points[0], points[-1] - points[-1 - reach]
        first, last = first / np.linalg.norm(first), last / np.linalg.norm(last)
        above = np.arange(-ABOVE_MM, -0.5 * STEP_MM, STEP_MM)
        below = np.arange(STEP_MM, BELOW_MM, STEP_MM)
        line = np.vstack(
            [points[0] + above[:, None] * first, points, points[-1] + below[:, None] * last]
        )
        s = -ABOVE_MM + STEP_MM * np.arange(len(line))
        tangent = np.gradient(line, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        return s, line, tangent, cKDTree(line)

    def to_curved(self, world_mm: FloatArray) -> FloatArray:
        """Coordinates (x, s, t) in mm of world points, shape (n, 3).

        ``x`` runs to the left of the midline, ``s`` down along the curve from the promontory, ``t``
        backwards from it.
        """
        local = self.frame.to_local(world_mm)
        table, _, _, tree = self._line
        s = table[tree.query(local[:, 1:])[1]]
        bend = np.interp(s, table, self._bend)
        for _ in range(ITERATIONS):
            down, back = self._offset(local[:, 1:], s)
            # Behind a bend, way along the curve is shorter than way in space.
            s = s + down / np.maximum(1.0 + back * bend, 0.5)
        return np.column_stack([local[:, 0], s, self._offset(local[:, 1:], s)[1]])

    def to_world(self, curved_mm: FloatArray) -> FloatArray:
        """World points in mm, shape (n, 3), of coordinates (x, s, t), shape (n, 3)."""
        curved = np.asarray(curved_mm, dtype=np.float64)
        foot, along = self._foot(curved[:, 1])
        back = np.column_stack([-along[:, 1], along[:, 0]])
        local = np.column_stack([curved[:, 0], foot + curved[:, 2:] * back])
        return self.frame.to_world(local)

    def _offset(self, flat_mm: FloatArray, s_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Distances down and back of (posterior, superior) points from the curve at ``s``."""
        foot, along = self._foot(s_mm)
        offset = flat_mm - foot
        down = (offset * along).sum(axis=1)
        return down, offset[:, 1] * along[:, 0] - offset[:, 0] * along[:, 1]

    def _foot(self, s_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points of the curve at ``s``, shape (n, 2), and its unit tangents there."""
        table, line, tangent, _ = self._line
        foot = np.column_stack([np.interp(s_mm, table, line[:, i]) for i in range(2)])
        along = np.column_stack([np.interp(s_mm, table, tangent[:, i]) for i in range(2)])
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        # Beyond the ends of the table the line goes on straight.
        foot += (s_mm - np.clip(s_mm, table[0], table[-1]))[:, None] * along
        return foot, along

    @cached_property
    def _bend(self) -> FloatArray:
        """Curvature in 1/mm along the table, positive where normals to the back spread."""
        tangent = self._line[2]
        turn = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))
        return np.asarray(-np.gradient(turn, STEP_MM))


def find_curve(
    bone: BoneIndicator, frame: SacralFrame, promontory_mm: FloatArray, source: str
) -> SacralCurve:
    """The curve of the pelvic face, where rays from a point in the pelvis first meet bone.

    Args:
        bone: Indicator of the sacrum.
        frame: Its frame.
        promontory_mm: Where the curve begins, world, shape (3,).
        source: Name of the label file for messages.

    Raises:
        InputError: The midline of the sacrum is too short to be one (under 50 mm).
    """
    y, z, slab = _midline(bone, frame)
    start = frame.to_local(promontory_mm[None])[0, 1:]
    inside = np.argwhere(slab > 0.5)
    points = np.column_stack([y[inside[:, 0]], z[inside[:, 1]]])
    away = np.linalg.norm(points - start, axis=1)
    if away.max(initial=0.0) < 50.0:
        raise InputError(
            f"{source}: the sacrum reaches {away.max(initial=0.0):.0f} mm from its promontory "
            "in the midline, at least 50 mm are needed to find its curve; give the label of the "
            "whole sacrum, or landmarks.promontory and landmarks.frame if those were found wrongly."
        )
    centre, angle, radius = _rays(slab, (y, z), start, points[away.argmax()])
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    line = centre + radius[:, None] * direction
    # The promontory juts out before the smooth curve: the last bit of the curve leads to it.
    fade = (
        np.linspace(0.0, np.linalg.norm(points[away.argmax()] - start), len(line)) / PROMONTORY_MM
    )
    line += np.exp(-(fade**2))[:, None] * (start - line[0])
    s = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1)))
    even = np.arange(0.0, s[-1], STEP_MM)
    return SacralCurve(frame, np.column_stack([np.interp(even, s, line[:, i]) for i in range(2)]))


def _midline(bone: BoneIndicator, frame: SacralFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Axes y and z in the frame and the mean of the bone's indicator across the midline slab."""
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in bone.grid.shape])).reshape(3, -1).T
    local = frame.to_local(bone.grid.to_world(corners))
    y, z = (np.arange(local[:, i].min(), local[:, i].max(), STEP_MM) for i in (1, 2))
    x = np.arange(-SLAB_MM, SLAB_MM + 0.1, 2.0)
    points = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    value = bone.sample(frame.to_world(points.reshape(-1, 3))).reshape(points.shape[:3])
    return y, z, value.mean(axis=0)


def _rays(
    slab: FloatArray, axes: tuple[FloatArray, FloatArray], start: FloatArray, end: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where the rays start, shape (2,), their angles and the smoothed distance to the bone."""
    chord = (end - start) / np.linalg.norm(end - start)
    before = np.array([chord[1], -chord[0]])
    centre = 0.5 * (start + end) + RAYS_FROM_MM * (before if before[0] < 0.0 else -before)
    first, last = (np.arctan2(*(p - centre)[::-1]) for p in (start, end))
    turn = (last - first + np.pi) % (2.0 * np.pi) - np.pi
    angle = first + np.linspace(0.0, 1.0, RAYS) * turn
    r = np.arange(0.0, 130.0, 0.5 * STEP_MM)
    points = centre + r[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)[:, None]
    index = [(points[..., i] - axes[i][0]) / STEP_MM for i in range(2)]
    hit = ndimage.map_coordinates(slab, index, order=1) > 0.5
    met = hit.any(axis=1)
    radius = ndimage.median_filter(r[hit.argmax(axis=1)][met], MEDIAN_RAYS)
    way = np.sign(turn)
    spline = make_smoothing_spline(way * angle[met], radius, lam=SPLINE_STIFFNESS)
    return centre, angle, spline(way * angle)
