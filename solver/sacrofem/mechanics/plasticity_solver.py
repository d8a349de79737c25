"""Solves of one model whose moduli fall from solve to solve, each from the solution before."""

from types import TracebackType
from typing import Any, Self

from dolfinx import fem
from dolfinx.fem import petsc
from petsc4py import PETSc

from sacrofem.mechanics.elasticity import ElasticModel
from sacrofem.mechanics.linear_solver import (
    RELATIVE_TOLERANCE,
    SolveRecord,
    checked,
    krylov,
    stiffness_matrix,
)
from sacrofem.mechanics.ties import add_ligaments

#: The multigrid of softer bone is set up anew when CG needs more than so many times the iterations
#: that it took when new. Moduli of yielding bone fall by little between two solves: an old
#: multigrid serves many of them, and setting it up is two thirds of the time of a solve (P1).
RENEW_BEYOND = 2.0


class SecantSolver:
    """Matrix, multigrid and solution of a model, kept while its moduli change.

    Use it in a ``with`` statement: it holds PETSc objects. All methods are collective.
    """

    def __init__(self, model: ElasticModel) -> None:
        """Set up for the model's present modulus."""
        self.model = model
        self.u = fem.Function(model.space, name="displacement")
        self._A = stiffness_matrix(model)
        self._b = petsc.assemble_vector(model.load)
        self._b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        self._x = self._A.createVecRight()
        self._ksp: PETSc.KSP | None = None
        self._held: list[Any] = []
        self._when_new = 0

    def __enter__(self) -> Self:
        """The solver itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Free what PETSc holds."""
        self._forget()
        for thing in (self._x, self._b, self._A):
            thing.destroy()

    @property
    def work_Nmm(self) -> float:
        """Load times displacement."""
        return float(self._b.dot(self._x))

    def update(self) -> None:
        """Assemble the matrix for the model's present modulus."""
        self._A.zeroEntries()
        petsc.assemble_matrix(self._A, self.model.stiffness)
        self._A.assemble()
        add_ligaments(self._A, self.model, self.model.space)

    def residual(self) -> float:
        """What the present matrix and the present solution miss of the load, relative."""
        missing = self._b.duplicate()
        self._A.mult(self._x, missing)
        missing.aypx(-1.0, self._b)
        relative = missing.norm() / self._b.norm()
        missing.destroy()
        return float(relative)

    def solve(self, tolerance: float = RELATIVE_TOLERANCE) -> SolveRecord:
        """Solve with the present matrix, from the present solution, into ``u``.

        Args:
            tolerance: Residual, relative to the load.

        Raises:
            SolverError: See :func:`sacrofem.mechanics.linear_solver.checked`.
        """
        new = self._ksp is None
        if self._ksp is None:
            self._ksp, self._held = krylov(self.model, self._A)
            self._ksp.setInitialGuessNonzero(True)
            self._ksp.getPC().setReusePreconditioner(True)
        self._ksp.setTolerances(rtol=tolerance)
        self._ksp.solve(self._b, self._x)
        if not new and self._ksp.getConvergedReason() <= 0:
            self._forget()
            return self.solve(tolerance)
        record = checked(self._ksp, self._A, self._b, self._x, self.model, tolerance)
        if new:
            self._when_new = record.iterations
        elif record.iterations > RENEW_BEYOND * self._when_new:
            self._forget()
        owned = self._x.getLocalSize()
        self.u.x.array[:owned] = self._x.getArray(readonly=True)
        self.u.x.scatter_forward()
        return record

    def _forget(self) -> None:
        for thing in (self._ksp, *self._held):
            if thing is not None:
                thing.destroy()
        self._ksp, self._held = None, []
