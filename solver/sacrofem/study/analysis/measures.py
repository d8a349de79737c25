"""The measures by which a study is judged, made of the numbers of its records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from sacrofem.image.volume import FloatArray

Numbers = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        name: Its name.
        words: What it is, for a reader.
        unit: Its unit.
        digits: Digits that are shown.
        better: 1 where more is better, -1 where less is.
        least: Smallest value that it can have; no interval of a mean goes below.
        tie: Differences up to this count as none. A choice: below it the numbers are those of mesh
            and solver.
        columns: Columns of the record that it is made of.
        value: Makes it of them, shape (n,).
    """

    name: str
    words: str
    unit: str
    digits: int
    better: int
    least: float
    tie: float
    columns: tuple[str, ...]
    value: Callable[[Numbers], FloatArray]


def _relief(of: Numbers) -> FloatArray:
    return 100.0 * of["relief_rim_von_mises_mean"]


def _stiffness(of: Numbers) -> FloatArray:
    lesion = of["lesion_stiffness_N_per_mm"]
    return 100.0 * (of["treated_stiffness_N_per_mm"] / lesion - 1.0)


def _clearance(of: Numbers) -> FloatArray:
    # Infinite where there is no cement: that is no distance.
    distance = of["nerve_distance_mm"]
    return np.where(np.isfinite(distance), distance, np.nan)


RELIEF = Measure(
    "relief",
    "relief of the rim (mean von Mises stress)",
    "%",
    1,
    1,
    -inf,
    0.1,
    ("relief_rim_von_mises_mean",),
    _relief,
)
STIFFNESS = Measure(
    "stiffness",
    "stiffness, change to the lesion state",
    "%",
    2,
    1,
    -inf,
    0.01,
    ("lesion_stiffness_N_per_mm", "treated_stiffness_N_per_mm"),
    _stiffness,
)
LEAK = Measure(
    "leak",
    "cement outside the bone (leak)",
    "ml",
    2,
    -1,
    0.0,
    0.01,
    ("leak_ml",),
    lambda of: of["leak_ml"],
)
CLEARANCE = Measure(
    "clearance",
    "cement to the nearest nerve passage",
    "mm",
    1,
    1,
    0.0,
    0.1,
    ("nerve_distance_mm",),
    _clearance,
)
MEASURES = (RELIEF, STIFFNESS, LEAK, CLEARANCE)
#: Columns of a record that the analysis reads.
COLUMNS = tuple(column for measure in MEASURES for column in measure.columns)
