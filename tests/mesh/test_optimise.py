"""Moving nodes: never worse, always on the surface, nothing where nothing is to do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import boundary_facets, signed_volumes_mm3
from sacrofem.mesh.lattice import make_lattice
from sacrofem.mesh.optimise import MEAN_RATIO_WANTED, _independent, improve
from sacrofem.mesh.quality import mean_ratio
from sacrofem.mesh.stuffing import cut, unique_edges

IntArray = NDArray[np.int64]
RADIUS_MM = 7.0


def ratio(points: FloatArray, tets: IntArray) -> FloatArray:
    return mean_ratio(*(points[tets[:, i]] for i in range(4)))


@pytest.fixture(scope="module")
def ball() -> tuple[FloatArray, IntArray]:
    """A ball cut out of a lattice."""

    def everywhere(centres: FloatArray, _: float) -> NDArray[np.bool_]:
        return np.ones(len(centres), dtype=bool)

    made = make_lattice(np.full(3, -9.0), np.full(3, 9.0), (2.0,), everywhere, everywhere)
    points, tets, _ = cut(
        made.points_mm, made.tets, lambda x: RADIUS_MM - np.linalg.norm(x - 0.1, axis=1)
    )
    used, cells = np.unique(tets, return_inverse=True)
    return points[used] - 0.1, cells.reshape(-1, 4)


class Sphere:
    """Keeps nodes on the sphere, and remembers who was asked for."""

    def __init__(self, tets: IntArray) -> None:
        self.on = np.unique(boundary_facets(tets)[0])
        self.asked: list[IntArray] = []

    def __call__(self, points: FloatArray, nodes: IntArray) -> FloatArray:
        self.asked.append(np.unique(nodes))
        on = np.isin(nodes, self.on)
        length = np.linalg.norm(points, axis=1, keepdims=True)
        return np.where(on[:, None], RADIUS_MM * points / length, points)


def fixed(points: FloatArray, nodes: IntArray) -> FloatArray:
    return np.full_like(points, np.nan)


def test_the_worst_cell_becomes_better_and_nodes_stay_on_the_surface(
    ball: tuple[FloatArray, IntArray],
) -> None:
    """Protects: what the optimiser is for. The surface is kept to rounding."""
    points, tets = ball
    # Nodes of the surface start exactly on it.
    surface = Sphere(tets)
    start = surface(points, np.arange(len(points)))
    moved = improve(start, tets, surface)
    before, after = ratio(start, tets), ratio(moved, tets)
    assert after.min() > before.min() + 0.05
    assert (after < MEAN_RATIO_WANTED).sum() < 0.5 * (before < MEAN_RATIO_WANTED).sum()
    np.testing.assert_allclose(np.linalg.norm(moved[surface.on], axis=1), RADIUS_MM)
    assert signed_volumes_mm3(moved, tets).min() > 0.0


def test_the_worst_cell_never_becomes_worse_also_from_bad_starts(
    ball: tuple[FloatArray, IntArray],
) -> None:
    points, tets = ball
    rng = np.random.default_rng(6)
    for size in (0.1, 0.3, 0.6):
        start = points + rng.uniform(-size, size, points.shape)
        moved = improve(start, tets, lambda at, _: at)
        before, after = ratio(start, tets), ratio(moved, tets)
        assert after.min() >= before.min()
        assert after.min() > 0.1
        # Each node's own worst cell, too, where a cell was bad.
        assert np.percentile(after, 1.0) > np.percentile(before, 1.0)


def test_a_good_mesh_is_left_as_it_is() -> None:
    """Protects: cells of the plain lattice, whose ratio is 0.95, are not touched."""

    def everywhere(centres: FloatArray, _: float) -> NDArray[np.bool_]:
        return np.ones(len(centres), dtype=bool)

    made = make_lattice(np.zeros(3), np.full(3, 8.0), (2.0,), everywhere, everywhere)
    moved = improve(made.points_mm, made.tets, lambda at, _: at)
    np.testing.assert_array_equal(moved, made.points_mm)


def test_nodes_that_cannot_land_do_not_move(ball: tuple[FloatArray, IntArray]) -> None:
    """Protects: NaN of the projection is a refusal, never a position."""
    points, tets = ball
    np.testing.assert_array_equal(improve(points, tets, fixed), points)


def test_the_input_is_not_changed_and_the_result_repeats(
    ball: tuple[FloatArray, IntArray],
) -> None:
    points, tets = ball
    kept = points.copy()
    first = improve(points, tets, lambda at, _: at)
    np.testing.assert_array_equal(points, kept)
    np.testing.assert_array_equal(improve(points, tets, lambda at, _: at), first)


def test_neighbours_never_move_at_once(ball: tuple[FloatArray, IntArray]) -> None:
    """Protects: the guarantee rests on it. Groups hold all nodes once, without neighbours."""
    points, tets = ball
    edges, _ = unique_edges(tets)
    nodes = np.arange(0, len(points), 2)
    groups = _independent(nodes, edges, len(points))
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), nodes)
    for group in groups:
        assert not np.isin(edges, group).all(axis=1).any()
    assert len(groups) < 20
    surface = Sphere(tets)
    improve(points, tets, surface)
    assert surface.asked
    for group in surface.asked:
        assert not np.isin(edges, group).all(axis=1).any()
