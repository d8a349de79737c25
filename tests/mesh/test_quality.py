"""Quality figures: exact values of known tetrahedra, gmsh's opinion, and the signs."""

import gmsh
import numpy as np
import pytest

from sacrofem.mesh.quality import (
    aspect_ratio,
    dihedral_angles_deg,
    inverse_condition,
    mean_ratio,
    shape_figures,
)

REGULAR = np.array([[1.0, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]])
ONE = np.array([[0, 1, 2, 3]])
TURNED = ONE[:, [1, 0, 2, 3]]


def test_all_are_one_for_the_regular_tetrahedron() -> None:
    assert inverse_condition(REGULAR, ONE)[0] == pytest.approx(1.0)
    assert mean_ratio(*REGULAR) == pytest.approx(1.0)
    assert aspect_ratio(REGULAR, ONE)[0] == pytest.approx(1.0)
    np.testing.assert_allclose(dihedral_angles_deg(REGULAR, ONE), np.degrees(np.arccos(1.0 / 3.0)))


def test_inverted_cells_are_negative() -> None:
    assert inverse_condition(REGULAR, TURNED)[0] == pytest.approx(-1.0)
    assert mean_ratio(*REGULAR[TURNED[0]]) == pytest.approx(-1.0)


@pytest.mark.parametrize("flat", [1e-3, 1e-6])
def test_flat_cells_go_to_zero(flat: float) -> None:
    points = REGULAR * [1.0, 1.0, flat]
    assert 0.0 < inverse_condition(points, ONE)[0] < 5.0 * flat
    assert 0.0 < mean_ratio(*points) < 5.0 * flat ** (2.0 / 3.0)
    assert aspect_ratio(points, ONE)[0] > 0.2 / flat


def test_the_corner_of_a_cube() -> None:
    """Edges 1, 1, 1 and three of root 2: inscribed radius 1 / (3 + root 3), right angles."""
    points = np.vstack([np.zeros(3), np.eye(3)])
    assert aspect_ratio(points, ONE)[0] == pytest.approx(
        np.sqrt(2.0) * (3.0 + np.sqrt(3.0)) / (2.0 * np.sqrt(6.0))
    )
    assert mean_ratio(*points) == pytest.approx(12.0 * 0.5 ** (2.0 / 3.0) / 9.0)
    slanted = np.degrees(np.arccos(1.0 / np.sqrt(3.0)))
    angles = np.sort(dihedral_angles_deg(points, ONE)[0])
    np.testing.assert_allclose(angles, [slanted] * 3 + [90.0] * 3)


def test_gmsh_agrees() -> None:
    """Protects: the limits of issue 3 are stated in gmsh's minSICN."""
    rng = np.random.default_rng(7)
    points = rng.normal(size=(400, 3))
    tets = np.arange(400).reshape(-1, 4)
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        entity = gmsh.model.addDiscreteEntity(3)
        gmsh.model.mesh.addNodes(3, entity, np.arange(1, 401), points.ravel())
        gmsh.model.mesh.addElementsByType(entity, 4, np.arange(1, 101), tets.ravel() + 1)
        theirs = gmsh.model.mesh.getElementQualities(np.arange(1, 101), "minSICN")
    finally:
        gmsh.finalize()
    ours = inverse_condition(points, tets)
    assert (ours < 0.0).any()
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_figures_do_not_depend_on_place_size_or_direction() -> None:
    rng = np.random.default_rng(8)
    points, tets = rng.normal(size=(40, 3)), np.arange(40).reshape(-1, 4)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    there = 7.0 * points @ turn.T + [3.0, -200.0, 40.0]
    here, moved = shape_figures(points, tets), shape_figures(there, tets)
    for name, value in vars(here).items():
        assert getattr(moved, name) == pytest.approx(value, rel=1e-6), name


def test_figures_are_those_of_the_cells() -> None:
    rng = np.random.default_rng(9)
    points = REGULAR[None] + rng.uniform(-0.4, 0.4, (200, 4, 3))
    tets = np.arange(800).reshape(-1, 4)
    points = points.reshape(-1, 3)
    figures = shape_figures(points, tets)
    quality = np.sort(inverse_condition(points, tets))
    assert figures.minimum == quality[0]
    assert quality[1] <= figures.percentile_1 <= quality[2]
    angles = dihedral_angles_deg(points, tets)
    assert (figures.dihedral_min_deg, figures.dihedral_max_deg) == (angles.min(), angles.max())
    assert figures.aspect_p99 < figures.aspect_max == aspect_ratio(points, tets).max()
