"""The boundary-value problem: springs in closed form, theorems of linear elasticity, symmetry.

The two tests worth reading: ``test_stiff_box_on_springs`` compares with a closed form, and
``test_stiffening_never_lowers_and_softening_never_raises_the_stiffness`` with a theorem.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.errors import SolverError
from sacrofem.measure.load_transfer import LoadTransfer, load_transfer
from sacrofem.mechanics import linear_solver, state
from sacrofem.mechanics.distributed import on_root
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, ModulusField, intact_modulus
from sacrofem.mechanics.state import StateSolution, solve_state
from sacrofem.mechanics.supports import (
    SACROILIAC_JOINTS,
    JointSprings,
    Support,
    cartilage_springs,
)
from sacrofem.mesh.bone_mesh import BoneMesh

NO_CORTEX = MaterialParameters(cortex_mm=0.0)
UPRIGHT = SacralLoad(force_N=500.0, sacral_slope_deg=0.0)


def model_of(
    mesh: BoneMesh,
    load: SacralLoad = UPRIGHT,
    springs: JointSprings | None = None,
    materials: MaterialParameters = NO_CORTEX,
    order: int = 2,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> ElasticModel:
    support = Support(SACROILIAC_JOINTS, springs or cartilage_springs())
    return make_model(mesh, load, support, materials, order, comm)


def uniform(mesh: BoneMesh, young_MPa: float) -> ModulusField:
    return replace(intact_modulus(mesh), young_MPa=np.full(len(mesh.tets), young_MPa))


def transfer(model: ElasticModel, modulus: ModulusField) -> tuple[StateSolution, LoadTransfer]:
    solved = solve_state(model, modulus)
    return solved, load_transfer(solved, model.force_N)


@pytest.mark.parametrize("order", [1, 2])
def test_stiff_box_on_springs(box: Callable[..., BoneMesh], order: int) -> None:
    """A rigid body on two faces of area A under F sinks by F / (2 k_t A) straight down."""
    springs = JointSprings(normal_N_per_mm3=7.0, tangential_N_per_mm3=1.3)
    solved, found = transfer(*_stiff(box, springs, order))
    exact = 2 * 1.3 * (30.0 * 40.0)
    assert found.stiffness_N_per_mm == pytest.approx(exact, rel=3e-4)
    assert found.share_left == pytest.approx(0.5, abs=1e-6)
    np.testing.assert_allclose(solved.displacement_mm[:, 2], -500.0 / exact, rtol=1e-3)


def _stiff(
    box: Callable[..., BoneMesh], springs: JointSprings, order: int
) -> tuple[ElasticModel, ModulusField]:
    mesh = box(3)
    return model_of(mesh, springs=springs, order=order), uniform(mesh, 1e6)


def test_slope_pushes_the_sacrum_to_the_front(box: Callable[..., BoneMesh]) -> None:
    mesh = box(2)
    model = model_of(mesh, SacralLoad(sacral_slope_deg=40.0))
    solved = solve_state(model, uniform(mesh, 500.0))
    assert model.direction @ [0, 1, 0] == pytest.approx(-np.sin(np.radians(40)))
    assert solved.endplate_mm[1] < 0 > solved.endplate_mm[2]


@pytest.mark.parametrize("factor", [0.01, 0.5, 2.0, 100.0])
def test_stiffening_never_lowers_and_softening_never_raises_the_stiffness(
    box: Callable[..., BoneMesh], factor: float
) -> None:
    mesh = box(3)
    model = model_of(mesh, materials=MaterialParameters())
    base = intact_modulus(mesh)
    _, before = transfer(model, base)
    rng = np.random.default_rng(5)
    for _ in range(3):
        some = rng.random(len(mesh.tets)) < 0.2
        young = np.where(some, factor * base.young_MPa, base.young_MPa)
        _, after = transfer(model, replace(base, young_MPa=young))
        change = (after.stiffness_N_per_mm / before.stiffness_N_per_mm - 1.0) * np.sign(factor - 1)
        assert change >= -1e-9
        assert change > 1e-6  # and it does change: the modulus reaches the matrix


def test_cortex_carries_load(box: Callable[..., BoneMesh]) -> None:
    mesh = box(3)
    bare = transfer(model_of(mesh), uniform(mesh, 100.0))[1]
    shell = transfer(model_of(mesh, materials=MaterialParameters()), uniform(mesh, 100.0))[1]
    assert shell.stiffness_N_per_mm > 1.2 * bare.stiffness_N_per_mm
    model = model_of(mesh, materials=MaterialParameters())
    gone = transfer(model, replace(uniform(mesh, 100.0), cortex=np.zeros(len(mesh.tets))))[1]
    assert gone.stiffness_N_per_mm == pytest.approx(bare.stiffness_N_per_mm, rel=1e-8)


def test_a_soft_left_side_sends_load_to_the_right_and_mirrors(
    box: Callable[..., BoneMesh],
) -> None:
    mesh = box(4)
    left = mesh.centroids_mm[:, 0] > 15.0
    base = intact_modulus(mesh)
    shares = {}
    for name, soft in (("left", left), ("right", mesh.centroids_mm[:, 0] < -15.0)):
        young = np.where(soft, 0.05 * base.young_MPa, base.young_MPa)
        shares[name] = transfer(model_of(mesh), replace(base, young_MPa=young))[1]
    assert shares["left"].share_left < 0.49
    # The Kuhn subdivision is not mirror-symmetric: equal up to the discretisation.
    assert shares["left"].share_left == pytest.approx(shares["right"].share_right, abs=2e-3)


def test_a_mirrored_mesh_has_exactly_mirrored_shares(box: Callable[..., BoneMesh]) -> None:
    mesh = box(3)
    rng = np.random.default_rng(1)
    modulus = replace(intact_modulus(mesh), young_MPa=rng.uniform(10, 1000, len(mesh.tets)))
    turn = {4: 5, 5: 4}
    other = replace(
        mesh,
        points_mm=mesh.points_mm * [-1, 1, 1],
        tets=mesh.tets[:, [1, 0, 2, 3]],
        facets=mesh.facets[:, [1, 0, 2]],
        facet_tag=np.array([turn.get(int(t), int(t)) for t in mesh.facet_tag], dtype=np.int8),
    )
    found = transfer(model_of(mesh, materials=MaterialParameters()), modulus)[1]
    mirror = transfer(model_of(other, materials=MaterialParameters()), modulus)[1]
    assert found.share_left != pytest.approx(found.share_right, abs=1e-3)
    assert found.share_left == pytest.approx(mirror.share_right, rel=1e-8)
    assert found.stiffness_N_per_mm == pytest.approx(mirror.stiffness_N_per_mm, rel=1e-8)


@pytest.mark.parametrize("contrast", [1e2, 1e4, 1e6])
def test_converges_at_high_contrast(box: Callable[..., BoneMesh], contrast: float) -> None:
    mesh = box(6)
    inside = np.linalg.norm(mesh.centroids_mm - [-15.0, 0, -20.0], axis=1) < 8.0
    cement = np.linalg.norm(mesh.centroids_mm - [15.0, 0, -20.0], axis=1) < 8.0
    young = np.where(inside, 2000.0 / contrast, np.where(cement, 2000.0, 300.0))
    solved = solve_state(
        model_of(mesh, materials=MaterialParameters()), replace(uniform(mesh, 1.0), young_MPa=young)
    )
    assert solved.record.iterations < 120
    assert solved.equilibrium_error < 1e-8


def test_shares_sum_to_one_and_forces_balance(box: Callable[..., BoneMesh]) -> None:
    mesh = box(3)
    solved, found = transfer(model_of(mesh, SacralLoad()), intact_modulus(mesh))
    assert found.share_left + found.share_right == pytest.approx(1.0, abs=1e-8)
    assert solved.equilibrium_error < 1e-8


def test_a_solve_that_does_not_converge_is_an_error_with_its_numbers(
    box: Callable[..., BoneMesh], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_solver, "MAX_ITERATIONS", 2)
    mesh = box(3)
    with pytest.raises(SolverError, match=r"after 2 iterations with reason -3 .* dofs"):
        solve_state(model_of(mesh), intact_modulus(mesh))


def test_a_solution_out_of_balance_is_an_error(
    box: Callable[..., BoneMesh], monkeypatch: pytest.MonkeyPatch
) -> None:
    true = state.joint_forces_N

    def lost(model: ElasticModel, u: object) -> dict[str, np.ndarray]:
        return {side: 0.9 * force for side, force in true(model, u).items()}

    monkeypatch.setattr(state, "joint_forces_N", lost)
    mesh = box(2)
    with pytest.raises(SolverError, match="not in equilibrium"):
        solve_state(model_of(mesh), intact_modulus(mesh))


@pytest.mark.mpi
@pytest.mark.parametrize("order", [1, 2])
def test_all_ranks_together_find_what_one_rank_finds(
    box: Callable[..., BoneMesh], order: int
) -> None:
    mesh = box(4)
    rng = np.random.default_rng(2)
    modulus = replace(intact_modulus(mesh), young_MPa=rng.uniform(1, 1000, len(mesh.tets)))
    both = {}
    for name, comm in (("self", MPI.COMM_SELF), ("world", MPI.COMM_WORLD)):
        model = model_of(mesh, SacralLoad(), materials=MaterialParameters(), order=order, comm=comm)
        both[name] = transfer(model, modulus)
    (one, one_transfer), (all_, all_transfer) = both["self"], both["world"]
    assert all_transfer.stiffness_N_per_mm == pytest.approx(
        one_transfer.stiffness_N_per_mm, rel=1e-8
    )
    assert all_transfer.share_left == pytest.approx(one_transfer.share_left, rel=1e-8)
    scale = np.abs(one.displacement_mm).max()
    np.testing.assert_allclose(all_.displacement_mm, one.displacement_mm, atol=1e-7 * scale)
    scale = np.abs(one.stress_MPa).max()
    np.testing.assert_allclose(all_.stress_MPa, one.stress_MPa, atol=1e-7 * scale)


@pytest.mark.mpi
def test_an_error_on_rank_0_is_raised_on_all_ranks() -> None:
    def fail() -> None:
        raise SolverError("only rank 0 knows")

    with pytest.raises(SolverError, match="only rank 0 knows"):
        on_root(MPI.COMM_WORLD, fail)


def test_a_flexion_moment_turns_a_stiff_box_on_its_springs(box: Callable[..., BoneMesh]) -> None:
    """Protects: the moment reaches the load vector whole, with its sign.

    A rigid body held along two faces of 30 x 40 mm turns by M / (k_t J) about the axis through
    both, J the polar moment of the two areas.
    """
    mesh = box(3)
    bent, straight = (
        solve_state(model_of(mesh, replace(UPRIGHT, moment_Nm=m)), uniform(mesh, 1e6))
        for m in (7.5, 0.0)
    )
    moved = (bent.displacement_mm - straight.displacement_mm)[:, 1:].ravel()
    unit = np.cross([1.0, 0.0, 0.0], mesh.points_mm - [0.0, 0.0, -20.0])[:, 1:].ravel()
    polar_mm4 = 2.0 * 30.0 * 40.0 * (30.0**2 + 40.0**2) / 12.0
    expected = 7500.0 / (cartilage_springs().tangential_N_per_mm3 * polar_mm4)
    assert unit @ moved / (unit @ unit) == pytest.approx(expected, rel=1e-3)
