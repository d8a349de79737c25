"""Levels S1 to S5 and Denis' zones, both drawn through the foramina.

Zones after Denis, Davis and Comfort (Clin Orthop Relat Res 1988;227:67-81): I lateral to the
foramina (ala), II through them, III medial to them (bodies and canal).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.anatomy.curve import SacralCurve
from sacrofem.anatomy.foramina import FACES, LEVELS, SIDES, Foramen, Opening
from sacrofem.image.volume import FloatArray


@dataclass(frozen=True, eq=False)
class SacralMap:
    """Borders of levels and zones in the curve's coordinates.

    Attributes:
        curve: The curve.
        border_s_mm: ``s`` of the borders S1|S2 to S4|S5, shape (4,).
        zone_s_mm: ``s`` of the foramina by side, shape (2, 4); left first, as everywhere here.
        medial_mm, lateral_mm: Distance from the midline of the foramina's borders by side, level
            and face (anterior, posterior), shape (2, 4, 2).
        face_t_mm: ``t`` of the openings, shape (2, 4, 2).
    """

    curve: SacralCurve
    border_s_mm: FloatArray
    zone_s_mm: FloatArray
    medial_mm: FloatArray
    lateral_mm: FloatArray
    face_t_mm: FloatArray

    def level_of(self, points_mm: FloatArray) -> NDArray[np.int8]:
        """Level 1 to 5 of world points, shape (n,).

        Borders stand across the curve through the middle of a level's foramina, which lie where
        two bodies fused. What is above S1 counts as S1, a coccyx in the label as S5.
        """
        s = self.curve.to_curved(points_mm)[:, 1]
        return (1 + np.searchsorted(self.border_s_mm, s)).astype(np.int8)

    def denis_zone(self, points_mm: FloatArray) -> NDArray[np.int8]:
        """Denis' zone 1, 2 or 3 of world points, shape (n,).

        The borders run straight from the anterior to the posterior opening of a foramen and
        straight from level to level. Above S1 and below S4, and in front of and behind the
        openings, they keep their distance from the midline.
        """
        curved = self.curve.to_curved(points_mm)
        zone = np.ones(len(curved), dtype=np.int8)
        for side, here in enumerate((curved[:, 0] >= 0.0, curved[:, 0] < 0.0)):
            x, s, t = np.abs(curved[here, 0]), curved[here, 1], curved[here, 2]
            front, back = (self._at(self.face_t_mm, side, face, s) for face in (0, 1))
            share = np.clip((t - front) / np.maximum(back - front, 1.0), 0.0, 1.0)
            medial, lateral = (
                (1.0 - share) * self._at(border, side, 0, s) + share * self._at(border, side, 1, s)
                for border in (self.medial_mm, self.lateral_mm)
            )
            zone[here] = np.where(x < medial, 3, np.where(x <= lateral, 2, 1))
        return zone

    def side_of(self, points_mm: FloatArray) -> NDArray[np.int8]:
        """1 for world points left of the mid-sagittal plane, -1 right of it, shape (n,)."""
        return np.where(self.curve.frame.to_local(points_mm)[:, 0] >= 0.0, 1, -1).astype(np.int8)

    def _at(self, table: FloatArray, side: int, face: int, s_mm: FloatArray) -> FloatArray:
        return np.interp(s_mm, self.zone_s_mm[side], table[side, :, face])


def make_map(curve: SacralCurve, foramina: Mapping[Opening, Foramen]) -> SacralMap:
    """The borders that go with sixteen openings."""
    place = np.empty((2, 4, 2, 3))
    half = np.empty((2, 4, 2))
    for i, side in enumerate(SIDES):
        for j, level in enumerate(LEVELS):
            for k, face in enumerate(FACES):
                foramen = foramina[Opening(level, side, face)]
                place[i, j, k] = foramen.curved_mm
                half[i, j, k] = 0.5 * foramen.diameter_mm
    lateral = np.abs(place[..., 0])
    # Openings of one level are a few mm apart along the curve; given ones may be out of order.
    s = np.maximum.accumulate(place[..., 1].mean(axis=2), axis=1)
    return SacralMap(
        curve=curve,
        border_s_mm=s.mean(axis=0),
        zone_s_mm=s,
        medial_mm=lateral - half,
        lateral_mm=lateral + half,
        face_t_mm=place[..., 2],
    )
