"""Bad cells that no moving of nodes can mend go by contracting one of their edges.

Where two cuts meet, cells much smaller than their neighbours are left over. Contracting one of the
edges of such a cell removes it; the mesh stays conforming, and its surfaces and parts keep their
topology by the link condition (Dey, Edelsbrunner, Guha, Nekhayev 1999).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.quality import mean_ratio

#: Cells below this mean ratio are removed where that makes their surroundings better.
MEAN_RATIO_KEPT = 0.35
ROUNDS = 6
#: Stands for what lies outside of the mesh; no number of a part (int8).
OUTSIDE = 1000

IntArray = NDArray[np.int64]
#: Numbers of the corners of a node, edge or facet, or of two parts.
Numbers = frozenset[int]


def contract(
    points_mm: FloatArray, tets: IntArray, part: NDArray[np.int8]
) -> tuple[FloatArray, IntArray, NDArray[np.int8]]:
    """Remove badly shaped cells.

    A node goes to one of its neighbours only along the surfaces, or the line, on which it lies, and
    only where the worst of its cells becomes better.

    Args:
        points_mm: Nodes, shape (n, 3).
        tets: Cells, shape (m, 4), positively oriented.
        part: Part of each cell, shape (m,); surfaces between parts are kept.

    Returns:
        Points, cells and parts that are left, in their old order.
    """
    for _ in range(ROUNDS):
        around = _Surroundings(points_mm, tets, part)
        moves = around.moves()
        if not moves:
            break
        for node, goal in moves:
            cells = around.cells_of(node)
            tets = tets.copy() if tets is around.tets else tets
            tets[cells] = np.where(tets[cells] == node, goal, tets[cells])
        ordered = np.sort(tets, axis=1)
        left = (ordered[:, 1:] != ordered[:, :-1]).all(axis=1)
        tets, part = tets[left], part[left]
    used, numbers = np.unique(tets, return_inverse=True)
    return points_mm[used], numbers.reshape(-1, 4), part


class _Surroundings:
    """The cells around nodes, and which contractions of edges do good."""

    def __init__(self, points_mm: FloatArray, tets: IntArray, part: NDArray[np.int8]) -> None:
        self.points, self.tets, self.part = points_mm, tets, part
        self.ratio = mean_ratio(*(points_mm[tets[:, i]] for i in range(4)))
        ones = np.ones(tets.size, dtype=np.int8)
        pairs = (tets.ravel(), np.repeat(np.arange(len(tets)), 4))
        self.incidence = csr_matrix((ones, pairs), shape=(len(points_mm), len(tets)))
        self.incidence.sort_indices()

    def cells_of(self, node: int) -> IntArray:
        """The cells around a node, ascending."""
        row = self.incidence.indptr
        return np.asarray(self.incidence.indices[row[node] : row[node + 1]])

    def moves(self) -> list[tuple[int, int]]:
        """Nodes and their goals, the worst cells first, no two of them in touch with each other."""
        bad = np.flatnonzero(self.ratio < MEAN_RATIO_KEPT)
        touched: set[int] = set()
        chosen = []
        for cell in bad[np.argsort(self.ratio[bad], kind="stable")]:
            corners = [int(n) for n in self.tets[cell]]
            stars = {n: set(map(int, self.tets[self.cells_of(n)].flat)) for n in corners}
            free = [n for n in corners if not stars[n] & touched]
            tries = [(-self.gain(u, v), u, v) for u in free for v in free if u != v]
            for loss, node, goal in sorted(tries):
                if loss < 0.0 and self.keeps_topology(node, goal):
                    touched |= stars[node] | stars[goal]
                    chosen.append((node, goal))
                    break
        return chosen

    def gain(self, node: int, goal: int) -> float:
        """How much better the worst cell around a node becomes when the node goes to another."""
        cells = self.cells_of(node)
        stay = cells[(self.tets[cells] != goal).all(axis=1)]
        if not len(stay):
            return 0.0
        moved = np.where(self.tets[stay] == node, goal, self.tets[stay])
        ratio = mean_ratio(*(self.points[moved[:, i]] for i in range(4)))
        return float(ratio.min() - self.ratio[cells].min())

    def keeps_topology(self, node: int, goal: int) -> bool:
        """Whether the surfaces and their topology are kept.

        The node and the edge to its goal lie on the same surfaces, and whatever both nodes are
        linked to, in space or on a surface, is linked to the edge.
        """
        star, other = self.cells_of(node), self.cells_of(goal)
        ours, theirs = _Link(self, star, node), _Link(self, other, goal)
        on_edge: set[Numbers] = set()
        for cell in self.tets[np.intersect1d(star, other)]:
            opposite = frozenset(map(int, cell)) - {node, goal}
            on_edge |= {opposite} | {frozenset((a,)) for a in opposite}
        if not ours.simplices & theirs.simplices <= on_edge:
            return False
        for surface in ours.surfaces.keys() | theirs.surfaces.keys():
            here, there = ours.surfaces.get(surface, {}), theirs.surfaces.get(surface, {})
            if here and goal not in here:
                return False
            if here.keys() & there.keys() != here.get(goal, set()):
                return False
        return True


class _Link:
    """What is linked to a node: nodes and edges opposite to it, and its surfaces.

    Attributes:
        simplices: Nodes and edges in the faces opposite to the node.
        surfaces: For each pair of parts, the neighbours on the surface between these, and the nodes
            that form facets of that surface with each.
    """

    def __init__(self, of: _Surroundings, cells: IntArray, node: int) -> None:
        self.simplices: set[Numbers] = set()
        beside: dict[Numbers, list[int]] = {}
        for corners, part in zip(of.tets[cells], of.part[cells], strict=True):
            face = frozenset(map(int, corners)) - {node}
            for corner in face:
                self.simplices |= {frozenset((corner,)), face - {corner}}
                beside.setdefault(face - {corner}, []).append(int(part))
        self.surfaces: dict[Numbers, dict[int, set[int]]] = {}
        for edge, parts in beside.items():
            between = frozenset(parts if len(parts) == 2 else [*parts, OUTSIDE])
            if len(between) == 2:
                a, b = sorted(edge)
                neighbours = self.surfaces.setdefault(between, {})
                neighbours.setdefault(a, set()).add(b)
                neighbours.setdefault(b, set()).add(a)
