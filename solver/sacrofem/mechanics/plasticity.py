"""Loading to failure: bone that yields, in steps of the displacement under the load.

A step prescribes how far the load moves along itself; its size is what the bone bears there.
With the moduli of :mod:`sacrofem.mechanics.plasticity_law` held, the problem is linear: one solve
under the model's own load, scaled to the displacement. So a load that no longer rises is no
trouble, as it would be for a solve under a given load. The moduli follow from the strain and the
solve is done again (secant, or Kacanov, iteration), mixed by the method of Anderson 1965, until
the moduli that belong to a solution leave no more than :data:`RESIDUAL_WITHIN` of the load.

Damage of a cell follows from its mean strain. The bone yields; cement, tumour, cartilage and joint
springs stay elastic. The cortex is bonded to the cell behind it and loses the same part of its
stiffness (a choice): were it elastic it would bear any load.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import ufl
from dolfinx import fem

from sacrofem import _compat
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import SolverError
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.elasticity import ElasticModel, boundary_measure, set_modulus, strain
from sacrofem.mechanics.linear_solver import RELATIVE_TOLERANCE
from sacrofem.mechanics.materials import ModulusField
from sacrofem.mechanics.plasticity_law import YieldStrains, secant_factor, yield_ratio
from sacrofem.mechanics.plasticity_solver import SecantSolver
from sacrofem.mechanics.state import EQUILIBRIUM_WITHIN, joint_forces_N

#: Residual of a step, relative to its load.
RESIDUAL_WITHIN = 1e-8
#: Above this change of a modulus in one iteration the residual cannot have been reached yet.
_LOOK_BELOW = 1e-5
MAX_ITERATIONS = 200
#: Former iterates that Anderson's method mixes (a choice).
_ANDERSON_DEPTH = 8
#: How far each iteration lowers the residual that its moduli leave at the start: as many iterations
#: as with full solves, in three quarters of the time (phantom, 3 mm, P1).
_DIGITS = 1e-2


@dataclass(frozen=True, eq=False)
class YieldingBone:
    """What yields in a state, and when.

    Attributes:
        part: Part of each cell's stiffness that is bone's, 0 to 1, shape (m,).
        volume_ml: Bone in each cell, shape (m,).
        limits: Yield strains.
    """

    part: FloatArray
    volume_ml: FloatArray
    limits: YieldStrains


@dataclass(frozen=True)
class Stepping:
    """How a load is raised, and when it ends. All are choices.

    Attributes:
        reference: Part of the bone's volume; the displacement at which so much of it would be
            beyond yield, had none yielded, is the unit of the steps.
        step: Of the displacement, in that unit.
        end_tangent: The curve ends where a step is less stiff than this part of the first one.
        max_steps: Where it ends if it does not fail.
    """

    reference: float = 0.02
    step: float = 0.5
    end_tangent: float = 0.1
    max_steps: int = 60


@dataclass(frozen=True, eq=False)
class LoadDisplacement:
    """A bone loaded until it fails; the first entry of each array is the unloaded bone.

    All of the load grows together, a moment and a hanging leg with the force.

    Attributes:
        force_N: Size of the load, shape (s,).
        moved_mm: How far the load moved along itself: force times this is its work, shape (s,).
        endplate_mm: Mean displacement of the S1 endplate along the force, shape (s,).
        yielded_ml: Bone that is beyond its yield strain, shape (s,).
        residual: Of each step, relative to its load, shape (s,).
        equilibrium_error: Force missing between load and supports, relative, shape (s,).
        iterations: Solves of each step, shape (s,).
        k: Of :mod:`sacrofem.mechanics.plasticity_law` at the end, above 1 where bone has yielded,
            shape (m,).
        failed: Whether the end was reached that the stepping names.
    """

    force_N: FloatArray
    moved_mm: FloatArray
    endplate_mm: FloatArray
    yielded_ml: FloatArray
    residual: FloatArray
    equilibrium_error: FloatArray
    iterations: FloatArray
    k: FloatArray
    failed: bool


@dataclass(frozen=True, eq=False)
class _Step:
    force_N: float
    moved_mm: float
    endplate_mm: float
    yielded_ml: float
    residual: float
    equilibrium_error: float
    iterations: int
    k: FloatArray


def load_to_failure(
    model: ElasticModel,
    modulus: ModulusField,
    bone: YieldingBone,
    stepping: Stepping = Stepping(),
) -> LoadDisplacement:
    """Raise the load of a model until its bone fails; collective, the same on every rank.

    The first step goes to the yield of the first cell, which is exact. The model's modulus is not
    what it was afterwards.

    Args:
        model: The model; the size of its load does not matter, its direction does.
        modulus: Moduli of the state without load.
        bone: What yields.
        stepping: How the load is raised.

    Raises:
        SolverError: A solve failed, a step did not converge or is not in equilibrium.
    """
    set_modulus(model, modulus)
    with SecantSolver(model) as solver:
        loading = _Loading(model, modulus, bone, solver)
        first, unit_mm = loading.elastic(stepping.reference)
        steps = [first]
        targets = unit_mm * stepping.step * np.arange(1, stepping.max_steps + 1)
        failed = False
        for moved_mm in targets[targets > first.moved_mm * (1.0 + 1e-9)]:
            last = steps[-1]
            step = loading.to(float(moved_mm), last)
            steps.append(step)
            tangent = (step.force_N - last.force_N) / (step.moved_mm - last.moved_mm)
            if tangent < stepping.end_tangent * first.force_N / first.moved_mm:
                failed = True
                break
    return _curve(steps, failed)


def _curve(steps: list[_Step], failed: bool) -> LoadDisplacement:
    names = [one.name for one in fields(LoadDisplacement) if one.name not in ("k", "failed")]
    rows = {name: np.array([0.0, *(getattr(step, name) for step in steps)]) for name in names}
    return LoadDisplacement(**rows, k=steps[-1].k, failed=failed)


class _Loading:
    """One state under a rising load."""

    def __init__(
        self, model: ElasticModel, modulus: ModulusField, bone: YieldingBone, solver: SecantSolver
    ) -> None:
        self.model, self.modulus, self.bone, self.solver = model, modulus, bone, solver
        self.yields = bone.part > 0.0
        cellwise = fem.functionspace(model.domain.mesh, ("Discontinuous Lagrange", 0, (3, 3)))
        self.values = fem.Function(cellwise)
        points = _compat.interpolation_points(cellwise.element)
        self.strain = fem.Expression(strain(solver.u), points)
        ds = boundary_measure(model.domain)(int(SurfaceTag.ENDPLATE_S1))
        towards = fem.Constant(model.domain.mesh, model.force_N / np.linalg.norm(model.force_N))
        self.endplate = fem.form(ufl.inner(solver.u, towards) * ds)
        self.area_mm2 = model.domain.integral(fem.form(fem.Constant(model.domain.mesh, 1.0) * ds))

    def elastic(self, reference: float) -> tuple[_Step, float]:
        """The step to the first yield, and the displacement that is the unit of the steps."""
        record = self.solver.solve()
        ratio = np.where(self.yields, self._ratio(), 0.0)
        if not ratio.max() > 0.0:
            raise SolverError(
                "no cell of the bone is strained under its load, so that there is no load at which "
                "it fails: the state has no bone that yields; check the lesion and the cement."
            )
        order = np.argsort(-ratio)
        beyond = np.searchsorted(
            np.cumsum(self.bone.volume_ml[order]), reference * self.bone.volume_ml.sum()
        )
        unit_mm = self._moved_mm / ratio[order[min(beyond, len(order) - 1)]]
        factor = 1.0 / ratio.max()
        return self._step(factor, np.ones(len(ratio)), record.residual, 1), float(unit_mm)

    def to(self, moved_mm: float, last: _Step) -> _Step:
        """The next step: the load moved so far.

        Raises:
            SolverError: The step did not converge.
        """
        k, mixed = last.k, anderson(_ANDERSON_DEPTH)
        log_k = np.log(k)
        residual = np.inf
        for iteration in range(1, MAX_ITERATIONS + 1):
            self._soften(np.exp(log_k))
            self.solver.solve(max(RELATIVE_TOLERANCE, _DIGITS * self.solver.residual()))
            factor = moved_mm / self._moved_mm
            found = np.maximum(last.k, np.where(self.yields, factor * self._ratio(), 1.0))
            if np.abs(np.log(found) - log_k).max() < _LOOK_BELOW:
                self._soften(found)
                residual = self.solver.residual()
                if residual <= RESIDUAL_WITHIN:
                    return self._step(factor, found, residual, iteration)
            log_k = np.maximum(mixed(log_k, np.log(found)), np.log(last.k))
        raise SolverError(
            f"the step to {moved_mm:.3g} mm must leave {RESIDUAL_WITHIN:g} of its load, found "
            f"{residual:.1e} after {MAX_ITERATIONS} iterations: the bone yields too suddenly; take "
            "a smaller step of the displacement."
        )

    def _soften(self, k: FloatArray) -> None:
        left = secant_factor(k, self.bone.part)
        young, cortex = self.modulus.young_MPa * left, self.modulus.cortex * left
        set_modulus(self.model, replace(self.modulus, young_MPa=young, cortex=cortex))
        self.solver.update()

    def _ratio(self) -> FloatArray:
        """Yield ratio of each cell under the model's own load, shape (m,)."""
        self.values.interpolate(self.strain)
        cells = self.model.domain.gather_cells(self.values.x.array.reshape(-1, 3, 3))
        return yield_ratio(cells, self.modulus.poisson, self.bone.limits)

    @property
    def _moved_mm(self) -> float:
        """How far the model's own load moves along itself."""
        return self.solver.work_Nmm / float(np.linalg.norm(self.model.force_N))

    def _step(self, factor: float, k: FloatArray, residual: float, iterations: int) -> _Step:
        """A converged step at a multiple of the model's own load."""
        carried = sum(joint_forces_N(self.model, self.solver.u).values())
        size_N = float(np.linalg.norm(self.model.force_N))
        error = float(np.linalg.norm(carried - self.model.force_N)) / size_N
        if not error <= EQUILIBRIUM_WITHIN:
            raise SolverError(
                f"load and supports must balance to {EQUILIBRIUM_WITHIN:g} of the load in every "
                f"step, found {error:.1e} at {factor * size_N:.4g} N: check materials and springs."
            )
        along = self.model.domain.integral(self.endplate) / self.area_mm2
        return _Step(
            force_N=factor * size_N,
            moved_mm=factor * self._moved_mm,
            endplate_mm=factor * along,
            yielded_ml=float(self.bone.volume_ml[self.yields & (k > 1.0)].sum()),
            residual=residual,
            equilibrium_error=error,
            iterations=iterations,
            k=k,
        )


def anderson(depth: int) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """A mixer for a fixed-point iteration ``x -> g(x)`` (Anderson 1965; as in Walker and Ni 2011).

    Both are cited from memory.

    Args:
        depth: How many former iterates take part.

    Returns: Gives the next x from the present x and g(x), shape (m,) both.
    """
    images: list[FloatArray] = []
    misses: list[FloatArray] = []

    def mix(x: FloatArray, g: FloatArray) -> FloatArray:
        images.append(g)
        misses.append(g - x)
        del images[: -depth - 1], misses[: -depth - 1]
        if len(images) == 1:
            return g
        step_f, step_g = np.diff(misses, axis=0), np.diff(images, axis=0)
        weight = np.linalg.lstsq(step_f.T, misses[-1], rcond=1e-10)[0]
        return np.asarray(g - weight @ step_g)

    return mix
