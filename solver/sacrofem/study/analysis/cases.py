"""The finished cases of a study as columns: how it was treated, what varied, what came out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.study.analysis.facts import StudyFacts
from sacrofem.study.analysis.measures import MEASURES
from sacrofem.study.analysis.ranking import codes_of
from sacrofem.study.scenario import Scenario
from sacrofem.study.table import Table

_APPROACH = re.compile(r"arms\.(\*|\d+)\.(procedures\.(\*|\d+)\.)?approach")
_TECHNIQUE = re.compile(r"arms\.(\*|\d+)\.(procedures\.(\*|\d+)\.)?fill\.technique")
_DOSE = re.compile(r"arms\.(\*|\d+)\.(procedures\.(\*|\d+)\.)?fill\.cement_ml")
_PLACE = re.compile(r"lesions\.(\*|\d+)\.(site|level|centre_mm(\.\d)?)")
_WORDS = {
    "fill.cement_ml": "cement injected, ml",
    "fill.technique": "technique",
    "fill.viscosity": "viscosity of the cement",
    "fill.margin_mm": "margin of the stop rule, mm",
    "approach": "approach",
    "volume_ml": "volume of the lesion, ml",
    "site": "site of the lesion",
    "level": "level of the lesion",
    "load.force_N": "force on S1, N",
    "load.body_weight_N": "body weight, N",
    "load.sacral_slope_deg": "sacral slope, deg",
    "load.endplate_share": "share of the force on the endplate",
    "load.case": "load case",
    "load.muscles": "muscles",
    "load.hold": "where the pelvis is held",
    "materials.cement_MPa": "Young's modulus of the cement, MPa",
    "materials.tumour_MPa": "Young's modulus of the tumour, MPa",
    "materials.cortex_mm": "thickness of the cortex, mm",
    "materials.cortex_MPa": "Young's modulus of the cortex, MPa",
    "materials.composite_porosity": "porosity of cement in bone",
    "materials.interface_factor": "factor of the interface of cement and bone",
    "materials.law": "law from density to modulus",
    "mesh": "bone",
}
#: Name of the way of treating where it stands beside varied fields.
WAY = "way of treating"


@dataclass(frozen=True, eq=False)
class Cases:
    """Finished cases, n of them.

    Attributes:
        point: Number of the point of the design, shape (n,).
        way: How it was treated, in words, shape (n,).
        approach: Its approach, shape (n,).
        technique: Its technique, shape (n,).
        chosen: Varied fields of the arms besides these, which an operator chooses.
        given: The other varied fields: patient, lesion, load, materials.
        followers: Varied fields that change with each varied field.
        values: The measures by name, shape (n,) each, NaN where a case has none.
    """

    point: NDArray[np.int64]
    way: NDArray[np.str_]
    approach: NDArray[np.str_]
    technique: NDArray[np.str_]
    chosen: Mapping[str, NDArray[Any]]
    given: Mapping[str, NDArray[Any]]
    followers: Mapping[str, frozenset[str]]
    values: Mapping[str, FloatArray]

    @property
    def varied(self) -> dict[str, NDArray[Any]]:
        """All varied fields, those of the arms first."""
        return {**self.chosen, **self.given}

    def alike(
        self, *beside: NDArray[Any], without: Sequence[str] = (), only_given: bool = False
    ) -> NDArray[np.int64]:
        """Number of the circumstances of each case: equal where all of this is equal.

        Args:
            beside: More columns, shape (n,) each.
            without: Varied fields that may differ, with those that follow them.
            only_given: Whether what an operator chooses may differ.
        """
        fields = self.given if only_given else self.varied
        free = {*without, *(n for name in without for n in self.followers[name])}
        columns = [column for name, column in fields.items() if name not in free]
        return codes_of([*columns, *beside], len(self.point))

    def part(self, kept: NDArray[np.bool_]) -> "Cases":
        """Some of the cases."""
        return Cases(
            self.point[kept],
            self.way[kept],
            self.approach[kept],
            self.technique[kept],
            {name: column[kept] for name, column in self.chosen.items()},
            {name: column[kept] for name, column in self.given.items()},
            self.followers,
            {name: column[kept] for name, column in self.values.items()},
        )


def cases_of(table: Table, facts: StudyFacts) -> Cases:
    """The cases of a table of records.

    Raises:
        InputError: It has no finished case.
    """
    if not len(table.arm):
        raise InputError(
            f"study '{facts.title}': an analysis needs finished cases, found none; look at its "
            "failures, mend their cause, and run the sweep with --retry-failed."
        )
    arm = table.arm.astype(str)
    approach = _column(arm, table.varied, _APPROACH, _of_arms(facts.base, "approach"))
    technique = _column(arm, table.varied, _TECHNIQUE, _of_arms(facts.base, "technique"))
    folded = [n for n in table.varied if _APPROACH.fullmatch(n) or _TECHNIQUE.fullmatch(n)]
    rest = {name: column for name, column in table.varied.items() if name not in folded}
    return Cases(
        point=table.point,
        way=_ways(arm, approach, technique),
        approach=approach,
        technique=technique,
        chosen={name: column for name, column in rest.items() if name.startswith("arms.")},
        given={name: column for name, column in rest.items() if not name.startswith("arms.")},
        followers={name: facts.follow(name) for name in rest},
        values={measure.name: measure.value(table.numbers) for measure in MEASURES},
    )


def drawn_apart(cases: Cases, facts: StudyFacts) -> Cases:
    """The cases that were drawn independently: of a `saltelli` design its blocks A and B.

    The other blocks repeat A in all fields but one: intervals that count them are too narrow.
    """
    return cases if facts.rows is None else cases.part(cases.point < 2 * facts.rows)


def dose_field(cases: Cases) -> str | None:
    """The varied field that is the volume of the cement; the first of several."""
    return next((name for name in cases.chosen if _DOSE.fullmatch(name)), None)


def place_fields(cases: Cases) -> list[str]:
    """The varied fields that say where the lesion is."""
    return [name for name in cases.given if _PLACE.fullmatch(name)]


def places(cases: Cases) -> NDArray[np.str_]:
    """Where the lesion is, in words, shape (n,)."""
    columns = [cases.given[name].astype(str) for name in place_fields(cases)]
    joined = columns[0]
    for column in columns[1:]:
        joined = np.char.add(np.char.add(joined.astype(str), ", "), column.astype(str))
    return joined.astype(str)


def field_words(name: str) -> str:
    """A varied field for a reader; the dotted path itself where there are no words for it."""
    for ending, words in _WORDS.items():
        if name == ending or name.endswith(f".{ending}"):
            number = re.match(r"(arm|lesion)s\.(\d+)\.", name)
            # Most scenarios have one lesion; an arm's number matters, for only that arm varies.
            if number is None or number[0] == "lesions.0.":
                return words
            return f"{words} ({number[1]} {int(number[2]) + 1})"
    return name


def _of_arms(base: Scenario, what: str) -> dict[str, str]:
    """Approach or technique of each arm of the base; several of them joined."""
    found = {}
    for arm in base.arms:
        procedures = arm.of_lesions(len(base.lesions))
        each = [p.approach if what == "approach" else p.fill.technique for p in procedures]
        found[arm.name] = " and ".join(dict.fromkeys(each))
    return found


def _column(
    arm: NDArray[np.str_],
    varied: Mapping[str, NDArray[Any]],
    pattern: re.Pattern[str],
    of_arms: Mapping[str, str],
) -> NDArray[np.str_]:
    """What each case has: the varied value where its arm's own varies, else the base's."""
    names, place = np.unique(arm, return_inverse=True)
    column = np.array([of_arms.get(str(name), str(name)) for name in names], dtype=object)[place]
    order = list(of_arms)
    for name, values in varied.items():
        match = pattern.fullmatch(name)
        if match is None:
            continue
        touched = np.ones(len(arm), bool) if match[1] == "*" else arm == order[int(match[1])]
        column[touched] = values[touched]
    return column.astype(str)


def _ways(
    arm: NDArray[np.str_], approach: NDArray[np.str_], technique: NDArray[np.str_]
) -> NDArray[np.str_]:
    """Approach and technique where they name one arm, else the arm with what varies in it."""
    pair = np.char.add(np.char.add(approach, ", "), technique)
    if len(np.unique(np.char.add(np.char.add(pair, ": "), arm))) == len(np.unique(pair)):
        return pair
    way = arm
    for column in (approach, technique):
        inside = np.unique(np.char.add(np.char.add(arm, ": "), column))
        if len(inside) > len(np.unique(arm)):
            way = np.char.add(np.char.add(way, ", "), column)
    return way
