"""From CT and labels to a mesh of the sacrum or the pelvis, and the tissue grid around it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sacrofem.anatomy.atlas import Atlas, atlas_of
from sacrofem.anatomy.hips import Hip, HipAnatomy, find_hips
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.anatomy.surface import BoneSurface, largest_piece
from sacrofem.image.calibration import FALLBACK_LINE, Calibration
from sacrofem.image.files import require_labels
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, SACRUM
from sacrofem.image.volume import CtVolume, FloatArray, LabelMap
from sacrofem.mesh.bone_mesh import BoneMesh, Part, boundary_facets
from sacrofem.mesh.density import CellDensity, cell_density
from sacrofem.mesh.fidelity import PartFidelity, part_fidelity, surface_tunnels
from sacrofem.mesh.fields import bone_field
from sacrofem.mesh.mesher import EdgeLengths, Tetrahedra, fill_solid
from sacrofem.mesh.quality import shape_figures
from sacrofem.mesh.report import MeshReport, require_limits
from sacrofem.mesh.solid import Solid
from sacrofem.mesh.tissue_grid import TissueGrid, make_tissue_grid

Model = Literal["sacrum", "pelvis"]

#: Edge length whose discretisation error is stated in the README, in mm.
DEFAULT_EDGE_MM = 3.0
DEFAULT_EDGES = EdgeLengths(DEFAULT_EDGE_MM, DEFAULT_EDGE_MM)
#: Thickness of the meshed cartilage of a sacroiliac joint, both layers, in mm. Where labels touch
#: it takes its room from the bones, where they are far apart it leaves some to them: a choice with
#: which both stay within 1 % of their labels. Its stiffness per area does not depend on it.
CARTILAGE_LAYER_MM = 2.2
#: Lesions and cement may lie in the sacrum down to S4; the zone ends so far below the border S4|S5
#: that the last foramina, which lie on it, keep fine cells around them.
ZONE_MARGIN_MM = 10.0

LABEL_OF = {Part.SACRUM: SACRUM, Part.ILIUM_LEFT: HIP_LEFT, Part.ILIUM_RIGHT: HIP_RIGHT}


@dataclass(frozen=True)
class MeshRequest:
    """What is meshed, and how finely.

    Attributes:
        model: ``sacrum`` alone, or ``pelvis``: with cartilage and ilia.
        edges: Target edge lengths.
        cartilage_mm: Thickness of the cartilage of the model ``pelvis``.
    """

    model: Model = "sacrum"
    edges: EdgeLengths = DEFAULT_EDGES
    cartilage_mm: float = CARTILAGE_LAYER_MM


@dataclass(frozen=True, eq=False)
class MeshedBone:
    """A mesh, the tissue grid and the atlas of the same images, and what is known of them."""

    mesh: BoneMesh
    tissue: TissueGrid
    atlas: Atlas
    report: MeshReport


def build_mesh(
    ct: CtVolume,
    labels: LabelMap,
    request: MeshRequest = MeshRequest(),
    calibration: Calibration = FALLBACK_LINE,
    source: str = "labels",
    overrides: Mapping[str, object] | None = None,
    warnings: tuple[str, ...] = (),
) -> MeshedBone:
    """Mesh the sacrum or the pelvis of a CT.

    Args:
        ct: CT in HU.
        labels: Label map on the same grid.
        request: What is meshed.
        calibration: From HU to density.
        source: Name of the label file for messages.
        overrides: Landmarks of the recipe, see :func:`sacrofem.anatomy.landmarks.find_anatomy`.
        warnings: What reading and calibrating had to say; goes into the report.

    Raises:
        InputError: The anatomy is not found, see :func:`find_anatomy`.
        MeshError: The mesh misses a limit, see :func:`sacrofem.mesh.report.require_limits`.
    """
    anatomy = find_anatomy(labels, source, overrides)
    bones: tuple[Part, ...] = (Part.SACRUM,)
    hips = None
    if request.model == "pelvis":
        require_labels(labels, (HIP_LEFT, HIP_RIGHT), source)
        hips = find_hips(labels, anatomy.frame, source)
        bones = (Part.SACRUM, Part.ILIUM_LEFT, Part.ILIUM_RIGHT)
    solid = Solid({part: bone_field(labels, LABEL_OF[part]) for part in bones})
    made = fill_solid(
        solid,
        request.edges,
        lambda points: _treatable(anatomy, points),
        request.cartilage_mm,
    )
    density = cell_density(ct, made.points_mm, made.tets, calibration)
    mesh = _bone_mesh(made, anatomy, hips, density)
    report = _report(mesh, labels, request, calibration, anatomy, hips, density, warnings)
    require_limits(report)
    atlas = atlas_of(anatomy)
    tissue = make_tissue_grid(ct, labels, anatomy.surface, atlas, calibration)
    return MeshedBone(mesh, tissue, atlas, report)


def _treatable(anatomy: Anatomy, points_mm: FloatArray) -> NDArray[np.bool_]:
    """Which points, shape (n, 3), lie above the lower end of the treatable zone."""
    s = anatomy.curve.to_curved(points_mm)[:, 1]
    return np.asarray(s < anatomy.map.border_s_mm[-1] + ZONE_MARGIN_MM)


def _bone_mesh(
    made: Tetrahedra, anatomy: Anatomy, hips: HipAnatomy | None, density: CellDensity
) -> BoneMesh:
    facets, behind = boundary_facets(made.tets)
    middle = made.points_mm[made.tets].mean(axis=1)
    sacral = made.part == Part.SACRUM
    level, zone = (np.zeros(len(middle), dtype=np.int8) for _ in range(2))
    level[sacral] = anatomy.level_of(middle[sacral])
    zone[sacral] = anatomy.denis_zone(middle[sacral])
    return BoneMesh(
        points_mm=made.points_mm,
        tets=made.tets,
        facets=facets,
        facet_tag=_facet_tags(made, facets, made.part[behind], anatomy, hips),
        density=density.density,
        part=made.part,
        level=level,
        zone=zone,
        frame=anatomy.frame,
        lateral_mass_mm=anatomy.lateral_mass_mm,
        foramen_s1_mm=anatomy.foramen_s1_mm,
    )


def _facet_tags(
    made: Tetrahedra,
    facets: NDArray[np.int64],
    part: NDArray[np.int8],
    anatomy: Anatomy,
    hips: HipAnatomy | None,
) -> NDArray[np.int8]:
    """The tag of the nearest triangle of its bone's surface, for each outer facet."""
    middle = made.points_mm[facets].mean(axis=1)
    tag = np.full(len(facets), SurfaceTag.FREE, dtype=np.int8)

    def take(bone: Part, surface: BoneSurface, tags: NDArray[np.int8]) -> None:
        here = part == bone
        tag[here] = tags[cKDTree(surface.centroids_mm).query(middle[here])[1]]

    sacral = anatomy.surface_tag
    if hips is not None:
        # What faces the ilia beside the meshed cartilage carries nothing.
        auricular = (SurfaceTag.AURICULAR_LEFT, SurfaceTag.AURICULAR_RIGHT)
        sacral = np.where(np.isin(sacral, auricular), SurfaceTag.FREE, sacral).astype(np.int8)
        for bone, side in ((Part.ILIUM_LEFT, "left"), (Part.ILIUM_RIGHT, "right")):
            take(bone, hips.hips[side].surface, _hip_tags(hips.hips[side], side))
    take(Part.SACRUM, anatomy.surface, sacral)
    return tag


