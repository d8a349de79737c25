"""Energy: what bone, cortex and springs store is half the work of the load (Clapeyron)."""

from typing import Any

import ufl
from dolfinx.fem import form, petsc

from problems.exact import HELD, hooke, spring_force
from problems.random_box import CORTEX, random_model
from problems.row import Row, Size
from sacrofem.mechanics.elasticity import ElasticModel, boundary_measure, set_modulus
from sacrofem.mechanics.linear_solver import solve
from sacrofem.mechanics.materials import BONE_POISSON

WITHIN = 1e-8


def run(size: Size) -> list[Row]:
    """Stored energy, by formulas of their own, against half the work, P1 and P2."""
    rows = []
    for order in (1, 2):
        model, modulus = random_model(3 if size == "small" else 8, order)
        set_modulus(model, modulus)
        u, _ = solve(model)
        half_work = 0.5 * float(petsc.assemble_vector(model.load).getArray() @ u.x.array)
        stored = sum(model.domain.integral(form(part)) for part in energies(model, u))
        error = abs(stored / half_work - 1.0)
        what = f"bone + cortex + springs, P{order}, {len(model.bone.tets):,} cells"
        rows.append(Row(what, f"{half_work:.9f} mJ", f"{stored:.9f} mJ", error, WITHIN))
    return rows


def energies(model: ElasticModel, u: Any) -> tuple[Any, Any, Any]:
    """Energies in N mm of bone, cortex and springs, as UFL integrals."""
    mesh = model.domain.mesh
    n, ds, dx = ufl.FacetNormal(mesh), boundary_measure(model.domain), ufl.dx(domain=mesh)
    eps = ufl.sym(ufl.grad(u))
    # Plane stress in the surface, in terms of e = eps n, which takes out what leaves it.
    e = eps * n
    normal = ufl.dot(e, n)
    trace = ufl.tr(eps) - normal
    square = ufl.inner(eps, eps) - 2 * ufl.dot(e, e) + normal**2
    plate = CORTEX.cortex_mm * CORTEX.cortex_MPa / (1 - BONE_POISSON**2)
    shell = (
        plate * model.coefficients.cortex * ((1 - BONE_POISSON) * square + BONE_POISSON * trace**2)
    )
    return (
        0.5 * ufl.inner(hooke(u, model), eps) * dx,
        0.5 * shell * ds,
        0.5 * ufl.dot(spring_force(u, model), u) * ds(HELD),
    )
