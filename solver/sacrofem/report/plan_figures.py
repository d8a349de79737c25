"""Slices of the CT with a planned treatment on them: one row a procedure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten

import numpy as np
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.compartments import PASSAGES, Compartment
from sacrofem.report.plan_slices import (
    PlanSlice,
    Region,
    cut,
    needle_mm,
    plan_planes,
    region_of,
    region_of_voxels,
)
from sacrofem.treatment.access.structures import RADIUS_MM
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.lesion import Fracture, Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.procedure import Procedure, Treatment

#: Colours of Okabe and Ito, which all readers can tell apart.
LESION, PURE, MIXED, NEEDLE = "#D55E00", "#F0E442", "#009E73", "#56B4E9"
PASSAGE, SHELL, FRACTURE, LEAK = "#E69FD0", "#FFFFFF", "#FFFFFF", "#FF4040"
TEXT_PT, SMALL_PT = 10, 8
#: Density window in mg/cm3, as in the report of a solved scenario.
WINDOW = (-100.0, 400.0)
#: The shell is drawn where compaction added this part of the most that it added anywhere, a choice:
#: its density falls off outwards, and a lytic lesion leaves little to compact.
SHELL_SHARE = 0.3
#: Smallest area of a passage in a slice that gets a name, in mm2.
NAMED_MM2 = 18.0
#: A needle lies in a plane when it leaves it by less than this, in mm.
IN_PLANE_MM = 0.5
#: Scale of the pictures, space between them and above each row, length of the scale bar.
MM_PER_INCH, GAP_IN, HEAD_IN, FOOT_IN, BAR_MM = 44.0, 0.08, 0.48, 1.0, 20.0
#: Longest line above a row; all of it stands in the tables.
HEAD_LETTERS = 150
CONVENTION = "patient's right is on the left of axial and coronal pictures"


@dataclass(frozen=True, eq=False)
class ArmRegions:
    """What an arm put into the bone and beside it, as regions of the tissue grid."""

    pure: Region
    mixed: Region
    hollow: Region
    shell: Region
    leaked: Region


def arm_regions(field: OperatingField, treatment: Treatment) -> ArmRegions:
    """The regions of all fills of an arm together."""

    def together(parts: Sequence[NDArray[np.bool_]]) -> Region:
        return region_of(field, np.logical_or.reduce(parts))

    fills = treatment.fills
    added = np.sum([fill.compacted_g_per_cm3 for fill in fills], axis=0)
    cavity = np.logical_or.reduce([fill.pure | fill.hollow for fill in fills])
    densest = float(added.max(initial=0.0))
    shell = (added[field.samples.cell] > max(SHELL_SHARE * densest, 1e-9)) & ~cavity
    return ArmRegions(
        pure=together([fill.pure for fill in fills]),
        mixed=together([fill.interdigitated for fill in fills]),
        hollow=together([fill.hollow for fill in fills]),
        shell=region_of(field, shell),
        leaked=region_of_voxels(field, np.concatenate([fill.leak_voxels for fill in fills])),
    )


def plan_slices(
    field: OperatingField,
    lesions: tuple[Lesion, ...],
    arms: Mapping[str, Treatment],
    regions: Mapping[str, ArmRegions],
) -> Figure:
    """Axial, coronal and sagittal slices through the treated lesion, and one along the needle.

    Args:
        field: The bone.
        lesions: Its lesions.
        arms: The treatments by name, at least one.
        regions: Regions of each arm, see :func:`arm_regions`.
    """
    diseased = [region_of(field, lesion.inside) for lesion in lesions]
    mg_per_cm3 = (1000.0 * field.tissue.density.g_per_cm3).astype(np.float32)
    rows = []
    for name, treatment in arms.items():
        for number, procedure in enumerate(treatment.procedures, start=1):
            treated = [lesions[i] for i in procedure.plan.lesions] or list(lesions)
            centre = max(treated, key=lambda lesion: lesion.volume_ml).centre_mm
            planes = plan_planes(field.atlas.frame, centre, procedure.path)
            pieces = [cut(field, plane, procedure.path) for plane in planes]
            title = name if len(treatment.procedures) == 1 else f"{name}, procedure {number}"
            rows.append((title, treatment, procedure, regions[name], pieces))
    figure, grid = _layout([pieces for *_, pieces in rows])
    for (title, treatment, procedure, held, pieces), axes_row in zip(rows, grid, strict=True):
        for axes, piece in zip(axes_row, pieces, strict=True):
            _background(axes, piece, mg_per_cm3)
            _passages(axes, field, piece, treatment)
            _regions(axes, piece, diseased, held)
            for lesion in lesions:
                _breach(axes, piece, lesion)
                if lesion.fracture is not None:
                    _fracture(axes, piece, lesion.fracture)
            for other in treatment.procedures:
                _needle(axes, piece, other.path)
            _dress(axes, piece)
        _head(axes_row[0], title, procedure)
    _legend(figure, lesions, arms, tuple(regions.values()))
    return figure


def _layout(rows: Sequence[Sequence[PlanSlice]]) -> tuple[Figure, list[list[Axes]]]:
    """Axes of one scale: matplotlib's own layout would take longer than all drawing."""

    def size(piece: PlanSlice) -> tuple[float, float]:
        left, right, low, high = piece.extent
        return (right - left) / MM_PER_INCH, (high - low) / MM_PER_INCH

    sizes = [[size(piece) for piece in row] for row in rows]
    widths = [max(row[i][0] for row in sizes) for i in range(len(rows[0]))]
    heights = [max(h for _, h in row) for row in sizes]
    width = sum(widths) + GAP_IN * (len(widths) + 1)
    height = sum(heights) + (HEAD_IN + GAP_IN) * len(rows) + FOOT_IN
    figure = Figure(figsize=(width, height))
    grid, top = [], height
    for row, tallest in zip(sizes, heights, strict=True):
        top -= HEAD_IN
        x, line = GAP_IN, []
        for (w, h), widest in zip(row, widths, strict=True):
            place = (x + 0.5 * (widest - w)) / width, (top - h) / height
            line.append(figure.add_axes((*place, w / width, h / height)))
            x += widest + GAP_IN
        grid.append(line)
        top -= tallest + GAP_IN
    return figure, grid


