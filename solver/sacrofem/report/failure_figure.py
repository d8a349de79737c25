"""Load and displacement to failure, of the states and arms of a comparison."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sacrofem.measure.failure_curve import SECANT_LOSS, CurveMeasures
from sacrofem.mechanics.plasticity import LoadDisplacement
from sacrofem.report.figures import SMALL_PT, STATE_COLOURS, TEXT_PT

#: Colours of Okabe and Ito for the arms, the first that of the treated state.
ARM_COLOURS = (STATE_COLOURS["treated"], "#CC79A7", "#009E73", "#E69F00", "#56B4E9")
DASHES = {"intact": "-", "lesion": "--"}


def failure_curves(
    curves: Mapping[str, LoadDisplacement],
    measures: Mapping[str, CurveMeasures],
    load_case_N: float,
) -> Figure:
    """Force on S1 over the displacement of its endplate, and the loads of yield and failure.

    Args:
        curves: By ``intact``, ``lesion`` and the names of the arms, in this order.
        measures: Of the same.
        load_case_N: Size of the load of the case, drawn for comparison.
    """
    figure = Figure(figsize=(11.5, 4.6), layout="constrained")
    axes, bars = figure.subplots(1, 2, width_ratios=(3, 2))
    arms = cycle(ARM_COLOURS)
    colours = {name: STATE_COLOURS[name] if name in DASHES else next(arms) for name in curves}
    for name, curve in curves.items():
        _draw(axes, name, curve, measures[name], colours[name])
    axes.axhline(load_case_N, color="black", linewidth=0.8, linestyle=":")
    axes.annotate(
        f"load case, {load_case_N:.0f} N",
        (1.0, load_case_N),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=SMALL_PT,
    )
    _finish(axes)
    _bars(bars, measures, colours)
    return figure


def _draw(
    axes: Axes, name: str, curve: LoadDisplacement, found: CurveMeasures, colour: str
) -> None:
    axes.plot(
        curve.endplate_mm,
        curve.force_N,
        color=colour,
        linestyle=DASHES.get(name, "-"),
        linewidth=1.8,
        label=name,
    )
    yield_mm = np.interp(found.yield_N, curve.force_N, curve.endplate_mm)
    axes.plot(yield_mm, found.yield_N, "o", markerfacecolor="white", markeredgecolor=colour)
    axes.plot(curve.endplate_mm[-1], found.failure_N, "s", color=colour)


def _finish(axes: Axes) -> None:
    axes.set_xlabel("mean displacement of the S1 endplate along the force, mm", fontsize=TEXT_PT)
    axes.set_ylabel("force on S1, N", fontsize=TEXT_PT)
    axes.set_xlim(left=0.0)
    axes.set_ylim(bottom=0.0)
    axes.tick_params(labelsize=SMALL_PT)
    axes.spines[["top", "right"]].set_visible(False)
    yields = Line2D([], [], marker="o", color="black", linestyle="", markerfacecolor="white")
    fails = Line2D([], [], marker="s", color="black", linestyle="")
    yields.set_label(f"yield (secant {100.0 * SECANT_LOSS:.0f} % less stiff)")
    fails.set_label("failure")
    lines = axes.get_legend_handles_labels()[0]
    # Above the line of the load case, below all curves.
    axes.legend(
        handles=[*lines, yields, fails],
        fontsize=SMALL_PT,
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.15),
    )


def _bars(axes: Axes, measures: Mapping[str, CurveMeasures], colours: Mapping[str, str]) -> None:
    """Yield and failure load of each, side by side."""
    for shift, attribute, alpha in ((-0.2, "yield_N", 0.45), (0.2, "failure_N", 1.0)):
        values = [getattr(found, attribute) for found in measures.values()]
        places = np.arange(len(values)) + shift
        shown = [colours[name] for name in measures]
        axes.bar(places, values, 0.38, color=shown, alpha=alpha)
        for place, value in zip(places, values, strict=True):
            text, height = (f"{value:.0f}", value) if np.isfinite(value) else ("none", 0.0)
            axes.annotate(
                text,
                (place, height),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=SMALL_PT,
            )
    axes.set_xticks(range(len(measures)), list(measures), fontsize=TEXT_PT)
    axes.set_ylabel("load of yield (pale) and of failure, N", fontsize=TEXT_PT)
    axes.tick_params(axis="y", labelsize=SMALL_PT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.12)
