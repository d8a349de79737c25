"""Stress relief: what the cement took off the bone around the lesion."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.treatment.region import BoneSamples

#: Width of the rim of bone around the lesion, in mm.
RIM_MM = 5.0
#: A cell with less than this part of lesion or cement counts as bone.
PURE_BONE = 1e-3


@dataclass(frozen=True)
class RegionStress:
    """Von Mises stress of a region in one state, volume-weighted, in MPa."""

    von_mises_mean_MPa: float
    von_mises_p95_MPa: float


@dataclass(frozen=True)
class Relief:
    """What a treatment takes off a region: ``1 - treated / lesion``, 1 is all, below 0 is worse."""

    von_mises_mean: float
    von_mises_p95: float


def von_mises_MPa(stress_MPa: FloatArray) -> FloatArray:
    """Von Mises stress, shape (m,), of stress tensors, shape (m, 3, 3)."""
    trace = np.trace(stress_MPa, axis1=1, axis2=2)
    deviator = stress_MPa - trace[:, None, None] / 3.0 * np.eye(3)
    return np.asarray(np.sqrt(1.5 * np.einsum("mij,mij->m", deviator, deviator)))


def rim_cells(
    mesh: BoneMesh,
    samples: BoneSamples,
    diseased: NDArray[np.bool_],
    cement: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Cells of the sacrum's sound bone near a lesion, none of them with cement of this arm.

    Near is within ``RIM_MM`` of any lesion; cartilage and ilium beside the joint are not of the
    rim. The same cells are compared in all states; a cell that turns from bone into cement has no
    stress of bone to compare.

    Args:
        mesh: Bone mesh.
        samples: Parts of the sacrum's cells.
        diseased, cement: Which of them are lesion, and which hold cement, shape (s,).
    """
    if not diseased.any():
        return np.zeros(len(mesh.tets), dtype=bool)
    distance, _ = cKDTree(samples.points_mm[diseased]).query(
        mesh.centroids_mm, distance_upper_bound=RIM_MM
    )
    return np.isfinite(distance) & sound_cells(mesh, samples, diseased, cement)


def sound_cells(
    mesh: BoneMesh,
    samples: BoneSamples,
    diseased: NDArray[np.bool_],
    cement: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Cells of the sacrum without lesion and without cement, see :func:`rim_cells`."""
    sound = (samples.fraction(diseased) < PURE_BONE) & (samples.fraction(cement) < PURE_BONE)
    return np.asarray(sound & (mesh.part == Part.SACRUM))


def region_stress(mesh: BoneMesh, cells: NDArray[np.bool_], von_mises: FloatArray) -> RegionStress:
    """Mean and 95th percentile of the von Mises stress, shape (m,), over a region."""
    if not cells.any():
        return RegionStress(float("nan"), float("nan"))
    volume, value = mesh.cell_ml[cells], von_mises[cells]
    mean = float(volume @ value / volume.sum())
    return RegionStress(mean, weighted_percentile(value, volume, 95.0))


def relief(lesion: RegionStress, treated: RegionStress) -> Relief:
    """Relief of a region between the states with lesion and treated."""
    return Relief(
        von_mises_mean=1.0 - treated.von_mises_mean_MPa / lesion.von_mises_mean_MPa,
        von_mises_p95=1.0 - treated.von_mises_p95_MPa / lesion.von_mises_p95_MPa,
    )


def weighted_percentile(values: FloatArray, weights: FloatArray, percent: float) -> float:
    """The value below which the given percentage of the weight lies."""
    order = np.argsort(values)
    part = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.interp(percent / 100.0, part / weights.sum(), values[order]))
