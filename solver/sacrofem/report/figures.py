"""Figures of a comparison: bars, and slices in the sacral frame."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.volume import FloatArray
from sacrofem.measure.stress_relief import PURE_BONE
from sacrofem.report.slices import Slice, cut, in_region, on_tissue
from sacrofem.report.view import ArmView, BoneView

#: Colours of Okabe and Ito, which all readers can tell apart.
LESION, CEMENT, PATH = "#D55E00", "#F0E442", "#56B4E9"
STATE_COLOURS = {"intact": "#999999", "lesion": LESION, "treated": "#0072B2"}
TEXT_PT, SMALL_PT = 10, 9
#: Length of the needle that is drawn behind its entry, in mm.
NEEDLE_MM = 12.0
#: A landmark is drawn in a slice when it is not farther from it than this, in mm.
NEAR_MM = 8.0
#: Colour of cells with lesion or cement in a picture of the sound bone.
NO_BONE = "#8c8c8c"
AXIS_NAMES = ("to the left of the midline, mm", "to the back, mm", "upwards, mm")
CONVENTION = "patient's right is on the left of axial and coronal pictures"

#: Draws one slice of one column and returns nothing.
Panel = Callable[[Axes, Slice], None]


def png(figure: Figure, dpi: int = 110) -> bytes:
    """A figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def bars(summary: Mapping[str, Any]) -> Figure:
    """Rim stress by state, relief, and change of stiffness, by arm; from ``summary.json``."""
    arms: Mapping[str, Any] = summary["arms"]
    figure = Figure(figsize=(11.5, 3.9), layout="constrained")
    stress, relief, stiffness = figure.subplots(1, 3, width_ratios=(3, 2, 2.4))
    for i, (state, colour) in enumerate(STATE_COLOURS.items()):
        values = [_number(arm[state].get("rim_von_mises_mean_MPa")) for arm in arms.values()]
        _group(stress, values, i, 3, colour, state, "%.3f")
    _finish_bars(stress, list(arms), "mean von Mises stress in the rim, MPa")
    for i, (word, label, colour) in enumerate(
        (("mean", "mean", "#0072B2"), ("p95", "95th percentile", "#CC79A7"))
    ):
        values = [_number(arm["relief"]["rim"].get(f"von_mises_{word}")) for arm in arms.values()]
        _group(relief, [100.0 * value for value in values], i, 2, colour, label, "%.1f")
    _finish_bars(relief, list(arms), "relief of the rim, % of the lesion state")
    first = next(iter(arms.values()))
    states = {"lesion": first["lesion"], **{name: arm["treated"] for name, arm in arms.items()}}
    intact = _number(first["intact"].get("stiffness_N_per_mm"))
    change = [
        100.0 * (_number(s.get("stiffness_N_per_mm")) / intact - 1.0) for s in states.values()
    ]
    _group(stiffness, change, 0, 1, "#0072B2", "", "%+.2f")
    stiffness.patches[0].set_facecolor(LESION)
    _finish_bars(stiffness, list(states), "change of stiffness to the intact bone, %")
    return figure


def density_slices(view: BoneView) -> Figure:
    """The CT as density, with lesion, cement and needle path of each arm."""
    mg_per_cm3 = 1000.0 * view.tissue.density.g_per_cm3
    norm, colours = Normalize(-100.0, 400.0), colormaps["gray"]

    def column(arm: ArmView) -> Panel:
        def draw(axes: Axes, piece: Slice) -> None:
            _image(axes, piece, on_tissue(view, mg_per_cm3, piece.local_mm), norm, colours)
            axes.contour(
                piece.right_mm,
                piece.up_mm,
                ndimage.gaussian_filter(piece.bone.astype(float), 1.0),
                [0.5],
                colors="white",
                linewidths=0.6,
            )
            _outlines(axes, view, piece, arm, LESION, CEMENT)
            _paths(axes, view, piece, arm)
            _foramina(axes, view, piece)

        return draw

    figure = _grid(view, [column(arm) for arm in view.arms], [arm.name for arm in view.arms])
    _colour_bar(figure, norm, colours, "density (K2HPO4 equivalent), mg/cm³", "both")
    _legend(figure, LESION, CEMENT, path=True)
    return figure


def modulus_slices(view: BoneView) -> Figure:
    """Young's modulus of the cells, as the solver had it, on a logarithmic scale."""
    norm, colours = LogNorm(1.0, 3000.0), colormaps["viridis"]
    fields = {"lesion": view.young_MPa, **{arm.name: arm.young_MPa for arm in view.arms}}
    panels = _cell_panels(view, list(fields.values()), norm, colours)
    figure = _grid(view, panels, list(fields))
    _colour_bar(figure, norm, colours, "Young's modulus, MPa", "both")
    _legend(figure, "white", "black")
    return figure


def stress_slices(view: BoneView) -> Figure:
    """Von Mises stress with the lesion and after each arm, on one scale."""
    fields = {"lesion": view.von_mises_MPa, **{arm.name: arm.von_mises_MPa for arm in view.arms}}
    norm, colours = Normalize(0.0, stress_limit_MPa(view)), colormaps["magma"]
    panels = _cell_panels(view, list(fields.values()), norm, colours)
    figure = _grid(view, panels, list(fields))
    _colour_bar(figure, norm, colours, "von Mises stress, MPa", "max")
    _legend(figure, "white", "#56B4E9")
    return figure


