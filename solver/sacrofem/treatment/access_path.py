"""An access path: the track of a cannula from where it enters bone to its tip."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sacrofem.image.volume import FloatArray
from sacrofem.treatment.plan import Approach, Cannula


@dataclass(frozen=True, eq=False)
class AccessPath:
    """The track of a cannula.

    Attributes:
        approach: Its name in the clinic, never ``best``.
        cannula: Its size.
        points_mm: Its axis from the entry into bone to the tip, world, shape (k, 3); two points
            where it is straight, more where a bevel bends it.
        length_in_bone_mm: Length of the track within bone, ilium and sacrum.
        axial_angle_deg: Angle of its last piece to the axial plane of the sacral frame, positive
            when it rises towards the tip.
        sagittal_angle_deg: Angle of its last piece to the mid-sagittal plane, positive when the
            entry is lateral of the tip.
        clearance_mm: Smallest distance of the cannula's wall from each structure that it passes:
            ``foramina``, ``canal``, ``anterior cortex``, ``SI joint``; negative where it crosses,
            infinite where the images show none.
        crosses: Structures that it crosses by intent, in order: ``ilium``, ``SI joint``,
            ``anterior cortex``, ``canal``.
        allowed_by_rule: Whether the rule of Tian 2019 names the approach for the target's zone.
        notes: What the reader of the result must know.
    """

    approach: Approach
    cannula: Cannula
    points_mm: FloatArray
    length_in_bone_mm: float
    axial_angle_deg: float
    sagittal_angle_deg: float
    clearance_mm: Mapping[str, float]
    crosses: tuple[str, ...]
    allowed_by_rule: bool
    notes: tuple[str, ...]

    @property
    def entry_mm(self) -> FloatArray:
        """Where it enters bone, world, shape (3,)."""
        return np.asarray(self.points_mm[0])

    @property
    def tip_mm(self) -> FloatArray:
        """Its tip, world, shape (3,)."""
        return np.asarray(self.points_mm[-1])

    @property
    def direction(self) -> FloatArray:
        """Unit vector along its last piece, shape (3,)."""
        track = self.points_mm[-1] - self.points_mm[-2]
        return np.asarray(track / np.linalg.norm(track))

    @property
    def least_clearance_mm(self) -> float:
        """Smallest clearance from what it does not cross by intent."""
        kept = {n: c for n, c in self.clearance_mm.items() if n not in self.crosses}
        return float(min(kept.values(), default=np.inf))
