"""Stress in the cement and on its interface with bone, against what cement is known to bear.

Cement is weighed in the cells of which it has at least half. It shares the cell's strain with what
else is there (see :mod:`sacrofem.measure.tissues`), so that its stress is the cell's mean stress
times its part of the force over its part of the volume. The traction on a face between a cell of
cement and one of bone is the mean of both cells' mean stresses times the face's normal. On the
phantom with cells of 3 mm all tractions on the surface of a fill sum to 0.5 % of their sizes, where
nothing would be exact; those from one side alone to 0.5 % (cement) and 1.7 % (bone).

No limit in MPa is put beside the interface: what it bears depends on how far the cement reaches
into the bone, which a clinical CT does not show. With reduced interlock tension and shear reach up
to 1.9 times the failure threshold in standing and 7 times in walking; a patient who lies has a
safety factor of 2.95 at least (Purcell 2021, a vertebra after balloon kyphoplasty). The interface
is 2.5 times stronger in shear than in tension (micro-FE against tests, pmid 20022010).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.measure.stress_relief import weighted_percentile
from sacrofem.mechanics.state import StateSolution
from sacrofem.mesh.bone_mesh import BoneMesh, Part, boundary_facets, facet_areas_mm2
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion

#: A cell is cement from this part of its volume on (a choice: the larger part decides).
MOSTLY_CEMENT = 0.5
#: What PMMA bears, in MPa, the low end of each range. Compressive fatigue limit: 43-45 of standard
#: cement, 3-5 of low modulus (researchgate 349872913; Ajaxon and Persson 2014, Robo 2018). Static
#: strength of Palacos: 80-100 in compression, 30-50 in tension (textbook values, not checked).
LIMITS_MPA: Mapping[str, float] = {
    "compressive_fatigue": 43.0,
    "compressive_fatigue_low_modulus": 3.0,
    "compressive_strength": 80.0,
    "tensile_strength": 30.0,
}


@dataclass(frozen=True)
class Peak:
    """95th percentile by volume or area, and the largest value of a cell or face, in MPa."""

    p95: float
    maximum: float


@dataclass(frozen=True)
class CementStress:
    """Stress in the cement; all NaN where no cell is mostly cement.

    Attributes:
        volume_ml: Cement in the cells that are weighed.
        von_mises_MPa: Von Mises stress.
        tension_MPa: Largest principal stress.
        compression_MPa: Smallest principal stress, its sign turned.
        safety: By the names of :data:`LIMITS_MPA`: the limit over the 95th percentile of the
            stress; the maximum hangs on single cells. Infinite where nothing presses or pulls.
    """

    volume_ml: float
    von_mises_MPa: Peak
    tension_MPa: Peak
    compression_MPa: Peak
    safety: Mapping[str, float]


@dataclass(frozen=True)
class InterfaceStress:
    """Traction between cement and bone; NaN where they do not touch.

    Attributes:
        area_mm2: Of the faces between a cell of cement and one of bone.
        tension_MPa: Traction along the normal, 0 where it presses.
        shear_MPa: Size of the traction within the face.
    """

    area_mm2: float
    tension_MPa: Peak
    shear_MPa: Peak


_NONE = Peak(float("nan"), float("nan"))
#: Where no cell is mostly cement, and where no such cell touches bone.
NO_CEMENT = CementStress(0.0, _NONE, _NONE, _NONE, dict.fromkeys(LIMITS_MPA, float("nan")))
NO_INTERFACE = InterfaceStress(0.0, _NONE, _NONE)


@dataclass(frozen=True, eq=False)
class _Faces:
    """Faces between cement and bone: cell of each, shape (f,), normal to the bone and area."""

    cement: NDArray[np.int64]
    bone: NDArray[np.int64]
    normal: FloatArray
    area_mm2: FloatArray


def stress_of_fills(
    mesh: BoneMesh,
    state: StateSolution,
    lesions: Sequence[Lesion],
    fills: Sequence[CementFill],
    force_share: FloatArray,
) -> tuple[CementStress, InterfaceStress]:
    """Stress in the cement of all fills of a state and on its interface.

    Args:
        mesh: Bone mesh.
        state: The state with the fills.
        lesions: The lesions.
        fills: The fills.
        force_share: See :func:`cement_stress`.
    """
    samples = fills[0].samples
    inside = np.logical_or.reduce([fill.inside for fill in fills])
    lytic = np.logical_or.reduce([samples.none, *(lesion.lytic for lesion in lesions)])
    filled = samples.fraction(inside)
    return (
        cement_stress(mesh, state, filled, force_share),
        interface_stress(mesh, state, filled, samples.fraction(lytic & ~inside)),
    )


def cement_stress(
    mesh: BoneMesh, state: StateSolution, volume_share: FloatArray, force_share: FloatArray
) -> CementStress:
    """Stress in the cement of a state.

    Args:
        mesh: Bone mesh.
        state: The state.
        volume_share: Part of each cell's volume that holds cement, shape (m,).
        force_share: Part of each cell's force that the cement carries, shape (m,).
    """
    cells = np.flatnonzero(volume_share >= MOSTLY_CEMENT)
    if len(cells) == 0:
        return NO_CEMENT
    scale = force_share[cells] / volume_share[cells]
    low, middle, high = (state.principal_MPa[cells] * scale[:, None]).T
    shear = 0.5 * ((high - middle) ** 2 + (middle - low) ** 2 + (high - low) ** 2)
    weight = mesh.cell_ml[cells] * volume_share[cells]
    tension, compression = _peak(high, weight), _peak(-low, weight)
    return CementStress(
        volume_ml=float(weight.sum()),
        von_mises_MPa=_peak(np.sqrt(shear), weight),
        tension_MPa=tension,
        compression_MPa=compression,
        safety={
            name: _safety(limit, tension.p95 if name.startswith("tensile") else compression.p95)
            for name, limit in LIMITS_MPA.items()
        },
    )


def interface_stress(
    mesh: BoneMesh, state: StateSolution, volume_share: FloatArray, tumour: FloatArray
) -> InterfaceStress:
    """Traction on the interface of cement and bone.

    Args:
        mesh: Bone mesh.
        state: The state.
        volume_share: Part of each cell's volume that holds cement, shape (m,).
        tumour: Part of it that is lytic tumour, shape (m,): a cell that has more tumour than bone
            beside its cement is no bone.
    """
    faces = _faces(mesh, volume_share, tumour)
    if len(faces.cement) == 0:
        return NO_INTERFACE
    mean = 0.5 * (state.stress_MPa[faces.cement] + state.stress_MPa[faces.bone])
    traction = np.einsum("fij,fj->fi", mean, faces.normal)
    along = np.einsum("fi,fi->f", traction, faces.normal)
    shear = np.linalg.norm(traction - along[:, None] * faces.normal, axis=1)
    return InterfaceStress(
        area_mm2=float(faces.area_mm2.sum()),
        tension_MPa=_peak(np.maximum(along, 0.0), faces.area_mm2),
        shear_MPa=_peak(shear, faces.area_mm2),
    )


def _faces(mesh: BoneMesh, volume_share: FloatArray, tumour: FloatArray) -> _Faces:
    """The faces that a cell of cement shares with a cell of the sacrum's bone."""
    cement = volume_share >= MOSTLY_CEMENT
    bone = (mesh.part == Part.SACRUM) & ~cement & (tumour <= 0.5 * (1.0 - volume_share))
    cells = np.flatnonzero(cement)
    outer, owner = boundary_facets(mesh.tets[cells])
    at_cement = np.zeros(len(mesh.points_mm), dtype=bool)
    at_cement[outer] = True
    # A cell with a face there has three of its vertices there.
    beside = np.flatnonzero(bone & (at_cement[mesh.tets].sum(axis=1) >= 3))
    theirs, behind = boundary_facets(mesh.tets[beside])
    mine, other = _matching(outer, theirs)
    corner = mesh.points_mm[outer[mine]]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    area_mm2 = facet_areas_mm2(mesh.points_mm, outer[mine])
    return _Faces(cells[owner[mine]], beside[behind[other]], normal, area_mm2)


def _matching(
    one: NDArray[np.int64], two: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of two lists of triangles that have the same three vertices."""
    rows, back = np.unique(np.sort(np.concatenate([one, two]), axis=1), axis=0, return_inverse=True)
    place = np.full(len(rows), -1)
    place[back.ravel()[len(one) :]] = np.arange(len(two))
    found = place[back.ravel()[: len(one)]]
    mine = np.flatnonzero(found >= 0)
    return mine, found[mine]


def _peak(values: FloatArray, weights: FloatArray) -> Peak:
    return Peak(weighted_percentile(values, weights, 95.0), float(values.max()))


def _safety(limit_MPa: float, stress_MPa: float) -> float:
    return limit_MPa / stress_MPa if stress_MPa > 0.0 else float("inf")
