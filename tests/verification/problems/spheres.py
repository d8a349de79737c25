"""Thick sphere under inner pressure on an elastic bedding, bare and with a membrane outside.

Lame 1852: ``u = A r + B / r^2`` with ``sigma_r = 3 K A - 4 mu B / r^3``. At the inner radius a,
``sigma_r = -p``. At the outer radius b the springs and a membrane of thickness t resist with
``-sigma_r = (k_n + 2 t E / ((1 - nu) b^2)) u`` (equilibrium of a thin sphere, tension t E u / ((1 -
nu) b)). The solid shell in place of the membrane is a second layer of Lame's solution.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import ufl
from dolfinx import fem

from problems.exact import HELD, NO_CORTEX, SPRINGS, model_of, uniform, with_load
from problems.meshes import hollow_ball
from problems.row import Row, Size
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.mechanics.elasticity import boundary_measure, set_modulus
from sacrofem.mechanics.linear_solver import solve
from sacrofem.mechanics.materials import MaterialParameters
from sacrofem.mechanics.supports import JointSprings
from sacrofem.mesh.bone_mesh import BoneMesh

INNER_MM, OUTER_MM, PRESSURE_MPA = 10.0, 20.0, 5.0
YOUNG_MPA, POISSON = 300.0, 0.3
CORTEX_MM, CORTEX_MPA, CORTEX_POISSON = 1.0, 12000.0, 0.3
EDGE_MM: Mapping[Size, float] = {"small": 3.0, "full": 1.5}
NOTES = {
    1: (
        "P1: the corners of the polyhedron alone can move, and the error falls with about the "
        "square of the edge."
    ),
    2: (
        "P2: a flat membrane has no stiffness across itself, so that the softer bone pushes the "
        "middles of the facets out while their corners move too little; the error falls slowly "
        "with the edge. On flat faces the membrane is exact: see the patch test."
    ),
}
#: Hardly any bedding beside the membrane: that alone is to carry.
LOOSE = JointSprings(normal_N_per_mm3=0.01, tangential_N_per_mm3=0.01)


def lame(bedding_N_per_mm3: float) -> tuple[float, float]:
    """Radial displacement in mm at the inner and the outer wall."""
    K3, mu4 = YOUNG_MPA / (1 - 2 * POISSON), 2 * YOUNG_MPA / (1 + POISSON)
    a, b, k = INNER_MM, OUTER_MM, bedding_N_per_mm3
    matrix = [[K3, -mu4 / a**3], [K3 + k * b, -mu4 / b**3 + k / b**2]]
    A, B = np.linalg.solve(matrix, [-PRESSURE_MPA, 0.0])
    return A * a + B / a**2, A * b + B / b**2


def lame_with_shell(bedding_N_per_mm3: float) -> tuple[float, float]:
    """The same with a solid shell, bonded outside, in place of the membrane."""
    a, b, c, k = INNER_MM, OUTER_MM, OUTER_MM + CORTEX_MM, bedding_N_per_mm3
    K3, mu4 = YOUNG_MPA / (1 - 2 * POISSON), 2 * YOUNG_MPA / (1 + POISSON)
    S3, nu4 = CORTEX_MPA / (1 - 2 * CORTEX_POISSON), 2 * CORTEX_MPA / (1 + CORTEX_POISSON)
    matrix = [
        [K3, -mu4 / a**3, 0, 0],
        [b, 1 / b**2, -b, -1 / b**2],
        [K3, -mu4 / b**3, -S3, nu4 / b**3],
        [0, 0, S3 + k * c, -nu4 / c**3 + k / c**2],
    ]
    A, B, _, _ = np.linalg.solve(matrix, [-PRESSURE_MPA, 0.0, 0.0, 0.0])
    return A * a + B / a**2, A * b + B / b**2


def hollow(size: Size) -> list[Row]:
    """Lame's sphere on springs: displacement of both walls."""
    edge_mm = EDGE_MM[size]
    bone = hollow_ball(edge_mm, INNER_MM, OUTER_MM)
    found = _walls(bone, 2, NO_CORTEX, SPRINGS)
    exact = lame(SPRINGS.normal_N_per_mm3)
    what = f"P2, edge {edge_mm:g} mm"
    return [
        _row(f"{wall} wall, {what}", e, f, _limit(size))
        for wall, e, f in zip(("inner", "outer"), exact, found, strict=True)
    ]


