"""Springs of the supports against a bar in closed form, normal and tangential.

A bar of length L and Poisson's ratio 0 between the joints under body force f: along itself ``u = f
/ (2 E) (L^2/4 - x^2) + f L / (2 k_n)``, across in simple shear the same with G and k_t, and the
shear stress ``-f x`` on the two free faces that it needs. Both are quadratic: P2 is exact.
"""

import numpy as np
import ufl

from problems.exact import SPRINGS, model_of, uniform, with_load
from problems.meshes import box
from problems.row import Row, Size
from sacrofem.mechanics.state import solve_state

SIZE_MM = (30.0, 12.0, 16.0)
FORCE_N_PER_MM3 = np.array([0.02, 0.0, -0.03])
YOUNG_MPA = 400.0
WITHIN = 1e-8


def run(size: Size) -> list[Row]:
    """Displacement of every vertex, and the force of both joints."""
    bone = box(2 if size == "small" else 5, SIZE_MM)
    model = model_of(bone, 2)
    f, mesh = FORCE_N_PER_MM3, model.domain.mesh
    v, n, x = ufl.TestFunction(model.space), ufl.FacetNormal(mesh), ufl.SpatialCoordinate(mesh)
    form = ufl.inner(ufl.as_vector(f.tolist()), v) * ufl.dx(domain=mesh)
    form += -f[2] * x[0] * n[2] * v[0] * ufl.ds(domain=mesh)
    solved = solve_state(with_load(model, form), uniform(bone, YOUNG_MPA, 0.0))
    exact = bar_mm(bone.points_mm[:, 0])
    off = float(np.abs(solved.displacement_mm - exact).max() / np.abs(exact).max())
    force = 0.5 * f * np.prod(SIZE_MM)
    joints = float(max(np.abs(j - force).max() for j in solved.joint_force_N.values()))
    joints /= float(np.abs(force).max())
    centre = bar_mm(np.zeros(1))[0]
    what = f"P2, {len(bone.tets):,} cells"
    return [
        Row(
            f"displacement of the bar, {what}",
            f"{centre[0]:.5f}, {centre[2]:.5f} mm at its middle",
            f"off by {off:.1e}",
            off,
            WITHIN,
        ),
        Row(
            f"force of each joint, {what}",
            f"{force[0]:.2f}, {force[2]:.2f} N",
            f"off by {joints:.1e}",
            joints,
            WITHIN,
        ),
    ]


def bar_mm(x: np.ndarray) -> np.ndarray:
    """Exact displacement at positions along the bar, shape (k, 3)."""
    length, f = SIZE_MM[0], FORCE_N_PER_MM3
    out = np.zeros((len(x), 3))
    for axis, modulus, spring in (
        (0, YOUNG_MPA, SPRINGS.normal_N_per_mm3),
        (2, 0.5 * YOUNG_MPA, SPRINGS.tangential_N_per_mm3),
    ):
        bent = f[axis] / (2 * modulus) * (length**2 / 4 - x**2)
        out[:, axis] = bent + f[axis] * length / (2 * spring)
    return out
