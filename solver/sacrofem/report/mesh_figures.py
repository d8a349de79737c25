"""Figures of a mesh: its cross-section on the CT, and the distributions behind its figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from sacrofem.anatomy.landmarks import Anatomy
from sacrofem.anatomy.surface import largest_piece
from sacrofem.image.volume import CtVolume, FloatArray, LabelMap
from sacrofem.mesh import fidelity
from sacrofem.mesh import report as limits
from sacrofem.mesh.bone_mesh import BoneMesh, Part, boundary_facets
from sacrofem.mesh.build import LABEL_OF, MeshedBone
from sacrofem.mesh.quality import dihedral_angles_deg, inverse_condition
from sacrofem.report.anatomy_slices import WINDOW_HU
from sacrofem.report.figures import SMALL_PT, TEXT_PT
from sacrofem.report.mesh_slices import (
    CutPlane,
    cross_section,
    cut_lines,
    facets_between,
    hip_plane,
    hu_on,
    labels_on,
    outer_facets,
    sacral_planes,
)

#: Colours of Okabe and Ito, lightened where they have to stand on a CT.
PART_COLOURS = {
    Part.SACRUM: "#4FB3FF",
    Part.CARTILAGE_LEFT: "#1FD6A2",
    Part.CARTILAGE_RIGHT: "#1FD6A2",
    Part.ILIUM_LEFT: "#FFA62B",
    Part.ILIUM_RIGHT: "#E67FC0",
}
LABEL_COLOUR = "#FFF36B"
PIXEL_MM = 0.5
#: Space around the sacrum in a slice, around a pelvis, and half the side of a close-up, in mm.
BORDER_MM, HIP_BORDER_MM, CLOSE_MM = 14.0, 8.0, 21.0
#: Width of the figure of slices, between its panels, above them and below all, in inches.
WIDTH_IN, GAP_IN, TITLE_IN, LEGEND_IN = 13.2, 0.12, 0.34, 0.5


@dataclass(frozen=True, eq=False)
class Panel:
    """A plane and what of it is shown: low and high corner in the picture, shape (2, 2)."""

    title: str
    plane: CutPlane
    corners_mm: FloatArray
    close: bool = False


@dataclass(frozen=True, eq=False)
class Shell:
    """Triangles of the mesh's surface and of its joints, and the part of each."""

    triangles: NDArray[np.int64]
    part: NDArray[np.int8]


def part_name(part: Part) -> str:
    """A part in words."""
    return part.name.lower().replace("_", " ")


def parts_of(mesh: BoneMesh) -> list[Part]:
    """The parts that a mesh has."""
    return [Part(int(part)) for part in np.unique(mesh.part)]


def shell_of(mesh: BoneMesh) -> Shell:
    """The outlines of all parts: the outer surface, and both faces of each cartilage."""
    facets, behind = outer_facets(mesh)
    triangles, part = [facets], [mesh.part[behind]]
    for joint in (Part.CARTILAGE_LEFT, Part.CARTILAGE_RIGHT):
        if len(layer := mesh.tets[mesh.part == joint]):
            faces = boundary_facets(layer)[0]
            triangles.append(faces)
            part.append(np.full(len(faces), joint, dtype=np.int8))
    return Shell(np.concatenate(triangles), np.concatenate(part))


