"""Vesselplasty: a container of pure cement, and the share that permeates through it."""

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan, LesionPlan
from sacrofem.treatment.sites import place_lesions
from sacrofem.treatment.vesselplasty import fill_vesselplasty


@pytest.fixture(scope="module")
def lesion(field: OperatingField) -> Lesion:
    return place_lesions(field, [LesionPlan(site="lateral mass right", volume_ml=4.0)])[0]


@pytest.fixture(scope="module")
def path(field: OperatingField, lesion: Lesion) -> AccessPath:
    """Straight from behind."""
    back = field.atlas.frame.to_world(np.array([[0.0, 30.0, 0.0], [0.0, 0.0, 0.0]]))
    points = lesion.centre_mm + np.stack([back[0] - back[1], np.zeros(3)])
    return AccessPath("short axis", "13 G", points, 30.0, 0.0, 0.0, {}, (), True, ())


def test_a_closed_container_holds_all_its_cement_as_one_ball(
    field: OperatingField, lesion: Lesion, path: AccessPath
) -> None:
    fill = fill_vesselplasty(field, [lesion], path, FillPlan("vesselplasty", 3.0))
    assert field.samples.volume_ml(fill.pure) == pytest.approx(3.0, rel=0.001)
    assert not fill.interdigitated.any()
    assert not fill.hollow.any()
    assert (fill.cement_ml, fill.leak_ml, fill.unplaced_ml) == (3.0, {}, 0.0)
    assert fill.pressure_kPa is None
    distance = np.linalg.norm(field.samples.points_mm[fill.pure] - lesion.centre_mm, axis=1)
    assert distance.max() == pytest.approx(np.cbrt(9000.0 / (4.0 * np.pi)), abs=1.0)
    assert 0.0 < min(fill.nerve_distance_mm.values()) < 30.0


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_stated_share_permeates_and_the_rest_stays(
    field: OperatingField, lesion: Lesion, path: AccessPath, share: float
) -> None:
    plan = FillPlan("vesselplasty", 5.0, permeating_share=share)
    fill = fill_vesselplasty(field, [lesion], path, plan)
    assert field.samples.volume_ml(fill.pure) == pytest.approx(5.0 * (1.0 - share), rel=0.005)
    # It shares its place with bone and compacted tumour, so it takes more than its own volume.
    permeated = field.samples.volume_ml(fill.interdigitated)
    assert 5.0 * share < permeated < 2.0 * 5.0 * share
    total = fill.cement_ml + fill.leaked_ml + fill.unplaced_ml
    assert total == pytest.approx(5.0, abs=1e-9)
    # The container displaces bone where it is larger than the lesion, and none of it is lost.
    bone = np.maximum(field.mesh.density.g_per_cm3, 0.0)[field.samples.cell]
    displaced_g = field.samples.integral((fill.pure | fill.hollow) & ~lesion.inside, bone)
    added_g = float(fill.compacted_g_per_cm3 @ field.mesh.cell_ml)
    assert added_g == pytest.approx(displaced_g, rel=1e-9, abs=1e-12)


def test_a_stop_rule_for_a_closed_container_is_refused(
    field: OperatingField, lesion: Lesion, path: AccessPath
) -> None:
    plan = FillPlan("vesselplasty", 3.0, margin_mm=3.0)
    with pytest.raises(InputError, match=r"permeating_share 0 nothing leaves .*leave them out"):
        fill_vesselplasty(field, [lesion], path, plan)
