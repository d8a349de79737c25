"""The line through the zones that a lesion lies in, from the bone's own levels and Denis' zones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import LesionPlan, Spread

#: Straight pieces, each two world points, shape (2, 3).
Line = tuple[FloatArray, ...]

#: Denis' zones I, II and III: a lesion spreads from one to another through what is between.
ACROSS: tuple[Spread, ...] = ("lateral mass", "foraminal zone", "vertebral body")
#: A lesion that spreads to a zone is drawn out so far from the centre of the zone before it to its
#: centre (a choice): it involves the zone, and its bulk stays where it began.
SPREAD_SHARE = 0.5
#: The centre of a zone is looked for on every second voxel.
STRIDE = 2
#: The centre of a body lies within this of the midline, in mm; it is put on it.
MIDLINE_MM = 4.0
#: A given centre may lie so far outside the bone, in mm: half an edge of a coarse cell.
OUTSIDE_MM = 3.0


def line_of(field: OperatingField, plan: LesionPlan) -> Line:
    """The line that a lesion grows around.

    A site is drawn out from level to level of the span along the centres of its zone. It spreads at
    the lowest level of the span, from zone to zone: "lateral mass left with spread up to the
    vertebral body S2" (Andresen 2014, Table 1) runs down the lateral mass from S1 to S2 and from
    there through the pedicle of S2 into its body.

    Raises:
        InputError: A zone has no bone at a level, the centre lies outside the bone, or the lesion
            cannot spread so.
    """
    if plan.centre_mm is not None:
        start, zone, side, last = _at_centre(field, np.asarray(plan.centre_mm, dtype=np.float64))
        stations = [start]
    else:
        assert plan.site is not None
        zone, side = _zone_and_side(plan.site)
        levels = levels_of(plan.level)
        last = levels[-1]
        zones = _Zones.of(field)
        stations = [zones.centre_mm(zone, side, level) for level in levels]
    pieces = [np.stack(pair) for pair in zip(stations, stations[1:] or stations, strict=False)]
    for target in plan.spreads_to:
        pieces += _spread(field, stations[-1], (zone, side, last), target)
    return tuple(pieces)


def line_words(plan: LesionPlan) -> str:
    """Where a lesion is: ``lateral mass right up to the vertebral body, S1``."""
    spread = f" up to the {' and '.join(plan.spreads_to)}" if plan.spreads_to else ""
    if plan.site is None:
        assert plan.centre_mm is not None
        at = ", ".join(f"{x:.0f}" for x in plan.centre_mm)
        return f"lesion at ({at}) mm{spread}"
    return f"{plan.site}{spread}, {plan.level}"


def levels_of(span: str) -> list[int]:
    """Numbers of the levels of ``S1`` or ``S1-S3``."""
    ends = [int(name[1:]) for name in span.split("-")]
    return list(range(ends[0], ends[-1] + 1))


def _zone_and_side(site: str) -> tuple[Spread, str]:
    for zone in ACROSS:
        if site.startswith(zone):
            return zone, site.removeprefix(zone).strip() or "middle"
    raise InputError(f"no site is named '{site}'; known are the zones {', '.join(ACROSS)}.")


def _at_centre(field: OperatingField, centre: FloatArray) -> tuple[FloatArray, Spread, str, int]:
    """A given centre with its zone, side and level."""
    away = float(np.sqrt(((field.samples.points_mm - centre) ** 2).sum(axis=1).min()))
    if away > OUTSIDE_MM:
        raise InputError(
            f"the lesion's centre_mm ({', '.join(f'{x:.1f}' for x in centre)}) lies {away:.1f} mm "
            "outside the sacrum; coordinates are LPS in mm (x to the left, y to the back, z up): "
            "viewers that show RAS have the opposite sign of x and y."
        )
    zone = ACROSS[int(field.atlas.map.denis_zone(centre[None])[0]) - 1]
    side = "left" if field.atlas.map.side_of(centre[None])[0] > 0 else "right"
    level = int(field.atlas.map.level_of(centre[None])[0])
    return centre, zone, "middle" if zone == "vertebral body" else side, level


def _spread(
    field: OperatingField, start: FloatArray, place: tuple[Spread, str, int], target: Spread
) -> list[FloatArray]:
    """Pieces from a zone's centre into another zone of the same side and level."""
    zone, side, level = place
    here, there = ACROSS.index(zone), ACROSS.index(target)
    if here == there:
        raise InputError(f"a lesion of the {zone} lies in it already; leave it out of spreads_to.")
    if side == "middle":
        raise InputError(
            f"a lesion of the vertebral body can spread to the {target} of either side; make "
            f"'{target} left' or '{target} right' its site and let it spread to the vertebral body."
        )
    way = 1 if there > here else -1
    zones = _Zones.of(field)
    ends = [zones.centre_mm(ACROSS[i], side, level) for i in range(here + way, there + way, way)]
    starts = [start, *ends[:-1]]
    ends[-1] = starts[-1] + SPREAD_SHARE * (ends[-1] - starts[-1])
    return [np.stack(pair) for pair in zip(starts, ends, strict=True)]


