"""Figures of a cohort: the arms paired by patient, and the three states of each arm."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sacrofem.image.volume import FloatArray
from sacrofem.report.cohort_table import BY_ARM, STATES, Measure
from sacrofem.report.figures import SMALL_PT, STATE_COLOURS, TEXT_PT

Values = Mapping[str, Any]
#: Measures that are drawn, those that the reader compares the arms by.
PAIRED = ("relief_mean", "relief_p95", "stiffness_gain", "leaked_ml")
#: States are drawn in parts of the intact state.
BY_STATE = {
    "stiffness_N_per_mm": "stiffness, % of intact",
    "rim_mean_MPa": "mean rim stress, % of intact",
}
#: Colours of Okabe and Ito for the arms.
ARM_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
BOX_WIDTH = 0.5


def paired_figure(values: Values) -> Figure:
    """Every patient's arms joined by a line, over the boxes of the arms."""
    arms = list(values["arms"])
    figure = Figure(figsize=(12.0, 4.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(PAIRED)), PAIRED, strict=True):
        measure = BY_ARM[name]
        table = np.array(
            [
                [_number(row["arms"].get(arm), name, measure) for arm in arms]
                for row in _rows(values)
            ]
        )
        _boxes(axes, table, ARM_COLOURS)
        _lines(axes, table, [row["id"] for row in _rows(values)])
        axes.set_xticks(range(len(arms)), arms, fontsize=TEXT_PT - 1, rotation=15)
        _dress(axes, measure.words)
        if name == "leaked_ml":
            axes.set_ylim(bottom=0.0)
    return figure


def states_figure(values: Values) -> Figure:
    """Stiffness and rim stress of every patient with the lesion and after it, against intact."""
    arms = list(values["arms"])
    figure = Figure(figsize=(3.1 * len(arms) * len(BY_STATE), 4.0), layout="constrained")
    panels = figure.subplots(1, len(arms) * len(BY_STATE), squeeze=False)[0]
    colours = tuple(STATE_COLOURS[state] for state in STATES)
    for place, (name, label) in enumerate(BY_STATE.items()):
        group = panels[place * len(arms) : (place + 1) * len(arms)]
        for axes, arm in zip(group, arms, strict=True):
            table = np.array([_parts(row["arms"].get(arm), name) for row in _rows(values)])
            _boxes(axes, table, colours)
            _lines(axes, table, [row["id"] for row in _rows(values)])
            axes.set_xticks(range(len(STATES)), STATES, fontsize=TEXT_PT - 1)
            axes.set_title(arm, fontsize=TEXT_PT, fontweight="bold")
            _dress(axes, label)
            if axes is not group[0]:
                axes.sharey(group[0])
    return figure


def _rows(values: Values) -> Sequence[Mapping[str, Any]]:
    rows: Sequence[Mapping[str, Any]] = values["patients"]
    return rows


def _number(found: Mapping[str, Any] | None, name: str, measure: Measure) -> float:
    value = None if found is None else found[name]
    return np.nan if value is None else measure.factor * value


def _parts(found: Mapping[str, Any] | None, name: str) -> list[float]:
    """The states of a measure in percent of the intact one."""
    states = {} if found is None else found[name]
    intact = states.get("intact")
    if not intact:
        return [np.nan] * len(STATES)
    return [np.nan if states[state] is None else 100.0 * states[state] / intact for state in STATES]


def _boxes(axes: Axes, table: FloatArray, colours: Sequence[str]) -> None:
    """Median, quartiles and range of each column."""
    for column, sample in enumerate(table.T):
        kept = sample[np.isfinite(sample)]
        if not len(kept):
            continue
        drawn = axes.boxplot(
            kept,
            positions=[column],
            widths=BOX_WIDTH,
            whis=(0.0, 100.0),
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            medianprops={"color": "black", "linewidth": 1.8},
        )
        colour = colours[column % len(colours)]
        drawn["boxes"][0].set(facecolor=colour, alpha=0.3, edgecolor=colour)


def _lines(axes: Axes, table: FloatArray, names: Sequence[int]) -> None:
    """One line a patient, with its number at the right end."""
    last = table.shape[1] - 1
    for name, row in zip(names, table, strict=True):
        axes.plot(range(last + 1), row, "o-", color="#444444", linewidth=0.8, markersize=3.5)
        if np.isfinite(row[-1]):
            axes.annotate(
                str(name),
                (last, row[-1]),
                xytext=(5, 0),
                textcoords="offset points",
                fontsize=SMALL_PT - 2,
                va="center",
            )


def _dress(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, fontsize=TEXT_PT - 1)
    axes.tick_params(axis="y", labelsize=SMALL_PT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(-0.5, axes.get_xticks()[-1] + 0.6)
    axes.margins(y=0.1)
