"""Figures of a study: response curves, sensitivities, the choices, the ranking."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sacrofem.report.figures import SMALL_PT, TEXT_PT
from sacrofem.study.analysis.analyse import Analysis
from sacrofem.study.analysis.cases import field_words
from sacrofem.study.analysis.curves import Curve, is_numeric
from sacrofem.study.analysis.front import Front
from sacrofem.study.analysis.measures import CLEARANCE, LEAK, MEASURES, RELIEF, Measure
from sacrofem.study.analysis.ranking import Ranking
from sacrofem.study.analysis.sensitivity import Sensitivities

#: Colours of Okabe and Ito; beyond these, line and marker tell the ways apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Edge of what is on the Pareto front.
RING = "#000000"
#: Width over which the ways stand side by side at one value, part of the distance of two values.
DODGE = 0.3
#: Below so many cases the interval of a mean says little (a choice): the spread of the cases does.
FEW = 8
#: Fields that a figure of sensitivities shows.
FIELDS_SHOWN = 12
#: A cell darker than this share is written in white.
DARK_FROM = 0.6


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour, line and marker of each way of treating, the same in all figures."""
    return {
        name: {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": LINES[i // len(COLOURS) % len(LINES)],
            "marker": MARKERS[i % len(MARKERS)],
        }
        for i, name in enumerate(names)
    }


def response_figure(analysis: Analysis, field: str) -> Figure:
    """All measures over one varied field, a line a way of treating."""
    style = styles(ways_of(analysis))
    rows = -(-len(style) // 3)
    figure = Figure(figsize=(12.5, 4.0 + 0.22 * rows), layout="constrained")
    for axes, measure in zip(figure.subplots(1, len(MEASURES)), MEASURES, strict=True):
        curves = analysis.curves[field, measure.name]
        if is_numeric(analysis.cases.varied[field]):
            _over_numbers(axes, curves, style)
        else:
            _over_words(axes, curves, style)
        axes.set_xlabel(field_words(field), fontsize=TEXT_PT - 1)
        _dress(axes, measure)
    handles = [Line2D([], [], label=name, **kind) for name, kind in style.items()]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(3, len(handles)),
        fontsize=SMALL_PT,
        frameon=False,
    )
    return figure


def sensitivity_figure(found: dict[str, Sensitivities]) -> Figure:
    """Indices of one measure with their intervals, a panel a way of treating."""
    sizes: dict[str, list[float]] = {}
    for each in found.values():
        for s in each.fields:
            sizes.setdefault(s.field, []).append((s.total or s.first).value)
    fields = sorted(sizes, key=lambda name: -float(np.mean(sizes[name])))[:FIELDS_SHOWN]
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    width = 8.0 if len(found) == 1 else 12.5
    figure = Figure(figsize=(width, 0.5 + rows * (1.1 + 0.38 * len(fields))), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, (way, each) in zip(panels, found.items(), strict=False):
        _indices(axes, each, fields)
        axes.set_title(f"{way}, n = {each.rows}", fontsize=SMALL_PT, fontweight="bold")
    panels[0].invert_yaxis()
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    if len(handles) > 1:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=2, fontsize=SMALL_PT, frameon=False
        )
    return figure


