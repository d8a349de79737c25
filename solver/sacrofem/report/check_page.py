"""``check.html``: what a scenario would treat, drawn before anything is solved."""

from pathlib import Path

from sacrofem.report.page import question
from sacrofem.report.plan_page import write_plan_page
from sacrofem.report.table import as_text, procedures_table
from sacrofem.study.check import ScenarioCheck
from sacrofem.study.summary import procedure_values


def write_check_page(path: Path, found: ScenarioCheck) -> None:
    """Write the page of a checked scenario."""
    refused = [f"Arm {name} is refused: {reason}" for name, reason in found.refused.items()]
    write_plan_page(
        path,
        found.scenario.title,
        found.field,
        found.lesions,
        found.arms,
        question(found.scenario),
        [*refused, *found.patient.bone.report.warnings],
    )


def check_table(found: ScenarioCheck) -> str:
    """The procedures of all arms that are possible, as plain text."""
    arms = {
        name: {"procedures": [procedure_values(p) for p in treatment.procedures]}
        for name, treatment in found.arms.items()
    }
    return as_text(procedures_table({"arms": arms}))