def _background(axes: Axes, piece: PlanSlice, mg_per_cm3: FloatArray) -> None:
    low, high = WINDOW
    axes.imshow(
        piece.of_grid(mg_per_cm3, low),
        cmap="gray",
        vmin=low,
        vmax=high,
        extent=piece.extent,
        origin="lower",
        interpolation="nearest",
    )


def _passages(axes: Axes, field: OperatingField, piece: PlanSlice, treatment: Treatment) -> None:
    """Outlines and names of canal and foramina; in red where cement got into them."""
    codes = piece.nearest(field.tissue.compartment)
    leaked = [code for code in PASSAGES if treatment.leak_ml.get(code, 0.0) > 0.0]
    _outline(axes, piece, _softened(np.isin(codes, PASSAGES)), PASSAGE, 1.0)
    _outline(axes, piece, _softened(np.isin(codes, leaked)), LEAK, 1.6)
    pixel_mm2 = float(np.diff(piece.up_mm[:2])[0] * np.diff(piece.right_mm[:2])[0])
    for code in PASSAGES:
        rows, columns = np.nonzero(codes == code)
        if len(rows) * pixel_mm2 < NAMED_MM2:
            continue
        text = axes.text(
            float(np.median(piece.right_mm[columns])),
            float(np.median(piece.up_mm[rows])),
            "canal" if code is Compartment.CANAL else code.words.split()[1],
            color=PASSAGE,
            fontsize=SMALL_PT,
            ha="center",
            va="center",
        )
        text.set_path_effects([withStroke(linewidth=1.6, foreground="black")])


def _softened(mask: NDArray[np.bool_]) -> FloatArray:
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), 0.9))


