"""What a run assumes of bone that is loaded to failure."""

from sacrofem.measure import failure_curve
from sacrofem.mechanics.plasticity import Stepping
from sacrofem.mechanics.plasticity_law import YieldStrains
from sacrofem.report.assumptions.entry import CHOICE, Assumption, show
from sacrofem.study import strength

MORGAN = "Morgan and Keaveny 2001"


def failure_assumptions() -> tuple[Assumption, ...]:
    """Assumptions of the loads of failure, for a scenario that asks for them."""
    limits, stepping, volume = YieldStrains(), Stepping(), failure_curve.YieldVolume()
    rows = (
        ("Yield strain in compression", show(limits.compression), "1", f"{MORGAN}: 0.70-0.85 %"),
        ("Yield strain in tension", show(limits.tension), "1", f"{MORGAN}: 0.61-0.70 %"),
        (
            "Bone beyond yield",
            "secant moduli fall, the stress stays: no softening",
            "none",
            f"{CHOICE}; with softening the load would follow the size of the cells",
        ),
        (
            "Cortex beyond yield",
            "loses the part of its stiffness that the bone behind it loses",
            "none",
            CHOICE,
        ),
        ("What yields", "bone of the sacrum, by its part in each cell", "none", CHOICE),
        ("Bone stays elastic around ligaments' ends", show(strength.ATTACHMENT_MM), "mm", CHOICE),
        ("Elements of the curves", f"tetrahedra, order {strength.CURVE_ORDER}", "none", CHOICE),
        (
            "Yield: the secant has lost, of the first stiffness",
            show(failure_curve.SECANT_LOSS),
            "1",
            "as in ASTM E399; an offset of strain would need a length",
        ),
        (
            "Failure: a step of the displacement meets less, of the first stiffness, than",
            show(stepping.end_tangent),
            "1",
            CHOICE,
        ),
        (
            "Linear criterion: part of the bone beyond the effective strain",
            show(volume.part),
            "1",
            "Pistoia 2002, on voxels of 165 um; none is known for cells of a few mm",
        ),
        (
            "Linear criterion: effective strain",
            show(volume.effective_strain),
            "1",
            "Pistoia 2002",
        ),
    )
    return tuple(Assumption("Failure", *row) for row in rows)