def mesh_on_ct(
    bone: MeshedBone, ct: CtVolume, labels: LabelMap, anatomy: Anatomy, shell: Shell
) -> Figure:
    """The mesh's cross-section on slices of the CT, beside the outline of the labels."""
    panels = _panels(bone.mesh, anatomy)
    rows = [panels[i : i + 2] for i in range(0, len(panels), 2)]
    shapes = [[float(np.divide(*np.ptp(p.corners_mm, axis=0))) for p in row] for row in rows]
    # Panels of one row are equally high, so a wide one gets more of the width.
    heights = [(WIDTH_IN - GAP_IN * (len(row) - 1)) / sum(row) for row in shapes]
    size = np.array([WIDTH_IN, sum(heights) + TITLE_IN * len(rows) + LEGEND_IN])
    figure = Figure(figsize=tuple(size))
    low = size[1]
    for row, shape, height in zip(rows, shapes, heights, strict=True):
        low, left = low - TITLE_IN - height, 0.0
        for panel, ratio in zip(row, shape, strict=True):
            box = np.array([[left, low], [height * ratio, height]]) / size
            _draw_panel(figure.add_axes(box.ravel().tolist()), panel, bone.mesh, shell, ct, labels)
            left += height * ratio + GAP_IN
    entries = [
        *(Patch(color=colour, label=name) for name, colour in legend_parts(bone.mesh).items()),
        Line2D([], [], color=LABEL_COLOUR, linestyle="--", linewidth=1.4, label="label"),
    ]
    figure.legend(
        handles=entries,
        loc="lower center",
        ncols=len(entries),
        fontsize=TEXT_PT + 2,
        facecolor="#444444",
        labelcolor="white",
        edgecolor="none",
    )
    return figure


def legend_parts(mesh: BoneMesh) -> dict[str, str]:
    """Names and colours of the parts; both cartilages are one entry."""
    names = {
        part: "cartilage" if part.name.startswith("CART") else part_name(part)
        for part in parts_of(mesh)
    }
    return {name: PART_COLOURS[part] for part, name in names.items()}


def _panels(mesh: BoneMesh, anatomy: Anatomy) -> list[Panel]:
    """The slices of a model: of the sacrum, of the hips, and close-ups of what is thin."""
    planes = sacral_planes(anatomy)
    panels = [Panel(p.name, p, _around(mesh, p, (Part.SACRUM,), BORDER_MM)) for p in planes]
    if Part.ILIUM_LEFT not in parts_of(mesh):
        across = planes[1]
        foramen = across.flat(mesh.foramen_s1_mm["left"])
        return [*panels, _close_up("left S1 foramen, close", across, foramen)]
    hips = hip_plane(mesh)
    panels.append(Panel(hips.name, hips, _around(mesh, hips, parts_of(mesh), HIP_BORDER_MM)))
    for side in ("right", "left"):
        part = Part[f"CARTILAGE_{side.upper()}"]
        joint = cross_section(mesh.points_mm, mesh.tets[mesh.part == part], planes[0])
        middle = joint.polygons_mm.reshape(-1, 2)
        if len(middle):
            title = f"{side} sacroiliac joint, close (axial as above)"
            panels.append(_close_up(title, planes[0], np.median(middle, axis=0)))
    return panels


def _close_up(title: str, plane: CutPlane, middle_mm: FloatArray) -> Panel:
    reach = np.array([1.3 * CLOSE_MM, CLOSE_MM])
    return Panel(title, plane, np.stack([middle_mm - reach, middle_mm + reach]), close=True)


def _around(
    mesh: BoneMesh, plane: CutPlane, parts: list[Part] | tuple[Part, ...], border_mm: float
) -> FloatArray:
    """Corners of the box of some parts' cross-section, with a border."""
    cut = cross_section(mesh.points_mm, mesh.tets[np.isin(mesh.part, parts)], plane)
    corners = cut.polygons_mm.reshape(-1, 2)
    return np.stack([corners.min(axis=0) - border_mm, corners.max(axis=0) + border_mm])


