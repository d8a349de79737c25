"""``report.html`` of a study: three sentences, ranking, choices, responses, what drives them."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from sacrofem.report.assumptions import Assumption, assumptions
from sacrofem.report.figures import png
from sacrofem.report.html import Picture, render
from sacrofem.report.study_figures import (
    few_cases,
    front_figure,
    ranking_figure,
    response_figure,
    sensitivity_figure,
    ways_of,
)
from sacrofem.report.study_table import failure_rows, study_tables
from sacrofem.study.analysis.analyse import Analysis, analyse
from sacrofem.study.analysis.cases import WAY, dose_field, field_words, place_fields
from sacrofem.study.analysis.facts import StudyFacts, read_facts
from sacrofem.study.analysis.measures import COLUMNS, MEASURES
from sacrofem.study.analysis.sensitivity import Sensitivities
from sacrofem.study.analysis.sentences import sentences
from sacrofem.study.failures import Failure
from sacrofem.study.provenance import versions
from sacrofem.study.store import read_failures
from sacrofem.study.table import read_table

RECORDS, REPORT = "records.sqlite", "report.html"
#: Fields whose curves are drawn: volume, location, then those that drive the relief most.
FIELDS_DRAWN = 6
#: Assumptions of the images, which differ from bone to bone and stand in the page of a run.
OF_IMAGES = "CT and anatomy"
#: Designs in words.
DESIGNS = {
    "grid": "a grid",
    "lhs": "a Latin hypercube",
    "sobol": "a Sobol sequence",
    "random": "random draws",
    "csv": "a table",
    "saltelli": "a design for Sobol's indices",
}
LIMITS = (
    "No finite-element comparison of sacroplasty approaches or fill techniques has been published: "
    "there is nothing outside to validate the ranking against.",
    "A probability here is one under the distributions that the study file states, for the bones "
    "that it names. It is not the chance of an outcome in people.",
    "Intervals come from the number of points alone. What is the same in all cases (the form of "
    "the material laws, linear elasticity, one bone) is in no interval.",
    "The rim of a case leaves out the cells of its own cement. Another volume or technique is "
    "judged by other cells, fewer where the cement spreads; the stiffness has no such choice.",
    "A relief of stress is not a gain of strength, and nothing here predicts pain.",
    "A way of treating that could not be done in a case is left out there, with its reason above; "
    "a ranking uses only the points where every way was done.",
)


def write_study_report(folder: Path) -> Path:
    """Write ``report.html`` into a study's folder from its records and facts.

    Args:
        folder: Folder of a sweep; holds ``records.sqlite`` and ``study.json``.

    Returns:
        The page.

    Raises:
        InputError: A file is missing or cannot be read, or no case is finished.
    """
    facts = read_facts(folder)
    analysis = analyse(read_table(folder / RECORDS, COLUMNS), facts)
    page = folder / REPORT
    text = study_page(analysis, read_failures(folder / RECORDS))
    page.write_text(text, encoding="utf-8")
    return page


def study_page(analysis: Analysis, failures: Sequence[Failure]) -> str:
    """The page as HTML."""
    facts = analysis.facts
    return render(
        "study.html",
        title=facts.title,
        question=_question(analysis, len(failures)),
        sentences=sentences(analysis),
        failures=failure_rows(failures),
        pictures=pictures(analysis),
        tables=study_tables(analysis),
        limits=LIMITS,
        varied=[(field, field_words(field), how_words(how)) for field, how in facts.vary.items()],
        assumptions=[
            (group, list(rows))
            for group, rows in groupby(_assumptions(facts), key=attrgetter("group"))
        ],
        versions=versions(),
    )


def pictures(analysis: Analysis) -> list[Picture]:
    """The figures in the order of the page: ranking, choices, responses, sensitivities."""
    found = []
    judged = analysis.judged
    ranking = analysis.rankings.get((WAY, judged.name))
    kind = "drawn points" if analysis.facts.drawn else "points of the grid or table"
    if ranking is not None and ranking.n:
        found.append(
            Picture(
                png(ranking_figure(ranking, judged)),
                f"Bars of how often each way of treating has the largest {judged.words}, and a "
                "matrix of how often each is better than each other.",
                f"The ways of treating by {judged.words}, the best mean first, paired within "
                f"{ranking.n} {kind}. Left: better than all others by more than {judged.tie:g} "
                "percentage points, with Wilson's 95 % interval, which takes the points as drawn "
                "independently. Right: pair by pair; what is missing to 100 % in both directions "
                "are ties.",
            )
        )
    if len(analysis.front.on) > 1:
        found.append(_front(analysis))
    found += [_responses(analysis, field) for field in _fields_drawn(analysis)]
    for measure in MEASURES:
        known = {
            "all ways of treating" if way == WAY else way: each
            for (name, way), each in analysis.sensitivities.items()
            if name == measure.name and isinstance(each, Sensitivities) and each.fields
        }
        if known:
            method = next(iter(known.values())).method
            found.append(
                Picture(
                    png(sensitivity_figure(known)),
                    f"Bars of the part of the variance of {measure.words} by varied field.",
                    f"What drives {measure.words}: {method}. n: complete rows or cases; bars: "
                    "95 % intervals.",
                )
            )
    return found


def _front(analysis: Analysis) -> Picture:
    front = analysis.front
    return Picture(
        png(front_figure(front, ways_of(analysis))),
        "Relief against leak of every choice, coloured by the distance to the nearest nerve.",
        f"{len(front.on)} choices of way and volume by their means over "
        f"{_span([int(n) for n in front.circumstances])} circumstances each. "
        "Ringed: no other choice is at least as good in relief, leak and distance and better in "
        "one. Means have errors: neighbours of the front may belong to it.",
    )


def _responses(analysis: Analysis, field: str) -> Picture:
    curves = [c for m in MEASURES for c in analysis.curves[field, m.name]]
    counts = [estimate.n for curve in curves for estimate in curve.mean]
    binned = " Drawn values are cut into bins of equally many cases." * any(
        curve.binned for curve in curves
    )
    kind = (
        "the 10th to 90th percentile of the cases, too few for a 95 % interval of the mean"
        if few_cases(curves)
        else "95 % intervals of the mean (bootstrap over points)"
    )
    return Picture(
        png(response_figure(analysis, field)),
        f"Curves of {', '.join(m.words for m in MEASURES)} over {field_words(field)}.",
        f"Mean response to: {field_words(field)}. Bands and bars are {kind}; each mean is over "
        f"{_span(counts)} cases, over all that varies besides, so that lines are not the course of "
        f"one patient.{binned}",
    )


def _span(counts: Sequence[int]) -> str:
    """Smallest and largest count, or the one that all are."""
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def _fields_drawn(analysis: Analysis) -> list[str]:
    """Volume and location first, then what drives the relief most."""
    there = list(dict.fromkeys(field for field, _ in analysis.curves))
    dose = dose_field(analysis.cases)
    order = [*([dose] if dose else []), *place_fields(analysis.cases)]
    for (name, _), found in analysis.sensitivities.items():
        if name == analysis.judged.name and isinstance(found, Sensitivities):
            order += [each.field for each in found.fields]
    return [field for field in dict.fromkeys([*order, *there]) if field in there][:FIELDS_DRAWN]


def how_words(how: Any) -> str:
    """How a field varies, for a reader: ``uniform 1, 10`` or its values."""
    if isinstance(how, dict):
        return "; ".join(
            f"{word} {how_words(value)}" for word, value in how.items() if value is not None
        )
    return (
        ", ".join(how_words(value) for value in how) if isinstance(how, list | tuple) else str(how)
    )


def _question(analysis: Analysis, failed: int) -> str:
    facts = analysis.facts
    arms = ", ".join(arm.name for arm in facts.base.arms)
    varied = ", ".join(field_words(field) for field in facts.vary) or "what the table of points has"
    seed = "" if facts.seed is None else f", seed {facts.seed}"
    return (
        f"{facts.points:,} points of {DESIGNS[facts.kind]}{seed}, each treated by the arms {arms}: "
        f"{analysis.finished:,} of {analysis.asked:,} cases are finished, {failed:,} failed. What "
        f"varies: {varied}."
    )


def _assumptions(facts: StudyFacts) -> list[Assumption]:
    """Assumptions of the base; those that vary stand apart."""
    found = assumptions(facts.base, model=facts.model, hold=facts.base.load.hold)
    return [row for row in found if row.group != OF_IMAGES]
