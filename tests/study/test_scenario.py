"""Scenario files become plans: nothing is lost, nothing contradictory passes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sacrofem.image.files import write_labels
from sacrofem.image.volume import CtVolume, LabelMap
from sacrofem.mechanics.loads import LoadCase
from sacrofem.mechanics.materials import MaterialParameters
from sacrofem.mechanics.mixture import MIXTURES
from sacrofem.study.plans import identity, lesion_plans, procedure_plans
from sacrofem.study.scenario import ArmSpec, LoadSpec, MaterialSpec, Scenario, read_scenario

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
LESION = {"site": "lateral mass right", "volume_ml": 7.1}
BALLOON = {"technique": "balloon", "cement_ml": 6.0}


def scenario(lesions: list[dict[str, Any]], arms: list[dict[str, Any]]) -> Scenario:
    return Scenario.model_validate(
        {"title": "t", "mesh": "recipe.yaml", "lesions": lesions, "arms": arms}
    )


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_shipped_scenarios_become_plans(path: Path) -> None:
    question = read_scenario(path)
    assert question.mesh.is_file()
    assert len(lesion_plans(question)) == len(question.lesions)
    for arm in question.arms:
        assert procedure_plans(question, arm)


def test_one_path_and_fill_stand_for_all_lesions() -> None:
    """Protects: cement_ml is that of each lesion (Andresen 2014), or of one needle (Tian 2019)."""
    arms = [
        {"name": "short", "approach": "short axis", "fill": BALLOON},
        {"name": "through", "approach": "interpedicular", "fill": BALLOON},
    ]
    question = scenario([LESION, LESION | {"site": "lateral mass left"}], arms)
    each, together = (procedure_plans(question, arm) for arm in question.arms)
    assert [plan.lesions for plan in each] == [(0,), (1,)]
    assert [plan.lesions for plan in together] == [(0, 1)]
    assert {plan.fill.cement_ml for plan in each + together} == {6.0}


def test_procedures_keep_their_own_words() -> None:
    procedures = [
        {"lesions": [2], "approach": "transiliac", "cannula": "10 G", "fill": BALLOON},
        {
            "lesions": [1],
            "target_mm": [1.0, 2.0, 3.0],
            "bevel": False,
            "fill": BALLOON | {"technique": "vertebroplasty", "deposits": 3, "margin_mm": 2.0},
        },
    ]
    question = scenario([LESION, LESION], [{"name": "both", "procedures": procedures}])
    first, second = procedure_plans(question, question.arms[0])
    assert (first.lesions, first.path.approach, first.path.cannula) == ((1,), "transiliac", "10 G")
    assert second.path.target_mm is not None
    np.testing.assert_array_equal(second.path.target_mm, [1.0, 2.0, 3.0])
    assert not second.path.bevel
    assert (second.fill.deposits, second.fill.margin_mm) == (3, 2.0)


def test_a_lesion_keeps_its_own_words() -> None:
    lesion = LESION | {
        "kind": "mixed",
        "level": "S1-S2",
        "spreads_to": ["vertebral body"],
        "breach": ["anterior", "foraminal"],
        "spares_nerves": False,
        "fracture": {"zone": "II", "gap_mm": 0.5},
    }
    plan = lesion_plans(scenario([lesion], [{"name": "a", "fill": BALLOON}]))[0]
    assert (plan.kind, plan.level, plan.spreads_to) == ("mixed", "S1-S2", ("vertebral body",))
    assert (plan.breach, plan.spares_nerves) == (("anterior", "foraminal"), False)
    assert plan.fracture is not None
    assert (plan.fracture.zone, plan.fracture.gap_mm) == ("II", 0.5)


@pytest.mark.parametrize(
    ("lesion", "words"),
    [
        ({"volume_ml": 7.1}, "needs one of 'site', 'centre_mm' and 'mask'; none given"),
        (LESION | {"centre_mm": [0, 0, 0]}, "site and centre_mm given"),
        ({"site": "vertebral body"}, "'volume_ml' is needed"),
        (LESION | {"kind": "soft"}, "lytic"),
    ],
)
def test_a_contradictory_lesion_is_refused(lesion: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        scenario([lesion], [{"name": "a", "fill": BALLOON}])


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ({}, "either 'fill' or 'procedures'"),
        ({"fill": {"technique": "balloon"}}, "'cement_ml' is needed"),
        ({"fill": BALLOON | {"mask": "cement.nii.gz"}}, "go together"),
        ({"fill": {"technique": "mask", "cement_ml": 4.0}}, "go together"),
        ({"procedures": []}, "none given"),
        (
            {"approach": "long axis", "procedures": [{"lesions": [1], "fill": BALLOON}]},
            "'approach' belongs into them",
        ),
        ({"procedures": [{"lesions": [2], "fill": BALLOON}]}, "treats lesion 2, there are 1"),
    ],
)
def test_a_contradictory_arm_is_refused(arm: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        scenario([LESION], [{"name": "a", **arm}])


ONE_LEG = {"case": "one-leg stance", "stance": "left"}


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"force_N": 400, "body_weight_N": 700}, "either 'force_N', in standing, or"),
        ({"case": "forward flexion"}, "'forward flexion' needs 'muscles: true'"),
        ({"case": "lifting", "muscles": False}, "'lifting' needs 'muscles: true'"),
        ({"gait_percent": 30}, "'gait_percent' belongs to 'walking', the case is 'standing'"),
        ({"case": "kneeling"}, "'sitting', 'walking', 'forward flexion' or"),
        ({"case": "one-leg stance"}, "go together; the case is 'one-leg stance', with no 'stance'"),
        ({"stance": "left"}, "the case is 'standing', with 'stance: left'"),
        ({**ONE_LEG, "hold": "ischia"}, "one-leg stance is held at an acetabulum"),
        ({"sacral_slope_deg": "lying"}, "measured"),
        ({"sacral_slope_deg": 100}, "less than or equal to 90"),
    ],
)
def test_a_contradictory_load_is_refused(load: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LoadSpec.model_validate(load)


def test_a_load_reaches_the_mechanics_as_it_is_written() -> None:
    """Protects: no field of a scenario's load is lost, and its words tell the force on S1."""
    assert LoadSpec().load_case == LoadCase()
    assert LoadSpec().words == "500 N in standing, without muscles"
    written = {
        "case": "walking",
        "body_weight_N": 700.0,
        "muscles": True,
        "gait_percent": 35.0,
        "sacral_slope_deg": "measured",
        "endplate_share": 0.8,
        "moment_Nm": 2.0,
    }
    spec = LoadSpec.model_validate(written)
    assert {name: getattr(spec.load_case, name) for name in written} == written
    # The trough of walking: 0.5 body weights.
    assert spec.words == "350 N in walking at 35 % of the cycle, with muscles"
    assert LoadSpec.model_validate({"case": "lifting", "muscles": True}).words == (
        "2300 N in lifting, with muscles"
    )


