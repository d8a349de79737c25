"""3-D pictures by VTK, off-screen; the report goes on without them where VTK cannot draw."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyvista as pv
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import boundary_facets
from sacrofem.report.figures import CEMENT, LESION, PATH, SMALL_PT, TEXT_PT, stress_limit_MPa
from sacrofem.report.slices import in_region
from sacrofem.report.view import ArmView, BoneView

SIZE_PX = (760, 640)
#: Step of the grid on which lesion and cement get their surfaces, in mm.
SURFACE_MM = 0.8
NEEDLE_RADIUS_MM = 1.2
#: Length of the needle behind its entry, in mm.
NEEDLE_MM = 35.0
#: VTK's ways to draw without a screen, in the order in which they are tried.
WINDOWS = ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow")
WINDOW_VARIABLE = "VTK_DEFAULT_OPENGL_WINDOW"
#: A window that VTK cannot open may end the process: another process tries it.
PROBE = """
import pyvista
plotter = pyvista.Plotter(off_screen=True, window_size=(32, 32))
plotter.add_mesh(pyvista.Sphere())
picture = plotter.screenshot(return_img=True)
plotter.close()
raise SystemExit(0 if picture.std() > 0 else 1)
"""

#: Adds the meshes of a picture to a plotter.
Painter = Callable[[pv.Plotter], None]


@dataclass(frozen=True)
class Camera:
    """A view: its name, and where the camera stands in frame coordinates."""

    name: str
    stands_at: tuple[float, float, float]


BEHIND = Camera("from behind", (0.0, 1.0, 0.0))
FRONT_ABOVE = Camera("from in front and above", (0.0, -1.0, 0.8))


@cache
def render_window() -> str | None:
    """The window with which VTK can draw here: a name, ``""`` for its default, None for none."""
    for window in (*WINDOWS, "") if sys.platform == "linux" else ("",):
        environment = os.environ | ({WINDOW_VARIABLE: window} if window else {})
        try:
            tried = subprocess.run(
                [sys.executable, "-P", "-c", PROBE],
                env=environment,
                capture_output=True,
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if tried.returncode == 0:
            return window
    return None


def treatment_scene(view: BoneView) -> Figure:
    """Bone, lesions, cement and needles of each arm, from behind and from in front and above."""
    surface = _bone_surface(view)
    lesion = _region_surface(view, view.diseased)

    def painter(arm: ArmView) -> Painter:
        cement = _region_surface(view, arm.inside)

        def paint(plotter: pv.Plotter) -> None:
            plotter.add_mesh(surface, color="#d9cdb8", opacity=0.32, smooth_shading=True)
            for mesh, colour, opacity in ((lesion, LESION, 0.2), (cement, CEMENT, 1.0)):
                if mesh.n_points:
                    plotter.add_mesh(mesh, color=colour, opacity=opacity, smooth_shading=True)
            for needle in _needles(arm):
                plotter.add_mesh(needle, color=PATH)

        return paint

    columns = [(arm.name, painter(arm)) for arm in view.arms]
    figure = _pictures(view, columns, (BEHIND, FRONT_ABOVE))
    names = (("lesion", LESION), ("cement", CEMENT), ("needle", PATH))
    figure.legend(
        handles=[Patch(facecolor=colour, edgecolor="0.4", label=name) for name, colour in names],
        loc="outside lower center",
        ncols=3,
        fontsize=TEXT_PT,
        frameon=False,
    )
    return figure


def stress_scene(view: BoneView) -> Figure:
    """Von Mises stress of the cells under the surface, with the lesion and after each arm."""
    norm, colours = Normalize(0.0, stress_limit_MPa(view)), colormaps["magma"]
    facets, cells = boundary_facets(view.mesh.tets)

    def painter(values: FloatArray) -> Painter:
        surface = _polydata(view.mesh.points_mm, facets)
        rgb = colours(norm(values[cells]))[:, :3]
        surface.cell_data["rgb"] = (255 * rgb).astype(np.uint8)

        def paint(plotter: pv.Plotter) -> None:
            plotter.add_mesh(surface, scalars="rgb", rgb=True, ambient=0.45, diffuse=0.65)

        return paint

    fields = {"lesion": view.von_mises_MPa, **{arm.name: arm.von_mises_MPa for arm in view.arms}}
    columns = [(name, painter(values)) for name, values in fields.items()]
    figure = _pictures(view, columns, (BEHIND, FRONT_ABOVE))
    figure.set_figwidth(figure.get_figwidth() + 0.9)
    bar = figure.colorbar(
        ScalarMappable(norm, colours), ax=figure.axes, extend="max", shrink=0.7, pad=0.02
    )
    bar.set_label("von Mises stress, MPa", fontsize=TEXT_PT)
    bar.ax.tick_params(labelsize=SMALL_PT)
    return figure


def _pictures(
    view: BoneView, columns: list[tuple[str, Painter]], cameras: tuple[Camera, ...]
) -> Figure:
    """One picture for each column and camera, with names and directions."""
    width, height = SIZE_PX
    size = (3.5 * len(columns) + 0.6, 3.5 * height / width * len(cameras) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(cameras), len(columns), squeeze=False)
    for row, camera in enumerate(cameras):
        for col, (name, paint) in enumerate(columns):
            axes = grid[row, col]
            axes.imshow(draw(view.mesh.points_mm, view.mesh.frame, paint, camera))
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_color("0.8")
            directions(axes, camera)
            if row == 0:
                axes.set_title(name, fontsize=TEXT_PT + 1, fontweight="bold")
            if col == 0:
                axes.set_ylabel(camera.name, fontsize=TEXT_PT)
    return figure


def draw(
    points_mm: FloatArray,
    frame: SacralFrame,
    paint: Painter,
    camera: Camera,
    size_px: tuple[int, int] = SIZE_PX,
) -> NDArray[np.uint8]:
    """One picture, shape (h, w, 3), from a plotter of its own that is closed again.

    Args:
        points_mm: World points that shall fill the picture, shape (n, 3).
        frame: The axes in which the camera stands.
        paint: Adds what is to be seen.
        camera: The view.
        size_px: Width and height.
    """
    local = frame.to_local(points_mm)
    middle = 0.5 * (local.min(axis=0) + local.max(axis=0))
    _, right, up = camera_axes(camera)
    half = 0.5 * np.array([np.ptp(local @ right) * size_px[1] / size_px[0], np.ptp(local @ up)])
    stand = middle + 500.0 * np.array(camera.stands_at) / np.linalg.norm(camera.stands_at)
    # A theme of its own: pyvista's global one stays as the caller had it.
    with _window():
        plotter = pv.Plotter(
            off_screen=True, window_size=list(size_px), theme=pv.themes.DocumentTheme()
        )
        try:
            plotter.set_background("white")
            paint(plotter)
            plotter.enable_parallel_projection()
            plotter.camera.focal_point = frame.to_world(middle[None])[0]
            plotter.camera.position = frame.to_world(stand[None])[0]
            plotter.camera.up = frame.axes.T @ up
            plotter.camera.parallel_scale = 1.12 * float(half.max())
            plotter.camera.clipping_range = (1.0, 1000.0)
            picture = plotter.screenshot(return_img=True)
        finally:
            plotter.close()
    return np.asarray(picture, dtype=np.uint8)


def camera_axes(camera: Camera) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Towards the camera, to the right and up in its picture, frame coordinates, shape (3,)."""
    towards = np.array(camera.stands_at) / np.linalg.norm(camera.stands_at)
    right = np.cross(-towards, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right)
    return towards, right, np.cross(right, -towards)


