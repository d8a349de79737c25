"""Cutting by a surface: volumes converge, nodes lie on it, cells conform and are sound."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import boundary_facets, facet_areas_mm2, signed_volumes_mm3
from sacrofem.mesh.lattice import Lattice, make_lattice
from sacrofem.mesh.quality import inverse_condition
from sacrofem.mesh.stuffing import cut, oriented, split_prisms, split_pyramids, unique_edges

Field = Callable[[FloatArray], FloatArray]
IntArray = NDArray[np.int64]


def lattice(side: float, half_mm: float = 12.0) -> Lattice:
    """Equal cubes in a cube around the origin."""

    def everywhere(centres: FloatArray, _: float) -> NDArray[np.bool_]:
        return np.ones(len(centres), dtype=bool)

    low, high = np.full(3, -half_mm), np.full(3, half_mm)
    return make_lattice(low, high, (side,), everywhere, everywhere)


def ball(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Field:
    return lambda x: np.asarray(radius - np.linalg.norm(x - centre, axis=1))


def cut_lattice(side: float, field: Field) -> tuple[FloatArray, IntArray]:
    made = lattice(side)
    points, tets, part = cut(made.points_mm, made.tets, field)
    assert (part == 1).all()
    return points, tets


def require_conforming(tets: IntArray) -> None:
    faces = tets[:, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]].reshape(-1, 3)
    assert np.unique(np.sort(faces, axis=1), axis=0, return_counts=True)[1].max() <= 2


# --- one surface -------------------------------------------------------------------------------


def test_the_volume_of_a_ball_converges_with_order_two() -> None:
    exact = 4.0 / 3.0 * np.pi * 8.0**3
    volumes = [signed_volumes_mm3(*cut_lattice(side, ball(8.0))).sum() for side in (4.0, 2.0, 1.0)]
    errors = exact - np.array(volumes)
    # Flat facets lie within the ball.
    assert (errors > 0.0).all()
    np.testing.assert_allclose(errors[:-1] / errors[1:], 4.0, rtol=0.25)
    assert errors[-1] < 0.01 * exact


def test_outer_nodes_lie_on_the_surface_and_inner_nodes_within() -> None:
    points, tets = cut_lattice(2.0, ball(8.0, (0.3, -0.2, 0.1)))
    distance = ball(8.0, (0.3, -0.2, 0.1))(points)
    facets, _ = boundary_facets(tets)
    assert np.abs(distance[np.unique(facets)]).max() < 1e-3
    inner = np.setdiff1d(np.unique(tets), facets)
    assert distance[inner].min() > 0.0
    require_conforming(tets)
    # A closed surface without edges of one or three facets, of a sphere's Euler characteristic.
    edges = np.sort(facets[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    assert (count == 2).all()
    assert len(np.unique(facets)) - len(unique) + len(facets) == 2


def test_no_cell_is_bad_wherever_the_ball_lies() -> None:
    """Protects: the choice of SNAP_PART: no shift and no radius gives slivers."""
    rng, made, worst = np.random.default_rng(1), lattice(3.0, 9.0), []
    for _ in range(50):
        field = ball(rng.uniform(4.0, 6.0), tuple(rng.uniform(-1.5, 1.5, 3)))
        points, tets, _ = cut(made.points_mm, made.tets, field)
        assert signed_volumes_mm3(points, tets).min() > 0.0
        worst.append(inverse_condition(points, tets).min())
    assert min(worst) > 0.15


@pytest.mark.parametrize("z", [0.0, 1.0, 0.5, 0.3, 1e-9, -1e-12])
def test_a_plane_is_met_exactly_also_where_nodes_lie_on_it(z: float) -> None:
    """Protects: ties: nodes on the plane, or off it by rounding, give no flat or missing cells."""
    made = lattice(2.0)
    normal = np.array([0.0, 0.0, 1.0])
    points, tets, _ = cut(made.points_mm, made.tets, lambda x: z - x @ normal)
    volume = signed_volumes_mm3(points, tets)
    assert volume.min() > 1e-3
    require_conforming(tets)
    assert inverse_condition(points, tets).min() > 0.15
    top = points[boundary_facets(tets)[0]]
    flat = np.abs(top[:, :, 2] - z).max(axis=1) < 1e-6
    normals = np.cross(top[flat, 1] - top[flat, 0], top[flat, 2] - top[flat, 0])
    assert (normals[:, 2] > 0.0).all()
    # Nodes at the lattice's own sides are moved along their edges: the inner part of the plane.
    inner = flat & (np.abs(top[:, :, :2]).max(axis=(1, 2)) <= 9.0)
    area = 0.5 * np.linalg.norm(normals, axis=1)
    assert 14.0**2 < area[inner[flat]].sum() <= 18.0**2 + 1e-9


def test_a_diagonal_plane_through_centres_and_corners_is_met() -> None:
    made, normal = lattice(2.0), np.array([1.0, 1.0, 0.0]) / np.sqrt(2.0)
    points, tets, _ = cut(made.points_mm, made.tets, lambda x: -(x @ normal))
    assert signed_volumes_mm3(points, tets).sum() == pytest.approx(
        0.5 * signed_volumes_mm3(made.points_mm, made.tets).sum()
    )
    assert inverse_condition(points, tets).min() > 0.15


def test_a_sheet_thinner_than_a_cube_gives_sound_cells() -> None:
    """Protects: no inverted cell and no crash where an edge meets two surfaces at once."""
    made = lattice(2.0)
    for thickness in (0.05, 0.4, 1.2):
        for z in np.linspace(0.0, 1.0, 5):
            points, tets, _ = cut(
                made.points_mm, made.tets, lambda x, t=thickness, z=z: t / 2 - np.abs(x[:, 2] - z)
            )
            if len(tets):
                require_conforming(tets)
                assert signed_volumes_mm3(points, tets).min() >= 0.0
                assert np.abs(points[np.unique(tets)][:, 2] - z).max() < thickness / 2 + 1e-3


def test_two_balls_that_touch_give_sound_cells() -> None:
    left, right = ball(5.0, (-5.0, 0.1, 0.0)), ball(5.0, (5.0, 0.1, 0.0))
    points, tets = cut_lattice(1.5, lambda x: np.maximum(left(x), right(x)))
    require_conforming(tets)
    assert signed_volumes_mm3(points, tets).min() > 0.0
    both = 2.0 * 4.0 / 3.0 * np.pi * 5.0**3
    assert signed_volumes_mm3(points, tets).sum() == pytest.approx(both, rel=0.03)


def test_a_field_without_inside_gives_no_cells() -> None:
    _, tets = cut_lattice(4.0, lambda x: -np.ones(len(x)))
    assert tets.shape == (0, 4)


# --- both sides --------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, 0.37])
def test_both_sides_fill_what_was_there(shift: float) -> None:
    """Protects: volume to the last digit, one surface between the sides, the same outer surface."""
    body, tets = cut_lattice(2.0, ball(9.0))
    before = signed_volumes_mm3(body, tets).sum()
    outer = facet_areas_mm2(body, boundary_facets(tets)[0]).sum()

    def field(x: FloatArray) -> FloatArray:
        return x[:, 0] - shift + 0.5 * np.sin(0.3 * x[:, 1])

    points, cells, side = cut(body, tets, field, both_sides=True)
    volume = signed_volumes_mm3(points, cells)
    assert volume.min() > 0.0
    require_conforming(cells)
    assert set(np.unique(side)) == {-1, 1}
    middle = field(points[cells].mean(axis=1))
    assert (np.sign(middle[np.abs(middle) > 0.3]) == side[np.abs(middle) > 0.3]).all()
    # Nodes at the rim are moved along edges of the body, which may cut a corner of it.
    assert volume.sum() == pytest.approx(before, rel=2e-3)
    facets, _ = boundary_facets(cells)
    assert facet_areas_mm2(points, facets).sum() == pytest.approx(outer, rel=5e-3)
    ours = [boundary_facets(cells[side == s])[0] for s in (1, -1)]
    areas = [facet_areas_mm2(points, f).sum() for f in ours]
    shared = 0.5 * (sum(areas) - facet_areas_mm2(points, facets).sum())
    assert shared == pytest.approx(np.pi * (9.0**2 - shift**2), rel=0.03)


@pytest.mark.parametrize("x", [0.0, 0.25, 0.5, 0.75, 1.0, 1.5])
@pytest.mark.parametrize("side", [2.0, 3.0])
def test_no_cell_is_crushed_between_two_layers_of_nodes(x: float, side: float) -> None:
    """Protects: the limit for long edges: a plane between two layers takes one of them at most.

    A joint lies so where a bone is straight and its CT not rotated; the cells there cannot be left
    off, as outside of a bone.
    """
    made, normal = lattice(side), np.array([1.0, 0.0, 0.0])
    points, tets, part = cut(made.points_mm, made.tets, lambda p: p @ normal - x, both_sides=True)
    volume = signed_volumes_mm3(points, tets)
    assert inverse_condition(points, tets).min() > 0.15
    require_conforming(tets)
    assert set(np.unique(part)) == {-1, 1}
    assert volume.sum() == pytest.approx(
        signed_volumes_mm3(made.points_mm, made.tets).sum(), rel=0.01
    )


# --- prisms, pyramids and edges ----------------------------------------------------------------


def test_prisms_fill_their_layer_whatever_their_numbers() -> None:
    """Protects: the two prisms at a quadrilateral cut it by the same diagonal."""
    rng = np.random.default_rng(3)
    n = 5
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 2, [0, 1, 2], indexing="ij"), axis=-1)
    points = grid.reshape(-1, 3).astype(float)
    number = np.arange(len(points)).reshape(n, n, 3)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    for _ in range(20):
        rename = rng.permutation(len(points))
        prisms = []
        for tri in ((a, b, c), (a, c, d)):
            for layer in (0, 1):
                bottom = [t[..., layer].ravel() for t in tri]
                top = [t[..., layer + 1].ravel() for t in tri]
                prisms.append(np.stack([*bottom, *top], axis=1))
        moved = np.empty_like(points)
        moved[rename] = points
        made = split_prisms(rename[np.concatenate(prisms)])
        tets = oriented(moved, made)
        np.testing.assert_allclose(signed_volumes_mm3(moved, tets), 1.0 / 6.0)
        require_conforming(tets)
        facets, _ = boundary_facets(tets)
        assert facet_areas_mm2(moved, facets).sum() == pytest.approx(2 * 16 + 4 * 4 * 2)
        # The three cells of each prism follow each other.
        assert all(len(np.unique(made[3 * i : 3 * i + 3])) == 6 for i in range(len(made) // 3))


def test_pyramids_share_the_diagonal_of_their_square() -> None:
    rng = np.random.default_rng(4)
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    points = np.vstack([square, [[0.5, 0.5, 1.0], [0.5, 0.5, -1.0]]])
    for _ in range(20):
        rename, turn = rng.permutation(6), rng.integers(0, 4)
        moved = np.empty_like(points)
        moved[rename] = points
        squares = rename[np.stack([np.roll(np.arange(4), turn), [3, 2, 1, 0]])]
        tets = oriented(moved, np.concatenate(split_pyramids(squares, rename[[4, 5]])))
        np.testing.assert_allclose(signed_volumes_mm3(moved, tets), 1.0 / 6.0)
        assert len(boundary_facets(tets)[0]) == 8


def test_edges_are_numbered_with_their_cells() -> None:
    tets = np.array([[3, 1, 0, 2], [4, 1, 3, 2]])
    edges, number = unique_edges(tets)
    assert len(edges) == 9
    assert (edges[:, 0] < edges[:, 1]).all()
    pairs = np.sort(tets[:, [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]], axis=2)
    np.testing.assert_array_equal(edges[number], pairs)
