"""One state of a bone: solved, checked, gathered to arrays in the bone mesh's numbering."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from sacrofem import _compat
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import SolverError
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.cortex import CortexSurface, gather_cortex
from sacrofem.mechanics.elasticity import (
    ElasticModel,
    boundary_measure,
    set_modulus,
    spring_traction,
    stress,
    with_ligaments,
)
from sacrofem.mechanics.element_forces import cortex_forces
from sacrofem.mechanics.energy import StrainEnergy, strain_energy
from sacrofem.mechanics.ligaments import forces_by_name_N, tension_by_name_N
from sacrofem.mechanics.linear_solver import SolveRecord, solve
from sacrofem.mechanics.materials import ModulusField
from sacrofem.mechanics.sections import Section, SectionForces, section_forces

#: Largest force that may be missing between load and supports, relative to the load.
EQUILIBRIUM_WITHIN = 1e-8
#: Largest relative error of the statics of a section, and of the balance of energy: two digits
#: above the solver's tolerance.
BALANCE_WITHIN = 1e-8

#: Solves in which the taut ligaments must be found; two to five are usual.
ACTIVE_SETS = 12


@dataclass(frozen=True, eq=False)
class StateSolution:
    """A solved state.

    Attributes:
        displacement_mm: At the vertices of the bone mesh, shape (n, 3).
        stress_MPa: Mean Cauchy stress of each cell, shape (m, 3, 3).
        joint_force_N: Force of the sacrum on each hip bone, through joint and ligaments, see
            :func:`joint_forces_N`.
        ligament_force_N: Part of it through each ligament, by ligament and side, world, shape (3,);
            empty without ligaments.
        ligament_tension_N: Sum of the tensions of its elements, by ligament and side.
        endplate_mm: Mean displacement of the S1 endplate, world, shape (3,).
        equilibrium_error: Force missing between load and supports, relative to the load.
        sections: Forces through the sections that were asked for.
        cortex: Forces within the cortical membrane.
        energy: Where the work of the load is stored.
        modulus: The moduli of the state.
        record: How the solve went.
        dofs: Degrees of freedom.
    """

    displacement_mm: FloatArray
    stress_MPa: FloatArray
    joint_force_N: Mapping[str, FloatArray]
    ligament_force_N: Mapping[str, Mapping[str, FloatArray]]
    ligament_tension_N: Mapping[str, Mapping[str, float]]
    endplate_mm: FloatArray
    equilibrium_error: float
    sections: tuple[SectionForces, ...]
    cortex: CortexSurface
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
    return _checked_state(model, modulus, u, record, sections)


def solve_with_ligaments(
    model: ElasticModel, modulus: ModulusField, sections: Sequence[Section] = ()
) -> tuple[ElasticModel, StateSolution]:
    """Solve the intact state and find which ligaments are taut in it; collective.

    An element that would shorten is taken out, one that would lengthen is put back, until none
    changes. The model that is returned has the taut ones alone and keeps them in every state, so
    that each solve is linear and states differ in their moduli alone (a choice).

    Args:
        model: The model with all ligaments that it can have.
        modulus: Moduli of the intact state.
        sections: See :func:`solve_state`.

    Raises:
        SolverError: See :func:`solve_state`; or the set of taut ligaments does not settle.
    """
    set_modulus(model, modulus)
    taut: NDArray[np.bool_] = np.ones(len(model.ligaments), dtype=bool)
    for _ in range(ACTIVE_SETS):
        tried = with_ligaments(model, model.ligaments.of(taut))
        u, record = solve(tried)
        found = model.ligaments.elongation_mm(_at_vertices(model, u)) > 0.0
        if (found == taut).all():
            return tried, _checked_state(tried, modulus, u, record, sections)
        taut = found
    raise SolverError(
        f"which ligaments are taut must settle within {ACTIVE_SETS} solves, and did not: "
        f"{int(taut.sum())} of {len(taut)} elements in the last; leave them out ('ligaments: "
        "false'), or report a defect."
    )


def _checked_state(
    model: ElasticModel,
    modulus: ModulusField,
    u: fem.Function,
    record: SolveRecord,
    sections: Sequence[Section],
) -> StateSolution:
    """What a solution says, once load, supports, sections and energy balance."""
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
    ligaments = model.ligaments
    through = section_forces(model, u, sections, cortex, ligaments.nodal_forces_N(displacement))
    energy = strain_energy(model, u, cortex, ligaments.energy_mJ(displacement))
    _require_balance({**{s.name: s.error for s in through}, "energy": energy.error})
    return StateSolution(
        displacement_mm=displacement,
        stress_MPa=_cell_means(model, stress(u, model.coefficients)),
        joint_force_N=forces,
        ligament_force_N=forces_by_name_N(ligaments, displacement),
        ligament_tension_N=tension_by_name_N(ligaments, displacement),
        endplate_mm=_endplate_mean(model, u),
        equilibrium_error=error,
        sections=through,
        cortex=gather_cortex(model, cortex),
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
    """Force of the sacrum on each hip bone, world, by side, shape (3,).

    It is the force on the support of that side and on its ligaments that end in space, less the
    weight of a leg that hangs there. In the model `sacrum` the support is the joint itself. In the
    model `pelvis` it is the acetabulum or the ischium: nothing but support, joint and ligaments
    touches a hip bone (the symphysis is not modelled), so that by statics joint and ligaments
    together bear what the support bears. In one-leg stance the hip that hangs pulls the sacrum
    down: its force is the leg's weight, negative, the other's load and leg; both sum to the load.
    """
    mesh = model.domain.mesh
    ds = boundary_measure(model.domain)
    traction = spring_traction(u, ufl.FacetNormal(mesh), model.support.springs, mesh)
    forces = {side: -weight for side, weight in model.hanging_N.items()}
    for side, tag in model.support.surfaces.items():
        forces[side] = forces[side] + _vector_integral(model, traction, ds(int(tag)))
    fixed = model.ligaments.of(model.ligaments.grounded)
    if len(fixed):
        pulled = fixed.carried_N(_at_vertices(model, u))
        for side in forces:
            forces[side] = forces[side] + pulled[fixed.side == side].sum(axis=0)
    return forces


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
