"""Response of the cortical membrane, a region beside those of cells."""

import numpy as np
from numpy.typing import NDArray

from sacrofem.measure.response import QUANTITIES, Spread, spread
from sacrofem.mechanics.materials import BONE_POISSON, MaterialParameters
from sacrofem.mechanics.state import StateSolution


def cortex_response(
    state: StateSolution, cells: NDArray[np.bool_], materials: MaterialParameters
) -> dict[str, Spread]:
    """Mean and 95th percentile by area of each quantity over the membrane on some cells.

    Plane stress, the force per length over the thickness: ``s = T / 2 +- sqrt(S / 2 - T^2 / 4)``
    with the trace T of the stress and its square S; the strains by Hooke's law. Largest principal
    stress and compressive strain are those within the surface.

    Args:
        state: A state.
        cells: Cells of the bone mesh whose outer facets count, shape (m,).
        materials: Thickness and modulus of the cortex.

    Returns: By the names of :data:`sacrofem.measure.response.QUANTITIES`; NaN without a cortex.
    """
    here = cells[state.cortex.cell]
    if not here.any() or materials.cortex_mm * materials.cortex_MPa == 0.0:
        return dict.fromkeys(QUANTITIES, Spread(float("nan"), float("nan")))
    stress = state.cortex.N_per_mm[here] / materials.cortex_mm
    half = 0.5 * np.trace(stress, axis1=1, axis2=2)
    square = np.einsum("fij,fij->f", stress, stress)
    radius = np.sqrt(np.maximum(0.5 * square - half**2, 0.0))
    high, low = half + radius, half - radius
    E, nu = materials.cortex_MPa, BONE_POISSON
    values = (
        np.sqrt(square - high * low),
        high,
        -(low - nu * high) / E,
        (square - 2.0 * nu * high * low) / (2.0 * E),
    )
    area_mm2 = state.cortex.area_mm2[here]
    return {n: spread(v, area_mm2) for n, v in zip(QUANTITIES, values, strict=True)}
