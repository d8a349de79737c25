"""The ray-cast: which tracks the patient's bone lets through, and what stops the others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.treatment.access.structures import (
    BEYOND,
    CANAL_CODE,
    FLAT,
    FORE,
    FREE,
    FRONT,
    HIGH_ENTRY,
    ILIUM,
    JOINT,
    LUMBAR,
    NO_ILIUM,
    PASSAGE,
    PAST_JOINT,
    SACRUM,
    codes_at,
)
from sacrofem.treatment.access.tracks import STEP_MM
from sacrofem.treatment.operating_field import OperatingField

#: A gap in the bone longer than this is a space, not a rough surface: a choice, two voxels.
GAP_MM = 2.0
#: A needle from the back has soft tissue of the back behind its entry for at least so far: a
#: choice, more than the roughness of the bone.
BEHIND_ENTRY_MM = 8.0
#: Smallest angle to the patient's coronal plane at which a needle from the back comes through the
#: skin: a choice.
FLATTEST_DEG = 15.0


@dataclass(frozen=True)
class Passage:
    """What the tracks of an approach go through.

    Attributes:
        joint_gap_mm: Widest gap between sacrum and ilium that a track may cross; None where the
            approach stays out of the ilium.
        past_front: Whether that gap may lie in front of the joint.
        canal_below_s_mm: Where along the pelvic face, downwards, the track may begin to cross the
            canal; infinite where it stays out of it.
        entry_below_s_mm: Where along the pelvic face, downwards, its entry may begin.
    """

    joint_gap_mm: float | None = None
    past_front: bool = False
    canal_below_s_mm: float = np.inf
    entry_below_s_mm: float = -np.inf


@dataclass(frozen=True, eq=False)
class Cast:
    """What the ray-cast found.

    Attributes:
        codes: What the samples lie in, shape (n, m).
        entry: Sample of each track at which it enters bone, shape (n,).
        sacrum: Its outermost sample in the sacrum, shape (n,).
        blocked: What stops it, FREE where nothing does, shape (n,).
    """

    codes: NDArray[np.uint8]
    entry: NDArray[np.int64]
    sacrum: NDArray[np.int64]
    blocked: NDArray[np.uint8]


def cast(field: OperatingField, local_mm: FloatArray, passage: Passage) -> Cast:
    """Follow tracks from their tips outwards.

    Args:
        field: The bone.
        local_mm: Samples in the frame, shape (n, m, 3); all tips lie in the sacrum.
        passage: What they may go through.
    """
    codes = codes_at(field, local_mm)
    sacrum = _last(codes == SACRUM)
    open_canal = (codes == CANAL_CODE) & _below(field, local_mm, passage.canal_below_s_mm)
    passable = (codes == SACRUM) | open_canal
    if passage.joint_gap_mm is None:
        entry = _last(passable)
        blocked = _foreign(codes)
    else:
        entry = _last(codes == ILIUM)
        passable |= codes == ILIUM
        blocked = _ilium(codes, sacrum, passage)
        passable |= _between(codes, sacrum, _first(codes == ILIUM))
    before = np.arange(codes.shape[1]) < entry[:, None]
    blocked = np.where(blocked == FREE, _gaps(codes, ~passable & before), blocked)
    if passage.joint_gap_mm is None:
        blocked = np.where(blocked == FREE, _behind(codes, entry), blocked)
        blocked = np.where((blocked == FREE) & _flat(field, local_mm), FLAT, blocked)
    at_entry = np.take_along_axis(local_mm, entry[:, None, None], axis=1)
    high = ~_below(field, at_entry, passage.entry_below_s_mm)[:, 0]
    blocked = np.where((blocked == FREE) & high, HIGH_ENTRY, blocked)
    return Cast(codes, entry, sacrum, blocked.astype(np.uint8))


def is_above(field: OperatingField, local_mm: FloatArray, s_mm: float) -> NDArray[np.bool_]:
    """Which frame points, shape (..., 3), lie above a place along the pelvic face."""
    return ~_below(field, local_mm, s_mm)


def _below(field: OperatingField, local_mm: FloatArray, s_mm: float) -> NDArray[np.bool_]:
    """Which frame points lie below a place along the pelvic face, in the plane across it."""
    shape = local_mm.shape[:-1]
    if np.isinf(s_mm):
        return np.full(shape, s_mm < 0.0)
    curve, frame = field.atlas.curve, field.atlas.frame
    foot, ahead = frame.to_local(curve.to_world(np.array([[0.0, s_mm, 0.0], [0.0, s_mm, 1.0]])))
    back = ahead - foot
    down = np.array([0.0, back[2], -back[1]])
    return np.asarray((local_mm - foot) @ down > 0.0)


def _first(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First true sample of each row; the row's length where there is none."""
    return np.where(mask.any(axis=1), mask.argmax(axis=1), mask.shape[1])


