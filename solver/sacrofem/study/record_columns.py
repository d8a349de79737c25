"""The data dictionary of a record: name, unit, meaning and source of each of its numbers.

The columns follow from the names of sections, tissues, regions and limits in the measures: what is
measured anew there has its column, and its line in the dictionary, here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sacrofem.measure.cement import LIMITS_MPA
from sacrofem.measure.failure_curve import YieldVolume
from sacrofem.measure.regions import CORTEX, REGIONS
from sacrofem.measure.response import QUANTITIES, YIELD_COMPRESSION, YIELD_TENSION
from sacrofem.measure.sections import SECTIONS
from sacrofem.measure.stress_relief import RIM_MM
from sacrofem.measure.tissues import TISSUES
from sacrofem.mechanics.ligaments import LIGAMENTS, SIDES
from sacrofem.mesh.compartments import Compartment
from sacrofem.study.case import STATES

#: Where cement can be that left the bone.
LEAKS = tuple(c for c in Compartment if c not in (Compartment.BONE, Compartment.OTHER_BONE))
#: What a record keeps of each section of :data:`sacrofem.measure.sections.SECTIONS`.
OF_SECTIONS = {
    "share": "part of the load that goes through",
    "cement_share": "part of the load that the cement carries",
    "cortex_share": "part of the load that the cortical membrane carries",
    "error": "force or moment that statics misses, over the load",
}
#: What a record keeps of the cement and its interface: fields of the measures, with words.
OF_CEMENT = {
    "von_mises_MPa": "von Mises stress",
    "tension_MPa": "largest principal stress",
    "compression_MPa": "smallest principal stress with its sign turned",
}
OF_INTERFACE = {
    "tension_MPa": "traction along the normal, 0 where it presses",
    "shear_MPa": "size of the traction within the face",
}
PEAKS = {"p95": "95th percentile by {weight}", "maximum": "largest of a {part}"}
_QUANTITY_WORDS = dict(
    zip(
        QUANTITIES,
        (
            "von Mises stress",
            "largest principal stress",
            "smallest principal strain with its sign turned",
            "strain energy density",
        ),
        strict=True,
    )
)
_STATE_WORDS = dict(
    zip(STATES, ("the intact bone", "the bone with its lesions", "the treated bone"), strict=True)
)


@dataclass(frozen=True)
class Column:
    """One line of the data dictionary.

    Attributes:
        unit: Empty where the number is a part of one or a count.
        meaning: What the number is, for a reader of the table alone.
        source: The module that defines it, and where a formula or a limit comes from.
    """

    unit: str
    meaning: str
    source: str


Named = tuple[str, Column]


def column_word(name: str) -> str:
    """A section or region as part of a column's name: ``I|II left`` is ``I_II_left``."""
    return name.replace("|", "_").replace(" ", "_")


def with_unit(stem: str, field: str) -> str:
    """A statistic of a quantity as part of a column's name: ``x_MPa``, ``p95`` is ``x_p95_MPa``."""
    return f"{stem.removesuffix('_MPa')}_{field}{'_MPa' * stem.endswith('_MPa')}"


def _region_columns() -> Iterator[tuple[str, str, str, str]]:
    """Region, quantity, field of its spread and column; the rim's von Mises is there already."""
    for region in REGIONS:
        for quantity in QUANTITIES:
            if (region, quantity) != ("rim", "von_mises_MPa"):
                for field in ("mean", "p95"):
                    column = f"{column_word(region)}_{with_unit(quantity, field)}"
                    yield region, quantity, field, column


REGION_COLUMNS = tuple(_region_columns())


def all_columns() -> dict[str, Column]:
    """The dictionary of all numbers of a record, in the order of the table."""
    named = [*_volumes(), *(c for state in STATES for c in _of_state(state)), *_of_case()]
    return dict(named)


