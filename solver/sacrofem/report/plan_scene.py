"""One 3-D picture an arm of a planned treatment: bone, lesion, cement, cannulas, nerve passages."""

from collections.abc import Mapping

import numpy as np
import pyvista as pv
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.compartments import PASSAGES, Compartment
from sacrofem.mesh.tissue_grid import BONE, ILIUM_LEFT, ILIUM_RIGHT
from sacrofem.report.plan_figures import (
    LEAK,
    LESION,
    MIXED,
    NEEDLE,
    PURE,
    TEXT_PT,
    ArmRegions,
)
from sacrofem.report.plan_slices import Region, needle_mm, region_of
from sacrofem.report.scene import Camera, Painter, directions, draw
from sacrofem.treatment.access.structures import RADIUS_MM
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.procedure import Treatment

SIZE_PX = (560, 480)
COLUMNS = 4
BONE_COLOUR, NERVE = "#d9cdb8", "#CC79A7"
#: Every so many voxels of the tissue grid make the surface of the bone: 2 mm, few triangles.
COARSE = 2
#: The canal is drawn so thick, in mm, a foramen with this part of its openings' size: thinner than
#: they are, so that the cement behind them is seen.
CANAL_RADIUS_MM, FORAMEN_SHARE = 3.0, 0.6
#: Part of the box of bone and needle that fills the picture.
FILLED = 0.72
SIDES = 16


