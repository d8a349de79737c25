"""Given landmarks: they replace found ones, and wrong ones are refused with the way out."""

import numpy as np
import pytest

from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.anatomy.overrides import check_near_bone, nested, read_overrides
from sacrofem.errors import InputError
from sacrofem.image.volume import LabelMap


def test_given_landmarks_replace_found_ones(coarse: LabelMap, coarse_anatomy: Anatomy) -> None:
    foramen = coarse_anatomy.foramen("S1", "left", "anterior").centre_mm
    foramen = foramen + np.array([4.0, 0.0, 0.0])
    hiatus = coarse_anatomy.canal.hiatus_mm - np.array([0.0, 0.0, 3.0])
    mass = coarse_anatomy.lateral_mass_mm["right"] + np.array([0.0, 2.0, 0.0])
    given = {
        "hiatus": hiatus.tolist(),
        "foramina": {"S1": {"left": {"anterior": foramen.tolist()}}},
        "lateral_mass": {"right": mass.tolist()},
    }
    found = find_anatomy(coarse, overrides=given)
    np.testing.assert_allclose(found.foramen("S1", "left", "anterior").centre_mm, foramen)
    np.testing.assert_allclose(found.lateral_mass_mm["right"], mass)
    np.testing.assert_allclose(found.canal.hiatus_mm, hiatus)
    assert not any("hiatus" in warning for warning in found.warnings)
    # What follows from a landmark follows from the given one.
    moved = found.map.lateral_mm[0, 0, 0] - coarse_anatomy.map.lateral_mm[0, 0, 0]
    assert moved == pytest.approx(4.0, abs=0.2)
    np.testing.assert_allclose(
        found.foramen_s1_mm["left"] - coarse_anatomy.foramen_s1_mm["left"], [2.0, 0, 0], atol=1e-9
    )


def test_what_was_found_can_be_given_back(coarse: LabelMap, coarse_anatomy: Anatomy) -> None:
    again = find_anatomy(coarse, overrides=coarse_anatomy.landmarks())
    np.testing.assert_allclose(again.frame.axes, coarse_anatomy.frame.axes, atol=1e-12)
    np.testing.assert_allclose(again.map.border_s_mm, coarse_anatomy.map.border_s_mm, atol=0.01)
    assert not any("landmarks." in warning for warning in again.warnings)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"promontary": [0, 0, 0]}, "did you mean promontory"),
        ({"foramina": {"S5": {"left": {"anterior": [0, 0, 0]}}}}, "foramina.S1 to S4"),
        ({"promontory": [0, 0]}, "three finite numbers"),
        ({"promontory": "here"}, "three finite numbers"),
        ({"promontory": [0, float("nan"), 0]}, "three finite numbers"),
        ({"frame": {"origin": [0, 0, 0]}}, "landmarks.frame.left is missing"),
        (
            {"frame": {"origin": [0, 0, 0], "left": [1, 0, 0], "superior": [1, 0, 0.1]}},
            "right angles",
        ),
        (
            {"frame": {"origin": [0, 0, 0], "left": [-1, 0, 0], "superior": [0, 0, 1]}},
            "turn its sign",
        ),
    ],
)
def test_what_cannot_be_a_landmark_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_overrides(given)


def test_a_landmark_far_from_the_bone_is_refused(coarse_anatomy: Anatomy) -> None:
    surface = coarse_anatomy.surface.points_mm
    near, far = surface[0] + [0.0, 0.0, 5.0], surface.max(axis=0) + 60.0
    check_near_bone(read_overrides({"hiatus": near.tolist()}), surface)
    with pytest.raises(InputError, match=r"landmarks.hiatus lies \d+ mm from the sacrum.*RAS"):
        check_near_bone(read_overrides({"hiatus": far.tolist()}), surface)


def test_a_frame_off_the_endplate_is_refused(coarse: LabelMap, coarse_anatomy: Anatomy) -> None:
    frame = coarse_anatomy.frame
    given = {
        "frame": {
            "origin": (frame.origin_mm + 35.0 * frame.superior).tolist(),
            "left": frame.left.tolist(),
            "superior": frame.superior.tolist(),
        }
    }
    with pytest.raises(InputError, match="put the origin onto the middle of the S1"):
        find_anatomy(coarse, overrides=given)


def test_nesting_is_the_reverse_of_reading() -> None:
    given = {"promontory": [1.0, 2.0, 3.0], "lateral_mass": {"left": [4.0, 5.0, 6.0]}}
    assert nested(read_overrides(given).given) == given