def _outline(
    axes: Axes,
    piece: PlanSlice,
    share: FloatArray,
    colour: str,
    width: float,
    style: str = "-",
    fill: float = 0.0,
) -> None:
    """Outline and fill where a share is above a half; matplotlib's own contours take far longer."""
    lines = contour_generator(piece.right_mm, piece.up_mm, share).lines(0.5)
    if not lines:
        return
    path = Path.make_compound_path(*(Path(np.asarray(line)) for line in lines))
    if fill > 0.0:
        axes.add_patch(PathPatch(path, facecolor=colour, edgecolor="none", alpha=fill))
    axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, lw=width, ls=style))


def _regions(axes: Axes, piece: PlanSlice, diseased: Sequence[Region], regions: ArmRegions) -> None:
    drawn: list[tuple[Region, str, float, str, float]] = [
        (regions.leaked, LEAK, 1.0, "-", 0.7),
        (regions.mixed, MIXED, 1.2, "-", 0.4),
        (regions.pure, PURE, 1.2, "-", 0.5),
        (regions.shell, SHELL, 0.9, ":", 0.0),
        (regions.hollow, "black", 1.2, "-", 0.0),
        *((region, LESION, 1.5, "--", 0.0) for region in diseased),
    ]
    for region, colour, width, style, fill in drawn:
        if not region.empty:
            _outline(axes, piece, piece.of_region(region), colour, width, style, fill)


def _breach(axes: Axes, piece: PlanSlice, lesion: Lesion) -> None:
    """Where the surface of the bone has no cortex any more."""
    if lesion.breach:
        gone = piece.nearest(lesion.open_voxels.astype(np.uint8)) > 0
        # One voxel thick: it must not be smoothed away.
        _outline(axes, piece, _softened(ndimage.binary_dilation(gone)), LESION, 0.6, fill=0.9)


def _fracture(axes: Axes, piece: PlanSlice, fracture: Fracture) -> None:
    """The line in which the fracture's plane cuts the picture, as long as its layer."""
    normal = piece.plane.flat(piece.plane.origin_mm + fracture.normal)
    length = float(np.hypot(*normal))
    if length < 0.2 or not fracture.layer.any():
        return
    points = fracture.samples.points_mm[fracture.layer]
    near = points[np.abs(piece.plane.height_mm(points)) < 2.0]
    if len(near) == 0:
        return
    along = np.array([-normal[1], normal[0]]) / length
    foot = piece.plane.flat(near).mean(axis=0)
    # Onto the plane itself: the layer has a thickness.
    start = fracture.point_mm - piece.plane.to_world(foot)
    foot = foot + normal / length * float(start @ fracture.normal) / length
    reach = (piece.plane.flat(near) - foot) @ along
    ends = foot + np.array([[reach.min()], [reach.max()]]) * along
    line = axes.plot(*ends.T, color=FRACTURE, linewidth=1.3, linestyle=(0, (4, 1, 1, 1)))[0]
    line.set_path_effects([withStroke(linewidth=2.6, foreground="black")])


def _needle(axes: Axes, piece: PlanSlice, path: AccessPath) -> None:
    """The cannula to scale where it lies in the plane or crosses it, else its projected axis."""
    points, radius = needle_mm(path), RADIUS_MM[path.cannula]
    flat, height = piece.plane.flat(points), piece.plane.height_mm(points)
    for i in range(len(points) - 1):
        if max(abs(height[i]), abs(height[i + 1])) < IN_PLANE_MM:
            along = (flat[i + 1] - flat[i]) / np.linalg.norm(flat[i + 1] - flat[i])
            side = radius * np.array([-along[1], along[0]])
            corners = [flat[i] + side, flat[i + 1] + side, flat[i + 1] - side, flat[i] - side]
            axes.add_patch(Polygon(corners, facecolor=(*_rgb(NEEDLE), 0.45), edgecolor=NEEDLE))
            continue
        axes.plot(*flat[i : i + 2].T, color=NEEDLE, linewidth=0.9, linestyle="--")
        if height[i] * height[i + 1] < 0.0:
            share = height[i] / (height[i] - height[i + 1])
            centre = flat[i] + share * (flat[i + 1] - flat[i])
            axes.add_patch(
                Circle((float(centre[0]), float(centre[1])), radius, fc=NEEDLE, ec="black", lw=0.6)
            )


def _rgb(colour: str) -> tuple[float, float, float]:
    return tuple(int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5))  # type: ignore[return-value]


