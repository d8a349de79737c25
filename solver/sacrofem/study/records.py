"""What a record of a finished case holds: its numbers by column."""

from collections.abc import Mapping
from math import nan

from sacrofem.measure.cement import LIMITS_MPA
from sacrofem.measure.sections import SECTIONS
from sacrofem.measure.tissues import TISSUES
from sacrofem.mechanics.ligaments import LIGAMENTS, SIDES
from sacrofem.study.case import STATES, CaseMeasures
from sacrofem.study.record_columns import (
    LEAKS,
    OF_CEMENT,
    OF_INTERFACE,
    OF_SECTIONS,
    PEAKS,
    REGION_COLUMNS,
    Column,
    all_columns,
    column_word,
    with_unit,
)

#: Version of the table; 1 knew a single leak, 2 neither load path nor regions, 3 neither the stress
#: in cement and cortex nor a compact layout. A store of another version is refused.
SCHEMA = 4
#: The data dictionary: unit, meaning and source of each number of a record.
COLUMNS: Mapping[str, Column] = all_columns()
#: Numbers of a record: columns of the table, in this order.
NUMBERS = tuple(COLUMNS)


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
            f"{state}_ligament_share_left": transfer.ligament_share_left,
            f"{state}_ligament_share_right": transfer.ligament_share_right,
            f"{state}_failure_load_linear_N": measures.failure_load_linear_N[state],
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
    return row | {f"treated_{name}": value for name, value in _in_cement(measures).items()}


def _inside(measures: CaseMeasures, state: str) -> dict[str, float]:
    """Load path, energy, ligaments and regions of a state by column.

    NaN for what the bone does not have; a ligament that is slack or not there pulls with 0 N.
    """
    row = {f"energy_{t}_mJ": measures.energy_mJ[state].get(t, nan) for t in TISSUES}
    tension = measures.ligament_tension_N[state]
    for ligament in LIGAMENTS:
        for side in SIDES:
            pull = tension.get(ligament, {}).get(side, 0.0)
            row[f"ligament_{column_word(ligament)}_{side}_N"] = pull
    for name in SECTIONS:
        load = measures.load_path[state].get(name)
        for field in OF_SECTIONS:
            value = nan if load is None else float(getattr(load, field))
            row[f"section_{column_word(name)}_{field}"] = value
    for region, quantity, field, column in REGION_COLUMNS:
        spread = measures.regions.get(region, {}).get(state, {}).get(quantity)
        row[column] = nan if spread is None else float(getattr(spread, field))
    return row


def _in_cement(measures: CaseMeasures) -> dict[str, float]:
    """Stress in the cement and on its interface by column."""
    cement, interface = measures.cement, measures.interface
    row = {"cement_volume_ml": cement.volume_ml, "interface_area_mm2": interface.area_mm2}
    for what, of, names in (("cement", cement, OF_CEMENT), ("interface", interface, OF_INTERFACE)):
        for quantity in names:
            for field in PEAKS:
                value = getattr(getattr(of, quantity), field)
                row[f"{what}_{with_unit(quantity, field)}"] = float(value)
    return row | {f"cement_safety_{limit}": cement.safety[limit] for limit in LIMITS_MPA}
