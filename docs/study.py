"""Three sentences of a finished study: ``./with-env python docs/study.py FOLDER``.

FOLDER is what ``sacrofem sweep`` left. Writes ``docs/study-volume-location.md`` and its figures
beside it in ``docs/images``; ``--name`` gives another study another file. Nothing is solved here,
and no figure of the text is written by hand.
"""

import argparse
from pathlib import Path

from sacrofem.report.html import Picture
from sacrofem.report.study_page import DESIGNS, LIMITS, RECORDS, how_words, pictures
from sacrofem.report.study_table import failure_rows, study_tables
from sacrofem.report.table import Table
from sacrofem.study.analysis.analyse import Analysis, analyse
from sacrofem.study.analysis.cases import field_words
from sacrofem.study.analysis.facts import read_facts
from sacrofem.study.analysis.measures import COLUMNS
from sacrofem.study.analysis.sentences import sentences
from sacrofem.study.store import read_failures
from sacrofem.study.table import read_table

DOCS = Path(__file__).parent


def table_text(table: Table) -> str:
    """A table as Markdown."""
    rows = [table.columns, ("---",) * len(table.columns), *table.rows]
    lines = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join((f"### {table.title}", "", *lines, "", table.note, ""))


def study_text(
    analysis: Analysis,
    drawn: list[Picture],
    failed: list[tuple[str, str, str, str]],
    images: str,
) -> str:
    """The whole file; ``images`` is the start of the figures' names."""
    facts = analysis.facts
    seed = "" if facts.seed is None else f", seed {facts.seed}"
    lines = [
        f"# {facts.title}",
        "",
        "Made by `./with-env python docs/study.py` from a finished study; do not edit.",
        "",
        f"{analysis.finished} of {analysis.asked} cases of {facts.points} points of "
        f"{DESIGNS[facts.kind]}{seed}; displacement of order {facts.base.order}.",
        "",
        "## What it says",
        "",
    ]
    for sentence in sentences(analysis):
        lines += [sentence, ""]
    lines += ["What these numbers do not say:", "", *(f"- {limit}" for limit in LIMITS), ""]
    lines += ["## What varies", "", "| field | meaning | values |", "| --- | --- | --- |"]
    lines += [f"| `{f}` | {field_words(f)} | {how_words(how)} |" for f, how in facts.vary.items()]
    lines += ["", "## Figures", ""]
    for number, picture in enumerate(drawn, start=1):
        name = f"images/{images}-{number}.png"
        lines += [f"![{picture.alt}]({name})", "", f"Figure {number}. {picture.caption}", ""]
    if failed:
        lines += ["## What could not be done", "", "| arm | cause | cases | first message |"]
        lines += ["| --- | --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in failed), ""]
    lines += ["## Numbers", "", *(table_text(table) for table in study_tables(analysis))]
    return "\n".join(lines)


def write_images(drawn: list[Picture], folder: Path, images: str) -> None:
    """Write the figures in place of those of an earlier run."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob(f"{images}-*.png"):
        old.unlink()
    for number, picture in enumerate(drawn, start=1):
        (folder / f"{images}-{number}.png").write_bytes(picture.png)


def main() -> None:
    """Write the file and its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder that `sacrofem sweep` made")
    parser.add_argument("--name", default="study-volume-location", help="name of the file")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where to write")
    asked = parser.parse_args()
    analysis = analyse(read_table(asked.folder / RECORDS, COLUMNS), read_facts(asked.folder))
    failed = failure_rows(read_failures(asked.folder / RECORDS))
    drawn = pictures(analysis)
    write_images(drawn, asked.docs / "images", asked.name)
    text = study_text(analysis, drawn, failed, asked.name)
    (asked.docs / f"{asked.name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
