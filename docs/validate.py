"""Compare the model with published numbers: ``./with-env python docs/validate.py``.

Writes ``docs/validation.md``. The studies are those of ``tests/validation/studies``, larger. A row
that lies outside is shown with its reason and is not an error of this script.
"""

import argparse
import platform
import sys
import time
from collections import Counter
from pathlib import Path

import dolfinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "validation"))

from studies.all_studies import STUDIES  # noqa: E402
from studies.row import Row, Size, Study  # noqa: E402
from studies.unaddressed import UNADDRESSED  # noqa: E402

HEAD = """# Validation

Made by `make validate`; no figure is written by hand. Each row puts a published number beside the
model's. Nothing is tuned: materials, joints, ligaments and cement are the package's defaults,
everywhere the same, on its own phantom of a sacrum: of 70 years, or of 95, where its L5 has the
80 mg/cm3 that are the limit of osteoporosis. The bones of the publications are other bones, so that
a row that lies inside shows that the model is plausible, not that it is right for a patient.

The letter behind a source says how the number is known: [S] seen in the abstract, a table or the
opening of the publication, not in its full text; [M] from memory; [D] derived from seen numbers.
`inside` and `OUTSIDE` compare sizes, by a range that the row states where the publication has none;
`trend` and `TREND MISSED` compare only the direction, where the set-ups differ too much for more.

No publication compares approaches or fill techniques in a sacrum with a metastasis: the question
that this package is made for has no direct truth. These rows test the parts of its answer.

"""
COLUMNS = ("published", "model", "verdict")


def line(cells: list[str]) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def section(study: Study, rows: list[Row]) -> str:
    """A study: set-up, table, and what is to be said about its rows."""
    text = f"## {study.title}\n\n{study.setup}\n\n"
    text += line(list(COLUMNS)) + line(["---"] * len(COLUMNS))
    for row in rows:
        bad = row.verdict in ("OUTSIDE", "TREND MISSED")
        verdict = f"**{row.verdict}**" if bad else row.verdict
        text += line([row.published.words, row.found, verdict])
    notes = dict.fromkeys(
        (row.why, row.published.says if len(rows) > 1 else "") for row in rows if row.why
    )
    told: dict[str, list[str]] = {}
    for why, what in notes:
        told.setdefault(why, []).append(what)
    for why, what in told.items():
        head = f"*{'; '.join(what)}*: " if any(what) else ""
        text += f"\n{head}{why}\n"
    return text + "\n"


def tally(rows: list[Row], minutes: float, size: Size) -> str:
    """Counts and versions, above the tables."""
    count = Counter(row.verdict for row in rows)
    words = ", ".join(f"{number} {verdict}" for verdict, number in count.most_common())
    return (
        f"{len(rows)} rows: {words} (`-`: nothing is judged); {len(UNADDRESSED)} numbers are not "
        f"addressed. {minutes:.1f} minutes at the size {size}; DOLFINx {dolfinx.__version__}, "
        f"Python {platform.python_version()}.\n\n"
    )


def unaddressed() -> str:
    """The published numbers that no row compares."""
    text = "## Not addressed\n\n" + line(["published", "why not"]) + line(["---"] * 2)
    return text + "".join(line([published.words, why]) for published, why in UNADDRESSED)


def tell(text: str) -> None:
    """Show how far it is: all of it takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Solve everything, write the page."""
    parser = argparse.ArgumentParser(description="Compare the model with published numbers.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "validation.md")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    arguments = parser.parse_args()
    start = time.perf_counter()
    text, rows = "", []
    for study in STUDIES:
        tell(study.title)
        more = study.run(arguments.size)
        text += section(study, more)
        rows += more
        for row in more:
            tell(f"  {row.verdict}: {row.published.words}: {row.found}")
    minutes = (time.perf_counter() - start) / 60.0
    page = HEAD + tally(rows, minutes, arguments.size) + text + unaddressed()
    arguments.out.write_text(page.rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