def _last(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Last true sample of each row; 0 where there is none."""
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    return np.where(mask.any(axis=1), last, 0)


def _between(
    codes: NDArray[np.uint8], first: NDArray[np.int64], last: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Samples between two samples of each row."""
    at = np.arange(codes.shape[1])
    return np.asarray((at > first[:, None]) & (at < last[:, None]))


def _foreign(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The ilium or L5 where a track meets it at all: no cannula gets past."""
    out = np.full(len(codes), FREE, dtype=np.uint8)
    for bone in (ILIUM, LUMBAR):
        out[(codes == bone).any(axis=1)] = bone
    return out


def _ilium(
    codes: NDArray[np.uint8], sacrum: NDArray[np.int64], passage: Passage
) -> NDArray[np.uint8]:
    """What stops a track on its way from the sacrum through the joint into the ilium."""
    ilium = codes == ILIUM
    first, last = _first(ilium), _last(ilium)
    gap = _between(codes, sacrum, first)
    front = (gap & (codes == FRONT)).any(axis=1)
    width_mm = (first - sacrum - 1) * STEP_MM
    assert passage.joint_gap_mm is not None
    # Labels that touch leave no voxel to the joint.
    past = ~(gap & (codes == JOINT)).any(axis=1) & (width_mm > GAP_MM)
    out = np.full(len(codes), FREE, dtype=np.uint8)
    out[(past & ~front) | (width_mm > passage.joint_gap_mm)] = PAST_JOINT
    if not passage.past_front:
        out[front] = FRONT
    nerve = np.where(gap & (codes > PASSAGE), codes, 0).max(axis=1)
    out[nerve > 0] = nerve[nerve > 0]
    after = np.minimum(last + 1, codes.shape[1] - 1)
    out[np.isin(np.take_along_axis(codes, after[:, None], axis=1)[:, 0], (BEYOND, ILIUM))] = BEYOND
    out[first < sacrum] = SACRUM
    out[~ilium.any(axis=1)] = NO_ILIUM
    out[((codes == LUMBAR) & (np.arange(codes.shape[1]) < first[:, None])).any(axis=1)] = LUMBAR
    return out


def _gaps(codes: NDArray[np.uint8], gap: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The space that the first gap longer than GAP_MM lies in; FREE where there is none."""
    width = round(GAP_MM / STEP_MM) + 1
    run = np.cumsum(gap, axis=1, dtype=np.int32)
    run[:, width:] -= run[:, :-width].copy()
    long = run == width
    end = _first(long)
    # A passage or the joint names the gap even if its first samples are pores of its wall.
    start = np.maximum(end - width + 1, 0)
    at = np.minimum(start[:, None] + np.arange(2 * width), codes.shape[1] - 1)
    worst = np.where(np.take_along_axis(gap, at, axis=1), np.take_along_axis(codes, at, axis=1), 0)
    return np.where(long.any(axis=1), worst.max(axis=1), FREE).astype(np.uint8)


def _behind(codes: NDArray[np.uint8], entry: NDArray[np.int64]) -> NDArray[np.uint8]:
    """What lies behind the entry: the pelvis, a nerve passage or the joint."""
    at = entry[:, None] + 1 + np.arange(round(BEHIND_ENTRY_MM / STEP_MM))
    space = np.take_along_axis(codes, np.minimum(at, codes.shape[1] - 1), axis=1)
    out = np.full(len(codes), FREE, dtype=np.uint8)
    out[(space == FRONT).any(axis=1)] = FORE
    nerve = np.where(space > PASSAGE, space, 0).max(axis=1)
    out[nerve > 0] = nerve[nerve > 0]
    out[(space == JOINT).any(axis=1)] = JOINT
    return out


def _flat(field: OperatingField, local_mm: FloatArray) -> NDArray[np.bool_]:
    """Which tracks come in too flat to the back, by their outermost step; LPS y runs backwards."""
    outwards = (local_mm[:, -1] - local_mm[:, -2]) / STEP_MM
    back = outwards @ field.atlas.frame.axes[:, 1]
    return np.asarray(back < np.sin(np.radians(FLATTEST_DEG)))
