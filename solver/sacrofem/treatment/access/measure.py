"""A path measured: length in bone, angles and clearances of one track."""

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.treatment.access.structures import FRONT, ILIUM, JOINT, SACRUM, clearances, codes_at
from sacrofem.treatment.access.tracks import along_polyline
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Approach, Cannula


def measured_path(
    field: OperatingField,
    approach: Approach,
    cannula: Cannula,
    corners_mm: FloatArray,
    crosses: tuple[str, ...],
    allowed_by_rule: bool,
    notes: tuple[str, ...],
) -> AccessPath:
    """The path along a polyline.

    Args:
        field: The bone.
        approach: Its name.
        cannula: Its size.
        corners_mm: Entry, bends and tip in the frame, shape (k, 3).
        crosses: What it crosses by intent.
        allowed_by_rule: Whether the rule names it.
        notes: What the reader must know.
    """
    samples = along_polyline(corners_mm)
    codes = codes_at(field, samples)
    step = float(np.linalg.norm(samples[1] - samples[0]))
    length = step * float(np.isin(codes, (SACRUM, ILIUM)).sum() - 1)
    within = sacral_part(codes[None], np.array([len(codes) - 1]))
    last = corners_mm[-1] - corners_mm[-2]
    last = last / np.linalg.norm(last)
    side = 1.0 if corners_mm[-2:, 0].sum() >= 0.0 else -1.0
    return AccessPath(
        approach=approach,
        cannula=cannula,
        points_mm=field.atlas.frame.to_world(corners_mm),
        length_in_bone_mm=length,
        axial_angle_deg=float(np.degrees(np.arcsin(last[2]))),
        sagittal_angle_deg=float(np.degrees(np.arcsin(-side * last[0]))),
        clearance_mm={
            name: float(least[0])
            for name, least in clearances(field, samples[None], within, cannula).items()
        },
        crosses=crosses,
        allowed_by_rule=allowed_by_rule,
        notes=notes,
    )


def sacral_part(codes: NDArray[np.uint8], entry: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which samples count for clearances: from the tip to the entry, but not within the ilium.

    Args:
        codes: What the samples lie in, tip first, shape (n, m).
        entry: Sample at which each track enters bone, shape (n,).
    """
    at = np.arange(codes.shape[1])
    ilium = codes == ILIUM
    first = np.where(ilium.any(axis=1), ilium.argmax(axis=1), codes.shape[1])
    return np.asarray((at <= entry[:, None]) & (at < first[:, None]))


def crossed_on_the_way(codes: NDArray[np.uint8], crosses: tuple[str, ...]) -> tuple[str, ...]:
    """What a track between sacrum and ilium crosses, outside first.

    Args:
        codes: What its samples lie in, tip first, shape (m,).
        crosses: What its approach crosses by intent.
    """
    if "ilium" not in crosses:
        return crosses
    ilium = codes == ILIUM
    gap = codes[: int(ilium.argmax())]
    front = bool((gap == FRONT).any())
    found = ("ilium",) + (("SI joint",) if (gap == JOINT).any() or not front else ())
    return found + (("anterior cortex",) if front else ())