def difference_slices(view: BoneView) -> Figure:
    """Von Mises stress of the sound bone after each arm minus that with the lesion."""
    lesion = view.samples.fraction(view.diseased)
    changes: list[np.ma.MaskedArray] = [
        np.ma.masked_array(
            arm.von_mises_MPa - view.von_mises_MPa,
            (lesion >= PURE_BONE) | (arm.cement >= PURE_BONE),
        )
        for arm in view.arms
    ]
    # A few cells at the cement's edge would stretch the scale for all others: they saturate.
    size = max(float(np.percentile(np.abs(c.compressed()), 99.5)) for c in changes)
    norm, colours = Normalize(-max(size, 1e-9), max(size, 1e-9)), colormaps["RdBu_r"]
    grey = ListedColormap([NO_BONE])

    def column(arm: ArmView, change: np.ma.MaskedArray) -> Panel:
        def draw(axes: Axes, piece: Slice) -> None:
            _image(axes, piece, piece.of_cells(change.filled(0.0)), norm, colours)
            left_out = piece.of_cells(np.ma.getmaskarray(change).astype(np.float64))
            left_out = np.ma.masked_equal(left_out, 0.0)
            _image(axes, piece, left_out, Normalize(0.0, 1.0), grey)
            _outlines(axes, view, piece, arm, "black", "white")

        return draw

    panels = [column(arm, change) for arm, change in zip(view.arms, changes, strict=True)]
    figure = _grid(view, panels, [f"{arm.name} minus lesion" for arm in view.arms])
    _colour_bar(figure, norm, colours, "change of von Mises stress, MPa (blue: relief)", "both")
    _legend(figure, "black", "white", left_out=True)
    return figure


def stress_limit_MPa(view: BoneView) -> float:
    """Upper end of the shared stress scale: the 99th percentile of the bone with the lesion."""
    bone = view.samples.fraction(view.diseased) < PURE_BONE
    top = float(np.percentile(view.von_mises_MPa[bone], 99.0))
    return max(float(f"{top:.1g}"), 1e-9) if top > 0 else 1.0


def _cell_panels(
    view: BoneView, fields: Sequence[FloatArray], norm: Normalize, colours: Colormap
) -> list[Panel]:
    def column(values: FloatArray, arm: ArmView | None) -> Panel:
        def draw(axes: Axes, piece: Slice) -> None:
            _image(axes, piece, piece.of_cells(values), norm, colours)
            lesion, cement = _outline_colours(colours)
            _outlines(axes, view, piece, arm, lesion, cement)

        return draw

    return [column(f, a) for f, a in zip(fields, (None, *view.arms), strict=True)]


def _outline_colours(colours: Colormap) -> tuple[str, str]:
    return ("white", "#56B4E9") if colours.name == "magma" else ("white", "black")


def _grid(view: BoneView, columns: Sequence[Panel], titles: Sequence[str]) -> Figure:
    """Rows of planes, columns of arms."""
    pieces = cut(view)
    heights = [float(np.ptp(piece.up_mm)) for piece in pieces]
    width_mm = max(float(np.ptp(piece.right_mm)) for piece in pieces)
    panel_in = 3.3 if len(columns) < 4 else 2.6
    size = (panel_in * len(columns) + 1.3, panel_in * sum(heights) / width_mm + 1.6)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(3, len(columns), height_ratios=heights, squeeze=False)
    for row, piece in enumerate(pieces):
        for col, draw in enumerate(columns):
            axes = grid[row, col]
            draw(axes, piece)
            _dress(axes, piece)
            if row == 0:
                axes.set_title(titles[col], fontsize=TEXT_PT + 1, fontweight="bold")
            if col == 0:
                axes.set_ylabel(f"{piece.plane.name}\n{AXIS_NAMES[piece.plane.up_of]}")
            axes.set_xlabel(AXIS_NAMES[piece.plane.right_of], fontsize=SMALL_PT)
            axes.yaxis.label.set_fontsize(SMALL_PT)
    return figure


def _image(
    axes: Axes, piece: Slice, values: FloatArray, norm: Normalize, colours: Colormap
) -> None:
    half = 0.5 * (piece.right_mm[1] - piece.right_mm[0])
    extent = (
        piece.right_mm[0] - half,
        piece.right_mm[-1] + half,
        piece.up_mm[0] - half,
        piece.up_mm[-1] + half,
    )
    axes.imshow(
        values, norm=norm, cmap=colours, extent=extent, origin="lower", interpolation="nearest"
    )