def _draw_panel(
    axes: Axes, panel: Panel, mesh: BoneMesh, shell: Shell, ct: CtVolume, labels: LabelMap
) -> None:
    """One slice: CT, cells, outlines of parts and labels, directions and a scale."""
    low, high = panel.corners_mm
    pixel = 0.4 * PIXEL_MM if panel.close else PIXEL_MM
    right, up = (np.arange(low[i], high[i] + pixel, pixel) for i in range(2))
    half = 0.5 * pixel
    world = panel.plane.to_world(np.stack(np.meshgrid(right, up), axis=-1))
    axes.imshow(
        hu_on(ct, world),
        cmap="gray",
        vmin=WINDOW_HU[0],
        vmax=WINDOW_HU[1],
        origin="lower",
        extent=(right[0] - half, right[-1] + half, up[0] - half, up[-1] + half),
        interpolation="nearest" if panel.close else "antialiased",
    )
    _cells(axes, panel, mesh)
    wide = 2.0 if panel.close else 1.5
    for part in parts_of(mesh):
        lines = cut_lines(mesh.points_mm, shell.triangles[shell.part == part], panel.plane)
        # A gap after each line: one path is drawn much faster than thousands.
        x, y = np.pad(lines, ((0, 0), (0, 1), (0, 0)), constant_values=np.nan).reshape(-1, 2).T
        axes.plot(x, y, color=PART_COLOURS[part], linewidth=wide, solid_capstyle="round")
    numbers = [LABEL_OF[part] for part in parts_of(mesh) if part in LABEL_OF]
    for inside in labels_on(labels, numbers, world).values():
        if inside.max() > 0.5:
            style: dict[str, Any] = {
                "colors": LABEL_COLOUR,
                "linestyles": "--",
                "linewidths": 0.6 * wide,
            }
            axes.contour(right, up, inside, [0.5], **style)
    _dress(axes, panel)


def _cells(axes: Axes, panel: Panel, mesh: BoneMesh) -> None:
    """The cut cells in the colours of their parts, the CT shining through."""
    cut = cross_section(mesh.points_mm, mesh.tets, panel.plane)
    low, high = panel.corners_mm
    seen = (cut.polygons_mm.max(axis=1) > low).all(axis=1)
    seen &= (cut.polygons_mm.min(axis=1) < high).all(axis=1)
    part = mesh.part[cut.cell[seen]]
    fill, edge = np.zeros((256, 4)), np.zeros((256, 4))
    for name, colour in PART_COLOURS.items():
        fill[name], edge[name] = to_rgba(colour, 0.07), to_rgba(colour, 0.6)
    axes.add_collection(
        PolyCollection(
            list(cut.polygons_mm[seen]),
            facecolors=fill[part],
            edgecolors=edge[part],
            linewidths=0.6 if panel.close else 0.3,
        )
    )


def _dress(axes: Axes, panel: Panel) -> None:
    """Title, the patient's directions at the four sides, and a scale."""
    low, high = panel.corners_mm
    axes.set_title(panel.title, fontsize=TEXT_PT + 2)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_xticks([])
    axes.set_yticks([])
    for letter, x, y in zip(
        panel.plane.letters, (0.025, 0.975, 0.5, 0.5), (0.5, 0.5, 0.035, 0.965), strict=True
    ):
        _word(axes, (x, y), letter, TEXT_PT + 4, transform=axes.transAxes)
    length = 5.0 if panel.close else 20.0
    start = low + 0.03 * (high - low)
    axes.plot([start[0], start[0] + length], [start[1]] * 2, color="white", lw=3)
    place = (start[0] + 0.5 * length, start[1] + 0.03 * (high[1] - low[1]))
    _word(axes, place, f"{length:g} mm", TEXT_PT + 1)


def _word(axes: Axes, place: tuple[float, float], text: str, size: float, **more: Any) -> None:
    axes.text(
        *place,
        text,
        color="white",
        fontsize=size,
        fontweight="bold",
        ha="center",
        va="center",
        path_effects=[withStroke(linewidth=2.5, foreground="black")],
        **more,
    )


