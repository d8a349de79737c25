"""The figure, table and words of loads of failure: what is shown is what a summary has."""

import copy
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from sacrofem.report import page as page_module
from sacrofem.report import scene
from sacrofem.report.assumptions import assumptions
from sacrofem.report.digits import DASH
from sacrofem.report.failure_figure import failure_curves
from sacrofem.report.failure_words import MESH_ERROR, MESH_PERCENT
from sacrofem.report.figures import png
from sacrofem.report.page import page, pictures
from sacrofem.report.table import Table, tables
from sacrofem.report.view import BoneView
from sacrofem.study.scenario import Scenario

TOPS_N = {"intact": 9000.0, "lesion": 6000.0, "balloon": 7000.0, "vertebroplasty": 8000.0}


def failure(top_N: float) -> dict[str, Any]:
    moved = np.array([0.0, 1.0, 2.0, 3.0])
    return {
        "load_N": 500.0,
        "effective_strain_N": 0.5 * top_N,
        "yield_strain_N": 0.55 * top_N,
        "yield_N": 0.9 * top_N,
        "failure_N": top_N,
        "stiffness_N_per_mm": 0.6 * top_N / 1.1,
        "yielded_ml": 12.34,
        "dissipated_mJ": 345.6,
        "place_mm": [0.0, 0.0, 0.0],
        "residual": 1e-9,
        "equilibrium_error": 1e-12,
        "curve": {
            "force_N": (top_N * np.array([0.0, 0.6, 0.95, 1.0])).tolist(),
            "moved_mm": moved.tolist(),
            "endplate_mm": (1.1 * moved).tolist(),
        },
    }


@pytest.fixture
def failed(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary with loads of failure."""
    for name, arm in summary["arms"].items():
        for state in ("intact", "lesion"):
            arm[state]["failure"] = failure(TOPS_N[state])
        arm["treated"]["failure"] = failure(TOPS_N[name])
    return summary


def failure_table(summary: dict[str, Any]) -> Table | None:
    return next((t for t in tables(summary) if t.title.startswith("Loaded to failure")), None)


def test_the_figure_has_each_curve_with_its_loads(failed: dict[str, Any]) -> None:
    """Protects: the axis is the endplate's displacement, marks sit on their curves, bars match."""
    figure = failure_curves(failed)
    assert figure is not None
    axes, bars = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    for name, top_N in TOPS_N.items():
        curve = failure(top_N)["curve"]
        np.testing.assert_array_equal(lines[name].get_xdata(), curve["endplate_mm"])
        np.testing.assert_array_equal(lines[name].get_ydata(), curve["force_N"])
    assert len({lines[name].get_color() for name in TOPS_N}) == 4
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    for line, (name, top_N) in zip(marks, TOPS_N.items(), strict=True):
        data = lines[name].get_xdata(), lines[name].get_ydata()
        at = np.interp(float(line.get_xdata()[0]), *data)
        assert at == pytest.approx(0.9 * top_N)
    assert sorted(p.get_height() for p in bars.patches)[-1] == 9000.0
    assert imread(BytesIO(png(figure, dpi=50)))[..., :3].std() > 0.02


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_bone_that_does_not_fail_is_drawn_without_a_failure(
    failed: dict[str, Any], nothing: float | None
) -> None:
    """Protects: what a file or a run has for no number is told as none, not drawn as zero."""
    for arm in failed["arms"].values():
        for state in ("intact", "lesion", "treated"):
            arm[state]["failure"] |= {"failure_N": nothing, "yield_N": nothing}
    figure = failure_curves(failed)
    assert figure is not None
    assert [text.get_text() for text in figure.axes[1].texts] == ["none"] * 8
    assert imread(BytesIO(png(figure, dpi=50)))[..., :3].std() > 0.01
    table = failure_table(failed)
    assert table is not None
    assert table.rows[0][1:] == (DASH,) * 4
    assert table.rows[1][1:] == (DASH,) * 4


def test_the_table_has_the_loads_and_their_change_to_the_lesion(failed: dict[str, Any]) -> None:
    """Protects: columns belong to their states, and the note tells what the mesh does."""
    table = failure_table(failed)
    assert table is not None
    assert table.columns[1:] == tuple(TOPS_N)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["Failure load, N"] == ("9000", "6000", "7000", "8000")
    assert rows["  change to the lesion state, %"] == ("+50.00", DASH, "+16.67", "+33.33")
    assert rows["Linear criterion, effective strain, N"] == ("4500", "3000", "3500", "4000")
    assert MESH_ERROR in table.note


def test_the_mesh_error_is_the_measured_one() -> None:
    """Protects: the per cent beside every load of failure is that of the page that measures it."""
    measured = Path(__file__).parents[2] / "docs" / "strength.md"
    text = " ".join(measured.read_text(encoding="utf-8").split())
    found = re.search(r"failure load moves by (-\d+\.\d+)", text)
    assert found
    assert round(-float(found[1]), 1) == MESH_PERCENT


def test_what_was_not_asked_for_is_not_there(summary: dict[str, Any], scenario: Scenario) -> None:
    """Protects: a run without curves speaks of none, and claims no yielding."""
    assert failure_curves(summary) is None
    assert failure_table(summary) is None
    text = page(summary, scenario, [])
    assert "Loaded to failure" not in text
    assert "no yielding" in text
    assert "Failure" not in {row.group for row in assumptions(scenario)}


def test_the_page_has_table_picture_and_assumptions(
    failed: dict[str, Any],
    scenario: Scenario,
    views: dict[str, BoneView],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Protects: the picture is on the page with its mesh error, and the limits fit the run."""
    monkeypatch.setattr(scene, "render_window", lambda: None)
    monkeypatch.setattr(page_module, "_slices", lambda view, arms: [])
    drawn, _ = pictures(views["right"], copy.deepcopy(failed))
    assert [MESH_ERROR in picture.caption for picture in drawn] == [False, True]
    asked = scenario.model_copy(update={"failure_curve": True})
    text = page(failed, asked, drawn)
    assert "Loaded to failure" in text
    assert "no yielding" not in text
    assert "in all but the loads of failure" in text
    assert "Failure" in {row.group for row in assumptions(asked)}