def directions(axes: Axes, camera: Camera, size_px: tuple[int, int] = SIZE_PX) -> None:
    """Arrows of the patient's directions in the lower left corner of a picture."""
    _, right, up = camera_axes(camera)
    base, length = np.array([0.13, 0.14]) * size_px * (1, -1) + (0, size_px[1]), 58.0
    # The end of each axis that points to the reader or upwards is the one that is named.
    for axis, names in enumerate((("L", "R"), ("P", "A"), ("S", "I"))):
        for sign, name in zip((1.0, -1.0), names, strict=True):
            arrow = sign * length * np.array([right[axis], -up[axis]])
            if np.hypot(*arrow) < 12.0 or (axis > 0 and sign != _shown(axis, camera)):
                continue
            axes.annotate(
                "",
                tuple(base + arrow),
                tuple(base),
                arrowprops={"arrowstyle": "-|>", "color": "0.25", "shrinkA": 0, "shrinkB": 0},
            )
            x, y = base + 1.3 * arrow
            axes.text(
                x,
                y,
                name,
                fontsize=TEXT_PT,
                ha="center",
                va="center",
                weight="bold",
            )


def _shown(axis: int, camera: Camera) -> float:
    """Which end of an axis is named: superior always, else the one on the camera's side."""
    return 1.0 if axis == 2 or camera.stands_at[axis] > 0 else -1.0


def _bone_surface(view: BoneView) -> pv.PolyData:
    return _polydata(view.mesh.points_mm, view.mesh.facets)


def _polydata(points: FloatArray, triangles: NDArray[np.int64]) -> pv.PolyData:
    faces = np.column_stack([np.full(len(triangles), 3), triangles])
    return pv.PolyData(points, faces.ravel()).clean()


def _region_surface(view: BoneView, inside: NDArray[np.bool_]) -> pv.PolyData:
    """Smooth surface of a region of the bone's samples, world; empty for an empty region."""
    frame = view.mesh.frame
    if not inside.any():
        return pv.PolyData()
    local = frame.to_local(view.samples.points_mm[inside])
    low = local.min(axis=0) - 4.0
    count = np.ceil((local.max(axis=0) + 4.0 - low) / SURFACE_MM).astype(int)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in count), indexing="ij"), axis=-1)
    mask = in_region(view, inside, low + SURFACE_MM * index)
    grid = pv.ImageData(dimensions=tuple(count), spacing=(SURFACE_MM,) * 3, origin=tuple(low))
    grid.point_data["inside"] = ndimage.gaussian_filter(mask.astype(float), 1.2).ravel(order="F")
    surface = grid.contour([0.5], scalars="inside")
    surface.clear_data()
    if surface.n_points:
        surface.points = frame.to_world(surface.points)
    return surface


def _needles(arm: ArmView) -> list[pv.PolyData]:
    """The cannulas to scale, drawn on behind their entries."""
    drawn = []
    for path in arm.paths:
        first = path.points_mm[0] - path.points_mm[1]
        start = path.entry_mm + NEEDLE_MM * first / np.linalg.norm(first)
        track = pv.MultipleLines(np.vstack([start, path.points_mm]))
        drawn.append(track.tube(radius=NEEDLE_RADIUS_MM, n_sides=24))
    return drawn


@contextmanager
def _window() -> Iterator[None]:
    """VTK's choice of a window, put back afterwards."""
    window, before = render_window(), os.environ.get(WINDOW_VARIABLE)
    try:
        if window:
            os.environ[WINDOW_VARIABLE] = window
        yield
    finally:
        if window and before is None:
            del os.environ[WINDOW_VARIABLE]
        elif window and before is not None:
            os.environ[WINDOW_VARIABLE] = before
