"""One picture of all landmarks of a sacrum: its surface from both sides, and slices of the CT."""

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
import pyvista as pv
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sacrofem.anatomy.foramina import LEVELS, SIDES
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.landmarks import Anatomy
from sacrofem.anatomy.surface import bone_indicator
from sacrofem.image.labels import SACRUM
from sacrofem.image.volume import CtVolume, FloatArray, LabelMap
from sacrofem.report import scene
from sacrofem.report.anatomy_slices import (
    POINT,
    SMALL_PT,
    TEXT_PT,
    ZONE_COLOURS,
    ZONE_NAMES,
    across,
    along,
    sagittal,
)

SIZE_PX = (900, 900)
JOINT_COLOUR, ENDPLATE_COLOUR, LEVEL_LINE = "#004D40", "#0B3D91", "#222222"
#: Radius of the lines on the surface, in mm, and rounds in which their teeth are evened out.
LINE_MM, SOFTENINGS = 0.45, 6


@dataclass(frozen=True, eq=False)
class Mark:
    """A landmark in a picture: its name, place in world mm, and whether it was found."""

    name: str
    world_mm: FloatArray
    found: bool = True


@dataclass(frozen=True, eq=False)
class Look:
    """A view: unit vectors in world to the camera, to the right and up, and the middle in mm."""

    name: str
    towards: FloatArray
    right: FloatArray
    up: FloatArray
    middle_mm: FloatArray
    half_mm: float

    def pixel(self, world_mm: FloatArray) -> FloatArray:
        """Where world points appear in the picture, shape (n, 2)."""
        offset = np.atleast_2d(world_mm) - self.middle_mm
        per_mm = 0.5 * SIZE_PX[1] / self.half_mm
        u, v = offset @ self.right, offset @ self.up
        return np.column_stack([0.5 * SIZE_PX[0] + per_mm * u, 0.5 * SIZE_PX[1] - per_mm * v])


def draw_anatomy(ct: CtVolume, labels: LabelMap, anatomy: Anatomy) -> Figure:
    """All landmarks of a sacrum in one picture, in the radiological convention.

    Args:
        ct: The CT.
        labels: The label map in which the anatomy was found.
        anatomy: What was found.

    Returns:
        A figure with two views of the surface above (where VTK can draw) and three slices below.
    """
    figure = Figure(figsize=(15.0, 12.6), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.25, 1.0))
    above, below = parts
    grid = above.subplots(1, 3, width_ratios=(1.0, 1.0, 0.42))
    drawable = scene.render_window() is not None
    for axes, look, marks in zip(
        grid, looks(anatomy), (_front_marks(anatomy), _back_marks(anatomy)), strict=False
    ):
        _view(axes, anatomy, look, list(marks), drawable)
    _legend(grid[2], anatomy)
    bone = bone_indicator(labels, SACRUM)
    for axes, draw in zip(below.subplots(1, 3), (sagittal, along, across), strict=True):
        draw(axes, ct, bone, anatomy)
    return figure


def looks(anatomy: Anatomy) -> tuple[Look, Look]:
    """The views from the front and from behind, square to the line from promontory to apex."""
    curve = anatomy.curve
    ends = curve.to_world(np.array([[0.0, 0.0, 0.0], [0.0, curve.length_mm, 0.0]]))
    up = (ends[0] - ends[1]) / np.linalg.norm(ends[0] - ends[1])
    left = anatomy.frame.left
    front = np.cross(left, up)
    front *= -np.sign(front @ anatomy.frame.posterior)
    points = anatomy.surface.points_mm
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    spread = (points - middle) @ np.stack([left, up]).T
    half = 1.22 * float(np.abs(spread).max())
    # Seen from the front the patient's left is on the right, seen from behind on the left.
    return (
        Look("from the front", front, left, up, middle, half),
        Look("from behind", -front, -left, up, middle, half),
    )


def _front_marks(anatomy: Anatomy) -> Iterable[Mark]:
    yield Mark("promontory", anatomy.promontory_mm)
    yield from _foramen_marks(anatomy, "anterior")


