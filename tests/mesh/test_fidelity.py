"""Fidelity: tunnels of known bodies, distances and volumes of known boxes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray, Grid, LabelMap
from sacrofem.mesh.bone_mesh import boundary_facets
from sacrofem.mesh.fidelity import PartFidelity, part_fidelity, surface_tunnels, tunnels
from sacrofem.mesh.lattice import make_lattice
from sacrofem.mesh.stuffing import cut

IntArray = NDArray[np.int64]
HALF_MM = np.array([20.0, 16.0, 12.0])


def body(field: object, side: float = 1.5) -> tuple[FloatArray, IntArray]:
    def everywhere(centres: FloatArray, _: float) -> NDArray[np.bool_]:
        return np.ones(len(centres), dtype=bool)

    made = make_lattice(np.full(3, -15.0), np.full(3, 15.0), (side,), everywhere, everywhere)
    points, tets, _ = cut(made.points_mm, made.tets, field)  # type: ignore[arg-type]
    return points, tets


def ball(x: FloatArray) -> FloatArray:
    return 9.0 - np.linalg.norm(x, axis=1)


def torus(x: FloatArray) -> FloatArray:
    return 3.0 - np.hypot(np.hypot(x[:, 0], x[:, 1]) - 8.0, x[:, 2])


def two_holes(x: FloatArray) -> FloatArray:
    """A ball with two bores."""
    bores = [np.hypot(x[:, 0] - s, x[:, 1]) - 2.0 for s in (-4.0, 4.0)]
    return np.minimum(12.0 - np.linalg.norm(x, axis=1), np.minimum(*bores))


@pytest.mark.parametrize(("field", "expected"), [(ball, 0), (torus, 1), (two_holes, 2)])
def test_tunnels_of_known_bodies(field: object, expected: int) -> None:
    """Protects: cells and surface count the same, by Euler's formula."""
    _, tets = body(field)
    assert tunnels(tets) == expected
    assert surface_tunnels(boundary_facets(tets)[0]) == expected


def test_tunnels_do_not_depend_on_the_edge_length() -> None:
    assert {tunnels(body(torus, side)[1]) for side in (1.0, 2.0, 3.0)} == {1}


# --- a box of voxels ---------------------------------------------------------------------------


def labels_of_box(voxel_mm: tuple[float, float, float]) -> tuple[NDArray[np.bool_], LabelMap]:
    """A box of voxels whose faces lie at :data:`HALF_MM`, on a turned grid."""
    spacing = np.array(voxel_mm)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    inside = np.rint(2.0 * np.abs(turn.T @ HALF_MM) / spacing).astype(int)
    shape = inside + 8
    mask = np.zeros(shape, dtype=bool)
    mask[4:-4, 4:-4, 4:-4] = True
    grid = Grid(tuple(shape), voxel_mm, np.zeros(3), turn)  # type: ignore[arg-type]
    start = -grid.to_world(0.5 * (shape - 1.0)[None])[0]
    grid = Grid(grid.shape, voxel_mm, start, turn)
    return mask, LabelMap(mask.astype(np.uint8), grid)


def box_of_cells(half_mm: FloatArray) -> tuple[FloatArray, IntArray]:
    """A box of small tetrahedra."""
    n = 12
    axes = [np.linspace(-h, h, n + 1) for h in half_mm]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    cube = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    step = np.array([(n + 1) ** 2, n + 1, 1])
    tets = []
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1], [1, 0, 2], [0, 2, 1], [2, 1, 0]):
        tet = (cube @ step)[:, None] + np.cumsum([0, *step[order]])
        odd = np.linalg.det(np.eye(3)[order]) < 0.0
        tets.append(tet[:, [1, 0, 2, 3]] if odd else tet)
    return points, np.concatenate(tets)


def compare(grown_mm: float) -> PartFidelity:
    bone, labels = labels_of_box((1.0, 1.0, 1.0))
    points, tets = box_of_cells(HALF_MM + grown_mm)
    return part_fidelity(points, tets, bone, labels, np.empty((0, 3)), 0)


def test_a_mesh_on_the_label_has_no_distance_and_no_volume_error() -> None:
    """Only the label's edges, which are bevelled by half a voxel, differ."""
    found = compare(0.0)
    assert found.volume_error == pytest.approx(0.0, abs=1e-9)
    assert found.label_ml == pytest.approx(8.0 * HALF_MM.prod() / 1000.0)
    assert found.surface_mean_mm < 0.03
    assert found.surface_p95_mm < 0.36
    assert (found.tunnels, found.label_tunnels) == (0, 0)


@pytest.mark.parametrize("grown_mm", [-1.0, 0.5, 2.0])
def test_an_offset_is_found_as_distance_and_volume(grown_mm: float) -> None:
    found = compare(grown_mm)
    assert found.surface_mean_mm == pytest.approx(abs(grown_mm), rel=0.1)
    assert found.surface_p95_mm == pytest.approx(abs(grown_mm), rel=0.5)
    exact = ((HALF_MM + grown_mm) / HALF_MM).prod() - 1.0
    assert found.volume_error == pytest.approx(abs(exact))


def test_a_missing_half_is_seen_from_the_label() -> None:
    """Protects: distances both ways: the half that is there lies on the label."""
    bone, labels = labels_of_box((1.0, 1.0, 1.0))
    points, tets = box_of_cells(HALF_MM)
    half = tets[points[tets].mean(axis=1)[:, 0] < 0.0]
    found = part_fidelity(points, half, bone, labels, np.empty((0, 3)), 0)
    assert found.volume_error == pytest.approx(0.5)
    assert found.surface_p95_mm > 12.0


def test_the_joint_is_left_out() -> None:
    """Protects: only what lies within the clearance of the cartilage is not compared."""
    bone, labels = labels_of_box((1.0, 1.0, 1.0))
    points, tets = box_of_cells(HALF_MM)
    face = points[:, 0] > 19.9
    pressed = points - np.outer(face, [3.0, 0.0, 0.0])
    joint = points[face] - [1.0, 0.0, 0.0]
    with_joint = part_fidelity(pressed, tets, bone, labels, joint, 0)
    without = part_fidelity(pressed, tets, bone, labels, np.empty((0, 3)), 0)
    assert with_joint.surface_p95_mm < 0.4 < 2.0 < without.surface_p95_mm
