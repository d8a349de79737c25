"""What a study says about volume, location and treatment, in three sentences made of its numbers.

Nothing is said that an interval does not hold: a change whose interval has 0 in it is called one
that the study cannot tell from none, and a share of a grid is not called a probability.
"""

from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sacrofem.study.analysis.analyse import Analysis
from sacrofem.study.analysis.cases import (
    WAY,
    Cases,
    dose_field,
    field_words,
    place_fields,
    places,
)
from sacrofem.study.analysis.curves import Contrast, contrast
from sacrofem.study.analysis.intervals import Estimate, Share
from sacrofem.study.analysis.measures import LEAK, STIFFNESS, Measure
from sacrofem.study.analysis.ranking import Ranking
from sacrofem.study.analysis.sensitivity import Sensitivities

#: An order of more ways than this is not spelt out.
ORDER_UP_TO = 4


def sentences(analysis: Analysis) -> tuple[str, str, str]:
    """One about the volume of the cement, one about the location or what drives, one about ways."""
    return _about_volume(analysis), _about_location(analysis), _about_ways(analysis)


def show_estimate(found: Estimate, measure: Measure, *, points: bool = True) -> str:
    """An estimate with unit and interval: ``+3.1 percentage points (95 % interval 2.0 to 4.2)``."""
    unit = "percentage points" if measure.unit == "%" and points else measure.unit
    value = f"{found.value:+.{measure.digits}f}" if points else f"{found.value:.{measure.digits}f}"
    if found.n < 2:
        return f"{value} {unit} (one pair, no interval)"
    low, high = f"{found.low:.{measure.digits}f}", f"{found.high:.{measure.digits}f}"
    return f"{value} {unit} (95 % interval {low} to {high}, n = {found.n})"


def show_share(share: Share, drawn: bool) -> str:
    """A share as a probability under drawn circumstances, or as a count of a grid."""
    if not drawn:
        return f"{share.count} of {share.n} points of the grid"
    low, high = (100.0 * end for end in share.interval)
    return (
        f"{100.0 * share.value:.0f} % of the {share.n} drawn points (95 % interval {low:.0f} to "
        f"{high:.0f} %)"
    )


def _about_volume(analysis: Analysis) -> str:
    cases, field, judged = analysis.cases, dose_field(analysis.cases), analysis.judged
    none = "Volume: this study does not vary the volume of the cement."
    if field is None:
        return none
    main, leak = (_effect(cases, [field], cases.chosen[field], m) for m in (judged, LEAK))
    if main is None:
        return none
    about = "" if main.paired else "about "
    text = (
        f"Volume: from {about}{main.first:.2g} to {main.second:.2g} ml of cement "
        f"{judged.words} changed by {_change(main, judged)}"
    )
    if leak is not None:
        text += f", and {LEAK.words} by {_change(leak, LEAK)}"
    return text + "."


def _effect(
    cases: Cases, fields: Sequence[str], column: NDArray[Any], measure: Measure
) -> Contrast | None:
    """What changing some fields did to a measure, all else equal where the design has that."""
    others, unit = cases.alike(cases.way, without=fields), cases.alike(without=fields)
    found = contrast(column, cases.values[measure.name], others, unit)
    if found is None or found.paired:
        return found
    _, point = np.unique(cases.point, return_inverse=True)
    return contrast(column, cases.values[measure.name], others, point)


def _about_location(analysis: Analysis) -> str:
    cases, judged = analysis.cases, analysis.judged
    fields = place_fields(cases)
    if fields:
        found = _effect(cases, fields, places(cases), judged)
        if found is not None:
            return (
                f"Location: {judged.words} was least with the lesion at '{found.first}' and "
                f"largest at '{found.second}', a difference of {_change(found, judged)}; the two "
                "were picked as the ends, which makes their difference look larger."
            )
    return _about_drivers(analysis)


