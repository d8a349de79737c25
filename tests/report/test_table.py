"""The comparison table from a summary."""

import copy
import math
from typing import Any

import pytest

from sacrofem.report.digits import DASH
from sacrofem.report.table import comparison_table, restoration, tables


def row(summary: dict[str, Any], start: str) -> tuple[str, ...]:
    return next(r for r in tables(summary)[0].rows if r[0].strip().startswith(start))[1:]


def test_columns_are_the_two_states_and_the_arms(summary: dict[str, Any]) -> None:
    """Protects: a number stands under the state or arm that it belongs to."""
    assert tables(summary)[0].columns[1:] == ("intact", "lesion", "balloon", "vertebroplasty")
    assert row(summary, "Stiffness") == ("2000", "1900", "1995", "1995")
    assert row(summary, "Cement outside")[2:] == ("0.00", "0.12")


def test_change_is_against_the_lesion_state(summary: dict[str, Any]) -> None:
    """Protects: the base of the change of stiffness."""
    assert row(summary, "change to the lesion") == ("+5.3", DASH, "+5.0", "+5.0")


@pytest.mark.parametrize("left", [0.5005, 0.49951, 0.50049, 0.123456, 1.0, -0.0004])
def test_shown_load_shares_add_up(summary: dict[str, Any], left: float) -> None:
    """Protects: two shares that add up to 1 are never shown as 99.9 or 100.1 %."""
    for arm in summary["arms"].values():
        arm["treated"] |= {"load_share_left": left, "load_share_right": 1.0 - left}
    lefts, rights = row(summary, "Load share of the left"), row(summary, "Load share of the right")
    for shown, other in zip(lefts, rights, strict=True):
        assert float(shown) + float(other) == pytest.approx(100.0, abs=1e-9)
    assert float(lefts[-1]) == pytest.approx(100.0 * left, abs=0.051)


def test_shares_that_do_not_add_up_are_not_mended(summary: dict[str, Any]) -> None:
    """Protects: rounding must not hide a broken balance."""
    arm = summary["arms"]["balloon"]
    arm["treated"] |= {"load_share_left": 0.50, "load_share_right": 0.45}
    assert row(summary, "Load share of the right")[2] == "45.0"


def test_rim_keeps_the_states_of_each_arm_together(summary: dict[str, Any]) -> None:
    """Protects: rims of different cells are not compared in MPa."""
    summary["arms"]["vertebroplasty"]["lesion"]["rim_von_mises_mean_MPa"] = 0.24
    rows = tables(summary)[1].rows
    assert rows[0] == ("balloon", "mean", "0.200", "0.250", "0.200", "20.0", "100")
    assert rows[2][:5] == ("vertebroplasty", "mean", "0.200", "0.240", "0.210")
    assert "own cement" in tables(summary)[1].note


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_missing_values_are_dashes(summary: dict[str, Any], missing: float | None) -> None:
    """Protects: no 'None' or 'nan' reaches a reader."""
    for arm in summary["arms"].values():
        for state in ("intact", "lesion", "treated"):
            arm[state] = dict.fromkeys(arm[state], missing)
        arm["relief"]["rim"] = dict.fromkeys(arm["relief"]["rim"], missing)
        for name in ("leak_ml", "unplaced_ml", "nerve_distance_mm"):
            arm[name] = missing
        arm.pop("procedures")
    text = comparison_table(summary)
    assert "None" not in text
    assert "nan" not in text
    assert "inf" not in text
    assert row(summary, "Cement to the nearest nerve") == (DASH,) * 4
    assert tables(summary)[2].rows == ()
    assert row(summary, "Stiffness") == (DASH,) * 4


def test_no_restoration_of_what_did_not_change() -> None:
    """Protects: a ratio of two differences of rounding is not a result."""
    states = {"intact": {"x": 1.0}, "lesion": {"x": 1.001}, "treated": {"x": 0.5}}
    assert restoration(states, "x") is None
    assert restoration(states | {"lesion": {"x": 2.0}}, "x") == pytest.approx(1.5)


def test_lines_of_a_block_are_aligned(summary: dict[str, Any]) -> None:
    """Protects: the numbers of a column end at the same place, whatever the arm's name."""
    long = copy.deepcopy(summary)
    long["arms"] = {
        "a-very-long-name-of-an-arm": long["arms"]["balloon"],
        "b": long["arms"]["balloon"],
    }
    lines = comparison_table(long).splitlines()
    head = next(line for line in lines if "intact" in line)
    stiffness = next(line for line in lines if line.startswith("Stiffness"))
    assert stiffness[: head.index("intact") + len("intact")].endswith("2000")
    assert len(stiffness) == len(head)


def test_every_procedure_has_a_row(summary: dict[str, Any]) -> None:
    """Protects: a reader finds each path, what leaked where and why an injection ended."""
    procedure = summary["arms"]["balloon"]["procedures"][0]
    second = procedure | {
        "path": procedure["path"] | {"approach": "transiliac", "crosses": ["ilium", "SI joint"]},
        "fill": {
            "cement_ml": 3.0,
            "injected_ml": 4.0,
            "leaks": {"canal": 0.25},
            "stopped_by": "cement within 2.0 mm of the canal after 3.3 ml",
        },
    }
    summary["arms"]["balloon"]["procedures"].append(second)
    rows = tables(summary)[2].rows
    assert [line[:2] for line in rows] == [
        ("balloon", "1"),
        ("balloon", "2"),
        ("vertebroplasty", "1"),
    ]
    assert rows[1][2:3] + rows[1][7:9] == ("transiliac, 13 G", "ilium, SI joint", "yes")
    assert rows[1][9:] == ("3.0 of 4.0", "canal 0.25", second["fill"]["stopped_by"])
    assert rows[0][10:] == ("none", "all injected")


def test_motion_across_a_fracture_is_shown_where_there_is_one(summary: dict[str, Any]) -> None:
    """Protects: no row of dashes for bones that nothing broke."""
    assert not [r for r in tables(summary)[0].rows if r[0].startswith("Fracture")]
    for arm in summary["arms"].values():
        for state, value in (("intact", 0.001), ("lesion", 0.04), ("treated", 0.01)):
            arm[state]["micromotion"] = {"opening_mm": value, "sliding_mm": 2.0 * value}
    assert row(summary, "Fracture: sliding") == ("0.002", "0.080", "0.020", "0.020")


def test_the_load_path_shows_who_carries_what(summary: dict[str, Any]) -> None:
    """Protects: each share stands under its state; no table where nothing was measured."""
    assert len(tables(summary)) == 3
    for i, arm in enumerate(summary["arms"].values()):
        for state, cement in (("intact", 0.0), ("lesion", 0.0), ("treated", 0.1 + 0.1 * i)):
            load = {"share": 0.6, "bone_share": 0.4 - cement, "cortex_share": 0.2}
            arm[state]["sections"] = {"S1|S2": load | {"cement_share": cement}}
    path = tables(summary)[3]
    assert path.columns[2:] == ("intact", "lesion", "balloon", "vertebroplasty")
    assert path.rows == (
        ("S1|S2", "all", "60.0", "60.0", "60.0", "60.0"),
        ("S1|S2", "bone and lesion", "40.0", "40.0", "30.0", "20.0"),
        ("S1|S2", "cortex", "20.0", "20.0", "20.0", "20.0"),
        ("S1|S2", "cement", "0.0", "0.0", "10.0", "20.0"),
    )
    assert "The load path" in comparison_table(summary)
