"""The tables of a cohort, from ``cohort.json`` alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sacrofem.report.digits import DASH, fixed, signed
from sacrofem.report.table import SHOWN_FROM_ML, Table

Values = Mapping[str, Any]
#: Marks a value that the paper does not give.
DRAWN = "*"
#: The p below which only that is said.
P_SHOWN = 0.001


@dataclass(frozen=True)
class Measure:
    """How a number of ``cohort.json`` is shown: name, head of a column, factor, digits, sign."""

    words: str
    head: str = ""
    factor: float = 1.0
    digits: int = 2
    sign: bool = False

    def show(self, value: float | None) -> str:
        """The number in its unit."""
        scaled = None if value is None else self.factor * value
        return signed(scaled, self.digits) if self.sign else fixed(scaled, self.digits)


BY_ARM = {
    "relief_mean": Measure("relief of the rim, mean, %", "relief, mean, %", 100.0, 1),
    "relief_p95": Measure("relief of the rim, 95th percentile, %", "relief, P95, %", 100.0, 1),
    "stiffness_gain": Measure(
        "stiffness, change to the lesion state, %", "stiffness, %", 100.0, 2, sign=True
    ),
    "cement_ml": Measure("cement in the bone, ml", "in bone, ml"),
    "leaked_ml": Measure("cement outside the bone (leak), ml", "leak, ml"),
    "unplaced_ml": Measure("cement kept back by stop rules, ml", "kept back, ml"),
    "nerve_distance_mm": Measure("cement to the nearest nerve passage, mm", "to nerve, mm", 1.0, 1),
}
BY_STATE = {
    "stiffness_N_per_mm": Measure("stiffness at the S1 endplate, N/mm", digits=0),
    "rim_mean_MPa": Measure("von Mises stress of the rim, mean, MPa", digits=3),
    "rim_p95_MPa": Measure("von Mises stress of the rim, 95th percentile, MPa", digits=3),
    "load_share_left": Measure(
        "load share of the left SI joint, with ligaments, %", factor=100.0, digits=1
    ),
}
STATES = ("intact", "lesion", "treated")


def cohort_tables(values: Values) -> tuple[Table, ...]:
    """All tables of the mechanics: patients, results, arms, states, pairs."""
    found = [_patients(values), _results(values), _arms(values), _states(values)]
    return (*found, _pairs(values)) if values["statistics"]["pairs"] else tuple(found)


def clinical_table(values: Values) -> Table:
    """What the paper reports of its own patients."""
    rows = [
        (
            score["name"],
            score["when"],
            f"{score['mean']:g} ± {score['sd']:g}",
            "{:g} to {:g}".format(*score["range"]) if score["range"] else DASH,
        )
        for score in values["clinical"]["scores"]
    ]
    rows += [
        (count["name"], "", f"{count['found']} of {count['of']} {count['unit']}", DASH)
        for count in values["clinical"]["counts"]
    ]
    return Table(
        "Reported by the paper of its own patients",
        ("what", "when", "value", "range"),
        tuple(rows),
        2,
        f"Cited facts from: {values['citation']} They enter no number of this page, and no number "
        "of this page predicts them.",
    )


def failures(values: Values) -> list[tuple[str, str, str]]:
    """Patient, arm and reason of what could not be done."""
    return [
        (f"patient {row['id']}", arm, reason)
        for row in values["patients"]
        for arm, reason in row["failures"].items()
    ]


def cohort_text(values: Values) -> str:
    """The cohort in a few lines of plain text: medians and ranges by arm, and the pairs."""
    arms = list(values["arms"])
    done = {arm: sum(arm in row["arms"] for row in values["patients"]) for arm in arms}
    counted = ", ".join(f"{arm} {done[arm]} of {len(values['patients'])}" for arm in arms)
    lines = [values["title"], f"Patients done: {counted}", ""]
    tables = [_arms(values)]
    tables += [_pairs(values)] if values["statistics"]["pairs"] else []
    for table in tables:
        cells = [table.columns, *table.rows]
        width = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
        lines += [table.title]
        lines += ["  ".join(c.ljust(w) for c, w in zip(r, width, strict=True)) for r in cells]
        lines += [""]
    lines += [f"not done: {patient}, {arm}: {why}" for patient, arm, why in failures(values)]
    return "\n".join(line.rstrip() for line in lines).rstrip()


def probability(p: float | None) -> str:
    """A p as text."""
    if p is None:
        return DASH
    return f"< {P_SHOWN:g}" if p < P_SHOWN else fixed(p, 3)


def spread(found: Mapping[str, Any], measure: Measure) -> str:
    """Median and range of a description."""
    if not found["n"]:
        return DASH
    low, high = (measure.show(end) for end in found["range"])
    return f"{measure.show(found['median'])} ({low} to {high})"


def _moments(found: Mapping[str, Any], measure: Measure) -> str:
    """Mean and standard deviation of a description."""
    if not found["n"]:
        return DASH
    sd = found["sd"]
    spread_of = DASH if sd is None else fixed(measure.factor * sd, measure.digits)
    return f"{measure.show(found['mean'])} ± {spread_of}"


def _patients(values: Values) -> Table:
    rows = []
    for row in values["patients"]:

        def marked(text: str, name: str, drawn: Sequence[str] = row["drawn"]) -> str:
            return f"{text}{DRAWN}" if name in drawn else text

        lesions, cement = row["lesions"], [lesion["cement_ml"] for lesion in row["lesions"]]
        rows.append(
            (
                str(row["id"]),
                marked(row["sex"], "sex"),
                marked(f"{row['age_years']:g}", "age_years"),
                marked(fixed(row["size"], 2), "size"),
                row["primary"] or "not given",
                marked("; ".join(lesion["words"] for lesion in lesions), "volumes_ml"),
                marked(" + ".join(fixed(ml, 1) for ml in cement), "cement_ml"),
                _approaches(row["approaches"]),
            )
        )
    return Table(
        "The patients",
        (
            "patient",
            "sex",
            "age, years",
            "size",
            "primary tumour",
            "lesions",
            "cement, ml",
            "approach",
        ),
        tuple(rows),
        8,
        f"{DRAWN} drawn by the rules below, not given by the paper; of the lesions only the "
        "volume is drawn. All else is as the paper gives it, or a choice listed below.",
    )


def _approaches(by_arm: Mapping[str, Sequence[str]]) -> str:
    """The approach, once where all arms share it."""
    named = {arm: ", ".join(dict.fromkeys(names)) for arm, names in by_arm.items()}
    if len(set(named.values())) == 1:
        return next(iter(named.values()))
    return "; ".join(f"{arm}: {names}" for arm, names in named.items())


def _results(values: Values) -> Table:
    rows = []
    for row in values["patients"]:
        for arm in values["arms"]:
            found = row["arms"].get(arm)
            if found is None:
                rows.append((str(row["id"]), arm, *[DASH] * len(BY_ARM), "not done"))
                continue
            shown = (measure.show(found[name]) for name, measure in BY_ARM.items())
            rows.append((str(row["id"]), arm, *shown, _events(found)))
    return Table(
        "Results of each patient",
        ("patient", "arm", *(m.head for m in BY_ARM.values()), "where it leaked, what stopped it"),
        tuple(rows),
        2,
        f"The rim is sound bone within {values['rim_mm']:g} mm of a lesion, without the cells of "
        "the arm's own cement; relief is the part of its von Mises stress that the cement takes "
        "off it, P95 that of the 95th percentile. Stiffness: change to the lesion state.",
    )


def _events(found: Mapping[str, Any]) -> str:
    leaks = [
        f"{place} {fixed(ml, 2)} ml"
        for place, ml in found["leak_ml"].items()
        if ml >= SHOWN_FROM_ML
    ]
    stops = [p["stopped_by"] for p in found.get("procedures", ()) if p["stopped_by"]]
    return "; ".join([*leaks, *dict.fromkeys(stops)]) or "none"


def _arms(values: Values) -> Table:
    found = values["statistics"]["by_arm"]
    rows = [
        (measure.words, *(f"{spread(found[arm][name], measure)}" for arm in found))
        for name, measure in BY_ARM.items()
    ]
    rows += [
        (f"{measure.words}: mean ± SD", *(_moments(found[arm][name], measure) for arm in found))
        for name, measure in BY_ARM.items()
    ]
    counts = [str(found[arm]["relief_mean"]["n"]) for arm in found]
    return Table(
        "The arms: median (range) over the patients",
        ("measure", *found),
        (("patients", *counts), *rows),
        1,
        "SD: standard deviation of the sample.",
    )


def _states(values: Values) -> Table:
    stats = values["statistics"]
    rows = []
    for arm, by_measure in stats["by_state"].items():
        for name, measure in BY_STATE.items():
            shown = (spread(by_measure[name][state], measure) for state in STATES)
            test = stats["friedman"][arm].get(name)
            if test is None:
                tested = (DASH, DASH, "not tested")
            else:
                told = "; ".join(filter(None, (f"n = {test['n']}", test["note"])))
                tested = (fixed(test["statistic"], 2), probability(test["p"]), told)
            rows.append((arm, measure.words, *shown, *tested))
    return Table(
        "The three states: median (range), and Friedman's test",
        ("arm", "measure", *STATES, "χ²", "p", "n, ties"),
        tuple(rows),
        2,
        "Friedman's rank test over intact, lesion and treated, as Andresen 2014 used it for its "
        "pain scores; p of chi-squared with 2 degrees of freedom, rough for ten patients. Each "
        "arm's rim leaves out its own cement, so compare stresses within an arm.",
    )


def _pairs(values: Values) -> Table:
    first = next(iter(values["arms"]))
    rows = []
    for other, by_measure in values["statistics"]["pairs"].items():
        for name, measure in BY_ARM.items():
            found = by_measure[name]
            wilcoxon, t = found["wilcoxon"], found["t"]
            change = replace(measure, sign=True)
            rows.append(
                (
                    f"{other} minus {first}",
                    measure.words,
                    str(found["difference"]["n"]),
                    spread(found["difference"], change),
                    f"{found['rose']} / {found['fell']}",
                    probability(wilcoxon["p"]),
                    probability(t["p"]),
                    wilcoxon["note"] or DASH,
                )
            )
    return Table(
        "The arms compared in the same patients: median difference (range)",
        (
            "comparison",
            "measure",
            "pairs",
            "difference",
            "higher / lower",
            "Wilcoxon p",
            "paired t p",
            "of Wilcoxon's p",
        ),
        tuple(rows),
        2,
        "Wilcoxon's signed-rank test, two-sided; the paired t test is what Tian 2019 used for its "
        "scores. No correction for the number of tests.",
    )
