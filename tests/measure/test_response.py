"""Response of regions: Hooke's law by definition, yield on either side, zones left and right."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sacrofem.anatomy.atlas import Atlas
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.measure.regions import CELL_REGIONS, sound_regions
from sacrofem.measure.response import (
    YIELD_COMPRESSION,
    YIELD_TENSION,
    bone_at_risk_ml,
    cell_response,
    region_response,
    relief,
    restoration,
)
from sacrofem.measure.stress_relief import RIM_MM
from sacrofem.mechanics.materials import ModulusField
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.treatment.region import samples_of

E, NU = 100.0, 0.3


def stressed(mesh: BoneMesh, stress_MPa: np.ndarray) -> Any:
    """A state with one stress in all cells; its energy is that of Hooke's law."""
    m = len(mesh.tets)
    strain = ((1 + NU) * stress_MPa - NU * np.trace(stress_MPa) * np.eye(3)) / E
    density = 0.5 * float(np.sum(stress_MPa * strain))
    return SimpleNamespace(
        stress_MPa=np.tile(stress_MPa, (m, 1, 1)),
        principal_MPa=np.tile(np.linalg.eigvalsh(stress_MPa), (m, 1)),
        modulus=ModulusField(np.full(m, E), np.full(m, NU), np.ones(m)),
        energy=SimpleNamespace(cell_mJ=density * 1000.0 * mesh.cell_ml),
    )


def test_compression_by_hand(box: Callable[..., BoneMesh]) -> None:
    """Protects: which principal value, its sign, Hooke's law, the unit of the energy density."""
    mesh = box(2)
    found = cell_response(mesh, stressed(mesh, np.diag([0.0, 0.0, -2.0])))
    np.testing.assert_allclose(found.by_name["von_mises_MPa"], 2.0)
    np.testing.assert_allclose(found.by_name["max_principal_MPa"], 0.0, atol=1e-12)
    np.testing.assert_allclose(found.by_name["compressive_strain"], 0.02)
    np.testing.assert_allclose(found.tensile_strain, NU * 0.02)
    np.testing.assert_allclose(found.by_name["energy_density_MPa"], 2.0**2 / (2.0 * E))


def test_a_region_has_its_own_cells(box: Callable[..., BoneMesh]) -> None:
    """Protects: the selection of cells, and that an empty region has no value."""
    mesh = box(2)
    response = cell_response(mesh, stressed(mesh, np.diag([0.0, 0.0, -2.0])))
    some = np.arange(len(mesh.tets)) < 5
    response.by_name["von_mises_MPa"][~some] = 99.0
    spread = region_response(mesh, some, response)["von_mises_MPa"]
    assert (spread.mean, spread.p95) == pytest.approx((2.0, 2.0))
    assert np.isnan(region_response(mesh, some & ~some, response)["von_mises_MPa"].mean)


def test_relief_and_restoration() -> None:
    """Protects: the formulas, and no ratio where there is nothing to divide by."""
    assert relief(2.0, 1.5) == pytest.approx(0.25)
    assert np.isnan(relief(-1.0, 1.0))
    assert np.isnan(relief(float("nan"), 1.0))
    assert restoration(1.0, 2.0, 1.5) == pytest.approx(0.5)
    assert np.isnan(restoration(1.0, 1.001, 1.5))
    assert np.isnan(restoration(0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("axial_strain", "yields"),
    [
        (-1.01 * YIELD_COMPRESSION, True),
        (-0.99 * YIELD_COMPRESSION, False),
        (1.01 * YIELD_TENSION, True),
        (0.99 * YIELD_TENSION, False),
    ],
)
def test_bone_yields_sooner_in_tension(
    box: Callable[..., BoneMesh], axial_strain: float, yields: bool
) -> None:
    """Protects: the two limits and their sides; only bone of the sacrum counts."""
    mesh = box(2)
    part = mesh.part.copy()
    part[0] = Part.ILIUM_LEFT
    mesh = replace(mesh, part=part)
    bone = np.full(len(mesh.tets), 0.5)
    response = cell_response(mesh, stressed(mesh, np.diag([0.0, 0.0, E * axial_strain])))
    exact = 0.5 * mesh.cell_ml[1:].sum() if yields else 0.0
    assert bone_at_risk_ml(mesh, response, bone) == pytest.approx(exact)


def test_regions_are_sound_bone_where_they_say(
    box: Callable[..., BoneMesh], plain_atlas: Callable[[SacralFrame], Atlas]
) -> None:
    """Protects: left and right, zones, the distance to a foramen, and that cement is no bone."""
    mesh = box(8)
    x, z = mesh.centroids_mm[:, 0], mesh.centroids_mm[:, 2]
    zone = np.select([np.abs(x) > 20.0, np.abs(x) > 10.0], [1, 2], 3).astype(np.int8)
    mesh, samples = replace(mesh, zone=zone), samples_of(mesh)
    lesion = np.linalg.norm(samples.points_mm - [15.0, 0.0, -20.0], axis=1) < 8.0
    cement = np.linalg.norm(samples.points_mm - [-15.0, 0.0, -20.0], axis=1) < 8.0
    found = sound_regions(mesh, plain_atlas(mesh.frame), samples, lesion, cement)
    assert tuple(found) == CELL_REGIONS
    assert max(samples.fraction(lesion | cement)[c].max() for c in found.values()) < 1e-3
    zones = [found[name] for name in CELL_REGIONS if name.startswith("zone")]
    np.testing.assert_array_equal(np.sum(zones, axis=0), found["whole"])
    assert x[found["zone I left"]].min() > 20.0
    assert x[found["zone II right"]].max() < -10.0
    # The foramina of the atlas run straight through at |x| = 10, z = -8, -16, ..., 3 mm wide.
    holes = np.hypot(np.abs(x)[:, None] - 10.0, z[:, None] + [8.0, 16.0, 24.0, 32.0]).min(axis=1)
    exact = found["whole"] & (holes <= 1.5 + RIM_MM) & (x > 0.0)
    np.testing.assert_array_equal(found["foramen rims left"], exact)
    assert exact.any()