def surface_distances_mm(mesh: BoneMesh, labels: LabelMap, shell: Shell) -> dict[str, FloatArray]:
    """Distances between each bone and its label, both ways, as the mesh's report counts them."""
    joints = shell.triangles[np.isin(shell.part, (Part.CARTILAGE_LEFT, Part.CARTILAGE_RIGHT))]
    joint_mm = mesh.points_mm[np.unique(joints)]
    found = {}
    for part in parts_of(mesh):
        if part in LABEL_OF:
            here = mesh.part == part
            faces = [shell.triangles[shell.part == part], facets_between(mesh.tets, here)[0]]
            facets = np.concatenate(faces)
            bone = largest_piece(labels.mask(LABEL_OF[part]))
            found[part_name(part)] = fidelity.surface_distances_mm(
                mesh.points_mm, facets, bone, labels, joint_mm
            )
    return found


def distributions(bone: MeshedBone, distances_mm: Mapping[str, FloatArray]) -> Figure:
    """Histograms of cell quality, dihedral angles and distance between mesh and labels.

    Args:
        bone: The mesh.
        distances_mm: Distances between the surfaces of each bone and its label.
    """
    mesh = bone.mesh
    figure = Figure(figsize=(13.5, 4.4), layout="constrained")
    quality, angles, distance = figure.subplots(1, 3)
    _histogram(quality, inverse_condition(mesh.points_mm, mesh.tets), np.linspace(0.0, 1.0, 51))
    _finish(quality, "quality of the cells (SICN)", "cells")
    for value, style, name in (
        (limits.QUALITY_AT_LEAST, "-", "limit of the worst cell"),
        (limits.QUALITY_P01_AT_LEAST, "--", "limit of the 1st percentile"),
    ):
        quality.axvline(value, color="#D55E00", linestyle=style, linewidth=1.4, label=name)
    found = bone.report.shape.percentile_1
    quality.axvline(found, color="black", linestyle=":", linewidth=1.4, label="1st percentile")
    _legend_above(quality)
    _histogram(
        angles, dihedral_angles_deg(mesh.points_mm, mesh.tets).ravel(), np.linspace(0, 180, 61)
    )
    _finish(angles, "dihedral angles, degrees", "angles")
    angles.axvline(70.53, color="black", linestyle=":", linewidth=1.4, label="regular tetrahedron")
    _legend_above(angles)
    _distances(distance, bone, distances_mm)
    return figure


def _distances(axes: Axes, bone: MeshedBone, distances_mm: Mapping[str, FloatArray]) -> None:
    mean, p95 = limits.surface_limits_mm(bone.report)
    top = max(1.4 * p95, *(float(np.percentile(d, 99.9)) for d in distances_mm.values()))
    for name, found in distances_mm.items():
        colour = PART_COLOURS[Part[name.upper().replace(" ", "_")]]
        share = np.arange(1, len(found) + 1) / len(found)
        axes.plot(np.sort(found), 100.0 * share, color=colour, linewidth=2.0, label=name)
    axes.axvline(mean, color="#D55E00", linewidth=1.4, label="limit of the mean")
    axes.axvline(
        p95, color="#D55E00", linewidth=1.4, linestyle="--", label="limit of the 95th percentile"
    )
    axes.axhline(95.0, color="0.6", linewidth=0.8)
    axes.set_xlim(0.0, top)
    axes.set_ylim(0.0, 101.0)
    _finish(axes, "distance between mesh and label, mm", "share below, %")
    _legend_above(axes)


def _histogram(axes: Axes, values: FloatArray, edges: FloatArray) -> None:
    axes.hist(values, list(edges), color="#0072B2")
    # A few bad cells among half a million must be seen.
    axes.set_yscale("log")
    axes.set_xlim(edges[0], edges[-1])


def _finish(axes: Axes, right: str, up: str) -> None:
    axes.set_xlabel(right, fontsize=TEXT_PT)
    axes.set_ylabel(up, fontsize=TEXT_PT)
    axes.tick_params(labelsize=SMALL_PT)
    axes.spines[["top", "right"]].set_visible(False)


def _legend_above(axes: Axes) -> None:
    """A legend that hides no line."""
    axes.legend(
        fontsize=SMALL_PT, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2
    )
