"""Tetrahedra of the inside of an implicit surface, cut out of a lattice (Labelle, Shewchuk 2007).

Lattice nodes close to the surface are moved onto it, other lattice edges that cross it are cut, and
what lies outside is left off. Any field gives a mesh: rough labels, holes and loose parts are no
obstacle, and the same field always gives the same mesh.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import signed_volumes_mm3
from sacrofem.mesh.quality import mean_ratio

#: A node is moved when a cut lies within this part of an edge from it. Edges along the axes are the
#: long ones of the BCC lattice: from a quarter on, both layers of nodes beside a plane half way
#: between them would be moved onto it, and the cells between them crushed.
SNAP_PART = 0.3
SNAP_PART_LONG = 0.249
ROOT_STEPS = 3
#: Cells with all corners on the surface and a smaller mean ratio are left off.
FLAT_MEAN_RATIO = 0.3

IntArray = NDArray[np.int64]
Field = Callable[[FloatArray], FloatArray]

#: How to number a prism so that its corner n comes first.
_PRISM_TURNS = np.array(
    [
        [0, 1, 2, 3, 4, 5],
        [1, 2, 0, 4, 5, 3],
        [2, 0, 1, 5, 3, 4],
        [3, 5, 4, 0, 2, 1],
        [4, 3, 5, 1, 0, 2],
        [5, 4, 3, 2, 1, 0],
    ]
)
#: The cells of such a prism when the diagonal of its third side ends at 5, and at 4.
_PRISM_CELLS = np.array(
    [[[0, 1, 2, 5], [0, 1, 5, 4], [0, 4, 5, 3]], [[0, 1, 2, 4], [0, 4, 2, 5], [0, 4, 5, 3]]]
)
_EDGES = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])


def unique_edges(tets: IntArray) -> tuple[IntArray, IntArray]:
    """Edges of tetrahedra, shape (e, 2), smaller number first, and those of each, shape (m, 6)."""
    pairs = np.sort(tets[:, _EDGES].reshape(-1, 2), axis=1)
    size = int(tets.max()) + 1
    keys, number = np.unique(pairs[:, 0] * size + pairs[:, 1], return_inverse=True)
    return np.stack([keys // size, keys % size], axis=1), number.reshape(-1, 6)


def cut(
    points_mm: FloatArray, tets: IntArray, field: Field, both_sides: bool = False
) -> tuple[FloatArray, IntArray, NDArray[np.int8]]:
    """Cut tetrahedra along the zero surface of a field.

    Args:
        points_mm: Nodes, shape (n, 3).
        tets: Cells, shape (m, 4), positively oriented.
        field: Signed distance in mm at points (n, 3), positive inside.
        both_sides: Keep the cells outside as well.

    Returns:
        Points, cells, and the side of each cell: 1 inside, -1 outside.
    """
    points = points_mm.copy()
    value = field(points)
    edges, _ = unique_edges(tets)
    value = _snap(points, value, edges, field)
    crossing = edges[value[edges[:, 0]] * value[edges[:, 1]] < 0.0]
    part = _roots(points, value, crossing, field)
    new = points[crossing[:, 0]] + part[:, None] * (points[crossing[:, 1]] - points[crossing[:, 0]])
    size = len(points)
    keys = crossing[:, 0] * size + crossing[:, 1]

    def midpoint(a: IntArray, b: IntArray) -> IntArray:
        low, high = np.minimum(a, b), np.maximum(a, b)
        return np.asarray(size + np.searchsorted(keys, low * size + high))

    sign = np.sign(value).astype(np.int8)
    inside = _inside(tets, sign, midpoint)
    cells: list[IntArray] = [inside]
    side: list[NDArray[np.int8]] = [np.ones(len(inside), dtype=np.int8)]
    if both_sides:
        outside = _inside(tets, -sign, midpoint)
        cells.append(outside)
        side.append(np.full(len(outside), -1, dtype=np.int8))
    zero = tets[(sign[tets] == 0).all(axis=1)]
    here = np.where(field(points[zero].mean(axis=1)) > 0.0, 1, -1).astype(np.int8)
    # Flat cells with all corners on the surface only blunt it; solid ones may be a thin wall.
    solid = mean_ratio(*(points[zero[:, i]] for i in range(4))) > FLAT_MEAN_RATIO
    kept = np.full(len(zero), True) if both_sides else (here > 0) & solid
    cells.append(zero[kept])
    side.append(here[kept])
    points = np.vstack([points, new])
    return points, oriented(points, np.concatenate(cells)), np.concatenate(side)


def oriented(points_mm: FloatArray, tets: IntArray) -> IntArray:
    """Cells with their first two corners exchanged where their volume is negative."""
    flipped = signed_volumes_mm3(points_mm, tets) < 0.0
    turned = tets.copy()
    turned[flipped] = turned[flipped][:, [1, 0, 2, 3]]
    return turned


def _roots(points: FloatArray, value: FloatArray, edges: IntArray, field: Field) -> FloatArray:
    """Where the field vanishes on edges whose ends have opposite signs, as parts of the edges."""
    a, b = points[edges[:, 0]], points[edges[:, 1]]
    low: FloatArray = np.zeros(len(edges))
    high: FloatArray = np.ones(len(edges))
    at_low, at_high = value[edges[:, 0]].copy(), value[edges[:, 1]].copy()
    part: FloatArray = at_low / (at_low - at_high)
    for _ in range(ROOT_STEPS):
        here = field(a + part[:, None] * (b - a))
        same = here * at_low > 0.0
        low, at_low = np.where(same, part, low), np.where(same, here, at_low)
        high, at_high = np.where(same, high, part), np.where(same, at_high, here)
        gap = at_low - at_high
        part = np.where(gap != 0.0, low + at_low / np.where(gap == 0, 1, gap) * (high - low), part)
    return part


def _snap(points: FloatArray, value: FloatArray, edges: IntArray, field: Field) -> FloatArray:
    """Move nodes near the surface onto it, in place; their value becomes zero."""
    crossing = edges[value[edges[:, 0]] * value[edges[:, 1]] < 0.0]
    part = _roots(points, value, crossing, field)
    a, b = crossing.T
    way = points[b] - points[a]
    target = points[a] + part[:, None] * way
    near = np.where(_along_axis(way), SNAP_PART_LONG, SNAP_PART)
    node = np.concatenate([a[part < near], b[part > 1.0 - near]])
    goal = np.concatenate([target[part < near], target[part > 1.0 - near]])
    distance = np.linalg.norm(goal - points[node], axis=1)
    order = np.lexsort((distance, node))
    node, goal = node[order], goal[order]
    first = np.flatnonzero(np.diff(node, prepend=-1))
    value = value.copy()
    points[node[first]] = goal[first]
    value[node[first]] = 0.0
    return value


def _along_axis(way: FloatArray) -> NDArray[np.bool_]:
    """Which vectors, shape (n, 3), run along an axis."""
    length = np.abs(way).max(axis=1, keepdims=True)
    return np.asarray((np.abs(way) > 1e-9 * length).sum(axis=1) == 1)


def _inside(
    tets: IntArray,
    sign: NDArray[np.int8],
    midpoint: Callable[[IntArray, IntArray], IntArray],
) -> IntArray:
    """The parts of cells on the positive side, not oriented; a face is divided alike everywhere."""
    signs = sign[tets]
    some = (signs > 0).any(axis=1)
    # Corners in the order positive, zero, negative.
    order = np.argsort(-signs[some], axis=1, kind="stable")
    corner = np.take_along_axis(tets[some], order, axis=1)
    plus, minus = (signs[some] > 0).sum(axis=1), (signs[some] < 0).sum(axis=1)
    made = [corner[minus == 0]]
    for n in (1, 2, 3):
        a, b, c, d = corner[(plus == 1) & (minus == n)].T
        ends = [midpoint(a, x) if i >= 3 - n else x for i, x in enumerate((b, c, d))]
        made.append(np.stack([a, *ends], axis=1))
    a, b, c, d = corner[(plus == 2) & (minus == 1)].T
    made += split_pyramids(np.stack([a, b, midpoint(b, d), midpoint(a, d)], axis=1), c)
    a, b, c, d = corner[(plus == 2) & (minus == 2)].T
    sides = (a, midpoint(a, c), midpoint(a, d), b, midpoint(b, c), midpoint(b, d))
    made.append(split_prisms(np.stack(sides, axis=1)))
    a, b, c, d = corner[(plus == 3) & (minus == 1)].T
    sides = (a, b, c, midpoint(a, d), midpoint(b, d), midpoint(c, d))
    made.append(split_prisms(np.stack(sides, axis=1)))
    return np.concatenate(made)


def split_pyramids(square: IntArray, apex: IntArray) -> list[IntArray]:
    """Two tetrahedra for each pyramid; the diagonal runs from the smallest number of its square."""
    turn = (square.argmin(axis=1)[:, None] + np.arange(4)) % 4
    p, q, r, s = np.take_along_axis(square, turn, axis=1).T
    return [np.stack([p, q, r, apex], axis=1), np.stack([p, r, s, apex], axis=1)]


def split_prisms(corners: IntArray) -> IntArray:
    """Three tetrahedra for each prism (Dompierre 1999), diagonals from the smallest numbers.

    Args:
        corners: Two triangles, (0, 1, 2) and (3, 4, 5), with 3 behind 0; shape (n, 6).

    Returns:
        Cells, not oriented, three rows for each prism in turn, shape (3 n, 4).
    """
    first = corners.argmin(axis=1)
    v = np.take_along_axis(corners, _PRISM_TURNS[first], axis=1)
    low = np.minimum(v[:, 1], v[:, 5]) < np.minimum(v[:, 2], v[:, 4])
    cells = np.where(low[:, None, None], v[:, _PRISM_CELLS[0]], v[:, _PRISM_CELLS[1]])
    return np.asarray(cells.reshape(-1, 4))
