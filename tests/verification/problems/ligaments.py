"""A ligament on an elastic body, by a theorem that holds for any body.

A line spring of stiffness k at a point of a body that gives way by c under a unit force there, and
that without the spring moves its end by e, has the tension ``T = e / (1/k + c)`` (two springs in
series). One stiffness gives c; the others have to agree.
"""

import numpy as np

from problems.exact import SPRINGS, model_of, uniform
from problems.meshes import box
from problems.row import Row, Size
from sacrofem.errors import SolverError
from sacrofem.mechanics.elasticity import with_ligaments
from sacrofem.mechanics.ligaments import Ligaments
from sacrofem.mechanics.state import solve_state
from sacrofem.mesh.bone_mesh import BoneMesh

SIZE_MM = (30.0, 12.0, 16.0)
YOUNG_MPA, POISSON = 400.0, 0.3
FIRST_N_PER_MM, OTHERS_N_PER_MM = 200.0, (20.0, 2000.0, 20000.0)
WITHIN = 1e-8


def run(size: Size) -> list[Row]:
    """Tension of one ligament of several stiffnesses, at degrees 1 and 2."""
    return [_row(box(2 if size == "small" else 5, SIZE_MM), order) for order in (1, 2)]


def _row(bone: BoneMesh, order: int) -> Row:
    model, moduli = model_of(bone, order, springs=SPRINGS), uniform(bone, YOUNG_MPA, POISSON)
    free = solve_state(model, moduli).displacement_mm
    vertex = int(np.argmax(np.linalg.norm(free, axis=1)))
    # Neither along the motion nor across it: the parts of the motion must not be mixed up.
    along = -free[vertex] / np.linalg.norm(free[vertex]) + np.array([0.5, -0.3, 0.2])
    along /= np.linalg.norm(along)
    longer_mm = -float(free[vertex] @ along)

    def tension_N(k: float) -> float:
        line = Ligaments(
            name=np.array(["sacrospinous"]),
            side=np.array(["left"]),
            stiffness_N_per_mm=np.array([k]),
            vertex=np.array([vertex]),
            hip_vertex=np.array([-1]),
            end_mm=(bone.points_mm[vertex] + 60.0 * along)[None],
            direction=along[None],
        )
        held = solve_state(with_ligaments(model, line), moduli)
        return held.ligament_tension_N["sacrospinous"]["left"]

    what = f"tension at {', '.join(f'{k:g}' for k in OTHERS_N_PER_MM)} N/mm, P{order}, "
    what += f"{len(bone.tets):,} cells"
    try:
        gives = longer_mm / tension_N(FIRST_N_PER_MM) - 1.0 / FIRST_N_PER_MM
        exact = [longer_mm / (1.0 / k + gives) for k in OTHERS_N_PER_MM]
        found = [tension_N(k) for k in OTHERS_N_PER_MM]
    except SolverError as error:
        return Row(what, "a solution", f"refused: {error}", float("inf"), WITHIN)
    off = max(abs(f / e - 1.0) for f, e in zip(found, exact, strict=True))
    return Row(what, ", ".join(f"{e:.4f} N" for e in exact), f"off by {off:.1e}", off, WITHIN)
