"""A graded lattice of tetrahedra: body-centred cubes on a balanced octree (Labelle, Shewchuk 2007).

Where neighbouring cubes are of one size, the centres and corners of the cubes make the BCC lattice,
whose tetrahedra are nearly regular; between sizes they are halved or quartered. The lattice fills
space without gaps, whatever lies in it; the surfaces come later (:mod:`sacrofem.mesh.stuffing`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import signed_volumes_mm3

#: Integer coordinates are packed into one key with this many bits an axis.
KEY_BITS = 20
_OFFSET = 1 << (KEY_BITS - 1)
_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_NEIGHBOURS = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Lattice:
    """Tetrahedra of a graded lattice.

    Attributes:
        points_mm: Nodes, shape (n, 3).
        tets: Node numbers, shape (m, 4), positively oriented.
    """

    points_mm: FloatArray
    tets: IntArray


def pack(cells: IntArray) -> IntArray:
    """One sortable key for each row of integer coordinates, shape (n,)."""
    shifted = cells + _OFFSET
    return np.asarray(
        (shifted[:, 0] << (2 * KEY_BITS)) | (shifted[:, 1] << KEY_BITS) | shifted[:, 2]
    )


def unpack(keys: IntArray) -> IntArray:
    """The integer coordinates of keys, shape (n, 3)."""
    low = (1 << KEY_BITS) - 1
    return (
        np.stack([keys >> (2 * KEY_BITS), (keys >> KEY_BITS) & low, keys & low], axis=1) - _OFFSET
    )


def make_lattice(
    low_mm: FloatArray,
    high_mm: FloatArray,
    cubes_mm: tuple[float, ...],
    needed: Callable[[FloatArray, float], NDArray[np.bool_]],
    refine: Callable[[FloatArray, float], NDArray[np.bool_]],
) -> Lattice:
    """Fill what is needed of a box with tetrahedra.

    Args:
        low_mm: Lower corner of the box, shape (3,).
        high_mm: Upper corner, shape (3,).
        cubes_mm: Sides of the cubes of each level, the largest first, each half of the one before.
        needed: Tells which cubes (centres, shape (n, 3); side) can touch the body.
        refine: Tells which cubes have to be divided.
    """
    unit = cubes_mm[-1] / 2.0
    leaves = _leaves(low_mm, high_mm, cubes_mm, needed, refine)
    tets = _tetrahedra(leaves)
    keys, numbers = np.unique(tets, return_inverse=True)
    points = low_mm + unit * unpack(keys)
    tets = numbers.reshape(-1, 4)
    flipped = signed_volumes_mm3(points, tets) < 0.0
    tets[flipped] = tets[flipped][:, [1, 0, 2, 3]]
    return Lattice(points, tets)


def _leaves(
    low_mm: FloatArray,
    high_mm: FloatArray,
    cubes_mm: tuple[float, ...],
    needed: Callable[[FloatArray, float], NDArray[np.bool_]],
    refine: Callable[[FloatArray, float], NDArray[np.bool_]],
) -> list[IntArray]:
    """The cubes of each level that are not divided, largest first, as cube coordinates."""

    def centres(cells: IntArray, side: float) -> FloatArray:
        return np.asarray(low_mm + (cells + 0.5) * side)

    count = np.ceil((high_mm - low_mm) / cubes_mm[0]).astype(int)
    axes = np.meshgrid(*[np.arange(n) for n in count], indexing="ij")
    cells: IntArray = np.stack(axes, axis=-1).reshape(-1, 3)
    levels: list[IntArray] = []
    divided: list[IntArray] = []
    for depth, side in enumerate(cubes_mm):
        cells = cells[needed(centres(cells, side), side)]
        levels.append(cells)
        if depth + 1 == len(cubes_mm):
            break
        split = refine(centres(cells, side), side)
        divided.append(cells[split])
        cells = (2 * divided[-1][:, None] + _CORNERS).reshape(-1, 3)
    return _balance(levels, divided)


def _balance(levels: list[IntArray], divided: list[IntArray]) -> list[IntArray]:
    """Divide more cubes until neighbours, also across edges, differ by one level at most."""
    all_keys = [np.unique(pack(cells)) for cells in levels]
    split = [np.unique(pack(cells)) for cells in divided]
    for depth in range(len(split) - 1, 0, -1):
        around = unpack(split[depth])[:, None] + _NEIGHBOURS
        parents = np.unique(pack(np.floor_divide(around.reshape(-1, 3), 2)))
        # A parent inside a still larger cube counts too: that one is divided in the next round.
        roots = pack(unpack(parents) >> (depth - 1))
        parents = parents[np.isin(roots, all_keys[0])]
        split[depth - 1] = np.union1d(split[depth - 1], parents)
        children = (2 * unpack(split[depth - 1])[:, None] + _CORNERS).reshape(-1, 3)
        # Children that are not needed stay: a hole in the lattice could lie beside the body.
        all_keys[depth] = np.union1d(all_keys[depth], pack(children))
    leaves = [np.setdiff1d(keys, gone) for keys, gone in zip(all_keys[:-1], split, strict=True)]
    return [unpack(keys) for keys in [*leaves, all_keys[-1]]]


def _tetrahedra(leaves: list[IntArray]) -> IntArray:
    """Keys of the corners of all tetrahedra, in half sides of the smallest cube, shape (m, 4)."""
    depth_count = len(leaves)
    keys = [np.sort(pack(cells)) for cells in leaves]
    corners = [
        (_scaled(cells, d, depth_count)[:, None] + _side(d, depth_count) * _CORNERS).reshape(-1, 3)
        for d, cells in enumerate(leaves)
    ]
    nodes = np.unique(pack(np.concatenate(corners)))
    tets = []
    for depth, cells in enumerate(leaves):
        for axis in range(3):
            step = np.eye(3, dtype=np.int64)[axis]
            same = np.isin(pack(cells + step), keys[depth])
            tets.append(_between_equals(cells[same], axis, depth, depth_count, nodes))
            if depth > 0:
                for way in (-1, 1):
                    beyond = cells + way * step
                    larger = np.isin(pack(np.floor_divide(beyond, 2)), keys[depth - 1])
                    tets.append(_below_larger(cells[larger], axis, way, depth, depth_count))
    return np.concatenate(tets)


def _side(depth: int, depth_count: int) -> int:
    """Side of a cube in half sides of the smallest."""
    return int(2 << (depth_count - 1 - depth))


def _scaled(cells: IntArray, depth: int, depth_count: int) -> IntArray:
    return cells * _side(depth, depth_count)


def _square(axis: int) -> IntArray:
    """The corners of the unit square normal to an axis, in order around it, shape (4, 3)."""
    u, v = np.eye(3, dtype=np.int64)[[(axis + 1) % 3, (axis + 2) % 3]]
    return np.stack([0 * u, u, u + v, v])


def _between_equals(
    cells: IntArray, axis: int, depth: int, depth_count: int, nodes: IntArray
) -> IntArray:
    """Tetrahedra between each cube and its equal in front: an edge of the face and both centres."""
    side = _side(depth, depth_count)
    base = _scaled(cells, depth, depth_count)
    ahead = side * np.eye(3, dtype=np.int64)[axis]
    centre = base + side // 2
    first = (base + ahead)[:, None] + side * _square(axis)
    second = np.roll(first, -1, axis=1)
    middle = (first + second) // 2
    here = np.broadcast_to(centre[:, None], first.shape)
    there = here + ahead
    a, b, m, c, d = (pack(x.reshape(-1, 3)) for x in (first, second, middle, here, there))
    halved = np.isin(m, nodes) if depth + 1 < depth_count else np.zeros(len(m), dtype=bool)
    whole = np.stack([a, b, c, d], axis=1)[~halved]
    front = np.stack([a, m, c, d], axis=1)[halved]
    back = np.stack([m, b, c, d], axis=1)[halved]
    return np.concatenate([whole, front, back])


def _below_larger(cells: IntArray, axis: int, way: int, depth: int, depth_count: int) -> IntArray:
    """Tetrahedra on both sides of the face between each cube and a larger one.

    The face is a quarter of the larger cube's; its diagonal runs to the middle of that.
    """
    side = _side(depth, depth_count)
    base = _scaled(cells, depth, depth_count)
    unit = np.eye(3, dtype=np.int64)[axis]
    face = base + (side * unit if way > 0 else 0)
    corner = face[:, None] + side * _square(axis)
    big = np.floor_divide(cells + way * unit, 2)
    big_centre = _scaled(big, depth - 1, depth_count) + side
    small_centre = base + side // 2
    # The middle of the larger face: the larger centre moved onto the plane of the face.
    middle = big_centre.copy()
    middle[:, axis] = face[:, axis]
    distance = np.abs(corner - middle[:, None]).sum(axis=2)
    start = distance.argmin(axis=1)
    rows = np.arange(len(cells))
    m, p, q, r = (pack(corner[rows, (start + n) % 4]) for n in range(4))
    tets = []
    for apex in (pack(small_centre), pack(big_centre)):
        tets += [np.stack([m, p, q, apex], axis=1), np.stack([m, q, r, apex], axis=1)]
    return np.concatenate(tets)
