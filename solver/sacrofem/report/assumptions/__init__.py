"""Every assumption of a run with value, unit and source, read from where the code takes it."""

from sacrofem.image.calibration import FALLBACK_LINE, Calibration
from sacrofem.mechanics.supports import DEFAULT_HOLD, Hold
from sacrofem.mesh.build import Model
from sacrofem.report.assumptions.bone import bone_assumptions
from sacrofem.report.assumptions.entry import Assumption
from sacrofem.report.assumptions.failure import failure_assumptions
from sacrofem.report.assumptions.treatment import treatment_assumptions
from sacrofem.study.scenario import Scenario

__all__ = ["Assumption", "assumptions"]


def assumptions(
    scenario: Scenario,
    calibration: Calibration = FALLBACK_LINE,
    model: Model = "sacrum",
    hold: Hold = DEFAULT_HOLD,
) -> tuple[Assumption, ...]:
    """All assumptions of a scenario, in the order in which the program uses them.

    Args:
        scenario: The scenario.
        calibration: How the bone was calibrated.
        model: What was meshed.
        hold: Where a pelvis is held.
    """
    return (
        *bone_assumptions(scenario, calibration, model, hold),
        *treatment_assumptions(scenario),
        *(failure_assumptions() if scenario.failure_curve else ()),
    )
