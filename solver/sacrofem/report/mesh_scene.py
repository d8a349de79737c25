"""3-D pictures of a mesh: by part from all sides and cut open, and cut open by density."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyvista as pv
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from numpy.typing import NDArray

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.landmarks import Anatomy
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.materials import (
    DENSITY_CEILING_G_PER_CM3,
    DENSITY_FLOOR_G_PER_CM3,
    clamped_volume,
)
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.mesh.build import LABEL_OF
from sacrofem.report import scene
from sacrofem.report.figures import SMALL_PT, TEXT_PT
from sacrofem.report.mesh_figures import PART_COLOURS, legend_parts, part_name, parts_of
from sacrofem.report.mesh_slices import (
    CutPlane,
    cross_section,
    facets_between,
    outer_facets,
    sacral_planes,
)
from sacrofem.report.scene import Camera, Painter

SIZE_PX = (1000, 800)
BELOW_COLOUR, ABOVE_COLOUR, NO_DENSITY = "#FF8AC4", "#E60000", "#C8C8C8"
DENSITY_COLOURS = colormaps["viridis"]
#: Upper end of the density's scale: this percentile of the bone, rounded up to 50 mg/cm3.
TOP_PERCENTILE = 99.0
FRONT, BACK = Camera("from the front", (0.0, -1.0, 0.0)), Camera("from behind", (0.0, 1.0, 0.0))
LEFT = Camera("from the patient's left", (1.0, 0.0, 0.0))
#: Not quite upright: from straight below no direction would be upwards.
BELOW = Camera("from below", (0.0, -0.02, -1.0))
OBLIQUE = Camera("from the right, behind and above", (-0.75, 1.0, 0.7))

#: The axes of a patient who stands, or lies straight, in the CT.
PATIENT = SacralFrame(np.zeros(3), *np.eye(3))

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class View:
    """One picture: what is drawn, from where and in which axes, and which world points fill it."""

    title: str
    paint: Painter
    camera: Camera
    frame: SacralFrame
    shown_mm: FloatArray


def by_part(mesh: BoneMesh, anatomy: Anatomy) -> Figure:
    """The surface with its edges from four sides, and the cells inside, in the parts' colours."""
    facets, behind = outer_facets(mesh)
    whole = _surface(mesh, facets, _part_rgb(mesh)[behind])

    def paint(plotter: pv.Plotter) -> None:
        _add(plotter, whole, edges=True)

    plane = sacral_planes(anatomy)[2]
    along, points = _plane_frame(plane), mesh.points_mm
    upright = PATIENT if len(parts_of(mesh)) > 1 else along
    views = [View(c.name, paint, c, upright, points) for c in (FRONT, BACK, LEFT, OBLIQUE)]
    opened = _opened(mesh, plane, facets, behind)

    def paint_opened(plotter: pv.Plotter) -> None:
        _add(plotter, opened, edges=True)

    near = _sacral_points(mesh)
    local = plane.flat(near)
    corner = near[(local > 0.0).all(axis=1)]
    for title, shown in (
        ("cut open along the foramina, whole cells", near),
        ("the same, left upper quarter", corner if len(corner) else near),
    ):
        views.append(View(title, paint_opened, FRONT, along, shown))
    figure = _figure(views, 2)
    entries = [Patch(facecolor=c, edgecolor="0.4", label=n) for n, c in legend_parts(mesh).items()]
    _legend(figure, entries, len(entries))
    return figure