def membrane(size: Size) -> list[Row]:
    """The cortex of the package on the outer wall: thin shell, and a solid shell."""
    k = LOOSE.normal_N_per_mm3
    thin = lame(k + 2 * CORTEX_MM * CORTEX_MPA / ((1 - CORTEX_POISSON) * OUTER_MM**2))[1]
    solid, bare = lame_with_shell(k)[1], lame(k)[1]
    materials = MaterialParameters(cortex_mm=CORTEX_MM, cortex_MPa=CORTEX_MPA)
    rows = []
    for order in (1, 2):
        for edge_mm in sorted({EDGE_MM["small"], EDGE_MM[size]}, reverse=True):
            bone = hollow_ball(edge_mm, INNER_MM, OUTER_MM)
            outer = _walls(bone, order, materials, LOOSE)[1]
            what = f"outer wall, P{order}, edge {edge_mm:g} mm"
            # The membrane on flat facets of a curved face is 3.9 % off at the size ``small``: the
            # tests hold that, with room for another mesh, and the table shows the miss.
            limit = 1.25 * _limit(size) if size == "small" else _limit(size)
            thin_row = _row(f"thin shell, {what}", thin, outer, limit)
            rows.append(replace(thin_row, note=NOTES[order]))
    note = (
        f"A shell of {CORTEX_MM:g} mm has its middle half of that outside the wall: the two exact "
        f"answers differ by {abs(thin / solid - 1.0):.1%}. The error of the idea and that of the "
        f"facets have opposite signs here. Without any shell the wall moves {bare:.4f} mm."
    )
    shell = _row(f"solid shell of {CORTEX_MM:g} mm, {what}", solid, outer, 0.1)
    return [*rows, replace(shell, note=note)]


def _limit(size: Size) -> float:
    """1 % at the size ``full``; the polyhedron misses the sphere by the square of the edge."""
    return 0.01 * (EDGE_MM[size] / EDGE_MM["full"]) ** 2


def _row(what: str, exact: float, found: float, limit: float) -> Row:
    error = abs(found / exact - 1.0)
    return Row(f"displacement, {what}", f"{exact:.5f} mm", f"{found:.5f} mm", error, limit)


def _walls(
    bone: BoneMesh, order: int, materials: MaterialParameters, springs: JointSprings
) -> tuple[float, float]:
    """Mean radial displacement in mm over the inner and the outer wall."""
    model = model_of(bone, order, materials, springs)
    radius = np.linalg.norm(bone.points_mm, axis=1)
    at_outer_wall = np.isclose(radius, OUTER_MM)[bone.tets].any(axis=1)
    modulus = uniform(bone, YOUNG_MPA, POISSON)
    set_modulus(model, replace(modulus, cortex=at_outer_wall.astype(float)))
    mesh = model.domain.mesh
    v, n, x = ufl.TestFunction(model.space), ufl.FacetNormal(mesh), ufl.SpatialCoordinate(mesh)
    ds = boundary_measure(model.domain)
    inside, outside = ds(int(SurfaceTag.ENDPLATE_S1)), ds(HELD)
    p, one = (fem.Constant(mesh, value) for value in (PRESSURE_MPA, 1.0))
    u, _ = solve(with_load(model, -p * ufl.inner(n, v) * inside))
    outward = ufl.dot(u, x) / ufl.sqrt(ufl.dot(x, x))
    inner, outer = (
        model.domain.integral(fem.form(outward * wall))
        / model.domain.integral(fem.form(one * wall))
        for wall in (inside, outside)
    )
    return inner, outer