def _hip_tags(hip: Hip, side: str) -> NDArray[np.int8]:
    """The tag of each triangle of a hip's surface: where the model can be held."""
    tag = np.full(len(hip.surface.triangles), SurfaceTag.FREE, dtype=np.int8)
    if hip.ischium_mm is not None:
        tag[hip.seat] = SurfaceTag[f"ISCHIUM_{side.upper()}"]
    if hip.acetabulum is not None:
        tag[hip.acetabulum.triangles] = SurfaceTag[f"ACETABULUM_{side.upper()}"]
    return tag


def _report(
    mesh: BoneMesh,
    labels: LabelMap,
    request: MeshRequest,
    calibration: Calibration,
    anatomy: Anatomy,
    hips: HipAnatomy | None,
    density: CellDensity,
    warnings: tuple[str, ...],
) -> MeshReport:
    surfaces = {Part.SACRUM: anatomy.surface}
    if hips is not None:
        surfaces[Part.ILIUM_LEFT] = hips.hips["left"].surface
        surfaces[Part.ILIUM_RIGHT] = hips.hips["right"].surface
    words = warnings + anatomy.warnings + (hips.warnings if hips is not None else ())
    if density.metal_ml > 0.0:
        words += (
            f"{density.metal_ml:.1f} ml in or beside metal were left out of the density; "
            f"{density.metal_cells} cells took their neighbour's",
        )
    cartilage = (Part.CARTILAGE_LEFT, Part.CARTILAGE_RIGHT)
    joint = mesh.points_mm[np.unique(mesh.tets[np.isin(mesh.part, cartilage)])]
    parts = {
        part.name.lower().replace("_", " "): _fidelity(mesh, part, surface, labels, joint)
        for part, surface in surfaces.items()
    }
    return MeshReport(
        model=request.model,
        zone_mm=request.edges.zone_mm,
        elsewhere_mm=request.edges.elsewhere_mm,
        voxel_mm=float(np.cbrt(np.prod(labels.grid.spacing_mm))),
        nodes=len(mesh.points_mm),
        cells=len(mesh.tets),
        shape=shape_figures(mesh.points_mm, mesh.tets),
        parts=parts,
        cartilage_ml=sum(mesh.part_ml(part) for part in cartilage),
        foramina_open=sum(foramen.found for foramen in anatomy.foramina.values()),
        # Through JSON: tuples become lists, as in a report that was read from a file.
        calibration=json.loads(json.dumps(asdict(calibration))),
        metal_ml=density.metal_ml,
        landmarks=_plain(anatomy.landmarks()),
        warnings=words + _tunnel_warnings(parts),
    )


def _tunnel_warnings(parts: Mapping[str, PartFidelity]) -> tuple[str, ...]:
    return tuple(
        f"the mesh of the {name} has {part.tunnels} tunnels, its label {part.label_tunnels}: a "
        "thin wall or a narrow hole is smaller than the cells; take smaller edges where it matters"
        for name, part in parts.items()
        if part.tunnels != part.label_tunnels
    )


def _fidelity(
    mesh: BoneMesh, part: Part, surface: BoneSurface, labels: LabelMap, joint_mm: FloatArray
) -> PartFidelity:
    bone = largest_piece(labels.mask(LABEL_OF[part]))
    tets = mesh.tets[mesh.part == part]
    tunnels = surface_tunnels(surface.triangles)
    return part_fidelity(mesh.points_mm, tets, bone, labels, joint_mm, tunnels)


def _plain(value: object) -> dict[str, object]:
    """Nested landmarks with lists of numbers in place of arrays."""
    assert isinstance(value, Mapping)
    return {
        str(name): _plain(inner) if isinstance(inner, Mapping) else np.round(inner, 3).tolist()
        for name, inner in value.items()
    }
