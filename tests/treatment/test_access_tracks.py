"""Tracks and the ray-cast: geometry of bends, and gaps found in rows of samples."""

import numpy as np
import pytest

from sacrofem.treatment.access.passage import Passage, cast
from sacrofem.treatment.access.structures import FREE, PASSAGE, codes_at, words_of
from sacrofem.treatment.access.tracks import STEP_MM, Tracks, along_polyline, straight
from sacrofem.treatment.operating_field import OperatingField


def bent(angle_deg: float) -> Tracks:
    angle = np.radians(angle_deg)
    return Tracks(
        tip_mm=np.zeros((1, 3)),
        last_piece=np.array([[0.0, 0.0, -1.0]]),
        bend_mm=np.array([20.0]),
        first_piece=np.array([[0.0, np.sin(angle), -np.cos(angle)]]),
    )


def test_a_bent_track_goes_straight_to_its_bend_and_then_by_its_angle() -> None:
    points = bent(20.0).points_mm(50.0)[0]
    away = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert away == pytest.approx(STEP_MM)
    corner = points[round(20.0 / STEP_MM)]
    assert corner == pytest.approx([0.0, 0.0, -20.0])
    assert points[-1] == pytest.approx(
        [0.0, 30.0 * np.sin(np.radians(20.0)), -20.0 - 30.0 * np.cos(np.radians(20.0))]
    )


def test_corners_run_from_entry_to_tip_and_leave_out_a_bend_beyond_the_entry() -> None:
    assert bent(20.0).corners_mm(0, 50.0)[1] == pytest.approx([0.0, 0.0, -20.0])
    assert bent(20.0).corners_mm(0, 15.0) == pytest.approx(
        np.array([[0.0, 0.0, -15.0], [0.0, 0.0, 0.0]])
    )


def test_samples_of_corners_are_those_of_the_track() -> None:
    tracks = bent(15.0)
    again = along_polyline(tracks.corners_mm(0, 50.0))
    assert again == pytest.approx(tracks.points_mm(50.0)[0], abs=1e-9)


def test_a_track_across_the_sacrum_is_stopped_by_the_canal_or_a_foramen(
    field: OperatingField,
) -> None:
    # From the bodies straight backwards in the midline of S2, and past it to the side.
    tips = np.array([[0.0, -15.0, -42.0], [35.0, 5.0, -19.0]])
    tracks = straight(tips, np.array([[0.0, 1.0, 0.0]]))
    found = cast(field, tracks.points_mm(90.0), Passage())
    assert words_of(int(found.blocked[0])) == "the canal"
    assert found.blocked[1] == FREE
    # The free one enters where the bone ends.
    codes = codes_at(field, tracks.points_mm(90.0))[1]
    assert codes[found.entry[1]] == 2
    assert codes[found.entry[1] + 1] < 2


def test_the_canal_is_open_only_below_the_given_level(field: OperatingField) -> None:
    s = field.atlas.curve.to_curved(field.atlas.frame.to_world(np.array([[0.0, -15.0, -42.0]])))[
        0, 1
    ]
    tracks = straight(np.array([[0.0, -15.0, -42.0]]), np.array([[0.0, 1.0, 0.0]]))
    points = tracks.points_mm(90.0)
    above, below = (
        cast(field, points, Passage(canal_below_s_mm=s + shift)).blocked[0]
        for shift in (-40.0, 40.0)
    )
    assert above == FREE
    assert below > PASSAGE
