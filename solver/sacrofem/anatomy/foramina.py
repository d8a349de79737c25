"""The sacral foramina: pits in the front and the back of the unrolled sacrum that meet inside.

An opening is where the bridged face has no bone under it. It is open when the void behind it leads
to the canal or right through; a closed one is estimated, and said to be.
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.curve import STEP_MM
from sacrofem.anatomy.unrolled import Unrolled
from sacrofem.image.volume import FloatArray

LEVELS = ("S1", "S2", "S3", "S4")
SIDES = ("left", "right")
FACES = ("anterior", "posterior")

#: Where foramina may be, in mm: distance from the midline (posterior S1 at 23.5 +/- 2.8, epain,
#: n = 632; lateral border of the anterior one at 31, denervation guide), and below the promontory.
LATERAL_MM = (9.0, 33.0)
BELOW_PROMONTORY_MM = 14.0
#: Least distance between two levels along the curve, in mm: S3 and S4 stand 14 to 19 mm apart.
APART_MM = 9.0
#: Sum of the four pits of a pair (both faces, both sides), in mm, up to 4 x 20. Chosen between
#: what open foramina give (65 and more) and what grooves give (28 and less) in the phantom and in
#: the shared CT. A weak pair counts only where the strong ones leave a level out.
STRONG_MM, WEAK_MM = 36.0, 12.0
PIT_SMOOTHING_MM = 1.5
#: From this depth on a pit is an opening and no longer its rounded rim: in mm, and as a share of
#: the pit's depth. The posterior ones lie in a groove, which must not count.
RIM_MM = 3.0
RIM_SHARE = {"anterior": 0.2, "posterior": 0.4}
#: An opening is looked for this far around its pit, and leads inside within that, in mm.
WINDOW_MM = 11.0
#: Where the next level is when it is not seen: typical distance along the curve from S1 to S2, S2
#: to S3 and S3 to S4, in mm (S1 30, S2 50 mm below the promontory, denervation guide; the further
#: ones in the proportion of their heights), and how many times that one level may be away.
SPACING_MM = (21.0, 18.0, 15.0)
SPACING_AT_MOST = 1.55
#: Farthest a first pair may lie below the promontory to be that of S1, in mm.
FIRST_AT_MOST_MM = 52.0
TYPICAL_S1_MM = 30.0
#: Distance from the midline by level (facts: epain; denervation guide; S3 and S4 converge).
TYPICAL_X_MM = (24.0, 21.0, 18.5, 17.0)
#: Diameters where they cannot be measured, in mm: facts, jcdr 11661 for S1 and S2; S3 and S4 are
#: taken smaller in the proportion of their heights (10 to 13 mm, PubMed 9642709).
TYPICAL_SIZE_MM = {"anterior": (12.6, 13.0, 10.0, 9.0), "posterior": (9.0, 7.2, 6.5, 6.0)}


class Opening(NamedTuple):
    """Which opening: level ``S1`` to ``S4``, side ``left`` or ``right``, face."""

    level: str
    side: str
    face: str

    def __str__(self) -> str:
        """As in a sentence: ``posterior S4 right``."""
        return f"{self.face} {self.level} {self.side}"

    @property
    def key(self) -> str:
        """Where a recipe gives it."""
        return f"landmarks.foramina.{self.level}.{self.side}.{self.face}"


@dataclass(frozen=True, eq=False)
class Foramen:
    """One opening of a sacral foramen.

    Attributes:
        name: Which one.
        centre_mm: Centre of the opening on the bridged face of the bone, world, shape (3,).
        curved_mm: The same in the curve's coordinates (x, s, t).
        axes_mm: Long and short axis of the ellipse with the opening's second moments, shape (2,).
        found: Whether the opening is open in the labels; else its place is an estimate.
        basis: What an estimate rests on, in words; empty for a found one.
    """

    name: Opening
    centre_mm: FloatArray
    curved_mm: FloatArray
    axes_mm: FloatArray
    found: bool
    basis: str = ""

    @property
    def diameter_mm(self) -> float:
        """Diameter of the disk with the opening's area."""
        return float(np.sqrt(self.axes_mm[0] * self.axes_mm[1]))


