"""Access paths on the symmetric phantom and the real CT: what a path keeps, and what it says."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image.files import load_pair
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.build import MeshRequest, build_mesh
from sacrofem.mesh.compartments import FORAMINA, Compartment
from sacrofem.mesh.mesher import EdgeLengths
from sacrofem.mesh.tissue_grid import BONE, ILIUM_LEFT, ILIUM_RIGHT
from sacrofem.treatment.access import find_path, survey
from sacrofem.treatment.access.aim import CORE_SHARE, TIP_CLEARANCE_MM
from sacrofem.treatment.access.approaches import BENDS_DEG, BUILDERS, MIDLINE_MM
from sacrofem.treatment.access.measure import measured_path
from sacrofem.treatment.access.rule import allowed, involved_bodies
from sacrofem.treatment.access.structures import RADIUS_MM, SAFETY_MM
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField, operating_field
from sacrofem.treatment.plan import Approach, PathPlan
from sacrofem.treatment.region import BoneSamples

ALA, FORAMINAL, BODY = (35.0, 5.0, -19.0), (24.0, 1.0, -15.0), (0.0, -4.0, -13.0)
LOWER_BODY = (0.0, -13.0, -41.0)
#: An approach and a target on the left that it reaches in the phantom.
REACHED: tuple[tuple[Approach, tuple[float, float, float]], ...] = (
    ("short axis", ALA),
    ("angulated short axis", ALA),
    ("long axis", ALA),
    ("transiliac", ALA),
    ("anterior-oblique", ALA),
    ("transiliac", BODY),
    ("interpedicular", BODY),
)


@dataclass(frozen=True, eq=False)
class Ball:
    """What a path asks of a lesion, as a ball."""

    centre_mm: FloatArray
    radius_mm: float
    side: str
    samples: BoneSamples
    inside: np.ndarray


def ball(field: OperatingField, local: tuple[float, float, float], radius_mm: float) -> Lesion:
    """A ball about a point of the frame, clipped to the bone."""
    inside = ((field.local_mm - np.array(local)) ** 2).sum(axis=1) < radius_mm**2
    side = "middle" if abs(local[0]) < 1.0 else "left" if local[0] > 0.0 else "right"
    centre = field.atlas.frame.to_world(np.array([local]))[0]
    return cast(Lesion, Ball(centre, radius_mm, side, field.samples, inside))


def track(field: OperatingField, path: AccessPath) -> FloatArray:
    """Frame points every tenth of a mm from the entry to the tip."""
    corners = field.atlas.frame.to_local(path.points_mm)
    pieces = [
        np.linspace(a, b, max(int(10.0 * np.linalg.norm(b - a)), 2)) for a, b in pairwise(corners)
    ]
    return np.concatenate(pieces)


def tissue_along(field: OperatingField, points: FloatArray) -> np.ndarray:
    i, j, k = field.voxel_of(field.atlas.frame.to_world(points)).T
    return field.tissue.tissue[i, j, k]


@pytest.mark.parametrize(("approach", "target"), REACHED)
def test_the_tip_stands_deep_in_the_lesions_core_and_the_wall_keeps_its_distance(
    field: OperatingField, approach: Approach, target: tuple[float, float, float]
) -> None:
    lesion = ball(field, target, 10.0)
    path = find_path(field, [lesion], PathPlan(approach))
    i, j, k = field.voxel_of(path.tip_mm[None])[0]
    # The interpedicular tip goes to the upper third of a ball, half a radius above its centre.
    off = np.linalg.norm(path.tip_mm - lesion.centre_mm)
    assert field.depth_mm[i, j, k] >= TIP_CLEARANCE_MM
    assert off <= (2.0 if approach == "interpedicular" else 1.0) * CORE_SHARE * lesion.radius_mm
    assert path.least_clearance_mm >= SAFETY_MM
    assert path.allowed_by_rule
    assert path.approach == approach


@pytest.mark.parametrize(("approach", "target"), REACHED)
def test_a_path_mirrors_with_its_target(
    field: OperatingField, approach: Approach, target: tuple[float, float, float]
) -> None:
    x, y, z = target
    shift = 3.0 if x == 0.0 else 0.0
    left, right = (
        find_path(field, [ball(field, (sign * (x + shift), y, z), 9.0)], PathPlan(approach))
        for sign in (1.0, -1.0)
    )
    # Which of two tracks of nearly equal clearance is taken may differ, what it is worth may not:
    # to a voxel, since the frame lies some hundredths of a mm beside the phantom's midplane.
    assert left.least_clearance_mm == pytest.approx(right.least_clearance_mm, abs=1.0)
    assert left.crosses == right.crosses
    mirrored = measured_path(
        field,
        approach,
        "13 G",
        field.atlas.frame.to_local(left.points_mm) * [-1.0, 1.0, 1.0],
        left.crosses,
        True,
        (),
    )
    for name, clearance in left.clearance_mm.items():
        assert mirrored.clearance_mm[name] == pytest.approx(clearance, abs=2.0)
    assert left.sagittal_angle_deg == pytest.approx(mirrored.sagittal_angle_deg, abs=0.1)
    assert left.axial_angle_deg == pytest.approx(mirrored.axial_angle_deg, abs=0.1)


@pytest.mark.parametrize(("approach", "target"), REACHED)
def test_clearances_are_the_distance_to_the_nearest_voxel_of_a_structure(
    field: OperatingField, approach: Approach, target: tuple[float, float, float]
) -> None:
    path = find_path(field, [ball(field, target, 10.0)], PathPlan(approach, "11 G"))
    points = track(field, path)
    ilium = np.isin(tissue_along(field, points), (ILIUM_LEFT, ILIUM_RIGHT))
    if ilium.any():
        points = points[int(np.flatnonzero(ilium)[-1]) + 1 :]
    wall = 0.5 * 3.05 + 0.5 * field.tissue.step_mm
    for name, which in (("foramina", FORAMINA), ("canal", (Compartment.CANAL,))):
        voxels = field.tissue.local_of(np.argwhere(np.isin(field.tissue.compartment, which)) * 1.0)
        away = min(np.linalg.norm(voxels - p, axis=1).min() for p in points[::5])
        # Between voxels the distance is interpolated.
        assert path.clearance_mm[name] == pytest.approx(away - wall, abs=0.5)


def test_a_thicker_cannula_has_less_clearance_by_the_difference_of_the_radii(
    field: OperatingField,
) -> None:
    lesion = ball(field, ALA, 10.0)
    thin, thick = (
        find_path(field, [lesion], PathPlan("transiliac", cannula)) for cannula in ("13 G", "10 G")
    )
    assert RADIUS_MM["13 G"] < RADIUS_MM["11 G"] < RADIUS_MM["10 G"]
    assert np.allclose(thin.points_mm, thick.points_mm)
    for name in thin.clearance_mm:
        less = thin.clearance_mm[name] - thick.clearance_mm[name]
        assert less == pytest.approx(1.70 - 1.205)


def test_the_short_axis_lies_in_the_axial_plane_and_the_angulated_one_does_not(
    field: OperatingField,
) -> None:
    lesion = ball(field, ALA, 10.0)
    short = find_path(field, [lesion], PathPlan("short axis"))
    angulated = find_path(field, [lesion], PathPlan("angulated short axis"))
    assert short.axial_angle_deg == pytest.approx(0.0, abs=1e-6)
    assert abs(angulated.axial_angle_deg) >= 10.0 - 1e-6
    assert short.crosses == angulated.crosses == ()
    for path in (short, angulated):
        assert field.atlas.frame.to_local(path.points_mm)[0, 1] > ALA[1]


def test_the_angles_and_the_length_are_those_of_the_track(field: OperatingField) -> None:
    path = find_path(field, [ball(field, ALA, 10.0)], PathPlan("short axis"))
    entry, tip = field.atlas.frame.to_local(path.points_mm)
    assert path.length_in_bone_mm == pytest.approx(np.linalg.norm(tip - entry), abs=1.0)
    # Positive with the entry lateral of the tip, whichever side that is.
    assert np.sign(path.sagittal_angle_deg) == np.sign(entry[0] - tip[0])
    tilt = np.degrees(np.arctan2(entry[0] - tip[0], entry[1] - tip[1]))
    assert path.sagittal_angle_deg == pytest.approx(tilt, abs=1e-6)


def test_the_long_axis_stays_lateral_to_the_foramina_and_steep(field: OperatingField) -> None:
    path = find_path(field, [ball(field, ALA, 10.0)], PathPlan("long axis"))
    points = field.atlas.frame.to_world(track(field, path))
    assert (field.atlas.map.denis_zone(points) == 1).all()
    assert path.axial_angle_deg > 45.0
    # It enters below S1.
    assert field.atlas.map.level_of(path.entry_mm[None])[0] >= 2


def test_the_transiliac_track_meets_the_ilium_then_the_joint_then_the_sacrum(
    field: OperatingField,
) -> None:
    path = find_path(field, [ball(field, BODY, 10.0)], PathPlan("transiliac"))
    tissue = tissue_along(field, track(field, path))
    last_ilium = np.flatnonzero(np.isin(tissue, (ILIUM_LEFT, ILIUM_RIGHT)))[-1]
    first_sacrum = np.flatnonzero(tissue == BONE)[0]
    assert path.crosses == ("ilium", "SI joint")
    assert path.clearance_mm["SI joint"] < 0.0
    assert last_ilium < first_sacrum
    assert tissue[0] in (ILIUM_LEFT, ILIUM_RIGHT)
    assert tissue[-1] == BONE


def test_the_anterior_oblique_track_comes_from_the_front_through_the_ilium(
    field: OperatingField,
) -> None:
    path = find_path(field, [ball(field, ALA, 10.0)], PathPlan("anterior-oblique"))
    entry, tip = field.atlas.frame.to_local(path.points_mm)
    assert entry[1] < tip[1]
    assert entry[0] > tip[0]
    assert path.crosses[0] == "ilium"


@pytest.mark.parametrize("bevel", [True, False])
def test_the_interpedicular_track_crosses_the_canal_below_s2_in_the_midline(
    field: OperatingField, bevel: bool
) -> None:
    lesions = [ball(field, BODY, 10.0), ball(field, LOWER_BODY, 8.0)]
    path = find_path(field, lesions, PathPlan("interpedicular", bevel=bevel))
    points = track(field, path)
    world = field.atlas.frame.to_world(points)
    i, j, k = field.voxel_of(world).T
    canal = field.tissue.compartment[i, j, k] == Compartment.CANAL
    assert canal.any()
    assert path.crosses == ("canal",)
    assert path.clearance_mm["canal"] < 0.0
    assert (field.atlas.map.level_of(world[canal]) >= 3).all()
    assert np.abs(points[:, 0]).max() <= MIDLINE_MM
    # The tip stands in the upper lesion, and the track goes through the lower one.
    assert np.linalg.norm(path.tip_mm - lesions[0].centre_mm) <= 5.0
    away = np.linalg.norm(world - lesions[1].centre_mm, axis=1).min()
    assert away <= lesions[1].radius_mm
    pieces = np.diff(path.points_mm, axis=0)
    pieces /= np.linalg.norm(pieces, axis=1, keepdims=True)
    assert len(pieces) <= (2 if bevel else 1)
    turn = np.degrees(np.arccos(np.clip(pieces[0] @ pieces[-1], -1.0, 1.0)))
    assert turn <= np.abs(BENDS_DEG).max() + 1e-6


def test_the_bevel_never_makes_the_clearance_smaller(field: OperatingField) -> None:
    lesion = ball(field, BODY, 10.0)
    bent, straight = (
        find_path(field, [lesion], PathPlan("interpedicular", bevel=bevel))
        for bevel in (True, False)
    )
    # Tracks within half a voxel of each other count as equal.
    assert bent.least_clearance_mm >= straight.least_clearance_mm - 0.5


def test_a_blocked_approach_says_what_stops_it_and_what_does_reach_the_target(
    field: OperatingField,
) -> None:
    target = field.atlas.frame.to_world(np.array([[0.0, -8.0, -27.0]]))[0]
    lesion = ball(field, (0.0, -8.0, -27.0), 10.0)
    with pytest.raises(InputError, match="short axis") as refused:
        find_path(field, [lesion], PathPlan("short axis", target_mm=target))
    assert "the canal (" in str(refused.value)
    assert "It can be reached by" in str(refused.value)
    assert "interpedicular" in str(refused.value)
    with pytest.raises(InputError, match="from the midline"):
        find_path(field, [ball(field, ALA, 10.0)], PathPlan("interpedicular"))


def test_a_target_outside_the_bone_is_refused_with_its_place(field: OperatingField) -> None:
    target = field.atlas.frame.to_world(np.array([[0.0, -60.0, -10.0]]))[0]
    with pytest.raises(InputError, match=r"outside of the bone.*\(0, -60, -10\)"):
        find_path(field, [ball(field, BODY, 10.0)], PathPlan("best", target_mm=target))


def test_a_given_target_is_met_exactly(field: OperatingField) -> None:
    target = field.atlas.frame.to_world(np.array([[30.0, 6.0, -14.0]]))[0]
    path = find_path(field, [ball(field, ALA, 10.0)], PathPlan("transiliac", target_mm=target))
    assert path.tip_mm == pytest.approx(target, abs=1e-6)


def test_best_takes_the_largest_clearance_among_those_that_the_rule_allows(
    field: OperatingField,
) -> None:
    lesion = ball(field, ALA, 10.0)
    ways = survey(field, [lesion], None, "13 G")
    best = find_path(field, [lesion], PathPlan("best"))
    assert set(ways) == set(BUILDERS)
    allowed = [
        way.least_clearance_mm
        for name, way in ways.items()
        if isinstance(way, AccessPath) and way.allowed_by_rule and name != "anterior-oblique"
    ]
    assert len(allowed) >= 3
    assert best.least_clearance_mm == max(allowed)
    assert best.approach != "best"


def test_best_keeps_to_the_rule_even_where_another_approach_has_more_room(
    field: OperatingField,
) -> None:
    # Lateral in zone II the long axis passes, close to the foramina, and all others have more room.
    lesion = ball(field, (27.0, 1.0, -15.0), 10.0)
    ways = survey(field, [lesion], None, "13 G")
    best = find_path(field, [lesion], PathPlan("best"))
    assert best.allowed_by_rule
    assert any(
        isinstance(way, AccessPath) and way.least_clearance_mm > best.least_clearance_mm + 1.0
        for way in ways.values()
    )


def test_best_goes_beyond_the_rule_only_where_nothing_else_works_and_says_so(
    field: OperatingField,
) -> None:
    # So far medial in zone II the foramina S1 stand in the way of the long axis.
    target = field.atlas.frame.to_world(np.array([[22.0, -2.0, -17.0]]))[0]
    lesion = ball(field, (22.0, -2.0, -17.0), 6.0)
    ways = survey(field, [lesion], target, "13 G")
    best = find_path(field, [lesion], PathPlan("best", target_mm=target))
    assert isinstance(ways["long axis"], str)
    assert "foramen S1 left" in ways["long axis"]
    assert not best.allowed_by_rule
    assert "zone II only long axis" in best.notes[0]


@pytest.mark.parametrize(
    ("target", "named"),
    [
        (
            ALA,
            {
                "short axis",
                "angulated short axis",
                "long axis",
                "transiliac",
                "anterior-oblique",
            },
        ),
        (FORAMINAL, {"long axis"}),
        (BODY, {"transiliac", "interpedicular"}),
    ],
)
def test_each_zone_has_its_approaches(
    field: OperatingField, target: tuple[float, float, float], named: set[Approach]
) -> None:
    lesion = ball(field, target, 6.0)
    for approach in BUILDERS:
        ok, note = allowed(field, [lesion], lesion.centre_mm, approach)
        assert ok == (approach in named)
        assert bool(note) == (approach not in named)


def test_lesions_of_several_bodies_are_for_the_interpedicular_track(field: OperatingField) -> None:
    lesions = [ball(field, BODY, 8.0), ball(field, LOWER_BODY, 8.0)]
    assert involved_bodies(field, lesions) == (1, 2)
    assert allowed(field, lesions, lesions[0].centre_mm, "interpedicular") == (True, "")
    ok, note = allowed(field, lesions, lesions[0].centre_mm, "transiliac")
    assert not ok
    assert "S1, S2" in note
    # The other paper did go this way.
    assert "Andresen 2014" in note


def test_lesions_beside_the_bodies_involve_none(field: OperatingField) -> None:
    assert involved_bodies(field, [ball(field, ALA, 6.0)]) == ()


def test_paths_on_the_real_ct_are_found_or_refused_with_a_reason(
    real_ct: tuple[Path, Path],
) -> None:
    pair = load_pair(*real_ct).value
    field = operating_field(
        build_mesh(pair.ct, pair.labels, MeshRequest(edges=EdgeLengths(8.0, 8.0)))
    )
    ala = survey(field, [ball(field, (37.0, 3.0, -20.0), 10.0)], None, "13 G")
    body = survey(field, [ball(field, (0.0, 0.0, -14.0), 10.0)], None, "13 G")
    assert isinstance(ala["short axis"], AccessPath)
    assert isinstance(ala["transiliac"], AccessPath)
    assert isinstance(body["interpedicular"], AccessPath)
    assert isinstance(body["transiliac"], AccessPath)
    assert "midline" in str(ala["interpedicular"])
    for way in (*ala.values(), *body.values()):
        if isinstance(way, AccessPath):
            assert way.least_clearance_mm >= SAFETY_MM - 1e-6
        else:
            assert "%" in way or "midline" in way
