"""The cartilage of the sacroiliac joints: one conforming layer of stated thickness.

Sacrum and ilium share the nodes of the surface between them. Each such node becomes two, half the
thickness apart from it on either side, and the prisms between the two copies of the surface become
the cartilage. The bone beside the joint gives way over a few cells.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import Part
from sacrofem.mesh.solid import gradient
from sacrofem.mesh.stuffing import oriented, split_prisms

#: Depth over which the bone gives way, in thicknesses of the layer: strains it by a quarter.
DEPTH_IN_LAYERS = 2.0

#: A facet of the joint looks the wrong way when its normal has a smaller cosine with the joint's.
COSINE_AT_LEAST = 0.3
UNFOLDING_PASSES = 10

IntArray = NDArray[np.int64]

CARTILAGE_OF = {Part.ILIUM_LEFT: Part.CARTILAGE_LEFT, Part.ILIUM_RIGHT: Part.CARTILAGE_RIGHT}


def joint_facets(tets: IntArray, part: NDArray[np.int8]) -> tuple[IntArray, NDArray[np.int8]]:
    """Facets between the sacrum and an ilium, shape (f, 3), seen from the sacrum, and the ilium."""
    facets, _, iliac = _joint(tets, part)
    return facets, part[iliac]


def _joint(tets: IntArray, part: NDArray[np.int8]) -> tuple[IntArray, IntArray, IntArray]:
    """Facets between sacrum and ilia, with the cells on the side of the sacrum and beyond."""
    corners = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])
    both = np.zeros((2, int(tets.max()) + 1), dtype=bool)
    both[0, tets[part == Part.SACRUM]] = True
    both[1, tets[part != Part.SACRUM]] = True
    shared = np.logical_and(both[0], both[1])
    near = np.flatnonzero(shared[tets].sum(axis=1) >= 3)
    sacral, iliac = near[part[near] == Part.SACRUM], near[part[near] != Part.SACRUM]
    faces = tets[sacral][:, corners].reshape(-1, 3)
    others = tets[iliac][:, corners].reshape(-1, 3)
    key, other = _keys(faces, both.shape[1]), _keys(others, both.shape[1])
    _, here, there = np.intersect1d(key, other, return_indices=True)
    return faces[here], sacral[here // 4], iliac[there // 4]


def smooth_parts(
    points_mm: FloatArray,
    tets: IntArray,
    part: NDArray[np.int8],
    towards_sacrum: Callable[[FloatArray], FloatArray],
) -> NDArray[np.int8]:
    """Parts of cells so changed that the joint has no folds.

    Cells that touch the other bone with three facets, and of two cells at a facet that looks the
    wrong way the one less deep on its own side, change sides; few do, all at the rim.

    Args:
        points_mm: Nodes, shape (n, 3).
        tets: Cells, shape (m, 4).
        part: :class:`Part` of each cell, shape (m,).
        towards_sacrum: Signed distance to the joint, positive on the side of the sacrum.
    """
    part = part.copy()
    for _ in range(UNFOLDING_PASSES):
        facets, sacral, iliac = _joint(tets, part)
        a, b, c = (points_mm[facets[:, i]] for i in range(3))
        outward, way = np.cross(b - a, c - a), -gradient(towards_sacrum, (a + b + c) / 3.0)
        size = np.linalg.norm(outward, axis=1) * np.linalg.norm(way, axis=1)
        wrong = np.einsum("ij,ij->i", outward, way) < COSINE_AT_LEAST * size
        # How deep each of the two cells lies on its own side: less than none where it is a tooth.
        inside, beyond = (
            towards_sacrum(points_mm[tets[cells]].mean(axis=1)) for cells in (sacral, iliac)
        )
        gives = _surrounded(sacral)[sacral] | (wrong & (inside <= -beyond))
        takes = _surrounded(iliac)[iliac] | (wrong & (inside > -beyond))
        if not (gives | takes).any():
            break
        part[sacral[gives]] = part[iliac[gives]]
        part[iliac[takes & ~gives]] = Part.SACRUM
    return part


def _surrounded(cells: IntArray) -> NDArray[np.bool_]:
    """Which cells, by number, touch the other bone with three facets or more."""
    return np.bincount(cells) >= 3


def _keys(faces: IntArray, size: int) -> IntArray:
    a, b, c = np.sort(faces, axis=1).T
    return np.asarray((a * size + b) * size + c)


def _node_normals(points_mm: FloatArray, facets: IntArray) -> FloatArray:
    """Unit normals at the nodes of facets, the mean over each node's facets by area, (n, 3)."""
    a, b, c = (points_mm[facets[:, i]] for i in range(3))
    area = np.cross(b - a, c - a)
    normal = np.zeros_like(points_mm)
    for corner in range(3):
        np.add.at(normal, facets[:, corner], area)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(normal / np.maximum(length, 1e-12))


def open_joints(
    points_mm: FloatArray,
    tets: IntArray,
    part: NDArray[np.int8],
    thickness_mm: float,
) -> tuple[FloatArray, IntArray, NDArray[np.int8]]:
    """Put the cartilage between sacrum and ilia.

    Args:
        points_mm: Nodes, shape (n, 3).
        tets: Cells, shape (m, 4).
        part: :class:`Part` of each cell, sacrum or an ilium, shape (m,).
        thickness_mm: Thickness of the layer.

    Returns:
        Points, cells and parts; the old cells and points come first.
    """
    facets, ilium = joint_facets(tets, part)
    nodes = np.unique(facets)
    towards_sacrum = -_node_normals(points_mm, facets)
    twin = np.full(len(points_mm), -1, dtype=np.int64)
    twin[nodes] = len(points_mm) + np.arange(len(nodes))
    of_ilium = part != Part.SACRUM
    cells = tets.copy()
    cells[of_ilium] = np.where(twin[tets[of_ilium]] >= 0, twin[tets[of_ilium]], tets[of_ilium])
    points = np.vstack([points_mm, points_mm[nodes]])
    on_sacrum = np.zeros(len(points), dtype=bool)
    on_sacrum[cells[~of_ilium]] = True
    way = np.where(on_sacrum, 0.5, -0.5) * thickness_mm
    depth = DEPTH_IN_LAYERS * thickness_mm
    distance, nearest = cKDTree(points_mm[nodes]).query(points, distance_upper_bound=depth)
    close = np.isfinite(distance)
    share = 1.0 - distance[close] / depth
    points[close] += (way[close] * share)[:, None] * towards_sacrum[nodes[nearest[close]]]
    layer = split_prisms(np.concatenate([facets, twin[facets]], axis=1))
    layer_part = np.repeat([CARTILAGE_OF[Part(int(p))] for p in ilium], 3)
    return (
        points,
        oriented(points, np.vstack([cells, layer])),
        np.concatenate([part, layer_part]).astype(np.int8),
    )