def by_density(mesh: BoneMesh, anatomy: Anatomy) -> Figure:
    """The bone cut open by three planes, its cells in the colours of their density."""
    top = density_top_mg_per_cm3(mesh)
    norm = Normalize(0.0, top)
    rgb = _density_rgb(mesh, norm)
    _, across, along, middle, _ = sacral_planes(anatomy)
    views = [
        _halved(mesh, rgb, along, FRONT, _plane_frame(along)),
        _halved(mesh, rgb, across, BELOW, _plane_frame(along)),
        _halved(mesh, rgb, middle, LEFT, PATIENT),
    ]
    figure = _figure(views, 3)
    bar = figure.colorbar(
        ScalarMappable(norm, DENSITY_COLOURS), ax=figure.axes, extend="max", shrink=0.8, pad=0.01
    )
    bar.set_label("density (K2HPO4 equivalent), mg/cm³", fontsize=TEXT_PT)
    bar.ax.tick_params(labelsize=SMALL_PT)
    _legend(figure, _clamped_entries(mesh), 1)
    return figure


def density_top_mg_per_cm3(mesh: BoneMesh) -> float:
    """Upper end of the density's scale."""
    bone = 1000.0 * mesh.density.g_per_cm3[~_is_cartilage(mesh)]
    top = float(np.percentile(bone, TOP_PERCENTILE))
    return float(50.0 * np.ceil(max(top, 1.0) / 50.0))


def _clamped_entries(mesh: BoneMesh) -> list[Patch]:
    volume = {part_name(p): clamped_volume(mesh, p) for p in parts_of(mesh) if p in LABEL_OF}
    below = ", ".join(f"{name} {found.below_ml:.1f}" for name, found in volume.items())
    above = ", ".join(f"{name} {found.above_ml:.1f}" for name, found in volume.items())
    floor, ceiling = (1000 * d for d in (DENSITY_FLOOR_G_PER_CM3, DENSITY_CEILING_G_PER_CM3))
    entries = [
        (BELOW_COLOUR, f"below {floor:g} mg/cm³, raised to it: {below} ml"),
        (ABOVE_COLOUR, f"above {ceiling:g} mg/cm³, lowered to it: {above} ml"),
    ]
    if _is_cartilage(mesh).any():
        entries.append((NO_DENSITY, "cartilage: not by density"))
    return [Patch(facecolor=c, edgecolor="0.4", label=name) for c, name in entries]


def _is_cartilage(mesh: BoneMesh) -> NDArray[np.bool_]:
    return np.isin(mesh.part, (Part.CARTILAGE_LEFT, Part.CARTILAGE_RIGHT))


def _part_rgb(mesh: BoneMesh) -> NDArray[np.uint8]:
    """Colour of each cell by its part, shape (m, 3); lighter than in slices, on white."""
    table = np.zeros((256, 3), dtype=np.uint8)
    for part in parts_of(mesh):
        table[part] = 255 * (0.75 * np.array(to_rgb(PART_COLOURS[part])) + 0.25)
    return np.asarray(table[mesh.part])


def _density_rgb(mesh: BoneMesh, norm: Normalize) -> NDArray[np.uint8]:
    """Colour of each cell by its density, shape (m, 3); what is clamped has colours of its own."""
    raw = mesh.density.g_per_cm3
    rgb = DENSITY_COLOURS(norm(1000.0 * raw))[:, :3]
    rgb[raw < DENSITY_FLOOR_G_PER_CM3] = to_rgb(BELOW_COLOUR)
    rgb[raw > DENSITY_CEILING_G_PER_CM3] = to_rgb(ABOVE_COLOUR)
    rgb[_is_cartilage(mesh)] = to_rgb(NO_DENSITY)
    return np.asarray(255 * rgb, dtype=np.uint8)


def _opened(mesh: BoneMesh, plane: CutPlane, facets: IntArray, behind: IntArray) -> pv.PolyData:
    """The cells behind a plane, whole."""
    kept = plane.height_mm(mesh.centroids_mm) < 0.0
    inner, cells = facets_between(mesh.tets, kept)
    outer = kept[behind]
    rgb = _part_rgb(mesh)[np.concatenate([behind[outer], cells])]
    return _surface(mesh, np.concatenate([facets[outer], inner]), rgb)


