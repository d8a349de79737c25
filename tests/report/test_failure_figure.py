"""The figure of load and displacement: what is drawn is what was found."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from sacrofem.measure.failure_curve import CurveMeasures
from sacrofem.mechanics.plasticity import LoadDisplacement
from sacrofem.report.failure_figure import failure_curves
from sacrofem.report.figures import png


def curve_of(top_N: float) -> tuple[LoadDisplacement, CurveMeasures]:
    moved, none = np.array([0.0, 1.0, 2.0, 3.0]), np.zeros(4)
    force = top_N * np.array([0.0, 0.6, 0.95, 1.0])
    curve = LoadDisplacement(force, moved, 1.1 * moved, none, none, none, none, none, True)
    return curve, CurveMeasures(0.5 * top_N, 0.9 * top_N, top_N, 1.0, none, np.zeros(3))


def test_the_figure_has_each_curve_with_its_loads() -> None:
    """Protects: the axis is the endplate's displacement, marks sit on their curves, bars match."""
    tops = {"intact": 9000.0, "lesion": 6000.0, "balloon": 7000.0, "vertebroplasty": 8000.0}
    made = {name: curve_of(top) for name, top in tops.items()}
    curves = {name: curve for name, (curve, _) in made.items()}
    measures = {name: found for name, (_, found) in made.items()}
    figure = failure_curves(curves, measures, 500.0)
    axes, bars = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    for name, curve in curves.items():
        np.testing.assert_array_equal(lines[name].get_xdata(), curve.endplate_mm)
        np.testing.assert_array_equal(lines[name].get_ydata(), curve.force_N)
    assert len({lines[name].get_color() for name in curves}) == 4
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    for line, name in zip(marks, curves, strict=True):
        at = np.interp(float(line.get_xdata()[0]), curves[name].endplate_mm, curves[name].force_N)
        assert at == pytest.approx(measures[name].yield_N)
    assert sorted(p.get_height() for p in bars.patches)[-1] == 9000.0
    assert imread(BytesIO(png(figure, dpi=50)))[..., :3].std() > 0.02


def test_a_bone_that_does_not_fail_is_drawn_without_a_failure() -> None:
    """Protects: NaN is told as none, not drawn as zero."""
    curve, found = curve_of(1000.0)
    found = replace(found, failure_N=float("nan"), yield_N=float("nan"))
    figure = failure_curves({"intact": curve}, {"intact": found}, 500.0)
    texts = [text.get_text() for text in figure.axes[1].texts]
    assert texts == ["none", "none"]
    assert imread(BytesIO(png(figure, dpi=50)))[..., :3].std() > 0.01