def _about_drivers(analysis: Analysis) -> str:
    start = "Location: this study does not vary where the lesion is"
    known = {
        way: found
        for (name, way), found in analysis.sensitivities.items()
        if name == analysis.judged.name and isinstance(found, Sensitivities) and found.fields
    }
    if not known:
        return f"{start}, and its cases do not tell what drives {analysis.judged.words}."
    by_field: dict[str, list[Estimate]] = {}
    for found in known.values():
        most = found.fields[0]
        by_field.setdefault(most.field, []).append(most.total or most.first)
    kind = "total Sobol index" if next(iter(known.values())).fields[0].total else "main effect"
    parts = [f"'{field_words(field)}' ({kind} {_range(of)})" for field, of in by_field.items()]
    return f"{start}; what drives {analysis.judged.words} most is {' or '.join(parts)}."


def _range(found: list[Estimate]) -> str:
    """One index with its interval, or the range of those of several ways."""
    if len(found) > 1:
        values = sorted(estimate.value for estimate in found)
        return f"{values[0]:.2f} to {values[-1]:.2f} in {len(found)} ways of treating"
    one = found[0]
    ends = "" if isnan(one.low) else f", 95 % interval {one.low:.2f} to {one.high:.2f}"
    return f"{one.value:.2f}{ends}"


def _about_ways(analysis: Analysis) -> str:
    found = analysis.rankings.get((WAY, analysis.judged.name))
    if found is None:
        return "Treatment: this study has one way of treating, so there is nothing to rank."
    if not found.n:
        return (
            "Treatment: no point of this study has a finished case of every way of treating, so "
            "there is no ranking."
        )
    best, drawn, judged = found.names[0], analysis.facts.drawn, analysis.judged
    doubt = "" if _clear(found, judged) else ", which this study cannot tell from none"
    text = (
        f"Treatment: '{best}' had the largest mean of {judged.words}, "
        f"{show_estimate(found.mean[0], judged, points=False)}, ahead of '{found.names[1]}' by "
        f"{show_estimate(found.lead, judged)}{doubt}, and the largest in "
        f"{show_share(found.best[0], drawn)}; {_order(found, drawn)}"
    )
    for measure, word in ((LEAK, "leaked least"), (STIFFNESS, "stiffened most")):
        other = analysis.rankings.get((WAY, measure.name))
        if other is None or not other.n or measure is judged:
            continue
        if all(mean.value == mean.high == 0.0 for mean in other.mean):
            text += f"; {measure.words} was nothing at all in every one of them"
        else:
            text += f"; {_leader(other, measure, word)}"
    return text + "."


def _clear(found: Ranking, measure: Measure) -> bool:
    """Whether the first is ahead of the second by more than a tie and by more than chance."""
    return found.lead.value > measure.tie and found.lead.tells


def _leader(found: Ranking, measure: Measure, word: str) -> str:
    """Which way leads in a measure, unless the means tie."""
    if not _clear(found, measure):
        return (
            f"which {word} this study cannot tell, for the first two, '{found.names[0]}' and "
            f"'{found.names[1]}', differ by {show_estimate(found.lead, measure)}"
        )
    mean = show_estimate(found.mean[0], measure, points=False)
    return f"on average '{found.names[0]}' {word}, {mean}"


def _order(found: Ranking, drawn: bool) -> str:
    ties = f", neighbours tied in {found.tied.count}" if found.tied.count else ""
    missing = f"; {found.left_out} points without all ways are left out" if found.left_out else ""
    if len(found.names) > ORDER_UP_TO:
        second = f"it beat the second in {show_share(found.over[0][1], drawn)}"
        return f"{second}, and the whole order held in {found.order.count} of {found.n}{missing}"
    if len(found.names) == 2:
        worse = found.over[1][0].count
        return f"'{found.names[1]}' gave more in {worse} of {found.n}{ties}{missing}"
    names = " > ".join(found.names)
    return f"the whole order {names} held in {show_share(found.order, drawn)}{ties}{missing}"


def _change(found: Contrast, measure: Measure) -> str:
    if found.change.value == found.change.low == found.change.high == 0.0:
        return f"nothing at all (n = {found.change.n})"
    change = show_estimate(found.change, measure)
    how = "" if found.paired else " (means of different points)"
    if found.change.n < 2 or found.change.tells:
        return change + how
    return f"{change}{how}, which this study cannot tell from none"
