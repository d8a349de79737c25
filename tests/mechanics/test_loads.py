"""Loads: exact resultants on any mesh, the statics of muscles, a person's weight scales all."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import InputError
from sacrofem.mechanics.loads import (
    POSTURES,
    REACTION_PER_BODY_WEIGHT,
    WEIGHT_PER_BODY_WEIGHT,
    Bending,
    LoadCase,
    SacralLoad,
    bending,
    force_on_s1_N,
    gravity,
    lying_slope_deg,
    sacral_load,
    tractions_MPa,
)
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.build import MeshedBone

UPRIGHT = SacralFrame(np.zeros(3), *np.eye(3))


def frame_tilted(forward_deg: float) -> SacralFrame:
    """A frame whose endplate is tilted to the front against the image."""
    c, s = np.cos(np.radians(forward_deg)), np.sin(np.radians(forward_deg))
    return SacralFrame(
        np.zeros(3), np.array([1.0, 0, 0]), np.array([0, c, s]), np.array([0, -s, c])
    )


def rough(mesh: BoneMesh, seed: int = 4) -> BoneMesh:
    """A box with a bumpy, skewed endplate in another place and another frame."""
    rng = np.random.default_rng(seed)
    shake = rng.uniform(-1.5, 1.5, mesh.points_mm.shape)
    turn = frame_tilted(33.0)
    return replace(mesh, points_mm=mesh.points_mm + shake + [310.0, -250.0, 900.0], frame=turn)


def resultants(
    mesh: BoneMesh, tag: SurfaceTag, traction: Callable[[np.ndarray], np.ndarray], about: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Force and moment of a traction by Gauss points within the triangles, of degree 2."""
    corner = mesh.points_mm[mesh.facets[mesh.facet_tag == tag]]
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    weight = 0.5 * np.linalg.norm(cross, axis=1) / 3.0
    force, moment = np.zeros(3), np.zeros(3)
    for place in np.eye(3) / 2.0 + 1.0 / 6.0:
        x = np.einsum("a,fai->fi", place, corner)
        t = weight[:, None] * traction(x)
        force += t.sum(axis=0)
        moment += np.cross(x - about, t).sum(axis=0)
    return force, moment


def linear(found: Bending) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.cross(found.spin_MPa_per_mm, x - found.centre_mm)


@pytest.mark.parametrize("cells", [2, 5])
def test_force_and_moment_are_exact_on_any_mesh(box: Callable[..., BoneMesh], cells: int) -> None:
    """Protects: the moment is the one asked for on bumpy endplates, about any point."""
    mesh = rough(box(cells))
    load = SacralLoad(force_N=612.0, sacral_slope_deg=27.0, moment_Nm=7.5)
    found = bending(mesh, load)
    uniform = tractions_MPa(mesh, load)[SurfaceTag.ENDPLATE_S1]
    for about in (found.centre_mm, np.zeros(3)):
        force, moment = resultants(mesh, SurfaceTag.ENDPLATE_S1, linear(found), about)
        np.testing.assert_allclose(force, 0.0, atol=1e-10 * 612.0)
        np.testing.assert_allclose(moment, 7500.0 * mesh.frame.left, atol=1e-10 * 7500.0)
    force, moment = resultants(
        mesh, SurfaceTag.ENDPLATE_S1, lambda x: uniform + linear(found)(x), found.centre_mm
    )
    whole = 612.0 * gravity(mesh.frame, 27.0)
    np.testing.assert_allclose(force, whole, atol=1e-10 * 612.0)
    np.testing.assert_allclose(moment, 7500.0 * mesh.frame.left, atol=1e-10 * 7500.0)


def test_flexion_presses_on_the_front_of_the_endplate(box: Callable[..., BoneMesh]) -> None:
    """Protects: the sign; in flexion L5 leans to the front, extension is a negative moment."""
    mesh = box(3)
    front = np.array([[0.0, -15.0, 0.0]])
    for moment_Nm, sign in ((7.5, -1.0), (-7.5, 1.0)):
        traction = linear(bending(mesh, SacralLoad(moment_Nm=moment_Nm)))
        assert np.sign(traction(front)[0, 2]) == sign
        np.testing.assert_allclose(traction(-front), -traction(front))
    # A plate 60 mm wide and 30 mm deep: the beam's stress M d/2 / (w d^3 / 12), on a flat endplate.
    assert abs(traction(front)[0, 2]) == pytest.approx(7500.0 * 6.0 / (60.0 * 30.0**2))
    assert not bending(mesh, SacralLoad()).spin_MPa_per_mm.any()


def test_facets_and_endplate_together_carry_the_force(phantom_bone: MeshedBone) -> None:
    mesh, load = phantom_bone.mesh, SacralLoad(force_N=1100.0, sacral_slope_deg=12.0)
    found = tractions_MPa(mesh, load)
    parts = {
        tag: resultants(mesh, tag, lambda x, t=t: np.broadcast_to(t, x.shape), np.zeros(3))[0]
        for tag, t in found.items()
    }
    whole = 1100.0 * gravity(mesh.frame, 12.0)
    np.testing.assert_allclose(sum(parts.values()), whole, atol=1e-10 * 1100.0)
    endplate = parts[SurfaceTag.ENDPLATE_S1]
    np.testing.assert_allclose(endplate, 0.85 * whole, atol=1e-10 * 1100.0)
    moment = resultants(
        mesh, SurfaceTag.ENDPLATE_S1, linear(bending(mesh, replace(load, moment_Nm=7.5))), endplate
    )
    np.testing.assert_allclose(moment[0], 0.0, atol=1e-10 * 1100.0)
    np.testing.assert_allclose(moment[1], 7500.0 * mesh.frame.left, atol=1e-10 * 7500.0)


