"""Bone that yields: bars in closed form, work that is lost, order of strengths, ranks.

The test worth reading is ``test_a_bar_is_elastic_then_bears_its_yield_stress``: the exact curve.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import InputError, SolverError
from sacrofem.measure.failure_curve import dissipated_mJ
from sacrofem.mechanics import plasticity
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, ModulusField, intact_modulus
from sacrofem.mechanics.plasticity import (
    LoadDisplacement,
    Stepping,
    YieldingBone,
    anderson,
    load_to_failure,
)
from sacrofem.mechanics.plasticity_law import (
    YieldStrains,
    effective_strain,
    secant_factor,
    yield_ratio,
)
from sacrofem.mechanics.state import solve_state
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, JointSprings, Support, cartilage_springs
from sacrofem.mesh.bone_mesh import BoneMesh

E_MPA, AREA_MM2, HEIGHT_MM = 200.0, 60.0 * 30.0, 40.0
SPRINGS = JointSprings(normal_N_per_mm3=3.0, tangential_N_per_mm3=1.0)
LIMITS = YieldStrains(compression=0.008, tension=0.006)
NO_CORTEX = MaterialParameters(cortex_mm=0.0)


def bar(mesh: BoneMesh) -> BoneMesh:
    """The box on end: held below, half of it by each joint, free at its sides."""
    middle = mesh.points_mm[mesh.facets].mean(axis=1)
    below = np.isclose(middle[:, 2], -HEIGHT_MM)
    tag = np.where(np.isclose(middle[:, 2], 0.0), SurfaceTag.ENDPLATE_S1, 0)
    tag[below & (middle[:, 0] > 0)] = SurfaceTag.AURICULAR_LEFT
    tag[below & (middle[:, 0] < 0)] = SurfaceTag.AURICULAR_RIGHT
    return replace(mesh, facet_tag=tag.astype(np.int8))


def model_of(
    mesh: BoneMesh,
    force_N: float = 100.0,
    order: int = 1,
    materials: MaterialParameters = NO_CORTEX,
    springs: JointSprings = SPRINGS,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> ElasticModel:
    load = SacralLoad(force_N=force_N, sacral_slope_deg=0.0)
    return make_model(mesh, load, Support(SACROILIAC_JOINTS, springs), materials, order, comm)


def uniform(mesh: BoneMesh, poisson: float = 0.0) -> ModulusField:
    ones = np.ones(len(mesh.tets))
    return ModulusField(E_MPA * ones, poisson * ones, ones)


def all_bone(mesh: BoneMesh, limits: YieldStrains = LIMITS) -> YieldingBone:
    return YieldingBone(np.ones(len(mesh.tets)), mesh.cell_ml, limits)


@pytest.fixture(scope="module")
def block(box: Callable[..., BoneMesh]) -> tuple[ElasticModel, ModulusField, LoadDisplacement]:
    """The box between its joints, with cortex, to failure: strains of all kinds."""
    mesh = box(4)
    model = model_of(mesh, materials=MaterialParameters(), springs=cartilage_springs())
    modulus = intact_modulus(mesh)
    return model, modulus, load_to_failure(model, modulus, all_bone(mesh))


@pytest.mark.parametrize(("force_N", "limit"), [(100.0, 0.008), (-100.0, 0.006)])
@pytest.mark.parametrize("order", [1, 2])
def test_a_bar_is_elastic_then_bears_its_yield_stress(
    box: Callable[..., BoneMesh], force_N: float, limit: float, order: int
) -> None:
    """Protects: the law on either side, and the control: F = min(stiffness d, E e A), exactly."""
    mesh = bar(box(2))
    stepping = Stepping(step=0.3, end_tangent=-1.0, max_steps=6)
    curve = load_to_failure(model_of(mesh, force_N, order), uniform(mesh), all_bone(mesh), stepping)
    plateau_N = E_MPA * limit * AREA_MM2
    stiffness = AREA_MM2 / (HEIGHT_MM / E_MPA + 1.0 / SPRINGS.normal_N_per_mm3)
    exact = np.minimum(stiffness * curve.moved_mm, plateau_N)
    np.testing.assert_allclose(curve.force_N, exact, rtol=1e-7)
    np.testing.assert_allclose(curve.endplate_mm, curve.moved_mm, rtol=1e-7)
    assert curve.force_N[1] == pytest.approx(plateau_N, rel=1e-9)
    assert len(curve.force_N) == 5  # the unloaded bone, yield, 1.2, 1.5 and 1.8 times that
    assert not curve.failed
    assert curve.yielded_ml[-1] == pytest.approx(mesh.cell_ml.sum())


def test_what_is_left_of_a_cell_shares_its_strain(box: Callable[..., BoneMesh]) -> None:
    """Protects: the part of a cell that does not yield goes on with its own stiffness."""
    mesh = bar(box(2))
    half = YieldingBone(np.full(len(mesh.tets), 0.5), 0.5 * mesh.cell_ml, LIMITS)
    stepping = Stepping(step=0.5, max_steps=6)
    curve = load_to_failure(model_of(mesh), uniform(mesh), half, stepping)
    strain = (curve.moved_mm - curve.force_N / AREA_MM2 / SPRINGS.normal_N_per_mm3) / HEIGHT_MM
    exact = 0.5 * E_MPA * AREA_MM2 * (np.minimum(strain, LIMITS.compression) + strain)
    np.testing.assert_allclose(curve.force_N, exact, rtol=1e-7)
    assert not curve.failed


def test_bone_that_cannot_yield_stays_elastic(box: Callable[..., BoneMesh]) -> None:
    """Protects: below yield the curve is the line of the elastic solver, to 1e-8."""
    mesh = box(3)
    model = model_of(mesh, 100.0, springs=cartilage_springs())
    part = np.zeros(len(mesh.tets))
    part[int(np.argmin(mesh.centroids_mm[:, 2]))] = 1e-13  # it yields, and leaves no trace
    stepping = Stepping(reference=1.0, step=0.5, max_steps=4)
    bone = YieldingBone(part, mesh.cell_ml * (part > 0), LIMITS)
    curve = load_to_failure(model, intact_modulus(mesh), bone, stepping)
    elastic = solve_state(model, intact_modulus(mesh))
    np.testing.assert_allclose(
        curve.endplate_mm, curve.force_N * -elastic.endplate_mm[2] / 100.0, rtol=1e-8
    )


def test_a_curve_rises_and_never_gives_work_back(
    block: tuple[ElasticModel, ModulusField, LoadDisplacement],
) -> None:
    """Protects: the second law, equilibrium and residual of each step, a load that has an end."""
    _, _, curve = block
    assert curve.failed
    assert (np.diff(curve.force_N) > 0.0).all()
    assert (np.diff(curve.yielded_ml) >= 0.0).all()
    lost = dissipated_mJ(curve)
    assert lost[1] == pytest.approx(0.0, abs=1e-9)
    assert (np.diff(lost)[1:] > 0.0).all()
    assert curve.residual.max() <= 1e-8
    assert curve.equilibrium_error.max() <= 1e-8


def test_the_end_is_a_state_of_the_elastic_solver_with_the_moduli_that_are_left(
    block: tuple[ElasticModel, ModulusField, LoadDisplacement],
) -> None:
    """Protects: that cells and their cortex both have lost 1 - 1/k, and load and displacement."""
    model, modulus, curve = block
    left = replace(modulus, young_MPa=modulus.young_MPa / curve.k, cortex=modulus.cortex / curve.k)
    solved = solve_state(model, left)
    per_N = -solved.endplate_mm[2] / float(np.linalg.norm(model.force_N))
    assert curve.endplate_mm[-1] == pytest.approx(curve.force_N[-1] * per_N, rel=1e-6)
    assert curve.k.max() > 2.0


def test_the_load_that_is_asked_for_does_not_matter(
    box: Callable[..., BoneMesh], block: tuple[ElasticModel, ModulusField, LoadDisplacement]
) -> None:
    """Protects: the failure load belongs to the bone, not to the size of the load case."""
    mesh = box(4)
    model = model_of(mesh, 777.0, materials=MaterialParameters(), springs=cartilage_springs())
    other = load_to_failure(model, intact_modulus(mesh), all_bone(mesh))
    np.testing.assert_allclose(other.force_N, block[2].force_N, rtol=1e-6)


@pytest.mark.parametrize("change", ["yields later", "is stiffer"])
def test_a_stronger_bone_never_fails_at_a_lower_load(
    block: tuple[ElasticModel, ModulusField, LoadDisplacement], change: str
) -> None:
    """Protects: the order of strengths, at every displacement of the weaker one's curve.

    A stiffer cell bears more at the same strain, and its yield stress rises with its modulus.
    """
    model, modulus, weak = block
    mesh = model.bone
    limits = replace(LIMITS, compression=0.009, tension=0.007)
    some = np.random.default_rng(3).random(len(mesh.tets)) < 0.3
    if change == "yields later":
        bone = all_bone(mesh, limits)
    else:
        bone = all_bone(mesh)
        modulus = replace(modulus, young_MPa=modulus.young_MPa * np.where(some, 1.5, 1.0))
    strong = load_to_failure(model, modulus, bone)
    assert strong.force_N[-1] > weak.force_N[-1]
    at = weak.moved_mm[weak.moved_mm <= strong.moved_mm[-1]]
    # The curves are concave: straight between steps they lie a little low.
    low = np.interp(at, strong.moved_mm, strong.force_N)
    assert (low >= 0.995 * weak.force_N[: len(at)]).all()


def test_a_step_that_does_not_converge_is_refused(
    block: tuple[ElasticModel, ModulusField, LoadDisplacement], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects: no number from a step that is not in equilibrium."""
    model, modulus, _ = block
    monkeypatch.setattr(plasticity, "MAX_ITERATIONS", 2)
    with pytest.raises(SolverError, match="smaller step"):
        load_to_failure(model, modulus, all_bone(model.bone))


