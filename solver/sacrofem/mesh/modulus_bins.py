"""Few materials for many cells: bins of Young's modulus, for programs that know no cell fields."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray

#: Cells share a material when Poisson's ratio rounds to the same multiple of this; a choice.
POISSON_STEP = 0.01


@dataclass(frozen=True, eq=False)
class ModulusBins:
    """Materials that stand for a modulus per cell, and what that costs.

    Attributes:
        material: Number of the material of each cell, from 0 in rising order of Poisson's ratio,
            then of Young's modulus, shape (m,).
        young_MPa: Young's modulus of each material: the mean over its cells' volume, shape (k,).
        poisson: Poisson's ratio of each material, the same mean, shape (k,).
        asked: Number of bins between the least and the largest modulus; empty ones have no
            material.
        spacing: ``log`` or ``linear``.
        largest_error: Largest ``|E_bin / E_cell - 1|`` of all cells.
        mean_error: Mean of that over the volume.
        poisson_error: Largest change of Poisson's ratio.
    """

    material: NDArray[np.int64]
    young_MPa: FloatArray
    poisson: FloatArray
    asked: int
    spacing: str
    largest_error: float
    mean_error: float
    poisson_error: float

    def summary(self) -> str:
        """One line for a report or a file's head."""
        return (
            f"{len(self.young_MPa)} materials from {self.asked} {self.spacing} bins of Young's "
            f"modulus: error at most {100 * self.largest_error:.2g} %, mean "
            f"{100 * self.mean_error:.2g} %; of Poisson's ratio at most {self.poisson_error:.2g}"
        )


def bin_modulus(
    young_MPa: FloatArray,
    poisson: FloatArray | float,
    cell_ml: FloatArray,
    bins: int = 100,
    spacing: str = "log",
) -> ModulusBins:
    """Put cells of nearly the same elastic constants into one material.

    Args:
        young_MPa: Young's modulus of each cell, shape (m,), positive.
        poisson: Poisson's ratio of each cell, shape (m,), or of all.
        cell_ml: Volume of each cell, shape (m,).
        bins: Number of bins between the least and the largest modulus.
        spacing: ``log``: bounds in geometric progression, the same relative error everywhere;
            ``linear``: bounds equally apart.

    Raises:
        InputError: A modulus is not positive and finite, shapes differ, or no such spacing.
    """
    ratio = np.broadcast_to(np.asarray(poisson, dtype=np.float64), cell_ml.shape)
    _check(young_MPa, cell_ml, bins, spacing)
    low, high = float(young_MPa.min()), float(young_MPa.max())
    space = np.geomspace if spacing == "log" else np.linspace
    inner = space(low, high, bins + 1)[1:-1]
    bin_of = np.searchsorted(inner, young_MPa, side="right")
    step_of = np.rint(ratio / POISSON_STEP).astype(np.int64)
    _, material = np.unique(step_of * bins + bin_of, return_inverse=True)
    volume = np.bincount(material, weights=cell_ml)
    young = np.bincount(material, weights=cell_ml * young_MPa) / volume
    poisson_of = np.bincount(material, weights=cell_ml * ratio) / volume
    error = np.abs(young[material] / young_MPa - 1.0)
    return ModulusBins(
        material=material,
        young_MPa=young,
        poisson=poisson_of,
        asked=bins,
        spacing=spacing,
        largest_error=float(error.max()),
        mean_error=float(np.average(error, weights=cell_ml)),
        poisson_error=float(np.abs(poisson_of[material] - ratio).max()),
    )


def _check(young_MPa: FloatArray, cell_ml: FloatArray, bins: int, spacing: str) -> None:
    if young_MPa.shape != cell_ml.shape:
        raise InputError(
            f"one Young's modulus a cell is required, shape {cell_ml.shape}; found shape "
            f"{young_MPa.shape}: give the modulus of this mesh."
        )
    bad = ~(np.isfinite(young_MPa) & (young_MPa > 0.0))
    if bad.any():
        raise InputError(
            f"Young's modulus has to be positive; {bad.sum()} of {len(bad)} cells have another, "
            f"the first is {young_MPa[bad][0]:g} MPa in cell {np.flatnonzero(bad)[0]}: clamp the "
            "density first."
        )
    if bins < 1 or spacing not in ("log", "linear"):
        raise InputError(
            "bins of Young's modulus need a number of at least 1 and the spacing 'log' or "
            f"'linear'; found {bins} and '{spacing}'."
        )
