"""Lesions: exact volume, the named zone, side and level, mirrored where the bone is symmetric."""

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image.volume import Grid, LabelMap
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Breach, FracturePlan, Kind, LesionPlan, Level, Site, Spread
from sacrofem.treatment.sites import NERVE_MARGIN_MM, crumbs_of, place_lesions

SITES: tuple[Site, ...] = (
    "lateral mass left",
    "lateral mass right",
    "foraminal zone left",
    "foraminal zone right",
    "vertebral body",
)
ZONE = {"lateral mass": 1, "foraminal zone": 2, "vertebral body": 3}


def one(field: OperatingField, plan: LesionPlan) -> Lesion:
    """The only lesion of a plan."""
    return place_lesions(field, [plan])[0]


def shares(field: OperatingField, lesion: Lesion) -> tuple[np.ndarray, np.ndarray]:
    """Share of its volume in Denis' zones I to III and in the levels S1 to S5."""
    points, weight = field.samples.points_mm[lesion.inside], field.samples.part_ml[lesion.inside]
    zone = np.bincount(field.atlas.map.denis_zone(points), weight, 4)[1:]
    level = np.bincount(field.atlas.map.level_of(points), weight, 6)[1:]
    return zone / weight.sum(), level / weight.sum()


def box_mask(field: OperatingField, centre_mm: np.ndarray, half_mm: float) -> LabelMap:
    """A cube as a label map of 1.5 mm voxels about a world point."""
    count = 41
    origin = centre_mm - 1.5 * (count // 2)
    grid = Grid((count, count, count), (1.5, 1.5, 1.5), origin, np.eye(3))
    index = np.indices(grid.shape, dtype=float).reshape(3, -1).T
    near = np.abs(grid.to_world(index) - centre_mm).max(axis=1) <= half_mm
    return LabelMap(7 * near.reshape(grid.shape).astype(np.uint8), grid)


@pytest.mark.parametrize("site", SITES)
def test_volume_zone_side_and_levels_are_those_asked_for(field: OperatingField, site: Site) -> None:
    """Protects: the asked volume of bone within 0.5 %, in its zone, on its side, in every level."""
    zone = next(number for name, number in ZONE.items() if site.startswith(name))
    side = next((s for s in ("left", "right") if site.endswith(s)), "middle")
    asked: tuple[tuple[Level, float], ...] = (("S1", 8.0), ("S2", 0.5), ("S1-S3", 3.0))
    for level, volume_ml in asked:
        lesion = one(field, LesionPlan(site=site, level=level, volume_ml=volume_ml))
        assert lesion.volume_ml == pytest.approx(volume_ml, rel=5e-3)
        assert field.samples.volume_ml(lesion.inside) == pytest.approx(lesion.volume_ml)
        assert lesion.fraction @ field.mesh.cell_ml == pytest.approx(lesion.volume_ml)
        assert (field.tissue.tissue[lesion.voxels] == BONE).all()
        in_voxels_ml = lesion.voxels.sum() * field.tissue.voxel_ml
        assert in_voxels_ml == pytest.approx(volume_ml, rel=0.1, abs=0.1)
        in_zone, in_level = shares(field, lesion)
        first, last = int(level[1]), int(level[-1])
        assert lesion.side == side
        assert in_zone[zone - 1] > 0.55
        assert in_level[first - 1 : last].sum() > 0.85
        assert (in_level[first - 1 : last] > 0.1).all()
        assert site in lesion.name
        assert lesion.name.endswith(level)


@pytest.mark.parametrize(
    ("site", "level", "spread", "volume_ml"),
    [
        # Andresen 2014, Table 1: patients 1, 8 and 10.
        ("lateral mass left", "S1", "foraminal zone", 8.0),
        ("lateral mass right", "S1", "vertebral body", 11.3),
        ("lateral mass left", "S1-S2", "vertebral body", 12.1),
    ],
)
def test_a_lesion_that_spreads_involves_both_zones(
    field: OperatingField, site: Site, level: Level, spread: Spread, volume_ml: float
) -> None:
    """Protects: the lesions of Table 1 that are not in one zone; the bulk stays at the site."""
    alone = one(field, LesionPlan(site=site, level=level, volume_ml=volume_ml))
    plan = LesionPlan(site=site, level=level, volume_ml=volume_ml, spreads_to=(spread,))
    lesion = one(field, plan)
    in_zone, in_level = shares(field, lesion)
    here, there = in_zone[0], in_zone[ZONE[spread] - 1]
    assert here > 0.25
    assert there > 0.12
    assert there > 1.5 * shares(field, alone)[0][ZONE[spread] - 1]
    assert lesion.volume_ml == pytest.approx(volume_ml, rel=5e-3)
    last = int(level[-1])
    reached = field.atlas.map.level_of(field.samples.points_mm[lesion.inside])
    body = field.atlas.map.denis_zone(field.samples.points_mm[lesion.inside]) == ZONE[spread]
    assert np.mean(reached[body] == last) > 0.9
    assert in_level[:last].sum() > 0.95


def test_mirrored_plans_give_mirrored_lesions(field: OperatingField) -> None:
    """Protects: no side is preferred. The phantom is symmetric, its mesh nearly so."""
    asked: tuple[tuple[str, tuple[Spread, ...]], ...] = (
        ("lateral mass", ()),
        ("foraminal zone", ("vertebral body",)),
    )
    for zone, spread in asked:
        left, right = (
            one(field, LesionPlan(site=f"{zone} {s}", volume_ml=6.0, spreads_to=spread))  # type: ignore[arg-type]
            for s in ("left", "right")
        )
        centres = field.atlas.frame.to_local(np.stack([left.centre_mm, right.centre_mm]))
        np.testing.assert_allclose(centres[0] * [-1.0, 1.0, 1.0], centres[1], atol=1.0)
        np.testing.assert_allclose(shares(field, left)[0], shares(field, right)[0], atol=0.05)


def test_nerves_are_spared_unless_told_otherwise(field: OperatingField) -> None:
    near = field.at_samples(field.nerve_mm)
    plan = LesionPlan(site="foraminal zone left", volume_ml=8.0)
    spared = one(field, plan)
    assert near[spared.inside].min() >= NERVE_MARGIN_MM
    grown = one(field, LesionPlan(site=plan.site, volume_ml=8.0, spares_nerves=False))
    assert near[grown.inside].min() < NERVE_MARGIN_MM


def test_a_lesion_at_coordinates_is_a_ball_about_them(field: OperatingField) -> None:
    centre = field.mesh.lateral_mass_mm["right"]
    lesion = one(field, LesionPlan(centre_mm=centre, volume_ml=2.0))
    away = np.linalg.norm(field.samples.points_mm[lesion.inside] - centre, axis=1)
    assert away.max() == pytest.approx(lesion.radius_mm, rel=0.02)
    assert lesion.radius_mm == pytest.approx(np.cbrt(6000.0 / (4.0 * np.pi)), rel=1e-3)
    assert lesion.side == "right"


def test_a_mask_is_taken_as_it_is_or_grown_to_a_volume(field: OperatingField) -> None:
    centre = field.mesh.lateral_mass_mm["left"]
    mask = box_mask(field, centre, 7.0)
    own = one(field, LesionPlan(mask=mask))
    # Voxels up to 7 mm away: nine of 1.5 mm across.
    assert own.volume_ml == pytest.approx(13.5**3 / 1000.0, rel=0.06)
    np.testing.assert_allclose(own.centre_mm, centre, atol=0.5)
    for volume_ml in (1.0, 6.0):
        lesion = one(field, LesionPlan(mask=mask, volume_ml=volume_ml))
        assert lesion.volume_ml == pytest.approx(volume_ml, rel=5e-3)
        nested = (lesion.inside & own.inside).sum() / min(lesion.inside.sum(), own.inside.sum())
        assert nested > 0.99


def test_a_mask_at_the_edge_of_its_image_still_has_an_outside(field: OperatingField) -> None:
    """Protects: a cropped image whose every voxel is lesion; its distance needs a padding."""
    full = box_mask(field, field.mesh.lateral_mass_mm["left"], 7.0)
    cut = full.labels[16:25, 16:25, 16:25]
    assert (cut == 7).all()
    corner = full.grid.to_world(np.full((1, 3), 16.0))[0]
    small = LabelMap(cut, Grid((9, 9, 9), (1.5, 1.5, 1.5), corner, np.eye(3)))
    np.testing.assert_array_equal(
        one(field, LesionPlan(mask=small)).inside, one(field, LesionPlan(mask=full)).inside
    )


def test_later_lesions_leave_the_bone_of_earlier_ones(field: OperatingField) -> None:
    plans = [
        LesionPlan(site="lateral mass left", volume_ml=8.0),
        LesionPlan(site="foraminal zone left", volume_ml=6.0),
        LesionPlan(site="lateral mass right", volume_ml=8.0),
    ]
    lesions = place_lesions(field, plans)
    assert np.sum([lesion.inside for lesion in lesions], axis=0).max() == 1
    for lesion, plan in zip(lesions, plans, strict=True):
        assert lesion.volume_ml == pytest.approx(plan.volume_ml, rel=5e-3)
    np.testing.assert_array_equal(lesions[0].inside, one(field, plans[0]).inside)


@pytest.mark.parametrize(("kind", "share"), [("lytic", 0.0), ("mixed", 0.5), ("blastic", 1.0)])
def test_a_mixed_lesion_has_a_lytic_core_of_half_its_volume(
    field: OperatingField, kind: Kind, share: float
) -> None:
    lesion = one(field, LesionPlan(kind=kind, site="vertebral body", volume_ml=6.0))
    samples = field.samples
    assert samples.volume_ml(lesion.blastic) == pytest.approx(6.0 * share, rel=5e-3, abs=1e-9)
    assert not (lesion.lytic & lesion.blastic).any()
    np.testing.assert_array_equal(lesion.lytic | lesion.blastic, lesion.inside)
    if kind == "mixed":
        away = np.linalg.norm(samples.points_mm - lesion.centre_mm, axis=1)
        assert away[lesion.lytic].mean() < away[lesion.blastic].mean()


def test_an_empty_lesion_is_a_control(field: OperatingField) -> None:
    lesion = one(field, LesionPlan(site="lateral mass left", volume_ml=0.0))
    assert lesion.volume_ml == 0.0
    assert not lesion.voxels.any()
    np.testing.assert_allclose(lesion.centre_mm, field.mesh.lateral_mass_mm["left"])


@pytest.mark.parametrize(
    ("plan", "match"),
    [
        (LesionPlan(volume_ml=5.0), "exactly one of site, centre_mm and mask, found none"),
        (LesionPlan(site="vertebral body"), "needs volume_ml; only a mask"),
        (LesionPlan(site="vertebral body", volume_ml=-1.0), "0 or more, found -1"),
        (
            LesionPlan(site="lateral mass left", volume_ml=150.0),
            r"lateral mass left, S1: 150 ml asked, but .* only [0-9.]+ ml",
        ),
        (LesionPlan(centre_mm=np.array([0.0, 900.0, 0.0]), volume_ml=1.0), "outside the sacrum"),
        (
            LesionPlan(site="vertebral body", volume_ml=5.0, spreads_to=("lateral mass",)),
            "of either side",
        ),
        (
            LesionPlan(site="lateral mass left", volume_ml=5.0, spreads_to=("lateral mass",)),
            "lies in it already",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    field: OperatingField, plan: LesionPlan, match: str
) -> None:
    with pytest.raises(InputError, match=match):
        place_lesions(field, [plan])


def test_errors_of_several_lesions_and_of_masks_say_which(field: OperatingField) -> None:
    good = LesionPlan(site="lateral mass left", volume_ml=5.0)
    with pytest.raises(InputError, match="lesion 2: lateral mass right, S1: 150 ml"):
        place_lesions(field, [good, LesionPlan(site="lateral mass right", volume_ml=150.0)])
    empty = box_mask(field, field.mesh.lateral_mass_mm["left"], -1.0)
    with pytest.raises(InputError, match="mask is empty"):
        place_lesions(field, [LesionPlan(mask=empty)])
    elsewhere = box_mask(field, field.mesh.lateral_mass_mm["left"] + 500.0, 5.0)
    with pytest.raises(InputError, match="same patient and position"):
        place_lesions(field, [LesionPlan(mask=elsewhere)])
    with pytest.raises(InputError, match="its own shape"):
        place_lesions(field, [LesionPlan(mask=empty, spreads_to=("vertebral body",))])


def test_an_empty_lesion_has_neither_breach_nor_fracture(field: OperatingField) -> None:
    breach: tuple[Breach, ...] = ("anterior",)
    for plan in (
        LesionPlan(site="vertebral body", volume_ml=0.0, breach=breach),
        LesionPlan(site="vertebral body", volume_ml=0.0, fracture=FracturePlan("III")),
    ):
        with pytest.raises(InputError, match="a lesion of 0 ml cannot"):
            place_lesions(field, [plan])


def test_a_small_piece_that_is_cut_off_is_told_from_the_rest(field: OperatingField) -> None:
    """Protects: no crumbs of a lesion behind a foramen; two real pieces are both kept."""
    near = {
        side: np.linalg.norm(field.samples.points_mm - centre, axis=1)
        for side, centre in field.mesh.lateral_mass_mm.items()
    }
    small = near["right"] < 3.0
    np.testing.assert_array_equal(crumbs_of(field, (near["left"] < 10.0) | small), small)
    assert not crumbs_of(field, (near["left"] < 10.0) | (near["right"] < 8.0)).any()
    assert not crumbs_of(field, field.samples.none).any()
