"""Rows of a record store with numbers drawn at random."""

from collections.abc import Mapping
from math import inf, nan
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sacrofem.study.failures import Failure
from sacrofem.study.packing import CORE, DETAILS
from sacrofem.study.records import NUMBERS
from sacrofem.study.store import Row

#: Doubles that are easily lost on the way: by single precision, by SQLite, by text.
ODD = (nan, inf, -inf, 0.1, 1e300, 5e-324, 2.0**53 + 2.0, -1.0 / 3.0)


def numbers(seed: int) -> dict[str, float]:
    """Every number of a record; the odd ones both among the columns and among the packed."""
    values = np.random.default_rng(seed).lognormal(0.0, 3.0, len(NUMBERS)).tolist()
    row = dict(zip(NUMBERS, values, strict=True))
    for names in (CORE, DETAILS):
        row |= dict(zip(names, ODD, strict=False))
    return row


def inputs(seed: int) -> dict[str, Any]:
    """An input document with everything that JSON has."""
    return {
        "code": "a" * 64,
        "lesions": [{"breach": [], "mask": None, "volume_ml": 7.1}],
        "order": 2,
        "procedures": [{"fill": {"cement_ml": seed / 3.0}, "bevel": True, "name": "Ötzi\n2"}],
    }


def row(seed: int, arm: str = "short axis") -> Row:
    """The finished case of a seed."""
    return Row(f"{seed:032x}", arm, "A title", inputs(seed), numbers(seed))


def failure(seed: int, cause: str = "solver") -> Failure:
    """The failed case of a seed."""
    lines = "Traceback:\n  line"
    return Failure(
        f"{seed:032x}", seed, "short axis", cause, "It failed.", lines, "node7", 2, inputs(seed)
    )


def is_same(found: Mapping[str, Any], given: Mapping[str, float]) -> bool:
    """Whether all numbers came back bit by bit, NaN as NaN."""
    return all(repr(found[name]) == repr(value) for name, value in given.items())


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Makers of rows and failures, and a comparison of numbers."""
    return SimpleNamespace(
        row=row, inputs=inputs, numbers=numbers, failure=failure, is_same=is_same
    )
