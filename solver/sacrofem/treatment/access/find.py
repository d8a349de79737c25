"""The access path of a plan, and what each approach could do for the same target."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.treatment.access import rule
from sacrofem.treatment.access.aim import CORE_SHARE, TIP_CLEARANCE_MM, Aims, aims_at
from sacrofem.treatment.access.approaches import BUILDERS, Family, Undefined
from sacrofem.treatment.access.measure import crossed_on_the_way, measured_path, sacral_part
from sacrofem.treatment.access.passage import Cast, cast, is_above
from sacrofem.treatment.access.structures import (
    CANAL_CODE,
    CLOSE,
    FREE,
    SAFETY_MM,
    STRUCTURES,
    clearances,
    words_of,
)
from sacrofem.treatment.access.tracks import STEP_MM, along_polyline
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Approach, Cannula, PathPlan

#: Clearances that differ by less than half a voxel are equal: then the nominal direction counts.
EQUAL_MM = 0.5
#: So many obstacles are named in a reason.
OBSTACLES = 3


class _Best(NamedTuple):
    """The track that an approach takes."""

    track: int
    cast: Cast
    codes: NDArray[np.uint8]


def find_path(field: OperatingField, lesions: Sequence[Lesion], plan: PathPlan) -> AccessPath:
    """The access path that a plan asks for: of its approach, the track of the largest clearance.

    Args:
        field: The bone.
        lesions: The lesions that the needle treats, at least one.
        plan: Approach, cannula, target and whether a bevel needle is steered.

    Raises:
        InputError: No track of the approach reaches the target through this bone.
    """
    if plan.approach == "best":
        return _best_of(field, lesions, plan)
    found = _find(field, lesions, plan, plan.approach)
    if isinstance(found, AccessPath):
        return found
    others = _survey(field, lesions, plan)
    del others[plan.approach]
    raise InputError(f"approach '{plan.approach}': {found}. {_alternatives(others)}")


def survey(
    field: OperatingField,
    lesions: Sequence[Lesion],
    target_mm: FloatArray | None,
    cannula: Cannula,
) -> dict[Approach, AccessPath | str]:
    """What each approach can do: its path, or the anatomical reason why there is none.

    Args:
        field: The bone.
        lesions: The lesions that the needle treats, at least one.
        target_mm: Where the tip goes, world, shape (3,); None aims at the lesions.
        cannula: Size of the cannula.
    """
    return _survey(field, lesions, PathPlan("best", cannula, target_mm))


def _survey(
    field: OperatingField, lesions: Sequence[Lesion], plan: PathPlan
) -> dict[Approach, AccessPath | str]:
    return {approach: _find(field, lesions, plan, approach) for approach in BUILDERS}


def _best_of(field: OperatingField, lesions: Sequence[Lesion], plan: PathPlan) -> AccessPath:
    """The path of the largest clearance among those that the rule allows, else among all.

    The anterior-oblique one is taken only where no other is left: its clearance knows nothing of
    the vessels and nerves in front of the ala, which no label shows.
    """
    all_ways = _survey(field, lesions, plan)
    paths = [path for path in all_ways.values() if isinstance(path, AccessPath)]
    if not paths:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in all_ways.items())
        if len(set(all_ways.values())) == 1:
            reasons = str(next(iter(all_ways.values())))
        raise InputError(
            f"approach 'best': no approach reaches the target: {reasons}. Give another target_mm, "
            "a thinner cannula or another lesion."
        )
    named = [path for path in paths if path.allowed_by_rule]
    # Where the rule allows nothing that works, the note of the path itself says so.
    return max(
        named or paths,
        key=lambda path: (path.approach != "anterior-oblique", path.least_clearance_mm),
    )


def _find(
    field: OperatingField, lesions: Sequence[Lesion], plan: PathPlan, approach: Approach
) -> AccessPath | str:
    """The path of one approach, or the reason why there is none."""
    aims = aims_at(field, lesions, plan.target_mm, far_end=approach == "interpedicular")
    if not len(aims.places_mm):
        return (
            f"its tip would come nearer than {TIP_CLEARANCE_MM:g} mm to the outside of the bone at "
            f"the target at {_spot(aims.target_mm)}"
        )
    # All other places only where the first one cannot be reached.
    reason = ""
    for places in (aims.places_mm[:1], aims.places_mm[1:]):
        if len(places):
            family = BUILDERS[approach](field, places, plan.bevel)
            if isinstance(family, Undefined):
                reason = reason or family.reason
                continue
            found = _through(field, lesions, family, plan.cannula)
            if isinstance(found, _Best):
                return _path(field, lesions, aims, approach, family, found, plan.cannula)
            reason = reason or f"no track reaches the target at {_spot(aims.target_mm)}; {found}"
    return reason


def _through(
    field: OperatingField, lesions: Sequence[Lesion], family: Family, cannula: Cannula
) -> _Best | str:
    """The track of the largest clearance that the bone lets through, or what stops them all."""
    points = family.tracks.points_mm(family.reach_mm)
    found = cast(field, points, family.passage)
    open_tracks = np.flatnonzero(found.blocked == FREE)
    if len(open_tracks):
        entry = found.entry[open_tracks]
        reach = int(entry.max()) + 1
        points, codes = points[open_tracks, :reach], found.codes[open_tracks, :reach]
        within = sacral_part(codes, entry)
        least, close = _least(field, points, within, family, codes, cannula)
        found.blocked[open_tracks] = close
        good = np.flatnonzero(close == FREE)
        if len(good):
            missed = _missed(field, lesions, points[good], within[good])
            good, least = good[missed == missed.min()], least[good][missed == missed.min()]
            first = int(np.flatnonzero(least >= least.max() - EQUAL_MM)[0])
            chosen = int(good[first])
            return _Best(int(open_tracks[chosen]), found, codes[chosen, : entry[chosen] + 1])
    return _reason(found.blocked)


def _least(
    field: OperatingField,
    points: FloatArray,
    within: NDArray[np.bool_],
    family: Family,
    codes: NDArray[np.uint8],
    cannula: Cannula,
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Smallest clearance of tracks from what they do not cross, and what comes too close."""
    distance = clearances(field, points, within, cannula)
    if "canal" in family.crosses:
        above = within & is_above(field, points, family.passage.canal_below_s_mm)
        distance["canal"] = clearances(field, points, above, cannula)["canal"]
    least = np.full(len(points), np.inf)
    close = np.full(len(points), FREE, dtype=np.uint8)
    crossed = [crossed_on_the_way(row, family.crosses) for row in codes]
    for number, name in enumerate(STRUCTURES):
        spared = name == "canal" or np.array([name not in row for row in crossed])
        gap = np.where(spared, distance[name], np.inf)
        close[(gap < SAFETY_MM) & (close == FREE)] = CLOSE + number
        least = np.minimum(least, gap)
    return least, close


