"""What a verification finds: rows of a table, and the broken formulas that must not pass."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal
from unittest.mock import patch

Size = Literal["small", "full"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What is checked, with the resolution.
        expected: Exact answer, in words or numbers.
        found: The model's answer.
        error: What must not exceed ``limit``; None where a tool that the row needs is missing.
        limit: Largest error that passes.
        note: Explanation of a miss, or of what the row cannot see.
    """

    what: str
    expected: str
    found: str
    error: float | None
    limit: float
    note: str = ""

    @property
    def verdict(self) -> str:
        """``pass``, ``MISS``, or ``not run``; an error that is not a number is a miss."""
        if self.error is None:
            return "not run"
        return "pass" if self.error <= self.limit else "MISS"


@dataclass(frozen=True)
class Broken:
    """A formula of the package made wrong on purpose.

    Attributes:
        words: What is wrong.
        parts: Replacement by the place of the original, ``module.attribute``.
    """

    words: str
    parts: Mapping[str, Any]

    def rows_of(self, run: Callable[[], list[Row]]) -> list[Row]:
        """What a problem finds while the formula is wrong."""
        with ExitStack() as stack:
            for place, wrong in self.parts.items():
                stack.enter_context(patch(f"sacrofem.{place}", wrong))
            return run()


@dataclass(frozen=True)
class Check:
    """A problem and the broken formula that it has to catch.

    Attributes:
        title: Heading in the table.
        run: Solves the problem at a size; deterministic.
        broken: A wrong formula.
        run_broken: The rows, of a small size, that have to catch it.
        may_miss: Parts of the names of rows that may miss their limit at the size ``small``.
    """

    title: str
    run: Callable[[Size], list[Row]]
    broken: Broken
    run_broken: Callable[[], list[Row]]
    may_miss: tuple[str, ...] = ()

    def caught(self) -> str:
        """The first row that passes, and misses with the broken formula; empty if none does.

        A row that misses anyway catches nothing.
        """
        sound = {row.what for row in self.run("small") if row.verdict == "pass"}
        for row in self.broken.rows_of(self.run_broken):
            if row.what in sound and row.verdict == "MISS":
                return f"{row.what}: {row.error:.1e}"
        return ""
