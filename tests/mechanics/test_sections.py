"""Section forces and strain energy: statics, closed forms, mirror images, ranks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.errors import SolverError
from sacrofem.mechanics import sections, state
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, ModulusField, intact_modulus
from sacrofem.mechanics.sections import Section, make_section
from sacrofem.mechanics.state import StateSolution, solve_state
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, Support, cartilage_springs
from sacrofem.mesh.bone_mesh import BoneMesh

FORCE_N = 500.0
SHELL, BARE = MaterialParameters(), MaterialParameters(cortex_mm=0.0)


def model_of(
    mesh: BoneMesh,
    materials: MaterialParameters = SHELL,
    order: int = 2,
    comm: MPI.Comm = MPI.COMM_SELF,
    slope_deg: float = 0.0,
) -> ElasticModel:
    support = Support(SACROILIAC_JOINTS, cartilage_springs())
    return make_model(mesh, SacralLoad(FORCE_N, slope_deg), support, materials, order, comm)


def rough(mesh: BoneMesh) -> ModulusField:
    """Moduli that no symmetry helps: another one in each cell."""
    rng = np.random.default_rng(3)
    return replace(intact_modulus(mesh), young_MPa=rng.uniform(1.0, 1000.0, len(mesh.tets)))


def cut(mesh: BoneMesh, axis: int, place_mm: float, sign: int = 1) -> Section:
    """The far side lies beyond a plane across an axis."""
    far = sign * (mesh.centroids_mm[:, axis] - place_mm) > 0.0
    return make_section(mesh, f"{axis} at {place_mm:g}", far, ~far)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("materials", [SHELL, BARE])
def test_what_goes_through_a_section_is_what_statics_demands(
    box: Callable[..., BoneMesh], order: int, materials: MaterialParameters
) -> None:
    """Protects: on any mesh and any moduli, the far side's supports less its load, exactly."""
    mesh = box(4)
    cuts = (cut(mesh, 0, 15.0), cut(mesh, 0, -15.0, -1))
    model = model_of(mesh, materials, order, slope_deg=30.0)
    found = solve_state(model, rough(mesh), cuts)
    quarter = 0.25 * model.force_N  # each side of the plane bears a quarter of the endplate's load
    for side, section in zip(("left", "right"), found.sections, strict=True):
        exact = found.joint_force_N[side] - quarter
        np.testing.assert_allclose(section.force_N, exact, atol=1e-8 * FORCE_N)
        assert section.error < 1e-8
        parts = section.cell_force_N.sum(axis=0) + section.cortex_N + section.rim_N
        np.testing.assert_allclose(parts, section.force_N, atol=1e-10 * FORCE_N)
        assert (np.linalg.norm(section.cortex_N) > 1.0) == (materials is SHELL)


def test_the_two_sides_push_each_other_alike(box: Callable[..., BoneMesh]) -> None:
    """Protects: action and reaction, in force and in moment, though other cells carry them."""
    mesh = box(4)
    pair = (cut(mesh, 2, -20.0), cut(mesh, 2, -20.0, -1))
    one, other = solve_state(model_of(mesh, slope_deg=30.0), rough(mesh), pair).sections
    np.testing.assert_allclose(one.force_N, -other.force_N, atol=1e-8 * FORCE_N)
    np.testing.assert_allclose(one.moment_Nmm, -other.moment_Nmm, atol=1e-6 * FORCE_N)


def column(mesh: BoneMesh, load_at_mm: float) -> BoneMesh:
    """The box as a column: joints on the two halves of its foot, one half of its head loaded."""
    middle = mesh.points_mm[mesh.facets].mean(axis=1)
    tag = np.zeros_like(mesh.facet_tag)
    foot, head = np.isclose(middle[:, 2], -40.0), np.isclose(middle[:, 2], 0.0)
    left, right = SACROILIAC_JOINTS["left"], SACROILIAC_JOINTS["right"]
    tag[foot] = np.where(middle[foot, 0] > 0.0, left, right)
    tag[head & (middle[:, 0] > load_at_mm)] = mesh.facet_tag[head][0]
    return replace(mesh, facet_tag=tag)


@pytest.mark.parametrize(("from_mm", "arm_mm"), [(-30.0, 0.0), (0.0, 15.0), (15.0, 22.5)])
def test_a_column_carries_the_load_and_the_moment_of_its_arm(
    box: Callable[..., BoneMesh], from_mm: float, arm_mm: float
) -> None:
    """Protects: uniaxial, the section bears the load at every height; eccentric, ``F e`` as well.

    The moment about y of ``F`` downwards at ``x = e`` is ``F e``: a slip in sign or centre shows.
    """
    mesh = column(box(4), from_mm)
    cuts = [cut(mesh, 2, z, -1) for z in (-10.0, -20.0, -30.0)]
    for section in solve_state(model_of(mesh), rough(mesh), cuts).sections:
        np.testing.assert_allclose(section.force_N, [0.0, 0.0, -FORCE_N], atol=1e-8 * FORCE_N)
        exact = np.array([0.0, FORCE_N * arm_mm, 0.0])
        np.testing.assert_allclose(section.moment_Nmm, exact, atol=1e-6 * FORCE_N)