def _missed(
    field: OperatingField,
    lesions: Sequence[Lesion],
    points: FloatArray,
    within: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """How many of several lesions each track misses by more than their radius, shape (n,)."""
    missed = np.zeros(len(points), dtype=np.int64)
    if len(lesions) > 1:
        for lesion in lesions:
            centre = field.atlas.frame.to_local(lesion.centre_mm[None])[0]
            far = np.linalg.norm(points - centre, axis=2)
            missed += np.where(within, far, np.inf).min(axis=1) > lesion.radius_mm
    return missed


def _path(
    field: OperatingField,
    lesions: Sequence[Lesion],
    aims: Aims,
    approach: Approach,
    family: Family,
    best: _Best,
    cannula: Cannula,
) -> AccessPath:
    corners = family.tracks.corners_mm(best.track, STEP_MM * float(best.cast.entry[best.track]))
    tip = field.atlas.frame.to_world(corners[-1:])[0]
    named, note = rule.allowed(field, lesions, tip, approach)
    notes = [note] if note else []
    beside = float(np.linalg.norm(corners[-1] - aims.target_mm))
    if beside > STEP_MM:
        notes.append(
            f"the tip stands {beside:.1f} mm beside the target, within {CORE_SHARE:g} of the "
            "lesion's radius: no track reaches the target itself"
        )
    samples = along_polyline(corners)[None]
    if _missed(field, lesions, samples, np.ones(samples.shape[:2], dtype=bool))[0]:
        notes.append("the track does not pass through every lesion that it treats")
    if "canal" in family.crosses and not (best.codes == CANAL_CODE).any():
        notes.append("the labels show no open canal where the track crosses it")
    crosses = crossed_on_the_way(best.codes, family.crosses)
    return measured_path(field, approach, cannula, corners, crosses, named, tuple(notes))


def _reason(blocked: NDArray[np.uint8]) -> str:
    """What stops how many tracks, the commonest first."""
    count = Counter(int(code) for code in blocked)
    whole = len(blocked)
    named = ", ".join(
        f"{words_of(code)} ({100.0 * number / whole:.0f} %)"
        for code, number in count.most_common(OBSTACLES)
    )
    return f"its {whole} tracks are stopped by {named}"


def _alternatives(others: Mapping[Approach, AccessPath | str]) -> str:
    """The approaches that do reach the target, for the end of an error."""
    reach = [
        f"{name} ({path.least_clearance_mm:.1f} mm clearance"
        f"{'' if path.allowed_by_rule else ', outside the rule of Tian 2019'})"
        for name, path in others.items()
        if isinstance(path, AccessPath)
    ]
    if not reach:
        return "No other approach reaches it either; give another target_mm or a thinner cannula."
    return f"It can be reached by {', '.join(reach)}; take one of them, or approach: best."


def _spot(local_mm: FloatArray) -> str:
    """A frame point in words."""
    rounded = ", ".join(f"{x + 0.0:.0f}" for x in np.round(local_mm))
    return f"({rounded}) mm (left, posterior, superior of S1)"
