"""The way of a tool along an access path, to beyond the path's tip, and where it is in lesions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sacrofem.image.volume import FloatArray
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField

STEP_MM = 0.25


@dataclass(frozen=True, eq=False)
class Track:
    """Points along a path.

    Attributes:
        along_mm: Their distances from the entry along the path, ascending, shape (k,).
        points_mm: The points, world, shape (k, 3).
        tip_mm: Distance of the path's tip; points beyond it continue the path straight.
    """

    along_mm: FloatArray
    points_mm: FloatArray
    tip_mm: float

    def at(self, along_mm: FloatArray) -> FloatArray:
        """World points, shape (n, 3), at distances from the entry, shape (n,)."""
        return np.stack(
            [np.interp(along_mm, self.along_mm, self.points_mm[:, i]) for i in range(3)], axis=1
        )


@dataclass(frozen=True)
class Stretch:
    """A part of a track, by distances from the entry.

    Attributes:
        name: Where it is.
        start_mm: Where it begins.
        middle_mm: Where it passes nearest to the centre of the lesion that it is in.
        end_mm: Where it ends.
    """

    name: str
    start_mm: float
    middle_mm: float
    end_mm: float

    @property
    def length_mm(self) -> float:
        """Its length."""
        return self.end_mm - self.start_mm


def track_of(path: AccessPath, beyond_mm: float) -> Track:
    """The track of a path and so far beyond its tip."""
    corners = np.vstack([path.points_mm, path.tip_mm + beyond_mm * path.direction])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    along = np.append(np.arange(0.0, length[-1], STEP_MM), length[-1])
    points = np.stack([np.interp(along, length, corners[:, i]) for i in range(3)], axis=1)
    return Track(along, points, float(length[-2]))


def stretches_of(
    field: OperatingField, lesions: Sequence[Lesion], track: Track
) -> tuple[Stretch, ...]:
    """The stretch of a track in each lesion that it meets before its tip, in the lesions' order.

    It is the longest piece of the track in the lesion, with what of it lies beyond the tip.
    """
    voxel = tuple(field.voxel_of(track.points_mm).T)
    found = []
    for lesion in lesions:
        number, count = ndimage.label(lesion.voxels[voxel])
        pieces = [track.along_mm[number == piece] for piece in range(1, count + 1)]
        reached = [piece for piece in pieces if piece[0] <= track.tip_mm]
        if reached:
            longest = max(reached, key=len)
            off = np.linalg.norm(track.at(longest) - lesion.centre_mm, axis=1)
            ends = float(longest[0]), float(longest[-1])
            found.append(Stretch(lesion.name, ends[0], float(longest[off.argmin()]), ends[1]))
    return tuple(found)


def share_out(stretches: Sequence[Stretch], number: int) -> list[int]:
    """How many of a number of places each stretch has: one, and more where they stand farthest.

    Args:
        stretches: The stretches.
        number: The number, at least that of the stretches.
    """
    counts = [1] * len(stretches)
    for _ in range(number - len(stretches)):
        apart = [s.length_mm / n for s, n in zip(stretches, counts, strict=True)]
        counts[int(np.argmax(apart))] += 1
    return counts
