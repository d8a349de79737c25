"""Cohorts: the papers' facts to the letter, drawn values marked, failures kept, all done once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sacrofem.errors import InputError
from sacrofem.study.cohort import (
    Cohort,
    CohortPatient,
    expand_cohort,
    is_cohort,
    read_cohort,
    write_patient,
)
from sacrofem.study.recipe import read_recipe
from sacrofem.study.scenario import read_scenario

COHORTS = Path(__file__).parents[2] / "scenarios" / "cohorts"
#: Table 1 of Andresen 2014: sex, age, and site, volume in ml and approach of each lesion.
TABLE_1: dict[int, tuple[str, float, list[tuple[str, float, str]]]] = {
    1: ("female", 58, [("right", 6.8, "short axis"), ("left", 8.0, "short axis")]),
    2: ("female", 52, [("left", 6.6, "short axis")]),
    3: ("male", 69, [("right", 7.1, "short axis")]),
    4: ("male", 74, [("right", 8.0, "transiliac"), ("left", 11.7, "transiliac")]),
    5: ("female", 49, [("left", 7.3, "short axis")]),
    6: ("female", 63, [("right", 8.8, "short axis")]),
    7: ("male", 57, [("right", 7.1, "short axis")]),
    8: ("male", 69, [("right", 11.3, "transiliac")]),
    9: ("female", 79, [("body", 10.8, "transiliac")]),
    10: ("male", 73, [("left", 12.1, "transiliac")]),
}


@pytest.fixture(scope="module")
def andresen() -> tuple[CohortPatient, ...]:
    """The patients of Andresen 2014."""
    return expand_cohort(read_cohort(COHORTS / "andresen-2014"))


@pytest.fixture(scope="module")
def tian() -> tuple[CohortPatient, ...]:
    """The patients of Tian 2019."""
    return expand_cohort(read_cohort(COHORTS / "tian-2019"))


@pytest.fixture
def small() -> dict[str, Any]:
    """A cohort of two patients in two arms, as the values of its file."""
    lesion = {"site": "lateral mass right", "volume_ml": 6.0, "approach": "short axis"}
    return {
        "title": "Small",
        "citation": "Nobody, nowhere.",
        "choices": ["All of it."],
        "mesh": {"phantom": {"voxel_mm": [2.0, 2.0, 2.0]}, "edge_mm": 8.0},
        "order": 1,
        "arms": [
            {"name": name, "fill": {"technique": name}, "why": "To compare."}
            for name in ("balloon", "vertebroplasty")
        ],
        "draw": {
            "seed": 1,
            "cement_per": "lesion",
            "cement_ml": {"mean": 4.0, "sd": 1.0, "limits": [2, 6], "step": 0.1},
        },
        "patients": [
            {"id": 1, "sex": "female", "age_years": 60, "lesions": [lesion]},
            {"id": 2, "sex": "male", "age_years": 70, "lesions": [lesion]},
        ],
        "clinical": {},
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writer of a cohort's folder."""

    def write(values: dict[str, Any]) -> Path:
        folder = tmp_path / "cohort"
        folder.mkdir(exist_ok=True)
        (folder / "cohort.yaml").write_text(yaml.safe_dump(values))
        return folder

    return write


def test_andresen_is_table_1(andresen: tuple[CohortPatient, ...]) -> None:
    assert [patient.id for patient in andresen] == list(TABLE_1)
    for patient in andresen:
        sex, age, lesions = TABLE_1[patient.id]
        assert (patient.sex, patient.age_years) == (sex, age)
        found = [
            (lesion.site.rsplit(" ", 1)[1], lesion.volume_ml, procedure.approach)
            for lesion, procedure in zip(
                patient.scenario.lesions, patient.scenario.arms[0].procedures, strict=True
            )
        ]
        assert found == lesions
        # The size of patient 10 is a choice of the file, see there.
        assert patient.drawn == (("cement_ml",) if patient.id == 10 else ("size", "cement_ml"))
    assert np.mean([patient.age_years for patient in andresen]) == pytest.approx(64.3)


def test_andresen_draws_the_cement_that_the_paper_states(
    andresen: tuple[CohortPatient, ...],
) -> None:
    cement = np.array([ml for patient in andresen for ml in patient.cement_ml])
    volumes = np.array([ml for patient in andresen for ml in patient.volumes_ml])
    assert len(cement) == 12
    assert cement.mean() == pytest.approx(6.0)
    assert cement.std(ddof=1) == pytest.approx(1.78, abs=0.02)
    assert (cement.min(), cement.max()) == (4.0, 10.0)
    # No lesion gets more than it holds: the control CT showed cement within the lesions.
    assert (cement < volumes).all()


