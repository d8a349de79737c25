"""The balloon: a cavity of an exact volume along the path, off the surface, and what fills it."""

from dataclasses import replace

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.samples import sample_points
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.balloon import (
    WALL_MM,
    ball_radius_mm,
    fill_balloon,
    inflation_centres,
    open_cavity,
)
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan, Kind, LesionPlan, Site
from sacrofem.treatment.region import BoneSamples, region_of_volume
from sacrofem.treatment.shell import on_grid
from sacrofem.treatment.sites import place_lesions
from sacrofem.treatment.vertebroplasty import fill_vertebroplasty


def lesion_of(field: OperatingField, volume_ml: float = 7.1, **plan: object) -> Lesion:
    asked: dict[str, object] = {"site": "lateral mass right", **plan}
    return place_lesions(field, [LesionPlan(volume_ml=volume_ml, **asked)])[0]


def path_to(
    field: OperatingField, tip_mm: FloatArray, from_local: tuple[float, float, float] = (0, 1, 0)
) -> AccessPath:
    """A straight path of 30 mm from a direction given in the sacral frame."""
    ends = field.atlas.frame.to_world(np.array([from_local, (0.0, 0.0, 0.0)], dtype=float))
    way = (ends[0] - ends[1]) / np.linalg.norm(ends[0] - ends[1])
    points = np.stack([tip_mm + 30.0 * way, tip_mm])
    return AccessPath("short axis", "13 G", points, 30.0, 0.0, 0.0, {}, (), True, ())


def balloon(field: OperatingField, lesion: Lesion, cement_ml: float, **plan: object) -> CementFill:
    path = path_to(field, lesion.centre_mm)
    return fill_balloon(field, [lesion], path, FillPlan("balloon", cement_ml, **plan))


@pytest.fixture(scope="module")
def field(phantom_bone: MeshedBone) -> OperatingField:
    """The phantom in parts of about 1 mm3, eight a cell: a fill takes a third of the time."""
    mesh = phantom_bone.mesh
    points = sample_points(mesh.points_mm, mesh.tets, 1)
    parts = points.shape[1]
    cells = np.repeat(np.arange(len(mesh.tets)), parts)
    volume = np.repeat(mesh.cell_ml / parts, parts)
    samples = BoneSamples(points.reshape(-1, 3), cells, volume, len(mesh.tets))
    return OperatingField(mesh, phantom_bone.tissue, phantom_bone.atlas, samples)


