"""Formulas of the package made wrong on purpose, one for each check."""

from dataclasses import replace
from typing import Any

import numpy as np
import ufl
from petsc4py import PETSc

from problems.row import Broken
from sacrofem.mechanics.elasticity import Coefficients, ElasticModel, set_modulus
from sacrofem.mechanics.materials import ModulusField
from sacrofem.mechanics.supports import JointSprings
from sacrofem.mechanics.ties import add_ligaments


def _wrong_stress(u: Any, coefficients: Coefficients) -> Any:
    E, nu = coefficients.young, coefficients.poisson
    eps = ufl.sym(ufl.grad(u))
    lam = E * nu / ((1.0 + nu) * (1.0 - nu))
    return E / (1.0 + nu) * eps + lam * ufl.tr(eps) * ufl.Identity(3)


def _wrong_surface_strain(u: Any, normal: Any) -> Any:
    return ufl.sym(ufl.grad(u))


def _wrong_springs(u: Any, normal: Any, springs: JointSprings, mesh: Any) -> Any:
    along = ufl.dot(u, normal) * normal
    return springs.tangential_N_per_mm3 * along + springs.normal_N_per_mm3 * (u - along)


def _wrong_poisson(model: ElasticModel, modulus: ModulusField) -> None:
    set_modulus(model, replace(modulus, poisson=0.9 * modulus.poisson))


def _ligaments_in_all_directions(A: PETSc.Mat, model: ElasticModel, space: Any) -> None:
    for axis in np.eye(3):
        lines = replace(
            model.ligaments, direction=np.broadcast_to(axis, model.ligaments.direction.shape)
        )
        add_ligaments(A, replace(model, ligaments=lines), space)


def _no_multigrid(order: int) -> dict[str, str]:
    return {
        "ksp_type": "cg",
        "ksp_norm_type": "unpreconditioned",
        "ksp_rtol": "1e-10",
        "ksp_max_it": "500",
        "pc_type": "jacobi",
    }


PLANE_STRESS = Broken(
    "Lame's first constant with 1 - nu for 1 - 2 nu", {"mechanics.elasticity.stress": _wrong_stress}
)
NOT_IN_PLANE = Broken(
    "the membrane feels the strain across it",
    {"mechanics.elasticity.surface_strain": _wrong_surface_strain},
)
SWAPPED_SPRINGS = Broken(
    "normal and tangential springs are swapped",
    {
        f"mechanics.{room}.spring_traction": _wrong_springs
        for room in ("elasticity", "state", "energy")
    },
)
LIGAMENT_HOLDS_ALL_WAYS = Broken(
    "a ligament resists across its fibres too",
    {"mechanics.linear_solver.add_ligaments": _ligaments_in_all_directions},
)
#: No balance of forces or energy can see this one: all of the package believes it.
LOWER_POISSON = Broken(
    "Poisson's ratio 10 % too low", {"mechanics.state.set_modulus": _wrong_poisson}
)
ONLY_JACOBI = Broken(
    "Jacobi in place of multigrid", {"mechanics.linear_solver.multigrid_options": _no_multigrid}
)
LOCAL_NUMBERS = Broken("moduli by the ranks' own cell numbers, not the mesh's", {})
