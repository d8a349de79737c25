"""One assumption of a run, and how its value and source are written."""

from dataclasses import dataclass

import numpy as np

CHOICE = "choice of this program"


@dataclass(frozen=True)
class Assumption:
    """One assumption.

    Attributes:
        group: What it belongs to.
        name: What it is, in words.
        value: Its value in this run.
        unit: Its unit; ``1`` for a pure number.
        source: Where it comes from.
    """

    group: str
    name: str
    value: str
    unit: str
    source: str


def source_of(value: object, default: object, source: str) -> str:
    """The source of a value that a scenario can change."""
    return source if value == default else f"this scenario (default {default}: {source})"


def show(value: float) -> str:
    """A value with four significant digits."""
    return np.format_float_positional(value, 4, fractional=False, trim="-")