@pytest.fixture(scope="module")
def lesions(field: OperatingField) -> tuple[Lesion, ...]:
    """One lesion right, one in the body, one left; the middle one has a blastic rim."""
    sites: list[Site] = ["lateral mass right", "vertebral body", "lateral mass left"]
    kinds: list[Kind] = ["lytic", "mixed", "lytic"]
    return place_lesions(
        field,
        [LesionPlan(k, 6.0, site=site) for k, site in zip(kinds, sites, strict=True)],
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_cavity_has_the_asked_volume_and_keeps_off_the_surface(
    field: OperatingField, lesions: tuple[Lesion, ...], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    lesion = lesions[rng.integers(3)]
    path = path_to(field, lesion.centre_mm + rng.normal(0.0, 2.0, 3))
    volume_ml, inflations = float(rng.uniform(1.0, 8.0)), int(rng.integers(1, 6))
    centres = inflation_centres(field, [lesion], path, inflations, volume_ml)
    cavity = open_cavity(field, [lesion], centres, volume_ml)
    assert cavity.volume_ml == pytest.approx(volume_ml, rel=0.001)
    assert field.samples.volume_ml(cavity.inside) == cavity.volume_ml
    assert cavity.voxels.sum() == pytest.approx(1000.0 * volume_ml, abs=0.5)
    assert field.depth_mm[cavity.voxels].min() > WALL_MM
    assert field.depth_mm[field.voxel][cavity.inside].min() > WALL_MM
    assert len(centres) == inflations
    both = cavity.voxels[field.voxel] & cavity.inside
    assert field.samples.volume_ml(both) > 0.9 * volume_ml


def test_in_uniform_bone_the_cavity_is_the_union_of_equal_balls(field: OperatingField) -> None:
    density = RhoQctK2HPO4(np.full(field.tissue.tissue.shape, 0.2))
    plain = replace(field, tissue=replace(field.tissue, density=density))
    lesion = lesion_of(field, 0.5)
    path = path_to(field, lesion.centre_mm)
    centres = inflation_centres(plain, [], path, 3, 4.0)
    cavity = open_cavity(plain, [], centres, 4.0)
    distance = np.linalg.norm(field.samples.points_mm[:, None] - centres, axis=2).min(axis=1)
    union = region_of_volume(field.samples, distance, 4.0, "balls")
    radius = distance[union].max()
    # Fast marching on voxels of 1 mm blurs the wall by less than half of one.
    assert distance[cavity.inside].max() < radius + 0.5
    assert distance[~cavity.inside].min() > radius - 0.5


def test_a_balloon_opens_rather_into_tumour_than_into_bone(field: OperatingField) -> None:
    lesion = lesion_of(field, 4.0)
    medial = lesion.centre_mm + np.array([lesion.radius_mm, 0.0, 0.0])
    beside = path_to(field, medial)
    centres = inflation_centres(field, [], beside, 1, 3.0)
    soft = open_cavity(field, [lesion], centres, 3.0).inside & lesion.inside
    hard = open_cavity(field, [], centres, 3.0).inside & lesion.inside
    assert field.samples.volume_ml(soft) > 1.1 * field.samples.volume_ml(hard)


def test_inflations_overlap_begin_in_the_middle_and_stay_in_the_lesion(
    field: OperatingField,
) -> None:
    lesion = lesion_of(field)
    path = path_to(field, lesion.centre_mm)
    for count in (1, 3, 5, 9):
        centres = inflation_centres(field, [lesion], path, count, 6.0)
        from_middle = np.linalg.norm(centres - lesion.centre_mm, axis=1)
        assert from_middle[0] == from_middle.min()
        assert from_middle.max() < lesion.radius_mm
        np.testing.assert_allclose(np.cross(centres - path.tip_mm, path.direction), 0.0, atol=1e-9)
        apart = np.diff(np.sort((centres - path.tip_mm) @ path.direction))
        assert (apart <= ball_radius_mm(6.0 / count) + 0.5).all()
        if count == 3:
            np.testing.assert_allclose(apart, 0.35 * lesion.radius_mm, atol=0.7)


def test_inflations_are_shared_out_among_the_lesions_on_the_path(
    field: OperatingField, lesions: tuple[Lesion, ...]
) -> None:
    right, body, left = (lesion.centre_mm for lesion in lesions)
    bent = np.stack([right + 0.6 * (right - body), right, body, left])
    across = replace(path_to(field, left), points_mm=bent)
    centres = inflation_centres(field, lesions, across, 5, 6.0)
    index = tuple(field.voxel_of(centres).T)
    counts = [int(lesion.voxels[index].sum()) for lesion in lesions]
    assert sum(counts) == 5
    assert (min(counts), max(counts)) == (1, 2)
    with pytest.raises(InputError, match=r"3 lesions on the path .* found 2"):
        inflation_centres(field, lesions, across, 2, 6.0)


def test_a_path_beside_all_lesions_inflates_at_its_tip_and_one_outside_bone_is_refused(
    field: OperatingField,
) -> None:
    left = field.mesh.lateral_mass_mm["left"]
    centres = inflation_centres(field, [lesion_of(field)], path_to(field, left), 3, 2.0)
    assert np.linalg.norm(centres - left, axis=1).max() < 2.0 * ball_radius_mm(2.0)
    outside = left + np.array([0.0, 0.0, 80.0])
    with pytest.raises(InputError, match=r"no place on the short axis path .* inside the sacrum"):
        inflation_centres(field, [], path_to(field, outside), 3, 2.0)


def test_cement_of_the_cavitys_volume_fills_it_and_hardly_leaves_it(field: OperatingField) -> None:
    fill = balloon(field, lesion_of(field, 5.0), 6.0)
    volume = field.samples.volume_ml
    assert volume(fill.pure) > 0.96 * 6.0
    assert volume(fill.interdigitated) < 0.04 * 6.0
    assert volume(fill.pure | fill.hollow) == pytest.approx(6.0, rel=0.001)
    assert not (fill.pure & (fill.interdigitated | fill.hollow)).any()
    assert fill.cement_ml == pytest.approx(6.0, rel=1e-9)


def test_more_cement_than_cavity_interdigitates_and_less_leaves_it_hollow(
    field: OperatingField,
) -> None:
    volume, lesion = field.samples.volume_ml, lesion_of(field, 5.0)
    over = balloon(field, lesion, 6.0, balloon_ml=4.0)
    assert volume(over.pure) == pytest.approx(4.0, rel=0.01)
    # Among bone and compacted tumour 2 ml of cement take more than 2 ml of place.
    assert 2.0 < volume(over.interdigitated) < 3.5
    under = balloon(field, lesion, 4.0, balloon_ml=6.0)
    assert volume(under.hollow) == pytest.approx(2.0, rel=0.05)
    assert volume(under.interdigitated) < 0.05
    centres = inflation_centres(field, [lesion], path_to(field, lesion.centre_mm), 3, 6.0)
    distance = np.linalg.norm(field.samples.points_mm[:, None] - centres, axis=2).min(axis=1)
    assert distance[under.hollow].mean() > distance[under.pure].mean() + 2.0


@pytest.mark.parametrize("seed", range(3))
def test_volumes_sum_up_and_the_shell_holds_the_displaced_mass(
    field: OperatingField, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    breached = seed % 2 == 1
    # A lesion that reaches the pelvic face, or one smaller than the cavity.
    volume_ml = rng.uniform(8.0, 12.0) if breached else rng.uniform(1.0, 2.0)
    lesion = lesion_of(field, volume_ml, breach=("anterior",) if breached else ())
    cement_ml = float(rng.uniform(3.0, 10.0))
    fill = balloon(field, lesion, cement_ml, balloon_ml=float(rng.uniform(4.0, 7.0)))
    total = fill.cement_ml + fill.leaked_ml + fill.unplaced_ml
    assert total == pytest.approx(fill.injected_ml, abs=1e-9) == pytest.approx(cement_ml)
    cavity = fill.pure | fill.hollow
    bone = np.maximum(field.mesh.density.g_per_cm3, 0.0)[field.samples.cell]
    displaced_g = field.samples.integral(cavity & ~lesion.inside, bone)
    added_g = float(fill.compacted_g_per_cm3 @ field.mesh.cell_ml)
    assert added_g == pytest.approx(displaced_g, rel=1e-9)
    assert breached or displaced_g > 0.03


def test_intact_cortex_keeps_all_cement_in(field: OperatingField) -> None:
    fill = balloon(field, lesion_of(field, 9.0), 10.0, balloon_ml=6.0)
    assert fill.leak_ml == {}


def test_a_cavity_needs_less_pressure_and_leaks_less_through_the_same_breach(
    field: OperatingField,
) -> None:
    lesion = lesion_of(field, 12.0, breach=("anterior",))
    path = path_to(field, lesion.centre_mm)
    cavity = fill_balloon(field, [lesion], path, FillPlan("balloon", 13.0))
    pores = fill_vertebroplasty(field, [lesion], path, FillPlan("vertebroplasty", 13.0))
    assert pores.leaked_ml > 0.02
    assert cavity.leaked_ml < 0.5 * pores.leaked_ml
    assert (cavity.pressure_kPa or np.inf) < 0.3 * (pores.pressure_kPa or 0.0)


def test_the_mirrored_lesion_gives_the_mirrored_fill(field: OperatingField) -> None:
    """On the symmetric phantom left and right differ by the mesher's and the grid's steps only."""
    made = [
        balloon(field, lesion_of(field, 5.0, site=f"lateral mass {side}"), 6.0)
        for side in ("left", "right")
    ]
    grids = [on_grid(field, fill.inside.astype(float)) for fill in made]
    middles = [np.average(field.local_mm[fill.inside], axis=0) for fill in made]
    np.testing.assert_allclose(middles[0], middles[1] * [-1.0, 1.0, 1.0], atol=0.5)
    assert grids[0].sum() == pytest.approx(grids[1].sum(), rel=0.02)
    mass = [float(fill.compacted_g_per_cm3 @ field.mesh.cell_ml) for fill in made]
    assert mass[0] == pytest.approx(mass[1], rel=0.25, abs=0.02)


def test_a_margin_of_the_cement_is_kept_by_the_balloon_too(field: OperatingField) -> None:
    fill = balloon(field, lesion_of(field, 5.0), 5.0, margin_mm=2.5)
    assert field.depth_mm[field.voxel][fill.pure | fill.hollow].min() > 2.5
    assert fill.cement_ml > 0.95 * 5.0
    assert min(fill.nerve_distance_mm.values()) >= 2.0


def test_earlier_cement_is_neither_opened_nor_compacted(field: OperatingField) -> None:
    lesion = lesion_of(field, 5.0)
    occupied = np.zeros(field.tissue.tissue.shape, dtype=bool)
    right = (
        field.tissue.local_points()[..., 0]
        < field.atlas.frame.to_local(lesion.centre_mm[None])[0, 0] - 4.0
    )
    occupied[right] = True
    path = path_to(field, lesion.centre_mm)
    fill = fill_balloon(field, [lesion], path, FillPlan("balloon", 4.0), occupied)
    assert not occupied[field.voxel][fill.inside | fill.hollow].any()


def test_bone_that_is_too_dense_is_refused_for_a_balloon(field: OperatingField) -> None:
    mesh: BoneMesh = replace(field.mesh, density=RhoQctK2HPO4(np.full(len(field.mesh.tets), 0.95)))
    lesion = lesion_of(field, 5.0, kind="blastic")
    with pytest.raises(InputError, match=r"a balloon cannot open .* too dense"):
        balloon(replace(field, mesh=mesh), lesion, 6.0)


def test_more_than_the_bone_holds_is_refused_with_what_it_holds(field: OperatingField) -> None:
    with pytest.raises(InputError, match=r"500 ml asked, .* only \d+\.\d ml; give a smaller"):
        balloon(field, lesion_of(field, 5.0), 500.0)
