"""Stress in cement and on its interface: by hand, in a solved column, mirrored."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.measure.cement import (
    LIMITS_MPA,
    NO_CEMENT,
    NO_INTERFACE,
    cement_stress,
    interface_stress,
    stress_of_fills,
)
from sacrofem.mechanics.elasticity import make_model
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, intact_modulus
from sacrofem.mechanics.state import solve_state
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, support_of
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.region import samples_of

FORCE_N = 500.0
#: Edges of the cubes of ``box(4)``, in mm, and the surface of the block of eight that is cement.
EDGES_MM = np.array([15.0, 7.5, 10.0])


def stressed(mesh: BoneMesh, stress_MPa: np.ndarray) -> Any:
    """A state with one stress in all cells."""
    m = len(mesh.tets)
    return SimpleNamespace(
        stress_MPa=np.tile(stress_MPa, (m, 1, 1)),
        principal_MPa=np.tile(np.linalg.eigvalsh(stress_MPa), (m, 1)),
    )


def block(mesh: BoneMesh) -> np.ndarray:
    """Part of each cell of ``box(4)`` in its middle eight cubes, shape (m,)."""
    away = np.abs(mesh.centroids_mm - [0.0, 0.0, -20.0])
    return (away < EDGES_MM).all(axis=1).astype(float)


def test_a_pressed_cement_by_hand(box: Callable[..., BoneMesh]) -> None:
    """Protects: which principal stress, its sign, and each limit over its own stress."""
    mesh = box(4)
    cement = block(mesh)
    found = cement_stress(mesh, stressed(mesh, np.diag([0.0, 0.5, -4.0])), cement, cement)
    assert found.volume_ml == pytest.approx(8.0 * EDGES_MM.prod() / 1000.0)
    assert found.compression_MPa.p95 == found.compression_MPa.maximum == pytest.approx(4.0)
    assert found.tension_MPa.maximum == pytest.approx(0.5)
    assert found.von_mises_MPa.p95 == pytest.approx(np.sqrt(0.5 * (0.25 + 16.0 + 4.5**2)))
    assert found.safety["compressive_fatigue"] == pytest.approx(43.0 / 4.0)
    assert found.safety["compressive_fatigue_low_modulus"] == pytest.approx(3.0 / 4.0)
    assert found.safety["tensile_strength"] == pytest.approx(30.0 / 0.5)
    assert set(found.safety) == set(LIMITS_MPA)


def test_nothing_that_pulls_is_no_limit(box: Callable[..., BoneMesh]) -> None:
    """Protects: cement that is pressed alone has no tension to fail by."""
    mesh = box(4)
    cement = block(mesh)
    found = cement_stress(mesh, stressed(mesh, np.diag([-1.0, -2.0, -4.0])), cement, cement)
    assert found.safety["tensile_strength"] == float("inf")


def test_cement_in_a_mixed_cell_bears_its_part(box: Callable[..., BoneMesh]) -> None:
    """Protects: stress is force over area: 0.8 of the force on 0.5 of the cell; less is no cement.

    The percentile weighs cement, not cells: half full, a cell counts half.
    """
    mesh = box(4)
    inside = block(mesh)
    state = stressed(mesh, np.diag([0.0, 0.0, -2.0]))
    found = cement_stress(mesh, state, 0.5 * inside, 0.8 * inside)
    assert found.compression_MPa.maximum == pytest.approx(2.0 * 0.8 / 0.5)
    assert found.volume_ml == pytest.approx(0.5 * 8.0 * EDGES_MM.prod() / 1000.0)
    assert cement_stress(mesh, state, 0.49 * inside, inside) is NO_CEMENT


def test_tractions_of_a_block_by_hand(box: Callable[..., BoneMesh]) -> None:
    """Protects: the normals, tension apart from pressure, shear, and the area of the interface."""
    mesh = box(4)
    cement, none = block(mesh), np.zeros(len(mesh.tets))
    x, y, z = 4.0 * np.prod([np.delete(EDGES_MM, i) for i in range(3)], axis=1)  # of one side
    area_mm2 = 2.0 * (x + y + z)
    pulled = interface_stress(mesh, stressed(mesh, np.diag([3.0, 0.0, -4.0])), cement, none)
    assert pulled.area_mm2 == pytest.approx(area_mm2)
    assert pulled.tension_MPa.maximum == pytest.approx(3.0)
    assert pulled.shear_MPa.maximum == pytest.approx(0.0, abs=1e-12)
    shear = np.zeros((3, 3))
    shear[0, 2] = shear[2, 0] = 1.5
    slid = interface_stress(mesh, stressed(mesh, shear), cement, none)
    assert slid.shear_MPa.maximum == pytest.approx(1.5)
    assert slid.tension_MPa.maximum == pytest.approx(0.0, abs=1e-12)


def test_tumour_and_other_bones_are_no_bone_to_hold(box: Callable[..., BoneMesh]) -> None:
    """Protects: the interface is that with sound bone; where it is tumour, nothing holds."""
    mesh = box(4)
    cement, z = block(mesh), mesh.centroids_mm[:, 2]
    below = ((z < -30.0) & (cement == 0.0)).astype(float)
    state = stressed(mesh, np.diag([0.0, 0.0, 2.0]))
    whole = interface_stress(mesh, state, cement, 0.4 * below)
    less = interface_stress(mesh, state, cement, 0.6 * below)
    assert whole.area_mm2 - less.area_mm2 == pytest.approx(4.0 * EDGES_MM[0] * EDGES_MM[1])
    all_tumour = interface_stress(mesh, state, cement, 1.0 - cement)
    assert all_tumour is NO_INTERFACE


def test_each_face_has_the_stress_of_its_own_two_cells(box: Callable[..., BoneMesh]) -> None:
    """Protects: which cell lies behind which face, by a search of all pairs of cells."""
    mesh = box(4)
    cement = block(mesh)
    rng = np.random.default_rng(7)
    stress = rng.normal(size=(len(mesh.tets), 3, 3))
    stress += stress.swapaxes(1, 2)
    state: Any = SimpleNamespace(stress_MPa=stress)
    tension, shear = [], []
    inside = [set(tet) for tet in mesh.tets]
    for one in np.flatnonzero(cement == 1.0):
        for other in np.flatnonzero(cement == 0.0):
            face = sorted(inside[one] & inside[other])
            if len(face) == 3:
                a, b, c = mesh.points_mm[face]
                n = np.cross(b - a, c - a) / np.linalg.norm(np.cross(b - a, c - a))
                traction = 0.5 * (stress[one] + stress[other]) @ n
                tension.append(max(traction @ n, 0.0))
                shear.append(np.linalg.norm(traction - (traction @ n) * n))
    found = interface_stress(mesh, state, cement, 0.0 * cement)
    assert found.tension_MPa.maximum == pytest.approx(max(tension))
    assert found.shear_MPa.maximum == pytest.approx(max(shear))


def test_a_layer_in_a_column_bears_the_load(box: Callable[..., BoneMesh]) -> None:
    """Protects: a solved state: in series stiff cement has the stress of the soft bone, F / A.

    Half of each cell of the layer is cement, which carries all of its force: twice the stress.
    """
    mesh = box(4)
    middle = mesh.points_mm[mesh.facets].mean(axis=1)
    tag = np.zeros_like(mesh.facet_tag)
    foot, head = np.isclose(middle[:, 2], -40.0), np.isclose(middle[:, 2], 0.0)
    left, right = SACROILIAC_JOINTS["left"], SACROILIAC_JOINTS["right"]
    tag[foot] = np.where(middle[foot, 0] > 0.0, left, right)
    tag[head] = mesh.facet_tag[head]
    mesh = replace(mesh, facet_tag=tag)
    layer = np.abs(mesh.centroids_mm[:, 2] + 20.0) < 10.0
    bare = MaterialParameters(cortex_mm=0.0)
    moduli = replace(
        intact_modulus(mesh),
        young_MPa=np.where(layer, 2000.0, 200.0),
        poisson=np.zeros(len(mesh.tets)),
    )
    model = make_model(mesh, SacralLoad(FORCE_N, 0.0), support_of(mesh), bare, 2, MPI.COMM_SELF)
    state = solve_state(model, moduli)
    exact_MPa = FORCE_N / (60.0 * 30.0)
    found = cement_stress(mesh, state, 0.5 * layer, 1.0 * layer)
    assert found.compression_MPa.p95 == pytest.approx(2.0 * exact_MPa, rel=1e-6)
    assert found.compression_MPa.maximum == pytest.approx(2.0 * exact_MPa, rel=1e-6)
    assert found.von_mises_MPa.maximum == pytest.approx(2.0 * exact_MPa, rel=1e-6)
    faces = interface_stress(mesh, state, 1.0 * layer, 0.0 * layer)
    assert faces.area_mm2 == pytest.approx(2.0 * 60.0 * 30.0)
    assert faces.tension_MPa.maximum == pytest.approx(0.0, abs=1e-6)
    assert faces.shear_MPa.maximum == pytest.approx(0.0, abs=1e-6)


def test_a_mirrored_bone_has_the_same_cement(box: Callable[..., BoneMesh]) -> None:
    """Protects: no side is special: normals turn with the mesh."""
    mesh = box(4)
    mirror = np.diag([-1.0, 1.0, 1.0])
    other = replace(mesh, points_mm=mesh.points_mm @ mirror, tets=mesh.tets[:, [1, 0, 2, 3]])
    rng = np.random.default_rng(5)
    stress = rng.normal(size=(len(mesh.tets), 3, 3))
    stress += stress.swapaxes(1, 2)
    found = []
    for bone, values in ((mesh, stress), (other, mirror @ stress @ mirror)):
        state: Any = SimpleNamespace(stress_MPa=values, principal_MPa=np.linalg.eigvalsh(values))
        cement = block(mesh)
        faces = interface_stress(bone, state, cement, 0.0 * cement)
        inside = cement_stress(bone, state, cement, cement)
        found.append([faces.tension_MPa.p95, faces.shear_MPa.p95, inside.von_mises_MPa.p95])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_fills_and_lesions_make_the_parts(box: Callable[..., BoneMesh]) -> None:
    """Protects: cement of all fills together; tumour that the cement took the place of is gone."""
    mesh = box(4)
    samples = samples_of(mesh)
    left = samples.points_mm[:, 0] > 0.0
    inside = block(mesh)[samples.cell] > 0.0
    fills: Any = [SimpleNamespace(samples=samples, inside=inside & half) for half in (left, ~left)]
    lesion: Any = SimpleNamespace(lytic=inside)
    state = stressed(mesh, np.diag([0.0, 0.0, -2.0]))
    cement, faces = stress_of_fills(mesh, state, [lesion], fills, block(mesh))
    assert cement.volume_ml == pytest.approx(8.0 * EDGES_MM.prod() / 1000.0)
    assert faces.area_mm2 == interface_stress(mesh, state, block(mesh), 0 * block(mesh)).area_mm2