def plan_scene(
    field: OperatingField,
    lesions: tuple[Lesion, ...],
    arms: Mapping[str, Treatment],
    regions: Mapping[str, ArmRegions],
) -> Figure:
    """A picture of each arm, from behind, above and the lesions' side.

    Args:
        field: The bone.
        lesions: Its lesions.
        arms: The treatments by name, at least one.
        regions: Regions of each arm, see :func:`sacrofem.report.plan_figures.arm_regions`.
    """
    camera = _camera(lesions)
    sacrum = _bone(field, BONE)
    diseased = [_surface(field, region_of(field, lesion.inside)) for lesion in lesions]
    needles = [needle_mm(p.path) for arm in arms.values() for p in arm.procedures]
    points = _box(field, np.vstack([sacrum.points, *needles]))
    columns = min(COLUMNS, len(arms))
    rows = -(-len(arms) // columns)
    width, height = SIZE_PX
    size = (2.9 * columns, (2.9 * height / width + 0.3) * rows + 0.4)
    figure = Figure(figsize=size)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    figure.subplots_adjust(0.01, 0.4 / size[1], 0.99, 1.0 - 0.3 / size[1], 0.03, 0.12)
    for axes in grid:
        axes.axis("off")
    for axes, (name, treatment) in zip(grid, arms.items(), strict=False):
        paint = _painter(field, treatment, regions[name], sacrum, diseased)
        axes.imshow(draw(points, field.atlas.frame, paint, camera, SIZE_PX))
        directions(axes, camera, SIZE_PX)
        axes.set_title(name, fontsize=TEXT_PT + 1, fontweight="bold", pad=4)
    _legend(figure)
    return figure


def _camera(lesions: tuple[Lesion, ...]) -> Camera:
    side = {"left": 0.45, "right": -0.45}.get(lesions[0].side, 0.0) if lesions else 0.0
    return Camera("from behind and above", (side, 1.0, 0.45))


def _box(field: OperatingField, points_mm: FloatArray) -> FloatArray:
    """Corners of the box of points along the frame's axes: an oblique view cuts none off."""
    local = field.atlas.frame.to_local(points_mm)
    ends = np.stack([local.min(axis=0), local.max(axis=0)])
    # A bone does not fill the corners of its box.
    ends = ends.mean(axis=0) + FILLED * (ends - ends.mean(axis=0))
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(-1, 3)
    return field.atlas.frame.to_world(corners)


def _painter(
    field: OperatingField,
    treatment: Treatment,
    regions: ArmRegions,
    sacrum: pv.PolyData,
    diseased: list[pv.PolyData],
) -> Painter:
    ilia = [_bone(field, code) for code in _crossed_ilia(field, treatment)]

    def paint(plotter: pv.Plotter) -> None:
        for bone in (sacrum, *ilia):
            plotter.add_mesh(bone, color=BONE_COLOUR, opacity=0.28, smooth_shading=True)
        for code, tube in _passages(field):
            colour = LEAK if treatment.leak_ml.get(code, 0.0) > 0.0 else NERVE
            plotter.add_mesh(tube, color=colour, opacity=0.8)
        solids = [(mesh, LESION, 0.25) for mesh in diseased]
        solids += [(_surface(field, regions.mixed), MIXED, 0.75)]
        solids += [(_surface(field, regions.pure), PURE, 1.0)]
        solids += [(_surface(field, regions.leaked), LEAK, 1.0)]
        for mesh, colour, opacity in solids:
            if mesh.n_points:
                plotter.add_mesh(mesh, color=colour, opacity=opacity, smooth_shading=True)
        for procedure in treatment.procedures:
            track = pv.MultipleLines(needle_mm(procedure.path))
            radius = RADIUS_MM[procedure.path.cannula]
            plotter.add_mesh(track.tube(radius=radius, n_sides=SIDES), color=NEEDLE)

    return paint


def _crossed_ilia(field: OperatingField, treatment: Treatment) -> set[int]:
    """The codes of the ilia through which a needle goes: those on the side of its entry."""
    crossed = set()
    for procedure in treatment.procedures:
        if "ilium" in procedure.path.crosses:
            local = field.atlas.frame.to_local(procedure.path.entry_mm[None])[0]
            crossed.add(ILIUM_LEFT if local[0] > 0.0 else ILIUM_RIGHT)
    return crossed


def _bone(field: OperatingField, code: int) -> pv.PolyData:
    """A smooth, coarse surface of one bone of the tissue grid."""
    share = ndimage.uniform_filter((field.tissue.tissue == code).astype(np.float32), 3)
    thin = np.ascontiguousarray(share[::COARSE, ::COARSE, ::COARSE])
    return _contour(field, np.zeros(3), COARSE, thin)


def _surface(field: OperatingField, region: Region) -> pv.PolyData:
    if region.empty:
        return pv.PolyData()
    start = np.array([float(part.start) for part in region.box])
    return _contour(field, start, 1, region.share)


def _contour(
    field: OperatingField, start: FloatArray, step: int, share: NDArray[np.float32]
) -> pv.PolyData:
    """The surface at 0.5 of a share given on every ``step``-th voxel, world."""
    padded = np.pad(share, 1)
    low = field.tissue.local_of(start - step)
    spacing = (step * field.tissue.step_mm,) * 3
    grid = pv.ImageData(dimensions=padded.shape, spacing=spacing, origin=tuple(low))
    grid.point_data["share"] = padded.ravel(order="F")
    surface = grid.contour([0.5], scalars="share")
    surface.clear_data()
    if surface.n_points:
        surface.points = field.atlas.frame.to_world(surface.points)
    return surface


def _passages(field: OperatingField) -> list[tuple[Compartment, pv.PolyData]]:
    """Canal and foramina as tubes."""
    atlas, tubes = field.atlas, []
    if len(atlas.canal.line_mm) > 1:
        line = pv.MultipleLines(atlas.canal.line_mm[:: max(len(atlas.canal.line_mm) // 20, 1)])
        tubes.append((Compartment.CANAL, line.tube(radius=CANAL_RADIUS_MM, n_sides=SIDES)))
    for code in PASSAGES[1:]:
        _, level, side = code.words.split()
        ends = [atlas.foramen(level, side, face) for face in ("anterior", "posterior")]
        if not any(end.found for end in ends):
            continue
        line = pv.Line(ends[0].centre_mm, ends[1].centre_mm)
        radius = FORAMEN_SHARE * 0.25 * sum(end.diameter_mm for end in ends)
        tubes.append((code, line.tube(radius=radius, n_sides=SIDES)))
    return tubes


def _legend(figure: Figure) -> None:
    names = (
        ("lesion", LESION),
        ("cement", PURE),
        ("cement in bone's pores", MIXED),
        ("canal and foramina", NERVE),
        ("cement outside the bone", LEAK),
        ("cannula", NEEDLE),
    )
    figure.legend(
        handles=[Patch(facecolor=colour, edgecolor="0.4", label=name) for name, colour in names],
        loc="lower center",
        ncols=6 if figure.get_figwidth() > 8.0 else 3,
        fontsize=TEXT_PT - 1,
        frameon=False,
    )
