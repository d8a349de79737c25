"""The cohort's page: given apart from drawn, failures with reasons, the paper's scores as facts."""

import copy
import re
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest

from sacrofem.report.cohort_figures import paired_figure, states_figure
from sacrofem.report.cohort_page import cohort_page
from sacrofem.report.cohort_table import cohort_tables, cohort_text, probability
from sacrofem.study.cohort import expand_cohort, read_cohort
from sacrofem.study.cohort_run import cohort_values

COHORTS = Path(__file__).parents[2] / "scenarios" / "cohorts"


def _arm(relief: float, leaked_ml: float, cement_ml: float) -> dict[str, Any]:
    """Numbers as a case gives them."""
    return {
        "relief_mean": relief,
        "relief_p95": relief / 2,
        "stiffness_gain": relief / 10,
        "lesion_ml": 8.0,
        "injected_ml": cement_ml,
        "cement_ml": cement_ml - leaked_ml,
        "leaked_ml": leaked_ml,
        "leak_ml": {"presacral": leaked_ml} if leaked_ml else {},
        "unplaced_ml": 0.0,
        "nerve_distance_mm": 4.2,
        "stiffness_N_per_mm": {"intact": 2000.0, "lesion": 1900.0, "treated": 1900.0 + relief},
        "rim_mean_MPa": {"intact": 0.2, "lesion": 0.25, "treated": 0.25 * (1.0 - relief)},
        "rim_p95_MPa": {"intact": 0.5, "lesion": 0.6, "treated": 0.6 * (1.0 - relief / 2)},
        "load_share_left": {"intact": 0.5, "lesion": 0.52, "treated": 0.51},
        "procedures": [{"stopped_by": "pressure limit <reached>"}],
    }


def made_values(name: str, failing: dict[int, str] | None = None) -> dict[str, Any]:
    """Values of a ``cohort.json`` of one of the papers with made-up numbers."""
    cohort = read_cohort(COHORTS / name)
    patients = expand_cohort(cohort)
    rng = np.random.default_rng(5)
    results = []
    for patient in patients:
        fails = (failing or {}).get(patient.id)
        arms = {
            arm.name: _arm(
                0.15 - 0.03 * n + 0.03 * float(rng.standard_normal()),
                0.3 * n * float(rng.random()),
                sum(patient.cement_ml),
            )
            for n, arm in enumerate(cohort.arms)
        }
        failures = {}
        if fails:
            last = list(arms)[-1]
            del arms[last]
            failures[last] = fails
        results.append({"arms": arms, "failures": failures, "seconds": {"solve": 20.0}})
    return cohort_values(cohort, patients, results)


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """Andresen 2014 with one arm of patient 3 refused."""
    return made_values("andresen-2014", {3: "the path meets <the canal>; use another approach."})


@pytest.fixture(scope="module")
def page(values: dict[str, Any]) -> str:
    """Its page."""
    return cohort_page(values)


@pytest.fixture(scope="module")
def whole_page() -> str:
    """The page of Tian 2019 with everything done."""
    return cohort_page(made_values("tian-2019"))


