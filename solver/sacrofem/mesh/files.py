"""Mesh files: the project's own archive, which ranks can read in shares, and VTU for ParaView.

The archive is a zip of ``.npy`` arrays (``numpy.load`` opens it) with a ``head.json``. The arrays
of the mesh are stored uncompressed, so a row has a known place in the file and each rank of a
parallel run reads its own rows without MPI-IO, from any file system that can open and seek.
"""

import contextlib
import json
import math
import os
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import meshio
import numpy as np
from numpy.typing import NDArray

from sacrofem.anatomy.atlas import atlas_from_json
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.errors import MeshError
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.report import report_from_json
from sacrofem.mesh.share import MeshShare, first_rows
from sacrofem.mesh.tissue_grid import TissueGrid

#: Raised by one whenever what the archive holds changes its meaning. 1 had no parts and no head,
#: 2 no report, levels and zones, 3 no atlas and compartments.
SCHEMA = 4
_HEAD = "head.json"
_PIECE_BYTES = 1 << 16
#: What reading a truncated, overwritten or foreign file raises.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class MeshFileError(MeshError):
    """A mesh file is missing, damaged or of another schema; what it held can be made again."""


def save_bone(path: Path, bone: MeshedBone) -> None:
    """Write a meshed bone; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as out:
            _write_archive(out, bone)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load_bone(path: Path) -> MeshedBone:
    """Read what :func:`save_bone` wrote.

    Raises:
        MeshFileError: The file is missing, damaged, of another schema, or holds another mesh than
            the one that its head names.
    """
    with _opened(path) as (archive, head):
        mesh = BoneMesh(
            points_mm=_array(archive, "points_mm"),
            tets=_array(archive, "tets").astype(np.int64),
            facets=_array(archive, "facets").astype(np.int64),
            facet_tag=_array(archive, "facet_tag"),
            density=RhoQctK2HPO4(_array(archive, "density")),
            part=_array(archive, "part"),
            level=_array(archive, "level"),
            zone=_array(archive, "zone"),
            frame=SacralFrame(*np.array(head["frame"])),
            lateral_mass_mm=_sides(head["lateral_mass_mm"]),
            foramen_s1_mm=_sides(head["foramen_s1_mm"]),
        )
        tissue = TissueGrid(
            origin_local_mm=np.array(head["tissue_origin_mm"]),
            step_mm=float(head["tissue_step_mm"]),
            tissue=_array(archive, "tissue"),
            compartment=_array(archive, "compartment"),
            density=RhoQctK2HPO4(_array(archive, "tissue_density").astype(np.float64)),
        )
        if mesh.sha256 != head["sha256"]:
            raise ValueError(f"its arrays hash to {mesh.sha256[:12]}, not {head['sha256'][:12]}")
        report = report_from_json(head["report"])
        atlas = atlas_from_json(head["atlas"])
    return MeshedBone(mesh, tissue, atlas, report)


def read_share(path: Path, rank: int, ranks: int) -> MeshShare:
    """Read one rank's rows of the mesh that :func:`save_bone` wrote, and no others.

    Args:
        path: Mesh file.
        rank: Which share, from 0.
        ranks: Number of shares.

    Raises:
        MeshFileError: As for :func:`load_bone`; bytes that were altered within an array are not
            noticed here, where no rank sees all of it.
    """
    with _opened(path) as (archive, _):
        points, point_count = _rows(archive, "points_mm", rank, ranks)
        tets, cell_count = _rows(archive, "tets", rank, ranks, np.int64)
        return MeshShare(
            points_mm=points,
            tets=tets,
            facets=_rows(archive, "facets", rank, ranks, np.int64)[0],
            facet_tag=_rows(archive, "facet_tag", rank, ranks)[0],
            density=RhoQctK2HPO4(_rows(archive, "density", rank, ranks)[0]),
            part=_rows(archive, "part", rank, ranks)[0],
            cell_count=cell_count,
            point_count=point_count,
        )


def write_vtu(
    path: Path,
    mesh: BoneMesh,
    point_data: Mapping[str, NDArray[Any]],
    cell_data: Mapping[str, NDArray[Any]],
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


def _write_archive(out: BinaryIO, bone: MeshedBone) -> None:
    mesh, tissue = bone.mesh, bone.tissue
    sliced = {
        "points_mm": mesh.points_mm.astype("<f8"),
        "tets": mesh.tets.astype("<i4"),
        "facets": mesh.facets.astype("<i4"),
        "facet_tag": mesh.facet_tag.astype("i1"),
        "density": mesh.density.g_per_cm3.astype("<f8"),
        "part": mesh.part.astype("i1"),
        "level": mesh.level.astype("i1"),
        "zone": mesh.zone.astype("i1"),
    }
    whole = {
        "tissue": tissue.tissue,
        "compartment": tissue.compartment,
        "tissue_density": tissue.density.g_per_cm3.astype("<f4"),
    }
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(_HEAD), json.dumps(_head(bone), indent=1))
        for name, array in (sliced | whole).items():
            # A ZipInfo of its own carries no clock time: equal bones give equal files.
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_STORED if name in sliced else zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def _head(bone: MeshedBone) -> dict[str, Any]:
    mesh, tissue = bone.mesh, bone.tissue
    return {
        "schema": SCHEMA,
        "sha256": mesh.sha256,
        "frame": np.vstack([mesh.frame.origin_mm, mesh.frame.axes]).tolist(),
        "lateral_mass_mm": {side: p.tolist() for side, p in mesh.lateral_mass_mm.items()},
        "foramen_s1_mm": {side: p.tolist() for side, p in mesh.foramen_s1_mm.items()},
        "atlas": bone.atlas.as_json(),
        "report": bone.report.as_json(),
        "tissue_origin_mm": np.asarray(tissue.origin_local_mm).tolist(),
        "tissue_step_mm": float(tissue.step_mm),
    }


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """The archive and its head; what goes wrong while it is open becomes a MeshFileError."""
    if not path.is_file():
        raise MeshFileError(f"{path}: a mesh file is required, but there is no such file.")
    try:
        with zipfile.ZipFile(path) as archive:
            old = _HEAD not in archive.namelist() and "points_mm.npy" in archive.namelist()
            head = {"schema": 1} if old else json.loads(archive.read(_HEAD))
            if head["schema"] != SCHEMA:
                raise MeshFileError(
                    f"{path}: mesh files of schema {SCHEMA} are required, this one has schema "
                    f"{head['schema']}: another version of sacrofem wrote it; delete it and mesh "
                    "anew."
                )
            yield archive, head
    except _UNREADABLE as error:
        raise MeshFileError(
            f"{path}: not a whole mesh file of sacrofem ({error or type(error).__name__}); the "
            "disk may have been full or the file was altered; delete it and mesh anew."
        ) from error


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as member:
        return np.asarray(np.lib.format.read_array(member, allow_pickle=False))


def _rows(
    archive: zipfile.ZipFile, name: str, rank: int, ranks: int, dtype: type | None = None
) -> tuple[NDArray[Any], int]:
    """A rank's rows of an array, and how many rows it has in all."""
    with archive.open(f"{name}.npy") as member:
        np.lib.format.read_magic(member)
        shape, _, stored = np.lib.format.read_array_header_1_0(member)
        bounds = first_rows(shape[0], ranks)
        first, end = int(bounds[rank]), int(bounds[rank + 1])
        row_bytes = stored.itemsize * math.prod(shape[1:])
        member.seek(first * row_bytes, os.SEEK_CUR)
        out = np.empty((end - first, *shape[1:]), dtype=dtype or stored)
        # In pieces: zipfile keeps up to three copies of what it reads at once.
        step = _PIECE_BYTES // row_bytes
        for start in range(0, len(out), step):
            piece = out[start : start + step]
            piece[:] = np.frombuffer(member.read(len(piece) * row_bytes), stored).reshape(
                piece.shape
            )
    return out, shape[0]


def _sides(points: Mapping[str, list[float]]) -> dict[str, FloatArray]:
    return {side: np.array(point) for side, point in points.items()}
