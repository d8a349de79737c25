"""Every assumption of a run with value, unit and source, read from where the code takes it."""

from sacrofem.report.assumptions.bone import bone_assumptions
from sacrofem.report.assumptions.entry import Assumption
from sacrofem.report.assumptions.treatment import treatment_assumptions
from sacrofem.study.scenario import Scenario

__all__ = ["Assumption", "assumptions"]


def assumptions(scenario: Scenario) -> tuple[Assumption, ...]:
    """All assumptions of a scenario, in the order in which the program uses them."""
    return (*bone_assumptions(scenario), *treatment_assumptions(scenario))