@dataclass(frozen=True, eq=False)
class _Zones:
    """Level, Denis' zone and side of the bone on a coarser grid.

    Attributes:
        field: The bone.
        level, zone: Of each point of the coarser grid, 0 outside the bone.
        x_mm: Frame coordinate to the left along the first axis.
        front: Which points lie in front of the canal.
    """

    field: OperatingField
    level: NDArray[np.int8]
    zone: NDArray[np.int8]
    x_mm: FloatArray
    front: NDArray[np.bool_]

    @staticmethod
    def of(field: OperatingField) -> "_Zones":
        bone = field.tissue.tissue[::STRIDE, ::STRIDE, ::STRIDE] == BONE
        index = STRIDE * np.argwhere(bone)
        world = field.atlas.frame.to_world(field.tissue.local_of(index))
        level, zone = (np.zeros(bone.shape, dtype=np.int8) for _ in range(2))
        level[bone] = field.atlas.map.level_of(world)
        zone[bone] = field.atlas.map.denis_zone(world)
        front = np.zeros(bone.shape, dtype=bool)
        front[bone] = _before_canal(field, world)
        x = np.arange(bone.shape[0]) * STRIDE * field.tissue.step_mm
        return _Zones(field, level, zone, field.tissue.origin_local_mm[0] + x, front)

    def centre_mm(self, zone: Spread, side: str, level: int) -> FloatArray:
        """Centre of a zone at a level, world, shape (3,).

        That of the lateral mass of S1 is the landmark of the mesh. Others are the centre of the
        largest ball within the bone of that zone, level and side; that of a body lies in front of
        the canal and in the midline.

        Raises:
            InputError: There is no such bone.
        """
        if zone == "lateral mass" and level == 1:
            return self.field.mesh.lateral_mass_mm[side]
        piece = (self.zone == 1 + ACROSS.index(zone)) & (self.level == level)
        if side == "middle":
            piece &= self.front
            allowed = np.abs(self.x_mm) <= MIDLINE_MM
        else:
            allowed = self.x_mm > 0.0 if side == "left" else self.x_mm < 0.0
        depth = ndimage.distance_transform_edt(piece) * allowed[:, None, None]
        if not depth.any():
            raise InputError(
                f"the {zone} {'' if side == 'middle' else side + ' '}has no bone at S{level}; take "
                "another level or site, or give centre_mm."
            )
        # A zone is often as deep along a line: its middle is the centre, not its first voxel.
        plateau, _ = ndimage.label(depth > depth.max() - 1.0, np.ones((3, 3, 3)))
        first = plateau[np.unravel_index(int(depth.argmax()), depth.shape)]
        near = np.argwhere(plateau == first)
        index: FloatArray = STRIDE * np.average(near, axis=0)[None]
        local = self.field.tissue.local_of(index)
        if side == "middle":
            local[:, 0] = 0.0
        return self.field.atlas.frame.to_world(local)[0]


def _before_canal(field: OperatingField, world_mm: FloatArray) -> NDArray[np.bool_]:
    """Which points lie in front of the middle of the canal; all where the bone has none."""
    line = field.atlas.canal.line_mm
    if not len(line):
        return np.ones(len(world_mm), dtype=bool)
    canal = field.atlas.curve.to_curved(line)
    order = np.argsort(canal[:, 1])
    curved = field.atlas.curve.to_curved(world_mm)
    return np.asarray(curved[:, 2] < np.interp(curved[:, 1], canal[order, 1], canal[order, 2]))
