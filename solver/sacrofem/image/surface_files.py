"""One closed surface from a file: read, oriented, in mm and LPS, or refused by name."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvista
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from vtkmodules.vtkCommonCore import vtkObject

from sacrofem.errors import InputError
from sacrofem.image.noted import Noted
from sacrofem.image.volume import FloatArray
from sacrofem.image.voxelise import IntArray

FORMATS = (".stl", ".ply", ".obj", ".vtp")
MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
TO_LPS = {"LPS": np.ones(3), "RAS": np.array([-1.0, -1.0, 1.0])}
#: Points closer than this part of the surface's diagonal are one: STL stores none twice exactly.
SAME_POINT = 1e-6
#: 3D Slicer writes the coordinate system into the head of its files.
SPACE_WITHIN_BYTES = 4096


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface, normals outward: ``points_mm`` (n, 3) in LPS, ``triangles`` (m, 3)."""

    points_mm: FloatArray
    triangles: IntArray

    @property
    def volume_ml(self) -> float:
        """Enclosed volume by the divergence theorem."""
        return _volume(self.points_mm, self.triangles) / 1000.0


def load_surface(path: Path, unit: str, coordinates: str) -> Noted[Surface]:
    """Read a closed surface of triangles or polygons from STL, PLY, OBJ or VTP.

    Args:
        path: The file.
        unit: Of its coordinates: ``mm``, ``cm`` or ``m``.
        coordinates: ``LPS`` or ``RAS``, which no format but 3D Slicer's own comment records.

    Raises:
        InputError: Unit or coordinates are unknown or contradict the file; the file cannot be
            read, or its surface is not closed or cannot be oriented.
    """
    if unit not in MM or coordinates not in TO_LPS:
        raise InputError(
            f"{path}: unit is {unit!r} and coordinates {coordinates!r}; possible are "
            f"{', '.join(MM)} and {', '.join(TO_LPS)}."
        )
    mesh, fields = _read(path)
    _require_space(path, fields, coordinates)
    points = np.asarray(mesh.points, dtype=np.float64)
    triangles = np.asarray(mesh.regular_faces, dtype=np.int64)
    # Merged points leave triangles without area, of which two corners are one.
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    _require_closed(path, triangles)
    notes = []
    if not _oriented(triangles):
        triangles = _reoriented(path, points, triangles)
        notes.append(f"{path.name}: normals pointed both ways; made one orientation")
    points = points * MM[unit] * TO_LPS[coordinates]
    if _volume(points, triangles) < 0.0:
        triangles = triangles[:, ::-1]
        notes.append(f"{path.name}: normals pointed inward; turned")
    pieces = _pieces(triangles)
    if pieces > 1:
        notes.append(f"{path.name}: {pieces} closed pieces")
    return Noted(Surface(points, triangles), tuple(notes))


def _read(path: Path) -> tuple[pyvista.PolyData, str]:
    """The triangles of a file with its double points merged, and its named fields in words."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"{path}: surfaces are read from {', '.join(FORMATS)}; export it as one of them."
        )
    if not path.is_file() or path.stat().st_size == 0:
        raise InputError(f"{path}: no such file, or it is empty; give a surface.")
    shown = vtkObject.GetGlobalWarningDisplay()
    vtkObject.GlobalWarningDisplayOff()
    try:
        raw = pyvista.read(path)
        mesh = raw.triangulate().clean(
            tolerance=SAME_POINT, lines_to_points=False, polys_to_lines=False
        )
    except (RuntimeError, ValueError, OSError, AttributeError, KeyError) as error:
        raise InputError(
            f"{path}: not readable as a surface ({str(error).splitlines()[0]}); export it again."
        ) from error
    finally:
        vtkObject.SetGlobalWarningDisplay(shown)
    if (
        not (mesh.n_cells and mesh.is_all_triangles)
        or not np.isfinite(np.asarray(mesh.points)).all()
    ):
        raise InputError(
            f"{path}: there is no surface of triangles in it, found {raw.n_points} points and "
            f"{raw.n_cells} cells; export the closed surface of one bone."
        )
    return mesh, " ".join(
        f"{name}={np.ravel(value).tolist()}" for name, value in raw.field_data.items()
    )


def _require_space(path: Path, fields: str, coordinates: str) -> None:
    with path.open("rb") as file:
        head = file.read(SPACE_WITHIN_BYTES).decode("latin-1")
    found = re.search(r"SPACE\W+(LPS|RAS)", head + " " + fields)
    if found and found[1] != coordinates:
        raise InputError(
            f"{path}: coordinates are stated as {coordinates}, but the file says SPACE="
            f"{found[1]}; state coordinates: {found[1]}."
        )


def _edges(triangles: IntArray) -> tuple[IntArray, IntArray]:
    """How often each edge is used, and in one direction less the other."""
    directed = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    forward = np.where(directed[:, 0] < directed[:, 1], 1, -1)
    count = int(triangles.max()) + 1
    low, high = directed.min(axis=1), directed.max(axis=1)
    _, edge = np.unique(low * count + high, return_inverse=True)
    return np.bincount(edge), np.bincount(edge, weights=forward).astype(np.int64)


def _require_closed(path: Path, triangles: IntArray) -> None:
    used, _ = _edges(triangles)
    single = int(np.count_nonzero(used % 2))
    if single:
        raise InputError(
            f"{path}: the surface is not closed, {single} of {len(used)} edges are open; fill its "
            "holes (in 3D Slicer's Surface Toolbox or MeshLab) and export it again."
        )


def _oriented(triangles: IntArray) -> bool:
    _, balance = _edges(triangles)
    return not balance.any()


def _reoriented(path: Path, points: FloatArray, triangles: IntArray) -> IntArray:
    mesh = pyvista.PolyData.from_regular_faces(points, triangles)
    turned = mesh.compute_normals(
        point_normals=False,
        split_vertices=False,
        consistent_normals=True,
        auto_orient_normals=True,
        non_manifold_traversal=False,
    )
    triangles = np.asarray(turned.regular_faces, dtype=np.int64)
    if not _oriented(triangles):
        raise InputError(
            f"{path}: its triangles cannot be given one orientation (a surface of one side, or "
            "pieces that share edges); repair it, for example in MeshLab."
        )
    return triangles


def _pieces(triangles: IntArray) -> int:
    count = int(triangles.max()) + 1
    ends = triangles[:, [0, 1, 1, 2]].reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), (count, count))
    _, label = connected_components(graph, directed=False)
    return len(np.unique(label[triangles[:, 0]]))


def _volume(points: FloatArray, triangles: IntArray) -> float:
    a, b, c = (points[triangles[:, n]] - points.mean(axis=0) for n in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)
