"""Manufactured solutions: errors fall at the theoretical orders, also with a jump in E.

The displacement is ``sin((x + 0.3) / L) ...`` in one material. Where E jumps at x = 0 it is
``sin(x / L) w(y, z) / E``: it vanishes at the jump, so that it is continuous, and so is its
traction, as long as Poisson's ratio is the same.
"""

from typing import Any

import numpy as np
import ufl
from mpi4py import MPI

from problems.exact import errors, loaded, model_of
from problems.meshes import box
from problems.row import Row, Size
from sacrofem.mechanics.elasticity import ElasticModel, set_modulus
from sacrofem.mechanics.linear_solver import solve
from sacrofem.mechanics.materials import ModulusField

LENGTH_MM = 20.0
#: Cells along an edge, coarse and fine, by size of the run and degree.
CELLS = {"small": {1: (10, 20), 2: (4, 8)}, "full": {1: (20, 40), 2: (8, 16)}}
JUMP = 100.0
WITHIN = 0.1


def run(size: Size) -> list[Row]:
    """Observed orders in L2 and of the gradient, P1 and P2, E constant and with a jump."""
    return [row for order in (1, 2) for jump in (1.0, JUMP) for row in rates(order, jump, size)]


def rates(order: int, jump: float, size: Size, comm: MPI.Comm = MPI.COMM_SELF) -> list[Row]:
    """Rows of one degree and one ratio of the moduli on both sides of x = 0."""
    coarse, fine = CELLS[size][order]
    pair = np.array([_errors(order, jump, cells, comm) for cells in (coarse, fine)])
    found = np.log2(pair[0] / pair[1])
    material = "one E" if jump == 1.0 else f"E jumps by {jump:g}"
    what = f"P{order}, {material}, {coarse} and {fine} cells an edge"
    return [
        Row(f"order {norm}, {what}", f"{exact}", f"{rate:.3f}", abs(rate - exact), WITHIN)
        for norm, rate, exact in zip(("in L2", "in H1"), found, (order + 1, order), strict=True)
    ]


def _errors(order: int, jump: float, cells: int, comm: MPI.Comm) -> tuple[float, float]:
    bone = box(cells, (LENGTH_MM, LENGTH_MM, LENGTH_MM))
    young = np.where(bone.centroids_mm[:, 0] > 0.0, jump, 1.0) * 100.0
    same = np.ones(len(young))
    modulus = ModulusField(young, 0.3 * same, 0.0 * same)
    model = model_of(bone, order, comm=comm)
    set_modulus(model, modulus)
    exact = _exact(model, jump)
    u, _ = solve(loaded(model, modulus, exact, degree=2 * order + 2))
    return errors(model, u, exact, degree=2 * order + 2)


def _exact(model: ElasticModel, jump: float) -> Any:
    x, y, z = (c / LENGTH_MM for c in ufl.SpatialCoordinate(model.domain.mesh))
    if jump == 1.0:
        x = x + 0.3
        return ufl.as_vector(
            [ufl.sin(x) * ufl.cos(y), ufl.sin(y + 1.0) * ufl.cos(z), ufl.sin(z) * ufl.cos(x)]
        )
    across = [ufl.cos(y + z), ufl.sin(y + 1.0), ufl.cos(z) * ufl.cos(y)]
    return 100.0 / model.coefficients.young * ufl.sin(2.0 * x) * ufl.as_vector(across)
