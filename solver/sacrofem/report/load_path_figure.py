"""The load path as a figure: who carries what at each level, and across the borders of zones."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sacrofem.measure.sections import ZONE_BORDERS
from sacrofem.report.figures import CEMENT, SMALL_PT, TEXT_PT

#: Who carries it: field of a summary, name and how it is drawn. Cortex and bone are in the two
#: darkest colours, so that the yellow of the cement stands out wherever it is.
CARRIERS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("bone_share", "bone and lesion", {"color": "#999999"}),
    ("cortex_share", "cortex", {"color": "#0072B2"}),
    ("cement_share", "cement", {"color": CEMENT}),
)
ELSEWHERE: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("above", "taken by joints and ligaments above", {"color": "#EEEEEE"}),
    ("load_below", "applied below", {"color": "white", "edgecolor": "#BBBBBB", "hatch": "////"}),
)
#: The borders as they are seen from in front: the patient's right is on the left.
_SEEN = ("I|II right", "II|III right", "II|III left", "I|II left")
#: Cement that carries less than this part of the load gets no number.
SHOWN_FROM = 0.005


def load_path(summary: Mapping[str, Any]) -> Figure | None:
    """Bars of who carries the load, level by level and border by border, by state and arm.

    Args:
        summary: Values of ``summary.json``.

    Returns: The figure; None for a summary without levels.
    """
    arms = summary["arms"]
    first = next(iter(arms.values()))
    states = {"intact": first["intact"], "lesion": first["lesion"]}
    states |= {name: arm["treated"] for name, arm in arms.items()}
    if not all(state.get("levels") for state in states.values()):
        return None
    width_in = 2.9 if len(states) < 5 else 2.3
    figure = Figure(figsize=(width_in * len(states) + 0.9, 7.6), layout="constrained")
    grid = figure.subplots(2, len(states), height_ratios=(5, 3), sharex="row", sharey="row")
    for (name, state), above, below in zip(states.items(), grid[0], grid[1], strict=True):
        _levels(above, state["levels"])
        _borders(below, state["sections"])
        above.set_title(name, fontsize=TEXT_PT + 1, fontweight="bold")
    # Bars end where their axes do unless told otherwise, and the numbers above them need room.
    high = max(axes.dataLim.y1 for axes in grid[1])
    grid[1, 0].set_ylim(min(1.1 * axes.dataLim.y0 for axes in grid[1]), 1.25 * max(high, 1e-9))
    grid[0, 0].set_ylabel("level and depth below the promontory, mm", fontsize=TEXT_PT)
    grid[1, 0].set_ylabel("to the side, % of the load", fontsize=TEXT_PT)
    figure.legend(
        handles=[_patch(word, look) for _, word, look in (*CARRIERS, *ELSEWHERE)],
        loc="outside lower center",
        ncols=len(CARRIERS) + len(ELSEWHERE),
        fontsize=TEXT_PT,
        frameon=False,
    )
    return figure


def _levels(axes: Axes, levels: Sequence[Mapping[str, Any]]) -> None:
    """One bar a level, from the head down."""
    depths = [level["depth_mm"] for level in levels]
    thick = 0.8 * (depths[1] - depths[0]) if len(depths) > 1 else 5.0
    for level in levels:
        low = high = 0.0
        for field, _, look in (*CARRIERS, *ELSEWHERE):
            size = 100.0 * (level[field] or 0.0)
            # What acts against the load is drawn to the left of nothing.
            start = high if size >= 0.0 else low
            axes.barh(level["depth_mm"], size, thick, left=start, linewidth=0.5, **look)
            low, high = min(low, start + size), max(high, start + size)
            if field == "cement_share" and level[field] >= SHOWN_FROM:
                _number(axes, f"{size:.1f}", (start + size, level["depth_mm"]), "left")
    axes.set_yticks(depths, [f"{at['body']}  {at['depth_mm']:.0f}" for at in levels])
    axes.set_ylim(depths[-1] + thick, depths[0] - thick)
    axes.margins(x=0.02)
    axes.set_xlabel("down, % of the load", fontsize=TEXT_PT)
    _dress(axes)
    axes.axvline(0.0, color="black", linewidth=0.8)


def _borders(axes: Axes, sections: Mapping[str, Mapping[str, Any]]) -> None:
    """One bar a border of zones; of those that the bone does not have, none."""
    assert set(_SEEN) == set(ZONE_BORDERS)
    for place, name in enumerate(_SEEN):
        load = sections.get(name)
        if load is None:
            continue
        low = high = 0.0
        for field, _, look in CARRIERS:
            size = 100.0 * load[field]
            start = high if size >= 0.0 else low
            axes.bar(place, size, 0.8, bottom=start, linewidth=0.5, **look)
            low, high = min(low, start + size), max(high, start + size)
        text = f"{100.0 * load['share']:.0f}"
        if load["cement_share"] >= SHOWN_FROM:
            text += f"\n(cement {100.0 * load['cement_share']:.1f})"
        _number(axes, text, (place, high), "center")
    axes.set_xticks(range(len(_SEEN)), [name.replace(" ", "\n") for name in _SEEN])
    _dress(axes)
    axes.axhline(0.0, color="black", linewidth=0.8)


def _patch(word: str, look: Mapping[str, Any]) -> Patch:
    """An entry of the legend that looks like its bars: a patch's ``color`` hides its hatch."""
    edge = look.get("edgecolor", look["color"])
    return Patch(label=word, facecolor=look["color"], edgecolor=edge, hatch=look.get("hatch"))


def _number(axes: Axes, text: str, place: tuple[float, float], align: str) -> None:
    to_the_side = align == "left"
    axes.annotate(
        text,
        place,
        xytext=(2, 0) if to_the_side else (0, 2),
        textcoords="offset points",
        ha=align,
        va="center" if to_the_side else "bottom",
        fontsize=SMALL_PT - 1,
    )


def _dress(axes: Axes) -> None:
    axes.tick_params(labelsize=SMALL_PT)
    axes.spines[["top", "right"]].set_visible(False)
