"""A lesion: a region of the sacrum that a tumour has replaced or changed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.treatment.plan import Breach, Kind
from sacrofem.treatment.region import BoneSamples

#: Density of bone that an osteoblastic metastasis has thickened, in g/cm3: untreated ones have 654
#: +/- 176 HU (Ulano 2016, AJR 207:362, 153 lesions), on the fallback line 0.84 + 0.81 HU mg/cm3.
BLASTIC_G_PER_CM3 = 0.53


@dataclass(frozen=True, eq=False)
class Fracture:
    """A fracture plane through a lesion, as a thin compliant layer.

    The gap is thinner than a cell, so it is known twice: ``layer`` is where it is, for what flows
    through it; ``cells`` carry its compliance, see :func:`sacrofem.treatment.fracture.gap_along`.

    Attributes:
        point_mm: A point of the plane within the lesion, world, shape (3,).
        normal: Its unit normal, world, shape (3,), to the left.
        gap_mm: Width of the gap.
        samples: Parts of the sacrum's cells.
        layer: Parts of the bone that the plane crosses, within the lesion and through the bone
            around it, shape (s,); one part thick where the gap is thinner than that.
        cells: Cells that the plane crosses there, shape (k,).
        area_mm2: Area of the plane within each of them, shape (k,).
        in_series: Part of each that acts as gap, in series with the rest of it, shape (k,).
        foot: Number of the part of ``layer`` next to the plane in each of them, shape (k,).
    """

    point_mm: FloatArray
    normal: FloatArray
    gap_mm: float
    samples: BoneSamples
    layer: NDArray[np.bool_]
    cells: NDArray[np.int64]
    area_mm2: FloatArray
    in_series: FloatArray
    foot: NDArray[np.int64]

    def open_share(self, closed: NDArray[np.bool_]) -> FloatArray:
        """Part of each cell of the mesh that acts as gap in series with the rest, shape (m,).

        Args:
            closed: Parts in which something bridges the gap, shape (s,): cement. A cell's gap is
                closed when it is closed where the plane crosses the cell.
        """
        share = np.zeros(self.samples.cells)
        here = ~closed[self.foot]
        share[self.cells[here]] = self.in_series[here]
        return share


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion clipped to the sacrum.

    Attributes:
        name: Where it is, in words.
        kind: ``lytic``, ``blastic`` or ``mixed``.
        side: ``left``, ``right`` or ``middle``, by its centre.
        centre_mm: Its centre of mass, world, shape (3,).
        radius_mm: Radius of the ball of its volume.
        samples: Parts of the sacrum's cells.
        inside: Which of them belong to it, shape (s,).
        blastic: Which of them are bone made denser, shape (s,): all of a blastic lesion, the rim
            of a mixed one, none of a lytic one.
        volume_ml: Its volume.
        breach: Faces whose cortex it destroyed.
        cortex_lost: Part of the cortex on each cell's outer facets that it destroyed, shape (m,).
        voxels: Which voxels of the tissue grid belong to it, shape of the grid.
        open_voxels: Which voxels of the bone's surface have no cortex any more, shape of the grid.
        fracture: A fracture through it.
    """

    name: str
    kind: Kind
    side: str
    centre_mm: FloatArray
    radius_mm: float
    samples: BoneSamples
    inside: NDArray[np.bool_]
    blastic: NDArray[np.bool_]
    volume_ml: float
    breach: tuple[Breach, ...]
    cortex_lost: FloatArray
    voxels: NDArray[np.bool_]
    open_voxels: NDArray[np.bool_]
    fracture: Fracture | None

    @property
    def lytic(self) -> NDArray[np.bool_]:
        """Parts that are soft tumour in place of bone, shape (s,)."""
        return self.inside & ~self.blastic

    @property
    def fraction(self) -> FloatArray:
        """Volume fraction in each cell of the mesh, shape (m,)."""
        return self.samples.fraction(self.inside)


def diseased(lesions: Sequence[Lesion]) -> NDArray[np.bool_]:
    """Parts of the samples that belong to any lesion, shape (s,); at least one lesion."""
    return np.asarray(np.logical_or.reduce([lesion.inside for lesion in lesions]))
