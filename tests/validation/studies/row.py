"""What a validation finds: rows of a table, a published number beside the model's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Size = Literal["small", "full"]
Tag = Literal["S", "M", "D", "-"]


@dataclass(frozen=True)
class Published:
    """A published number.

    Attributes:
        source: Author and year, or where no author was seen the journal's address.
        tag: S seen in the source's abstract or table, M from memory, D derived from seen numbers,
            - no number was found.
        says: The number.
    """

    source: str
    tag: Tag
    says: str

    @property
    def words(self) -> str:
        """As it stands in the table."""
        return f"{self.source} [{self.tag}]: {self.says}"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        published: What is compared with.
        found: The model's answer.
        agrees: Whether it lies inside what was published, or shows the published trend; None where
            nothing is judged.
        trend: Whether it is only a trend that is compared: the set-ups differ too much for more.
        why: Explanation of a miss, or of what the row cannot see.
    """

    published: Published
    found: str
    agrees: bool | None
    trend: bool = False
    why: str = ""

    @property
    def verdict(self) -> str:
        """``inside``, ``OUTSIDE``, ``trend``, ``TREND MISSED``; ``-`` where nothing is judged."""
        if self.agrees is None:
            return "-"
        if self.trend:
            return "trend" if self.agrees else "TREND MISSED"
        return "inside" if self.agrees else "OUTSIDE"


@dataclass(frozen=True)
class Study:
    """One set-up and the rows that come from it.

    Attributes:
        title: Heading.
        setup: What was solved, in words.
        run: Solves it at a size; deterministic.
    """

    title: str
    setup: str
    run: Callable[[Size], list[Row]]


def percent(ratio: float) -> str:
    """A change ``ratio - 1`` in percent with its sign."""
    return f"{100.0 * (ratio - 1.0):+.1f} %"


def within(value: float, low: float, high: float) -> bool:
    """Whether a value lies in a closed range; what is not a number does not."""
    return bool(low <= value <= high)
