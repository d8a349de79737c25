"""Density per cell: exact for linear HU, converging for others, metal left out."""

from collections.abc import Callable

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image.calibration import FALLBACK_LINE, Calibration
from sacrofem.image.volume import CtVolume, FloatArray, Grid
from sacrofem.mesh import density as density_module
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.density import cell_density, mean_hu, sample_levels

#: A line whose density in mg/cm3 is the HU itself.
ONE_TO_ONE = Calibration(0.0, 1.0, "test")
#: A tetrahedron of about 8 mm, in world coordinates.
POINTS = np.array([[1.0, 1.5, 1.0], [8.5, 2.0, 2.0], [3.0, 8.0, 1.5], [2.5, 3.0, 9.0]])
ONE = np.array([[0, 1, 2, 3]])


def ct_of(hu_at: Callable[[FloatArray], FloatArray], voxel_mm: float, size_mm: float) -> CtVolume:
    """A CT whose voxels have the HU of a function at their centres, on a turned grid."""
    n = round(size_mm / voxel_mm) + 1
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    start = np.array([size_mm, 0.0, 0.0])
    grid = Grid((n, n, n), (voxel_mm, voxel_mm, voxel_mm), start, turn)
    index = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    hu = hu_at(grid.to_world(index)).reshape(n, n, n)
    return CtVolume(hu.astype(np.float32), grid)


def mg(ct: CtVolume, mesh: BoneMesh, calibration: Calibration = ONE_TO_ONE) -> FloatArray:
    found = cell_density(ct, mesh.points_mm, mesh.tets, calibration)
    return 1000.0 * found.density.g_per_cm3


@pytest.fixture(scope="module")
def block(box: Callable[..., BoneMesh]) -> BoneMesh:
    """A box of tetrahedra inside (0, 12) mm."""
    mesh = box(4)
    low, high = mesh.points_mm.min(axis=0), mesh.points_mm.max(axis=0)
    points = 1.0 + 10.0 * (mesh.points_mm - low) / (high - low)
    points = points + 0.3 * np.sin(points[:, [1, 2, 0]])
    return BoneMesh(**{**vars(mesh), "points_mm": points})


def test_linear_hu_give_the_value_at_the_centroid(block: BoneMesh) -> None:
    """Protects: world and voxel coordinates, the weights of the parts. Exact at every level."""
    gradient = np.array([3.0, -7.0, 5.0])
    ct = ct_of(lambda x: 100.0 + x @ gradient, 2.0, 12.0)
    exact = 100.0 + block.centroids_mm @ gradient
    np.testing.assert_allclose(mg(ct, block), exact, atol=1e-3)
    index = ct.grid.to_index(block.points_mm)
    for level in (1, 2, 3):
        hu, left_out = mean_hu(ct.hu, index, block.tets, level)
        np.testing.assert_allclose(hu, exact, atol=1e-3)
        assert not left_out.any()


def test_the_calibration_is_applied_to_the_mean(block: BoneMesh) -> None:
    ct = ct_of(lambda x: 150.0 + 0.0 * x[:, 0], 3.0, 12.0)
    assert mg(ct, block, FALLBACK_LINE) == pytest.approx(0.84 + 0.81 * 150.0)


def test_quadratic_hu_converge_to_their_integral() -> None:
    """Protects: it is the integral over the cell, and better than the value at the centroid.

    The mean of r^2 over a tetrahedron is (sum of r_i^2 + 16 |centroid|^2) / 20, by the moments of a
    simplex. The error falls by 4 from the centroid to the first level and at each level.
    """
    voxel_mm = 0.1
    ct = ct_of(lambda x: (x**2).sum(axis=1), voxel_mm, 10.0)
    exact = ((POINTS**2).sum() + 16.0 * (POINTS.mean(axis=0) ** 2).sum()) / 20.0
    # Linear interpolation between voxels lifts a parabola by h^2 / 6 in each direction.
    lifted = exact + 3.0 * voxel_mm**2 / 6.0
    index = ct.grid.to_index(POINTS)
    errors = [abs((POINTS.mean(axis=0) ** 2).sum() - exact)]
    errors += [abs(mean_hu(ct.hu, index, ONE, level)[0][0] - lifted) for level in (1, 2, 3)]
    # Not 4 to the digit: the parts of a tetrahedron are not all like it.
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4.0, rtol=0.1)
    assert errors[3] < 0.003 * exact < 0.1 * errors[0]