def front_figure(front: Front, ways: Sequence[str]) -> Figure:
    """Relief of every choice over leak, coloured by clearance; over clearance where none leaks."""
    figure = Figure(figsize=(9.0, 5.4), layout="constrained")
    axes = figure.subplots()
    style = styles(ways)
    leaks = bool(np.ptp(front.means[:, 1]) > LEAK.tie)
    across, at = (LEAK, front.means[:, 1]) if leaks else (CLEARANCE, front.means[:, 2])
    norm = Normalize(float(front.means[:, 2].min()), float(front.means[:, 2].max()))
    for way in ways:
        for on in (False, True):
            own = (front.way == way) & (front.on == on)
            colour = front.means[own, 2] if leaks else style[way]["color"]
            axes.scatter(
                at[own],
                front.means[own, 0],
                c=colour,
                norm=norm if leaks else None,
                cmap="viridis" if leaks else None,
                marker=style[way]["marker"],
                s=75 if on else 32,
                edgecolors=RING if on else "none",
                linewidths=2.0 if on else 0.0,
                zorder=3 if on else 2,
            )
    if leaks:
        bar = figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes)
        bar.set_label(f"{CLEARANCE.words}, {CLEARANCE.unit}: more is better", fontsize=TEXT_PT - 1)
    better = "less" if across.better < 0 else "more"
    axes.set_xlabel(f"{across.words}, {across.unit}: {better} is better", fontsize=TEXT_PT - 1)
    axes.set_ylabel(f"{RELIEF.words}, {RELIEF.unit}: more is better", fontsize=TEXT_PT - 1)
    _front_legend(figure, {way: "#666666" if leaks else style[way]["color"] for way in ways}, style)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL_PT)
    return figure


def _front_legend(
    figure: Figure, colours: dict[str, str], style: dict[str, dict[str, Any]]
) -> None:
    handles = [
        Line2D([], [], linestyle="", color=colour, marker=style[way]["marker"], label=way)
        for way, colour in colours.items()
    ]
    ring = Line2D([], [], linestyle="", marker="o", markersize=9, markerfacecolor="none")
    ring.set(markeredgecolor=RING, markeredgewidth=2.0, label="nothing beats it")
    figure.legend(
        handles=[*handles, ring],
        loc="outside lower center",
        ncols=3,
        fontsize=SMALL_PT,
        frameon=False,
    )


def ranking_figure(found: Ranking, measure: Measure) -> Figure:
    """How often each is best, and how often each is better than each other."""
    n = len(found.names)
    figure = Figure(figsize=(12.5, 1.9 + 0.5 * n), layout="constrained")
    best, over = figure.subplots(1, 2, width_ratios=(1.0, 1.25))
    places = np.arange(n)
    values = np.array([100.0 * share.value for share in found.best])
    ends = 100.0 * np.array([share.interval for share in found.best])
    # An interval at 0 or 1 meets the value up to rounding.
    spread = np.maximum(np.abs(ends.T - values), 0.0)
    best.barh(places, values, xerr=spread, color="#0072B2", ecolor="#333333", capsize=3)
    best.set_yticks(places, found.names, fontsize=SMALL_PT)
    best.invert_yaxis()
    best.set_xlim(0.0, 100.0)
    best.set_xlabel(f"best {measure.words},\n% of {found.n} points", fontsize=TEXT_PT - 1)
    best.spines[["top", "right"]].set_visible(False)
    _matrix(over, found)
    return figure


def few_cases(curves: Sequence[Curve]) -> bool:
    """Whether some mean of a figure is over so few cases that their spread is drawn instead."""
    return min((estimate.n for curve in curves for estimate in curve.mean), default=0) < FEW


def ways_of(analysis: Analysis) -> list[str]:
    """The ways of treating, the one of the largest mean first."""
    names = [str(name) for name in np.unique(analysis.cases.way)]
    judged = analysis.cases.values[analysis.judged.name]
    means = {}
    for name in names:
        own = judged[analysis.cases.way == name]
        own = own[np.isfinite(own)]
        means[name] = float(own.mean()) if len(own) else -np.inf
    return sorted(names, key=lambda name: -means[name])


def _over_numbers(axes: Axes, curves: Sequence[Curve], style: dict[str, dict[str, Any]]) -> None:
    """Lines with the interval of each mean, or the spread of few cases, as a band."""
    for curve in curves:
        kind = style[curve.way]
        at = curve.at.astype(float)
        values, low, high = _ends(curve, few_cases(curves))
        axes.fill_between(at, low, high, color=kind["color"], alpha=0.2, linewidth=0.0)
        axes.plot(at, values, markersize=4, linewidth=1.4, **kind)