def test_cells_of_a_uniform_column_carry_alike(box: Callable[..., BoneMesh]) -> None:
    """Protects: the parts of a section's force, from which the cement's share is taken."""
    mesh = column(box(4), -30.0)
    none = replace(intact_modulus(mesh), poisson=np.zeros(len(mesh.tets)))
    section = solve_state(model_of(mesh, BARE), none, [cut(mesh, 2, -20.0, -1)]).sections[0]
    x = mesh.centroids_mm[section.cells, 0]
    for half in (x > 0.0, x < 0.0):
        assert section.cell_force_N[half, 2].sum() == pytest.approx(-0.5 * FORCE_N, rel=1e-8)


def test_a_mirrored_mesh_has_mirrored_sections(box: Callable[..., BoneMesh]) -> None:
    """Protects: left and right."""
    mesh = box(3)
    turn = {4: 5, 5: 4}
    other = replace(
        mesh,
        points_mm=mesh.points_mm * [-1, 1, 1],
        tets=mesh.tets[:, [1, 0, 2, 3]],
        facets=mesh.facets[:, [1, 0, 2]],
        facet_tag=np.array([turn.get(int(t), int(t)) for t in mesh.facet_tag], dtype=np.int8),
    )
    one = solve_state(model_of(mesh), rough(mesh), [cut(mesh, 0, 10.0)])
    two = solve_state(model_of(other), rough(mesh), [cut(other, 0, -10.0, -1)])
    near = 1e-8 * FORCE_N
    np.testing.assert_allclose(
        one.sections[0].force_N, two.sections[0].force_N * [-1, 1, 1], atol=near
    )
    np.testing.assert_allclose(
        one.sections[0].moment_Nmm, two.sections[0].moment_Nmm * [1, -1, -1], atol=100 * near
    )
    np.testing.assert_allclose(one.energy.cell_mJ, two.energy.cell_mJ, rtol=1e-6)


@pytest.mark.parametrize("order", [1, 2])
def test_energy_is_half_the_work(box: Callable[..., BoneMesh], order: int) -> None:
    """Protects: no part of the energy is left out, and each is where it belongs."""
    mesh = box(3)
    shell, bare = (solve_state(model_of(mesh, m, order), rough(mesh)).energy for m in (SHELL, BARE))
    for energy in (shell, bare):
        stored = energy.cell_mJ.sum() + energy.cortex_mJ + energy.springs_mJ
        assert stored == pytest.approx(energy.half_work_mJ, rel=1e-8)
        assert energy.error < 1e-8
        assert energy.cell_mJ.min() > 0.0
    assert shell.cortex_mJ > 0.0
    assert bare.cortex_mJ == 0.0


def test_energy_of_uniaxial_stress(box: Callable[..., BoneMesh]) -> None:
    """Protects: ``sigma^2 / 2E`` in every cell of a column that may widen freely."""
    mesh = column(box(3), -30.0)
    E, area_mm2 = 200.0, 60.0 * 30.0
    uniform = replace(
        intact_modulus(mesh),
        young_MPa=np.full(len(mesh.tets), E),
        poisson=np.zeros(len(mesh.tets)),
    )
    energy = solve_state(model_of(mesh, BARE), uniform).energy
    density = energy.cell_mJ / (1000.0 * mesh.cell_ml)
    np.testing.assert_allclose(density, (FORCE_N / area_mm2) ** 2 / (2.0 * E), rtol=1e-6)


@pytest.mark.parametrize("lost", ["cortex", "cells"])
def test_forces_that_do_not_balance_are_an_error(
    box: Callable[..., BoneMesh], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Protects: a law that the solver and the measures do not share is found on every solve."""
    mesh = box(2)
    if lost == "cortex":
        true = state.cortex_forces
        monkeypatch.setattr(state, "cortex_forces", lambda m, u: true(m, u).of(np.arange(3)))
    else:
        forces = sections.bulk_forces
        monkeypatch.setattr(sections, "bulk_forces", lambda m, u, c: forces(m, u, c[:-1]))
    with pytest.raises(SolverError, match="the balance of 2 at -20 must hold to 1e-08"):
        solve_state(model_of(mesh), rough(mesh), [cut(mesh, 2, -20.0)])


@pytest.mark.mpi
@pytest.mark.parametrize("order", [1, 2])
def test_all_ranks_together_find_what_one_rank_finds(
    box: Callable[..., BoneMesh], order: int
) -> None:
    """Protects: nodes that ranks share count once, whatever side of a section they are on."""
    mesh = box(4)
    cuts = [cut(mesh, 0, 2.0), cut(mesh, 1, 0.0), cut(mesh, 2, -20.0)]
    both: list[StateSolution] = []
    for comm in (MPI.COMM_SELF, MPI.COMM_WORLD):
        model = model_of(mesh, order=order, comm=comm, slope_deg=30.0)
        both.append(solve_state(model, rough(mesh), cuts))
    for one, all_ in zip(both[0].sections, both[1].sections, strict=True):
        near = 1e-7 * FORCE_N
        np.testing.assert_allclose(all_.force_N, one.force_N, atol=near)
        np.testing.assert_allclose(all_.moment_Nmm, one.moment_Nmm, atol=100 * near)
        np.testing.assert_array_equal(all_.cells, one.cells)
        np.testing.assert_allclose(all_.cell_force_N, one.cell_force_N, atol=near)
        np.testing.assert_allclose(all_.cortex_N, one.cortex_N, atol=near)
    np.testing.assert_allclose(both[1].energy.cell_mJ, both[0].energy.cell_mJ, rtol=1e-6)
    assert both[1].energy.cortex_mJ == pytest.approx(both[0].energy.cortex_mJ, rel=1e-8)