def _volumes() -> Iterator[Named]:
    treatment = "sacrofem.treatment"
    yield "lesion_ml", Column("ml", "volume of all lesions in the bone", treatment)
    yield "injected_ml", Column("ml", "PMMA asked for: in the bone, leaked, unplaced", treatment)
    yield "cement_ml", Column("ml", "PMMA in the bone", treatment)
    yield "augmented_ml", Column("ml", "volume that holds cement, with the bone in it", treatment)
    yield "leak_ml", Column("ml", "PMMA outside the bone", "sacrofem.treatment.leakage")
    for place in LEAKS:
        meaning = f"PMMA outside the bone: {place.words}"
        yield f"leak_{place.name.lower()}_ml", Column("ml", meaning, "sacrofem.treatment.leakage")
    yield "unplaced_ml", Column("ml", "PMMA that stop rules kept in the syringe", treatment)
    meaning = "smallest distance from cement to canal or foramina; infinite without cement"
    yield "nerve_distance_mm", Column("mm", meaning, treatment)
    meaning = "displaced bone mass that met bone of the largest density and adds nothing"
    yield "clamped_compaction_g", Column("g", meaning, "sacrofem.mechanics.materials")


def _of_state(state: str) -> Iterator[Named]:
    """The columns of a state, its name before each and its words behind each meaning."""
    groups = [_transfer(), _ligaments(), _rim(), _sections(), _energy(), _regions(), _checks()]
    if state == STATES[-1]:
        groups += [_cement(), _interface()]
    for group in groups:
        for name, column in group:
            meaning = f"{column.meaning}; {_STATE_WORDS[state]}"
            yield f"{state}_{name}", Column(column.unit, meaning, column.source)


def _transfer() -> Iterator[Named]:
    module = "sacrofem.measure.load_transfer"
    meaning = "load over the mean displacement of the S1 endplate along it"
    yield "stiffness_N_per_mm", Column("N/mm", meaning, module)
    for side in SIDES:
        meaning = f"part of the load, along it, passed on to the {side} hip bone"
        yield f"load_share_{side}", Column("", meaning, module)
    for side in SIDES:
        meaning = f"part of the load, along it, passed on to the {side} hip bone by ligaments"
        yield f"ligament_share_{side}", Column("", meaning, module)


def _ligaments() -> Iterator[Named]:
    source = "sacrofem.mechanics.ligaments: s12891-021-04856-8, Table 1"
    for ligament in LIGAMENTS:
        for side in SIDES:
            meaning = f"tension of the {side} {ligament} ligament, summed over its elements"
            yield f"ligament_{column_word(ligament)}_{side}_N", Column("N", meaning, source)


def _rim() -> Iterator[Named]:
    module, where = "sacrofem.measure.stress_relief", f"sound bone within {RIM_MM:g} mm of a lesion"
    for field, word in (("mean", "mean"), ("p95", "95th percentile")):
        meaning = f"von Mises stress, {word} by volume, {where}"
        yield f"rim_von_mises_{field}_MPa", Column("MPa", meaning, module)
    module = "sacrofem.measure.micromotion"
    meaning = "mean opening of the first fracture along its normal; none without a fracture"
    yield "micromotion_opening_mm", Column("mm", meaning, module)
    meaning = "mean sliding of the first fracture within its plane; none without a fracture"
    yield "micromotion_sliding_mm", Column("mm", meaning, module)


def _sections() -> Iterator[Named]:
    for section in SECTIONS:
        side = "below" if section.startswith("S") else "lateral of"
        for field, words in OF_SECTIONS.items():
            meaning = f"{words}, to what lies {side} the border {section}"
            name = f"section_{column_word(section)}_{field}"
            yield name, Column("", meaning, "sacrofem.measure.sections")


def _energy() -> Iterator[Named]:
    module = "sacrofem.measure.tissues"
    for tissue in TISSUES:
        yield f"energy_{tissue}_mJ", Column("mJ", f"strain energy: {tissue}", module)
    meaning = "what the energies miss of half the work of the load, relative (Clapeyron)"
    yield "energy_error", Column("", meaning, "sacrofem.mechanics.energy")


