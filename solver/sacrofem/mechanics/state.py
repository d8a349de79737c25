"""One state of a bone: solved, checked, gathered to arrays in the bone mesh's numbering."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from sacrofem import _compat
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import SolverError
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.elasticity import (
    ElasticModel,
    boundary_measure,
    set_modulus,
    spring_traction,
    stress,
)
from sacrofem.mechanics.element_forces import cortex_forces
from sacrofem.mechanics.energy import StrainEnergy, strain_energy
from sacrofem.mechanics.linear_solver import SolveRecord, solve
from sacrofem.mechanics.materials import ModulusField
from sacrofem.mechanics.sections import Section, SectionForces, section_forces

#: Largest force that may be missing between load and supports, relative to the load.
EQUILIBRIUM_WITHIN = 1e-6
#: Largest relative error of the statics of a section, and of the balance of energy: two digits
#: above the solver's tolerance.
BALANCE_WITHIN = 1e-8


@dataclass(frozen=True, eq=False)
class StateSolution:
    """A solved state.

    Attributes:
        displacement_mm: At the vertices of the bone mesh, shape (n, 3).
        stress_MPa: Mean Cauchy stress of each cell, shape (m, 3, 3).
        joint_force_N: Force through each sacroiliac joint, see :func:`joint_forces_N`.
        endplate_mm: Mean displacement of the S1 endplate, world, shape (3,).
        equilibrium_error: Force missing between load and supports, relative to the load.
        sections: Forces through the sections that were asked for.
        energy: Where the work of the load is stored.
        modulus: The moduli of the state.
        record: How the solve went.
        dofs: Degrees of freedom.
    """

    displacement_mm: FloatArray
    stress_MPa: FloatArray
    joint_force_N: Mapping[str, FloatArray]
    endplate_mm: FloatArray
    equilibrium_error: float
    sections: tuple[SectionForces, ...]
    energy: StrainEnergy
    modulus: ModulusField
    record: SolveRecord
    dofs: int

    @cached_property
    def principal_MPa(self) -> FloatArray:
        """Principal values of each cell's mean stress, ascending, shape (m, 3)."""
        return np.asarray(np.linalg.eigvalsh(self.stress_MPa))


def solve_state(
    model: ElasticModel, modulus: ModulusField, sections: Sequence[Section] = ()
) -> StateSolution:
    """Solve one state; collective, the same result on every rank.

    Args:
        model: The model.
        modulus: Moduli of the state.
        sections: Where the forces inside the bone are asked for.

    Raises:
        SolverError: The solve failed, see :func:`sacrofem.mechanics.linear_solver.solve`, values
            are not finite, or load and supports, a section or the energy do not balance.
    """
    set_modulus(model, modulus)
    u, record = solve(model)
    forces = joint_forces_N(model, u)
    carried = forces["left"] + forces["right"]
    missing = carried - model.force_N
    error = float(np.linalg.norm(missing) / np.linalg.norm(model.force_N))
    displacement = _at_vertices(model, u)
    # Not "error > limit": that lets NaN pass.
    if not (error <= EQUILIBRIUM_WITHIN and np.isfinite(displacement).all()):
        raise SolverError(
            f"the supports carry {carried.round(3)} N of the load "
            f"{model.force_N.round(3)} N (relative error {error:.1e}, limit {EQUILIBRIUM_WITHIN:g})"
            ": the solution is not in equilibrium; check materials and springs."
        )
    cortex = cortex_forces(model, u)
    through = section_forces(model, u, sections, cortex)
    energy = strain_energy(model, u, cortex)
    _require_balance({**{s.name: s.error for s in through}, "energy": energy.error})
    return StateSolution(
        displacement_mm=displacement,
        stress_MPa=_cell_means(model, stress(u, model.coefficients)),
        joint_force_N=forces,
        endplate_mm=_endplate_mean(model, u),
        equilibrium_error=error,
        sections=through,
        energy=energy,
        modulus=modulus,
        record=record,
        dofs=model.dofs,
    )


def _require_balance(errors: Mapping[str, float]) -> None:
    """Refuse a solution whose sections or energy do not balance."""
    for name, error in errors.items():
        if not error <= BALANCE_WITHIN:
            raise SolverError(
                f"the balance of {name} must hold to {BALANCE_WITHIN:g}, found {error:.1e}: the "
                "forces inside the bone do not belong to its load and supports; check materials "
                "and springs, or report a defect."
            )


def joint_forces_N(model: ElasticModel, u: fem.Function) -> dict[str, FloatArray]:
    """Force of the sacrum on each ilium, world, by side, shape (3,).

    It is the force on the support of that side. In the model `sacrum` that is the joint itself. In
    the model `pelvis` it is the acetabulum or the ischium: nothing but joint and support touches
    an ilium (the symphysis is not modelled), so that by statics both bear the same force.
    """
    mesh = model.domain.mesh
    ds = boundary_measure(model.domain)
    traction = spring_traction(u, ufl.FacetNormal(mesh), model.support.springs, mesh)
    return {
        side: _vector_integral(model, traction, ds(int(tag)))
        for side, tag in model.support.surfaces.items()
    }


def _endplate_mean(model: ElasticModel, u: fem.Function) -> FloatArray:
    ds = boundary_measure(model.domain)(int(SurfaceTag.ENDPLATE_S1))
    one = fem.Constant(model.domain.mesh, 1.0)
    area = model.domain.integral(fem.form(one * ds))
    return _vector_integral(model, u, ds) / area


def _vector_integral(model: ElasticModel, vector: Any, measure: Any) -> FloatArray:
    return np.array([model.domain.integral(fem.form(vector[i] * measure)) for i in range(3)])


def _cell_means(model: ElasticModel, tensor: Any) -> FloatArray:
    """A tensor at the centroid of each cell, shape (m, 3, 3): the mean of what is linear in it."""
    space = fem.functionspace(model.domain.mesh, ("Discontinuous Lagrange", 0, (3, 3)))
    values = fem.Function(space)
    values.interpolate(fem.Expression(tensor, _compat.interpolation_points(space.element)))
    return model.domain.gather_cells(values.x.array.reshape(-1, 3, 3))


def _at_vertices(model: ElasticModel, u: fem.Function) -> FloatArray:
    """A displacement at the vertices of the bone mesh, shape (n, 3)."""
    linear = fem.Function(model.coarse)
    linear.interpolate(u)
    mesh, owned = model.domain.mesh, model.domain.owned
    corner = linear.x.array.reshape(-1, 3)[model.coarse.dofmap.list[:owned]]
    node = mesh.geometry.input_global_indices[_compat.geometry_dofmap(mesh)[:owned]]
    out = np.empty((len(model.bone.points_mm), 3))
    for numbers, values in mesh.comm.allgather((node.ravel(), corner.reshape(-1, 3))):
        out[numbers] = values
    return out
