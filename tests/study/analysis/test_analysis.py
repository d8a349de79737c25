"""A whole analysis of made-up studies whose answer is known."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.study.analysis.analyse import Analysis, analyse
from sacrofem.study.analysis.cases import WAY, cases_of, field_words
from sacrofem.study.analysis.facts import StudyFacts, facts_of, read_facts, write_facts
from sacrofem.study.analysis.front import choices_front
from sacrofem.study.analysis.sensitivity import Sensitivities
from sacrofem.study.analysis.sentences import sentences
from sacrofem.study.scenario import Scenario
from sacrofem.study.study_file import read_study
from sacrofem.study.table import Table

SWEEPS = Path(__file__).parents[3] / "scenarios" / "sweeps"
ARMS = tuple(itertools.product(("short axis", "transiliac"), ("balloon", "vertebroplasty")))
DOSE, SITE = "arms.*.fill.cement_ml", "lesions.0.site"
SITES = ("lateral mass right", "vertebral body")


def scenario() -> Scenario:
    return Scenario.model_validate(
        {
            "title": "made up",
            "mesh": "phantom.yaml",
            "lesions": [{"site": "lateral mass right", "volume_ml": 4.0}],
            "arms": [
                {
                    "name": f"{approach.split()[0]}-{technique}",
                    "approach": approach,
                    "fill": {"technique": technique, "cement_ml": 4.0},
                }
                for approach, technique in ARMS
            ],
        }
    )


def facts(points: int, kind: str = "grid", vary: tuple[str, ...] = (DOSE, SITE)) -> StudyFacts:
    seed = None if kind == "grid" else 1
    rows = points // (len(vary) + 2) if kind == "saltelli" else None
    names = vary if rows else ()
    listed: dict[str, Any] = {name: [] for name in vary}
    return StudyFacts("made", listed, (), kind, seed, rows, names, points, scenario(), "sacrum")


def table(dose: np.ndarray, site: np.ndarray, leaking: float = 1.0) -> Table:
    """Relief in % is 3 a ml, 5 more in the lateral mass, 1 more by vertebroplasty, which leaks."""
    n = len(dose)
    arms = [arm.name for arm in scenario().arms]
    technique = np.repeat([t == "vertebroplasty" for _, t in ARMS], n)
    v, s = np.tile(dose, len(arms)), np.tile(np.array(site, dtype=object), len(arms))
    relief = 0.03 * v + 0.05 * (s == SITES[0]) + 0.01 * technique
    return Table(
        arm=np.repeat(arms, n),
        point=np.tile(np.arange(n), len(arms)),
        varied={DOSE: v, SITE: s},
        numbers={
            "relief_rim_von_mises_mean": relief,
            "leak_ml": leaking * 0.1 * v * technique,
            "nerve_distance_mm": 10.0 - v,
            "lesion_stiffness_N_per_mm": np.full(len(v), 2000.0),
            "treated_stiffness_N_per_mm": 2000.0 * (1.0 + relief),
        },
    )


def grid_table(leaking: float = 1.0) -> Table:
    points = list(itertools.product((2.0, 4.0, 6.0), SITES))
    dose, site = zip(*points, strict=True)
    return table(np.array(dose), np.array(site), leaking)


def without(of: Table, lost: np.ndarray) -> Table:
    kept = ~lost
    return Table(
        of.arm[kept],
        of.point[kept],
        {name: column[kept] for name, column in of.varied.items()},
        {name: column[kept] for name, column in of.numbers.items()},
    )


@pytest.fixture(scope="module")
def grid() -> Analysis:
    return analyse(grid_table(), facts(6))


def test_three_sentences_say_what_was_put_in(grid: Analysis) -> None:
    volume, location, ways = sentences(grid)
    assert "from 2 to 6 ml" in volume
    assert "+12.0 percentage points (95 % interval 12.0 to 12.0, n = 2)" in volume
    # The mean of four ways, two of which leak 0.4 ml more.
    assert "+0.20 ml" in volume
    assert "least with the lesion at 'vertebral body'" in location
    assert "+5.0 percentage points" in location
    assert "picked as the ends" in location
    assert "6 points of the grid" in ways
    assert "probability" not in ways
    # Two accesses with the same numbers: neither leads.
    assert "which this study cannot tell from none" in ways
    assert "which leaked least this study cannot tell" in ways


def test_no_way_is_said_to_leak_least_where_none_leaks() -> None:
    ways = sentences(analyse(grid_table(leaking=0.0), facts(6)))[2]
    assert "cement outside the bone (leak) was nothing at all in every one of them" in ways
    assert "leaked least" not in ways


def test_turning_the_numbers_turns_the_sentences() -> None:
    turned = grid_table()
    relief = 1.0 - turned.numbers["relief_rim_von_mises_mean"]
    turned.numbers["relief_rim_von_mises_mean"] = relief
    volume, location, ways = sentences(analyse(turned, facts(6)))
    assert "-12.0 percentage points" in volume
    assert "least with the lesion at 'lateral mass right'" in location
    assert "balloon' had the largest mean of relief" in ways


def test_what_cannot_be_told_from_none_is_called_so() -> None:
    rng = np.random.default_rng(1)
    points = list(itertools.product((2.0, 6.0), range(15)))
    dose, bone = (np.array(column, float) for column in zip(*points, strict=True))
    made = table(dose, np.full(30, SITES[0]))
    made.varied["lesions.0.volume_ml"] = np.tile(bone, 4)
    made.numbers["relief_rim_von_mises_mean"] = 0.1 + 0.05 * rng.standard_normal(120)
    made.numbers["leak_ml"][:] = 0.0
    volume, location, _ = sentences(analyse(made, facts(30)))
    assert "which this study cannot tell from none" in volume
    assert "cement outside the bone (leak) by nothing at all" in volume
    assert "does not vary where the lesion is" in location


def test_shares_of_drawn_points_have_intervals() -> None:
    rng = np.random.default_rng(2)
    made = table(rng.uniform(2.0, 6.0, 60), np.array(SITES)[rng.integers(0, 2, 60)])
    volume, _, ways = sentences(analyse(made, facts(60, "lhs")))
    assert "(means of different points)" in volume
    assert "drawn points (95 % interval" in ways


def test_points_without_all_ways_are_left_out_and_told() -> None:
    made = grid_table()
    cut = without(made, (made.arm == "short-balloon") & (made.point == 0))
    found = analyse(cut, facts(6))
    ranking = found.rankings[WAY, "relief"]
    assert (found.finished, found.asked) == (23, 24)
    assert (ranking.n, ranking.left_out) == (5, 1)
    assert "1 points without all ways" in sentences(found)[2]
    assert found.rankings["technique", "relief"].n == 5


def test_approaches_and_techniques_are_ranked_apart(grid: Analysis) -> None:
    technique = grid.rankings["technique", "relief"]
    assert technique.names == ("vertebroplasty", "balloon")
    assert technique.order.count == 6
    approach = grid.rankings["approach", "relief"]
    assert approach.tied.count == 6
    assert [share.count for share in approach.best] == [0, 0]


def test_main_effects_of_the_grid_are_those_put_in(grid: Analysis) -> None:
    found = grid.sensitivities["relief", WAY]
    assert isinstance(found, Sensitivities)
    shares = {each.field: each.first.value for each in found.fields}
    whole = 9.0 * 8.0 / 3.0 + 25.0 / 4.0 + 1.0 / 4.0
    assert shares[DOSE] == pytest.approx(24.0 / whole)
    assert shares[SITE] == pytest.approx(6.25 / whole)
    assert shares[WAY] == pytest.approx(0.25 / whole)


def test_a_saltelli_study_uses_its_own_blocks_for_curves() -> None:
    n = 64
    rng = np.random.default_rng(3)
    a, b = rng.random((n, 2)), rng.random((n, 2))
    first, second = a.copy(), a.copy()
    first[:, 0], second[:, 1] = b[:, 0], b[:, 1]
    unit = np.concatenate([a, b, first, second])
    made = table(2.0 + 4.0 * unit[:, 0], np.array(SITES)[(unit[:, 1] > 0.5).astype(int)])
    found = analyse(made, facts(4 * n, "saltelli"))
    assert found.finished == 16 * n
    assert len(found.cases.point) == 8 * n
    indices = found.sensitivities["relief", "transiliac, balloon"]
    assert isinstance(indices, Sensitivities)
    by_field = {each.field: each for each in indices.fields}
    # Additive: total and first agree; variances 12 and 6.25.
    total = by_field[DOSE].total
    assert total is not None
    assert total.low <= 12.0 / 18.25 <= total.high
    assert by_field[DOSE].first.low <= 12.0 / 18.25 <= by_field[DOSE].first.high


def test_the_front_weighs_choices_not_cases(grid: Analysis) -> None:
    front = grid.front
    assert len(front.on) == 12
    assert front.shared
    assert front.circumstances.tolist() == [2] * 12
    on = {(str(way), str(words)) for way, words in zip(front.way, front.words, strict=True)}
    assert ("transiliac, balloon", "6 ml") in on
    # Without a leak vertebroplasty beats the balloon at the same volume.
    dry = choices_front(cases_of(grid_table(leaking=0.0), facts(6)))
    assert not any("balloon" in str(way) for way in dry.way[dry.on])
    assert any("balloon" in str(way) for way in front.way[front.on])


def test_a_choice_that_failed_where_it_is_hard_does_not_look_better() -> None:
    # Without its case in the body, 2 ml by short balloon has the lateral mass alone: 5 % more.
    made = grid_table()
    hard = (made.arm == "short-balloon") & (made.varied[DOSE] == 2.0)
    cut = without(made, hard & (made.varied[SITE] == SITES[1]))
    front = choices_front(cases_of(cut, facts(6)))
    assert front.shared
    assert front.circumstances.tolist() == [1] * 12
    relief = {
        (str(way), str(words)): mean
        for way, words, mean in zip(front.way, front.words, front.means[:, 0], strict=True)
    }
    assert relief["short axis, balloon", "2 ml"] == pytest.approx(
        relief["transiliac, balloon", "2 ml"]
    )


def test_a_varied_approach_is_part_of_the_way() -> None:
    made = grid_table()
    made.varied["arms.*.approach"] = np.full(len(made.arm), "long axis", dtype=object)
    cases = cases_of(made, facts(6, vary=(DOSE, SITE, "arms.*.approach")))
    assert set(cases.approach) == {"long axis"}
    assert "arms.*.approach" not in cases.varied
    # Two arms are the same pair now: their names tell them apart.
    assert len(set(cases.way)) == 4


def test_fields_that_move_together_are_paired_and_counted_once() -> None:
    points = list(itertools.product((2.0, 4.0, 6.0), SITES))
    dose, site = zip(*points, strict=True)
    made = table(np.array(dose), np.array(site))
    made.varied["arms.*.fill.balloon_ml"] = made.varied[DOSE] * 0.9
    asked = replace(
        facts(6), vary={DOSE: [], SITE: [], "arms.*.fill.balloon_ml": {"equals": f"{DOSE} * 0.9"}}
    )
    assert asked.follow(DOSE) == {"arms.*.fill.balloon_ml"}
    found = analyse(made, asked)
    assert "n = 2" in sentences(found)[0]
    effects = found.sensitivities["relief", WAY]
    assert isinstance(effects, Sensitivities)
    assert [each.field for each in effects.fields].count("arms.*.fill.balloon_ml") == 0


def test_no_finished_case_is_refused() -> None:
    made = grid_table()
    with pytest.raises(InputError, match="--retry-failed"):
        analyse(without(made, np.ones(len(made.arm), bool)), facts(6))


def test_facts_survive_their_file(tmp_path: Path) -> None:
    for name, points in (("uncertainty", 640), ("volume-location-technique-approach", 20)):
        study, base = read_study(SWEEPS / f"{name}.yaml")
        found = facts_of(study, base, points)
        write_facts(tmp_path, found)
        again = read_facts(tmp_path)
        assert again.base == found.base
        assert (again.rows, again.names, again.groups) == (found.rows, found.names, found.groups)
        assert again.drawn is (name == "uncertainty")


def test_a_folder_without_facts_is_told_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"study\.json.*sacrofem sweep"):
        read_facts(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match="not the facts"):
        read_facts(tmp_path)


def test_fields_have_words() -> None:
    assert field_words(DOSE) == "cement injected, ml"
    assert field_words("lesions.0.volume_ml") == "volume of the lesion, ml"
    assert field_words("arms.1.fill.cement_ml") == "cement injected, ml (arm 2)"
    assert field_words("order") == "order"