def _back_marks(anatomy: Anatomy) -> Iterable[Mark]:
    yield Mark("hiatus", anatomy.canal.hiatus_mm, anatomy.canal.found)
    yield from _foramen_marks(anatomy, "posterior")


def _foramen_marks(anatomy: Anatomy, face: str) -> Iterable[Mark]:
    for side in SIDES:
        for level in LEVELS:
            foramen = anatomy.foramen(level, side, face)
            yield Mark(f"{level} {side}", foramen.centre_mm, foramen.found)
        yield Mark(
            f"SI joint {side}", anatomy.joint_centre_mm(SurfaceTag[f"AURICULAR_{side.upper()}"])
        )


def _view(axes: Axes, anatomy: Anatomy, look: Look, marks: list[Mark], drawable: bool) -> None:
    """One view with its marks; names stand beside the bone, so that they do not hide it."""
    axes.set_title(look.name, fontsize=TEXT_PT + 1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("0.8")
    axes.set_xlim(0, SIZE_PX[0])
    axes.set_ylim(SIZE_PX[1], 0)
    if not drawable:
        axes.text(450, 450, "VTK cannot draw on this machine", ha="center", fontsize=TEXT_PT)
    else:
        axes.imshow(_picture(anatomy, look))
    places = look.pixel(np.stack([mark.world_mm for mark in marks]))
    for on_right in (True, False):
        here = [
            (mark, place)
            for mark, place in zip(marks, places, strict=True)
            if (place[0] >= 0.5 * SIZE_PX[0] - 15.0) == on_right
        ]
        _names(axes, sorted(here, key=lambda pair: float(pair[1][1])), on_right)
    left_on_right = look.right @ anatomy.frame.left > 0
    for x, letter in ((0.02, "R" if left_on_right else "L"), (0.98, "L" if left_on_right else "R")):
        axes.text(
            x, 0.03, letter, transform=axes.transAxes, fontsize=14, weight="bold", ha="center"
        )


def _names(axes: Axes, marks: list[tuple[Mark, FloatArray]], on_right: bool) -> None:
    """Names in a column at one side of a view, each tied to its mark."""
    column = SIZE_PX[0] - 8.0 if on_right else 8.0
    heights = np.array([place[1] for _, place in marks])
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + 40.0)
    for (mark, place), height in zip(marks, heights, strict=True):
        axes.annotate(
            mark.name if mark.found else f"{mark.name}\n(estimated)",
            tuple(place),
            (column, height),
            ha="right" if on_right else "left",
            va="center",
            fontsize=TEXT_PT - 1,
            arrowprops={"arrowstyle": "-", "color": "0.3", "lw": 0.6},
        )
        axes.plot(
            *place,
            "o",
            ms=7,
            mfc=POINT if mark.found else "white",
            mec="white" if mark.found else POINT,
            mew=1.0 if mark.found else 2.0,
        )


def _legend(axes: Axes, anatomy: Anatomy) -> None:
    """Colours, and the numbers that a reader checks first."""
    axes.axis("off")
    handles = [
        *(
            Patch(facecolor=c, label=f"{ZONE_NAMES[z]} (Denis 1988)")
            for z, c in ZONE_COLOURS.items()
        ),
        Line2D([], [], color=LEVEL_LINE, lw=2, label="borders S1|S2 to S4|S5"),
        Line2D([], [], color=ENDPLATE_COLOUR, lw=2.5, label="S1 endplate"),
        Line2D([], [], color=JOINT_COLOUR, lw=2.5, label="auricular surface"),
        Line2D([], [], color=POINT, marker="o", mec="white", ls="", label="landmark, found"),
        Line2D([], [], mfc="white", marker="o", mec=POINT, ls="", label="landmark, estimated"),
    ]
    axes.legend(handles=handles, loc="upper left", fontsize=SMALL_PT + 1, frameon=False)
    joint = {
        side: anatomy.area_mm2(SurfaceTag[f"AURICULAR_{side.upper()}"]) / 100.0 for side in SIDES
    }
    width, depth = anatomy.endplate_size_mm
    found = sum(foramen.found for foramen in anatomy.foramina.values())
    lines = [
        f"sacral slope {anatomy.sacral_slope_deg:.0f}° (lying, to the axial plane)",
        f"S1 endplate {width:.0f} x {depth:.0f} mm",
        f"auricular surfaces {joint['left']:.1f} cm² left, {joint['right']:.1f} cm² right",
        f"{found} of {len(anatomy.foramina)} openings of foramina found",
        f"volume {anatomy.surface.label_ml:.0f} ml",
        *(f"! {warning}" for warning in anatomy.warnings),
    ]
    text = "\n\n".join(fill(line, 38) for line in lines)
    axes.text(0.03, 0.68, text, fontsize=SMALL_PT, va="top", transform=axes.transAxes)


