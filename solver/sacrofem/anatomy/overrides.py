"""Landmarks that a recipe gives: their names, and that they can be those of this bone."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

from sacrofem.anatomy.foramina import FACES, LEVELS, SIDES, Opening
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray

#: A given landmark may lie this far from the bone's surface, in mm; farther, it is in another
#: coordinate system (RAS instead of LPS, voxels instead of mm) or another patient's.
FARTHEST_MM = 40.0

POINTS = ("promontory", "hiatus")
BY_SIDE = ("auricular", "lateral_mass")
FRAME = ("frame.origin", "frame.left", "frame.superior")
#: All names, with dots between the keys of the mapping.
NAMES = (
    *POINTS,
    *FRAME,
    *(f"{name}.{side}" for name, side in product(BY_SIDE, SIDES)),
    *(f"foramina.{n}.{s}.{f}" for n, s, f in product(LEVELS, SIDES, FACES)),
)


@dataclass(frozen=True, eq=False)
class Overrides:
    """Given landmarks, world mm (LPS): dotted names from :data:`NAMES`, each of shape (3,).

    ``frame.left`` and ``frame.superior`` are directions, all else are points.
    """

    given: dict[str, FloatArray] = field(default_factory=dict)

    def point(self, name: str) -> FloatArray | None:
        """A given landmark or None."""
        return self.given.get(name)

    def by_side(self, name: str) -> dict[str, FloatArray]:
        """Given landmarks ``name.left`` and ``name.right`` by side."""
        return {s: self.given[f"{name}.{s}"] for s in SIDES if f"{name}.{s}" in self.given}

    def foramina(self) -> dict[Opening, FloatArray]:
        """Given centres of foramina."""
        names = (Opening(*key) for key in product(LEVELS, SIDES, FACES))
        return {name: self.given[key] for name in names if (key := _dotted(name)) in self.given}

    def frame(self) -> SacralFrame | None:
        """The given frame, made orthonormal about its superior axis, or None."""
        if FRAME[0] not in self.given:
            return None
        origin, left, superior = (self.given[name] for name in FRAME)
        superior = superior / np.linalg.norm(superior)
        left = left - (left @ superior) * superior
        left = left / np.linalg.norm(left)
        return SacralFrame(origin, left, np.cross(superior, left), superior)


def read_overrides(given: Mapping[str, object] | None) -> Overrides:
    """Flatten and check a mapping of landmarks as a recipe holds it.

    Args:
        given: Nested names, for example ``{"promontory": [x, y, z], "foramina": {"S1": {"left":
            {"anterior": [x, y, z]}}}}``; world mm (LPS). None for nothing.

    Raises:
        InputError: A name is unknown, a value is not three finite numbers, or the frame is not
            complete or its axes are (nearly) parallel or mirrored.
    """
    flat = dict(_flat(given or {}, ""))
    for name in flat:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(
                f"landmarks.{name} is not a landmark; {hint}allowed are promontory, hiatus, "
                "frame (origin, left, superior), auricular and lateral_mass (left, right) and "
                "foramina.S1 to S4.left or right.anterior or posterior."
            )
    values = {name: _vector(name, value) for name, value in flat.items()}
    _check_frame(values)
    return Overrides(values)


def check_near_bone(overrides: Overrides, surface_mm: FloatArray) -> None:
    """Check that given points belong to the bone whose surface points, shape (n, 3), are given.

    Raises:
        InputError: A point lies farther than :data:`FARTHEST_MM` from all of them.
    """
    tree = cKDTree(surface_mm)
    low, high = surface_mm.min(axis=0), surface_mm.max(axis=0)
    box = " to ".join(f"({', '.join(f'{c:.0f}' for c in corner)})" for corner in (low, high))
    for name, point in overrides.given.items():
        if name in FRAME[1:]:
            continue
        away = float(tree.query(point)[0])
        if away > FARTHEST_MM:
            raise InputError(
                f"landmarks.{name} lies {away:.0f} mm from the sacrum, at most {FARTHEST_MM:g} mm "
                f"are believed; the bone's box is {box}. Give LPS millimetres (x to the patient's "
                "left, y to the back, z up), not voxels; from RAS turn the signs of x and y."
            )


def nested(flat: Mapping[str, FloatArray]) -> dict[str, object]:
    """The mapping of a recipe for dotted names and their values; the reverse of reading."""
    out: dict[str, object] = {}
    for name, value in flat.items():
        here = out
        *path, last = name.split(".")
        for key in path:
            inner = here.setdefault(key, {})
            assert isinstance(inner, dict)
            here = inner
        here[last] = [float(c) for c in value]
    return out


def _dotted(name: Opening) -> str:
    return f"foramina.{name.level}.{name.side}.{name.face}"


def _flat(given: Mapping[str, object], before: str) -> Iterator[tuple[str, object]]:
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _vector(name: str, value: object) -> FloatArray:
    try:
        vector = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        vector = np.empty(0)
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise InputError(
            f"landmarks.{name} is {value!r}; give three finite numbers, [x, y, z] in world mm."
        )
    return vector


def _check_frame(values: Mapping[str, FloatArray]) -> None:
    there = [name for name in FRAME if name in values]
    if not there:
        return
    missing = [name for name in FRAME if name not in values]
    if missing:
        raise InputError(
            f"landmarks.{missing[0]} is missing; a frame needs its origin (centre of the S1 "
            "endplate), left and superior (normal of the endplate)."
        )
    left, superior = (values[name] for name in FRAME[1:])
    lengths = float(np.linalg.norm(left) * np.linalg.norm(superior))
    if lengths == 0.0 or abs(left @ superior) > 0.5 * lengths:
        raise InputError(
            "landmarks.frame: left and superior are to stand at right angles, found "
            f"{left.tolist()} and {superior.tolist()}; give the normal of the mid-sagittal plane "
            "and that of the S1 endplate."
        )
    if left[0] <= 0.0:
        raise InputError(
            f"landmarks.frame.left points to x = {left[0]:g}, but x grows to the patient's left in "
            "world coordinates (LPS); turn its sign."
        )
