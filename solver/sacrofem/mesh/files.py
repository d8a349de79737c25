"""Mesh files: the project's own archive (npz), and VTU for ParaView."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import meshio
import numpy as np

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.image.calibration import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.tissue_grid import TissueGrid


def save_bone(path: Path, bone: MeshedBone) -> None:
    """Write a meshed bone; the file appears whole or not at all."""
    mesh, tissue = bone.mesh, bone.tissue
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".npz")
    with os.fdopen(handle, "wb") as out:
        np.savez_compressed(
            out,
            points_mm=mesh.points_mm,
            tets=mesh.tets.astype(np.int32),
            facets=mesh.facets.astype(np.int32),
            facet_tag=mesh.facet_tag,
            density=mesh.density.g_per_cm3,
            frame=np.vstack([mesh.frame.origin_mm, mesh.frame.axes]),
            lateral_mass_mm=_by_side(mesh.lateral_mass_mm),
            foramen_s1_mm=_by_side(mesh.foramen_s1_mm),
            label_ml=mesh.label_ml,
            warnings=json.dumps(mesh.warnings),
            tissue=tissue.tissue,
            tissue_density=tissue.density.g_per_cm3.astype(np.float32),
            tissue_origin_mm=tissue.origin_local_mm,
            tissue_step_mm=tissue.step_mm,
        )
    os.replace(name, path)


def load_bone(path: Path) -> MeshedBone:
    """Read what :func:`save_bone` wrote."""
    with np.load(path) as data:
        frame = data["frame"]
        mesh = BoneMesh(
            points_mm=data["points_mm"],
            tets=data["tets"].astype(np.int64),
            facets=data["facets"].astype(np.int64),
            facet_tag=data["facet_tag"],
            density=RhoQctK2HPO4(data["density"]),
            frame=SacralFrame(*frame),
            lateral_mass_mm=_sides(data["lateral_mass_mm"]),
            foramen_s1_mm=_sides(data["foramen_s1_mm"]),
            label_ml=float(data["label_ml"]),
            warnings=tuple(json.loads(str(data["warnings"]))),
        )
        tissue = TissueGrid(
            origin_local_mm=data["tissue_origin_mm"],
            step_mm=float(data["tissue_step_mm"]),
            tissue=data["tissue"],
            density=RhoQctK2HPO4(data["tissue_density"].astype(np.float64)),
        )
    return MeshedBone(mesh, tissue)


def write_vtu(
    path: Path,
    mesh: BoneMesh,
    point_data: Mapping[str, FloatArray],
    cell_data: Mapping[str, FloatArray],
) -> None:
    """Write a mesh with fields as compressed VTU.

    Args:
        path: File to write.
        mesh: Bone mesh; its points are written in LPS millimetres.
        point_data: Fields at the vertices, shape (n, ...).
        cell_data: Fields of the cells, shape (m, ...).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    meshio.Mesh(
        mesh.points_mm,
        [("tetra", mesh.tets)],
        point_data=dict(point_data),
        cell_data={name: [values] for name, values in cell_data.items()},
    ).write(path)


def _by_side(points: Mapping[str, FloatArray]) -> FloatArray:
    return np.stack([points["left"], points["right"]])


def _sides(points: FloatArray) -> dict[str, FloatArray]:
    return {"left": points[0], "right": points[1]}
