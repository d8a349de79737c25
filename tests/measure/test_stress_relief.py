"""Measures: von Mises stress by definition, percentiles by weight, the rim and its relief."""

from collections.abc import Callable

import numpy as np
import pytest

from sacrofem.measure.stress_relief import (
    RIM_MM,
    RegionStress,
    relief,
    rim_cells,
    von_mises_MPa,
    weighted_percentile,
)
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.region import samples_of


def test_von_mises_of_tension_shear_and_pressure() -> None:
    tension, shear = np.zeros((3, 3)), np.zeros((3, 3))
    tension[0, 0] = 5.0
    shear[0, 1] = shear[1, 0] = 2.0
    found = von_mises_MPa(np.stack([tension, shear, 7.0 * np.eye(3)]))
    np.testing.assert_allclose(found, [5.0, 2.0 * np.sqrt(3.0), 0.0], atol=1e-12)


def test_a_heavy_cell_counts_as_many_light_ones() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    weights = np.array([1.0, 3.0, 1.0, 5.0])
    split = np.repeat(values, weights.astype(int))
    for percent in (30.0, 50.0, 95.0):
        assert weighted_percentile(values, weights, percent) == pytest.approx(
            weighted_percentile(split, np.ones(len(split)), percent), abs=0.6
        )
    assert weighted_percentile(values, np.ones(4), 50.0) == pytest.approx(2.5)


def test_relief_is_one_minus_treated_over_lesion() -> None:
    found = relief(RegionStress(2.0, 4.0), RegionStress(1.5, 5.0))
    assert found.von_mises_mean == pytest.approx(0.25)
    assert found.von_mises_p95 == pytest.approx(-0.25)


def test_rim_is_sound_bone_near_the_lesion(box: Callable[..., BoneMesh]) -> None:
    mesh = box(8)
    samples = samples_of(mesh)
    centre, radius = np.array([15.0, 0.0, -20.0]), 10.6
    away = np.linalg.norm(samples.points_mm - centre, axis=1)
    lesion = away <= radius
    rim = rim_cells(mesh, samples, lesion, samples.none)
    assert rim.any()
    assert samples.fraction(lesion)[rim].max() < 1e-3
    distance = np.linalg.norm(mesh.centroids_mm - centre, axis=1) - radius
    assert distance[rim].max() < RIM_MM + 1.0
    # Cement in the rim takes its cells out of it.
    smaller = rim_cells(mesh, samples, lesion, away < 14.0)
    assert smaller.sum() < rim.sum()
    assert not (smaller & ~rim).any()
    assert not rim_cells(mesh, samples, samples.none, lesion).any()