@dataclass(frozen=True, eq=False)
class Station:
    """Where a level's foramina stand: ``x_mm`` from the midline, ``s_mm`` along the curve."""

    x_mm: float
    s_mm: float
    seen: bool


@dataclass(frozen=True, eq=False)
class ForamenSearch:
    """What the search saw.

    Attributes:
        foramina: All sixteen openings.
        pairs: Number of pairs of foramina that are clearly there: four in most people.
        skipped: Whether the uppermost of five pairs was taken for that of a fused L5.
    """

    foramina: dict[Opening, Foramen]
    pairs: int
    skipped: bool


def find_foramina(image: Unrolled, joint_s_mm: float | None) -> ForamenSearch:
    """Find the openings of the foramina S1 to S4.

    Args:
        image: The unrolled sacrum.
        joint_s_mm: Mean ``s`` of the auricular surfaces, which tells a fused L5 from a fused
            coccyx where there are five pairs; None if unknown.
    """
    peaks = _peaks(image)
    strong = sorted((p for p in peaks if p[2] > STRONG_MM), key=lambda p: p[1])
    skipped = len(strong) > len(LEVELS) and _is_fused_l5(strong, joint_s_mm)
    weak = [p for p in peaks if p[2] <= STRONG_MM]
    # With L5 fused, S1 begins below it.
    levels = strong[1:] if skipped else strong
    stations = _stations(levels, weak, np.inf if skipped else FIRST_AT_MOST_MM)
    void = image.void
    found: dict[Opening, Foramen] = {}
    for (number, station), side in product(enumerate(stations), SIDES):
        if station.seen:
            found |= _side(image, void, LEVELS[number], side, station)
    return ForamenSearch(_complete(image, found, stations), len(strong), skipped)


def _pits(image: Unrolled) -> FloatArray:
    """Depth of both faces' pits together, smoothed, shape (a, b)."""
    return np.asarray(
        ndimage.gaussian_filter(image.front_pit_mm + image.back_pit_mm, PIT_SMOOTHING_MM / STEP_MM)
    )


def _peaks(image: Unrolled) -> list[tuple[float, float, float]]:
    """Pairs of pits: (distance from the midline, s, depth of all four), the deepest first."""
    score = _pits(image)
    rows = (image.x_mm >= LATERAL_MM[0]) & (image.x_mm <= LATERAL_MM[1])
    columns = (image.s_mm >= BELOW_PROMONTORY_MM) & (image.s_mm <= image.curve.length_mm)
    x, s = image.x_mm[rows], image.s_mm[columns]
    fold = (score + score[::-1])[np.ix_(rows, columns)]
    peaks = []
    while fold.max(initial=0.0) > WEAK_MM:
        i, j = np.unravel_index(int(fold.argmax()), fold.shape)
        peaks.append((float(x[i]), float(s[j]), float(fold[i, j])))
        fold = np.where(np.abs(s - s[j]) < APART_MM, 0.0, fold)
    return peaks


def _is_fused_l5(strong: list[tuple[float, float, float]], joint_s_mm: float | None) -> bool:
    """Whether the first of five pairs is L5's: then the joints stand beside the second one."""
    if joint_s_mm is None:
        return False
    return abs(strong[1][1] - joint_s_mm) < abs(strong[0][1] - joint_s_mm)


def _stations(
    strong: list[tuple[float, float, float]],
    weak: list[tuple[float, float, float]],
    first_at_most_mm: float,
) -> tuple[Station, ...]:
    """One station a level: the strong pairs, weak ones where a level is left out, else estimates.

    S1 has the widest foramina and is the last to close, so the first pair is that of S1 unless it
    lies too far down.
    """
    stations: list[Station] = []
    if not strong or strong[0][1] > first_at_most_mm:
        stations.append(_between(weak, 0, BELOW_PROMONTORY_MM, FIRST_AT_MOST_MM, TYPICAL_S1_MM))
    for x, s, _ in strong:
        if len(stations) == len(LEVELS):
            break
        if stations and s - stations[-1].s_mm > SPACING_AT_MOST * SPACING_MM[len(stations) - 1]:
            last = stations[-1].s_mm
            half = 0.5 * (last + s)
            stations.append(_between(weak, len(stations), last + APART_MM, s - APART_MM, half))
        if len(stations) < len(LEVELS):
            stations.append(Station(x, s, True))
    while len(stations) < len(LEVELS):
        level, last = len(stations), stations[-1].s_mm
        step = SPACING_MM[level - 1] * _stretch(stations)
        stations.append(_between(weak, level, last + 0.6 * step, last + 1.4 * step, last + step))
    return tuple(stations)