def test_a_mixture_is_one_of_the_known() -> None:
    assert MaterialSpec().mixture == MaterialParameters().mixture
    for name in MIXTURES:
        assert MaterialSpec.model_validate({"mixture": name}).mixture == name
    with pytest.raises(ValidationError, match="'reuss'"):
        MaterialSpec.model_validate({"mixture": "series"})


def test_a_mask_is_read_and_known_by_its_contents(
    tmp_path: Path, phantom_images: tuple[CtVolume, LabelMap]
) -> None:
    """Protects: a record's key must change when a file of the same name holds another mask."""
    labels = phantom_images[1]
    mask = np.zeros_like(labels.labels)
    mask[20:30, 20:30, 20:30] = 1
    write_labels(tmp_path / "mask.nii.gz", LabelMap(mask, labels.grid))
    (tmp_path / "scenario.yaml").write_text(
        "title: t\nmesh: recipe.yaml\nlesions: [{mask: mask.nii.gz}]\n"
        "arms: [{name: a, fill: {technique: balloon, cement_ml: 4}}]\n"
    )
    question = read_scenario(tmp_path / "scenario.yaml")
    assert question.lesions[0].mask == (tmp_path / "mask.nii.gz").resolve()
    plan = lesion_plans(question)[0]
    assert plan.mask is not None
    np.testing.assert_array_equal(plan.mask.labels, mask)
    before = identity(question.lesions)
    mask[20, 20, 20] = 0
    write_labels(tmp_path / "mask.nii.gz", LabelMap(mask, labels.grid))
    assert identity(question.lesions) != before
    assert str(tmp_path) not in str(before)


def test_words_of_a_shorthand_arm_and_of_its_procedures_are_one_identity() -> None:
    """Protects: the same treatment written in two ways is one record."""
    short = ArmSpec.model_validate({"name": "a", "fill": BALLOON})
    long = ArmSpec.model_validate(
        {"name": "b", "procedures": [{"lesions": [1], "approach": "short axis", "fill": BALLOON}]}
    )
    assert identity(short.of_lesions(1)) == identity(long.of_lesions(1))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_a_scenario_written_out_in_full_is_the_same_scenario(path: Path) -> None:
    """Protects: sweeps and cohorts write scenarios with every field and read them again."""
    question = read_scenario(path)
    assert Scenario.model_validate(question.model_dump(mode="json")) == question
