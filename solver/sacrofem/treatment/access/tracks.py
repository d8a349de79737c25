"""Candidate tracks of a cannula, sampled from the tip outwards."""

from dataclasses import dataclass

import numpy as np

from sacrofem.image.volume import FloatArray

#: Distance of the samples along a track: half a voxel of the tissue grid.
STEP_MM = 0.5


@dataclass(frozen=True, eq=False)
class Tracks:
    """Tracks of straight or once bent needles, in frame coordinates.

    Attributes:
        tip_mm: Their tips, shape (n, 3).
        last_piece: Unit vectors from the tip outwards along the last piece, shape (n, 3).
        bend_mm: Length of the last piece, shape (n,); infinite where the track is straight.
        first_piece: Unit vectors outwards along the piece beyond the bend, shape (n, 3).
    """

    tip_mm: FloatArray
    last_piece: FloatArray
    bend_mm: FloatArray
    first_piece: FloatArray

    def points_mm(self, reach_mm: float) -> FloatArray:
        """Samples from the tip outwards, shape (n, m, 3)."""
        along = np.arange(0.0, reach_mm + 1e-9, STEP_MM)
        inner = np.minimum(along, self.bend_mm[:, None])[..., None]
        outer = (along - np.minimum(along, self.bend_mm[:, None]))[..., None]
        return np.asarray(
            self.tip_mm[:, None]
            + inner * self.last_piece[:, None]
            + outer * self.first_piece[:, None]
        )

    def corners_mm(self, track: int, length_mm: float) -> FloatArray:
        """Entry, bend if there is one within the length, and tip of a track, shape (2 or 3, 3)."""
        tip, bend = self.tip_mm[track], min(float(self.bend_mm[track]), length_mm)
        corner = tip + bend * self.last_piece[track]
        if bend == length_mm:
            return np.stack([corner, tip])
        return np.stack([corner + (length_mm - bend) * self.first_piece[track], corner, tip])


def straight(aims_mm: FloatArray, outwards: FloatArray) -> Tracks:
    """All straight tracks from aims, shape (a, 3), along unit vectors outwards, shape (d, 3)."""
    tip = np.repeat(aims_mm, len(outwards), axis=0)
    way = np.tile(outwards, (len(aims_mm), 1))
    return Tracks(tip, way, np.full(len(tip), np.inf), way)


def along_polyline(corners_mm: FloatArray) -> FloatArray:
    """Samples of one track from its tip outwards, shape (m, 3), of corners from entry to tip."""
    corners = corners_mm[::-1]
    piece = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    at = np.append(0.0, np.cumsum(piece))
    count = max(round(float(at[-1]) / STEP_MM), 1) + 1
    along = np.linspace(0.0, float(at[-1]), count)
    return np.column_stack([np.interp(along, at, corners[:, i]) for i in range(3)])
