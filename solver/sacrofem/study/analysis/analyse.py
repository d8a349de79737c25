"""Everything that a study says, from its table and its facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.study.analysis.cases import (
    WAY,
    Cases,
    cases_of,
    drawn_apart,
)
from sacrofem.study.analysis.curves import Curve, response_curves
from sacrofem.study.analysis.facts import StudyFacts
from sacrofem.study.analysis.front import Front, choices_front
from sacrofem.study.analysis.measures import MEASURES, Measure
from sacrofem.study.analysis.ranking import Ranking, rank, side_by_side
from sacrofem.study.analysis.sensitivity import (
    Sensitivities,
    as_blocks,
    main_effects,
    sobol_indices,
)
from sacrofem.study.table import Table

#: What can be ranked, beside the whole way of treating.
PARTS = ("approach", "technique")


@dataclass(frozen=True, eq=False)
class Analysis:
    """What a study says.

    Attributes:
        facts: What was asked.
        finished: Finished cases.
        asked: Cases of the design: points times arms.
        cases: The finished cases that were drawn independently.
        curves: Curves by field and name of the measure.
        sensitivities: By name of the measure and way of treating; of a whole grid by
            :data:`sacrofem.study.analysis.cases.WAY`, which is then one of the fields. A text says
            why there are none.
        rankings: By what is ranked and name of the measure.
        front: The choices.
    """

    facts: StudyFacts
    finished: int
    asked: int
    cases: Cases
    curves: Mapping[tuple[str, str], tuple[Curve, ...]]
    sensitivities: Mapping[tuple[str, str], Sensitivities | str]
    rankings: Mapping[tuple[str, str], Ranking]
    front: Front

    @property
    def judged(self) -> Measure:
        """The measure that the study is judged by: the first that any case has.

        That is the relief, or, of a bone without a lesion, which has no rim, the stiffness.
        """
        there = (m for m in MEASURES if np.isfinite(self.cases.values[m.name]).any())
        return next(there, MEASURES[0])


def analyse(table: Table, facts: StudyFacts) -> Analysis:
    """Analyse a study.

    Args:
        table: Its finished cases, with :data:`sacrofem.study.analysis.measures.COLUMNS`.
        facts: What was asked.

    Raises:
        InputError: No case is finished, or the table is not of these facts.
    """
    every = cases_of(table, facts)
    cases = drawn_apart(every, facts)
    if not len(cases.point):
        raise InputError(
            f"study '{facts.title}': the first two blocks of its saltelli design are needed, "
            "found no finished case of them; run what is missing."
        )
    asked = facts.points * len(facts.base.arms)
    curves = {
        (name, measure.name): response_curves(
            cases.way, column, cases.values[measure.name], least=measure.least
        )
        for name, column in cases.varied.items()
        if len(np.unique(column.astype(str))) > 1
        for measure in MEASURES
    }
    return Analysis(
        facts=facts,
        finished=len(every.point),
        asked=asked,
        cases=cases,
        curves=curves,
        sensitivities=_sensitivities(every, facts, whole=len(every.point) == asked),
        rankings=_rankings(cases),
        front=choices_front(cases),
    )


def _sensitivities(
    cases: Cases, facts: StudyFacts, whole: bool
) -> dict[tuple[str, str], Sensitivities | str]:
    found: dict[tuple[str, str], Sensitivities | str] = {}
    for measure in MEASURES:
        value = cases.values[measure.name]
        if facts.kind == "grid" and whole and np.isfinite(value).all():
            fields = {WAY: cases.way, **_leading(cases)}
            found[measure.name, WAY] = _or_why(partial(main_effects, fields, value, True))
            continue
        # Each way apart: the ways at one point are no independent cases.
        for way in np.unique(cases.way):
            own = cases.part(cases.way == way)
            find = partial(_of_a_way, own, own.values[measure.name], facts)
            found[measure.name, str(way)] = _or_why(find)
    return found


def _of_a_way(cases: Cases, value: FloatArray, facts: StudyFacts) -> Sensitivities:
    """Sensitivities of one way of treating."""
    if facts.rows is not None:
        blocks = as_blocks(cases.point, value, facts.rows, len(facts.names))
        return sobol_indices(blocks, facts.names)
    whole = facts.kind == "grid" and int(np.isfinite(value).sum()) == facts.points
    return main_effects(_leading(cases), value, whole)


def _leading(cases: Cases) -> dict[str, NDArray[Any]]:
    """The varied fields, of those that change together the first."""
    fields: dict[str, NDArray[Any]] = {}
    for name, column in cases.varied.items():
        if not any(name in cases.followers[leader] for leader in fields):
            fields[name] = column
    return fields


def _or_why(find: Callable[[], Sensitivities]) -> Sensitivities | str:
    """What is found, or the reason why nothing is."""
    try:
        return find()
    except InputError as error:
        return str(error)


def _rankings(cases: Cases) -> dict[tuple[str, str], Ranking]:
    """Rankings of the ways; of approaches and techniques where each is crossed with the other."""
    alike = cases.alike()
    found = {}
    for measure in MEASURES:
        value = cases.values[measure.name]
        if len(np.unique(cases.way)) > 1:
            found[WAY, measure.name] = _rank(cases.way, alike, value, measure)
        if not _crossed(cases):
            continue
        # The mean over the other part, where no way is missing that would shift it.
        _, table = side_by_side(cases.way, alike, value)
        whole = np.asarray(np.all(np.isfinite(table), axis=1))[alike]
        for part in PARTS:
            column = getattr(cases, part)
            found[part, measure.name] = _rank(
                column, alike, np.where(whole, value, np.nan), measure
            )
    return found


def _crossed(cases: Cases) -> bool:
    """Whether several approaches meet several techniques, each with each, and nothing else."""
    pairs = {*zip(cases.approach.tolist(), cases.technique.tolist(), strict=True)}
    kinds = [len(np.unique(column)) for column in (cases.approach, cases.technique)]
    return min(kinds) > 1 and len(pairs) == kinds[0] * kinds[1] == len(np.unique(cases.way))


def _rank(
    way: NDArray[np.str_], alike: NDArray[np.int64], value: FloatArray, measure: Measure
) -> Ranking:
    return rank(way, alike, value, measure.better, measure.tie, measure.least)
