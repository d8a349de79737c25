"""The studies that ship are read, expand to what their comments count, and name their sources."""

from pathlib import Path

import pytest

from sacrofem.study.analysis.facts import facts_of
from sacrofem.study.study_file import points_of, read_study

SWEEPS = Path(__file__).parents[2] / "scenarios" / "sweeps"
#: Points and cases of each, as the comments of the files count them.
CASES = {
    "boundary-conditions": (36, 72),
    "richards-2009": (9, 36),
    "uncertainty": (640, 1280),
    "volume": (4, 8),
    "volume-location-technique-approach": (20, 180),
}


@pytest.mark.parametrize("name", CASES)
def test_a_study_expands_to_what_it_says(name: str) -> None:
    path = SWEEPS / f"{name}.yaml"
    study, base = read_study(path)
    points = points_of(study, base, path)
    assert (len(points), sum(len(p.scenario.arms) for p in points)) == CASES[name]
    # The page says the same of it.
    facts = facts_of(study, base, len(points))
    assert facts.points * len(facts.base.arms) == CASES[name][1]


def test_every_study_is_counted() -> None:
    assert sorted(path.stem for path in SWEEPS.glob("*.yaml")) == sorted(CASES)


def test_sites_and_levels_run_side_by_side() -> None:
    path = SWEEPS / "volume-location-technique-approach.yaml"
    study, base = read_study(path)
    found = {
        (p.scenario.lesions[0].site, p.scenario.lesions[0].level)
        for p in points_of(study, base, path)
    }
    assert len(found) == 5
    assert ("foraminal zone right", "S2") not in found


def test_the_uncertain_fields_stay_within_their_sources() -> None:
    path = SWEEPS / "uncertainty.yaml"
    study, base = read_study(path)
    materials = [p.scenario.materials for p in points_of(study, base, path)]
    assert min(m.cement_MPa for m in materials) >= 950.0
    assert max(m.cement_MPa for m in materials) <= 3000.0
    assert all(0.1498 <= (m.tumour_MPa or 0.0) <= 0.2509 for m in materials)
    assert facts_of(study, base, 640).rows == 64


def test_richards_is_a_control_on_both_sides() -> None:
    _, base = read_study(SWEEPS / "richards-2009.yaml")
    assert base.materials.tumour_MPa is None
    asked = {
        arm.name: [p.fill.cement_ml for p in arm.of_lesions(len(base.lesions))] for arm in base.arms
    }
    assert asked == {
        "0-0": [0.0],
        "3-0": [3.0, 3.0],
        "3-3": [3.0, 3.0, 3.0, 3.0],
        "6-3": [6.0, 6.0, 3.0, 3.0],
    }
    assert all(lesion.volume_ml == 0.0 for lesion in base.lesions)