def _words(page: str) -> str:
    """What a reader sees, without pictures and style."""
    without = re.sub(r"<style>.*?</style>|src=\"[^\"]*\"", "", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", without).split())


def test_the_page_is_whole_html_without_outside_files(page: str, whole_page: str) -> None:
    for text in (page, whole_page):
        html5lib.HTMLParser(strict=True).parse(text)
        sources = re.findall(r'(?:src|href)="([^"]{0,30})', text)
        assert len(sources) == 2
        assert all(source.startswith("data:image/png") for source in sources)


def test_no_number_is_shown_that_is_none(values: dict[str, Any]) -> None:
    shown = [cell for table in cohort_tables(values) for row in table.rows for cell in row]
    assert not [cell for cell in shown if re.search(r"\b(nan|inf|None)\b", cell)]


def test_drawn_values_are_marked_and_given_ones_are_not(values: dict[str, Any]) -> None:
    rows = {row[0]: row for row in cohort_tables(values)[0].rows}
    assert len(rows) == 10
    assert rows["10"][1:3] == ("male", "73")
    assert rows["10"][5].startswith("lytic, 12.1 ml, lateral mass left")
    assert rows["10"][6] == "10.0*"
    drawn = {row[0]: row for row in cohort_tables(made_values("tian-2019"))[0].rows}
    assert drawn["1"][2] == "72"
    assert drawn["2"][2].endswith("*")


def test_a_failure_stands_with_its_reason_and_leaves_the_rest(
    values: dict[str, Any], page: str, whole_page: str
) -> None:
    assert "the path meets &lt;the canal&gt;; use another approach." in page
    assert "What could not be done" in page
    assert "done: 10 by balloon, 9 by vertebroplasty" in _words(page)
    pairs = values["statistics"]["pairs"]["vertebroplasty"]["relief_mean"]
    assert pairs["difference"]["n"] == 9
    assert "What could not be done" not in whole_page


def test_reported_scores_are_cited_facts(page: str) -> None:
    words = _words(page)
    assert "9.3 ± 0.67" in words
    assert "2.9 ± 0.81" in words
    assert "0 of 12 lesions" in words
    assert "10.1055/s-0033-1356418" in words
    assert "no number of this page predicts them" in words


def test_the_draws_stand_beside_what_came_out(page: str) -> None:
    words = _words(page)
    assert "6 ± 1.78" in words
    assert "6.00 ± 1.78" in words
    assert "4 to 10, reached; follows the lesion volume" in words
    assert "Seed 2014" in words


def test_the_median_and_range_are_those_of_the_patients(values: dict[str, Any]) -> None:
    arms = cohort_tables(values)[2]
    row = next(row for row in arms.rows if row[0] == "relief of the rim, mean, %")
    found = sorted(100.0 * p["arms"]["balloon"]["relief_mean"] for p in values["patients"])
    median = 0.5 * (found[4] + found[5])
    assert row[1] == f"{median:.1f} ({found[0]:.1f} to {found[-1]:.1f})"


def test_the_figures_show_each_patient_once_an_arm(values: dict[str, Any]) -> None:
    relief = paired_figure(values).axes[0]
    lines = [line for line in relief.lines if line.get_marker() == "o"]
    points = np.array([line.get_ydata() for line in lines])
    assert points.shape == (10, 2)
    # Patient 3 has no second arm, and no point there.
    assert np.isnan(points).sum() == 1
    assert points[0, 0] == pytest.approx(
        100 * values["patients"][0]["arms"]["balloon"]["relief_mean"]
    )
    states = states_figure(values).axes
    assert [axes.get_title() for axes in states] == ["balloon", "vertebroplasty"] * 2
    first = next(line for line in states[0].lines if line.get_marker() == "o")
    np.testing.assert_allclose(first.get_ydata()[:2], [100.0, 95.0])


def test_a_cohort_in_which_nothing_worked_still_has_a_page(values: dict[str, Any]) -> None:
    broken = copy.deepcopy(values)
    for row in broken["patients"]:
        row["failures"] = {arm: "no mesh." for arm in broken["arms"]}
        row["arms"] = {}
    page = cohort_page(broken)
    assert page.count("no mesh.") == 20
    assert "<img" not in page


def test_the_plain_text_counts_and_names_what_failed(values: dict[str, Any]) -> None:
    text = cohort_text(values)
    assert "Patients done: balloon 10 of 10, vertebroplasty 9 of 10" in text
    assert "not done: patient 3, vertebroplasty: the path meets <the canal>" in text
    assert max(len(line) for line in text.splitlines()) < 200


def test_a_p_is_never_shown_as_zero() -> None:
    assert probability(0.0) == "< 0.001"
    assert probability(0.0474) == "0.047"
    assert probability(None) == "-"
