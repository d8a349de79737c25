"""The assumptions of ligaments and of the leg that hangs are all seen, with the values in use."""

from typing import get_args

import pytest

from sacrofem.mechanics.ligaments import LIGAMENTS, OF_SACRUM
from sacrofem.mesh.build import Model
from sacrofem.report.assumptions import load as words
from sacrofem.study.scenario import LoadSpec


@pytest.mark.parametrize("model", get_args(Model))
def test_every_ligament_is_told_there_or_not(model: Model) -> None:
    rows = words.ligament_assumptions(LoadSpec(), model)
    for name, stiffness in LIGAMENTS.items():
        (row,) = [r for r in rows if r.name.startswith(f"{name.capitalize()} ligament of a side")]
        there = model == "pelvis" or name in OF_SACRUM
        assert row.value == (f"{stiffness.N_per_mm:g}" if there else "not there")
        assert str(stiffness.elements) in row.name
    (ends,) = [r for r in rows if r.name == "Other ends of the ligaments"]
    assert ("fixed in space: the hip bones are not in the mesh" in ends.value) == (
        model == "sacrum"
    )


def test_a_scenario_without_ligaments_says_so() -> None:
    (row,) = words.ligament_assumptions(LoadSpec(ligaments=False), "pelvis")
    assert (row.value, row.source[:13]) == ("none", "this scenario")


def test_the_leg_that_hangs_is_told_with_its_weight() -> None:
    """0.161 of the body weight to which 500 N without muscles belong."""
    load = LoadSpec(case="one-leg stance", stance="left")
    rows = {r.name: r.value for r in words._stance(load)}
    assert rows["Weight of the leg that hangs; the left one stands"] == "161"
    assert [r.name for r in words._stance(LoadSpec())] == ["Swing leg of walking"]