def _stretch(stations: list[Station]) -> float:
    """How many times as far apart as is typical the levels stand that were found."""
    if len(stations) < 2:
        return 1.0
    span = stations[-1].s_mm - stations[0].s_mm
    return span / sum(SPACING_MM[: len(stations) - 1])


def _between(
    weak: list[tuple[float, float, float]], level: int, low: float, high: float, typical: float
) -> Station:
    """The deepest weak pair with ``low <= s <= high``, or an estimate at ``typical``."""
    here = [p for p in weak if low <= p[1] <= high]
    if here:
        return Station(here[0][0], here[0][1], True)
    return Station(TYPICAL_X_MM[level], typical, False)


def _side(
    image: Unrolled, void: NDArray[np.bool_], level: str, side: str, station: Station
) -> dict[Opening, Foramen]:
    """The openings of one level and side that have a pit; those that lead inside are found."""
    box = _box(image, side, station)
    x, s = np.meshgrid(image.x_mm[box[0]], image.s_mm[box[1]], indexing="ij")
    sign = 1.0 if side == "left" else -1.0
    pits = _pits(image)[box]
    near = np.hypot(sign * x - station.x_mm, s - station.s_mm)
    i, j = np.unravel_index(int(np.where(near < 0.6 * WINDOW_MM, pits, -1.0).argmax()), x.shape)
    disk = np.hypot(x - x[i, j], s - s[i, j]) < WINDOW_MM
    pit = {"anterior": image.front_pit_mm[box], "posterior": image.back_pit_mm[box]}
    face = {
        "anterior": image.front_mm[box] + pit["anterior"],
        "posterior": image.back_mm[box] - pit["posterior"],
    }
    region = {
        name: _region(np.where(disk, depth, 0.0), RIM_SHARE[name]) for name, depth in pit.items()
    }
    leads = _lead_inside(image.bone[box], void[box], region, np.abs(x) < 4.0)
    found = {}
    for name in FACES:
        if not region[name].any():
            continue
        t = _height(x, s, face[name], pit[name], region[name])
        points = np.column_stack([x[region[name]], s[region[name]], t])
        opening = Opening(level, side, name)
        basis = "" if leads[name] else "the dimple that is left of it"
        found[opening] = _measured(image, opening, points, leads[name], basis)
    return found


def _box(image: Unrolled, side: str, station: Station) -> tuple[slice, slice]:
    """The columns from beyond the midline to lateral of a foramen."""
    sign = 1 if side == "left" else -1
    reach = WINDOW_MM + 7.0
    inner, j = image.column(-4.0 * sign, station.s_mm)
    outer, _ = image.column(sign * (station.x_mm + reach), station.s_mm)
    rows = slice(min(inner, outer), max(inner, outer) + 1)
    return rows, slice(max(j - round(reach / STEP_MM), 0), j + round(reach / STEP_MM) + 1)


def _region(pit_mm: FloatArray, share: float) -> NDArray[np.bool_]:
    """The piece of a pit that is its opening: deeper than the rim and than part of its floor."""
    floor = max(RIM_MM, share * float(pit_mm.max()))
    number, count = ndimage.label(pit_mm >= floor)
    if count == 0:
        return np.zeros(pit_mm.shape, dtype=bool)
    depth = ndimage.sum_labels(pit_mm, number, np.arange(1, count + 1))
    return np.asarray(number == 1 + int(np.argmax(depth)))


