"""Slices of the CT with the sacrum's landmarks: mid-sagittal, along the sacrum, across it at S1."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from scipy import ndimage

from sacrofem.anatomy.foramina import FACES, LEVELS, SIDES
from sacrofem.anatomy.landmarks import Anatomy, side_sign
from sacrofem.anatomy.surface import BoneIndicator
from sacrofem.image.volume import CtVolume, FloatArray

TEXT_PT, SMALL_PT = 10, 8
#: A bone window: HU from black to white.
WINDOW_HU = (-150.0, 700.0)
PIXEL_MM = 0.5
BORDER_MM, SAGITTAL_BORDER_MM = 12.0, 24.0
ZONE_COLOURS = {1: "#56B4E9", 2: "#E69F00", 3: "#CC79A7"}
ZONE_NAMES = {1: "zone I", 2: "zone II", 3: "zone III"}
LEVEL_COLOUR, OUTLINE, CANAL_COLOUR, POINT = "#FFFFFF", "#F0E442", "#00E5C0", "#FF3B30"
SLOPE_COLOUR = "#7FD0FF"
#: Numbers of the zones as radiologists write them.
ROMAN = {1: "I", 2: "II", 3: "III"}


@dataclass(frozen=True, eq=False)
class Sheet:
    """Points of a flat or bent slice: world, shape (h, w, 3), and its two axes in mm."""

    right_mm: FloatArray
    up_mm: FloatArray
    world_mm: FloatArray

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper end for ``imshow`` with its origin below."""
        return (self.right_mm[0], self.right_mm[-1], self.up_mm[0], self.up_mm[-1])


def sagittal(axes: Axes, ct: CtVolume, bone: BoneIndicator, anatomy: Anatomy) -> None:
    """The mid-sagittal plane, upright as the CT is: anterior on the left."""
    frame, curve = anatomy.frame, anatomy.curve
    head = np.array([0.0, 0.0, 1.0]) - frame.left[2] * frame.left
    head /= np.linalg.norm(head)
    back = np.cross(head, frame.left)
    basis = np.stack([back, head])
    origin = frame.origin_mm
    flat_mm = (anatomy.surface.points_mm - origin) @ basis.T
    sheet = _plane(origin, basis, flat_mm, SAGITTAL_BORDER_MM)
    _show(axes, ct, bone, sheet, "mid-sagittal", ("A", "P", "I", "S"))

    def flat(world: FloatArray) -> FloatArray:
        return np.atleast_2d((np.atleast_2d(world) - origin) @ basis.T)

    s_mm = np.arange(0.0, curve.length_mm, 1.0)
    zero = np.zeros_like(s_mm)
    axes.plot(*flat(curve.to_world(np.column_stack([zero, s_mm, zero]))).T, color=OUTLINE, lw=0.8)
    axes.plot(*flat(anatomy.canal.line_mm).T, color=CANAL_COLOUR, lw=1.4)
    for border in anatomy.map.border_s_mm:
        ends = np.array([[0.0, border, -3.0], [0.0, border, 32.0]])
        axes.plot(*flat(curve.to_world(ends)).T, color=LEVEL_COLOUR, lw=0.9, ls="--")
    edges = np.concatenate([[0.0], anatomy.map.border_s_mm, [anatomy.map.border_s_mm[-1] + 14.0]])
    for number, s in enumerate(0.5 * (edges[1:] + edges[:-1]), start=1):
        _text(axes, flat(curve.to_world(np.array([[0.0, s, -9.0]])))[0], f"S{number}", LEVEL_COLOUR)
    _slope(axes, anatomy, flat)
    _point(axes, flat(anatomy.promontory_mm)[0], "promontory", found=True)
    _point(axes, flat(anatomy.canal.hiatus_mm)[0], "hiatus", found=anatomy.canal.found)


