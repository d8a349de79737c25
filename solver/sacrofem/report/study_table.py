"""The tables of a study, from its analysis alone."""

from collections import Counter
from collections.abc import Sequence

from sacrofem.report.digits import DASH, fixed
from sacrofem.report.table import Table
from sacrofem.study.analysis.analyse import Analysis
from sacrofem.study.analysis.cases import WAY, field_words
from sacrofem.study.analysis.curves import is_numeric
from sacrofem.study.analysis.intervals import Estimate, Share
from sacrofem.study.analysis.measures import MEASURES, Measure
from sacrofem.study.analysis.sensitivity import Sensitivities
from sacrofem.study.failures import Failure

#: Choices of the Pareto front that a table shows.
FRONT_ROWS = 20
#: Length of a failure's message that is shown.
MESSAGE_SHOWN = 240


def study_tables(analysis: Analysis) -> tuple[Table, ...]:
    """Rankings, the front, responses by field, sensitivities: those that the study has."""
    rankings = [_ranking(analysis, what) for what in _ranked(analysis)]
    curves = [_curves(analysis, measure) for measure in MEASURES if analysis.curves]
    indices = [_indices(analysis, measure) for measure in MEASURES]
    found = (*rankings, _front(analysis), *curves, *indices)
    return tuple(table for table in found if table.rows)


def failure_rows(failures: Sequence[Failure]) -> list[tuple[str, str, str, str]]:
    """Arm, cause, how often, and the message of the first, the most frequent first."""
    count = Counter((failure.arm, failure.cause) for failure in failures)
    first = {(f.arm, f.cause): f.message for f in reversed(failures)}
    return [
        (arm, cause, str(times), _short(first[arm, cause]))
        for (arm, cause), times in count.most_common()
    ]


def show(found: Estimate, digits: int) -> str:
    """A mean with its interval: ``3.1 (2.0 to 4.2)``."""
    if not found.n:
        return DASH
    if found.low != found.low:
        return fixed(found.value, digits)
    return (
        f"{fixed(found.value, digits)} ({fixed(found.low, digits)} to {fixed(found.high, digits)})"
    )


def show_percent(share: Share) -> str:
    """A share in percent with its interval."""
    low, high = share.interval
    if low != low:
        return DASH
    return f"{100.0 * share.value:.0f} ({100.0 * low:.0f} to {100.0 * high:.0f})"


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE_SHOWN else f"{message[:MESSAGE_SHOWN]} …"


def _ranked(analysis: Analysis) -> list[str]:
    return list(dict.fromkeys(what for what, _ in analysis.rankings))


def _ranking(analysis: Analysis, what: str) -> Table:
    """Mean of each measure by way, in the order of the relief, and how often each is best."""
    found = {m.name: analysis.rankings[what, m.name] for m in MEASURES}
    first = found[analysis.judged.name]
    rows = []
    for name in first.names:
        cells = [name]
        for measure in MEASURES:
            ranking = found[measure.name]
            if name in ranking.names:
                place = ranking.names.index(name)
                cells += [show(ranking.mean[place], measure.digits)]
                cells += [show_percent(ranking.best[place])]
            else:
                cells += [DASH, DASH]
        rows.append(tuple(cells))
    columns = [what]
    for measure in MEASURES:
        columns += [f"{measure.name}, {measure.unit}", "best in, %"]
    kind = "drawn points" if analysis.facts.drawn else "points of the grid or table"
    counts = ", ".join(f"{m.name} n = {found[m.name].n}" for m in MEASURES)
    over = "" if what == WAY else " Each is averaged over the other part of the way of treating."
    return Table(
        f"Ranking by {what}",
        tuple(columns),
        tuple(rows),
        1,
        f"Means and shares of the {kind} that have a finished case of every way ({counts}), with "
        f"95 % intervals in brackets; left out for the {analysis.judged.name}: "
        f"{first.left_out}. Best in: better than all others by more than a tie ({_ties()}). Of a "
        f"grid a share is one of that grid, no probability.{over}",
    )


def _ties() -> str:
    return ", ".join(f"{measure.name} {measure.tie:g} {measure.unit}" for measure in MEASURES)


def _front(analysis: Analysis) -> Table:
    front = analysis.front
    on = [i for i in range(len(front.on)) if front.on[i]]
    on.sort(key=lambda i: -front.means[i, 0])
    rows = tuple(
        (
            str(front.way[i]),
            str(front.words[i]) or DASH,
            fixed(float(front.means[i, 0]), 1),
            fixed(float(front.means[i, 1]), 2),
            fixed(float(front.means[i, 2]), 1),
            str(front.circumstances[i]),
        )
        for i in on[:FRONT_ROWS]
    )
    more = f" {len(on) - FRONT_ROWS} more are not shown." if len(on) > FRONT_ROWS else ""
    same = (
        "Means over the circumstances that all choices share."
        if front.shared
        else "The choices do not share their circumstances: one that failed where it was hard, or "
        "was drawn where it is easy, looks better than it is."
    )
    lost = f" {front.left_out} choices without cement or relief are left out." * bool(
        front.left_out
    )
    return Table(
        "Choices that no other beats in relief, leak and clearance at once",
        (WAY, "with", "relief, %", "leak, ml", "clearance, mm", "circumstances"),
        rows,
        2,
        f"{len(on)} of {len(front.on)} choices. {same}{lost}{more}",
    )


def _curves(analysis: Analysis, measure: Measure) -> Table:
    rows = []
    for (field, name), curves in analysis.curves.items():
        if name != measure.name:
            continue
        for curve in curves:
            for place, estimate in enumerate(curve.mean):
                at = curve.at[place]
                text = f"{at:.4g}" if is_numeric(curve.at) else str(at)
                low, high = (fixed(float(end), measure.digits) for end in curve.spread[place])
                rows.append(
                    (
                        field_words(field),
                        f"about {text}" if curve.binned else text,
                        curve.way,
                        show(estimate, measure.digits),
                        f"{low} to {high}",
                        str(estimate.n),
                    )
                )
    return Table(
        f"Responses: {measure.words}, {measure.unit}",
        ("field", "value", WAY, "mean", "10th to 90th percentile", "cases"),
        tuple(rows),
        3,
        "Mean over all that varies besides, with its 95 % interval in brackets (bootstrap over the "
        "points; none of one case), and the spread of the cases. 'About': mean of a bin.",
    )


def _indices(analysis: Analysis, measure: Measure) -> Table:
    rows, notes = [], []
    for (name, way), found in analysis.sensitivities.items():
        if name != measure.name:
            continue
        if not isinstance(found, Sensitivities):
            notes.append(f"{way}: {found}")
            continue
        notes.append(f"{found.method}; left out: {found.left_out}.")
        for each in found.fields:
            total = DASH if each.total is None else show(each.total, 2)
            where = "all" if way == WAY else way
            rows.append(
                (field_words(each.field), where, show(each.first, 2), total, str(found.rows))
            )
    return Table(
        f"What drives it: {measure.words}",
        ("field", WAY, "alone", "with interactions", "rows"),
        tuple(rows),
        2,
        " ".join(dict.fromkeys(notes)),
    )