@pytest.mark.mpi
def test_the_curve_does_not_depend_on_the_ranks(box: Callable[..., BoneMesh]) -> None:
    """Protects: that the sums and the damage are of the whole bone."""
    mesh = box(3)
    curves = [
        load_to_failure(
            model_of(mesh, springs=cartilage_springs(), comm=comm),
            intact_modulus(mesh),
            all_bone(mesh),
            Stepping(max_steps=3),
        )
        for comm in (MPI.COMM_SELF, MPI.COMM_WORLD)
    ]
    for name in ("force_N", "moved_mm", "endplate_mm", "yielded_ml"):
        alone, together = (getattr(curve, name) for curve in curves)
        np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_uniaxial_stress_yields_at_its_strain() -> None:
    """Protects: both limits with sideways strain, whatever the direction, and k in the stress."""
    nu, turn = np.array([0.3]), np.linalg.qr(np.random.default_rng(1).random((3, 3)))[0]
    for axial, limit in ((-0.004, LIMITS.compression), (0.003, LIMITS.tension)):
        strain = turn @ np.diag([axial, -0.3 * axial, -0.3 * axial]) @ turn.T
        assert effective_strain(strain[None], nu)[0] == pytest.approx(abs(axial))
        assert yield_ratio(strain[None], nu, LIMITS)[0] == pytest.approx(abs(axial) / limit)
        assert yield_ratio(5.0 * strain[None], nu, LIMITS)[0] == pytest.approx(
            5.0 * abs(axial) / limit
        )
    left = secant_factor(np.array([1.0, 4.0, 4.0]), np.array([1.0, 1.0, 0.5]))
    np.testing.assert_allclose(left, [1.0, 0.25, 0.625])


