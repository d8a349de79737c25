"""Mechanical sense of whole scenarios on a coarse phantom bone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.zones import make_map
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.compartments import Compartment
from sacrofem.mesh.tissue_grid import ILIUM_LEFT, ILIUM_RIGHT, TissueGrid
from sacrofem.study.case import CaseMeasures, put_lesions, set_up_bench, treat
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.scenario import (
    ArmSpec,
    FillSpec,
    FractureSpec,
    LesionSpec,
    MaterialSpec,
    Scenario,
)

TECHNIQUES = ("balloon", "vertebroplasty")


def scenario(
    side: str = "right",
    lesion_ml: float = 7.1,
    cement_ml: float = 6.0,
    lesion: dict[str, Any] | None = None,
    techniques: tuple[str, ...] = TECHNIQUES,
    **more,
):
    """Order 1: whether a result makes sense does not hang on it, and it is ten times faster."""
    arms = tuple(
        ArmSpec(name=t, fill=FillSpec(technique=t, cement_ml=cement_ml)) for t in techniques
    )
    return Scenario(
        title="sense",
        mesh=Path("none.yaml"),
        lesions=(LesionSpec(site=f"lateral mass {side}", volume_ml=lesion_ml, **(lesion or {})),),
        arms=arms,
        order=1,
        **more,
    )


def measure(bone: MeshedBone, question: Scenario) -> dict[str, CaseMeasures]:
    watch = Stopwatch()
    bench = set_up_bench(bone, question, watch, MPI.COMM_SELF)
    diseased = put_lesions(bench, question, watch)
    return {
        arm.name: treat(diseased, question, arm, bone.mesh.sha256, watch).measures
        for arm in question.arms
    }


@pytest.fixture(scope="module")
def base(phantom_bone: MeshedBone) -> dict[str, CaseMeasures]:
    return measure(phantom_bone, scenario())


@pytest.mark.parametrize("arm", TECHNIQUES)
def test_cement_relieves_the_rim_and_stiffens(base: dict[str, CaseMeasures], arm: str) -> None:
    case = base[arm]
    assert case.relief_rim.von_mises_mean > 0.0
    assert case.relief_rim.von_mises_p95 > 0.0
    stiffness = {name: t.stiffness_N_per_mm for name, t in case.transfer.items()}
    assert stiffness["lesion"] < stiffness["intact"]
    assert stiffness["lesion"] < stiffness["treated"]


@pytest.mark.parametrize("arm", TECHNIQUES)
def test_shares_sum_to_one_in_every_state(base: dict[str, CaseMeasures], arm: str) -> None:
    for transfer in base[arm].transfer.values():
        assert transfer.share_left + transfer.share_right == pytest.approx(1.0, abs=1e-6)
    assert max(base[arm].equilibrium_error.values()) < 1e-8


def test_a_lesion_on_the_right_sends_load_to_the_left(base: dict[str, CaseMeasures]) -> None:
    transfer = base["balloon"].transfer
    assert transfer["lesion"].share_left > transfer["intact"].share_left
    assert transfer["treated"].share_right > transfer["lesion"].share_right


@pytest.mark.parametrize("arm", TECHNIQUES)
def test_no_cement_reproduces_the_lesion(phantom_bone: MeshedBone, arm: str) -> None:
    case = measure(phantom_bone, scenario(cement_ml=0.0))[arm]
    assert case.cement_ml == 0.0
    assert case.transfer["treated"] == case.transfer["lesion"]
    assert case.relief_rim.von_mises_mean == pytest.approx(0.0, abs=1e-12)


def test_a_lesion_of_the_bones_own_modulus_reproduces_the_intact_bone(
    phantom_bone: MeshedBone,
) -> None:
    case = measure(phantom_bone, scenario(materials=MaterialSpec(tumour_MPa=None)))["balloon"]
    assert case.lesion_ml == pytest.approx(7.1, rel=0.005)
    assert case.transfer["lesion"] == case.transfer["intact"]


def test_no_lesion_reproduces_the_intact_bone(phantom_bone: MeshedBone) -> None:
    case = measure(phantom_bone, scenario(lesion_ml=0.0))["vertebroplasty"]
    assert case.transfer["lesion"] == case.transfer["intact"]
    assert np.isnan(case.relief_rim.von_mises_mean)  # no lesion, no rim


def test_stiffer_cement_stiffens_more_and_softer_tumour_less(
    phantom_bone: MeshedBone, base: dict[str, CaseMeasures]
) -> None:
    def stiffness(state: str, **materials: float) -> float:
        question = scenario(materials=MaterialSpec(**materials))
        return measure(phantom_bone, question)["balloon"].transfer[state].stiffness_N_per_mm

    before = base["balloon"].transfer
    assert stiffness("treated", cement_MPa=3000.0) > before["treated"].stiffness_N_per_mm
    assert stiffness("lesion", tumour_MPa=20.0) > before["lesion"].stiffness_N_per_mm


def test_a_broken_cortex_weakens_more_and_dense_bone_does_not(
    phantom_bone: MeshedBone, base: dict[str, CaseMeasures]
) -> None:
    """Protects: what a breach and a blastic lesion mean to the load."""

    def stiffness(lesion: dict[str, Any]) -> dict[str, float]:
        question = scenario(lesion=lesion, techniques=("balloon",))
        found = measure(phantom_bone, question)["balloon"].transfer
        return {name: transfer.stiffness_N_per_mm for name, transfer in found.items()}

    lytic = base["balloon"].transfer["lesion"].stiffness_N_per_mm
    assert stiffness({"breach": ("anterior",)})["lesion"] < lytic
    blastic = stiffness({"kind": "blastic"})
    assert blastic["lesion"] > blastic["intact"]
    mixed = stiffness({"kind": "mixed"})
    assert lytic < mixed["lesion"] < blastic["lesion"]


def test_cement_holds_the_sides_of_a_fracture_together(phantom_bone: MeshedBone) -> None:
    """Protects: a fracture slides under the load, and cement across it stops that."""
    question = scenario(lesion={"fracture": FractureSpec(zone="I")}, techniques=("vertebroplasty",))
    case = measure(phantom_bone, question)["vertebroplasty"]
    assert case.micromotion is not None
    slide = {name: moved.sliding_mm for name, moved in case.micromotion.items()}
    assert slide["lesion"] > 5.0 * slide["intact"]
    assert slide["treated"] < 0.5 * slide["lesion"]


def test_injected_cement_is_in_the_bone_outside_it_or_in_the_syringe(
    base: dict[str, CaseMeasures],
) -> None:
    for case in base.values():
        placed = case.cement_ml + case.leaked_ml + case.unplaced_ml
        assert placed == pytest.approx(case.injected_ml, abs=1e-9)


def mirrored(bone: MeshedBone) -> MeshedBone:
    """The mirror image of a meshed bone in its own mid-sagittal plane."""
    mesh = bone.mesh
    frame = mesh.frame

    def flip(points: np.ndarray) -> np.ndarray:
        return frame.to_world(frame.to_local(points) * [-1.0, 1.0, 1.0])

    def swap(points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"left": flip(points["right"]), "right": flip(points["left"])}

    turn = np.array([0, 1, 3, 2, 5, 4, 7, 6, 9, 8], dtype=np.int8)
    other = replace(
        mesh,
        points_mm=flip(mesh.points_mm),
        tets=mesh.tets[:, [1, 0, 2, 3]],
        facets=mesh.facets[:, [1, 0, 2]],
        facet_tag=turn[mesh.facet_tag],
        frame=SacralFrame(frame.origin_mm, frame.left, frame.posterior, frame.superior),
        lateral_mass_mm=swap(mesh.lateral_mass_mm),
        foramen_s1_mm=swap(mesh.foramen_s1_mm),
    )
    foramina = {}
    for name, foramen in bone.atlas.foramina.items():
        there = name._replace(side="right" if name.side == "left" else "left")
        foramina[there] = replace(
            foramen,
            name=there,
            centre_mm=flip(foramen.centre_mm),
            curved_mm=foramen.curved_mm * [-1.0, 1.0, 1.0],
        )
    canal = bone.atlas.canal
    atlas = replace(
        bone.atlas,
        foramina=foramina,
        canal=replace(canal, line_mm=flip(canal.line_mm), hiatus_mm=flip(canal.hiatus_mm)),
        map=make_map(bone.atlas.curve, foramina),
        joint_mm=swap(bone.atlas.joint_mm),
    )
    return MeshedBone(other, mirrored_grid(bone.tissue), atlas, bone.report)


def mirrored_grid(tissue: TissueGrid) -> TissueGrid:
    """A tissue grid mirrored in its frame's first axis, with the names of the sides swapped."""
    width = tissue.step_mm * (tissue.tissue.shape[0] - 1)
    bones = np.arange(ILIUM_RIGHT + 1, dtype=np.uint8)
    bones[[ILIUM_LEFT, ILIUM_RIGHT]] = ILIUM_RIGHT, ILIUM_LEFT
    spaces = np.arange(len(Compartment), dtype=np.uint8)
    for left in Compartment:
        if left.name.endswith("_LEFT"):
            right = Compartment[left.name.replace("_LEFT", "_RIGHT")]
            spaces[[left, right]] = right, left
    return TissueGrid(
        tissue.origin_local_mm * [-1.0, 1.0, 1.0] - [width, 0.0, 0.0],
        tissue.step_mm,
        bones[tissue.tissue[::-1]],
        spaces[tissue.compartment[::-1]],
        RhoQctK2HPO4(tissue.density.g_per_cm3[::-1].copy()),
    )


