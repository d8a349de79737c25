"""Acetabula and ischia: where the phantom has them, and what is said where they are cut off."""

from collections.abc import Callable

import numpy as np
import pytest

from sacrofem.anatomy.hips import FEMUR, HipAnatomy, find_hips
from sacrofem.anatomy.landmarks import Anatomy
from sacrofem.errors import InputError
from sacrofem.image.labels import HIP_LEFT
from sacrofem.image.phantom import PhantomTruth
from sacrofem.image.volume import LabelMap


@pytest.fixture(scope="module")
def bare(coarse: LabelMap, without: Callable[..., LabelMap]) -> LabelMap:
    """The phantom without femora."""
    return without(coarse, *FEMUR.values())


@pytest.fixture(scope="module")
def hips(bare: LabelMap, coarse_anatomy: Anatomy) -> HipAnatomy:
    return find_hips(bare, coarse_anatomy.frame)


@pytest.mark.parametrize("side", ["left", "right"])
def test_acetabula_are_found_from_the_shape_of_the_hip(
    known: PhantomTruth, hips: HipAnatomy, side: str
) -> None:
    socket = hips.hips[side].acetabulum
    assert socket is not None
    assert not socket.from_femur
    assert np.linalg.norm(socket.centre_mm - known.acetabulum_mm[side]) < 2.0
    assert socket.radius_mm == pytest.approx(known.acetabulum_radius_mm, abs=1.0)
    assert hips.warnings == ()


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_ischium_is_the_lowest_part_behind_the_socket(hips: HipAnatomy, side: str) -> None:
    hip = hips.hips[side]
    assert hip.ischium_mm is not None
    assert hip.acetabulum is not None
    assert hip.ischium_mm[2] < hip.acetabulum.centre_mm[2] - 40.0
    assert hip.ischium_mm[1] > hip.acetabulum.centre_mm[1]
    assert np.sign(hip.ischium_mm[0]) == (1 if side == "left" else -1)
    assert hip.surface.centroids_mm[hip.seat, 2].max() < hip.ischium_mm[2] + 10.0


def test_a_labelled_femur_shows_the_acetabulum(
    known: PhantomTruth,
    coarse: LabelMap,
    coarse_anatomy: Anatomy,
    without: Callable[..., LabelMap],
) -> None:
    found = find_hips(without(coarse, FEMUR["right"]), coarse_anatomy.frame)
    left, right = (found.hips[side].acetabulum for side in ("left", "right"))
    assert left is not None
    assert right is not None
    assert left.from_femur
    assert not right.from_femur
    assert np.linalg.norm(left.centre_mm - known.acetabulum_mm["left"]) < 2.0


def test_hips_cut_above_their_joints_are_reported(
    known: PhantomTruth, coarse: LabelMap, coarse_anatomy: Anatomy, cropped: Callable[..., LabelMap]
) -> None:
    above = known.acetabulum_mm["left"][2] + 20.0
    found = find_hips(cropped(coarse, low_mm=above), coarse_anatomy.frame)
    for side in ("left", "right"):
        hip = found.hips[side]
        assert hip.cut_off
        assert hip.acetabulum is None
        assert hip.ischium_mm is None
        assert not hip.seat.any()
        words = " ".join(found.warnings)
        assert f"the {side} acetabulum is not found (the hip is cut off" in words
        assert f"cuts the {side} hip from below" in words


def test_a_missing_hip_is_named(
    coarse: LabelMap, coarse_anatomy: Anatomy, without: Callable[..., LabelMap]
) -> None:
    with pytest.raises(InputError, match=r"here.nii: label 77 \(hip left\) is missing"):
        find_hips(without(coarse, HIP_LEFT), coarse_anatomy.frame, "here.nii")
