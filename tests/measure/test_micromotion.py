"""Micromotion: zero for sound bone however it moves, exact for two parts moved apart."""

from collections.abc import Callable

import numpy as np
import pytest

from sacrofem.errors import MeshError
from sacrofem.measure.micromotion import micromotion
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.fracture import gap_along
from sacrofem.treatment.lesion import Fracture
from sacrofem.treatment.region import samples_of


def fractured(mesh: BoneMesh, x_mm: float = 1.3) -> Fracture:
    """A gap of 1 mm across a whole box, its normal along x."""
    samples = samples_of(mesh)
    plane = (np.array([x_mm, 0.0, -20.0]), np.eye(3)[0])
    return gap_along(mesh, samples, plane, 1.0, ~samples.none)


def test_sound_bone_has_none(box: Callable[..., BoneMesh]) -> None:
    """Protects: a rotation or a uniform strain of the whole bone is no motion of a fracture."""
    mesh = box(16)
    fracture = fractured(mesh)
    rng = np.random.default_rng(0)
    for _ in range(5):
        spin, strain, shift = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
        u = mesh.points_mm @ (1e-2 * (spin - spin.T + strain)).T + shift
        moved = micromotion(mesh, u, fracture)
        assert moved.opening_mm == pytest.approx(0.0, abs=1e-10)
        assert moved.sliding_mm == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize(
    ("jump_mm", "opening_mm", "sliding_mm"),
    [
        ((0.2, 0.0, 0.0), 0.2, 0.0),
        ((-0.1, 0.0, 0.0), -0.1, 0.0),
        ((0.0, 0.3, -0.4), 0.0, 0.5),
        ((0.7, 0.3, 0.4), 0.7, 0.5),
    ],
)
def test_a_jump_is_measured_exactly(
    box: Callable[..., BoneMesh],
    jump_mm: tuple[float, float, float],
    opening_mm: float,
    sliding_mm: float,
) -> None:
    mesh = box(16)
    fracture = fractured(mesh)
    left = mesh.points_mm[:, 0] > fracture.point_mm[0]
    u = np.where(left[:, None], np.array(jump_mm), 0.0) + 0.01 * mesh.points_mm[:, ::-1]
    moved = micromotion(mesh, u, fracture)
    assert moved.opening_mm == pytest.approx(opening_mm, abs=1e-10)
    assert moved.sliding_mm == pytest.approx(sliding_mm, abs=1e-10)


def test_a_hinge_opens_by_its_mean(box: Callable[..., BoneMesh]) -> None:
    """Protects: the average is over the fracture's area: a hinge at the floor opens half as far."""
    mesh = box(16)
    fracture = fractured(mesh)
    left = mesh.points_mm[:, 0] > fracture.point_mm[0]
    height = mesh.points_mm[:, 2] + 40.0
    u = np.zeros_like(mesh.points_mm)
    u[left, 0] = 0.01 * height[left]
    assert micromotion(mesh, u, fracture).opening_mm == pytest.approx(0.01 * 20.0, rel=0.02)


def test_one_plane_of_vertices_does_not_tell_a_strain_from_a_jump(
    box: Callable[..., BoneMesh],
) -> None:
    mesh = box(10)
    with pytest.raises(MeshError, match="do not lie in one plane"):
        micromotion(mesh, np.zeros_like(mesh.points_mm), fractured(mesh))


def test_a_mesh_too_coarse_to_tell_says_so(box: Callable[..., BoneMesh]) -> None:
    mesh = box(1)
    with pytest.raises(MeshError, match=r"needs 8 vertices .* take smaller edges"):
        micromotion(mesh, np.zeros_like(mesh.points_mm), fractured(mesh))
