"""Contracting edges: bad cells go, surfaces, parts and topology stay."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import boundary_facets, signed_volumes_mm3
from sacrofem.mesh.contract import MEAN_RATIO_KEPT, _Surroundings, contract
from sacrofem.mesh.fidelity import tunnels
from sacrofem.mesh.lattice import make_lattice
from sacrofem.mesh.quality import mean_ratio
from sacrofem.mesh.stuffing import cut, oriented, split_prisms

IntArray = NDArray[np.int64]
Mesh = tuple[FloatArray, IntArray, NDArray[np.int8]]


def ratio(points: FloatArray, tets: IntArray) -> FloatArray:
    return mean_ratio(*(points[tets[:, i]] for i in range(4)))


def cut_ring(shift: float) -> Mesh:
    """A thick ring cut in two by a wavy surface; some of its cells are pressed flat."""

    def everywhere(centres: FloatArray, _: float) -> NDArray[np.bool_]:
        return np.ones(len(centres), dtype=bool)

    def ring(x: FloatArray) -> FloatArray:
        return 4.0 - np.hypot(np.hypot(x[:, 0], x[:, 1]) - 8.0, x[:, 2])

    def wave(x: FloatArray) -> FloatArray:
        return x[:, 0] - shift - np.sin(0.4 * x[:, 1])

    made = make_lattice(np.full(3, -15.0), np.full(3, 15.0), (2.0,), everywhere, everywhere)
    points, tets, _ = cut(made.points_mm, made.tets, ring)
    points, tets, side = cut(points, tets, wave, both_sides=True)
    used, cells = np.unique(tets, return_inverse=True)
    cells = cells.reshape(-1, 4)
    return pressed(points[used], cells, side), cells, side


def pressed(points: FloatArray, tets: IntArray, side: NDArray[np.int8]) -> FloatArray:
    """Nodes here and there moved almost onto a neighbour, along the surface on which they lie."""
    points, taken = points.copy(), np.zeros(len(points), dtype=bool)
    outer = np.unique(boundary_facets(tets)[0])
    kinds = np.zeros(len(points), dtype=int)
    kinds[outer] = 1
    for value in (1, -1):
        kinds[np.setdiff1d(boundary_facets(tets[side == value])[0], outer)] = 2
    on_surface = np.vstack([boundary_facets(tets[side == value])[0] for value in (1, -1)])
    edges = {1: on_surface, 2: on_surface, 0: tets}
    rng = np.random.default_rng(11)
    for kind, cells in edges.items():
        cells = rng.permutation(cells)[:200]
        for u, v in cells[:, :2]:
            around = np.unique(tets[np.isin(tets, (u, v)).any(axis=1)])
            if kinds[u] == kinds[v] == kind and not taken[around].any():
                points[u] = points[v] + 0.05 * (points[u] - points[v])
                taken[around] = True
    return points


def surface_euler(tets: IntArray, other: IntArray) -> int:
    """Euler number of the surface that two sets of cells share."""
    first, second = (np.sort(boundary_facets(t)[0], axis=1) for t in (tets, other))
    both, count = np.unique(np.vstack([first, second]), axis=0, return_counts=True)
    faces = both[count == 2]
    edges = np.unique(faces[:, [0, 1, 1, 2, 0, 2]].reshape(-1, 2), axis=0)
    return len(np.unique(faces)) - len(edges) + len(faces)


@pytest.mark.parametrize("shift", [0.0, 0.31, 0.77])
def test_bad_cells_go_and_the_topology_stays(shift: float) -> None:
    points, tets, part = cut_ring(shift)
    made, cells, parts = contract(points, tets, part)
    before, after = ratio(points, tets), ratio(made, cells)
    assert (before < MEAN_RATIO_KEPT).sum() > 10
    assert (after < MEAN_RATIO_KEPT).sum() < 0.2 * (before < MEAN_RATIO_KEPT).sum()
    assert after.min() > before.min()
    faces = np.sort(cells[:, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]].reshape(-1, 3), axis=1)
    assert np.unique(faces, axis=0, return_counts=True)[1].max() <= 2
    # One hole through the ring, none through its halves, and a joint of two discs.
    assert tunnels(cells) == 1
    halves = [cells[parts == side] for side in (1, -1)]
    old = [tets[part == side] for side in (1, -1)]
    assert [tunnels(h) for h in halves] == [tunnels(h) for h in old]
    assert surface_euler(*halves) == surface_euler(*old) == 2
    assert signed_volumes_mm3(made, cells).sum() == pytest.approx(
        signed_volumes_mm3(points, tets).sum(), rel=5e-3
    )
    assert len(np.unique(cells)) == len(made)


def test_nodes_leave_no_surface() -> None:
    """Protects: the place of outer surface and joint: their nodes are old ones of theirs."""
    points, tets, part = cut_ring(0.31)
    made, cells, parts = contract(points, tets, part)

    def places(at: FloatArray, nodes: IntArray) -> set[bytes]:
        return {row.tobytes() for row in at[np.unique(nodes)]}

    assert places(made, boundary_facets(cells)[0]) <= places(points, boundary_facets(tets)[0])
    for side in (1, -1):
        new, old = boundary_facets(cells[parts == side])[0], boundary_facets(tets[part == side])[0]
        assert places(made, new) <= places(points, old)


def test_a_good_mesh_is_left_as_it_is() -> None:
    def everywhere(centres: FloatArray, _: float) -> NDArray[np.bool_]:
        return np.ones(len(centres), dtype=bool)

    made = make_lattice(np.zeros(3), np.full(3, 8.0), (2.0,), everywhere, everywhere)
    good = (made.points_mm, made.tets, np.ones(len(made.tets), dtype=np.int8))
    for before, after in zip(good, contract(*good), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_input_is_not_changed_and_the_result_repeats() -> None:
    mesh = cut_ring(0.31)
    kept = [array.copy() for array in mesh]
    first, second = contract(*mesh), contract(*mesh)
    for array, copy in zip(mesh, kept, strict=True):
        np.testing.assert_array_equal(array, copy)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_single_wall_is_not_pulled_through() -> None:
    """Protects: flat cells stay where all of their edges would close a tunnel."""
    # A ring of three blocks around a triangular hole, one block so flat that it is bad.
    angle = np.arange(3) * 2.0 * np.pi / 3.0
    inner = np.stack([np.cos(angle), np.sin(angle), 0.0 * angle], axis=1)
    lifted = np.array([0.0, 0.0, 0.05])
    points = np.vstack([inner, 2.0 * inner, inner + lifted, 2.0 * inner + lifted])
    prisms = []
    for i in range(3):
        j = (i + 1) % 3
        prisms += [[i, j, 3 + i, 6 + i, 6 + j, 9 + i], [j, 3 + j, 3 + i, 6 + j, 9 + j, 9 + i]]
    tets = oriented(points, split_prisms(np.array(prisms)))
    part = np.ones(len(tets), dtype=np.int8)
    assert tunnels(tets) == 1
    _, cells, _ = contract(points, tets, part)
    assert tunnels(cells) == 1


def test_an_edge_whose_ends_share_more_than_its_cells_is_kept() -> None:
    """Protects: the link condition in space.

    Four cells around a node inside a tetrahedron: to contract one of the outer edges would put two
    cells on one place, though the outer surface alone would allow it.
    """
    points = np.array([[1.0, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1], [0, 0, 0]])
    tets = oriented(points, np.array([[1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 4]]))
    around = _Surroundings(points, tets, np.ones(4, dtype=np.int8))
    assert not around.keeps_topology(0, 1)
    assert around.keeps_topology(4, 0)
    # Nor does an outer node go inside.
    assert not around.keeps_topology(0, 4)
