"""Write the tables of defaults in the theory page: ``./with-env python docs/theory.py``.

They are the assumptions that a report shows, of scenarios that use every default.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from sacrofem.report.assumptions import Assumption, assumptions
from sacrofem.study.scenario import Scenario

PAGE = Path(__file__).with_name("theory.md")
MARK = "<!-- made by docs/theory.py: do not edit below -->\n"
#: Between them they have every technique, a fracture, loads of failure, and no other value that is
#: not a default.
_PATH = {"approach": "short axis"}
EVERY_TECHNIQUE = Scenario.model_validate(
    {
        "title": "defaults",
        "mesh": "phantom.yaml",
        "lesions": [
            {
                "site": "lateral mass right",
                "volume_ml": 7.1,
                "fracture": {"zone": "I"},
            }
        ],
        "arms": [
            {"name": name, **_PATH, "fill": {"technique": name, "cement_ml": 6.0}}
            for name in ("balloon", "vertebroplasty", "vesselplasty")
        ],
        "failure_curve": True,
    }
)


def defaults() -> tuple[Assumption, ...]:
    """Every default once: of the sacrum alone, then what a pelvis adds."""
    sacrum = assumptions(EVERY_TECHNIQUE)
    pelvis = assumptions(EVERY_TECHNIQUE, model="pelvis")
    return (*sacrum, *(row for row in pelvis if row not in sacrum))


def tables(rows: tuple[Assumption, ...]) -> Iterator[str]:
    """One Markdown table a group."""
    ordered = sorted(rows, key=lambda row: [r.group for r in rows].index(row.group))
    for group, members in groupby(ordered, key=lambda row: row.group):
        yield f"\n### {group}\n\n| what | value | unit | source |\n| --- | --- | --- | --- |\n"
        for row in members:
            cells = (row.name, row.value, "" if row.unit == "none" else row.unit, row.source)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def with_tables(page: str) -> str:
    """The page with the tables of today's code."""
    return page[: page.index(MARK) + len(MARK)] + "".join(tables(defaults()))


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
