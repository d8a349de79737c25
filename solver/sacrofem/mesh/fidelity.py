"""How true a mesh is to the labels: volume, distance between the surfaces, tunnels."""

from dataclasses import dataclass

import numpy as np
import pyvista as pv
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage import measure

from sacrofem.image.volume import FloatArray, LabelMap
from sacrofem.mesh.bone_mesh import boundary_facets, signed_volumes_mm3
from sacrofem.mesh.stuffing import unique_edges

#: Label surface so close to the cartilage is not compared: the joint is made, not segmented.
JOINT_CLEARANCE_MM = 6.0

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PartFidelity:
    """One bone of a mesh beside its label.

    Attributes:
        label_ml: Volume of the label's largest piece, its cavities filled.
        mesh_ml: Volume of the mesh.
        surface_mean_mm: Mean distance between the two surfaces, both ways.
        surface_p95_mm: Its 95th percentile.
        tunnels: Independent tunnels through the mesh (first Betti number): foramina and canal of a
            sacrum that is whole have 17.
        label_tunnels: The same of the label's smooth surface.
    """

    label_ml: float
    mesh_ml: float
    surface_mean_mm: float
    surface_p95_mm: float
    tunnels: int
    label_tunnels: int

    @property
    def volume_error(self) -> float:
        """Relative difference of the volumes."""
        return abs(self.mesh_ml / self.label_ml - 1.0)


def part_fidelity(
    points_mm: FloatArray,
    tets: IntArray,
    bone: NDArray[np.bool_],
    labels: LabelMap,
    joint_mm: FloatArray,
    label_tunnels: int,
) -> PartFidelity:
    """Compare the cells of one bone with its label.

    Args:
        points_mm: Nodes, shape (n, 3).
        tets: Cells of the bone, shape (m, 4).
        bone: Voxels of the label's largest piece, cavities filled, shape of the label map.
        labels: The label map.
        joint_mm: Nodes of the cartilage, shape (j, 3); the surfaces near them are left out.
        label_tunnels: Tunnels of the label's smooth surface.
    """
    both = surface_distances_mm(points_mm, boundary_facets(tets)[0], bone, labels, joint_mm)
    return PartFidelity(
        label_ml=float(bone.sum()) * labels.grid.voxel_ml,
        mesh_ml=float(signed_volumes_mm3(points_mm, tets).sum() / 1000.0),
        surface_mean_mm=float(both.mean()),
        surface_p95_mm=float(np.percentile(both, 95.0)),
        tunnels=tunnels(tets),
        label_tunnels=label_tunnels,
    )


def surface_distances_mm(
    points_mm: FloatArray,
    facets: IntArray,
    bone: NDArray[np.bool_],
    labels: LabelMap,
    joint_mm: FloatArray,
) -> FloatArray:
    """Distances from a mesh's surface to its label's and back, at nodes and middles of facets.

    Arguments are those of :func:`part_fidelity`; ``facets`` is the surface, shape (f, 3).
    """
    mesh = pv.PolyData.from_regular_faces(points_mm, facets)
    label = _label_surface(bone, labels)
    there = _distances(_samples(points_mm, facets), label, joint_mm)
    back = _distances(np.asarray(label.points, dtype=np.float64), mesh, joint_mm)
    return np.concatenate([there, back])


def tunnels(tets: IntArray) -> int:
    """Independent tunnels through a mesh of one piece: its first Betti number.

    One piece without cavities has Euler characteristic ``V - E + F - T = 1 - tunnels``.
    """
    faces = np.sort(tets[:, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]].reshape(-1, 3), axis=1)
    size = int(tets.max()) + 1
    face_count = len(np.unique((faces[:, 0] * size + faces[:, 1]) * size + faces[:, 2]))
    euler = len(np.unique(tets)) - len(unique_edges(tets)[0]) + face_count - len(tets)
    return 1 - euler


def surface_tunnels(triangles: IntArray) -> int:
    """Tunnels inside a closed triangle surface of one piece: its genus."""
    corners = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edges = np.unique(np.sort(corners, axis=1), axis=0)
    euler = len(np.unique(triangles)) - len(edges) + len(triangles)
    return 1 - euler // 2


def _label_surface(bone: NDArray[np.bool_], labels: LabelMap) -> pv.PolyData:
    """The surface of the label as it is, half way between voxels inside and outside."""
    box = ndimage.find_objects(bone.astype(np.uint8))[0]
    crop = np.pad(bone[box], 1).astype(np.float32)
    vertices, faces, _, _ = measure.marching_cubes(crop, 0.5)
    start = np.array([part.start for part in box]) - 1.0
    return pv.PolyData.from_regular_faces(labels.grid.to_world(vertices + start), faces)


def _samples(points_mm: FloatArray, facets: IntArray) -> FloatArray:
    """Corners and middles of facets."""
    return np.concatenate([points_mm[np.unique(facets)], points_mm[facets].mean(axis=1)])


def _distances(points_mm: FloatArray, surface: pv.PolyData, joint_mm: FloatArray) -> FloatArray:
    """Distance of points, those near a joint left out, to a surface."""
    if len(joint_mm):
        clear = cKDTree(joint_mm).query(points_mm, distance_upper_bound=JOINT_CLEARANCE_MM)[0]
        points_mm = points_mm[~np.isfinite(clear)]
    _, nearest = surface.find_closest_cell(points_mm, return_closest_point=True)
    return np.asarray(np.linalg.norm(np.asarray(nearest) - points_mm, axis=1))
