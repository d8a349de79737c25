"""Vertebroplasty on a bone: the medium follows the tissue, deposits the path, volumes are exact."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mesh.tissue_grid import BONE, SOFT
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.medium import (
    SOLIDEST_FRACTION,
    TRABECULAR_FRACTION,
    TRABECULAR_M2,
    TUMOUR_FRACTION,
    VOID_FRACTION,
    Medium,
    cortex_of,
    medium_of,
    permeability_m2,
    solid_fraction_of,
)
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan, FracturePlan, LesionPlan
from sacrofem.treatment.sites import place_lesions
from sacrofem.treatment.vertebroplasty import deposits_of, fill_vertebroplasty


def lesions_of(field: OperatingField, *plans: LesionPlan) -> tuple[Lesion, ...]:
    return place_lesions(field, plans)


def path_through(field: OperatingField, points_local: Sequence[Sequence[float]]) -> AccessPath:
    points = field.atlas.frame.to_world(np.array(points_local, dtype=float))
    return AccessPath("short axis", "13 G", points, 30.0, 0.0, 0.0, {}, (), True, ())


def local(field: OperatingField, point_mm: np.ndarray) -> np.ndarray:
    return field.atlas.frame.to_local(point_mm[None])[0]


def from_behind(field: OperatingField, target_mm: np.ndarray) -> AccessPath:
    tip = local(field, target_mm)
    return path_through(field, [tip + np.array([0.0, 30.0, 0.0]), tip])


def vertebroplasty(volume_ml: float | None, **kept: object) -> FillPlan:
    return FillPlan("vertebroplasty", volume_ml, **kept)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lesions(field: OperatingField) -> tuple[Lesion, ...]:
    return lesions_of(field, LesionPlan(volume_ml=7.1, site="lateral mass right"))


@pytest.fixture(scope="module")
def path(field: OperatingField, lesions: tuple[Lesion, ...]) -> AccessPath:
    return from_behind(field, lesions[0].centre_mm)


def accounted_ml(fill: CementFill) -> float:
    return fill.cement_ml + fill.leaked_ml + fill.unplaced_ml


def part_pores_ml(fill: CementFill, medium: Medium, field: OperatingField) -> float:
    """PMMA in the parts of the fill, by the pores of their voxels."""
    pores = np.zeros(field.tissue.tissue.shape)
    pores[medium.box] = medium.pore
    return float((pores[field.voxel] * fill.samples.part_ml)[fill.inside].sum())


@pytest.mark.parametrize("volume_ml", [0.0, 0.5, 4.0, 7.1, 12.0])
def test_the_bone_holds_what_was_injected(
    field: OperatingField, lesions: tuple[Lesion, ...], path: AccessPath, volume_ml: float
) -> None:
    fill = fill_vertebroplasty(field, lesions, path, vertebroplasty(volume_ml))
    assert accounted_ml(fill) == pytest.approx(volume_ml, rel=1e-9, abs=1e-12)
    assert fill.cement_ml == pytest.approx(volume_ml, rel=1e-9, abs=1e-12)  # the cortex is intact
    assert fill.leak_ml == {}
    medium = medium_of(field, lesions, "high")
    found = part_pores_ml(fill, medium, field)
    assert found == pytest.approx(volume_ml, rel=1e-3, abs=5e-4)
    assert fill.augmented_ml >= fill.cement_ml * (1.0 - 1e-3) - 5e-4
    assert not fill.pure.any()
    assert not fill.hollow.any()
    assert (fill.injected_ml, fill.stopped_by) == (volume_ml, "")


def test_more_cement_contains_less_cement(
    field: OperatingField, lesions: tuple[Lesion, ...], path: AccessPath
) -> None:
    """With one deposit; more of them stand elsewhere when they are larger."""
    fills = [
        fill_vertebroplasty(field, lesions, path, vertebroplasty(ml, deposits=1)) for ml in (3, 6)
    ]
    outside = fills[0].inside & ~fills[1].inside
    assert fills[0].samples.volume_ml(outside) < 0.005


def test_a_volume_is_needed(
    field: OperatingField, lesions: tuple[Lesion, ...], path: AccessPath
) -> None:
    with pytest.raises(InputError, match="cement_ml is needed"):
        fill_vertebroplasty(field, lesions, path, vertebroplasty(None))


def test_more_than_the_bone_holds_is_refused_with_what_it_holds(
    field: OperatingField, lesions: tuple[Lesion, ...], path: AccessPath
) -> None:
    with pytest.raises(InputError, match=r"500 ml asked, .* only \d+\.\d ml; give a smaller"):
        fill_vertebroplasty(field, lesions, path, vertebroplasty(500.0))


def test_hardened_cement_is_neither_entered_nor_shared(
    field: OperatingField, lesions: tuple[Lesion, ...], path: AccessPath
) -> None:
    first = fill_vertebroplasty(field, lesions, path, vertebroplasty(3.0))
    occupied = np.zeros(field.tissue.tissue.shape, dtype=bool)
    occupied[tuple(axis[first.inside] for axis in field.voxel)] = True
    tip = local(field, lesions[0].centre_mm) + np.array([14.0, 0.0, 0.0])
    beside = path_through(field, [tip + np.array([0.0, 30.0, 0.0]), tip])
    second = fill_vertebroplasty(field, lesions, beside, vertebroplasty(4.0), occupied)
    assert not (first.inside & second.inside).any()
    assert second.cement_ml == pytest.approx(4.0, rel=1e-9)
    alone = fill_vertebroplasty(field, lesions, beside, vertebroplasty(4.0))
    assert (first.inside & alone.inside).any()  # it would have been in the way


def test_a_void_fills_first(
    field: OperatingField, lesions: tuple[Lesion, ...], path: AccessPath
) -> None:
    tip = local(field, lesions[0].centre_mm)
    density = np.full(field.tissue.tissue.shape, 0.30)
    density[field.tissue.local_points()[..., 2] > tip[2]] = 0.02
    layered = replace(field, tissue=replace(field.tissue, density=RhoQctK2HPO4(density)))
    fill = fill_vertebroplasty(layered, (), path, vertebroplasty(3.0))
    above = local_z(field, fill) > tip[2]
    assert above.mean() > 0.75


def local_z(field: OperatingField, fill: CementFill) -> np.ndarray:
    return field.local_mm[fill.inside, 2]


def test_stop_rules_end_the_injection_and_say_so(
    field: OperatingField, lesions: tuple[Lesion, ...], path: AccessPath
) -> None:
    near = fill_vertebroplasty(field, lesions, path, vertebroplasty(10.0, margin_mm=3.0))
    assert near.stopped_by.startswith("cement within 3.0 mm of")
    assert 0.5 < near.cement_ml < 9.0
    assert accounted_ml(near) == pytest.approx(10.0, rel=1e-9)
    assert min(near.nerve_distance_mm.values()) >= 3.0
    free = fill_vertebroplasty(field, lesions, path, vertebroplasty(10.0))
    assert min(free.nerve_distance_mm.values()) < 3.0
    tight = vertebroplasty(10.0, pressure_kPa=0.9 * free.pressure_kPa)  # type: ignore[operator]
    pressed = fill_vertebroplasty(field, lesions, path, tight)
    assert pressed.stopped_by.startswith("pressure at the tip above")
    assert pressed.unplaced_ml > 1.0
    thin = fill_vertebroplasty(field, lesions, path, replace(tight, viscosity="low"))
    assert thin.stopped_by == ""


def test_deposits_stand_in_the_lesion_the_farthest_first(
    field: OperatingField, lesions: tuple[Lesion, ...], path: AccessPath
) -> None:
    deposits = deposits_of(field, lesions, path, 6.0)
    assert len(deposits) == 3
    assert sum(deposit.share for deposit in deposits) == pytest.approx(1.0)
    way = [float((d.point_mm - path.entry_mm) @ path.direction) for d in deposits]
    assert way == sorted(way, reverse=True)
    assert way[0] > 30.0 > way[-1]  # beyond the tip in the lesion's centre, and before it
    for deposit in deposits:
        voxel = field.voxel_of(deposit.point_mm[None])[0]
        assert lesions[0].voxels[tuple(voxel)]
    one = deposits_of(field, lesions, path, 6.0, 1)
    np.testing.assert_allclose(one[0].point_mm, lesions[0].centre_mm, atol=1.5)


def test_each_lesion_on_the_path_has_its_deposits(field: OperatingField) -> None:
    both = lesions_of(
        field,
        LesionPlan(volume_ml=5.0, site="lateral mass right"),
        LesionPlan(volume_ml=3.0, site="vertebral body"),
    )
    ends = [local(field, lesion.centre_mm) for lesion in both]
    path = path_through(field, [ends[0] - (ends[1] - ends[0]) * 0.4, ends[1]])
    deposits = deposits_of(field, both, path, 8.0)
    held = [
        [bool(lesion.voxels[tuple(field.voxel_of(d.point_mm[None])[0])]) for d in deposits]
        for lesion in both
    ]
    assert any(held[0])
    assert any(held[1])
    assert np.all(np.array(held).sum(axis=0) == 1)
    assert sum(deposit.share for deposit in deposits) == pytest.approx(1.0)
    assert len(deposits_of(field, both, path, 8.0, 5)) == 5
    with pytest.raises(InputError, match=r"2 lesions on the path need .* found 1"):
        deposits_of(field, both, path, 8.0, 1)


def test_without_a_lesion_on_the_path_the_tip_is_the_deposit(
    field: OperatingField, path: AccessPath
) -> None:
    (deposit,) = deposits_of(field, (), path, 6.0)
    np.testing.assert_allclose(deposit.point_mm, path.tip_mm)


def test_permeability_meets_its_sources() -> None:
    assert float(permeability_m2(TRABECULAR_FRACTION)) == pytest.approx(TRABECULAR_M2)
    assert pytest.approx(3.78e-8, rel=0.01) == TRABECULAR_M2
    of_void = permeability_m2(TUMOUR_FRACTION) / permeability_m2(VOID_FRACTION)
    assert float(of_void) == pytest.approx(1.20 / 5.09, rel=0.01)
    for solid in (VOID_FRACTION, 0.1, 0.4, SOLIDEST_FRACTION):
        assert solid_fraction_of(float(permeability_m2(solid))) == pytest.approx(solid, rel=1e-6)


def test_the_medium_follows_the_tissue(field: OperatingField, lesions: tuple[Lesion, ...]) -> None:
    medium = medium_of(field, lesions, "medium")
    tissue = field.tissue.tissue[medium.box]
    mobility, bone = medium.mobility_mm2_per_kPa_s, tissue == BONE
    assert not mobility[cortex_of(bone)].any()
    assert not mobility[~bone & (tissue != SOFT)].any()
    assert (mobility[bone & ~cortex_of(bone)] > 0.0).all()
    density = field.tissue.density.g_per_cm3[medium.box]
    inner = bone & ~cortex_of(bone) & ~lesions[0].voxels[medium.box]
    assert mobility[inner & (density > 0.3)].max() < mobility[inner & (density < 0.2)].min()
    soft_tumour = lesions[0].voxels[medium.box] & ~cortex_of(bone)
    assert (medium.pore[soft_tumour] == 1.0).all()
    assert np.ptp(mobility[soft_tumour]) == 0.0
    thick = medium_of(field, lesions, "high").mobility_mm2_per_kPa_s
    assert thick.sum() == pytest.approx(0.316 * mobility.sum())


def test_blastic_bone_resists_and_the_lytic_half_of_a_mixed_lesion_does_not(
    field: OperatingField,
) -> None:
    def pressure(kind: str) -> float:
        lesions = lesions_of(
            field,
            LesionPlan(kind=kind, volume_ml=7.1, site="lateral mass right"),  # type: ignore[arg-type]
        )
        path = from_behind(field, lesions[0].centre_mm)
        fill = fill_vertebroplasty(field, lesions, path, vertebroplasty(1.5, deposits=1))
        assert fill.pressure_kPa is not None
        return fill.pressure_kPa

    lytic, mixed, blastic = (pressure(kind) for kind in ("lytic", "mixed", "blastic"))
    assert blastic > 20.0 * lytic
    assert mixed == pytest.approx(lytic, rel=0.25)


def test_cavity_compaction_and_hard_cement_change_the_medium(
    field: OperatingField, lesions: tuple[Lesion, ...]
) -> None:
    voxel = tuple(field.voxel_of(lesions[0].centre_mm[None])[0])
    here, added = np.zeros((2, *field.tissue.tissue.shape))
    here[voxel], added[voxel] = 1.0, 0.5
    plain = medium_of(field, lesions, "high")
    at = tuple(i - cut.start for i, cut in zip(voxel, plain.box, strict=True))
    hollow = medium_of(field, lesions, "high", cavity=here > 0)
    pressed = medium_of(field, lesions, "high", added_g_per_cm3=added)
    hard = medium_of(field, lesions, "high", occupied=here > 0)
    mobility = [m.mobility_mm2_per_kPa_s[at] for m in (hollow, plain, pressed, hard)]
    assert mobility == sorted(mobility, reverse=True)
    assert mobility[0] > 10.0 * mobility[1] > 100.0 * mobility[2] > mobility[3] == 0.0
    assert (hollow.pore[at], plain.pore[at]) == (1.0, 1.0)
    assert pressed.pore[at] == pytest.approx(1.0 - 0.5 / 1.08)


def test_a_fracture_opens_the_cortex_that_it_crosses(field: OperatingField) -> None:
    whole, split = (
        lesions_of(
            field,
            LesionPlan(volume_ml=7.1, site="lateral mass right", fracture=fracture),
        )
        for fracture in (None, FracturePlan("I", gap_mm=1.0))
    )
    closed, opened = (medium_of(field, each, "high") for each in (whole, split))
    bone = field.tissue.tissue[closed.box] == BONE
    passes = opened.mobility_mm2_per_kPa_s[cortex_of(bone)] > 0.0
    assert passes.any()
    assert not closed.mobility_mm2_per_kPa_s[cortex_of(bone)].any()
