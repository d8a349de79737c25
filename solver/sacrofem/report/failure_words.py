"""The loads of failure as rows of text, and what must be said beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sacrofem.report.digits import DASH, change_percent, fixed, signed

#: How far cells of 3 mm instead of 5 mm lower the failure load of the main scenario, measured in
#: docs/strength.md.
MESH_PERCENT = 5.2
MESH_ERROR = (
    "The mesh moves these loads: with cells of 3 mm instead of 5 mm the main scenario fails at "
    f"{MESH_PERCENT:g} % less. A smaller difference of two states needs a second mesh."
)
FAILURE_NOTE = (
    "Linear elements. Failure: a step of the displacement meets less than a tenth of the first "
    "stiffness. The linear criteria strain a part of the bone beyond a limit as if none yielded "
    "(Pistoia 2002), here without the bone around the ends of ligaments, which stays elastic. "
    + MESH_ERROR
)
#: Label, field of a state's ``failure`` and digits.
_ROWS = (
    ("Failure load, N", "failure_N", 0),
    ("Yield load (secant 5 % less stiff), N", "yield_N", 0),
    ("Bone beyond yield at the end, ml", "yielded_ml", 1),
    ("Work that the bone does not give back, mJ", "dissipated_mJ", 0),
    ("Linear criterion, effective strain, N", "effective_strain_N", 0),
    ("Linear criterion, yield strains, N", "yield_strain_N", 0),
)


def failure_rows(states: Sequence[Mapping[str, Any] | None]) -> list[tuple[str, ...]]:
    """A label and the numbers of intact, lesion and the arms; no rows where one is not known.

    Args:
        states: ``failure`` of the intact state, of that with the lesion, and after each arm.
    """
    known = [state for state in states if state is not None]
    if len(known) < len(states):
        return []
    rows = [
        (label, *(fixed(state[field], digits) for state in known)) for label, field, digits in _ROWS
    ]
    lesion, *treated = (state["failure_N"] for state in known[1:])
    changes = [
        signed(change_percent(load, lesion), 2) for load in (known[0]["failure_N"], *treated)
    ]
    rows.insert(1, ("  change to the lesion state, %", changes[0], DASH, *changes[1:]))
    return rows
