"""A value and what was done to get it, for everything that a reader of files decides by itself."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Noted(Generic[T]):
    """What was read, and how.

    Attributes:
        value: What was asked for.
        notes: Sentences for the report: which series, which axes, what was joined or dropped.
    """

    value: T
    notes: tuple[str, ...] = ()
