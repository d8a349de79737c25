"""The body of S1 cut out and compressed between its ends, as vertebrae are tested.

Cut faces get the default cortex, as a vertebra has one all round; the lower face stands on fixed
springs and the load presses along the normal of the endplate, on a stiff cap: what is tested is
embedded, or is pressed evenly.
"""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import ModulusField
from sacrofem.mechanics.state import StateSolution
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, Support
from sacrofem.mesh.bone_mesh import BoneMesh, boundary_facets
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.region import region_of_volume, samples_of
from studies import bones
from studies.bones import FIXED, Bench
from studies.row import Size

#: Along the normal of the endplate, all of it on the endplate; how much is of no effect on ratios.
LOAD = SacralLoad(force_N=500.0, sacral_slope_deg=0.0, endplate_share=1.0)
#: Modulus of the cap: fifty times that of cement. As a thin plate it bends, if it is softer.
CAP_MPA = 1e5
#: Edges of the sacrum from which it is cut, in mm: a small bone needs a finer mesh.
EDGES_MM: dict[Size, tuple[float, float]] = {"full": (3.0, 4.0), "small": (6.0, 8.0)}
#: Corners of the four faces of a tetrahedron.
_FACES = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])


@cache
def body(size: Size, years: float = bones.OSTEOPOROTIC_YEARS) -> Bench:
    """The body of S1 of a phantom, compressed by 500 N."""
    bone = bones.phantom(size, years, "sacrum", EDGES_MM[size])
    mesh = cut_body(bone.mesh)
    field = OperatingField(mesh, bone.tissue, bone.atlas, samples_of(mesh))
    support = Support(SACROILIAC_JOINTS, FIXED)
    return bones.bench_of(size, replace(bone, mesh=mesh), field, LOAD, support)


def cut_body(mesh: BoneMesh) -> BoneMesh:
    """The cells of S1 below its endplate; the lower face takes the tags of the joints."""
    frame = mesh.frame
    plate = mesh.points_mm[mesh.facets[mesh.facet_tag == SurfaceTag.ENDPLATE_S1]].mean(axis=1)
    across, here = (frame.to_local(points)[:, :2] for points in (plate, mesh.centroids_mm))
    edge_mm = float(np.cbrt(6.0 * np.sqrt(2.0) * 1000.0 * np.median(mesh.cell_ml)))
    under = cKDTree(across).query(here)[0] <= edge_mm
    return part_of(mesh, np.asarray(under & (mesh.level == 1)))


def part_of(mesh: BoneMesh, cells: NDArray[np.bool_]) -> BoneMesh:
    """A mesh of some cells of S1; the endplate keeps its tag, where S2 was cut off it is held."""
    number = np.flatnonzero(cells)
    vertices, tets = np.unique(mesh.tets[number], return_inverse=True)
    tets = tets.reshape(-1, 4)
    points = mesh.points_mm[vertices]
    facets, _ = boundary_facets(tets)
    corners = _names(vertices[facets])
    plate = _names(mesh.facets[mesh.facet_tag == SurfaceTag.ENDPLATE_S1])
    below = _names(mesh.tets[mesh.level == 2][:, _FACES].reshape(-1, 3))
    left = mesh.frame.to_local(points[facets].mean(axis=1))[:, 0] >= 0.0
    low = np.isin(corners, below)
    tag = np.zeros(len(facets), dtype=np.int8)
    tag[low & left] = SurfaceTag.AURICULAR_LEFT
    tag[low & ~left] = SurfaceTag.AURICULAR_RIGHT
    tag[np.isin(corners, plate)] = SurfaceTag.ENDPLATE_S1
    return replace(
        mesh,
        points_mm=points,
        tets=tets,
        facets=facets,
        facet_tag=tag,
        density=RhoQctK2HPO4(mesh.density.g_per_cm3[number]),
        part=mesh.part[number],
        level=mesh.level[number],
        zone=mesh.zone[number],
    )


def _names(facets: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each facet, whatever the order of its corners, shape (f,)."""
    low, middle, high = np.sort(facets, axis=1).T
    return np.asarray((low << 42) | (middle << 21) | high)


def solve(bench: Bench, modulus: ModulusField, cap_MPa: float = CAP_MPA) -> StateSolution:
    """Solve a state of the body with a cap: the cells that touch the endplate."""
    mesh = bench.bone.mesh
    plate = mesh.facets[mesh.facet_tag == SurfaceTag.ENDPLATE_S1]
    under = np.isin(mesh.tets, plate).any(axis=1)
    young = np.where(under, np.maximum(modulus.young_MPa, cap_MPa), modulus.young_MPa)
    return bench.solve(replace(modulus, young_MPa=young))


def middle_mm(bench: Bench) -> FloatArray:
    """Centre of mass of the body, shape (3,)."""
    mesh = bench.bone.mesh
    return np.asarray(np.average(mesh.centroids_mm, axis=0, weights=mesh.cell_ml))


def balls(bench: Bench, centres_mm: FloatArray, volume_ml: float, what: str) -> NDArray[np.bool_]:
    """Parts of the body in balls of equal radius about points, shape (k, 3), clipped to bone."""
    samples = bench.field.samples
    away, _ = cKDTree(centres_mm).query(samples.points_mm)
    return region_of_volume(samples, np.asarray(away), volume_ml, what)
