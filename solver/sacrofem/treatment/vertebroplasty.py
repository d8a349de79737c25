"""Vertebroplasty: cement is pressed into the pores while the needle is withdrawn.

The needle is advanced along its path to the far border of the lesion and withdrawn during the
injection (Tian 2019), so cement comes out at deposits along the path through the lesion, the
farthest first. From there it flows by :mod:`sacrofem.treatment.flow`. The hole that the needle
leaves behind, 5 mm3 for a millimetre of its way, is not a part of the medium.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.flow import Stops, inject
from sacrofem.treatment.leakage import fill_of_flow, margin_of
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.medium import Medium, medium_of
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan
from sacrofem.treatment.track import STEP_MM, Stretch, share_out, stretches_of, track_of

#: Rate of the injection: 3 ml/min (JOSR 2015;10:20).
FLOW_ML_PER_S = 0.05
#: The needle is withdrawn by this length between deposits, in mm: a choice, half the diameter of
#: the ball of 2 ml, so that deposits merge.
WITHDRAWN_BY_MM = 8.0
#: How far the needle can be advanced beyond the planned tip, in mm; it stays in the lesion. A
#: choice: as far as a lesion of 12 ml reaches on both sides of its centre.
ADVANCED_BY_MM = 30.0


@dataclass(frozen=True, eq=False)
class Deposit:
    """A place on the path where cement leaves the needle.

    Attributes:
        point_mm: The place, world, shape (3,).
        share: Its share of the cement.
    """

    point_mm: FloatArray
    share: float


def fill_vertebroplasty(
    field: OperatingField,
    lesions: Sequence[Lesion],
    path: AccessPath,
    plan: FillPlan,
    occupied: NDArray[np.bool_] | None = None,
    treated: Sequence[Lesion] | None = None,
) -> CementFill:
    """Inject cement from the deposits of a path until all is in or a stop rule ends it.

    Args:
        field: The bone.
        lesions: Its lesions.
        path: The needle's track.
        plan: Volume, viscosity, deposits and stop rules.
        occupied: Voxels of the tissue grid with hardened cement.
        treated: The lesions in which it is injected; all of them by default.

    Raises:
        InputError: No volume is given, there are fewer deposits than lesions on the path, one lies
            where no cement can go, or the pores within reach hold less than the volume.
    """
    if plan.cement_ml is None:
        raise InputError("fill, vertebroplasty: cement_ml is needed, found none; give a volume.")
    medium = medium_of(field, lesions, plan.viscosity, occupied=occupied)
    aims = lesions if treated is None else treated
    deposits = deposits_of(field, aims, path, plan.cement_ml, plan.deposits)
    places = field.tissue.index_of(
        field.atlas.frame.to_local(np.stack([deposit.point_mm for deposit in deposits]))
    )
    sources = [(place, deposit.share) for place, deposit in zip(places, deposits, strict=True)]
    stops = stops_of(field, medium, plan)
    flow = inject(medium, sources, plan.cement_ml, FLOW_ML_PER_S, stops)
    return fill_of_flow(field, flow, medium, "vertebroplasty", notes=_notes(deposits))


def stops_of(field: OperatingField, medium: Medium, plan: FillPlan) -> Stops:
    """The stop rules of a plan."""
    margin = None if plan.margin_mm is None else margin_of(field, medium, plan.margin_mm)
    return Stops(plan.pressure_kPa, margin)


def deposits_of(
    field: OperatingField,
    lesions: Sequence[Lesion],
    path: AccessPath,
    volume_ml: float,
    number: int | None = None,
) -> tuple[Deposit, ...]:
    """Deposits along a path in the order of the injection, from its far end backwards.

    Each lesion on the path has at least one, and a share of the cement by the length of path in it.
    In a lesion they stand evenly, and so far from its borders that the ball of a deposit stays
    inside: nobody injects at the border. A path that meets no lesion has one deposit, at its tip.

    Args:
        field: The bone.
        lesions: The lesions that the path treats.
        path: The needle's track.
        volume_ml: Volume of all deposits.
        number: How many deposits; None: one for each ``WITHDRAWN_BY_MM`` of path in a lesion.

    Raises:
        InputError: There are fewer deposits than lesions on the path.
    """
    track = track_of(path, ADVANCED_BY_MM)
    stretches = stretches_of(field, lesions, track)
    if not stretches:
        return (Deposit(path.tip_mm, 1.0),)
    # Each point of a track stands for a step of it, even where a lesion holds only one.
    lengths = [stretch.length_mm + STEP_MM for stretch in stretches]
    whole_mm = sum(lengths)
    made = []
    counts = _counts(stretches, number)
    for stretch, length, count in zip(stretches, lengths, counts, strict=True):
        share = length / whole_mm / count
        ball_mm = np.cbrt(3000.0 * volume_ml * share / (4.0 * np.pi))
        inset = min(max(ball_mm, length / (2.0 * count)), length / 2.0)
        places = np.linspace(inset, length - inset, count) if count > 1 else [length / 2.0]
        made += [(stretch.start_mm + place, share) for place in places]
    made.sort(reverse=True)
    points = track.at(np.array([at for at, _ in made]))
    return tuple(Deposit(point, share) for point, (_, share) in zip(points, made, strict=True))


def _counts(stretches: Sequence[Stretch], number: int | None) -> list[int]:
    """Deposits of each stretch."""
    if number is None:
        return [max(round(stretch.length_mm / WITHDRAWN_BY_MM), 1) for stretch in stretches]
    if number < len(stretches):
        raise InputError(
            f"fill, vertebroplasty: {len(stretches)} lesions on the path need at least as many "
            f"deposits, found {number}; give more, or leave the number out."
        )
    return share_out(stretches, number)


def _notes(deposits: Sequence[Deposit]) -> tuple[str, ...]:
    if len(deposits) == 1:
        return ("one deposit on the path",)
    return (f"{len(deposits)} deposits along the path, the farthest first",)