def test_a_mirrored_scenario_on_a_mirrored_bone_is_mirrored(
    phantom_bone: MeshedBone, base: dict[str, CaseMeasures]
) -> None:
    other = measure(mirrored(phantom_bone), scenario(side="left"))
    # A cell of the mirror image is divided along another diagonal, so that a few of its parts lie
    # on the other side of the lesion's or the cement's front. The intact bone has no front.
    tolerance = {"intact": 1e-7, "lesion": 2e-4, "treated": 2e-4}
    for arm in TECHNIQUES:
        for state, transfer in base[arm].transfer.items():
            mirror, rel = other[arm].transfer[state], tolerance[state]
            assert mirror.share_left == pytest.approx(transfer.share_right, rel=rel)
            assert mirror.stiffness_N_per_mm == pytest.approx(transfer.stiffness_N_per_mm, rel=rel)
        assert other[arm].relief_rim.von_mises_mean == pytest.approx(
            base[arm].relief_rim.von_mises_mean, rel=0.01
        )


def test_a_left_lesion_in_a_symmetric_bone_mirrors_a_right_one(
    phantom_bone: MeshedBone, base: dict[str, CaseMeasures]
) -> None:
    """The phantom is symmetric, its mesh is not; changes from the intact state cancel the mesh."""
    other = measure(phantom_bone, scenario(side="left"))
    for arm in TECHNIQUES:
        right, left = base[arm].transfer, other[arm].transfer
        for state in ("lesion", "treated"):
            change = right[state].share_right - right["intact"].share_right
            mirror = left[state].share_left - left["intact"].share_left
            assert abs(change) > 5e-4
            assert mirror == pytest.approx(change, rel=0.25)
            assert left[state].stiffness_N_per_mm == pytest.approx(
                right[state].stiffness_N_per_mm, rel=5e-3
            )


@pytest.mark.mpi
def test_all_ranks_together_make_the_record_of_one(phantom_bone_on_all: MeshedBone) -> None:
    question, watch = scenario(), Stopwatch()
    found = []
    for comm in (MPI.COMM_SELF, MPI.COMM_WORLD):
        bench = set_up_bench(phantom_bone_on_all, question, watch, comm)
        diseased = put_lesions(bench, question, watch)
        arm = question.arms[1]
        found.append(treat(diseased, question, arm, "mesh", watch).measures)
    one, all_ = found
    for state in one.transfer:
        assert all_.transfer[state].stiffness_N_per_mm == pytest.approx(
            one.transfer[state].stiffness_N_per_mm, rel=1e-6
        )
        assert all_.transfer[state].share_left == pytest.approx(
            one.transfer[state].share_left, rel=1e-6
        )
        assert all_.rim[state].von_mises_p95_MPa == pytest.approx(
            one.rim[state].von_mises_p95_MPa, rel=1e-6
        )
    assert all_.relief_rim.von_mises_mean == pytest.approx(one.relief_rim.von_mises_mean, rel=1e-6)
