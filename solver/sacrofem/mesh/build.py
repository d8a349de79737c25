"""From CT and labels to a bone mesh and its tissue grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.errors import MeshError
from sacrofem.image.calibration import FALLBACK_LINE, CalibrationLine, RhoQctK2HPO4, hu_to_density
from sacrofem.image.volume import CtVolume, FloatArray, LabelMap
from sacrofem.mesh.bone_mesh import BoneMesh, boundary_facets
from sacrofem.mesh.quality import mesh_quality
from sacrofem.mesh.samples import sample_points
from sacrofem.mesh.tetrahedra import fill_surface
from sacrofem.mesh.tissue_grid import TissueGrid, make_tissue_grid

#: Limits under which a mesh is refused.
QUALITY_AT_LEAST = 0.05
VOLUME_WITHIN = 0.02
#: Level of :func:`sample_points` for the density: 8 points a cell.
DENSITY_LEVEL = 1


@dataclass(frozen=True, eq=False)
class MeshedBone:
    """A bone mesh with the tissue grid that was made from the same CT."""

    mesh: BoneMesh
    tissue: TissueGrid


def build_mesh(
    ct: CtVolume,
    labels: LabelMap,
    edge_mm: float,
    line: CalibrationLine = FALLBACK_LINE,
    source: str = "labels",
) -> MeshedBone:
    """Mesh the sacrum of a CT.

    Args:
        ct: CT in HU.
        labels: Label map on the same grid.
        edge_mm: Target edge length of the tetrahedra.
        line: Calibration from HU to density.
        source: Name of the label file for messages.

    Raises:
        InputError: The anatomy is not found, see :func:`find_anatomy`.
        MeshError: The mesh misses the limits of quality or volume.
    """
    anatomy = find_anatomy(labels, source)
    points, tets = fill_surface(anatomy.surface, edge_mm)
    facets, _ = boundary_facets(tets)
    mesh = BoneMesh(
        points_mm=points,
        tets=tets,
        facets=facets,
        facet_tag=_facet_tags(points, facets, anatomy),
        density=RhoQctK2HPO4(_cell_density(ct, points, tets, line)),
        frame=anatomy.frame,
        lateral_mass_mm=anatomy.lateral_mass_mm,
        foramen_s1_mm=anatomy.foramen_s1_mm,
        label_ml=anatomy.surface.label_ml,
        warnings=anatomy.warnings,
    )
    _check(mesh)
    return MeshedBone(mesh, make_tissue_grid(ct, labels, anatomy.surface, anatomy.frame, line))


def _facet_tags(
    points: FloatArray, facets: NDArray[np.int64], anatomy: Anatomy
) -> NDArray[np.int8]:
    """The tag of the nearest triangle of the surface, for each boundary facet."""
    tree = cKDTree(anatomy.surface.centroids_mm)
    _, nearest = tree.query(points[facets].mean(axis=1))
    return anatomy.surface_tag[nearest]


def _cell_density(
    ct: CtVolume, points: FloatArray, tets: NDArray[np.int64], line: CalibrationLine
) -> FloatArray:
    """Mean density over each cell, shape (m,), in g/cm3."""
    samples = sample_points(points, tets, DENSITY_LEVEL)
    index = ct.grid.to_index(samples.reshape(-1, 3)).T
    hu = ndimage.map_coordinates(ct.hu, index, order=1, mode="nearest", output=np.float64)
    return np.asarray(hu_to_density(hu, line).g_per_cm3.reshape(len(tets), -1).mean(axis=1))


def _check(mesh: BoneMesh) -> None:
    quality = mesh_quality(mesh.points_mm, mesh.tets)
    if quality.minimum < QUALITY_AT_LEAST:
        raise MeshError(
            f"the worst tetrahedron has quality {quality.minimum:.3f}, at least "
            f"{QUALITY_AT_LEAST:g} is needed; try a smaller edge length."
        )
    error = abs(mesh.volume_ml / mesh.label_ml - 1.0)
    if error > VOLUME_WITHIN:
        raise MeshError(
            f"the mesh holds {mesh.volume_ml:.2f} ml and its label {mesh.label_ml:.2f} ml, which "
            f"is {100 * error:.1f} % apart (limit {100 * VOLUME_WITHIN:g} %); try a smaller edge "
            "length."
        )
