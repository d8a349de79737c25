"""Load path, energy and regions of whole cases: in the measures, the record and the summary."""

from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.measure.regions import REGIONS
from sacrofem.measure.sections import SECTIONS
from sacrofem.mesh.build import MeshedBone
from sacrofem.study.case import STATES, CaseResult, put_lesions, set_up_bench, treat
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.records import NUMBERS, numbers_of
from sacrofem.study.scenario import ArmSpec, FillSpec, FractureSpec, LesionSpec, Scenario
from sacrofem.study.summary import arm_values


@pytest.fixture(scope="module")
def case(phantom_bone: MeshedBone) -> CaseResult:
    """A fractured lesion in the right ala, filled; order 1."""
    arm = ArmSpec(name="a", fill=FillSpec(technique="vertebroplasty", cement_ml=6.0))
    site = LesionSpec(site="lateral mass right", volume_ml=7.1, fracture=FractureSpec(zone="I"))
    question = Scenario(title="path", mesh=Path("none.yaml"), lesions=(site,), arms=(arm,), order=1)
    watch = Stopwatch()
    bench = set_up_bench(phantom_bone, question, watch, MPI.COMM_SELF)
    sick = put_lesions(bench, question, watch)
    return treat(sick, question, arm, phantom_bone.mesh.sha256, watch)


def test_the_cement_of_the_right_ala_carries_load_there_alone(case: CaseResult) -> None:
    """Protects: cement has a share only where and when it is there."""
    path = case.measures.load_path
    assert tuple(path["treated"]) == SECTIONS
    for state in ("intact", "lesion"):
        assert {load.cement_share for load in path[state].values()} == {0.0}
    cement = {name: load.cement_share for name, load in path["treated"].items()}
    assert 0.01 < cement["I|II right"] < path["treated"]["I|II right"].share
    assert cement["I|II left"] == cement["II|III left"] == 0.0
    # The lesion weakens its side; the cement gives the load back.
    right = {state: path[state]["I|II right"].share for state in STATES}
    assert right["lesion"] < right["intact"]
    assert right["lesion"] < right["treated"]


def test_shares_of_sections_add_up_as_the_joints_do(case: CaseResult) -> None:
    """Protects: what the wings pass on is what the joints carry, less the load on the wings."""
    for state in STATES:
        path, transfer = case.measures.load_path[state], case.measures.transfer[state]
        for side, share in (("left", transfer.share_left), ("right", transfer.share_right)):
            assert 0.5 * share < path[f"I|II {side}"].share <= share + 1e-6
        assert max(load.error for load in path.values()) < 1e-8


def test_each_tissue_has_energy_when_it_is_there(case: CaseResult) -> None:
    """Protects: the energy by tissue, and its balance, in each state."""
    energy = case.measures.energy_mJ
    assert max(case.measures.energy_error.values()) < 1e-8
    assert energy["intact"]["lesion"] == energy["intact"]["gap"] == 0.0
    assert energy["intact"]["cement"] == energy["lesion"]["cement"] == 0.0
    assert min(energy["lesion"]["lesion"], energy["treated"]["cement"]) > 0.0
    assert energy["lesion"]["gap"] > energy["treated"]["gap"] >= 0.0
    assert min(value for state in STATES for value in energy[state].values()) >= 0.0
    # The same load on a softer body stores more.
    total = {state: sum(values.values()) for state, values in energy.items()}
    assert total["intact"] < total["lesion"] > total["treated"]


def test_stress_in_the_cement_is_in_reason(case: CaseResult) -> None:
    """Protects: units and regions: 6 ml in the ala under 500 N, far from what PMMA bears."""
    cement, faces = case.measures.cement, case.measures.interface
    assert 4.0 < cement.volume_ml <= case.measures.augmented_ml + 1e-9
    assert 0.05 < cement.von_mises_MPa.p95 < cement.von_mises_MPa.maximum < 10.0
    assert 300.0 < faces.area_mm2 < 3000.0
    assert 0.01 < faces.shear_MPa.p95 < cement.von_mises_MPa.maximum


def test_a_lesion_fails_sooner_than_the_intact_bone(case: CaseResult) -> None:
    """Protects: the same bone is asked in each state, and the load is that on S1."""
    failure = case.measures.failure_load_linear_N
    assert 500.0 < failure["lesion"] < failure["intact"]
    assert failure["lesion"] < failure["treated"]


def test_the_cortex_is_relieved_and_restored(case: CaseResult) -> None:
    """Protects: states in their order, for the membrane as for the cells."""
    mean = {s: case.measures.regions["cortex"][s]["von_mises_MPa"].mean for s in STATES}
    assert mean["intact"] < mean["lesion"] > mean["treated"] > 0.0


def test_record_and_summary_hold_the_same_numbers(case: CaseResult) -> None:
    """Protects: each column is filled, and with the number that the summary has under its name."""
    row, arm = numbers_of(case.measures, 1.0), arm_values(case)
    assert set(row) == set(NUMBERS)
    assert np.isfinite(list(row.values())).all()
    lesion = arm["lesion"]
    assert row["lesion_section_S1_S2_share"] == lesion["sections"]["S1|S2"]["share"]
    assert (
        row["lesion_zone_I_right_max_principal_p95_MPa"]
        == (lesion["regions"]["zone I right"]["max_principal_MPa"]["p95"])
    )
    assert row["lesion_rim_von_mises_mean_MPa"] == lesion["regions"]["rim"]["von_mises_MPa"]["mean"]
    assert row["lesion_energy_gap_mJ"] == lesion["energy_mJ"]["gap"]
    assert (
        row["lesion_cortex_von_mises_mean_MPa"]
        == (lesion["regions"]["cortex"]["von_mises_MPa"]["mean"])
    )
    assert row["lesion_failure_load_linear_N"] == lesion["failure_load_linear_N"]
    cement, faces = arm["treated"]["cement"], arm["treated"]["interface"]
    assert row["treated_cement_volume_ml"] == cement["volume_ml"]
    assert row["treated_interface_area_mm2"] == faces["area_mm2"]
    assert row["treated_cement_tension_p95_MPa"] == cement["tension_MPa"]["p95"]
    assert row["treated_cement_safety_tensile_strength"] == cement["safety"]["tensile_strength"]
    assert row["treated_interface_shear_maximum_MPa"] == faces["shear_MPa"]["maximum"]
    for state in STATES:
        pulls = {
            f"{state}_ligament_{name.replace(' ', '_')}_{side}_N": pull
            for name, sides in arm[state]["ligament_tension_N"].items()
            for side, pull in sides.items()
        }
        assert pulls.items() <= row.items()
        # Slack ligaments, and those that the sacrum alone does not have, pull with nothing.
        in_row = [n for n in row if n.startswith(f"{state}_ligament_") and n.endswith("_N")]
        assert sum(row[name] for name in in_row) == pytest.approx(sum(pulls.values()))
    assert set(arm["relief"]) == set(arm["restoration"]) == set(REGIONS)
    mean = {s: arm[s]["regions"]["whole"]["compressive_strain"]["mean"] for s in STATES}
    assert arm["relief"]["whole"]["compressive_strain_mean"] == pytest.approx(
        1.0 - mean["treated"] / mean["lesion"]
    )
    assert arm["relief"]["rim"]["von_mises_p95"] == row["relief_rim_von_mises_p95"]