def _halved(
    mesh: BoneMesh,
    rgb: NDArray[np.uint8],
    plane: CutPlane,
    camera: Camera,
    frame: SacralFrame,
) -> View:
    """What is behind a plane, cut exactly: the surface that is left, and the cut face."""
    facets, behind = outer_facets(mesh)
    shell = _surface(mesh, facets, rgb[behind])
    shell = shell.clip(normal=tuple(plane.normal), origin=tuple(plane.origin_mm), invert=True)
    cut = cross_section(mesh.points_mm, mesh.tets, plane)
    corners = plane.to_world(cut.polygons_mm).reshape(-1, 3)
    face = pv.PolyData.from_regular_faces(corners, np.arange(len(corners)).reshape(-1, 4))
    face.cell_data["rgb"] = rgb[cut.cell]

    def paint(plotter: pv.Plotter) -> None:
        _add(plotter, shell, edges=False)
        # The cut face is lit from all sides: its colours are those of the bar.
        plotter.add_mesh(face, scalars="rgb", rgb=True, lighting=False)

    return View(plane.name, paint, camera, frame, _sacral_points(mesh))


def _sacral_points(mesh: BoneMesh) -> FloatArray:
    return np.asarray(mesh.points_mm[np.unique(mesh.tets[mesh.part == Part.SACRUM])])


def _surface(mesh: BoneMesh, triangles: IntArray, rgb: NDArray[np.uint8]) -> pv.PolyData:
    used, corners = np.unique(triangles, return_inverse=True)
    surface = pv.PolyData.from_regular_faces(mesh.points_mm[used], corners.reshape(-1, 3))
    surface.cell_data["rgb"] = rgb
    return surface


def _add(plotter: pv.Plotter, surface: pv.PolyData, edges: bool) -> None:
    plotter.add_mesh(
        surface,
        scalars="rgb",
        rgb=True,
        ambient=0.42,
        diffuse=0.68,
        show_edges=edges,
        edge_color="#202020",
        edge_opacity=0.4,
        line_width=1.0,
    )


def _plane_frame(plane: CutPlane) -> SacralFrame:
    """Axes with the sacrum upright: those of the coronal plane along its foramina."""
    return SacralFrame(plane.origin_mm, plane.right, -plane.normal, plane.up)


def _figure(views: Sequence[View], columns: int) -> Figure:
    """Pictures in rows, with titles and the patient's directions."""
    width, height = SIZE_PX
    rows = -(-len(views) // columns)
    panel = 13.4 / columns
    size = (13.4, rows * (panel * height / width + 0.35) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    for axes, view in zip(figure.subplots(rows, columns).flat, views, strict=True):
        shown = _symmetric(view.shown_mm, view.frame)
        picture = scene.draw(shown, view.frame, view.paint, view.camera, SIZE_PX)
        _show(axes, picture, view)
    return figure


def _symmetric(points_mm: FloatArray, frame: SacralFrame) -> FloatArray:
    """Points and their reflections in the middle of their box: an oblique view holds them all."""
    local = frame.to_local(points_mm)
    middle = 0.5 * (local.min(axis=0) + local.max(axis=0))
    return np.concatenate([points_mm, frame.to_world(2.0 * middle - local)])


def _show(axes: Axes, picture: NDArray[np.uint8], view: View) -> None:
    axes.imshow(picture)
    axes.set_title(view.title, fontsize=TEXT_PT + 2)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("0.8")
    scene.directions(axes, view.camera, SIZE_PX)
    # The arrows may lie on the bone.
    for word in axes.texts:
        word.set_path_effects([withStroke(linewidth=3.0, foreground="white")])
        if isinstance(word, Annotation) and word.arrow_patch is not None:
            word.arrow_patch.set_path_effects([withStroke(linewidth=3.0, foreground="white")])


def _legend(figure: Figure, entries: list[Patch], columns: int) -> None:
    figure.legend(
        handles=entries,
        loc="outside lower center",
        ncols=columns,
        fontsize=TEXT_PT,
        frameon=False,
    )