def _height(
    x: FloatArray,
    s: FloatArray,
    face_mm: FloatArray,
    pit_mm: FloatArray,
    region: NDArray[np.bool_],
) -> FloatArray:
    """Where the plane through the bone around an opening passes over its columns, ``t`` in mm.

    The bridged face itself would not do: a flat disk does not follow a sloping face.
    """
    wide = ndimage.distance_transform_edt(~region)
    ring = (wide > 1.5) & (wide < 5.0) & (pit_mm < RIM_MM)
    terms = np.stack([np.ones_like(x), x, s], axis=-1)
    if ring.sum() < 12:
        return np.full(int(region.sum()), float(face_mm[wide < 5.0].min()))
    plane = np.linalg.lstsq(terms[ring], face_mm[ring], rcond=None)[0]
    low, high = face_mm[ring].min(), face_mm[ring].max()
    return np.asarray(np.clip(terms[region] @ plane, low, high))


def _lead_inside(
    bone: NDArray[np.bool_],
    void: NDArray[np.bool_],
    region: dict[str, NDArray[np.bool_]],
    middle: NDArray[np.bool_],
) -> dict[str, bool]:
    """Whether each face's opening leads to the canal or to the other face's opening."""
    before = np.logical_or.accumulate(bone, axis=2)
    behind = np.logical_or.accumulate(bone[..., ::-1], axis=2)[..., ::-1]
    enclosed = before & behind
    columns = region["anterior"] | region["posterior"]
    # Grooves of the dorsal face are void too, but no way in.
    number, _ = ndimage.label(void & (enclosed | columns[..., None]))
    mouth = {
        "anterior": set(number[region["anterior"][..., None] & ~before & (number > 0)]),
        "posterior": set(number[region["posterior"][..., None] & ~behind & (number > 0)]),
    }
    canal = set(number[middle[..., None] & enclosed & (number > 0)])
    return {
        name: bool(mouth[name] & (canal | mouth[other]))
        for name, other in zip(FACES, FACES[::-1], strict=True)
    }


def _measured(
    image: Unrolled, name: Opening, points: FloatArray, found: bool, basis: str
) -> Foramen:
    """The opening that covers the given columns, (x, s, t) in mm, shape (n, 3)."""
    world = image.curve.to_world(points)
    centre = points.mean(axis=0)
    spread = np.cov(world.T) if len(points) > 1 else np.zeros((3, 3))
    # A pixel's own extent counts too: STEP^2 / 12 is its second moment.
    moments = np.sort(np.linalg.eigvalsh(spread))[:0:-1] + STEP_MM**2 / 12.0
    axes = 4.0 * np.sqrt(moments)
    return Foramen(name, image.curve.to_world(centre[None])[0], centre, axes, found, basis)


def _complete(
    image: Unrolled, found: dict[Opening, Foramen], stations: tuple[Station, ...]
) -> dict[Opening, Foramen]:
    """All sixteen openings: those without a pit from the other side, else from their station."""
    foramina = {}
    for level, side, face in product(LEVELS, SIDES, FACES):
        name = Opening(level, side, face)
        other = found.get(Opening(level, "right" if side == "left" else "left", face))
        if name in found:
            foramina[name] = found[name]
        elif other is not None:
            place = other.curved_mm * [-1.0, 1.0, 1.0]
            foramina[name] = _estimated(image, name, place, other.axes_mm, "the other side")
        else:
            number = LEVELS.index(level)
            size = TYPICAL_SIZE_MM[face][number]
            station = stations[number]
            x = station.x_mm if side == "left" else -station.x_mm
            basis = "the other face" if station.seen else "the levels next to it"
            foramina[name] = _estimated(
                image, name, np.array([x, station.s_mm, 0.0]), np.full(2, size), basis
            )
    return foramina


def _estimated(
    image: Unrolled, name: Opening, curved_mm: FloatArray, axes_mm: FloatArray, basis: str
) -> Foramen:
    """An opening put onto its face at a given (x, s)."""
    i, j = image.column(float(curved_mm[0]), float(curved_mm[1]))
    face = image.front_mm if name.face == "anterior" else image.back_mm
    curved = np.array([curved_mm[0], curved_mm[1], face[i, j]])
    centre = image.curve.to_world(curved[None])[0]
    return Foramen(name, centre, curved, axes_mm, False, basis)
