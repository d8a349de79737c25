"""Leakage: through breaches only, counted by compartment to the last drop, growing with volume."""

import numpy as np
import pytest

from sacrofem.mesh.compartments import PASSAGES, Compartment
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.flow import Flow
from sacrofem.treatment.leakage import (
    fill_of_flow,
    margin_of,
    nerve_distances_mm,
    surface_words,
)
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.medium import Medium, medium_of
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Breach, FillPlan, LesionPlan, Site
from sacrofem.treatment.sites import place_lesions
from sacrofem.treatment.vertebroplasty import fill_vertebroplasty


def lesions_of(field: OperatingField, site: Site, *breach: Breach) -> tuple[Lesion, ...]:
    return place_lesions(field, [LesionPlan(volume_ml=9.0, site=site, breach=breach)])


def injected(field: OperatingField, lesions: tuple[Lesion, ...], volume_ml: float) -> CementFill:
    tip = field.atlas.frame.to_local(lesions[0].centre_mm[None])[0]
    points = field.atlas.frame.to_world(np.stack([tip + np.array([0.0, 30.0, 0.0]), tip]))
    path = AccessPath("short axis", "13 G", points, 30.0, 0.0, 0.0, {}, (), True, ())
    return fill_vertebroplasty(field, lesions, path, FillPlan("vertebroplasty", volume_ml))


def accounted_ml(fill: CementFill) -> float:
    return fill.cement_ml + fill.leaked_ml + fill.unplaced_ml


@pytest.mark.parametrize("site", ["lateral mass left", "foraminal zone right", "vertebral body"])
def test_an_intact_cortex_lets_nothing_out(field: OperatingField, site: Site) -> None:
    fill = injected(field, lesions_of(field, site), 14.0)
    assert fill.leak_ml == {}
    assert not len(fill.leak_voxels)
    assert fill.cement_ml == pytest.approx(14.0, rel=1e-9)


@pytest.mark.parametrize(
    ("site", "breach", "reached"),
    [
        ("lateral mass left", "anterior", {Compartment.PRESACRAL}),
        ("lateral mass left", "posterior", {Compartment.DORSAL}),
        ("foraminal zone right", "foraminal", set(PASSAGES)),
        ("vertebral body", "anterior", {Compartment.PRESACRAL}),
    ],
)
def test_a_breach_leaks_where_it_is_and_more_with_more_cement(
    field: OperatingField, site: Site, breach: Breach, reached: set[Compartment]
) -> None:
    lesions = lesions_of(field, site, breach)
    fills = [injected(field, lesions, volume_ml) for volume_ml in (10.0, 22.0)]
    leaked = [fill.leaked_ml for fill in fills]
    assert leaked == sorted(leaked)
    assert leaked[-1] > 0.1
    assert leaked[-1] > 3.0 * leaked[0]
    for fill, volume_ml in zip(fills, (10.0, 22.0), strict=True):
        assert accounted_ml(fill) == pytest.approx(volume_ml, rel=1e-9)
        assert all(ml > 0.0 for ml in fill.leak_ml.values())
    where = fills[-1].leak_voxels
    assert (field.tissue.tissue[tuple(where.T)] != BONE).all()
    seen = np.bincount(field.tissue.compartment[tuple(where.T)]) * field.tissue.voxel_ml
    largest = max(fills[-1].leak_ml, key=lambda code: fills[-1].leak_ml[code])
    assert seen[largest] == pytest.approx(fills[-1].leak_ml[largest], rel=0.25)
    at_face = sum(ml for where, ml in fills[-1].leak_ml.items() if where in reached)
    assert at_face > 0.5 * leaked[-1]


def test_cement_in_a_nerve_passage_is_at_no_distance_from_it(field: OperatingField) -> None:
    fill = injected(field, lesions_of(field, "foraminal zone right", "foraminal"), 16.0)
    inside = [passage for passage in PASSAGES if passage in fill.leak_ml]
    assert inside
    assert all(fill.nerve_distance_mm[passage] == 0.0 for passage in inside)
    assert set(fill.nerve_distance_mm) == set(PASSAGES)


