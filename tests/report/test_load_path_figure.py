"""The figure and the tables of load path, regions and cement: from a summary alone."""

import copy
from typing import Any

import pytest

from sacrofem.measure.cement import LIMITS_MPA
from sacrofem.report.digits import DASH
from sacrofem.report.load_path_figure import load_path
from sacrofem.report.table import Table, tables

BORDERS = ("I|II left", "II|III left", "I|II right", "II|III right")


def section(bone: float, cortex: float, cement: float) -> dict[str, Any]:
    share = bone + cortex + cement
    return {
        "share": share,
        "bone_share": bone,
        "cortex_share": cortex,
        "cement_share": cement,
        "error": 1e-12,
    }


@pytest.fixture
def full(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary with levels, sections and stress in the cement."""
    for arm in summary["arms"].values():
        for name in ("intact", "lesion", "treated"):
            cement = 0.1 if name == "treated" else 0.0
            carried = section(0.4 - cement, 0.5, cement)
            arm[name]["levels"] = [
                {"depth_mm": 5.0, "body": "S1", "load_below": 0.1, "above": 0.0, **carried},
                {
                    "depth_mm": 15.0,
                    "body": "S2",
                    "load_below": 0.0,
                    "above": 1.0,
                    **section(0.03, -0.03, 0.0),
                },
            ]
            arm[name]["sections"] = {border: carried for border in BORDERS}
        peak = {"p95": 0.5, "maximum": 2.0}
        arm["treated"]["cement"] = {
            "volume_ml": 5.5,
            "von_mises_MPa": peak,
            "tension_MPa": peak,
            "compression_MPa": peak,
            "safety": {name: limit / 0.5 for name, limit in LIMITS_MPA.items()},
        }
        arm["treated"]["interface"] = {"area_mm2": 1e3, "tension_MPa": peak, "shear_MPa": peak}
        arm["relief"]["cortex"] = {"von_mises_mean": 0.05, "von_mises_p95": -0.02}
    return summary


def titled(summary: dict[str, Any], start: str) -> Table:
    return next(table for table in tables(summary) if table.title.startswith(start))


def test_bars_sum_to_the_load_and_start_where_the_last_ended(full: dict[str, Any]) -> None:
    """Protects: each level's parts fill 0 to 100 %, what acts against the load lies left of 0."""
    figure = load_path(full)
    assert figure is not None
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == ["intact", "lesion", "balloon", "vertebroplasty"]
    for axes in figure.axes[:4]:
        bars = [bar for bar in axes.patches if abs(bar.get_width()) > 1e-9]
        top = [bar for bar in bars if bar.get_y() < 10.0]
        assert sum(bar.get_width() for bar in top) == pytest.approx(100.0)
        assert max(bar.get_x() + bar.get_width() for bar in top) == pytest.approx(100.0)
        low = [bar for bar in bars if bar.get_y() > 10.0]
        assert min(bar.get_x() + min(bar.get_width(), 0.0) for bar in low) == pytest.approx(-3.0)
        assert sum(bar.get_width() for bar in low) == pytest.approx(100.0)


def test_cement_has_a_number_only_where_it_carries(full: dict[str, Any]) -> None:
    figure = load_path(full)
    assert figure is not None
    numbers = [[text.get_text() for text in axes.texts] for axes in figure.axes[:4]]
    assert numbers == [[], [], ["10.0"], ["10.0"]]
    assert "(cement 10.0)" in figure.axes[6].texts[0].get_text()


def test_a_summary_without_levels_has_no_figure(full: dict[str, Any]) -> None:
    """Protects: a page of an earlier summary, and of a sweep's, is still made."""
    older = copy.deepcopy(full)
    older["arms"]["balloon"]["treated"]["levels"] = []
    assert load_path(older) is None


def test_cement_is_set_against_each_limit(full: dict[str, Any]) -> None:
    """Protects: compression against compressive limits, tension against the tensile one."""
    rows = titled(full, "Stress in the cement").rows
    assert rows[0][:4] == ("balloon", "cement, compression", "0.50", "2.00")
    assert rows[0][4].startswith("86 (fatigue, 43 MPa); 6 (fatigue, low modulus, 3 MPa)")
    assert rows[1][1:] == ("cement, tension", "0.50", "2.00", "60 (static, 30 MPa)")
    assert rows[3][4] == DASH
    assert len(rows) == 10


def test_regions_beside_the_rim_have_their_relief(full: dict[str, Any]) -> None:
    """Protects: an arm's mean and percentile stand under its name, in percent."""
    table = titled(full, "Relief of von Mises stress by region")
    assert table.columns[1:3] == ("balloon, mean", "balloon, 95th percentile")
    assert table.rows == (("cortex", "5.0", "-2.0", "5.0", "-2.0"),)
