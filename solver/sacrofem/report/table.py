"""The comparison of the arms as tables, from ``summary.json`` alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sacrofem.measure.cement import LIMITS_MPA
from sacrofem.measure.response import restoration as restored
from sacrofem.measure.stress_relief import RIM_MM
from sacrofem.report.digits import DASH, change_percent, fixed, is_number, percent, signed
from sacrofem.report.failure_words import FAILURE_NOTE, failure_rows

Summary = Mapping[str, Any]
#: A leak below this would read as 0.00 ml: a touch of cement, not a leak.
SHOWN_FROM_ML = 0.005


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: What it compares.
        columns: Heads of all columns, the first ``labels`` of them name the row.
        rows: One text a column each.
        labels: Number of columns that name the row.
        note: What the reader must know to read it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int
    note: str


def comparison_table(summary: Summary) -> str:
    """The comparison as aligned plain text, from the values of a ``summary.json``."""
    parts = [str(summary["title"]), *(as_text(table) for table in tables(summary))]
    return "\n\n".join(parts)


def tables(summary: Summary) -> tuple[Table, ...]:
    """The whole bone by state and arm, the rim of each arm by state, procedures, and more.

    A summary of an earlier sacrofem has no load path, no relief by region or no stress in cement,
    and few scenarios ask for loads of failure: those tables are left out.
    """
    found = (_whole_bone(summary), _rim(summary), procedures_table(summary))
    more = (_failure(summary), _by_region(summary), _load_path(summary), _cement(summary))
    return (*found, *(table for table in more if table.rows))


def restoration(states: Mapping[str, Mapping[str, float | None]], field: str) -> float | None:
    """``(lesion - treated) / (lesion - intact)``: 1 is back to the intact bone.

    None where the lesion changes too little to divide by, see
    :data:`sacrofem.measure.response.LESION_EFFECT_AT_LEAST`.
    """
    intact, lesion, treated = (states[name].get(field) for name in ("intact", "lesion", "treated"))
    if intact is None or lesion is None or treated is None:
        return None
    part = restored(intact, lesion, treated)
    return part if isfinite(part) else None


def load_shares(state: Mapping[str, float | None]) -> tuple[str, str]:
    """Left and right share in percent, rounded so that they add up as the numbers do."""
    left, right = state.get("load_share_left"), state.get("load_share_right")
    if left is None or right is None or not (is_number(left) and is_number(right)):
        return percent(left), percent(right)
    shown = round(100.0 * left, 1)
    return fixed(shown, 1), fixed(round(100.0 * (left + right), 1) - shown, 1)


def _whole_bone(summary: Summary) -> Table:
    arms = summary["arms"]
    first = next(iter(arms.values()))
    # These two states have no cement: they are the same for every arm.
    states = [first["intact"], first["lesion"], *(arm["treated"] for arm in arms.values())]
    lesion = first["lesion"].get("stiffness_N_per_mm")
    stiffness = [state.get("stiffness_N_per_mm") for state in states]
    shares = [load_shares(state) for state in states]

    def of_arms(show: Callable[[Mapping[str, Any]], str], before: str = DASH) -> tuple[str, ...]:
        return (DASH, before, *(show(arm) for arm in arms.values()))

    def volume(field: str) -> tuple[str, ...]:
        return of_arms(lambda arm: fixed(arm.get(field), 2))

    changes = [signed(change_percent(value, lesion), 1) for value in stiffness]
    rows = (
        ("Stiffness at the S1 endplate, N/mm", *(fixed(value, 0) for value in stiffness)),
        ("  change to the lesion state, %", changes[0], DASH, *changes[2:]),
        ("Load share of the left SI joint, with ligaments, %", *(left for left, _ in shares)),
        ("Load share of the right SI joint, with ligaments, %", *(right for _, right in shares)),
        *_where_known(states, _LIGAMENTS),
        ("Lesion, ml", DASH, fixed(first.get("lesion_ml"), 2), *[DASH] * len(arms)),
        ("Cement in the bone, ml", *volume("cement_ml")),
        ("  bone that it augments, ml", *volume("augmented_ml")),
        ("Cement outside the bone (leak), ml", *volume("leak_ml")),
        ("Cement left in the syringe, ml", *volume("unplaced_ml")),
        (
            "Cement to the nearest nerve passage, mm",
            *of_arms(lambda arm: fixed(arm.get("nerve_distance_mm"), 1)),
        ),
        *_where_known(states, _STRENGTH),
        *_micromotion(first, arms),
    )
    return Table(
        "The whole bone, by state; every arm is the state after its treatment.",
        ("", "intact", "lesion", *arms),
        rows,
        1,
        "Load share: part of the load along gravity, by joint and ligaments together. Cement that "
        "permeates bone augments more than its own volume. Bone at risk is beyond a yield strain; "
        "the linear failure load strains a part of the bone beyond a limit (Pistoia 2002) that "
        "nobody has tested on cells of this size: compare the states, not with a patient's load.",
    )


#: Rows of the whole bone: label, field of a state, factor and digits.
_Row = tuple[str, str, float, int]
_LIGAMENTS: tuple[_Row, ...] = tuple(
    (f"  of the {side} one through ligaments, points", f"ligament_share_{side}", 100.0, 1)
    for side in ("left", "right")
)
_STRENGTH: tuple[_Row, ...] = (
    ("Bone at risk, ml", "bone_at_risk_ml", 1.0, 2),
    ("Failure load, linear criterion, N", "failure_load_linear_N", 1.0, 0),
)


def _where_known(
    states: Sequence[Mapping[str, Any]], rows: Sequence[_Row]
) -> list[tuple[str, ...]]:
    """Rows of numbers by state; those that a summary of an earlier sacrofem lacks are left out."""
    return [
        (label, *(_scaled(state[field], factor, digits) for state in states))
        for label, field, factor, digits in rows
        if all(field in state for state in states)
    ]


def _scaled(value: float | None, factor: float, digits: int) -> str:
    return fixed(None if value is None else factor * value, digits)


def _micromotion(
    first: Mapping[str, Any], arms: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, ...]]:
    """Rows of the motion across a fracture; none where nothing is fractured."""
    states = [first["intact"], first["lesion"], *(arm["treated"] for arm in arms.values())]
    if not all("micromotion" in state for state in states):
        return []
    return [
        (f"Fracture: {word}, mm", *(fixed(s["micromotion"][f"{word}_mm"], 3) for s in states))
        for word in ("opening", "sliding")
    ]


def _failure(summary: Summary) -> Table:
    """The loads of failure by state and arm; no rows where they were not asked for."""
    arms = summary["arms"]
    first = next(iter(arms.values()))
    states = [first["intact"], first["lesion"], *(arm["treated"] for arm in arms.values())]
    return Table(
        "Loaded to failure, by state; the bone of the sacrum yields, cement and tumour do not.",
        ("", "intact", "lesion", *arms),
        tuple(failure_rows([state.get("failure") for state in states])),
        1,
        FAILURE_NOTE,
    )


def procedures_table(summary: Summary) -> Table:
    """Path, fill and leakage of every procedure; reads ``arms.*.procedures`` alone."""
    rows = []
    for name, arm in summary["arms"].items():
        for number, procedure in enumerate(arm.get("procedures") or (), start=1):
            path, fill = procedure["path"], procedure["fill"]
            leaks = [
                f"{place} {fixed(volume, 2)}"
                for place, volume in fill["leaks"].items()
                if volume >= SHOWN_FROM_ML
            ]
            rows.append(
                (
                    name,
                    str(number),
                    f"{path['approach']}, {path['cannula']}",
                    fixed(path["length_in_bone_mm"], 0),
                    fixed(path["sagittal_angle_deg"], 0),
                    fixed(path["axial_angle_deg"], 0),
                    fixed(path["least_clearance_mm"], 1),
                    ", ".join(path["crosses"]) or "nothing",
                    "yes" if path["allowed_by_rule"] else "no",
                    f"{fixed(fill['cement_ml'], 1)} of {fixed(fill['injected_ml'], 1)}",
                    ", ".join(leaks) or "none",
                    fill["stopped_by"] or "all injected",
                )
            )
    heads = ("sagittal, deg", "axial, deg", "clearance, mm", "crosses", "by rule", "cement, ml")
    return Table(
        "The procedures.",
        ("arm", "no.", "access", "in bone, mm", *heads, "leaks, ml", "ended by"),
        tuple(rows),
        3,
        "Angles to the planes of the sacral frame, positive when the entry is lateral of the tip "
        "and when the needle rises. Clearance: from the cannula's wall to the nearest structure "
        "that it does not cross by intent. By rule: whether Tian 2019 names the access for the "
        "lesion's zone.",
    )


#: Who carries the load at a section: words and fields of a summary.
_CARRIERS = (
    ("all", "share"),
    ("bone and lesion", "bone_share"),
    ("cortex", "cortex_share"),
    ("cement", "cement_share"),
)


def _load_path(summary: Summary) -> Table:
    """Who carries what at each section of the sacrum, by state and arm."""
    arms = summary["arms"]
    first = next(iter(arms.values()))
    # As in the table of the whole bone: the first two states are the same for every arm.
    states = [first["intact"], first["lesion"], *(arm["treated"] for arm in arms.values())]
    rows = []
    for section in first["intact"].get("sections") or ():
        loads = [(state.get("sections") or {}).get(section) or {} for state in states]
        rows += [
            (section, word, *(percent(load.get(field)) for load in loads))
            for word, field in _CARRIERS
        ]
    return Table(
        "The load path: force through sections of the sacrum along the load, % of the load.",
        ("section", "carried by", "intact", "lesion", *arms),
        tuple(rows),
        2,
        "What passes to the part below a level's border, lateral of a border of Denis' zones, or "
        "beyond a plane of the scenario, from consistent nodal forces. Bone and cement in one cell "
        "share its force by modulus and volume. Below zero: it acts against the load.",
    )


def _by_region(summary: Summary) -> Table:
    """Relief of each region by arm."""
    arms = summary["arms"]
    regions = [r for r in next(iter(arms.values()))["relief"] if r != "rim"]
    rows = [
        (
            region,
            *(
                percent(arm["relief"].get(region, {}).get(f"von_mises_{field}"))
                for arm in arms.values()
                for field in ("mean", "p95")
            ),
        )
        for region in regions
    ]
    heads = (f"{name}, {word}" for name in arms for word in ("mean", "95th percentile"))
    return Table(
        "Relief of von Mises stress by region, %.",
        ("region", *heads),
        tuple(rows),
        1,
        "Sound bone without the cells of that arm's cement. Zones: Denis. Foramen rims: bone "
        f"within {RIM_MM:g} mm of a foramen. Cortex: the membrane on the surface, by area; the "
        "others by volume. Relief = 1 - treated/lesion; a region far from the lesion has little to "
        "relieve.",
    )


#: Rows of stress in the cement and on its interface: words, part of the summary, quantity, and the
#: limits that stand against it with a word for each.
_STRESSES: tuple[tuple[str, str, str, Mapping[str, str]], ...] = (
    (
        "cement, compression",
        "cement",
        "compression_MPa",
        {
            "compressive_fatigue": "fatigue",
            "compressive_fatigue_low_modulus": "fatigue, low modulus",
            "compressive_strength": "static",
        },
    ),
    ("cement, tension", "cement", "tension_MPa", {"tensile_strength": "static"}),
    ("cement, von Mises", "cement", "von_mises_MPa", {}),
    ("interface to bone, tension", "interface", "tension_MPa", {}),
    ("interface to bone, shear", "interface", "shear_MPa", {}),
)


def _cement(summary: Summary) -> Table:
    """Stress in the cement of each arm against its limits."""
    rows = []
    for name, arm in summary["arms"].items():
        for words, part, quantity, limits in _STRESSES:
            found = arm["treated"].get(part)
            if found is None:
                continue
            peak = found[quantity]
            safety = [
                f"{fixed(found['safety'][limit], 0)} ({word}, {LIMITS_MPA[limit]:g} MPa)"
                for limit, word in limits.items()
            ]
            stress = (fixed(peak["p95"], 2), fixed(peak["maximum"], 2))
            rows.append((name, words, *stress, "; ".join(safety) or DASH))
    return Table(
        "Stress in the cement and on its interface with bone, treated, MPa.",
        ("arm", "where", "95th percentile", "maximum", "limit over 95th percentile"),
        tuple(rows),
        2,
        "Cells that are at least half cement; the maximum is that of one cell or face and depends "
        "on the mesh. Under this load alone, and bonded: with reduced interlock a balloon's cement "
        "reached 1.9 times the failure threshold of its interface in standing and 7 times in "
        "walking (Purcell 2021, a vertebra). What the interface bears depends on how far the "
        "cement reaches into the bone, which a CT does not show.",
    )


def _rim(summary: Summary) -> Table:
    rows = []
    for name, arm in summary["arms"].items():
        relief = (arm.get("relief") or {}).get("rim") or {}
        for label, word in (("mean", "mean"), ("95th percentile", "p95")):
            field = f"rim_von_mises_{word}_MPa"
            values = [arm[state].get(field) for state in ("intact", "lesion", "treated")]
            rows.append(
                (
                    name,
                    label,
                    *(fixed(value, 3) for value in values),
                    percent(relief.get(f"von_mises_{word}")),
                    percent(restoration(arm, field), 0),
                )
            )
    return Table(
        f"The rim: sound bone within {RIM_MM:g} mm of the lesion, von Mises stress in MPa.",
        ("arm", "over the rim", "intact", "lesion", "treated", "relief, %", "restoration, %"),
        tuple(rows),
        2,
        "Each arm's rim leaves out the cells of its own cement, so the rims differ: compare the "
        "states of one arm in MPa, and the arms by relief. Relief = 1 - treated/lesion. "
        "Restoration = (lesion - treated)/(lesion - intact); above 100 the bone carries less than "
        "when intact.",
    )


def as_text(table: Table) -> str:
    """A table as aligned plain text."""
    lines = [table.columns, *table.rows]
    width = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    text = [table.title]
    for line in lines:
        cells = [
            cell.ljust(width[i]) if i < table.labels else cell.rjust(width[i])
            for i, cell in enumerate(line)
        ]
        text.append("  ".join(cells).rstrip())
    text.insert(2, "-" * (sum(width) + 2 * (len(width) - 1)))
    return "\n".join([*text, *_wrapped(table.note)])


def _wrapped(note: str, width: int = 96) -> list[str]:
    lines = [""]
    for word in note.split():
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
