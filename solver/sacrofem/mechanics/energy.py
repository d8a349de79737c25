"""Strain energy of a solution, and the work of the load that it must equal."""

from dataclasses import dataclass

import numpy as np
import ufl
from dolfinx import fem

from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.elasticity import ElasticModel, boundary_measure, spring_traction
from sacrofem.mechanics.element_forces import CellForces, bulk_energies_mJ


@dataclass(frozen=True, eq=False)
class StrainEnergy:
    """Where the work of the load is stored, in mJ (N mm).

    Attributes:
        cell_mJ: In each cell, without its cortex, shape (m,).
        cortex_mJ: In the cortical membrane.
        springs_mJ: In the springs of the supports.
        ligaments_mJ: In the ligaments.
        half_work_mJ: Half the load times the displacement (Clapeyron): what all must sum to.
        error: What the sum misses of it, relative.
    """

    cell_mJ: FloatArray
    cortex_mJ: float
    springs_mJ: float
    ligaments_mJ: float
    half_work_mJ: float
    error: float


def strain_energy(
    model: ElasticModel, u: fem.Function, cortex: CellForces, ligaments_mJ: float = 0.0
) -> StrainEnergy:
    """Energy of a solution under the model's load and modulus; collective.

    Args:
        model: The model with the moduli of the solution.
        u: The solution.
        cortex: Forces of the cortex, see :func:`sacrofem.mechanics.element_forces.cortex_forces`.
        ligaments_mJ: Energy of the ligaments.
    """
    domain = model.domain
    held = boundary_measure(domain)(tuple(int(t) for t in model.support.surfaces.values()))
    traction = spring_traction(u, ufl.FacetNormal(domain.mesh), model.support.springs, domain.mesh)
    springs = 0.5 * domain.integral(fem.form(ufl.inner(traction, u) * held))
    half_work = 0.5 * domain.integral(fem.form(ufl.action(model.work, u)))
    cells = domain.gather_cells(bulk_energies_mJ(model, u))
    shell = domain.sum(float(cortex.energy_mJ.sum()))
    missing = float(cells.sum()) + shell + springs + ligaments_mJ - half_work
    error = float(np.abs(missing / half_work))
    return StrainEnergy(cells, shell, springs, ligaments_mJ, half_work, error)
