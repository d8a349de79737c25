"""Injecting cement into a medium, until all is in or a rule ends it.

Deposits are filled in their order, each with its share, as when a needle is withdrawn during the
injection. A rule that a deposit meets ends it; the needle is withdrawn to the next, which gets what
is left of it, and the last one that meets a rule ends the injection (Tian 2019: withdrawn as
needed, ceased at substantial resistance or at the margin of a foramen or body).

The front is that of :mod:`sacrofem.treatment.front`: its shape depends on the medium and on how
much came out where. The viscosity scales the pressure and not the shape, for it is the same in all
of the cement; it decides how much is injected only where the pressure ends the injection. That thin
cement leaks more than thick cement of the same volume (Habib 2010) is beyond this model: it comes
from fingers, once the marrow ahead of the front resists as much as the cement behind it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.treatment.front import FrontSolver, Wet
from sacrofem.treatment.medium import Medium

#: Radius of the ball in which cement leaves the needle, in mm: the hole that a cannula of 13 G to
#: 10 G (2.4 to 3.4 mm across) makes.
OPENING_MM = 1.5
#: The injection is followed in so many equal volumes, and its end found to this part of the whole.
STEPS = 8
END_WITHIN = 0.01
#: A voxel counts as reached by the front from this saturation on.
REACHED = 0.5


@dataclass(frozen=True, eq=False)
class Margin:
    """Cement ends before it comes too close to something.

    Attributes:
        margin_mm: How close it may come.
        distance_mm: Distance of each voxel to what it must keep away from, shape of the box.
        name_of: Name of what a voxel, given as its index in the box, is close to.
    """

    margin_mm: float
    distance_mm: FloatArray
    name_of: Callable[[NDArray[np.int64]], str]


@dataclass(frozen=True, eq=False)
class Stops:
    """What ends an injection early (Tian 2019); None does not.

    Attributes:
        pressure_kPa: Pressure at the needle's opening above that in the marrow.
        margin: Closeness to a nerve passage or the surface of the bone.
    """

    pressure_kPa: float | None = None
    margin: Margin | None = None


@dataclass(frozen=True)
class FlowStep:
    """A moment of an injection: what was injected by then, and the pressure at the opening."""

    volume_ml: float
    pressure_kPa: float


@dataclass(frozen=True, eq=False)
class Flow:
    """Cement after an injection; ``placed_ml + unplaced_ml`` is what was asked for.

    Attributes:
        saturation: Filled part of each voxel's pores, shape of the medium's box.
        pressure_kPa: Pressure at the opening at the end, above that in the marrow. On voxels of
            1 mm it is 7 to 10 % below the exact one of a ball as wide as the opening.
        placed_ml: Injected volume, the sum of saturation times pores.
        unplaced_ml: What a stop rule kept back.
        stopped_by: The rule in words, empty if none ended it.
        history: The injection in steps of equal volume up to its end.
    """

    saturation: FloatArray
    pressure_kPa: float
    placed_ml: float
    unplaced_ml: float
    stopped_by: str
    history: tuple[FlowStep, ...]


def inject(
    medium: Medium,
    sources: Sequence[tuple[FloatArray, float]],
    volume_ml: float,
    flow_ml_per_s: float,
    stops: Stops = Stops(),
) -> Flow:
    """Inject cement.

    Args:
        medium: What it flows through.
        sources: Openings in their order: place as continuous voxel index on the whole tissue grid,
            shape (3,), and share of the volume. The shares sum to 1.
        volume_ml: Volume of all together.
        flow_ml_per_s: Rate of the injection; it scales the pressure.
        stops: Rules that end it.

    Raises:
        InputError: An opening lies where no cement can go, or the pores that are connected to it
            hold less than its share.
    """
    if volume_ml <= 0.0:
        return Flow(np.zeros(medium.pore.shape), 0.0, 0.0, 0.0, "", ())
    injection = _prepared(medium, sources, volume_ml, flow_ml_per_s)
    now = _Moment(injection.solver.no_load(), 0.0, injection.solver.dry, 0.0)
    history: list[FlowStep] = []
    stopped, given = "", 0.0
    for opening in injection.openings:
        given += opening.volume_ml
        # What an opening could not take is tried at the next.
        asked = given - now.volume_ml
        for part in _steps(asked, volume_ml):
            after = injection.moment(now, opening, part)
            stopped = injection.stopped_by(after, stops)
            if stopped:
                now, stopped = _last_allowed(injection, now, opening, part, stops)
            else:
                now = after
            history.append(FlowStep(now.volume_ml, now.pressure_kPa))
            if stopped:
                break
    placed_ml = now.volume_ml if stopped else volume_ml
    return Flow(
        saturation=injection.solver.saturation(now.load, now.wet),
        pressure_kPa=now.pressure_kPa,
        placed_ml=placed_ml,
        unplaced_ml=volume_ml - placed_ml,
        stopped_by=f"{stopped} after {placed_ml:.1f} ml" if stopped else "",
        history=tuple(history),
    )


def _steps(asked_ml: float, whole_ml: float) -> list[float]:
    """Equal parts of the volume of an opening, about a STEPS-th of the whole."""
    if asked_ml <= END_WITHIN * whole_ml * 1e-6:
        return []
    count = max(round(STEPS * asked_ml / whole_ml), 1)
    return [asked_ml / count] * count


@dataclass(frozen=True, eq=False)
class _Moment:
    """What came out where until now, as the solver wants it, the front, and the last pressure."""

    load: FloatArray
    volume_ml: float
    wet: Wet
    pressure_kPa: float


@dataclass(frozen=True, eq=False)
class _Opening:
    """Voxels of a source, as positions of the solver, what each gives of it, and its volume."""

    positions: NDArray[np.int64]
    weights: FloatArray
    volume_ml: float


@dataclass(frozen=True, eq=False)
class _Injection:
    """A medium, its solver and its openings."""

    medium: Medium
    solver: FrontSolver
    openings: tuple[_Opening, ...]
    flow_ml_per_s: float

    def moment(self, now: _Moment, opening: _Opening, part_ml: float) -> _Moment:
        """When one more volume has come out of an opening."""
        solver, voxel_ml = self.solver, self.medium.voxel_ml
        load = now.load.copy()
        load[opening.positions] += opening.weights * (part_ml / voxel_ml)
        wet = solver.advance(load, now.wet)
        rate = solver.no_load()
        rate[opening.positions] = opening.weights * (self.flow_ml_per_s / voxel_ml)
        pressure = solver.no_load()
        pressure[wet.cells] = solver.pressure_kPa(rate, wet)
        tip_kPa = float(opening.weights @ pressure[opening.positions])
        return _Moment(load, now.volume_ml + part_ml, wet, tip_kPa)

    def stopped_by(self, moment: _Moment, stops: Stops) -> str:
        """The rule that a moment breaks, in words; empty if it keeps all."""
        limit, margin = stops.pressure_kPa, stops.margin
        if limit is not None and moment.pressure_kPa > limit:
            rate = 60.0 * self.flow_ml_per_s
            return f"pressure at the tip above {limit:g} kPa at {rate:g} ml/min"
        if margin is None:
            return ""
        reached = np.argwhere(self.solver.saturation(moment.load, moment.wet) >= REACHED)
        distance = margin.distance_mm[tuple(reached.T)]
        if not len(distance) or distance.min() >= margin.margin_mm:
            return ""
        name = margin.name_of(reached[int(np.argmin(distance))])
        return f"cement within {margin.margin_mm:.1f} mm of {name}"


def _prepared(
    medium: Medium,
    sources: Sequence[tuple[FloatArray, float]],
    volume_ml: float,
    flow_ml_per_s: float,
) -> _Injection:
    solver = FrontSolver(medium.pore, medium.mobility_mm2_per_kPa_s, medium.step_mm)
    asked_ml = np.zeros(len(medium.room_ml))
    openings = []
    for number, (place, share) in enumerate(sources, start=1):
        voxels, weights = _opening_voxels(medium, place, f"opening {number} of {len(sources)}")
        asked_ml[medium.rooms[tuple(voxels[0])]] += share * volume_ml
        openings.append(_Opening(solver.positions(voxels), weights, float(share) * volume_ml))
    short = asked_ml > medium.room_ml * (1.0 - 1e-9)
    if short.any():
        room = int(np.argmax(short))
        raise InputError(
            f"fill: {asked_ml[room]:g} ml asked, but the pores within reach can hold only "
            f"{medium.room_ml[room]:.1f} ml; give a smaller volume."
        )
    return _Injection(medium, solver, tuple(openings), flow_ml_per_s)


def _opening_voxels(
    medium: Medium, place: FloatArray, what: str
) -> tuple[NDArray[np.int64], FloatArray]:
    """Voxels of the box in a ball around a place, shape (n, 3), and what each gives, shape (n,).

    The ball's border runs smoothly through voxels, and it stays in one connected open region.
    """
    local = np.asarray(place, dtype=float) - [part.start for part in medium.box]
    reach = OPENING_MM / medium.step_mm + 0.5
    low = np.maximum(np.ceil(local - reach), 0).astype(np.int64)
    high = np.minimum(np.floor(local + reach), np.array(medium.pore.shape) - 1).astype(np.int64)
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm(voxels - local, axis=1)
    rooms = medium.rooms[tuple(voxels.T)]
    usable = (rooms > 0) & (distance < reach)
    if not usable.any():
        raise InputError(
            f"fill: {what} of the needle must lie in tissue that lets cement pass, found cortex, "
            "another bone or hardened cement; choose another target."
        )
    room = rooms[usable][int(np.argmin(distance[usable]))]
    kept = usable & (rooms == room)
    weights = np.minimum(reach - distance[kept], 1.0)
    return voxels[kept], weights / weights.sum()


def _last_allowed(
    injection: _Injection, now: _Moment, opening: _Opening, part_ml: float, stops: Stops
) -> tuple[_Moment, str]:
    """The last moment that keeps the rules, and the rule that the next one breaks.

    Bisects between a moment that keeps them and one, a volume later, that does not.
    """
    whole_ml = sum(opening.volume_ml for opening in injection.openings)
    kept, kept_ml, broken_ml, rule = now, 0.0, part_ml, ""
    while not rule or broken_ml - kept_ml > END_WITHIN * whole_ml:
        middle_ml = (kept_ml + broken_ml) / 2.0
        middle = injection.moment(now, opening, middle_ml)
        found = injection.stopped_by(middle, stops)
        if found:
            broken_ml, rule = middle_ml, found
        else:
            kept, kept_ml = middle, middle_ml
    return kept, rule