def test_the_number_of_points_follows_the_voxel() -> None:
    """Protects: parts of a cell are no longer than a voxel, in 8 to 512 points."""
    edges_mm = np.array([0.5, 3.0, 3.1, 6.0, 6.1, 12.0, 50.0])
    volume = edges_mm**3 / (6.0 * np.sqrt(2.0))
    assert sample_levels(volume, 1.5).tolist() == [1, 1, 2, 2, 3, 3, 3]
    assert sample_levels(volume, 0.8).tolist() == [1, 2, 2, 3, 3, 3, 3]


def test_no_voxel_of_a_large_cell_is_missed() -> None:
    """Protects: a cell of 8 mm at voxels of 1 mm sees a bright voxel wherever it lies in it."""
    for centre in np.random.default_rng(5).dirichlet(np.full(4, 3.0), 20) @ POINTS:
        place = np.rint(centre)
        ct = ct_of(lambda x, place=place: 1000.0 * (np.abs(x - place).max(axis=1) < 0.1), 1.0, 12.0)
        found = cell_density(ct, POINTS, ONE, ONE_TO_ONE)
        assert found.points == 512
        # A bright voxel of 1 mm3 in 60 mm3 adds 1/60 of it, where it lies inside.
        assert 1000.0 * found.density.g_per_cm3[0] > 2.0


def test_small_chunks_change_nothing(block: BoneMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    ct = ct_of(lambda x: 50.0 * np.sin(x).sum(axis=1), 1.0, 12.0)
    whole = mg(ct, block)
    monkeypatch.setattr(density_module, "CHUNK_POINTS", 1024)
    np.testing.assert_array_equal(mg(ct, block), whole)


def test_metal_is_left_out_of_the_mean_and_told(block: BoneMesh) -> None:
    """Protects: bone of 120 HU beside an implant keeps 120; metal shows nowhere in a density."""
    rod = np.array([6.0, 6.0])

    def hu(x: FloatArray) -> FloatArray:
        return np.where(np.hypot(*(x[:, :2] - rod).T) < 1.6, 3071.0, 120.0)

    ct = ct_of(hu, 0.5, 12.0)
    found = cell_density(ct, block.points_mm, block.tets, ONE_TO_ONE)
    np.testing.assert_allclose(1000.0 * found.density.g_per_cm3, 120.0)
    # The rod itself, and at most a voxel around it.
    length_mm = np.ptp(block.points_mm[:, 2])
    assert np.pi * 1.5**2 < 1000.0 * found.metal_ml / length_mm < np.pi * 2.5**2
    none = cell_density(ct, block.points_mm, block.tets, ONE_TO_ONE, metal_hu=3071.0)
    assert none.metal_ml == 0.0
    assert none.density.g_per_cm3.max() > 1.0


def test_a_cell_of_metal_takes_the_density_of_its_neighbour(block: BoneMesh) -> None:
    """Protects: no hole and no 3 g/cm3 in the bone, and the count of such cells."""
    ct = ct_of(lambda x: np.where(x[:, 0] < 7.0, 3000.0, 100.0 * x[:, 1]), 0.5, 12.0)
    found = cell_density(ct, block.points_mm, block.tets, ONE_TO_ONE)
    inside = block.points_mm[block.tets][:, :, 0].max(axis=1) < 6.5
    assert 0 < inside.sum() <= found.metal_cells < len(block.tets)
    rho = 1000.0 * found.density.g_per_cm3
    # The nearest bone lies at the same height, within a cell of 3 mm.
    assert np.abs(rho[inside] - 100.0 * block.centroids_mm[inside, 1]).max() < 300.0
    assert np.ptp(rho[inside]) > 500.0
    with pytest.raises(InputError, match=r"found metal .* in every cell"):
        cell_density(ct, 0.4 * block.points_mm, block.tets, ONE_TO_ONE)


def test_a_mesh_of_another_image_is_refused(block: BoneMesh) -> None:
    """Protects: a mirrored world (RAS for LPS) is no bone of constant density at the CT's edge."""
    ct = ct_of(lambda x: 100.0 + x[:, 0], 1.0, 12.0)
    with pytest.raises(InputError, match=r"mm out of it along axis [ij].*LPS against RAS"):
        cell_density(ct, block.points_mm * [-1.0, -1.0, 1.0], block.tets, ONE_TO_ONE)
