"""``report.html`` of a cohort: given and drawn, each patient, the statistics, the paper beside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sacrofem.report.cohort_figures import paired_figure, states_figure
from sacrofem.report.cohort_table import clinical_table, cohort_tables, failures
from sacrofem.report.digits import fixed
from sacrofem.report.figures import png
from sacrofem.report.html import Picture, render

Values = Mapping[str, Any]
LIMITS = (
    "The patients are phantoms: the program's own drawn pelvis with a sex, an age and a size. None "
    "of them is a patient of the paper, whose CT was not available.",
    "The lesions are put in by the paper's words and volumes; their true shapes, and the density "
    "of the bone around them, are not known.",
    "The tests ask whether a difference is the same in patient after patient of this drawn sample. "
    "They say nothing about people: the spread is that of the rules, and a p becomes as small as "
    "one likes with more drawn patients.",
    "The reported scores are cited facts. No relation between stress and pain was assumed, fitted "
    "or found, and none should be read into numbers that stand on one page.",
    "No finite-element comparison of fill techniques or accesses in the sacrum has been published: "
    "there is nothing outside to validate these numbers against.",
    "Linear elasticity, one load: no damage, no yielding, no loosening between cement and bone. A "
    "relief of stress is not a gain of strength.",
)


def write_cohort_report(path: Path, values: Values) -> None:
    """Write the page of a cohort from the values of its ``cohort.json``."""
    path.write_text(cohort_page(values), encoding="utf-8")


def cohort_page(values: Values) -> str:
    """The page as HTML."""
    tables = cohort_tables(values)
    return render(
        "cohort.html",
        title=values["title"],
        question=_question(values),
        pictures=_pictures(values),
        tables=tables[1:],
        patients=tables[0],
        clinical=clinical_table(values),
        tests=values["clinical"]["tests"],
        failures=failures(values),
        choices=values["choices"],
        draws=_draws(values),
        seed=values["draw"]["seed"],
        limits=LIMITS,
        facts=_facts(values),
        versions=values["versions"],
    )


def _question(values: Values) -> str:
    arms = " ".join(f"{name}: {arm['why']}" for name, arm in values["arms"].items())
    done = {arm: sum(arm in row["arms"] for row in values["patients"]) for arm in values["arms"]}
    count = ", ".join(f"{number} by {arm}" for arm, number in done.items())
    return (
        f"The {len(values['patients'])} patients of the paper as phantoms, under "
        f"{values['load']['force_N']:g} N, each treated by every arm (done: {count}). {arms}"
    )


def _pictures(values: Values) -> list[Picture]:
    """The figures, where any patient was solved."""
    if not any(row["arms"] for row in values["patients"]):
        return []
    arms = " and ".join(values["arms"])
    return [
        Picture(
            png(paired_figure(values)),
            f"Box plots of relief, stiffness and leak by {arms}, lines joining each patient.",
            "The arms in the same patients: a line is a patient, numbered as in the paper; box: "
            "quartiles and median, whiskers: range.",
        ),
        Picture(
            png(states_figure(values)),
            f"Box plots of stiffness and rim stress in three states for {arms}.",
            "The three states of each arm in percent of the patient's intact bone. The rim leaves "
            "out the cells of the arm's own cement.",
        ),
    ]


def _draws(values: Values) -> list[tuple[str, ...]]:
    """Quantity, mean and SD as asked, range, and mean and SD as they came out."""
    rules = values["draw"]
    rows: list[tuple[str, ...]] = []
    made = _samples(values)
    names = {
        "cement_ml": f"cement per {rules['cement_per']}, ml",
        "volume_ml": "volume of a lesion, ml",
        "age_years": "age, years",
        "size": "size, factor on the phantom's lengths",
    }
    for name, words in names.items():
        rule = rules.get(name)
        if rule is None:
            continue
        ends = rule.get("range") or rule["limits"]
        kind = "reached" if "range" in rule else "chosen limits"
        follows = f"; follows the {rule['follows']}" if "follows" in rule else ""
        rows.append(
            (
                words,
                f"{rule['mean']:g} ± {rule['sd']:g}",
                f"{ends[0]:g} to {ends[1]:g}, {kind}{follows}",
                _mean_sd(made[name]),
            )
        )
    if "sex" in rules:
        counts = ", ".join(f"{number} {sex}" for sex, number in rules["sex"].items())
        rows.append(("sex", counts, "in a drawn order", counts))
    return rows


def _samples(values: Values) -> dict[str, list[float]]:
    """The samples as they came out, given values among them."""
    rows = values["patients"]
    cement = [[lesion["cement_ml"] for lesion in row["lesions"]] for row in rows]
    per_patient = values["draw"]["cement_per"] == "patient"
    return {
        "cement_ml": [sum(g) for g in cement] if per_patient else [c for g in cement for c in g],
        "volume_ml": [lesion["volume_ml"] for row in rows for lesion in row["lesions"]],
        "age_years": [row["age_years"] for row in rows],
        "size": [row["size"] for row in rows],
    }


def _mean_sd(sample: list[float]) -> str:
    mean = sum(sample) / len(sample)
    if len(sample) < 2:
        return fixed(mean, 2)
    sd = (sum((value - mean) ** 2 for value in sample) / (len(sample) - 1)) ** 0.5
    return f"{fixed(mean, 2)} ± {fixed(sd, 2)}"


def _facts(values: Values) -> list[tuple[str, str]]:
    spent: dict[str, float] = {}
    for row in values["patients"]:
        for stage, seconds in row["seconds"].items():
            spent[stage] = spent.get(stage, 0.0) + seconds
    mesh = values["mesh"]
    return [
        ("model, edge of the cells", f"{mesh['model']}, {mesh['edge_mm']:g} mm"),
        ("order of the displacement", str(values["order"])),
        *((f"load: {name}", str(value)) for name, value in values["load"].items()),
        *((f"material: {name}", str(value)) for name, value in values["materials"].items()),
        *((f"seconds: {stage}", fixed(seconds, 1)) for stage, seconds in spent.items()),
    ]
