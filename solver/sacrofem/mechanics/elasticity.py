"""The boundary-value problem: small-strain elasticity with cortex, joint springs and tractions.

Find u with, for all v,

    integral of sigma(u) : eps(v)                                  over the bone
  + integral of t E/(1-nu^2) [(1-nu) eps_s(u) : eps_s(v)
      + nu tr eps_s(u) tr eps_s(v)]                              over the outer surface (cortex)
  + integral of k_n u_n v_n + k_t u_t . v_t                        over the supports
  + sum of k (d . [u]) (d . [v])                                   over the ligaments
  = integral of traction . v                                       over S1 endplate and facets
  + integral of (spin x (x - centre)) . v                          over S1 endplate (moment)
  + integral of the hanging leg's traction . v                     over its hip (one-leg stance).

eps_s is the strain within the surface; [u] is the difference between the ends of a ligament along
d, whose terms go into the assembled matrix (:mod:`sacrofem.mechanics.ties`). There is no essential
condition: springs hold the model at its supports, see :mod:`sacrofem.mechanics.supports`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.distributed import DistributedMesh, distribute
from sacrofem.mechanics.ligaments import NO_LIGAMENTS, Ligaments
from sacrofem.mechanics.loads import Bending, SacralLoad, bending, gravity, tractions_MPa
from sacrofem.mechanics.materials import BONE_POISSON, MaterialParameters, ModulusField
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, JointSprings, Support
from sacrofem.mesh.bone_mesh import BoneMesh, facet_areas_mm2


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Cell-wise constants of the forms; their values change from state to state."""

    young: fem.Function
    poisson: fem.Function
    cortex: fem.Function


@dataclass(frozen=True, eq=False)
class ElasticModel:
    """Compiled forms of one mesh, load and support; states differ in their modulus alone.

    Attributes:
        bone: The bone mesh.
        domain: The same, distributed.
        order: Degree of the displacement.
        space: Vector Lagrange space of the solution.
        coarse: P1 space of the multigrid; the same as ``space`` for order 1.
        coefficients: Moduli per cell.
        stiffness: Bilinear form on ``space``; ``coarse_stiffness`` the same on ``coarse``.
        load: Linear form; ``work`` is the same before compilation.
        membrane_N_per_mm: Stiffness ``t E / (1 - nu^2)`` of a whole cortex.
        force_N: Applied force, world, shape (3,).
        direction: Unit vector of the force, world, shape (3,).
        support: Where the model is held, and by what.
        hanging_N: Weight of the hanging leg on each hip bone by side, world, shape (3,); not part
            of ``force_N``.
        ligaments: Those that are in the stiffness; see :func:`with_ligaments`.
    """

    bone: BoneMesh
    domain: DistributedMesh
    order: int
    space: Any
    coarse: Any
    coefficients: Coefficients
    stiffness: Any
    coarse_stiffness: Any
    load: Any
    work: Any
    membrane_N_per_mm: float
    force_N: FloatArray
    direction: FloatArray
    support: Support
    hanging_N: Mapping[str, FloatArray]
    ligaments: Ligaments

    @property
    def dofs(self) -> int:
        """Degrees of freedom of the solution."""
        return int(self.space.dofmap.index_map.size_global * self.space.dofmap.index_map_bs)


def strain(u: Any) -> Any:
    """Small strain tensor."""
    return ufl.sym(ufl.grad(u))


def stress(u: Any, coefficients: Coefficients) -> Any:
    """Cauchy stress of isotropic elasticity in MPa."""
    E, nu = coefficients.young, coefficients.poisson
    mu = E / (2.0 * (1.0 + nu))
    lam = E * nu / ((1.0 + nu) * (1.0 - 2.0 * nu))
    eps = strain(u)
    return 2.0 * mu * eps + lam * ufl.tr(eps) * ufl.Identity(3)


def surface_strain(u: Any, normal: Any) -> Any:
    """Strain within a surface: the part of the strain tensor tangential to it."""
    P = ufl.Identity(3) - ufl.outer(normal, normal)
    return P * strain(u) * P


def make_model(
    bone: BoneMesh,
    load: SacralLoad,
    support: Support,
    materials: MaterialParameters,
    order: int,
    comm: MPI.Comm,
    ligaments: Ligaments = NO_LIGAMENTS,
) -> ElasticModel:
    """Distribute the mesh and compile the forms; collective.

    Args:
        bone: Bone mesh, known to every rank.
        load: Load case.
        support: Where the mesh is held, see :func:`sacrofem.mechanics.supports.support_of`.
        materials: Material constants (the cortex is taken from here).
        order: 1 or 2, the degree of the displacement.
        comm: Communicator.
        ligaments: All that the model can have, see
            :func:`sacrofem.mechanics.attachments.find_ligaments`; those that end in space on a side
            that is not held are left out: their hip bone hangs.

    Raises:
        InputError: A leg hangs in the load and not in the support, or the reverse.
    """
    domain = distribute(bone, comm)
    space = fem.functionspace(domain.mesh, ("Lagrange", order, (3,)))
    coarse = space if order == 1 else fem.functionspace(domain.mesh, ("Lagrange", 1, (3,)))
    cellwise = fem.functionspace(domain.mesh, ("Discontinuous Lagrange", 0))
    coefficients = Coefficients(*(fem.Function(cellwise) for _ in range(3)))
    tractions = tractions_MPa(bone, load)
    hanging = _hanging_N(bone, load, support)
    tractions |= _hanging_tractions(bone, support, hanging)
    work = _work(space, domain, tractions, bending(bone, load))
    loose = ligaments.grounded & ~np.isin(ligaments.side, list(support.surfaces))
    force = load.force_N * gravity(bone.frame, load.sacral_slope_deg)
    return ElasticModel(
        bone=bone,
        domain=domain,
        order=order,
        space=space,
        coarse=coarse,
        coefficients=coefficients,
        stiffness=fem.form(_stiffness(space, domain, coefficients, support, materials, order)),
        coarse_stiffness=fem.form(
            _stiffness(coarse, domain, coefficients, support, materials, order)
        ),
        load=fem.form(work),
        work=work,
        membrane_N_per_mm=membrane_N_per_mm(materials),
        force_N=force,
        direction=gravity(bone.frame, load.sacral_slope_deg),
        support=support,
        hanging_N=hanging,
        ligaments=ligaments.of(~loose),
    )