def test_only_patient_10_has_breached_cortex(andresen: tuple[CohortPatient, ...]) -> None:
    found = {p.id: le.breach for p in andresen for le in p.scenario.lesions if le.breach}
    assert found == {10: ("anterior", "posterior")}


def test_both_arms_of_andresen_share_path_and_cement(andresen: tuple[CohortPatient, ...]) -> None:
    for patient in andresen:
        paper, other = (
            [(p.lesions, p.approach, p.cannula, p.fill.cement_ml) for p in arm.procedures]
            for arm in patient.scenario.arms
        )
        assert paper == other


def test_tian_is_what_the_paper_counts(tian: tuple[CohortPatient, ...]) -> None:
    # The paper counts 22 metastases, but 8 x 2 + 2 + 3 is 21: the levels are kept.
    assert sum(len(patient.scenario.lesions) for patient in tian) == 21
    levels = ["".join(le.level for le in patient.scenario.lesions) for patient in tian]
    assert sorted(levels) == ["S1S2"] * 8 + ["S1S2S3"] + ["S2S3"]
    assert {le.kind for patient in tian for le in patient.scenario.lesions} == {"blastic"}
    assert sorted(patient.sex for patient in tian) == ["female"] * 4 + ["male"] * 6
    ages = np.array([patient.age_years for patient in tian])
    assert ages.mean() == pytest.approx(56.3)
    assert ages.std(ddof=1) == pytest.approx(13.8, abs=0.2)
    cement = np.array([sum(patient.cement_ml) for patient in tian])
    assert cement.mean() == pytest.approx(7.8)
    assert cement.std(ddof=1) == pytest.approx(2.44, abs=0.03)
    assert (cement.min(), cement.max()) == pytest.approx((5.0, 12.0))


def test_what_tian_gives_of_two_patients_is_not_drawn(tian: tuple[CohortPatient, ...]) -> None:
    given = {p.id: (p.age_years, p.primary) for p in tian if "age_years" not in p.drawn}
    assert given == {1: (72, "hepatoma"), 9: (69, "lung cancer")}


def test_one_needle_for_all_lesions_carries_all_their_cement(
    tian: tuple[CohortPatient, ...],
) -> None:
    for patient in tian:
        one, many = (arm.procedures for arm in patient.scenario.arms)
        assert len(one) == 1
        assert len(many) == len(patient.scenario.lesions)
        total = sum(procedure.fill.cement_ml for procedure in many)
        assert one[0].fill.cement_ml == pytest.approx(total)


@pytest.mark.parametrize("name", ["andresen-2014", "tian-2019"])
def test_the_same_file_gives_the_same_patients(name: str) -> None:
    cohort = read_cohort(COHORTS / name / "cohort.yaml")
    first, second = expand_cohort(cohort), expand_cohort(cohort)
    assert first == second
    assert len({patient.recipe.phantom.seed for patient in first}) == 10


def test_a_folder_or_its_file_is_a_cohort_and_a_scenario_is_none(tmp_path: Path) -> None:
    assert is_cohort(COHORTS / "tian-2019")
    assert is_cohort(COHORTS / "tian-2019" / "cohort.yaml")
    assert not is_cohort(COHORTS)
    assert not is_cohort(tmp_path / "scenario.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["patients"][0].pop("age_years"), r"draw.age_years: 1 values are missing"),
        (lambda v: v["patients"][0].pop("sex"), r"draw.sex: 1 patients have no sex and 0 are left"),
        (
            lambda v: v["patients"][1]["lesions"][0].pop("approach"),
            r"patient 2: neither the arm 'balloon' nor lesion 1 has an 'approach'",
        ),
        (
            lambda v: v["arms"][1]["fill"].update(viscosty="low"),
            r"patient 1: the scenario's arms.1.procedures.0.fill.viscosty",
        ),
        (lambda v: v["patients"][1].update(id=1), r"two patients have the id 1"),
        (lambda v: v["mesh"].update(phantom=None, labels="a", ct="b"), r"varies the phantom"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    small: dict[str, Any],
    written: Callable[[dict[str, Any]], Path],
    change: Callable[[dict[str, Any]], Any],
    message: str,
) -> None:
    values = json.loads(json.dumps(small))
    change(values)
    with pytest.raises(InputError, match=message):
        expand_cohort(read_cohort(written(values)))


def test_a_patients_files_are_a_scenario_of_their_own(
    small: dict[str, Any], tmp_path: Path
) -> None:

    patient = expand_cohort(Cohort.model_validate(small))[0]
    write_patient(tmp_path, patient)
    again = read_scenario(tmp_path / "scenario.yaml")
    assert again.arms == patient.scenario.arms
    assert again.lesions == patient.scenario.lesions
    assert read_recipe(again.mesh) == patient.recipe
