"""Density of each tetrahedron: the CT integrated over the cell, metal left out.

A value at the centroid misses most voxels of a large cell and takes the noise of one voxel in a
small one. HU are interpolated trilinearly at the centroids of the equal parts of each cell, as
many as the voxels ask for. The mean is not clamped here: fat and noise below the floor belong to
the mean of a cell, and clamping them first would add bone that is not there (30 HU of noise about
0 mg/cm3: 9 mg/cm3). The law's limits are applied to the mean, by
:mod:`sacrofem.mechanics.materials`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sacrofem.errors import InputError
from sacrofem.image.calibration import Calibration, to_density
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.hounsfield import METAL_HU
from sacrofem.image.volume import CtVolume, FloatArray
from sacrofem.mesh.bone_mesh import signed_volumes_mm3
from sacrofem.mesh.samples import sample_points

#: Levels of :func:`sacrofem.mesh.samples.sample_points`: 8, 64 or 512 points a cell.
LEVELS = (1, 2, 3)
#: Points that are interpolated at a time: about 40 MB.
CHUNK_POINTS = 400_000
#: How far the mesh may stand out of the CT, in voxels: a smoothed surface may by half of one.
OUTSIDE_VOXELS = 1.0


@dataclass(frozen=True, eq=False)
class CellDensity:
    """Density of every cell and what was left out for it.

    Attributes:
        density: Mean density of each cell, shape (m,), not clamped.
        metal_ml: Volume of the parts of cells that lie in or next to a voxel of metal.
        metal_cells: Cells of metal only; they have the density of the nearest other cell.
        points: Points at which the CT was read.
    """

    density: RhoQctK2HPO4
    metal_ml: float
    metal_cells: int
    points: int


def cell_density(
    ct: CtVolume,
    points_mm: FloatArray,
    tets: NDArray[np.int64],
    calibration: Calibration,
    metal_hu: float = METAL_HU,
) -> CellDensity:
    """Mean density of each cell, metal left out.

    Args:
        ct: CT in HU.
        points_mm: Vertices, shape (n, 3), world.
        tets: Vertex numbers, shape (m, 4).
        calibration: From HU to density.
        metal_hu: HU above which a voxel is metal.

    Raises:
        InputError: The mesh stands out of the CT, or all of it is metal.
    """
    index = _index_in(ct, points_mm)
    volume_mm3 = np.abs(signed_volumes_mm3(points_mm, tets))
    level = sample_levels(volume_mm3, min(ct.grid.spacing_mm))
    hu, share = np.empty(len(tets)), np.empty(len(tets))
    values, index = _cropped(ct, index, metal_hu)
    for n in LEVELS:
        own = np.flatnonzero(level == n)
        step = CHUNK_POINTS // 8**n
        for start in range(0, len(own), step):
            chunk = own[start : start + step]
            hu[chunk], share[chunk] = mean_hu(values, index, tets[chunk], n)
    metal = np.isnan(hu)
    if metal.any():
        hu[metal] = _of_nearest(points_mm[tets].mean(axis=1), hu, metal, metal_hu)
    return CellDensity(
        density=to_density(hu, calibration),
        metal_ml=float((volume_mm3 * share).sum()) / 1000.0,
        metal_cells=int(metal.sum()),
        points=int((8.0**level).sum()),
    )


def sample_levels(volume_mm3: FloatArray, voxel_mm: float) -> NDArray[np.int64]:
    """Level of each cell, shape (m,): parts with edges no longer than a voxel, within 1 to 3.

    The edge is that of the regular tetrahedron of the cell's volume.
    """
    edge_mm = np.cbrt(6.0 * np.sqrt(2.0) * volume_mm3)
    halvings = np.ceil(np.log2(np.maximum(edge_mm / voxel_mm, 1.0)) - 1e-9)
    return np.asarray(np.clip(halvings, LEVELS[0], LEVELS[-1]).astype(np.int64))


def mean_hu(
    values: NDArray[np.float32], index: FloatArray, tets: NDArray[np.int64], level: int
) -> tuple[FloatArray, FloatArray]:
    """Mean HU of cells, and the part of each that was left out because ``values`` is NaN there.

    Args:
        values: HU on a grid, NaN for metal.
        index: Vertices in voxel indices, shape (n, 3).
        tets: Vertex numbers, shape (m, 4).
        level: The cell is read at the centroids of ``8**level`` equal parts.

    Returns:
        Two arrays, shape (m,); the mean is NaN where everything was left out.
    """
    at = sample_points(index, tets, level).reshape(-1, 3).T
    hu = ndimage.map_coordinates(values, at, order=1, mode="nearest", output=np.float64)
    hu = hu.reshape(len(tets), 8**level)
    read = ~np.isnan(hu)
    if read.all():
        return hu.mean(axis=1), np.zeros(len(tets))
    count = read.sum(axis=1)
    total = np.where(read, hu, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(tets), np.nan), where=count > 0)
    return mean, 1.0 - count / hu.shape[1]


def _index_in(ct: CtVolume, points_mm: FloatArray) -> FloatArray:
    """Voxel indices of the vertices, shape (n, 3), checked to lie in the CT."""
    index = ct.grid.to_index(points_mm)
    beyond = np.maximum(-index, index - (np.array(ct.grid.shape) - 1)).max(axis=0)
    if (beyond > OUTSIDE_VOXELS).any():
        axis = int(np.argmax(beyond))
        out_mm = float(beyond[axis] * ct.grid.spacing_mm[axis])
        raise InputError(
            f"the mesh has to lie in the CT that gives its density, it stands {out_mm:.1f} mm out "
            f"of it along axis {'ijk'[axis]}: CT and mesh belong to different images, or to "
            "different world coordinates (LPS against RAS); give the CT of this bone."
        )
    return index


def _cropped(
    ct: CtVolume, index: FloatArray, metal_hu: float
) -> tuple[NDArray[np.float32], FloatArray]:
    """HU around the mesh with metal as NaN, and the indices in it; a copy only where metal is."""
    low = np.maximum(np.floor(index.min(axis=0)).astype(int) - 1, 0)
    high = np.ceil(index.max(axis=0)).astype(int) + 2
    values = ct.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    metal = values > metal_hu
    if metal.any():
        # Interpolation spreads NaN to all points next to a voxel of metal: none is averaged in.
        values = np.where(metal, np.float32(np.nan), values)
    return values, index - low


def _of_nearest(
    centroids_mm: FloatArray, hu: FloatArray, metal: NDArray[np.bool_], metal_hu: float
) -> FloatArray:
    """HU of the nearest cell that is not all metal, for each that is."""
    if metal.all():
        raise InputError(
            f"bone is needed in the mesh, found metal (above {metal_hu:g} HU) in every cell: the "
            "label lies on an implant, or the CT is not in HU."
        )
    _, nearest = cKDTree(centroids_mm[~metal]).query(centroids_mm[metal])
    return hu[~metal][nearest]