def _dress(axes: Axes, piece: PlanSlice) -> None:
    """Name, letters of the directions and a scale bar."""
    left, right, low, high = piece.extent
    axes.set(xlim=(left, right), ylim=(low, high), xticks=[], yticks=[])
    axes.set_title(piece.plane.name, fontsize=TEXT_PT - 1, pad=3)
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.02), (0.5, 0.98))
    align = (("left", "center"), ("right", "center"), ("center", "bottom"), ("center", "top"))
    for letter, place, (across, upright) in zip(piece.plane.letters, places, align, strict=True):
        text = axes.text(
            *place,
            letter,
            transform=axes.transAxes,
            ha=across,
            va=upright,
            fontsize=TEXT_PT,
            fontweight="bold",
            color="white",
        )
        text.set_path_effects([withStroke(linewidth=2.0, foreground="black")])
    axes.plot([left + 4.0, left + 4.0 + BAR_MM], [low + 4.0] * 2, color="white", linewidth=2.5)


def _head(axes: Axes, title: str, procedure: Procedure) -> None:
    """Name of the row, its access and what its fill did."""
    path, fill = procedure.path, procedure.fill
    words = f"{path.approach}, {path.cannula}; {fill.technique}: {fill.cement_ml:.1f} ml in bone"
    leaks = ", ".join(f"{c.words} {ml:.2f} ml" for c, ml in fill.leak_ml.items() if ml >= 0.005)
    if leaks:
        words += f"; leaked: {leaks}"
    if fill.stopped_by:
        words += f"; stopped: {fill.stopped_by}"
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    width, height = figure.get_size_inches()
    top = axes.get_position().y1 + 0.24 / height
    name = figure.text(GAP_IN / width, top, title, fontsize=TEXT_PT + 1, fontweight="bold")
    axes.annotate(
        shorten(words, HEAD_LETTERS, placeholder=" ..."),
        (1.0, 0.0),
        (8.0, 0.0),
        xycoords=name,
        textcoords="offset points",
        fontsize=TEXT_PT - 1,
        va="bottom",
        annotation_clip=False,
    )


def _legend(
    figure: Figure,
    lesions: Sequence[Lesion],
    arms: Mapping[str, Treatment],
    regions: Sequence[ArmRegions],
) -> None:
    """What the colours mean: only those that are in the picture."""

    def seen(name: str) -> bool:
        return any(not getattr(arm, name).empty for arm in regions)

    entries = [
        (True, Line2D([], [], color=LESION, linestyle="--", label="lesion")),
        (any(lesion.breach for lesion in lesions), Patch(fc=LESION, label="cortex destroyed")),
        (seen("pure"), Patch(fc=PURE, alpha=0.7, label="cement")),
        (seen("mixed"), Patch(fc=MIXED, alpha=0.7, label="cement in bone's pores")),
        (seen("hollow"), Line2D([], [], color="black", label="empty cavity")),
        (seen("shell"), Line2D([], [], color=SHELL, linestyle=":", label="compacted bone")),
        (True, Line2D([], [], color=PASSAGE, label="canal and foramina")),
        (seen("leaked"), Patch(fc=LEAK, alpha=0.8, label="cement outside the bone")),
        (
            any(lesion.fracture is not None for lesion in lesions),
            Line2D([], [], color=FRACTURE, linestyle=(0, (4, 1, 1, 1)), label="fracture"),
        ),
        (True, Patch(fc=NEEDLE, label="cannula")),
    ]
    handles = [handle for shown, handle in entries if shown]
    legend = figure.legend(
        handles=handles,
        loc="lower center",
        ncols=-(-len(handles) // 2),
        columnspacing=1.2,
        handletextpad=0.5,
        fontsize=TEXT_PT - 1,
        facecolor="#555555",
        labelcolor="white",
        edgecolor="none",
        title=f"{CONVENTION}; cannulas to scale, dashed where projected; the bar is {BAR_MM:g} mm; "
        f"CT as density, black {WINDOW[0]:g}, white {WINDOW[1]:g} mg/cm3",
        title_fontsize=SMALL_PT,
    )
    legend.get_title().set_color("white")
