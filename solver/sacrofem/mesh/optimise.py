"""Better shapes by moving nodes; the worst cell around one decides (Freitag, Ollivier-Gooch 1997).

Nodes on a surface move on it. A node moves only where the worst of its cells becomes better, and no
two neighbours move at once, so the worst cell of a mesh never becomes worse.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.quality import mean_ratio
from sacrofem.mesh.stuffing import unique_edges

#: Cells below this mean ratio are worked on.
MEAN_RATIO_WANTED = 0.5
PASSES = 8
#: Lengths of the trial steps as parts of the mean edge around a node.
TRIAL_STEPS = (0.3, 0.1, 0.03)

IntArray = NDArray[np.int64]
Project = Callable[[FloatArray, IntArray], FloatArray]

#: Directions of the trial steps: the corners, faces and edges of a cube.
_DIRECTIONS = np.array(
    [
        [i, j, k]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        for k in (-1, 0, 1)
        if (i, j, k) != (0, 0, 0)
    ],
    dtype=np.float64,
)
_DIRECTIONS /= np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)
#: The corners of the face opposite to each corner, seen from it in positive order.
_OPPOSITE = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])


def improve(points_mm: FloatArray, tets: IntArray, project: Project) -> FloatArray:
    """Move nodes until no cell is badly shaped, or nothing helps.

    Args:
        points_mm: Nodes, shape (n, 3).
        tets: Cells, shape (m, 4), positively oriented.
        project: Puts trial positions (k, 3) of nodes (numbers, shape (k,)) back on their surfaces;
            gives NaN where that fails.

    Returns:
        The moved nodes, shape (n, 3).
    """
    points = points_mm.copy()
    cells_of = _incidence(tets, len(points))
    edges, _ = unique_edges(tets)
    for _ in range(PASSES):
        ratio = mean_ratio(*(points[tets[:, i]] for i in range(4)))
        nodes = np.unique(tets[ratio < MEAN_RATIO_WANTED])
        moved = 0
        for group in _independent(nodes, edges, len(points)):
            moved += _move(points, tets, cells_of, group, project)
        if moved == 0:
            break
    return points


def _incidence(tets: IntArray, count: int) -> csr_matrix:
    """Rows: nodes; columns: cells that contain them; values: 1 + place of the node in the cell."""
    cells = np.repeat(np.arange(len(tets)), 4)
    place = np.tile(np.arange(1, 5), len(tets))
    return csr_matrix((place, (tets.ravel(), cells)), shape=(count, len(tets)))


def _independent(nodes: IntArray, edges: IntArray, count: int) -> list[IntArray]:
    """The nodes in groups without neighbours in one group, by a fixed order."""
    among = np.zeros(count, dtype=bool)
    among[nodes] = True
    edges = edges[among[edges].all(axis=1)]
    # A mixed order makes few and large groups; it is the same at every call.
    rank = np.full(count, count, dtype=np.int64)
    rank[nodes] = np.random.default_rng(0).permutation(len(nodes))
    groups = []
    while len(nodes):
        lower = np.full(count, count, dtype=np.int64)
        np.minimum.at(lower, edges[:, 0], rank[edges[:, 1]])
        np.minimum.at(lower, edges[:, 1], rank[edges[:, 0]])
        first = rank[nodes] < lower[nodes]
        groups.append(nodes[first])
        among[nodes[first]] = False
        nodes = nodes[~first]
        edges = edges[among[edges].all(axis=1)]
    return groups


def _move(
    points: FloatArray, tets: IntArray, cells_of: csr_matrix, nodes: IntArray, project: Project
) -> int:
    """Move each of some independent nodes to its best trial position, in place; how many moved."""
    rows = cells_of[nodes]
    start, cells, place = rows.indptr[:-1], rows.indices, rows.data - 1
    owner = np.repeat(np.arange(len(nodes)), np.diff(rows.indptr))
    face = np.take_along_axis(tets[cells], _OPPOSITE[place], axis=1)
    a, b, c = (points[face[:, i]] for i in range(3))

    def worst(at: FloatArray) -> FloatArray:
        """Worst shape around each node for trial positions (t, n, 3), shape (t, n)."""
        ratio = mean_ratio(at[:, owner], a, b, c)
        return np.minimum.reduceat(ratio, start, axis=1)

    here = points[nodes]
    size = np.add.reduceat(np.linalg.norm(a - here[owner], axis=1), start) / np.diff(rows.indptr)
    middle = np.add.reduceat((a + b + c) / 3.0, start) / np.diff(rows.indptr)[:, None]
    trials = [here, middle, 0.5 * (here + middle)]
    for step in TRIAL_STEPS:
        trials += [here + step * size[:, None] * direction for direction in _DIRECTIONS]
    at = np.stack(trials)
    flat = project(at[1:].reshape(-1, 3), np.tile(nodes, len(at) - 1))
    at[1:] = flat.reshape(at[1:].shape)
    # A trial that does not land on its surface is no number, and loses.
    score = np.nan_to_num(worst(at), nan=-1.0)
    best = score.argmax(axis=0)
    gain = score[best, np.arange(len(nodes))] > score[0] + 1e-6
    points[nodes[gain]] = at[best[gain], np.flatnonzero(gain)]
    return int(gain.sum())