def test_nerve_distances_are_those_between_voxels(field: OperatingField) -> None:
    bone = np.argwhere(field.tissue.tissue == BONE)
    cement = bone[np.random.default_rng(2).choice(len(bone), 40, replace=False)]
    found = nerve_distances_mm(field, cement)
    for passage in PASSAGES:
        places = np.argwhere(field.tissue.compartment == passage)
        exact = np.inf
        if len(places):
            exact = np.linalg.norm(places[:, None] - cement, axis=2).min() - 0.5
        assert found[passage] == pytest.approx(exact)
    nothing = nerve_distances_mm(field, np.zeros((0, 3), dtype=np.int64))
    assert set(nothing.values()) == {np.inf}


def flow_in(medium: Medium, saturation: np.ndarray) -> Flow:
    placed = float((saturation * medium.pore).sum() * medium.voxel_ml)
    return Flow(saturation, 0.0, placed, 0.0, "", ())


def test_parts_with_cement_lie_where_the_grid_has_it(field: OperatingField) -> None:
    """A half-full layer around a full box is taken by half."""
    lesions = lesions_of(field, "lateral mass left")
    medium = medium_of(field, lesions, "high")
    middle = field.voxel_of(lesions[0].centre_mm[None])[0]
    low = middle - [cut.start for cut in medium.box] - 4
    saturation = np.zeros(medium.pore.shape)
    saturation[tuple(slice(a, a + 9) for a in low)] = 0.5
    saturation[tuple(slice(a + 1, a + 8) for a in low)] = 1.0
    cavity = np.linalg.norm(field.samples.points_mm - lesions[0].centre_mm, axis=1) < 3.0
    fill = fill_of_flow(field, flow_in(medium, saturation), medium, "balloon", cavity=cavity)
    away = np.abs(field.index[:, fill.inside].T - middle).max(axis=1)
    assert away.max() < 5.0
    assert 3.5 < np.quantile(away, 0.98) < 4.5
    np.testing.assert_array_equal(fill.pure, cavity)
    assert not fill.hollow.any()
    assert fill.augmented_ml == pytest.approx(fill.cement_ml, rel=2e-3)  # pores of tumour are 1


def test_a_cavity_that_no_cement_reaches_stays_hollow(field: OperatingField) -> None:
    lesions = lesions_of(field, "lateral mass left")
    medium = medium_of(field, lesions, "high")
    cavity = lesions[0].inside
    fill = fill_of_flow(
        field, flow_in(medium, np.zeros(medium.pore.shape)), medium, "balloon", cavity=cavity
    )
    np.testing.assert_array_equal(fill.hollow, cavity)
    assert fill.cement_ml == 0.0
    assert set(fill.nerve_distance_mm.values()) == {np.inf}


def test_the_margin_names_the_surface_that_is_near(field: OperatingField) -> None:
    medium = medium_of(field, (), "high")
    margin = margin_of(field, medium, 3.0)
    bone = field.tissue.tissue[medium.box] == BONE
    assert (margin.distance_mm[~bone] == -0.5).all()
    beside = np.isin(field.tissue.compartment[medium.box], [Compartment.CANAL])
    near_canal = np.argwhere(bone & np.roll(beside, 1, axis=1))
    voxel = near_canal[len(near_canal) // 2]
    assert margin.distance_mm[tuple(voxel)] == pytest.approx(0.5)
    assert margin.name_of(voxel) == "the canal"


def test_surfaces_have_their_names() -> None:
    words = [
        surface_words(where)
        for where in (
            Compartment.FORAMEN_S1_RIGHT,
            Compartment.PRESACRAL,
            Compartment.SI_JOINT_LEFT,
            Compartment.CANAL,
        )
    ]
    assert words == ["foramen S1 right", "the presacral surface", "the SI joint left", "the canal"]
