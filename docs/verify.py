"""Verify the solver against known answers: ``./with-env python docs/verify.py``.

Writes ``docs/verification.md``. The problems are those of ``tests/verification/problems``, larger;
each has a broken formula, which is solved at the size of the tests. Ends with status 1 if a broken
formula is not caught: a miss of a limit is shown in the table and is not an error of this script.
"""

import argparse
import platform
import shutil
import sys
import time
from pathlib import Path

import dolfinx
from petsc4py import PETSc

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "verification"))

from problems.checks import CHECKS  # noqa: E402
from problems.row import Check, Row, Size  # noqa: E402

HEAD = """# Verification

Made by `make verify`; no figure is written by hand. Each table compares the package's own functions
with an answer that is known: exact, by another code, or by a theorem. A row passes if its error is
at most its limit. A row that misses says `MISS` and why. Under each table stands a formula of the
package that was made wrong on purpose, and the row, of a smaller size, that passes without that and
misses with it.

"""
COLUMNS = ("what is checked", "expected", "found", "error", "limit", "verdict")


def line(cells: list[str]) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(cells) + " |\n"


def table(rows: list[Row]) -> str:
    """The rows of one check, and what is to be said about them."""
    text = line(list(COLUMNS)) + line(["---"] * len(COLUMNS))
    for row in rows:
        error = "-" if row.error is None else f"{row.error:.3g}"
        verdict = f"**{row.verdict}**" if row.verdict == "MISS" else row.verdict
        text += line([row.what, row.expected, row.found, error, f"{row.limit:.3g}", verdict])
    notes = dict.fromkeys(row.note for row in rows if row.note)
    return text + "".join(f"\n{note}\n" for note in notes)


def section(check: Check, size: Size) -> tuple[str, list[Row], bool | None]:
    """Text and rows of one check, and whether its broken formula was caught: None if not run."""
    start = time.perf_counter()
    rows = check.run(size)
    solved = time.perf_counter() - start
    if all(row.verdict == "not run" for row in rows):
        return f"## {check.title}\n\n{table(rows)}\n", rows, None
    caught = check.caught()
    result = f"caught by: {caught}" if caught else "**not caught**"
    text = f"## {check.title}\n\n{table(rows)}\n"
    text += f"Broken on purpose: {check.broken.words}; {result}. Solved in {solved:.0f} s.\n\n"
    return text, rows, bool(caught)


def tally(rows: list[Row], caught: int, minutes: float) -> str:
    """Counts and versions, above the tables."""
    count = {v: sum(row.verdict == v for row in rows) for v in ("pass", "MISS", "not run")}
    versions = f"DOLFINx {dolfinx.__version__}, PETSc {'.'.join(map(str, PETSc.Sys.getVersion()))}"
    return (
        f"{len(rows)} rows: {count['pass']} pass, {count['MISS']} miss, "
        f"{count['not run']} not run. {caught} broken formulas caught. "
        f"{minutes:.1f} minutes; {versions}, Python {platform.python_version()}; CalculiX "
        f"{'installed' if shutil.which('ccx') else 'not installed'}.\n\n"
    )


def tell(text: str) -> None:
    """Show how far it is: all of it takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Solve everything, write the page, tell what missed."""
    parser = argparse.ArgumentParser(description="Verify the solver and write its table.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "verification.md")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    arguments = parser.parse_args()
    start = time.perf_counter()
    text, rows, caught = "", [], []
    for check in CHECKS:
        tell(check.title)
        words, more, ok = section(check, arguments.size)
        text += words
        rows += more
        caught.append(ok)
        for row in more:
            tell(f"  {row.verdict}: {row.what}: {row.found}")
    minutes = (time.perf_counter() - start) / 60.0
    broken = caught.count(True)
    arguments.out.write_text(HEAD + tally(rows, broken, minutes) + text.rstrip() + "\n")
    return 1 if False in caught else 0


if __name__ == "__main__":
    sys.exit(main())