def _over_words(axes: Axes, curves: Sequence[Curve], style: dict[str, dict[str, Any]]) -> None:
    """Points with error bars side by side, for words have no line between them."""
    words = sorted({str(value) for curve in curves for value in curve.at})
    places = {word: i for i, word in enumerate(words)}
    order = list(style)
    for curve in curves:
        shift = DODGE * (2.0 * (order.index(curve.way) + 0.5) / len(order) - 1.0)
        at = [places[str(value)] + shift for value in curve.at]
        values, low, high = _ends(curve, few_cases(curves))
        kind = style[curve.way] | {"linestyle": ""}
        spread = np.maximum([values - low, high - values], 0.0)
        axes.errorbar(at, values, yerr=spread, markersize=4, capsize=2, elinewidth=1.0, **kind)
    long = max((len(word) for word in words), default=0) > 8
    axes.set_xticks(
        range(len(words)),
        words,
        rotation=30 if long else 0,
        ha="right" if long else "center",
        fontsize=SMALL_PT,
    )


def _ends(curve: Curve, few: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, and the ends of their intervals or, of few cases, of their spread."""
    values = np.array([estimate.value for estimate in curve.mean])
    if few:
        # The mean of skewed cases may lie beyond their 90th percentile.
        return (
            values,
            np.minimum(curve.spread[:, 0], values),
            np.maximum(curve.spread[:, 1], values),
        )
    low = np.array([estimate.low for estimate in curve.mean])
    high = np.array([estimate.high for estimate in curve.mean])
    return (
        values,
        np.where(np.isfinite(low), low, values),
        np.where(np.isfinite(high), high, values),
    )


def _indices(axes: Axes, found: Sensitivities, fields: Sequence[str]) -> None:
    by_field = {each.field: each for each in found.fields}
    totals = all(each.total is not None for each in found.fields)
    kinds = [("alone", "#0072B2", {n: s.first for n, s in by_field.items()}, -0.2 * totals)]
    if totals:
        both = {n: s.total for n, s in by_field.items() if s.total is not None}
        kinds.append(("with interactions (total)", "#E69F00", both, 0.2))
    for label, colour, estimates, shift in kinds:
        drawn = [(i + shift, estimates[n]) for i, n in enumerate(fields) if n in estimates]
        height = 0.38 if totals else 0.6
        places, values = [i for i, _ in drawn], [e.value for _, e in drawn]
        axes.barh(places, values, height, color=colour, label=label)
        sure = [(i, e) for i, e in drawn if np.isfinite(e.low)]
        spread = np.array([[max(e.value - e.low, 0), max(e.high - e.value, 0)] for _, e in sure])
        if sure:
            at, middle = [i for i, _ in sure], [e.value for _, e in sure]
            axes.errorbar(middle, at, xerr=spread.T, fmt="none", ecolor="#333333", capsize=2)
    axes.set_yticks(range(len(fields)), [field_words(name) for name in fields], fontsize=SMALL_PT)
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel("part of the variance", fontsize=SMALL_PT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=SMALL_PT)


def _matrix(axes: Axes, found: Ranking) -> None:
    """Shares in which the way of a row is better than that of a column."""
    n = len(found.names)
    table = np.array([[share.value for share in row] for row in found.over])
    np.fill_diagonal(table, np.nan)
    axes.imshow(table, vmin=0.0, vmax=1.0, cmap="Blues", aspect="auto")
    for i in range(n):
        for j in range(n):
            if i != j:
                colour = "white" if table[i, j] > DARK_FROM else "black"
                text = f"{100.0 * table[i, j]:.0f}"
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=SMALL_PT)
    axes.set_xticks(range(n), found.names, rotation=25, ha="right", fontsize=SMALL_PT - 1)
    axes.set_yticks([])
    axes.set_title("row better than column, % of points", fontsize=TEXT_PT - 1)


def _dress(axes: Axes, measure: Measure) -> None:
    axes.set_ylabel(f"{measure.words}, {measure.unit}", fontsize=TEXT_PT - 1)
    axes.tick_params(labelsize=SMALL_PT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.08)
    if measure.least == 0.0:
        axes.set_ylim(bottom=0.0)
