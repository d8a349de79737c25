"""What a record of a finished case holds: its numbers by column."""

from collections.abc import Iterator
from math import nan

from sacrofem.measure.regions import REGIONS
from sacrofem.measure.response import QUANTITIES
from sacrofem.measure.sections import SECTIONS
from sacrofem.measure.tissues import TISSUES
from sacrofem.mesh.compartments import Compartment
from sacrofem.study.case import STATES, CaseMeasures

#: Version of the table; 1 knew a single leak, 2 neither load path nor regions. A store of another
#: version is refused.
SCHEMA = 3
#: Where cement can be that left the bone.
LEAKS = tuple(c for c in Compartment if c not in (Compartment.BONE, Compartment.OTHER_BONE))
#: What a record keeps of each section of :data:`sacrofem.measure.sections.SECTIONS`.
OF_SECTIONS = ("share", "cement_share", "cortex_share", "error")


def column_word(name: str) -> str:
    """A section or region as part of a column's name: ``I|II left`` is ``I_II_left``."""
    return name.replace("|", "_").replace(" ", "_")


def _region_columns() -> Iterator[tuple[str, str, str, str]]:
    """Region, quantity, field of its spread and column; the rim's von Mises is there already."""
    for region in REGIONS:
        for quantity in QUANTITIES:
            if (region, quantity) == ("rim", "von_mises_MPa"):
                continue
            word, unit = quantity.removesuffix("_MPa"), "_MPa" * quantity.endswith("_MPa")
            for field in ("mean", "p95"):
                yield region, quantity, field, f"{column_word(region)}_{word}_{field}{unit}"


REGION_COLUMNS = tuple(_region_columns())
#: Numbers of a record: columns of the table, in this order.
NUMBERS = (
    "lesion_ml",
    "injected_ml",
    "cement_ml",
    "augmented_ml",
    "leak_ml",
    *(f"leak_{compartment.name.lower()}_ml" for compartment in LEAKS),
    "unplaced_ml",
    "nerve_distance_mm",
    "clamped_compaction_g",
    *(
        f"{state}_{name}"
        for state in STATES
        for name in (
            "stiffness_N_per_mm",
            "load_share_left",
            "load_share_right",
            "rim_von_mises_mean_MPa",
            "rim_von_mises_p95_MPa",
            "micromotion_opening_mm",
            "micromotion_sliding_mm",
            *(f"section_{column_word(s)}_{field}" for s in SECTIONS for field in OF_SECTIONS),
            *(f"energy_{tissue}_mJ" for tissue in TISSUES),
            "energy_error",
            *(column for *_, column in REGION_COLUMNS),
            "bone_at_risk_ml",
            "equilibrium_error",
            "iterations",
            "residual",
        )
    ),
    "relief_rim_von_mises_mean",
    "relief_rim_von_mises_p95",
    "dofs",
    "seconds",
)


def numbers_of(measures: CaseMeasures, seconds: float) -> dict[str, float]:
    """The numbers of a case by column."""
    row: dict[str, float] = {
        "lesion_ml": measures.lesion_ml,
        "injected_ml": measures.injected_ml,
        "cement_ml": measures.cement_ml,
        "augmented_ml": measures.augmented_ml,
        "leak_ml": measures.leaked_ml,
        "unplaced_ml": measures.unplaced_ml,
        "nerve_distance_mm": measures.nerve_distance_mm,
        "clamped_compaction_g": measures.clamped_compaction_g,
        "relief_rim_von_mises_mean": measures.relief_rim.von_mises_mean,
        "relief_rim_von_mises_p95": measures.relief_rim.von_mises_p95,
        "dofs": measures.dofs,
        "seconds": seconds,
    }
    for compartment in LEAKS:
        row[f"leak_{compartment.name.lower()}_ml"] = measures.leak_ml.get(compartment, 0.0)
    for state in STATES:
        moved = measures.micromotion[state] if measures.micromotion else None
        transfer, rim = measures.transfer[state], measures.rim[state]
        row |= {
            f"{state}_stiffness_N_per_mm": transfer.stiffness_N_per_mm,
            f"{state}_load_share_left": transfer.share_left,
            f"{state}_load_share_right": transfer.share_right,
            f"{state}_rim_von_mises_mean_MPa": rim.von_mises_mean_MPa,
            f"{state}_rim_von_mises_p95_MPa": rim.von_mises_p95_MPa,
            f"{state}_micromotion_opening_mm": moved.opening_mm if moved else nan,
            f"{state}_micromotion_sliding_mm": moved.sliding_mm if moved else nan,
            f"{state}_energy_error": measures.energy_error[state],
            f"{state}_bone_at_risk_ml": measures.bone_at_risk_ml[state],
            f"{state}_equilibrium_error": measures.equilibrium_error[state],
            f"{state}_iterations": measures.iterations[state],
            f"{state}_residual": measures.residual[state],
        }
        row |= {f"{state}_{name}": value for name, value in _inside(measures, state).items()}
    return row


def _inside(measures: CaseMeasures, state: str) -> dict[str, float]:
    """Load path, energy and regions of a state by column; NaN for what the bone does not have."""
    row = {f"energy_{t}_mJ": measures.energy_mJ[state].get(t, nan) for t in TISSUES}
    for name in SECTIONS:
        load = measures.load_path[state].get(name)
        for field in OF_SECTIONS:
            value = nan if load is None else float(getattr(load, field))
            row[f"section_{column_word(name)}_{field}"] = value
    for region, quantity, field, column in REGION_COLUMNS:
        spread = measures.regions.get(region, {}).get(state, {}).get(quantity)
        row[column] = nan if spread is None else float(getattr(spread, field))
    return row
