"""Several procedures on one bone: the second finds the cement of the first."""

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan, LesionPlan, PathPlan, ProcedurePlan
from sacrofem.treatment.sites import place_lesions
from sacrofem.treatment.treat import cement_voxels, treat


@pytest.mark.parametrize("technique", ["balloon", "vertebroplasty", "vesselplasty"])
def test_both_sides_get_their_own_cement(field: OperatingField, technique) -> None:
    """Protects: bilateral treatment (Andresen 2014, patients 1 and 4)."""
    sides = ("left", "right")
    lesions = place_lesions(
        field, [LesionPlan(site=f"lateral mass {side}", volume_ml=7.0) for side in sides]
    )
    plans = [ProcedurePlan((n,), PathPlan(), FillPlan(technique, 5.0)) for n in (0, 1)]
    done = treat(field, lesions, plans)
    assert done.cement_ml + done.leaked_ml == pytest.approx(10.0, rel=0.005)
    for fill, sign in zip(done.fills, (1.0, -1.0), strict=True):
        assert (sign * field.local_mm[fill.inside, 0] > 0.0).all()
    both = done.fills[0].inside & done.fills[1].inside
    assert not both.any()
    assert done.fraction @ field.mesh.cell_ml == pytest.approx(
        field.samples.volume_ml(done.inside), rel=1e-9
    )


def test_cement_of_an_earlier_procedure_is_not_filled_again(field: OperatingField) -> None:
    """Protects: hard cement has no pores; two fills of one lesion share no voxel of it."""
    lesions = place_lesions(field, [LesionPlan(site="lateral mass right", volume_ml=9.0)])
    beside = lesions[0].centre_mm + 7.0 * field.atlas.frame.superior
    plan = FillPlan("vertebroplasty", 3.0)
    paths = (PathPlan(), PathPlan(target_mm=beside))
    done = treat(field, lesions, [ProcedurePlan((0,), path, plan) for path in paths])
    first, second = (cement_voxels(field, fill) for fill in done.fills)
    # A voxel at the front holds samples of either.
    assert (first & second).sum() < 0.25 * first.sum()
    assert done.cement_ml == pytest.approx(6.0, rel=0.01)
    assert field.samples.volume_ml(done.fills[0].inside & done.fills[1].inside) < 0.15


def test_a_needle_does_not_open_in_hard_cement(field: OperatingField) -> None:
    """Protects: what cannot be injected is an error and no silent nothing."""
    lesions = place_lesions(field, [LesionPlan(site="lateral mass right", volume_ml=9.0)])
    plan = ProcedurePlan((0,), PathPlan(), FillPlan("vertebroplasty", 3.0))
    with pytest.raises(InputError, match=r"procedure 2: .* hardened cement"):
        treat(field, lesions, [plan, plan])


def test_an_impossible_procedure_is_named_by_its_number(field: OperatingField) -> None:
    lesions = place_lesions(field, [LesionPlan(site="lateral mass right", volume_ml=7.0)])
    good = ProcedurePlan((0,), PathPlan(), FillPlan("balloon", 3.0))
    beside = lesions[0].centre_mm + 7.0 * field.atlas.frame.superior
    bad = ProcedurePlan((0,), PathPlan(target_mm=beside), FillPlan("balloon", 500.0))
    with pytest.raises(InputError, match=r"procedure 2: .*500 ml"):
        treat(field, lesions, [good, bad])
    assert np.isfinite(treat(field, lesions, [good]).cement_ml)


def test_a_neighbouring_lesion_is_tumour_to_the_flow_but_gets_no_needle(
    field: OperatingField,
) -> None:
    """Protects: cement of one lesion finds the other one's soft tissue and broken cortex."""
    lesions = place_lesions(
        field,
        [
            LesionPlan(site="lateral mass right", volume_ml=7.0),
            LesionPlan(site="foraminal zone right", volume_ml=2.0),
        ],
    )
    plan = ProcedurePlan((0,), PathPlan(), FillPlan("vertebroplasty", 9.0))
    alone = treat(field, lesions[:1], [plan]).fills[0]
    beside = treat(field, lesions, [plan]).fills[0]
    assert alone.notes == beside.notes  # as many deposits: none stands in the second lesion
    assert field.samples.volume_ml(alone.inside & lesions[1].inside) > 0.0
    assert field.samples.volume_ml(alone.inside ^ beside.inside) > 0.02
