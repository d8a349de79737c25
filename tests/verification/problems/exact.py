"""The package's model under the load for which a given displacement is the exact answer.

Every formula here is written anew: none of the package's is used to check itself.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc
from mpi4py import MPI
from petsc4py import PETSc

from sacrofem.mechanics.elasticity import ElasticModel, make_model, set_modulus
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, ModulusField
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, JointSprings, Support
from sacrofem.mesh.bone_mesh import BoneMesh

NO_CORTEX = MaterialParameters(cortex_mm=0.0)
SPRINGS = JointSprings(normal_N_per_mm3=30.0, tangential_N_per_mm3=11.0)
HELD = tuple(int(tag) for tag in SACROILIAC_JOINTS.values())


def model_of(
    bone: BoneMesh,
    order: int,
    materials: MaterialParameters = NO_CORTEX,
    springs: JointSprings = SPRINGS,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> ElasticModel:
    """The package's model of a bone, held by springs at both joints, under 500 N."""
    support = Support(SACROILIAC_JOINTS, springs)
    return make_model(bone, SacralLoad(), support, materials, order, comm)


def uniform(bone: BoneMesh, young_MPa: float, poisson: float, cortex: float = 0.0) -> ModulusField:
    """One material for all cells."""
    return ModulusField(*(np.full(len(bone.tets), v) for v in (young_MPa, poisson, cortex)))


def hooke(u: Any, model: ElasticModel) -> Any:
    """Stress by ``E / (1 + nu) (eps + nu / (1 - 2 nu) tr eps)`` (Timoshenko and Goodier 1951)."""
    E, nu = model.coefficients.young, model.coefficients.poisson
    eps = 0.5 * (ufl.grad(u) + ufl.grad(u).T)
    return E / (1 + nu) * (eps + nu / (1 - 2 * nu) * ufl.tr(eps) * ufl.Identity(3))


def spring_force(u: Any, model: ElasticModel) -> Any:
    """Traction of the springs, by the projector on the normal."""
    n, springs = ufl.FacetNormal(model.domain.mesh), model.support.springs
    normal = ufl.outer(n, n)
    stiffness = springs.normal_N_per_mm3 * normal
    stiffness += springs.tangential_N_per_mm3 * (ufl.Identity(3) - normal)
    return stiffness * u


def loaded(model: ElasticModel, modulus: ModulusField, exact: Any, degree: int) -> ElasticModel:
    """The model under body force and tractions whose exact answer is ``exact``.

    Args:
        model: Model.
        modulus: Its elastic constants; the cortex has to be 0.
        exact: UFL expression of the displacement in mm.
        degree: Of the quadrature.
    """
    set_modulus(model, modulus)
    mesh, v = model.domain.mesh, ufl.TestFunction(model.space)
    rule = {"quadrature_degree": degree}
    dx = ufl.Measure("dx", domain=mesh, metadata=rule)
    ds = ufl.Measure("ds", domain=mesh, subdomain_data=model.domain.facet_tags, metadata=rule)
    sigma = hooke(exact, model)
    form = -ufl.inner(ufl.div(sigma), v) * dx
    form += ufl.inner(sigma * ufl.FacetNormal(mesh), v) * ds
    form += ufl.inner(spring_force(exact, model), v) * ds(HELD)
    return with_load(model, form)


def with_load(model: ElasticModel, form: Any) -> ElasticModel:
    """The model under another linear form, and the resultant of that."""
    load = fem.form(form)
    b = petsc.assemble_vector(load)
    b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    # The shape functions sum to 1: so do the nodal forces to the resultant.
    own = b.getArray(readonly=True).reshape(-1, 3).sum(axis=0)
    force_N = np.array([model.domain.sum(component) for component in own])
    b.destroy()
    return replace(model, load=load, work=form, force_N=force_N)


def errors(model: ElasticModel, u: fem.Function, exact: Any, degree: int) -> tuple[float, float]:
    """Errors of a displacement: norm in L2, and of the gradient."""
    dx = ufl.Measure("dx", domain=model.domain.mesh, metadata={"quadrature_degree": degree})
    e = u - exact
    parts = (ufl.inner(e, e) * dx, ufl.inner(ufl.grad(e), ufl.grad(e)) * dx)
    l2, h1 = (float(np.sqrt(model.domain.integral(fem.form(part)))) for part in parts)
    return l2, h1
