"""What an operator can choose, and which choices nothing beats in relief, leak and clearance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.study.analysis.cases import Cases, field_words
from sacrofem.study.analysis.curves import is_numeric, places_of
from sacrofem.study.analysis.measures import CLEARANCE, LEAK, RELIEF
from sacrofem.study.analysis.pareto import pareto_front
from sacrofem.study.analysis.ranking import codes_of, side_by_side

OBJECTIVES = (RELIEF, LEAK, CLEARANCE)


@dataclass(frozen=True, eq=False)
class Front:
    """The choices, c of them, by their means over the circumstances.

    Attributes:
        way: Way of treating, shape (c,).
        words: What else is chosen, such as the volume, shape (c,).
        means: Relief, leak, clearance, shape (c, 3).
        on: Whether nothing beats it, shape (c,).
        circumstances: Circumstances behind each mean, shape (c,).
        shared: Whether these are the same for all choices; else a choice that failed where it was
            hard looks better than it is.
        left_out: Choices without a number in one of the three.
    """

    way: NDArray[np.str_]
    words: NDArray[np.str_]
    means: FloatArray
    on: NDArray[np.bool_]
    circumstances: NDArray[np.int64]
    shared: bool
    left_out: int


def choices_front(cases: Cases) -> Front:
    """The choices of a study and its Pareto front, exact for the means.

    A chosen field of many numbers is cut into bins, as in a response curve.
    """
    words = _choice_words(cases)
    choice = codes_of([cases.way, words], len(cases.way))
    first = np.unique(choice, return_index=True)[1]
    names = np.array([f"{k:06d}" for k in choice])
    circumstance = cases.alike(only_given=True)
    tables = np.stack(
        [side_by_side(names, circumstance, cases.values[m.name])[1] for m in OBJECTIVES], axis=2
    )
    there = np.asarray(np.all(np.isfinite(tables), axis=2))
    common = np.asarray(np.all(there, axis=1))
    shared = bool(common.any())
    used = there & common[:, None] if shared else there
    count = used.sum(axis=0)
    total = np.where(used[:, :, None], tables, 0.0).sum(axis=0)
    kept = count > 0
    means = total[kept] / count[kept, None]
    costs = means * [-measure.better for measure in OBJECTIVES]
    return Front(
        way=cases.way[first][kept],
        words=words[first][kept],
        means=means,
        on=pareto_front(costs),
        circumstances=count[kept],
        shared=shared,
        left_out=int((~kept).sum()),
    )


def _choice_words(cases: Cases) -> NDArray[np.str_]:
    """The chosen fields of each case in words; empty where nothing is chosen but the way."""
    words: NDArray[Any] = np.full(len(cases.way), "", dtype=object)
    for name, column in cases.chosen.items():
        at, place, binned = places_of(column)
        texts = [f"{value:.3g}" if is_numeric(column) else str(value) for value in at]
        about = "about " if binned else ""
        label, _, unit = field_words(name).rpartition(", ")
        each = [f"{about}{t} {unit}" if label and is_numeric(column) else t for t in texts]
        own = np.array(each, dtype=object)[place]
        words = np.where(words == "", own, words + ", " + own)
    return words.astype(str)
