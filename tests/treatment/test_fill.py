"""A plan's fields: what a technique does not read is refused, not ignored."""

import pytest

from sacrofem.errors import InputError
from sacrofem.treatment.fill import READS, require_fields
from sacrofem.treatment.plan import FillPlan

SET = {
    "viscosity": "low",
    "balloon_ml": 3.0,
    "inflations": 4,
    "deposits": 2,
    "permeating_share": 0.1,
    "margin_mm": 3.0,
    "pressure_kPa": 200.0,
}


@pytest.mark.parametrize("technique", ["balloon", "vertebroplasty", "vesselplasty", "mask"])
@pytest.mark.parametrize("name", sorted(SET))
def test_a_field_is_read_or_refused(technique: str, name: str) -> None:
    plan = FillPlan(technique, 4.0, **{name: SET[name]})
    if name in READS[technique]:
        require_fields(plan)
        return
    with pytest.raises(InputError, match=rf"{name} is set, but the technique '{technique}'.*would"):
        require_fields(plan)


def test_all_fields_but_the_technique_are_read_by_one_at_least() -> None:
    read = {name for names in READS.values() for name in names}
    assert read == set(FillPlan.__dataclass_fields__) - {"technique"}


def test_cement_ml_may_only_be_left_out_with_a_mask() -> None:
    require_fields(FillPlan("mask"))
    with pytest.raises(InputError, match="'balloon' needs cement_ml"):
        require_fields(FillPlan("balloon"))


@pytest.mark.parametrize(
    ("technique", "name", "value"),
    [
        ("balloon", "cement_ml", -1.0),
        ("balloon", "balloon_ml", -1.0),
        ("balloon", "inflations", 0),
        ("vertebroplasty", "deposits", 0),
        ("vertebroplasty", "pressure_kPa", -5.0),
        ("vesselplasty", "permeating_share", 1.0),
        ("vesselplasty", "permeating_share", -0.1),
    ],
)
def test_values_that_cannot_be_are_refused(technique: str, name: str, value: float) -> None:
    plan = FillPlan(technique, **{"cement_ml": 4.0, name: value})
    with pytest.raises(InputError, match=rf"{name} must be"):
        require_fields(plan)