def along(axes: Axes, ct: CtVolume, bone: BoneIndicator, anatomy: Anatomy) -> None:
    """A coronal sheet bent along the sacrum, half way between the foramina's two openings."""
    curve, zones = anatomy.curve, anatomy.map
    curved = curve.to_curved(anatomy.surface.points_mm)
    half = np.abs(curved[:, 0]).max() + BORDER_MM
    right = np.arange(-half, half, PIXEL_MM)
    s_mm = np.arange(curved[:, 1].min() - BORDER_MM, curved[:, 1].max() + BORDER_MM, PIXEL_MM)
    depth = zones.face_t_mm.mean(axis=(0, 2))
    t_mm = np.interp(s_mm, zones.border_s_mm, depth)
    x, s = np.meshgrid(right, s_mm[::-1])
    t = np.broadcast_to(t_mm[::-1, None], x.shape)
    points = curve.to_world(np.stack([x, s, t], axis=-1).reshape(-1, 3))
    sheet = Sheet(right, -s_mm[::-1], points.reshape(*x.shape, 3))
    _show(axes, ct, bone, sheet, "coronal, along the sacrum", ("R", "L", "I", "S"))
    below = np.arange(0.0, min(float(zones.border_s_mm[-1]) + 15.0, curve.length_mm), 1.0)
    for i, side in enumerate(SIDES):
        for border in (zones.medial_mm, zones.lateral_mm):
            line = np.interp(below, zones.zone_s_mm[i], border[i].mean(axis=1))
            axes.plot(side_sign(side) * line, -below, color=ZONE_COLOURS[2], lw=1.0)
        for j, level in enumerate(LEVELS):
            pair = [anatomy.foramen(level, side, face) for face in FACES]
            middle = np.mean([f.curved_mm for f in pair], axis=0)
            _point(axes, middle[[0, 1]] * [1.0, -1.0], "", found=all(f.found for f in pair))
            if i == 0:
                axes.axhline(-zones.border_s_mm[j], color=LEVEL_COLOUR, lw=0.7, ls="--")
    edges = np.concatenate([[0.0], zones.border_s_mm, [zones.border_s_mm[-1] + 14.0]])
    for number, s in enumerate(0.5 * (edges[1:] + edges[:-1]), start=1):
        _text(axes, np.array([-half + 14.0, -s]), f"S{number}", LEVEL_COLOUR)
    at = 0.55 * float(zones.border_s_mm[0])
    for x_mm, zone in ((0.0, 3), (zones.lateral_mm[0, 0].mean() - 6.0, 2), (38.0, 1)):
        for sign in (1.0, -1.0) if zone < 3 else (1.0,):
            _text(axes, np.array([sign * x_mm, -at]), ROMAN[zone], ZONE_COLOURS[zone])


def across(axes: Axes, ct: CtVolume, bone: BoneIndicator, anatomy: Anatomy) -> None:
    """The plane across the sacrum through the S1 foramina, seen from the feet."""
    curve, zones = anatomy.curve, anatomy.map
    s1 = float(zones.border_s_mm[0])
    corner = curve.to_world(np.array([[0.0, s1, 0.0], [1.0, s1, 0.0], [0.0, s1, -1.0]]))
    basis = np.stack([corner[1] - corner[0], corner[2] - corner[0]])
    curved = curve.to_curved(anatomy.surface.points_mm)
    near = curved[np.abs(curved[:, 1] - s1) < 3.0]
    sheet = _plane(corner[0], basis, near[:, [0, 2]] * [1.0, -1.0])
    _show(axes, ct, bone, sheet, "across the sacrum at S1|S2", ("R", "L", "P", "A"))
    t_mm = np.arange(near[:, 2].min(), near[:, 2].max(), 1.0)
    for i, side in enumerate(SIDES):
        sign = side_sign(side)
        for border in (zones.medial_mm, zones.lateral_mm):
            line = np.interp(t_mm, zones.face_t_mm[i, 0], border[i, 0])
            axes.plot(sign * line, -t_mm, color=ZONE_COLOURS[2], lw=1.0)
        for face in FACES:
            foramen = anatomy.foramen("S1", side, face)
            place = foramen.curved_mm[[0, 2]] * [1.0, -1.0]
            _point(axes, place, "", found=foramen.found)
        middle = 0.5 * (zones.medial_mm + zones.lateral_mm)[i, 0].mean()
        low = -float(near[:, 2].max()) - 5.0
        _text(axes, np.array([sign * middle, low]), ROMAN[2], ZONE_COLOURS[2])
        _text(axes, np.array([sign * (middle + 18.0), low]), ROMAN[1], ZONE_COLOURS[1])
    _text(axes, np.array([0.0, low]), ROMAN[3], ZONE_COLOURS[3])


