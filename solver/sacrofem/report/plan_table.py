"""Tables of a planned treatment: lesions, paths, fills, distance to the nerves."""

from collections.abc import Iterator, Mapping
from math import inf

from sacrofem.mesh.compartments import PASSAGES, Compartment
from sacrofem.report.digits import DASH, fixed
from sacrofem.report.table import Table
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.procedure import Procedure, Treatment

#: What a path is kept clear of, in the order of :attr:`AccessPath.clearance_mm`.
STRUCTURES = ("foramina", "canal", "anterior cortex", "SI joint")
LABELS = ("arm", "no.")


def plan_tables(lesions: tuple[Lesion, ...], arms: Mapping[str, Treatment]) -> tuple[Table, ...]:
    """Four tables; those of the treatments have one row a procedure."""
    if not arms:
        return (_lesions(lesions),)
    return _lesions(lesions), _paths(arms), _fills(arms), _nerves(arms)


def _rows(arms: Mapping[str, Treatment]) -> Iterator[tuple[tuple[str, str], Procedure]]:
    for name, treatment in arms.items():
        for number, procedure in enumerate(treatment.procedures, start=1):
            yield (name, str(number)), procedure


def _lesions(lesions: tuple[Lesion, ...]) -> Table:
    rows = tuple(
        (
            str(number),
            lesion.name,
            lesion.kind,
            fixed(lesion.volume_ml, 2),
            ", ".join(lesion.breach) or "none",
            f"gap {fixed(lesion.fracture.gap_mm, 1)} mm" if lesion.fracture else "none",
        )
        for number, lesion in enumerate(lesions, start=1)
    )
    return Table(
        "Lesions",
        ("no.", "where", "kind", "volume, ml", "cortex breached", "fracture"),
        rows,
        3,
        "Volume after clipping to the bone of the sacrum.",
    )


def _paths(arms: Mapping[str, Treatment]) -> Table:
    rows = []
    for label, procedure in _rows(arms):
        path = procedure.path
        rows.append(
            (
                *label,
                path.approach,
                path.cannula,
                fixed(path.length_in_bone_mm, 0),
                fixed(path.sagittal_angle_deg, 0),
                fixed(path.axial_angle_deg, 0),
                *(fixed(path.clearance_mm.get(name), 1) for name in STRUCTURES),
                ", ".join(path.crosses) or "nothing",
                "yes" if path.allowed_by_rule else "no",
            )
        )
    heads = ("access", "cannula", "in bone, mm", "sagittal, °", "axial, °")
    return Table(
        "Access paths",
        (*LABELS, *heads, *(f"{name}, mm" for name in STRUCTURES), "crosses", "by rule"),
        tuple(rows),
        4,
        "Angles to the planes of the sacral frame, positive when the entry is lateral of the tip "
        "and when the needle rises towards its tip. Clearances are from the wall of the cannula; "
        "negative where it crosses. By rule: whether Tian 2019 names the access for the zone of "
        "the target.",
    )


def _fills(arms: Mapping[str, Treatment]) -> Table:
    rows = []
    for label, procedure in _rows(arms):
        fill = procedure.fill
        leaks = [f"{code.words} {fixed(ml, 2)}" for code, ml in fill.leak_ml.items()]
        rows.append(
            (
                *label,
                fill.technique,
                fixed(fill.injected_ml, 2),
                fixed(fill.cement_ml, 2),
                fixed(fill.leaked_ml, 2),
                fixed(fill.unplaced_ml, 2),
                fixed(fill.augmented_ml, 2),
                fixed(fill.pressure_kPa, 0),
                ", ".join(leaks) or "none",
                fill.stopped_by or "all injected",
            )
        )
    heads = ("asked, ml", "in bone, ml", "leaked, ml", "in syringe, ml", "augmented, ml")
    return Table(
        "Cement",
        (*LABELS, "technique", *heads, "pressure, kPa", "leaked where, ml", "ended by"),
        tuple(rows),
        3,
        "Asked = in the bone + leaked + left in the syringe. Augmented: the bone that holds "
        "cement, with what it shares with it. Pressure: at the tip at the end, above the marrow's; "
        "techniques without flow have none.",
    )


def _nerves(arms: Mapping[str, Treatment]) -> Table:
    rows = []
    for label, procedure in _rows(arms):
        distance = procedure.fill.nerve_distance_mm
        rows.append((*label, *(_distance(distance.get(code, inf)) for code in PASSAGES)))
    names = (
        code.words if code is Compartment.CANAL else code.words.removeprefix("foramen ")
        for code in PASSAGES
    )
    return Table(
        "Cement to the nerve passages, mm",
        (*LABELS, *names),
        tuple(rows),
        2,
        "Smallest distance from the cement of the procedure to the canal and to each foramen; 0 "
        "where it is in it.",
    )


def _distance(value_mm: float) -> str:
    return DASH if value_mm == inf else fixed(value_mm, 1)
