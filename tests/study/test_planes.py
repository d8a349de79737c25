"""Planes of a scenario: what may be asked, and the forces of a whole case through them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI
from pydantic import ValidationError

from sacrofem.errors import InputError
from sacrofem.mesh.build import MeshedBone
from sacrofem.study.case import Bench, put_lesions, set_up_bench, treat
from sacrofem.study.planes import asked_sections
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.records import numbers_of
from sacrofem.study.scenario import ArmSpec, FillSpec, LesionSpec, PlaneSpec, Scenario
from sacrofem.study.summary import arm_values

ARM = ArmSpec(name="a", fill=FillSpec(technique="vertebroplasty", cement_ml=4.0))


def question(*planes: PlaneSpec) -> Scenario:
    site = LesionSpec(site="lateral mass right", volume_ml=7.1)
    return Scenario(
        title="planes",
        mesh=Path("none.yaml"),
        lesions=(site,),
        arms=(ARM,),
        planes=planes,
        order=1,
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "none given"),
        ({"level": "S1", "normal": (0, 0, 1)}, "level and normal given"),
        ({"point_mm": (0, 0, 0)}, "point_mm given"),
        ({"point_mm": (0, 0, 0), "normal": (0, 0, 0)}, "has no direction"),
        ({"level": "S6"}, "S5"),
        ({"name": "a|b", "level": "S1"}, "letters, digits"),
    ],
)
def test_a_plane_is_given_in_one_way(given: dict[str, Any], problem: str) -> None:
    """Protects: the message names what was found."""
    with pytest.raises(ValidationError, match=problem):
        PlaneSpec.model_validate({"name": "p"} | given)


def test_two_planes_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two planes are named 'p'"):
        question(PlaneSpec(name="p", level="S1"), PlaneSpec(name="p", level="S2"))


def test_a_plane_beside_the_bone_is_told(phantom_bone: MeshedBone) -> None:
    plane = PlaneSpec(name="far", point_mm=(0.0, 0.0, 5000.0), normal=(0.0, 0.0, 1.0))
    with pytest.raises(InputError, match="'far' has to cut the bone"):
        asked_sections(phantom_bone, question(plane))


@pytest.fixture(scope="module")
def bench_of(phantom_bone: MeshedBone) -> Callable[..., Bench]:
    def make(scenario: Scenario, with_planes: bool) -> Bench:
        return set_up_bench(phantom_bone, scenario, Stopwatch(), MPI.COMM_SELF, with_planes)

    return make


def test_a_case_has_its_planes_and_levels(
    phantom_bone: MeshedBone, bench_of: Callable[..., Bench]
) -> None:
    """Protects: the balance of each level, the sum of the carriers, and where they are kept.

    A free plane through the middle of the sacrum's width has half the load's supports beyond it,
    and half the load: the bone is symmetric, nothing is left of the force along the load.
    """
    frame = phantom_bone.mesh.frame
    middle = tuple(float(x) for x in frame.origin_mm)
    left = tuple(float(x) for x in frame.left)
    scenario = question(
        PlaneSpec(name="mid-S1", level="S1"),
        PlaneSpec(name="midline", point_mm=middle, normal=left),
    )
    watch = Stopwatch()
    sick = put_lesions(bench_of(scenario, True), scenario, watch)
    case = treat(sick, scenario, ARM, phantom_bone.mesh.sha256, watch)
    values = arm_values(case)
    for state in ("intact", "lesion", "treated"):
        sections, levels = values[state]["sections"], values[state]["levels"]
        assert list(sections)[-2:] == ["mid-S1", "midline"]
        assert max(at["error"] for at in (*sections.values(), *levels)) < 1e-8
        assert len(levels) == 10
        for at in levels:
            assert at["above"] + at["load_below"] + at["share"] == pytest.approx(1.0)
            carried = at["bone_share"] + at["cortex_share"] + at["cement_share"]
            assert carried == pytest.approx(at["share"], abs=1e-12)
        assert levels[0]["load_below"] > 0.0 == levels[-1]["load_below"]
        # The joints reach from S1 to S3: less and less is left for the bone.
        taken = [at["above"] for at in levels if at["body"] in ("S1", "S2")]
        assert taken == sorted(taken)
        assert taken[0] < 0.1 < 0.5 < taken[-1]
    assert abs(values["intact"]["sections"]["midline"]["share"]) < 0.05
    cement = [max(at["cement_share"] for at in values[s]["levels"]) for s in ("lesion", "treated")]
    assert cement[0] == 0.0 < cement[1]
    # A record has the same numbers with and without planes: its key does not name them.
    assert not any("mid" in name for name in numbers_of(case.measures, 1.0))


def test_a_bench_of_a_sweep_has_no_planes(bench_of: Callable[..., Bench]) -> None:
    """Protects: what no record keeps costs a sweep nothing."""
    bench = bench_of(question(PlaneSpec(name="mid-S1", level="S1")), False)
    assert bench.levels == ()
    assert "mid-S1" not in {section.name for section in bench.sections}
