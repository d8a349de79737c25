"""Load and displacement to failure, of the states and arms of a summary."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sacrofem.measure.failure_curve import SECANT_LOSS
from sacrofem.report.digits import is_number
from sacrofem.report.figures import SMALL_PT, STATE_COLOURS, TEXT_PT

#: Colours of Okabe and Ito for the arms, the first that of the treated state.
ARM_COLOURS = (STATE_COLOURS["treated"], "#CC79A7", "#009E73", "#E69F00", "#56B4E9")
DASHES = {"intact": "-", "lesion": "--"}
#: Arms whose curves lie on one another are seen by these, the first being a line.
ARM_DASHES: tuple[str | tuple[Any, ...], ...] = (
    "-",
    (0, (1, 1.2)),
    (0, (4, 1.5)),
    (0, (4, 1.5, 1, 1.5)),
)


def failure_curves(summary: Mapping[str, Any]) -> Figure | None:
    """Force on S1 over the displacement of its endplate, and the loads of yield and failure.

    Args:
        summary: Values of ``summary.json``.

    Returns: The figure; None for a summary without loads of failure.
    """
    arms = summary["arms"]
    first = next(iter(arms.values()))
    states = {name: first[name].get("failure") for name in DASHES}
    states |= {name: arm["treated"].get("failure") for name, arm in arms.items()}
    if None in states.values():
        return None
    figure = Figure(figsize=(11.5, 4.6), layout="constrained")
    axes, bars = figure.subplots(1, 2, width_ratios=(3, 2))
    colour, dash = cycle(ARM_COLOURS), cycle(ARM_DASHES)
    colours = {name: STATE_COLOURS[name] if name in DASHES else next(colour) for name in states}
    for name, values in states.items():
        _draw(axes, name, values, colours[name], DASHES.get(name) or next(dash))
    _load_case(axes, states["intact"]["load_N"])
    _finish(axes)
    _bars(bars, states, colours)
    return figure


def _draw(
    axes: Axes, name: str, values: Mapping[str, Any], colour: str, dash: str | tuple[Any, ...]
) -> None:
    endplate_mm, force_N = values["curve"]["endplate_mm"], values["curve"]["force_N"]
    axes.plot(endplate_mm, force_N, color=colour, linestyle=dash, linewidth=1.8, label=name)
    yield_N = _number(values["yield_N"])
    yield_mm = np.interp(yield_N, force_N, endplate_mm)
    axes.plot(yield_mm, yield_N, "o", markerfacecolor="white", markeredgecolor=colour)
    axes.plot(endplate_mm[-1], _number(values["failure_N"]), "s", color=colour)


def _load_case(axes: Axes, load_N: float) -> None:
    """The size of the load of the case, for comparison."""
    axes.axhline(load_N, color="black", linewidth=0.8, linestyle=":")
    axes.annotate(
        f"load case, {load_N:.0f} N",
        (1.0, load_N),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=SMALL_PT,
    )


def _number(value: float | None) -> float:
    return value if value is not None else float("nan")


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


def _bars(axes: Axes, states: Mapping[str, Mapping[str, Any]], colours: Mapping[str, str]) -> None:
    """Yield and failure load of each, side by side."""
    for shift, field, alpha in ((-0.2, "yield_N", 0.45), (0.2, "failure_N", 1.0)):
        values = [_number(state[field]) for state in states.values()]
        places = np.arange(len(values)) + shift
        shown = [colours[name] for name in states]
        axes.bar(places, values, 0.38, color=shown, alpha=alpha)
        for place, value in zip(places, values, strict=True):
            text, height = (f"{value:.0f}", value) if is_number(value) else ("none", 0.0)
            axes.annotate(
                text,
                (place, height),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=SMALL_PT,
            )
    axes.set_xticks(range(len(states)), list(states), fontsize=TEXT_PT)
    axes.set_ylabel("load of yield (pale) and of failure, N", fontsize=TEXT_PT)
    axes.tick_params(axis="y", labelsize=SMALL_PT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.12)