def test_standing_without_more_words_is_the_published_load() -> None:
    assert sacral_load(LoadCase(), UPRIGHT) == SacralLoad(500.0, 40.0, 0.85, 0.0)


def test_muscles_leave_the_weight_along_the_endplate_as_it_is() -> None:
    """Protects: statics; muscles normal to the endplate add nothing along it."""
    for case in POSTURES:
        asked = LoadCase(case=case, body_weight_N=700.0, muscles=True)
        load = sacral_load(asked, UPRIGHT)
        assert load.force_N == pytest.approx(force_on_s1_N(asked))
        slope = 40.0 + POSTURES[case].slope_change_deg
        along = load.force_N * gravity(UPRIGHT, load.sacral_slope_deg) @ UPRIGHT.posterior
        weight_N = WEIGHT_PER_BODY_WEIGHT * 700.0
        assert along == pytest.approx(-weight_N * np.sin(np.radians(slope)))


def test_the_reaction_in_standing_is_inclined_as_models_with_muscles_found() -> None:
    """Published: 17 deg at L5-S1, 18 to 21 deg at L4-L5 (sources in the module)."""
    load = sacral_load(LoadCase(muscles=True), UPRIGHT)
    assert 16.0 < load.sacral_slope_deg < 22.0


def test_a_body_weight_scales_every_case() -> None:
    for case in POSTURES:
        for muscles in (True,) if POSTURES[case].weight is None else (True, False):
            one, two = (
                sacral_load(LoadCase(case=case, body_weight_N=w, muscles=muscles), UPRIGHT)
                for w in (500.0, 1000.0)
            )
            leg = one.leg and replace(one.leg, weight_N=pytest.approx(2.0 * one.leg.weight_N))
            assert two == replace(one, force_N=pytest.approx(2.0 * one.force_N), leg=leg)
    standing = LoadCase(body_weight_N=700.0)
    assert force_on_s1_N(standing) == pytest.approx(350.0)
    with_muscles = replace(standing, muscles=True)
    assert force_on_s1_N(with_muscles) == pytest.approx(REACTION_PER_BODY_WEIGHT * 700.0)


@pytest.mark.parametrize(
    ("case", "times"), [("sitting", 0.92), ("forward flexion", 2.2), ("lifting", 4.6)]
)
def test_postures_follow_the_pressures_in_the_disc(case: Any, times: float) -> None:
    """Wilke 1999: 0.46, 1.1 and 2.3 MPa against 0.5 MPa in standing."""
    assert force_on_s1_N(LoadCase(case=case, muscles=True)) == pytest.approx(times * 500.0)


def test_walking_has_two_peaks_a_cycle_within_the_published_range() -> None:
    """Cappozzo 1984: from 0.2-0.8 to 1.0-2.5 body weights, and one peak a step."""
    percent = np.arange(0.0, 100.0, 1.0)

    def force(muscles: bool) -> np.ndarray:
        return np.array(
            [
                force_on_s1_N(
                    LoadCase(
                        case="walking", body_weight_N=1000.0, muscles=muscles, gait_percent=float(p)
                    )
                )
                for p in percent
            ]
        )

    found = force(True)
    assert 200.0 <= found.min() <= 800.0 < 1000.0 <= found.max() <= 2500.0
    assert found[10] == found.max()
    np.testing.assert_allclose(found, np.roll(found, 50))
    peaks = (found > np.roll(found, 1)) & (found > np.roll(found, -1))
    assert peaks.sum() == 2
    # The weight alone comes back to itself over a cycle: a walker neither rises nor sinks.
    assert force(False).mean() == pytest.approx(500.0)


def test_sitting_turns_the_sacrum_back() -> None:
    assert sacral_load(LoadCase(case="sitting"), UPRIGHT).sacral_slope_deg == pytest.approx(25.0)
    flat = sacral_load(LoadCase(case="sitting", sacral_slope_deg=5.0), UPRIGHT)
    assert flat.sacral_slope_deg == 0.0


def test_the_case_has_a_moment_unless_another_is_given() -> None:
    asked = LoadCase(case="forward flexion", muscles=True)
    assert sacral_load(asked, UPRIGHT).moment_Nm == 7.5
    assert sacral_load(replace(asked, moment_Nm=0.0), UPRIGHT).moment_Nm == 0.0
    assert sacral_load(LoadCase(moment_Nm=-3.0), UPRIGHT).moment_Nm == -3.0


@pytest.mark.parametrize("case", ["forward flexion", "lifting"])
def test_a_leaning_trunk_needs_muscles(case: Any) -> None:
    with pytest.raises(InputError, match=f"'{case}' needs 'muscles: true'"):
        LoadCase(case=case)


def test_the_slope_can_be_measured_in_the_image(phantom_bone: MeshedBone) -> None:
    assert lying_slope_deg(frame_tilted(37.0)) == pytest.approx(37.0)
    asked = LoadCase(sacral_slope_deg="measured")
    assert sacral_load(asked, frame_tilted(37.0)).sacral_slope_deg == pytest.approx(37.0)
    # The phantom is made with 45 deg.
    assert lying_slope_deg(phantom_bone.mesh.frame) == pytest.approx(45.0, abs=3.0)
    # Gravity by the measured slope is the image's own axis: head to feet.
    frame = frame_tilted(37.0)
    np.testing.assert_allclose(gravity(frame, 37.0), [0, 0, -1], atol=1e-12)
    for wrong in (-5.0, 100.0):
        with pytest.raises(InputError, match="give sacral_slope_deg"):
            lying_slope_deg(frame_tilted(wrong))
