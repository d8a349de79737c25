"""Conjugate gradients with p-multigrid: P2, then P1, then algebraic multigrid.

The coarse levels know the six rigid-body modes. A solve that does not converge, or that fails one
of its checks, raises; it never returns a number.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from dolfinx import fem
from dolfinx.fem import petsc
from mpi4py import MPI
from petsc4py import PETSc

from sacrofem.errors import SolverError
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.elasticity import ElasticModel
from sacrofem.mechanics.ties import add_ligaments

PREFIX = "sacrofem_"
#: Relative residual: equilibrium of forces to 1e-8 needs two digits more.
RELATIVE_TOLERANCE = 1e-10
MAX_ITERATIONS = 500

#: Point blocks keep the three displacements of a node together, which the stiff cortical membrane
#: needs: 45 iterations against 168 with point Jacobi (docs/decisions.md).
#: Bounds of the Chebyshev smoothers: the default's largest eigenvalue is under-estimated at high
#: contrast and CG then stops with an indefinite preconditioner (docs/decisions.md).
_CHEBYSHEV = {
    "ksp_type": "chebyshev",
    "ksp_max_it": "2",
    "ksp_chebyshev_esteig": "0,0.1,0,1.3",
    "pc_type": "pbjacobi",
}
_GAMG = {
    "pc_type": "gamg",
    "pc_gamg_threshold": "0.02",
    **{f"mg_levels_{key}": value for key, value in _CHEBYSHEV.items()},
}


@dataclass(frozen=True)
class SolveRecord:
    """How one solve went.

    Attributes:
        iterations: Of CG.
        residual: True relative residual ``|b - A u| / |b|``, recomputed after the solve.
        reason: PETSc's reason of convergence.
    """

    iterations: int
    residual: float
    reason: int


def multigrid_options(order: int) -> dict[str, str]:
    """PETSc options, without prefix, of the solver for displacements of degree 1 or 2."""
    options = {
        "ksp_type": "cg",
        "ksp_norm_type": "unpreconditioned",
        "ksp_rtol": str(RELATIVE_TOLERANCE),
        "ksp_max_it": str(MAX_ITERATIONS),
    }
    if order == 1:
        return options | _GAMG
    options |= {"pc_type": "mg", "pc_mg_galerkin": "none"}
    options |= {f"mg_levels_{key}": value for key, value in _CHEBYSHEV.items()}
    options["mg_coarse_ksp_type"] = "preonly"
    return options | {f"mg_coarse_{key}": value for key, value in _GAMG.items()}


def solve(model: ElasticModel) -> tuple[fem.Function, SolveRecord]:
    """Assemble and solve for the model's present modulus; collective.

    Returns:
        The displacement in mm and the record of the solve.

    Raises:
        SolverError: CG did not converge, or residual or displacement are not what they must be.
    """
    A = stiffness_matrix(model)
    b = petsc.assemble_vector(model.load)
    b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    ksp, held = krylov(model, A)
    x = A.createVecRight()
    try:
        ksp.solve(b, x)
        record = checked(ksp, A, b, x, model)
        u = fem.Function(model.space, name="displacement")
        owned = x.getLocalSize()
        u.x.array[:owned] = x.getArray(readonly=True)
        u.x.scatter_forward()
    finally:
        for thing in (ksp, x, b, A, *held):
            thing.destroy()
    return u, record


def stiffness_matrix(model: ElasticModel) -> PETSc.Mat:
    """The stiffness matrix for the model's present modulus; collective."""
    # Blocks of 3 x 3 halve the time of a product against the default format.
    A = _assemble(model.stiffness, "baij" if model.order == 2 else "aij")
    add_ligaments(A, model, model.space)
    return A


def _assemble(form: Any, kind: str) -> PETSc.Mat:
    A = petsc.create_matrix(form, kind)
    petsc.assemble_matrix(A, form)
    A.assemble()
    return A