def test_the_limit_of_pressure_is_that_of_the_quadric() -> None:
    """Protects: Poisson's ratio in the norm: under pressure s^2 (3 - 6 nu) = (E e)^2."""
    nu = np.array([0.3])
    stress_over_young = LIMITS.compression / np.sqrt(3.0 - 6.0 * 0.3)
    strain = -stress_over_young * (1.0 - 2.0 * 0.3) * np.eye(3)
    assert yield_ratio(strain[None], nu, LIMITS)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [0.0, -0.007, float("nan"), float("inf")])
def test_yield_strains_are_above_zero(wrong: float) -> None:
    """Protects: a sign convention that differs is told, not taken."""
    with pytest.raises(InputError, match="yield strain in compression"):
        YieldStrains(compression=wrong)


def test_anderson_solves_a_linear_fixed_point_in_as_many_steps_as_it_has_unknowns() -> None:
    """Protects: the mixing; the bare iteration converges by 0.9 a step."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.random((4, 4)))[0]
    matrix = turn @ np.diag([0.9, 0.5, -0.4, 0.1]) @ turn.T
    exact = rng.random(4)
    x, mix = np.zeros(4), anderson(4)
    for _ in range(6):
        x = mix(x, exact + matrix @ (x - exact))
    np.testing.assert_allclose(x, exact, rtol=1e-8)


def test_bone_that_is_not_loaded_has_no_failure_load(box: Callable[..., BoneMesh]) -> None:
    """Protects: no division by a strain of zero."""
    mesh = bar(box(2))
    none = YieldingBone(np.zeros(len(mesh.tets)), mesh.cell_ml, LIMITS)
    with pytest.raises(SolverError, match="no bone that yields"):
        load_to_failure(model_of(mesh), uniform(mesh), none)
