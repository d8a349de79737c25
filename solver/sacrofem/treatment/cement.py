"""A cement fill: where the PMMA is, what it leaked, what it compacted, why it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.compartments import Compartment
from sacrofem.treatment.plan import Technique
from sacrofem.treatment.region import BoneSamples


@dataclass(frozen=True, eq=False)
class CementFill:
    """Cement of one procedure on the samples of the sacrum.

    ``cement_ml + sum(leak_ml) + unplaced_ml = injected_ml``: what was asked for is in the bone,
    beside it, or still in the syringe.

    Attributes:
        technique: How it was placed.
        samples: Parts of the sacrum's cells.
        pure: Parts that are PMMA alone: a cavity filled, shape (s,).
        interdigitated: Parts whose pores the cement fills, shape (s,); disjoint from ``pure``.
        hollow: Parts of a cavity that the cement left empty, shape (s,).
        compacted_g_per_cm3: Density that displaced bone adds to each cell, shape (m,).
        injected_ml: PMMA that was asked for.
        cement_ml: PMMA in the bone; less than the volume of its parts where it shares them with
            bone.
        leak_ml: PMMA outside the bone by compartment; compartments without any are left out.
        unplaced_ml: PMMA that a stop rule kept in the syringe.
        pressure_kPa: Pressure at the tip at the end of the injection above that in the marrow;
            None where the technique has no flow.
        stopped_by: What ended the injection early, in words; empty where all was injected.
        nerve_distance_mm: Smallest distance from cement to each nerve passage; infinite where
            there is no cement.
        notes: What the reader of the result must know.
        leak_voxels: Voxels of the tissue grid outside the bone that hold cement, shape (n, 3).
    """

    technique: Technique
    samples: BoneSamples
    pure: NDArray[np.bool_]
    interdigitated: NDArray[np.bool_]
    hollow: NDArray[np.bool_]
    compacted_g_per_cm3: FloatArray
    injected_ml: float
    cement_ml: float
    leak_ml: Mapping[Compartment, float]
    unplaced_ml: float
    pressure_kPa: float | None
    stopped_by: str
    nerve_distance_mm: Mapping[Compartment, float]
    notes: tuple[str, ...]
    leak_voxels: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Parts that hold cement, shape (s,)."""
        return self.pure | self.interdigitated

    @property
    def augmented_ml(self) -> float:
        """Volume of the parts that hold cement, with the bone that they share."""
        return self.samples.volume_ml(self.inside)

    @property
    def fraction(self) -> FloatArray:
        """Volume fraction of parts with cement in each cell of the mesh, shape (m,)."""
        return self.samples.fraction(self.inside)

    @property
    def leaked_ml(self) -> float:
        """PMMA outside the bone, all compartments."""
        return float(sum(self.leak_ml.values()))