def _regions() -> Iterator[Named]:
    for region, quantity, field, column in REGION_COLUMNS:
        unit = "MPa" if quantity.endswith("_MPa") else ""
        by, module = ("area", "cortex") if region == CORTEX else ("volume", "response")
        word = "mean" if field == "mean" else "95th percentile"
        meaning = f"{_QUANTITY_WORDS[quantity]}, {word} by {by}, region: {region}"
        yield column, Column(unit, meaning, f"sacrofem.measure.{module}")


def _checks() -> Iterator[Named]:
    limits = f"{100 * YIELD_COMPRESSION:g} % in compression or {100 * YIELD_TENSION:g} % in tension"
    source = "sacrofem.measure.response: Morgan and Keaveny 2001"
    yield "bone_at_risk_ml", Column("ml", f"bone strained beyond yield, {limits}", source)
    source = "sacrofem.measure.failure_curve: Pistoia 2002"
    part, strain = 100 * YieldVolume.part, 100 * YieldVolume.effective_strain
    meaning = f"load that strains {part:g} % of the bone beyond {strain:g} % effective, linear"
    yield "failure_load_linear_N", Column("N", meaning, source)
    meaning = "force missing between load and supports, over the load"
    yield "equilibrium_error", Column("", meaning, "sacrofem.mechanics.state")
    solver = "sacrofem.mechanics.linear_solver"
    yield "iterations", Column("", "iterations of conjugate gradients", solver)
    yield "residual", Column("", "true residual of the solution, relative", solver)


def _cement() -> Iterator[Named]:
    module = "sacrofem.measure.cement"
    meaning = "cement in the cells that are mostly cement, whose stress is weighed"
    yield "cement_volume_ml", Column("ml", meaning, module)
    for quantity, words in OF_CEMENT.items():
        for field, word in PEAKS.items():
            meaning = f"{words} in the cement, {word.format(weight='volume', part='cell')}"
            yield f"cement_{with_unit(quantity, field)}", Column("MPa", meaning, module)
    sources = {
        "compressive_fatigue": "researchgate 349872913, low end of 43-45 MPa",
        "compressive_fatigue_low_modulus": "researchgate 349872913, low end of 3-5 MPa",
        "compressive_strength": "Palacos, textbook value, low end of 80-100 MPa",
        "tensile_strength": "Palacos, textbook value, low end of 30-50 MPa",
    }
    for limit, value in LIMITS_MPA.items():
        stress = "tension" if limit.startswith("tensile") else "compression"
        word = limit.replace("_", " ")
        meaning = (
            f"{word} limit of {value:g} MPa over the 95th percentile of the {stress} in cement"
        )
        yield f"cement_safety_{limit}", Column("", meaning, f"{module}: {sources[limit]}")


def _interface() -> Iterator[Named]:
    module = "sacrofem.measure.cement"
    meaning = "area between cells that are mostly cement and cells of bone"
    yield "interface_area_mm2", Column("mm2", meaning, module)
    for quantity, words in OF_INTERFACE.items():
        for field, word in PEAKS.items():
            where = f"between cement and bone, {word.format(weight='area', part='face')}"
            meaning = f"{words}, {where}"
            yield f"interface_{with_unit(quantity, field)}", Column("MPa", meaning, module)


def _of_case() -> Iterator[Named]:
    module = "sacrofem.measure.stress_relief"
    for field, word in (("mean", "mean"), ("p95", "95th percentile")):
        meaning = f"relief of the rim's von Mises stress, {word}: 1 - treated / lesion"
        yield f"relief_rim_von_mises_{field}", Column("", meaning, module)
    yield "dofs", Column("", "degrees of freedom of the displacement", "sacrofem.mechanics.state")
    yield "seconds", Column("s", "time that the case took", "sacrofem.study.provenance")