def rigid_body_modes(space: Any) -> PETSc.NullSpace:
    """The six rigid-body modes of a vector Lagrange space as PETSc near-nullspace."""
    coordinates = space.tabulate_dof_coordinates()
    owned = space.dofmap.index_map.size_local
    x, y, z = coordinates[:owned].T
    zero, one = np.zeros(owned), np.ones(owned)
    modes = (
        (one, zero, zero),
        (zero, one, zero),
        (zero, zero, one),
        (zero, -z, y),
        (z, zero, -x),
        (-y, x, zero),
    )
    vectors = []
    for mode in modes:
        vector = PETSc.Vec().createMPI((3 * owned, PETSc.DETERMINE), bsize=3, comm=space.mesh.comm)
        vector.setArray(np.stack(mode, axis=1).ravel())
        vectors.append(vector)
    _orthonormalise(vectors)
    return PETSc.NullSpace().create(vectors=vectors, comm=space.mesh.comm)


def _orthonormalise(vectors: list[PETSc.Vec]) -> None:
    for i, vector in enumerate(vectors):
        for _ in range(2):  # once more: the rotations are far from the origin and nearly parallel
            for other in vectors[:i]:
                vector.axpy(-vector.dot(other), other)
        vector.normalize()


def krylov(model: ElasticModel, A: PETSc.Mat) -> tuple[PETSc.KSP, list[Any]]:
    """The solver, set up, and the objects that must live as long as it does."""
    prefix = f"{PREFIX}p{model.order}_"
    database = PETSc.Options()
    for key, value in multigrid_options(model.order).items():
        database[prefix + key] = value
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(A)
    held: list[Any] = []
    nullspace = rigid_body_modes(model.coarse)
    held.append(nullspace)
    if model.order == 1:
        A.setNearNullSpace(nullspace)
        A.setOption(PETSc.Mat.Option.SPD, True)
    else:
        pc = ksp.getPC()
        pc.setType("mg")
        pc.setMGLevels(2)
        prolongation = petsc.interpolation_matrix(model.coarse, model.space)
        prolongation.assemble()
        pc.setMGInterpolation(1, prolongation)
        coarse = _assemble(model.coarse_stiffness, "aij")
        add_ligaments(coarse, model, model.coarse)
        coarse.setNearNullSpace(nullspace)
        coarse.setOption(PETSc.Mat.Option.SPD, True)
        pc.getMGCoarseSolve().setOperators(coarse)
        held += [prolongation, coarse]
    ksp.setFromOptions()
    ksp.setUp()
    return ksp, held


def checked(
    ksp: PETSc.KSP,
    A: PETSc.Mat,
    b: PETSc.Vec,
    x: PETSc.Vec,
    model: ElasticModel,
    tolerance: float = RELATIVE_TOLERANCE,
) -> SolveRecord:
    """The record of a solve to a relative residual, which is computed anew; collective.

    Raises:
        SolverError: CG did not converge, or the residual is not what it must be.
    """
    reason, iterations = ksp.getConvergedReason(), ksp.getIterationNumber()
    residual = b.duplicate()
    A.mult(x, residual)
    residual.aypx(-1.0, b)
    relative = residual.norm() / b.norm()
    residual.destroy()
    if reason <= 0 or not relative <= 10.0 * tolerance:
        low, high = _modulus_range(model)
        raise SolverError(
            f"CG ended after {iterations} iterations with reason {reason} and relative residual "
            f"{relative:.1e} (needed: {tolerance:g}); Young's moduli run from {low:g} to "
            f"{high:g} MPa over {model.dofs} dofs. Check the materials, or mesh with a smaller "
            "edge length."
        )
    return SolveRecord(iterations, relative, reason)


def _modulus_range(model: ElasticModel) -> tuple[float, float]:
    values: FloatArray = model.coefficients.young.x.array
    comm = model.domain.comm
    low = comm.allreduce(float(values.min(initial=np.inf)), op=MPI.MIN)
    return low, comm.allreduce(float(values.max(initial=-np.inf)), op=MPI.MAX)
