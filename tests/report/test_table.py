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
        arm["leak_ml"] = missing
        arm.pop("path")
    text = comparison_table(summary)
    assert "None" not in text
    assert "nan" not in text
    assert "inf" not in text
    assert row(summary, "Path: length") == (DASH,) * 4
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