def _plane(
    origin: FloatArray, basis: FloatArray, inside: FloatArray, border_mm: float = BORDER_MM
) -> Sheet:
    """The plane through a point that shows what lies at the given coordinates, shape (n, 2)."""
    low, high = inside.min(axis=0) - border_mm, inside.max(axis=0) + border_mm
    right, up = (np.arange(low[i], high[i], PIXEL_MM) for i in range(2))
    u, v = np.meshgrid(right, up)
    return Sheet(right, up, origin + u[..., None] * basis[0] + v[..., None] * basis[1])


def _show(
    axes: Axes,
    ct: CtVolume,
    bone: BoneIndicator,
    sheet: Sheet,
    name: str,
    letters: tuple[str, str, str, str],
) -> None:
    """The CT on a sheet, the outline of the sacrum's label and the directions at its four sides."""
    points = sheet.world_mm.reshape(-1, 3)
    index = ct.grid.to_index(points).T
    hu = ndimage.map_coordinates(ct.hu, index, order=1, cval=-1000.0).reshape(
        sheet.world_mm.shape[:2]
    )
    axes.imshow(
        hu, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], origin="lower", extent=sheet.extent
    )
    inside = bone.sample(points).reshape(hu.shape)
    axes.contour(sheet.right_mm, sheet.up_mm, inside, [0.5], colors=OUTLINE, linewidths=0.7)
    for letter, x, y in zip(letters, (0.03, 0.97, 0.5, 0.5), (0.5, 0.5, 0.03, 0.97), strict=True):
        _text(axes, np.array([x, y]), letter, "white", transform=axes.transAxes)
    axes.set_title(name, fontsize=TEXT_PT)
    axes.set_xlim(sheet.right_mm[0], sheet.right_mm[-1])
    axes.set_ylim(sheet.up_mm[0], sheet.up_mm[-1])
    axes.set_xticks([])
    axes.set_yticks([])
    left, low = sheet.right_mm[0] + 4.0, sheet.up_mm[0] + 4.0
    axes.plot([left, left + 20.0], [low, low], color="white", lw=2)
    axes.text(left + 10.0, low + 2.0, "20 mm", color="white", fontsize=SMALL_PT, ha="center")


def _slope(axes: Axes, anatomy: Anatomy, flat: object) -> None:
    """The endplate's line, the axial plane's, and the angle between them."""
    assert callable(flat)
    frame, half = anatomy.frame, 0.5 * anatomy.endplate_size_mm[1] + 4.0
    ends = frame.to_world(np.array([[0.0, -half, 0.0], [0.0, half, 0.0]]))
    front, rear = flat(ends[0])[0], flat(ends[1])[0]
    axes.plot(*np.stack([front, rear]).T, color=SLOPE_COLOUR, lw=1.4)
    axes.plot([front[0], front[0] + 2.0 * half], [front[1]] * 2, color=SLOPE_COLOUR, lw=0.9, ls=":")
    text = f"slope {anatomy.sacral_slope_deg:.0f}°"
    _text(axes, np.array([front[0] + 2.0 * half, front[1]]), text, SLOPE_COLOUR, ha="left")


def _point(axes: Axes, at: FloatArray, name: str, *, found: bool) -> None:
    """A landmark: filled where it was found, hollow where it is an estimate."""
    axes.plot(
        at[0],
        at[1],
        "o",
        ms=5.5,
        mfc=POINT if found else "none",
        mec="white" if found else POINT,
        mew=0.8 if found else 1.5,
    )
    if name:
        text = name if found else f"{name} (estimated)"
        _text(axes, at - [0.0, 6.0], text, "white")


def _text(axes: Axes, at: FloatArray, text: str, colour: str, **more: Any) -> None:
    settings: dict[str, Any] = {"ha": "center", "va": "center"} | more
    axes.text(
        float(at[0]),
        float(at[1]),
        text,
        color=colour,
        fontsize=TEXT_PT - 1,
        fontweight="bold",
        path_effects=[withStroke(linewidth=2, foreground="black")],
        clip_on=True,
        **settings,
    )
