"""The lattice: fills space, conforms between sizes of cubes, and has the shapes of its paper."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import boundary_facets, signed_volumes_mm3
from sacrofem.mesh.lattice import Lattice, make_lattice, pack, unpack
from sacrofem.mesh.quality import dihedral_angles_deg, mean_ratio

SIDE_MM = 8.0
BOX = np.array([[-16.0, -24.0, -16.0], [24.0, 16.0, 32.0]])


def everywhere(centres: FloatArray, side: float) -> NDArray[np.bool_]:
    return np.ones(len(centres), dtype=bool)


def around(point: FloatArray) -> Callable[[FloatArray, float], NDArray[np.bool_]]:
    """Divide the cubes that hold a point."""
    return lambda centres, side: (np.abs(centres - point) <= 0.5 * side).all(axis=1)


def lattice(
    depth: int, refine: Callable[[FloatArray, float], NDArray[np.bool_]] = everywhere
) -> Lattice:
    cubes = tuple(SIDE_MM / 2.0**n for n in range(depth))
    return make_lattice(BOX[0], BOX[1], cubes, everywhere, refine)


def facet_counts(tets: NDArray[np.int64]) -> NDArray[np.int64]:
    faces = tets[:, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]].reshape(-1, 3)
    return np.unique(np.sort(faces, axis=1), axis=0, return_counts=True)[1]


def hull_distance(points: FloatArray) -> FloatArray:
    """Distance of points in the box to its nearest side."""
    return np.minimum(points - BOX[0], BOX[1] - points).min(axis=1)


def test_equal_cubes_give_the_bcc_lattice() -> None:
    """Protects: number, volume and shape of the cells.

    Between two cubes that share a face lie four tetrahedra, a third of a cube in all; each has two
    edges of a cube's side and four of half its diagonal (Labelle, Shewchuk 2007, section 2).
    """
    made = lattice(1)
    n = np.rint((BOX[1] - BOX[0]) / SIDE_MM)
    faces = sum((n - np.eye(3)[axis]).prod() for axis in range(3))
    assert len(made.tets) == 4 * faces
    volume = signed_volumes_mm3(made.points_mm, made.tets)
    np.testing.assert_allclose(volume, SIDE_MM**3 / 12.0)
    angles = np.sort(dihedral_angles_deg(made.points_mm, made.tets), axis=1)
    np.testing.assert_allclose(angles, np.tile([60.0] * 4 + [90.0] * 2, (len(volume), 1)))
    ratio = mean_ratio(*(made.points_mm[made.tets[:, i]] for i in range(4)))
    np.testing.assert_allclose(ratio, 12.0 * 4.0 ** (-2.0 / 3.0) / 5.0)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("point", [[4.1, -4.3, 8.2], [0.0, 0.0, 8.0], [-0.01, -0.01, 7.99]])
def test_sizes_fit_together_without_gaps(depth: int, point: list[float]) -> None:
    """Protects: no overlaps, holes or hanging nodes, wherever the small cubes lie.

    The outer sixth of the cubes at the box's sides is left off, so the volume is known exactly.
    """
    made = lattice(depth, around(np.array(point)))
    volume = signed_volumes_mm3(made.points_mm, made.tets)
    assert volume.min() > 0.0
    n = (BOX[1] - BOX[0]) / SIDE_MM
    outer_faces = 2.0 * sum(n.prod() / n[axis] for axis in range(3))
    assert volume.sum() == pytest.approx(SIDE_MM**3 * (n.prod() - outer_faces / 6.0))
    assert facet_counts(made.tets).max() == 2
    facets, _ = boundary_facets(made.tets)
    assert hull_distance(made.points_mm[facets].reshape(-1, 3)).max() < 0.51 * SIDE_MM
    # The smallest cubes are there, and the middle of one is a node.
    edge = np.linalg.norm(made.points_mm[made.tets[:, 0]] - made.points_mm[made.tets[:, 1]], axis=1)
    assert edge.min() < 1.01 * SIDE_MM / 2.0 ** (depth - 1)


def test_graded_cells_keep_their_angles() -> None:
    """Protects: the shapes of halved and quartered tetrahedra: 45 to 120 degrees, four shapes."""
    made = lattice(4, around(np.array([1.0, -2.0, 9.0])))
    angles = dihedral_angles_deg(made.points_mm, made.tets)
    assert angles.min() == pytest.approx(45.0)
    assert angles.max() == pytest.approx(120.0)
    ratio = mean_ratio(*(made.points_mm[made.tets[:, i]] for i in range(4)))
    # By their edges: the larger and the smaller half of a pyramid, half a BCC cell, a whole one.
    third = 4.0 ** (-2.0 / 3.0)
    exact = [1.2 * 2.0 ** (-2.0 / 3.0), 12.0 * third / 6.25, 0.8, 12.0 * third / 5.0]
    np.testing.assert_allclose(np.unique(np.round(ratio, 9)), exact, atol=1e-9)


def test_neighbours_differ_by_one_size() -> None:
    """Protects: the balance across faces, edges and corners of cubes."""
    made = lattice(5, around(np.array([0.01, 0.01, 8.01])))
    corner = made.points_mm[made.tets]
    longest = np.linalg.norm(corner[:, :, None] - corner[:, None], axis=-1).max(axis=(1, 2))
    largest, smallest = np.zeros(len(made.points_mm)), np.full(len(made.points_mm), np.inf)
    for i in range(4):
        np.maximum.at(largest, made.tets[:, i], longest)
        np.minimum.at(smallest, made.tets[:, i], longest)
    # The longest edge of a cell is one to root 2 sides of its cube; two sizes meet at a node.
    assert (largest / smallest).max() < 2.0 * np.sqrt(2.0) + 1e-9


def test_what_is_not_needed_is_left_off() -> None:
    def ball(centres: FloatArray, side: float) -> NDArray[np.bool_]:
        return np.linalg.norm(centres - [4.0, -4.0, 8.0], axis=1) < 8.0 + side

    cubes = (SIDE_MM, SIDE_MM / 2.0)
    made = make_lattice(BOX[0], BOX[1], cubes, ball, everywhere)
    distance = np.linalg.norm(made.points_mm - [4.0, -4.0, 8.0], axis=1)
    assert distance.max() < 8.0 + 3.0 * SIDE_MM
    # Each node of the ball's inside is an inner node.
    facets, _ = boundary_facets(made.tets)
    assert distance[facets].min() > 8.0


def test_keys_give_the_coordinates_back_in_their_order() -> None:
    cells = np.random.default_rng(2).integers(-(2**18), 2**18, (1000, 3))
    np.testing.assert_array_equal(unpack(pack(cells)), cells)
    order = np.lexsort(cells.T[::-1])
    assert (np.diff(pack(cells[order])) >= 0).all()
