"""A cement fill: where the PMMA is, what it leaked, what it compacted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.treatment.lesion import Lesion


@dataclass(frozen=True, eq=False)
class CementFill:
    """Cement on the samples of a lesion.

    Attributes:
        technique: ``balloon`` or ``vertebroplasty``.
        lesion: The lesion that it fills.
        inside: Which parts of the lesion's samples are cement, shape (s,).
        volume_ml: Cement in bone.
        leak_ml: Cement outside the bone.
        interdigitated: Whether the cement permeates bone (composite) or fills a cavity (pure).
        compacted_g_per_cm3: Density that the displaced bone adds to each cell, shape (m,).
    """

    technique: str
    lesion: Lesion
    inside: NDArray[np.bool_]
    volume_ml: float
    leak_ml: float
    interdigitated: bool
    compacted_g_per_cm3: FloatArray

    @property
    def fraction(self) -> FloatArray:
        """Volume fraction of cement in each cell of the mesh, shape (m,)."""
        return self.lesion.samples.fraction(self.inside)

    @property
    def lesion_left_fraction(self) -> FloatArray:
        """Volume fraction in each cell of lesion that the cement did not replace, shape (m,)."""
        return self.lesion.samples.fraction(self.lesion.inside & ~self.inside)