def with_ligaments(model: ElasticModel, ligaments: Ligaments) -> ElasticModel:
    """The same model with other ligaments; nothing is compiled again."""
    return replace(model, ligaments=ligaments)


def _hanging_N(bone: BoneMesh, load: SacralLoad, support: Support) -> dict[str, FloatArray]:
    """Weight of the hanging leg by side, world, shape (3,) each."""
    if (load.leg is None) != (support.hanging is None):
        raise InputError(
            "a load with a hanging leg and a support that stands on one leg go together; found "
            f"{'a' if load.leg else 'no'} leg in the load and "
            f"{'a' if support.hanging else 'no'} leg that hangs in the support: make both from one "
            "load case."
        )
    weight: FloatArray = np.zeros(3)
    if load.leg is not None:
        weight = load.leg.weight_N * gravity(bone.frame, load.leg.sacral_slope_deg)
    return {side: (side not in support.surfaces) * weight for side in SACROILIAC_JOINTS}


def _hanging_tractions(
    bone: BoneMesh, support: Support, hanging: Mapping[str, FloatArray]
) -> dict[SurfaceTag, FloatArray]:
    """Uniform traction where the leg hangs, world, shape (3,)."""
    if support.hanging is None:
        return {}
    facets = bone.facets[bone.facet_tag == support.hanging]
    area = float(facet_areas_mm2(bone.points_mm, facets).sum())
    return {support.hanging: sum(hanging.values(), np.zeros(3)) / area}


def set_modulus(model: ElasticModel, modulus: ModulusField) -> None:
    """Give the forms the elastic constants of one state."""
    for values, out in (
        (modulus.young_MPa, model.coefficients.young),
        (modulus.poisson, model.coefficients.poisson),
        (modulus.cortex, model.coefficients.cortex),
    ):
        model.domain.scatter_cells(values, out)


def membrane_N_per_mm(materials: MaterialParameters) -> float:
    """Stiffness ``t E / (1 - nu^2)`` of the cortical membrane, plane stress."""
    return materials.cortex_mm * materials.cortex_MPa / (1.0 - BONE_POISSON**2)


def boundary_measure(domain: DistributedMesh) -> Any:
    """``ds`` with the tags of :class:`SurfaceTag`."""
    return ufl.Measure("ds", domain=domain.mesh, subdomain_data=domain.facet_tags)


def spring_traction(u: Any, normal: Any, springs: JointSprings, mesh: Any) -> Any:
    """Traction with which a support resists a displacement, in MPa (N/mm2)."""
    k_n = fem.Constant(mesh, springs.normal_N_per_mm3)
    k_t = fem.Constant(mesh, springs.tangential_N_per_mm3)
    along = ufl.dot(u, normal) * normal
    return k_n * along + k_t * (u - along)


def _stiffness(
    space: Any,
    domain: DistributedMesh,
    coefficients: Coefficients,
    support: Support,
    materials: MaterialParameters,
    order: int,
) -> Any:
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    n = ufl.FacetNormal(domain.mesh)
    exact = {"quadrature_degree": 2 * (order - 1)}
    dx = ufl.Measure("dx", domain=domain.mesh, metadata=exact)
    ds = boundary_measure(domain)
    # Exact for affine cells: strains have degree order - 1, their product twice that.
    t = fem.Constant(domain.mesh, membrane_N_per_mm(materials)) * coefficients.cortex
    eps_u, eps_v = surface_strain(u, n), surface_strain(v, n)
    in_plane = (1.0 - BONE_POISSON) * ufl.inner(eps_u, eps_v)
    in_plane += BONE_POISSON * ufl.tr(eps_u) * ufl.tr(eps_v)
    held = ds(tuple(int(tag) for tag in support.surfaces.values()))
    return (
        ufl.inner(stress(u, coefficients), strain(v)) * dx
        + t * in_plane * ds(metadata=exact)
        + ufl.inner(spring_traction(u, n, support.springs, domain.mesh), v) * held
    )


def _work(
    space: Any,
    domain: DistributedMesh,
    tractions: dict[SurfaceTag, FloatArray],
    bent: Bending,
) -> Any:
    v = ufl.TestFunction(space)
    ds = boundary_measure(domain)
    spin = fem.Constant(domain.mesh, bent.spin_MPa_per_mm)
    arm = ufl.SpatialCoordinate(domain.mesh) - fem.Constant(domain.mesh, bent.centre_mm)
    moment = ufl.inner(ufl.cross(spin, arm), v) * ds(int(SurfaceTag.ENDPLATE_S1))
    return moment + sum(
        ufl.inner(fem.Constant(domain.mesh, np.asarray(traction)), v) * ds(int(tag))
        for tag, traction in tractions.items()
    )
