"""The same boundary-value problem by another assembler, scikit-fem, and a direct solver."""

import numpy as np
import scipy.sparse.linalg
import skfem
from skfem.helpers import ddot, dot, eye, sym_grad, trace

from problems.exact import SPRINGS
from problems.random_box import CORTEX, random_model
from problems.row import Row, Size
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.mechanics.loads import SacralLoad, tractions_MPa
from sacrofem.mechanics.materials import BONE_POISSON, MaterialParameters, ModulusField
from sacrofem.mechanics.state import solve_state
from sacrofem.mechanics.supports import JointSprings
from sacrofem.mesh.bone_mesh import BoneMesh

WITHIN = 1e-8


def run(size: Size) -> list[Row]:
    """Displacement of every vertex, P1 and P2: bone, cortex, springs and tractions at once."""
    cells = 3 if size == "small" else 7
    rows = []
    for order in (1, 2):
        model, modulus = random_model(cells, order)
        ours = solve_state(model, modulus).displacement_mm
        theirs = vertex_displacement(model.bone, modulus, SacralLoad(), SPRINGS, CORTEX, order)
        off = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        largest = f"largest {np.abs(theirs).max():.6f} mm"
        what = f"displacement, P{order}, {len(model.bone.tets):,} cells"
        rows.append(Row(what, f"scikit-fem: {largest}", f"off by {off:.1e}", off, WITHIN))
    return rows


def vertex_displacement(
    bone: BoneMesh,
    modulus: ModulusField,
    load: SacralLoad,
    springs: JointSprings,
    materials: MaterialParameters,
    order: int,
) -> np.ndarray:
    """Displacement of the vertices in mm by scikit-fem and a direct solver, shape (n, 3)."""
    grid = skfem.MeshTet(bone.points_mm.T, bone.tets.T)
    element = skfem.ElementVector(skfem.ElementTetP2() if order == 2 else skfem.ElementTetP1())
    basis = skfem.Basis(grid, element, intorder=4)
    E, nu = modulus.young_MPa[:, None], modulus.poisson[:, None]
    mu, lam = E / (2 * (1 + nu)), E * nu / ((1 + nu) * (1 - 2 * nu))

    @skfem.BilinearForm
    def body(u, v, w):
        eps = sym_grad(u)
        return ddot(2 * mu * eps + lam * eye(trace(eps), 3), sym_grad(v))

    # Facets of the mesh in skfem's numbering, by their midpoints.
    boundary = grid.boundary_facets()
    middle = grid.p[:, grid.facets[:, boundary]].mean(axis=1).T
    own = bone.points_mm[bone.facets].mean(axis=1)
    nearest = np.linalg.norm(middle[:, None] - own, axis=2).argmin(axis=1)
    tag = bone.facet_tag[nearest]
    t = materials.cortex_mm * materials.cortex_MPa / (1 - BONE_POISSON**2)

    @skfem.BilinearForm
    def membrane(u, v, w):
        P = eye(np.ones_like(w.n[0]), 3) - np.einsum("i...,j...->ij...", w.n, w.n)
        tangential = [np.einsum("ij...,jk...,kl...->il...", P, sym_grad(a), P) for a in (u, v)]
        in_plane = (1 - BONE_POISSON) * ddot(*tangential)
        return t * w["c"] * (in_plane + BONE_POISSON * trace(tangential[0]) * trace(tangential[1]))

    @skfem.BilinearForm
    def joint(u, v, w):
        k_n, k_t = springs.normal_N_per_mm3, springs.tangential_N_per_mm3
        return k_t * dot(u, v) + (k_n - k_t) * dot(u, w.n) * dot(v, w.n)

    K = body.assemble(basis)
    outer = skfem.FacetBasis(grid, element, facets=boundary, intorder=4)
    K = K + membrane.assemble(outer, c=modulus.cortex[grid.f2t[0, boundary]][:, None])
    for side in (SurfaceTag.AURICULAR_LEFT, SurfaceTag.AURICULAR_RIGHT):
        K = K + joint.assemble(
            skfem.FacetBasis(grid, element, facets=boundary[tag == side], intorder=4)
        )
    f = np.zeros(K.shape[0])
    for value, traction in tractions_MPa(bone, load).items():
        part = skfem.FacetBasis(grid, element, facets=boundary[tag == value], intorder=4)
        f += skfem.LinearForm(
            lambda v, w, traction=traction: np.einsum("i,i...->...", traction, v)
        ).assemble(part)
    u = scipy.sparse.linalg.spsolve(K.tocsc(), f)
    return u[basis.nodal_dofs].T