def _picture(anatomy: Anatomy, look: Look) -> NDArray[np.uint8]:
    """The surface in the colours of its zones with level borders and joints, shape (h, w, 3)."""
    surface = anatomy.surface
    mesh = pv.PolyData.from_regular_faces(surface.points_mm, surface.triangles)
    zone = anatomy.denis_zone(surface.centroids_mm)
    rgb = np.array([to_rgb(ZONE_COLOURS[z]) for z in (1, 2, 3)])[zone - 1]
    # Between the zone's colour and that of bone: shading must stay visible.
    rgb = 0.6 * rgb + 0.4 * np.array(to_rgb("#efe6d5"))
    mesh.cell_data["rgb"] = (255 * rgb).astype(np.uint8)
    with scene._window():
        plotter = pv.Plotter(
            off_screen=True, window_size=list(SIZE_PX), theme=pv.themes.DocumentTheme()
        )
        try:
            plotter.set_background("white")
            plotter.add_mesh(mesh, scalars="rgb", rgb=True, ambient=0.25, diffuse=0.75)
            for line, colour in _lines(anatomy, mesh.copy()):
                if line.n_cells:
                    plotter.add_mesh(line.tube(radius=LINE_MM), color=colour, lighting=False)
            plotter.enable_parallel_projection()
            plotter.camera.focal_point = look.middle_mm
            plotter.camera.position = look.middle_mm + 500.0 * look.towards
            plotter.camera.up = look.up
            plotter.camera.parallel_scale = look.half_mm
            plotter.camera.clipping_range = (1.0, 1000.0)
            picture = plotter.screenshot(return_img=True)
        finally:
            plotter.close()
    return np.asarray(picture, dtype=np.uint8)


def _lines(anatomy: Anatomy, mesh: pv.PolyData) -> Iterable[tuple[pv.PolyData, str]]:
    """Borders of levels, endplate and joints on the surface, and their colours."""
    s_mm = anatomy.curve.to_curved(anatomy.surface.points_mm)[:, 1]
    mesh.point_data["s"] = s_mm
    yield mesh.contour(list(anatomy.map.border_s_mm), scalars="s"), LEVEL_LINE
    for tags, colour in (
        ((SurfaceTag.ENDPLATE_S1,), ENDPLATE_COLOUR),
        ((SurfaceTag.AURICULAR_LEFT, SurfaceTag.AURICULAR_RIGHT), JOINT_COLOUR),
    ):
        chosen = np.isin(anatomy.surface_tag, tags)
        mesh.point_data["tagged"] = _softened(anatomy.surface.triangles, chosen, len(s_mm))
        yield mesh.contour([0.5], scalars="tagged"), colour


def _softened(triangles: NDArray[np.int64], chosen: NDArray[np.bool_], points: int) -> FloatArray:
    """Share of chosen triangles about each vertex, evened out: a border without single teeth."""
    count = np.bincount(triangles.ravel(), minlength=points)
    value = chosen.astype(np.float64)
    for _ in range(SOFTENINGS):
        at_points = np.bincount(triangles.ravel(), np.repeat(value, 3), points) / count
        value = at_points[triangles].mean(axis=1)
    return np.asarray(at_points)
