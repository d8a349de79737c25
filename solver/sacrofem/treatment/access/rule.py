"""Which approach the papers name for which part of the sacrum."""

from collections.abc import Mapping, Sequence

import numpy as np

from sacrofem.image.volume import FloatArray
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Approach

#: Approaches by Denis' zone of the target (Tian, Liu, Wang, Cheng and Wu 2019, discussion). The
#: angulated short axis is Andresen's (2014, Fig. 1b); Tian's list does not tell the short ones
#: apart, so it is allowed where the short axis is.
BY_ZONE: Mapping[int, tuple[Approach, ...]] = {
    1: ("short axis", "angulated short axis", "long axis", "transiliac", "anterior-oblique"),
    2: ("long axis",),
    3: ("transiliac", "interpedicular"),
}
SEVERAL_BODIES: tuple[Approach, ...] = ("interpedicular",)
#: A body counts as involved from this part of the lesions' volume on: a choice.
INVOLVED_SHARE = 0.15
_ROMAN = {1: "I", 2: "II", 3: "III"}


def allowed(
    field: OperatingField, lesions: Sequence[Lesion], target_mm: FloatArray, approach: Approach
) -> tuple[bool, str]:
    """Whether the rule of Tian 2019 names an approach, and what to note if it does not.

    Args:
        field: The bone.
        lesions: The lesions that are treated.
        target_mm: Where the tip goes, world, shape (3,).
        approach: The approach.
    """
    bodies = involved_bodies(field, lesions)
    zone = int(field.atlas.map.denis_zone(target_mm[None])[0])
    if len(bodies) > 1 and zone == 3:
        named = SEVERAL_BODIES
        where = "lesions of several bodies (S" + ", S".join(map(str, bodies)) + ")"
    else:
        named, where = BY_ZONE[zone], f"zone {_ROMAN[zone]}"
    if approach in named:
        return True, ""
    note = f"Tian 2019 names for {where} only {' and '.join(named)}"
    if approach == "transiliac":
        note += "; Andresen 2014 reached lateral, transforaminal and central zones this way"
    return False, note


def involved_bodies(field: OperatingField, lesions: Sequence[Lesion]) -> tuple[int, ...]:
    """Levels, 1 to 5, whose body (Denis' zone III) the lesions involve."""
    volume = np.zeros(6)
    for lesion in lesions:
        cell = lesion.samples.cell[lesion.inside]
        central = field.mesh.zone[cell] == 3
        volume += np.bincount(
            field.mesh.level[cell][central],
            weights=lesion.samples.part_ml[lesion.inside][central],
            minlength=6,
        )
    whole = sum(lesion.samples.volume_ml(lesion.inside) for lesion in lesions)
    return tuple(int(level) for level in np.flatnonzero(volume > INVOLVED_SHARE * whole) if level)
