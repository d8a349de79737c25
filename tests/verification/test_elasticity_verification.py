"""Verification: an independent assembler finds the same answer; errors fall at the right rate."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse.linalg
import skfem
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc
from mpi4py import MPI
from petsc4py import PETSc
from skfem.helpers import ddot, dot, eye, sym_grad, trace

from sacrofem.mechanics.elasticity import Coefficients, make_model, strain, stress
from sacrofem.mechanics.loads import StandingLoad, gravity, tractions_MPa
from sacrofem.mechanics.materials import BONE_POISSON, MaterialParameters, ModulusField
from sacrofem.mechanics.state import solve_state
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, JointSprings, Support
from sacrofem.mesh.bone_mesh import BoneMesh, facet_areas_mm2


def skfem_vertex_displacement(
    bone: BoneMesh,
    modulus: ModulusField,
    load: StandingLoad,
    springs: JointSprings,
    materials: MaterialParameters,
    order: int,
) -> np.ndarray:
    """The same boundary-value problem by scikit-fem and a direct solver, shape (n, 3)."""
    grid = skfem.MeshTet(bone.points_mm.T, bone.tets.T)
    element = skfem.ElementVector(skfem.ElementTetP2() if order == 2 else skfem.ElementTetP1())
    basis = skfem.Basis(grid, element, intorder=4)
    E, nu = modulus.young_MPa[:, None], modulus.poisson[:, None]
    mu, lam = E / (2 * (1 + nu)), E * nu / ((1 + nu) * (1 - 2 * nu))

    @skfem.BilinearForm
    def body(u, v, w):
        eps = sym_grad(u)
        return ddot(2 * mu * eps + lam * eye(trace(eps), 3), sym_grad(v))

    # Facets of the mesh in skfem's numbering, by their midpoints.
    boundary = grid.boundary_facets()
    middle = grid.p[:, grid.facets[:, boundary]].mean(axis=1).T
    own = bone.points_mm[bone.facets].mean(axis=1)
    nearest = np.linalg.norm(middle[:, None] - own, axis=2).argmin(axis=1)
    tag = bone.facet_tag[nearest]
    t = materials.cortex_mm * materials.cortex_MPa / (1 - BONE_POISSON**2)

    @skfem.BilinearForm
    def membrane(u, v, w):
        P = eye(np.ones_like(w.n[0]), 3) - np.einsum("i...,j...->ij...", w.n, w.n)
        tangential = [np.einsum("ij...,jk...,kl...->il...", P, sym_grad(a), P) for a in (u, v)]
        in_plane = (1 - BONE_POISSON) * ddot(*tangential)
        return t * w["c"] * (in_plane + BONE_POISSON * trace(tangential[0]) * trace(tangential[1]))

    @skfem.BilinearForm
    def joint(u, v, w):
        k_n, k_t = springs.normal_N_per_mm3, springs.tangential_N_per_mm3
        return k_t * dot(u, v) + (k_n - k_t) * dot(u, w.n) * dot(v, w.n)

    K = body.assemble(basis)
    outer = skfem.FacetBasis(grid, element, facets=boundary, intorder=4)
    K = K + membrane.assemble(outer, c=modulus.cortex[grid.f2t[0, boundary]][:, None])
    for side in (4, 5):
        K = K + joint.assemble(
            skfem.FacetBasis(grid, element, facets=boundary[tag == side], intorder=4)
        )
    f = np.zeros(K.shape[0])
    for value, traction in tractions_MPa(bone, load).items():
        part = skfem.FacetBasis(grid, element, facets=boundary[tag == value], intorder=4)
        f += skfem.LinearForm(
            lambda v, w, traction=traction: np.einsum("i,i...->...", traction, v)
        ).assemble(part)
    u = scipy.sparse.linalg.spsolve(K.tocsc(), f)
    return u[basis.nodal_dofs].T


@pytest.mark.parametrize("order", [1, 2])
def test_scikit_fem_finds_the_same_displacement(box: Callable[..., BoneMesh], order: int) -> None:
    """Another assembler and a direct solver: bone, cortex, joint springs and tractions at once."""
    bone = box(3)
    rng = np.random.default_rng(7)
    cells = len(bone.tets)
    modulus = ModulusField(
        rng.uniform(1.0, 2000.0, cells), rng.uniform(0.2, 0.45, cells), rng.uniform(0, 1, cells)
    )
    load, springs = StandingLoad(), JointSprings(8.0, 1.5)
    materials = MaterialParameters()
    support = Support(SACROILIAC_JOINTS, springs)
    model = make_model(bone, load, support, materials, order, MPI.COMM_SELF)
    ours = solve_state(model, modulus).displacement_mm
    theirs = skfem_vertex_displacement(bone, modulus, load, springs, materials, order)
    np.testing.assert_allclose(ours, theirs, atol=1e-8 * np.abs(theirs).max())


def manufactured_errors(order: int, cells: int) -> tuple[float, float]:
    """L2 and H1 errors for u = (sin x cos y, sin y cos z, sin z cos x) and E = 1000 (1 + x)."""
    grid = mesh.create_unit_cube(MPI.COMM_WORLD, cells, cells, cells)
    space = fem.functionspace(grid, ("Lagrange", order, (3,)))
    x = ufl.SpatialCoordinate(grid)
    exact = ufl.as_vector([ufl.sin(x[i]) * ufl.cos(x[(i + 1) % 3]) for i in range(3)])
    moduli = Coefficients(1000.0 * (1 + x[0]), fem.Constant(grid, 0.3), fem.Constant(grid, 1.0))
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    a = ufl.inner(stress(u, moduli), strain(v)) * ufl.dx
    L = ufl.inner(-ufl.div(stress(exact, moduli)), v) * ufl.dx
    boundary = fem.Function(space)
    boundary.interpolate(
        lambda p: np.stack([np.sin(p[i]) * np.cos(p[(i + 1) % 3]) for i in range(3)])
    )
    grid.topology.create_connectivity(2, 3)
    facets = mesh.exterior_facet_indices(grid.topology)
    bc = fem.dirichletbc(boundary, fem.locate_dofs_topological(space, 2, facets))
    solution = solve_directly(a, L, bc, space)
    error = solution - exact
    parts = (ufl.inner(error, error), ufl.inner(ufl.grad(error), ufl.grad(error)))
    total = [fem.assemble_scalar(fem.form(part * ufl.dx)) for part in parts]
    l2, h1 = (np.sqrt(grid.comm.allreduce(value)) for value in total)
    return l2, h1


def solve_directly(a, L, bc, space) -> fem.Function:
    """A linear problem by its matrices: the convenience class differs between versions."""
    form_a, form_L = fem.form(a), fem.form(L)
    A = petsc.assemble_matrix(form_a, bcs=[bc])
    A.assemble()
    b = petsc.assemble_vector(form_L)
    petsc.apply_lifting(b, [form_a], bcs=[[bc]])
    b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    petsc.set_bc(b, [bc])
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOperators(A)
    ksp.setType("preonly")
    ksp.getPC().setType("lu")
    ksp.getPC().setFactorSolverType("mumps")
    x = b.duplicate()
    ksp.solve(b, x)
    solution = fem.Function(space)
    solution.x.array[: x.getLocalSize()] = x.getArray()
    solution.x.scatter_forward()
    return solution


@pytest.mark.mpi
@pytest.mark.parametrize("order", [1, 2])
def test_manufactured_solution_converges_at_the_theoretical_rate(order: int) -> None:
    """Observed orders: order + 1 in L2 and order in H1, for a modulus that varies in space."""
    coarse, fine = manufactured_errors(order, 4), manufactured_errors(order, 8)
    rates = np.log2(np.array(coarse) / np.array(fine))
    assert rates[0] == pytest.approx(order + 1, abs=0.2)
    assert rates[1] == pytest.approx(order, abs=0.1)


def test_load_is_exact_on_any_mesh(box: Callable[..., BoneMesh]) -> None:
    """The traction's resultant is the force whatever the facets are."""
    bone = box(3)
    bone = replace(bone, points_mm=bone.points_mm * [1.0, 1.1, 0.9])
    load = StandingLoad(force_N=321.0, sacral_slope_deg=25.0)
    total = np.zeros(3)
    for tag, traction in tractions_MPa(bone, load).items():
        area = facet_areas_mm2(bone.points_mm, bone.facets[bone.facet_tag == tag]).sum()
        total += area * traction
    np.testing.assert_allclose(total, 321.0 * gravity(bone.frame, 25.0), rtol=1e-12)
