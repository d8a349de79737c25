"""Fractures: the plane in its zone and through the lesion, its area exact, both sides parted."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy.spatial import cKDTree

from sacrofem.errors import InputError
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.fracture import SURROUND_MM, gap_along
from sacrofem.treatment.lesion import Fracture, Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import DenisZone, FracturePlan, LesionPlan, Site
from sacrofem.treatment.region import samples_of
from sacrofem.treatment.sites import place_lesions


@cache
def broken(
    field: OperatingField, site: Site, zone: DenisZone, volume_ml: float = 8.0
) -> tuple[Lesion, Fracture]:
    plan = LesionPlan(site=site, volume_ml=volume_ml, fracture=FracturePlan(zone))
    lesion = place_lesions(field, [plan])[0]
    assert lesion.fracture is not None
    return lesion, lesion.fracture


@pytest.mark.parametrize(
    ("site", "zone", "number"),
    [
        ("lateral mass left", "I", 1),
        ("lateral mass right", "I", 1),
        ("lateral mass right", "II", 2),
        ("foraminal zone left", "II", 2),
        ("vertebral body", "III", 3),
    ],
)
def test_the_plane_stands_in_its_zone_and_in_the_lesion(
    field: OperatingField, site: Site, zone: DenisZone, number: int
) -> None:
    lesion, fracture = broken(field, site, zone)
    assert field.atlas.map.denis_zone(fracture.point_mm[None])[0] == number
    x = field.local_mm[:, 0]
    plane = field.atlas.frame.to_local(fracture.point_mm[None])[0, 0]
    assert x[lesion.inside].min() <= plane <= x[lesion.inside].max()
    centre = field.atlas.frame.to_local(lesion.centre_mm[None])[0, 0]
    if field.atlas.map.denis_zone(lesion.centre_mm[None])[0] == number:
        assert plane == pytest.approx(centre, abs=1e-6)
    assert np.sign(plane) == np.sign(centre) or abs(centre) < 1.0
    np.testing.assert_allclose(fracture.normal, field.atlas.frame.left)


def test_the_layer_is_the_lesion_and_the_bone_around_it(field: OperatingField) -> None:
    lesion, fracture = broken(field, "lateral mass left", "I")
    off = np.abs(field.local_mm[:, 0] - field.atlas.frame.to_local(fracture.point_mm[None])[0, 0])
    assert off[fracture.layer].max() <= 0.5 * fracture.gap_mm + 1e-9
    near = lesion.inside & (off <= 0.5 * fracture.gap_mm)
    assert (fracture.layer | ~near).all()
    points = field.samples.points_mm
    away, _ = cKDTree(points[lesion.inside]).query(points[fracture.layer][::10])
    assert SURROUND_MM - 2.0 < max(away) < SURROUND_MM + 2.0
    # Bone as wide as the surround: more than the lesion's own section, less than the whole ala.
    section_mm2 = np.pi * lesion.radius_mm**2
    assert section_mm2 < fracture.area_mm2.sum() < np.pi * (lesion.radius_mm + SURROUND_MM + 1) ** 2


def test_the_area_of_a_plane_through_a_box_is_exact(box: Callable[..., BoneMesh]) -> None:
    """Protects: the cut of every shape of crossing, one, two and three corners above, and ties."""
    mesh = box(5)
    samples = samples_of(mesh)
    for tilt, x_mm in ((0.0, 0.0), (0.0, 6.0), (0.2, 1.3), (-0.3, -4.0)):
        normal = np.array([np.cos(tilt), np.sin(tilt), 0.0])
        plane = (np.array([x_mm, 0.0, -20.0]), normal)
        gap = gap_along(mesh, samples, plane, 1.0, ~samples.none)
        assert gap.area_mm2.sum() == pytest.approx(1200.0 / np.cos(tilt), rel=1e-6)
        assert (gap.in_series > 0.0).all()
        assert (gap.in_series <= 1.0).all()


def test_the_crossed_cells_part_the_two_sides(field: OperatingField) -> None:
    """Protects: no stiff bridge; a cell beside the gap has all its corners on one side."""
    _, fracture = broken(field, "lateral mass left", "I")
    mesh = field.mesh
    above = ((mesh.points_mm - fracture.point_mm) @ fracture.normal > 0.0)[mesh.tets].sum(axis=1)
    assert ((above[fracture.cells] > 0) & (above[fracture.cells] < 4)).all()
    inner = np.linalg.norm(mesh.centroids_mm - fracture.point_mm, axis=1) < 12.0
    crossed = np.flatnonzero(inner & (above > 0) & (above < 4))
    assert np.isin(crossed, fracture.cells).all()


def test_a_gap_is_closed_where_cement_crosses_the_plane(field: OperatingField) -> None:
    _, fracture = broken(field, "lateral mass left", "I")
    samples = field.samples
    whole = fracture.open_share(samples.none)
    assert (whole > 0.0).sum() == len(fracture.cells)
    assert not fracture.open_share(~samples.none).any()
    upper = samples.points_mm[:, 2] > fracture.point_mm[2]
    half = fracture.open_share(upper)
    assert ((half == whole) | (half == 0.0)).all()
    assert 0.2 < (half > 0.0).sum() / len(fracture.cells) < 0.8
    # Cement that stays on one side of the plane bridges nothing.
    aside = (samples.points_mm - fracture.point_mm) @ fracture.normal > 2.0
    np.testing.assert_array_equal(fracture.open_share(aside), whole)


def test_a_wider_gap_is_more_compliant(box: Callable[..., BoneMesh]) -> None:
    mesh = box(4)
    samples = samples_of(mesh)
    plane = (np.array([1.0, 0.0, -20.0]), np.eye(3)[0])
    narrow, wide = (gap_along(mesh, samples, plane, g, ~samples.none) for g in (0.25, 0.5))
    np.testing.assert_array_equal(narrow.cells, wide.cells)
    ratio = wide.in_series / narrow.in_series
    np.testing.assert_allclose(ratio[wide.in_series < 1.0], 2.0)


def test_a_fracture_beside_the_lesion_is_refused(field: OperatingField) -> None:
    with pytest.raises(InputError, match=r"fracture in zone III must pass .* [0-9.]+ mm beside"):
        broken(field, "lateral mass left", "III", 3.0)
    plan = LesionPlan(site="lateral mass left", volume_ml=3.0, fracture=FracturePlan("I", 0.0))
    with pytest.raises(InputError, match="gap of a fracture must be above 0"):
        place_lesions(field, [plan])
