"""The solver lives with any contrast between cement and lesion."""

import numpy as np

from problems.exact import model_of, uniform
from problems.meshes import box
from problems.random_box import CORTEX, SIZE_MM
from problems.row import Row, Size
from sacrofem.errors import SolverError
from sacrofem.mechanics.linear_solver import MAX_ITERATIONS
from sacrofem.mechanics.state import solve_state

CEMENT_MPA, BONE_MPA, RADIUS_MM = 2000.0, 300.0, 8.0
#: Iterations at contrast 1e6 over those at 1e2.
RATIO = 1.5


def run(size: Size) -> list[Row]:
    """Iterations of CG for a soft ball on the right and a stiff one on the left."""
    bone = box(6 if size == "small" else 14, SIZE_MM)
    model = model_of(bone, 2, CORTEX)
    soft, stiff = (
        np.linalg.norm(bone.centroids_mm - [x, 0.0, 0.0], axis=1) < RADIUS_MM for x in (-15.0, 15.0)
    )
    powers = (0, 2, 6) if size == "small" else range(8)
    iterations, rows = {}, []
    for power in powers:
        modulus = uniform(bone, BONE_MPA, 0.3, cortex=1.0)
        modulus.young_MPa[stiff], modulus.young_MPa[soft] = CEMENT_MPA, CEMENT_MPA / 10.0**power
        try:
            iterations[power] = float(solve_state(model, modulus).record.iterations)
        except SolverError:
            iterations[power] = np.inf
        what = f"contrast 1e{power}, P2, {model.dofs:,} degrees of freedom"
        found = f"{iterations[power]:g} iterations"
        rows.append(Row(what, "converges", found, iterations[power], MAX_ITERATIONS))
    ratio = iterations[6] / iterations[2]
    what = "iterations at 1e6 over those at 1e2"
    return [*rows, Row(what, f"at most {RATIO:g}", f"{ratio:.2f}", ratio, RATIO)]
