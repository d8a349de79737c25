"""Patch test: a constant strain is reproduced exactly on any mesh (Irons 1966)."""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import ufl
from dolfinx.fem import petsc

from problems.exact import loaded, model_of, uniform, with_load
from problems.meshes import cube_about_ball
from problems.row import Row, Size
from sacrofem.mechanics.elasticity import ElasticModel, boundary_measure, set_modulus
from sacrofem.mechanics.materials import MaterialParameters
from sacrofem.mechanics.state import solve_state

#: Gradient of the displacement and its value at the origin: arbitrary, with a rotation.
GRADIENT = 1e-3 * np.array([[1.0, 0.4, -0.7], [-0.2, -1.3, 0.5], [0.9, 0.3, 0.6]])
ORIGIN_MM = np.array([0.02, -0.05, 0.03])
YOUNG_MPA, POISSON = 300.0, 0.3
#: The cortex that the package's defaults have to mean.
CORTEX_MM, CORTEX_MPA, CORTEX_POISSON = 1.0, 12000.0, 0.3


def run(size: Size) -> list[Row]:
    """Displacement to 1e-12 by a direct solver, stress of the cells by the package's."""
    edge_mm = 7.0 if size == "small" else 4.0
    return [row for order in (1, 2) for row in _rows(order, edge_mm)]


def _rows(order: int, edge_mm: float) -> list[Row]:
    bone = cube_about_ball(edge_mm, 10.0, 6.0)
    modulus = uniform(bone, YOUNG_MPA, POISSON)
    model = model_of(bone, order)
    x = ufl.SpatialCoordinate(model.domain.mesh)
    exact = ufl.as_matrix(GRADIENT.tolist()) * x + ufl.as_vector(ORIGIN_MM.tolist())
    model = loaded(model, modulus, exact, degree=4)
    nodes = model.space.tabulate_dof_coordinates()
    at_nodes = nodes @ GRADIENT.T + ORIGIN_MM
    error = float(np.abs(directly(model) - at_nodes).max() / np.abs(at_nodes).max())
    solved = solve_state(model, modulus)
    eps = 0.5 * (GRADIENT + GRADIENT.T)
    sigma = (
        YOUNG_MPA / (1 + POISSON) * (eps + POISSON / (1 - 2 * POISSON) * np.trace(eps) * np.eye(3))
    )
    jump = float(np.abs(solved.stress_MPa - sigma).max() / np.abs(sigma).max())
    mesh = f"P{order}, {len(bone.tets):,} unstructured cells"
    return [
        Row(f"displacement, {mesh}, direct solve", "linear", f"off by {error:.1e}", error, 1e-12),
        Row(f"stress of every cell, {mesh}, CG", "constant", f"off by {jump:.1e}", jump, 1e-8),
    ]


def directly(model: ElasticModel) -> np.ndarray:
    """Displacement at the nodes, shape (n, 3): CG stops at 1e-10, a direct solve does not."""
    A = petsc.assemble_matrix(model.stiffness)
    A.assemble()
    b = petsc.assemble_vector(model.load).getArray().copy()
    start, column, value = A.getValuesCSR()
    matrix = scipy.sparse.csr_matrix((value, column, start)).tocsc()
    factors = scipy.sparse.linalg.splu(matrix)
    u = factors.solve(b)
    u += factors.solve(b - matrix @ u)
    return u.reshape(-1, 3)


def membrane(size: Size) -> list[Row]:
    """The same with a cortex: constant tensions on the six flat faces of a cube, P1 and P2.

    In a face the tension is ``t E / (1 - nu^2) ((1 - nu) e + nu tr(e) 1)`` with the strain e in it
    (Timoshenko and Woinowsky-Krieger 1959); ``integral of tension : eps(v)`` is its pull on the
    edges of the cube.
    """
    bone = cube_about_ball(7.0 if size == "small" else 4.0, 10.0, 6.0)
    rows = []
    for order in (1, 2):
        bare = uniform(bone, YOUNG_MPA, POISSON)
        model = model_of(bone, order, MaterialParameters())
        mesh = model.domain.mesh
        x, n = ufl.SpatialCoordinate(mesh), ufl.FacetNormal(mesh)
        model = loaded(model, bare, ufl.as_matrix(GRADIENT.tolist()) * x, degree=4)
        tension = sum(
            n[axis] ** 2 * ufl.as_matrix(t.tolist()) for axis, t in enumerate(_tensions())
        )
        v = ufl.TestFunction(model.space)
        pull = ufl.inner(tension, ufl.grad(v)) * boundary_measure(model.domain)
        model = with_load(model, model.work + pull)
        set_modulus(model, uniform(bone, YOUNG_MPA, POISSON, cortex=1.0))
        exact = model.space.tabulate_dof_coordinates() @ GRADIENT.T
        off = float(np.abs(directly(model) - exact).max() / np.abs(exact).max())
        what = f"displacement, flat cortex, P{order}, {len(bone.tets):,} cells, direct solve"
        rows.append(Row(what, "linear", f"off by {off:.1e}", off, 1e-12))
    return rows


def _tensions() -> list[np.ndarray]:
    """Tension in N/mm in the faces across x, y and z."""
    eps = 0.5 * (GRADIENT + GRADIENT.T)
    plate = CORTEX_MM * CORTEX_MPA / (1 - CORTEX_POISSON**2)
    out = []
    for axis in range(3):
        within = np.eye(3)
        within[axis, axis] = 0.0
        e = within @ eps @ within
        out.append(plate * ((1 - CORTEX_POISSON) * e + CORTEX_POISSON * np.trace(e) * within))
    return out