def _dress(axes: Axes, piece: Slice) -> None:
    """Sides, ticks and the direction of the vertical axis."""
    if piece.plane.up_sign < 0:
        axes.invert_yaxis()
    axes.tick_params(labelsize=SMALL_PT - 1)
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.02), (0.5, 0.98))
    align = (("left", "center"), ("right", "center"), ("center", "bottom"), ("center", "top"))
    for letter, place, (horizontal, vertical) in zip(
        piece.plane.letters, places, align, strict=True
    ):
        text = axes.text(
            *place,
            letter,
            transform=axes.transAxes,
            ha=horizontal,
            va=vertical,
            fontsize=TEXT_PT + 1,
            fontweight="bold",
            color="black",
        )
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _outlines(
    axes: Axes,
    view: BoneView,
    piece: Slice,
    arm: ArmView | None,
    lesion: str,
    cement: str | None,
) -> None:
    _outline(axes, piece, _region(view, piece, view.diseased), lesion, "--")
    if arm is not None and cement is not None:
        _outline(axes, piece, _region(view, piece, arm.inside), cement, "-")


def _region(view: BoneView, piece: Slice, inside: NDArray[np.bool_]) -> FloatArray:
    """A region on a slice, softened by a pixel so that its outline is no staircase."""
    mask = in_region(view, inside, piece.local_mm) & piece.bone
    return np.asarray(ndimage.gaussian_filter(mask.astype(float), 1.5))


def _outline(axes: Axes, piece: Slice, region: FloatArray, colour: str, style: str) -> None:
    if region.max() > 0.5:
        axes.contour(
            piece.right_mm,
            piece.up_mm,
            region,
            [0.5],
            colors=colour,
            linewidths=1.6,
            linestyles=style,
        )


def _paths(axes: Axes, view: BoneView, piece: Slice, arm: ArmView) -> None:
    """The needles, projected onto the slice."""
    for path in arm.paths:
        first = path.points_mm[0] - path.points_mm[1]
        start = path.entry_mm + NEEDLE_MM * first / np.linalg.norm(first)
        track = view.mesh.frame.to_local(np.vstack([start, path.points_mm]))
        right, up = track[:, piece.plane.right_of], track[:, piece.plane.up_of]
        line = axes.plot(right, up, color=PATH, linewidth=2.0, solid_capstyle="round")[0]
        line.set_path_effects([withStroke(linewidth=3.2, foreground="black")])
        axes.plot(right[-1], up[-1], "o", color=PATH, markersize=4, markeredgecolor="black")


def _foramina(axes: Axes, view: BoneView, piece: Slice) -> None:
    """Name the S1 foramina that the slice cuts."""
    for point in view.mesh.foramen_s1_mm.values():
        local = view.mesh.frame.to_local(point[None])[0]
        if abs(local[piece.plane.through] - piece.at_mm) > NEAR_MM:
            continue
        place = (local[piece.plane.right_of], local[piece.plane.up_of])
        axes.plot(*place, "+", color="white", markersize=8)
        axes.annotate(
            "S1 foramen",
            place,
            xytext=(0, -9),
            textcoords="offset points",
            color="white",
            fontsize=SMALL_PT - 1,
            ha="center",
            va="top",
        )


def _colour_bar(
    figure: Figure, norm: Normalize, colours: Colormap, label: str, extend: str
) -> None:
    bar = figure.colorbar(
        ScalarMappable(norm, colours),
        ax=figure.axes,
        extend=extend,
        shrink=0.6,
        aspect=35,
        pad=0.02,
        panchor=False,
    )
    bar.set_label(label, fontsize=TEXT_PT)
    bar.ax.tick_params(labelsize=SMALL_PT)


def _legend(
    figure: Figure, lesion: str, cement: str, path: bool = False, left_out: bool = False
) -> None:
    entries = [
        Line2D([], [], color=lesion, linestyle="--", linewidth=1.6, label="lesion"),
        Line2D([], [], color=cement, linewidth=1.6, label="cement"),
    ]
    if path:
        entries.append(Line2D([], [], color=PATH, linewidth=2.0, label="needle path (projected)"))
    if left_out:
        entries.append(Line2D([], [], color=NO_BONE, linewidth=8, label="cells that are not bone"))
    legend = figure.legend(
        handles=entries,
        loc="outside lower center",
        ncols=len(entries),
        fontsize=TEXT_PT,
        facecolor="#555555",
        labelcolor="white",
        edgecolor="none",
        title=CONVENTION,
        title_fontsize=SMALL_PT,
    )
    legend.get_title().set_color("white")


def _group(
    axes: Axes,
    values: Sequence[float],
    place: int,
    of: int,
    colour: str,
    label: str,
    digits: str,
) -> None:
    """One colour of a group of bars, with its numbers."""
    width = 0.8 / of
    x = np.arange(len(values)) + (place - 0.5 * (of - 1)) * width
    drawn = axes.bar(x, values, 0.92 * width, color=colour, label=label or None)
    texts = [digits % value if np.isfinite(value) else "" for value in values]
    axes.bar_label(drawn, texts, fontsize=SMALL_PT, padding=2)


def _finish_bars(axes: Axes, names: Sequence[str], label: str) -> None:
    axes.set_xticks(range(len(names)), names, fontsize=TEXT_PT)
    axes.set_ylabel(label, fontsize=TEXT_PT)
    axes.tick_params(axis="y", labelsize=SMALL_PT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.margins(y=0.15)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            fontsize=SMALL_PT, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3
        )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
