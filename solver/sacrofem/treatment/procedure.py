"""A treatment: the procedures of one arm on one diseased bone, done one after the other."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.compartments import Compartment
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.plan import ProcedurePlan


@dataclass(frozen=True, eq=False)
class Procedure:
    """One needle and what was injected through it."""

    plan: ProcedurePlan
    path: AccessPath
    fill: CementFill


@dataclass(frozen=True, eq=False)
class Treatment:
    """All procedures of an arm; later ones found the cement of earlier ones in place."""

    procedures: tuple[Procedure, ...]

    @property
    def fills(self) -> tuple[CementFill, ...]:
        """The fills in the order of the procedures."""
        return tuple(procedure.fill for procedure in self.procedures)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Parts of the samples that hold cement, shape (s,)."""
        return np.logical_or.reduce([fill.inside for fill in self.fills])

    @property
    def fraction(self) -> FloatArray:
        """Volume fraction of parts with cement in each cell of the mesh, shape (m,)."""
        return self.fills[0].samples.fraction(self.inside)

    @property
    def cement_ml(self) -> float:
        """PMMA in the bone."""
        return float(sum(fill.cement_ml for fill in self.fills))

    @property
    def leak_ml(self) -> dict[Compartment, float]:
        """PMMA outside the bone by compartment."""
        total: Counter[Compartment] = Counter()
        for fill in self.fills:
            total.update(fill.leak_ml)
        return dict(total)

    @property
    def leaked_ml(self) -> float:
        """PMMA outside the bone."""
        return float(sum(fill.leaked_ml for fill in self.fills))

    @property
    def unplaced_ml(self) -> float:
        """PMMA that stop rules kept in the syringe."""
        return float(sum(fill.unplaced_ml for fill in self.fills))
