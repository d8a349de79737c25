"""The page of a study, made from a real store: whole, honest about what failed, all figures."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import html5lib
import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.report.study_figures import ranking_figure, response_figure
from sacrofem.report.study_page import LIMITS, study_page, write_study_report
from sacrofem.report.study_table import study_tables
from sacrofem.study.analysis.analyse import Analysis, analyse
from sacrofem.study.analysis.cases import WAY
from sacrofem.study.analysis.facts import facts_of, read_facts, write_facts
from sacrofem.study.analysis.measures import COLUMNS, RELIEF, STIFFNESS
from sacrofem.study.failures import Failure
from sacrofem.study.records import NUMBERS
from sacrofem.study.store import PointRow, insert_failure, insert_row, open_store, put_points
from sacrofem.study.study_file import points_of, read_study
from sacrofem.study.table import read_table

STUDY = (
    Path(__file__).parents[2] / "scenarios" / "sweeps" / "volume-location-technique-approach.yaml"
)
REASON = "approach 'long axis': no track reaches <the target>; take another."


def fill(folder: Path) -> None:
    """A folder as a sweep leaves it, with made-up numbers; one arm fails at one place."""
    study, base = read_study(STUDY)
    points = points_of(study, base, STUDY)
    write_facts(folder, facts_of(study, base, len(points)))
    rng = np.random.default_rng(1)
    rows = []
    with open_store(folder / "records.sqlite") as store:
        for point in points:
            for arm in base.arms:
                key = f"{point.number}-{arm.name}"
                rows.append(PointRow(point.number, arm.name, key, point.values))
                if arm.approach == "long axis" and point.values["lesions.0.level"] == "S2":
                    failure = Failure(key, point.number, arm.name, "input", REASON, "", "", 1, {})
                    insert_failure(store, failure)
                    continue
                relief = 0.02 * point.values["arms.*.fill.cement_ml"] + 0.01 * rng.random()
                numbers = dict.fromkeys(NUMBERS, 1.0) | {
                    "relief_rim_von_mises_mean": relief,
                    "leak_ml": 0.1 * rng.random(),
                    "nerve_distance_mm": 5.0 * rng.random(),
                    "lesion_stiffness_N_per_mm": 2000.0,
                    "treated_stiffness_N_per_mm": 2000.0 + 20.0 * rng.random(),
                }
                insert_row(store, key, arm.name, base.title, {}, numbers)
        put_points(store, rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    fill(made)
    return made


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return write_study_report(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def analysis(folder: Path) -> Analysis:
    return analyse(read_table(folder / "records.sqlite", COLUMNS), read_facts(folder))


def words(page: str) -> str:
    without = re.sub(r"<style>.*?</style>|src=\"[^\"]*\"", "", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", without).split())


def test_the_page_is_whole_html_without_outside_files(page: str) -> None:
    html5lib.HTMLParser(strict=True).parse(page)
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) >= 5
    assert all(source.startswith("data:image/png") for source in sources)


def test_failures_stand_with_their_reason_and_count(page: str) -> None:
    assert "no track reaches &lt;the target&gt;" in page
    text = words(page)
    assert "156 of 180 cases are finished, 24 failed" in text
    assert "What could not be done" in text
    assert "8 points without all ways are left out" in text


def test_what_is_assumed_and_what_it_does_not_say_stand_there(page: str) -> None:
    text = words(page)
    assert "arms.*.fill.cement_ml cement injected, ml 2.0, 4.0, 6.0, 8.0" in text
    assert "PMC3698342" in text
    for limit in LIMITS:
        assert limit in text


def test_no_number_is_shown_that_is_none(analysis: Analysis, page: str) -> None:
    cells = [cell for table in study_tables(analysis) for row in table.rows for cell in row]
    assert cells
    assert not [cell for cell in cells if re.search(r"\b(nan|inf|None)\b", cell)]
    assert not re.search(r"\bnan\b", words(page))


def test_every_figure_tells_its_number_and_interval(page: str) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, flags=re.S)
    assert len(captions) >= 5
    assert all(re.search(r"\d+ (drawn |of )?(points|cases|choices)|n: ", text) for text in captions)
    assert all("95 %" in text or "Means have errors" in text for text in captions)


def test_a_figure_draws_the_means_of_the_table(analysis: Analysis) -> None:
    figure = response_figure(analysis, "arms.*.fill.cement_ml")
    curves = {c.way: c for c in analysis.curves["arms.*.fill.cement_ml", RELIEF.name]}
    axes = figure.axes[0]
    assert axes.get_ylabel().endswith(", %")
    assert axes.get_xlabel() == "cement injected, ml"
    drawn = sorted(tuple(np.round(line.get_ydata(), 9)) for line in axes.lines)
    asked = sorted(tuple(np.round([e.value for e in c.mean], 9)) for c in curves.values())
    assert drawn == asked


def test_the_best_stands_on_top(analysis: Analysis) -> None:
    ranking = analysis.rankings[WAY, RELIEF.name]
    axes = ranking_figure(ranking, RELIEF).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(ranking.names)
    assert axes.yaxis_inverted()


def test_a_study_of_one_way_and_one_field_has_a_page(analysis: Analysis, folder: Path) -> None:
    table = read_table(folder / "records.sqlite", COLUMNS)
    one = (table.arm == "short-balloon") & (table.point < 1)
    for name, column in table.numbers.items():
        table.numbers[name] = column[one]
    varied = {name: column[one] for name, column in table.varied.items()}
    small = type(table)(table.arm[one], table.point[one], varied, table.numbers)
    text = words(study_page(analyse(small, analysis.facts), []))
    assert "one way of treating" in text
    assert "does not vary the volume" in text


def test_a_study_without_lesions_is_judged_by_stiffness(analysis: Analysis, folder: Path) -> None:
    # Richards 2009: no lesion, no rim, no relief.
    table = read_table(folder / "records.sqlite", COLUMNS)
    table.numbers["relief_rim_von_mises_mean"][:] = np.nan
    found = analyse(table, analysis.facts)
    assert found.judged is STIFFNESS
    text = words(study_page(found, []))
    assert "had the largest mean of stiffness, change to the lesion state" in text
    assert "nan" not in text.lower().split()
    rankings = [t for t in study_tables(found) if t.title == "Ranking by way of treating"]
    assert len(rankings[0].rows) == 9


def test_a_store_of_another_study_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"study\.json"):
        write_study_report(tmp_path)
    write_facts(tmp_path, read_facts(folder))
    with open_store(tmp_path / "records.sqlite"):
        pass
    with pytest.raises(InputError, match="none"):
        write_study_report(tmp_path)
    with closing(sqlite3.connect(folder / "records.sqlite")) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
