"""Planes through a pelvis, and the exact cross-section of a mesh in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.foramina import FACES, LEVELS, SIDES
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.landmarks import Anatomy
from sacrofem.image.volume import CtVolume, FloatArray, LabelMap
from sacrofem.mesh.bone_mesh import BoneMesh, Part

#: Depth below the S1 endplate at which a plane goes through the body of S1, in mm: its middle.
S1_MIDDLE_MM = 14.0
#: Air in HU, for what lies outside the CT.
AIR_HU = -1000.0
AXIAL, CORONAL, SAGITTAL = ("R", "L", "P", "A"), ("R", "L", "I", "S"), ("A", "P", "I", "S")

#: The faces of a cell by its corners, outward.
FACES_OF_CELL = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CutPlane:
    """A plane in the world, drawn in the radiological convention.

    Attributes:
        name: What it goes through.
        origin_mm: A point of it, world, shape (3,).
        right, up: Unit vectors in world that run to the right and upwards in the picture, at right
            angles, shape (3,).
        letters: The patient's directions at the picture's left, right, lower and upper side.
    """

    name: str
    origin_mm: FloatArray
    right: FloatArray
    up: FloatArray
    letters: tuple[str, str, str, str]

    @property
    def normal(self) -> FloatArray:
        """Unit normal to the side of the reader, shape (3,)."""
        return np.cross(self.right, self.up)

    def flat(self, world_mm: FloatArray) -> FloatArray:
        """Coordinates in the picture of world points, (..., 3), projected on it, (..., 2)."""
        return np.asarray((world_mm - self.origin_mm) @ np.stack([self.right, self.up]).T)

    def to_world(self, flat_mm: FloatArray) -> FloatArray:
        """World points, (..., 3), of coordinates in the picture, (..., 2)."""
        return np.asarray(self.origin_mm + flat_mm @ np.stack([self.right, self.up]))

    def height_mm(self, world_mm: FloatArray) -> FloatArray:
        """Signed distance to the plane, positive on the side of the reader."""
        return np.asarray((world_mm - self.origin_mm) @ self.normal)


@dataclass(frozen=True, eq=False)
class Section:
    """The cross-section of a mesh: one convex polygon of each cell that the plane cuts.

    Attributes:
        polygons_mm: Corners in the picture, shape (k, 4, 2); triangles have their last one twice.
        cell: The cell of each, shape (k,).
    """

    polygons_mm: FloatArray
    cell: IntArray

    @cached_property
    def areas_mm2(self) -> FloatArray:
        """Area of each polygon, shape (k,)."""
        x, y = self.polygons_mm[..., 0], self.polygons_mm[..., 1]
        return np.abs(0.5 * (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1))


def cross_section(points_mm: FloatArray, tets: IntArray, plane: CutPlane) -> Section:
    """Cut tetrahedra with a plane, exactly.

    Args:
        points_mm: Nodes, shape (n, 3).
        tets: Cells, shape (m, 4).
        plane: The plane. A node in it counts as above it, so that a face in it is cut once.
    """
    height = plane.height_mm(points_mm)
    above = (height >= 0.0)[tets]
    count = above.sum(axis=1)
    polygons, cells = [], []
    for number, pairs in (
        (1, ((0, 1), (0, 2), (0, 3), (0, 3))),
        (2, ((0, 2), (0, 3), (1, 3), (1, 2))),
        (3, ((0, 3), (1, 3), (2, 3), (2, 3))),
    ):
        cell = np.flatnonzero(count == number)
        # The corners above the plane first.
        order = np.argsort(~above[cell], axis=1, kind="stable")
        corners = np.take_along_axis(tets[cell], order, axis=1)
        crossing = [_crossing(points_mm, height, corners[:, a], corners[:, b]) for a, b in pairs]
        polygons.append(plane.flat(np.stack(crossing, axis=1)))
        cells.append(cell)
    return Section(np.concatenate(polygons), np.concatenate(cells))


def cut_lines(points_mm: FloatArray, triangles: IntArray, plane: CutPlane) -> FloatArray:
    """Where a plane cuts triangles: lines in the picture, shape (k, 2, 2)."""
    height = plane.height_mm(points_mm)
    above = (height >= 0.0)[triangles]
    count = above.sum(axis=1)
    lines = []
    for number, pairs in ((1, ((0, 1), (0, 2))), (2, ((0, 2), (1, 2)))):
        here = count == number
        order = np.argsort(~above[here], axis=1, kind="stable")
        corners = np.take_along_axis(triangles[here], order, axis=1)
        ends = [_crossing(points_mm, height, corners[:, a], corners[:, b]) for a, b in pairs]
        lines.append(plane.flat(np.stack(ends, axis=1)))
    return np.concatenate(lines)


def outer_facets(mesh: BoneMesh) -> tuple[IntArray, IntArray]:
    """The mesh's boundary triangles, shape (f, 3), and the cell behind each, shape (f,)."""
    on_surface = np.zeros(len(mesh.points_mm), dtype=bool)
    on_surface[mesh.facets] = True
    near = np.flatnonzero(on_surface[mesh.tets].sum(axis=1) >= 3)
    faces = mesh.tets[near][:, FACES_OF_CELL].reshape(-1, 3)
    key, wanted = (_keys(f, len(mesh.points_mm)) for f in (faces, mesh.facets))
    order = np.argsort(key)
    place = np.searchsorted(key, wanted, sorter=order)
    return mesh.facets, near[order[place] // 4]


def facets_between(tets: IntArray, kept: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """Facets of kept cells that border on left-out ones, shape (f, 3), and the cell behind each."""
    both = np.zeros((2, int(tets.max()) + 1), dtype=bool)
    both[0, tets[kept]], both[1, tets[~kept]] = True, True
    shared_node: NDArray[np.bool_] = both[0] & both[1]
    near = shared_node[tets].sum(axis=1) >= 3
    here, there = (np.flatnonzero(near & side) for side in (kept, ~kept))
    faces, others = (tets[cells][:, FACES_OF_CELL].reshape(-1, 3) for cells in (here, there))
    shared = np.isin(_keys(faces, both.shape[1]), _keys(others, both.shape[1]))
    return faces[shared], here[np.flatnonzero(shared) // 4]


def _keys(faces: IntArray, nodes: int) -> IntArray:
    """One number for each triangle, whatever the order of its corners."""
    a, b, c = np.sort(faces, axis=1).T
    return np.asarray((a * nodes + b) * nodes + c)


def _crossing(points_mm: FloatArray, height: FloatArray, a: IntArray, b: IntArray) -> FloatArray:
    """Where the edges from ``a``, above the plane, to ``b``, below it, cross the plane."""
    share = height[a] / (height[a] - height[b])
    return np.asarray(points_mm[a] + share[:, None] * (points_mm[b] - points_mm[a]))


def hu_on(ct: CtVolume, world_mm: FloatArray) -> FloatArray:
    """HU at world points, shape (..., 3), linear between voxels."""
    index = ct.grid.to_index(world_mm.reshape(-1, 3)).T
    hu = ndimage.map_coordinates(ct.hu, index, order=1, cval=AIR_HU)
    return np.asarray(hu).reshape(world_mm.shape[:-1])


def labels_on(
    labels: LabelMap, numbers: Sequence[int], world_mm: FloatArray
) -> dict[int, FloatArray]:
    """Some labels at world points, shape (..., 3): 1 inside, 0 outside, linear between voxels.

    The contour of one at 0.5 is the label as it is, not smoothed. The label map is read where it is
    asked: an indicator of a whole CT would need gigabytes.
    """
    index = labels.grid.to_index(world_mm.reshape(-1, 3))
    base = np.floor(index).astype(np.int64)
    rest = index - base
    top = np.array(labels.grid.shape) - 1
    value = {number: np.zeros(len(index)) for number in numbers}
    for step in np.ndindex(2, 2, 2):
        corner = base + step
        i, j, k = np.clip(corner, 0, top).T
        found = labels.labels[i, j, k]
        found[((corner < 0) | (corner > top)).any(axis=1)] = 0
        weight = np.prod(np.where(step, rest, 1.0 - rest), axis=1)
        for number in numbers:
            value[number] += weight * (found == number)
    return {number: field.reshape(world_mm.shape[:-1]) for number, field in value.items()}


def sacral_planes(anatomy: Anatomy) -> tuple[CutPlane, ...]:
    """Five planes of a sacrum: two across it, one along its foramina, two from front to back."""
    frame = anatomy.frame
    left, head = frame.left, _unit(np.array([0.0, 0.0, 1.0]) - frame.left[2] * frame.left)
    front, back = (_openings(anatomy, SIDES, (face,)) for face in FACES)
    s1_front, s1_back = (_openings(anatomy, SIDES, (face,), ("S1",)).mean(axis=0) for face in FACES)
    ends = [_openings(anatomy, SIDES, FACES, (level,)).mean(axis=0) for level in ("S1", "S4")]
    forwards = _unit(_across(s1_front - s1_back, left))
    along = _unit(_across(ends[0] - ends[1], left))
    middle = np.concatenate([front, back]).mean(axis=0)
    body = frame.to_world(np.array([[0.0, 0.0, -S1_MIDDLE_MM]]))[0]
    x, y = np.eye(3)[:2]
    return (
        CutPlane("axial (CT axes), through the body of S1", body, x, -y, AXIAL),
        CutPlane(
            "across the sacrum, through the S1 foramina",
            0.5 * (s1_front + s1_back),
            left,
            forwards,
            AXIAL,
        ),
        CutPlane("coronal along the foramina", middle, left, along, CORONAL),
        CutPlane("mid-sagittal", frame.origin_mm, np.cross(head, left), head, SAGITTAL),
        _through_left_foramina(anatomy),
    )


def hip_plane(mesh: BoneMesh) -> CutPlane:
    """The coronal plane of the CT's axes through the acetabula, else the middle of the ilia."""
    tags = (SurfaceTag.ACETABULUM_LEFT, SurfaceTag.ACETABULUM_RIGHT)
    socket = mesh.facets[np.isin(mesh.facet_tag, tags)]
    iliac = np.isin(mesh.part, (Part.ILIUM_LEFT, Part.ILIUM_RIGHT))
    nodes = socket if len(socket) else mesh.tets[iliac]
    name = "acetabula" if len(socket) else "middle of the ilia"
    x, _, z = np.eye(3)
    middle = mesh.points_mm[np.unique(nodes)].mean(axis=0)
    return CutPlane(f"coronal (CT axes), through the {name}", middle, x, z, CORONAL)


def _through_left_foramina(anatomy: Anatomy) -> CutPlane:
    """The plane that follows the left foramina from S1 to S4, with both openings of each."""
    front, back = (_openings(anatomy, ("left",), (face,)) for face in FACES)
    centre = 0.5 * (front + back)
    up = _unit(np.linalg.svd(centre - centre.mean(axis=0))[2][0])
    up = up * np.sign(up @ (centre[0] - centre[-1]))
    backwards = _unit(_across((back - front).mean(axis=0), up))
    name = "sagittal along the left foramina"
    return CutPlane(name, centre.mean(axis=0), backwards, up, SAGITTAL)


def _openings(
    anatomy: Anatomy,
    sides: Iterable[str],
    faces: Iterable[str],
    levels: Iterable[str] = LEVELS,
) -> FloatArray:
    """Centres of the openings of foramina, world, shape (n, 3), level by level."""
    sides, faces = tuple(sides), tuple(faces)
    chosen = [(lv, side, face) for lv in levels for side in sides for face in faces]
    return np.stack([anatomy.foramen(*name).centre_mm for name in chosen])


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.linalg.norm(vector))


def _across(vector: FloatArray, axis: FloatArray) -> FloatArray:
    """The part of a vector at right angles to a unit vector."""
    return np.asarray(vector - (vector @ axis) * axis)
