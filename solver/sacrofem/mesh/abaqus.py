"""Input deck for Abaqus and CalculiX: nodes, elements, materials by modulus bins, named sets."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

import sacrofem
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.mesh.modulus_bins import ModulusBins, bin_modulus

#: Corners at the ends of each edge in the order of the midside nodes 5 to 10 of C3D10, from 0
#: (Abaqus Analysis User's Guide, "Three-dimensional solid element library"; CalculiX the same).
EDGES = np.array([[0, 1], [1, 2], [0, 2], [0, 3], [1, 3], [2, 3]])
#: Corners, then midside nodes, of the faces S1 to S4 (same source), from 0.
FACES = np.array([[0, 1, 2, 4, 5, 6], [0, 1, 3, 4, 8, 7], [1, 2, 3, 5, 9, 8], [0, 2, 3, 6, 9, 7]])
#: CalculiX reads at most 16 entries a line and 20 characters a number.
PER_LINE, NUMBER = 16, "%.12g"


def write_abaqus(
    path: Path,
    mesh: BoneMesh,
    young_MPa: FloatArray,
    poisson: FloatArray | float,
    bins: int = 100,
    spacing: str = "log",
    order: int = 1,
) -> ModulusBins:
    """Write the model part of an input deck, in mm, N and MPa: add boundary conditions and a step.

    Nodes and elements are numbered from 1 in the order of the mesh, midside nodes after them.
    Sets: ``PART_*`` elements of each part, ``BIN_n`` elements of each material, ``NODES_*`` nodes
    and ``SURF_*`` element faces of each tagged part of the surface.

    Args:
        path: File to write.
        mesh: Bone mesh.
        young_MPa: Young's modulus of each cell, shape (m,).
        poisson: Poisson's ratio of each cell, shape (m,), or of all.
        bins: Number of modulus bins, see :func:`sacrofem.mesh.modulus_bins.bin_modulus`.
        spacing: Their spacing, ``log`` or ``linear``.
        order: 1 for C3D4, 2 for C3D10 with midside nodes in the middle of the edges.

    Returns: The materials and the error they make.

    Raises:
        InputError: Moduli, bins or order cannot be used.
    """
    if order not in (1, 2):
        raise InputError(f"the order has to be 1 (C3D4) or 2 (C3D10); found {order}.")
    materials = bin_modulus(young_MPa, poisson, mesh.cell_ml, bins, spacing)
    points, elements = (mesh.points_mm, mesh.tets) if order == 1 else with_midside_nodes(mesh)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        _write_head(out, mesh, materials)
        out.write(b"*NODE, NSET=NODES\n")
        _table(out, points, f"%d, {NUMBER}, {NUMBER}, {NUMBER}")
        kind = b"C3D4" if order == 1 else b"C3D10"
        out.write(b"*ELEMENT, TYPE=%s, ELSET=ELEMENTS\n" % kind)
        _table(out, elements + 1, ", ".join(["%d"] * (elements.shape[1] + 1)))
        for part in Part:
            _write_set(out, "ELSET", f"PART_{part.name}", mesh.cells_of(part))
        _write_materials(out, materials)
        _write_surfaces(out, mesh, elements)
    return materials


def with_midside_nodes(mesh: BoneMesh) -> tuple[FloatArray, NDArray[np.int64]]:
    """Points with one more in the middle of each edge, and C3D10 node numbers, shape (m, 10)."""
    ends = np.sort(mesh.tets[:, EDGES].reshape(-1, 2), axis=1)
    count = len(mesh.points_mm)
    key, edge = np.unique(ends[:, 0] * count + ends[:, 1], return_inverse=True)
    middle = 0.5 * (mesh.points_mm[key // count] + mesh.points_mm[key % count])
    elements = np.hstack([mesh.tets, count + edge.reshape(-1, len(EDGES))])
    return np.vstack([mesh.points_mm, middle]), elements


def cells_behind(
    tets: NDArray[np.int64], facets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cell behind each outer triangle and which of its :data:`FACES` it is, shapes (f,)."""
    # Only a cell with three corners on the surface can have a facet there: numbering those corners
    # alone keeps the table of faces small and the keys below 2^63.
    vertices = np.unique(facets)
    number = np.full(int(tets.max()) + 1, -1, dtype=np.int64)
    number[vertices] = np.arange(len(vertices))
    cells = np.flatnonzero((number[tets] >= 0).sum(axis=1) >= 3)
    faces = number[tets[cells]][:, FACES[:, :3]].reshape(-1, 3)
    outer = np.flatnonzero((faces >= 0).all(axis=1))
    keys = _keys(faces[outer], len(vertices))
    order = np.argsort(keys)
    found = outer[order[np.searchsorted(keys[order], _keys(number[facets], len(vertices)))]]
    return cells[found // 4], found % 4


def _keys(triangles: NDArray[np.int64], base: int) -> NDArray[np.int64]:
    low, middle, high = np.sort(triangles, axis=1).T
    return np.asarray((low * base + middle) * base + high)


def _write_head(out: BinaryIO, mesh: BoneMesh, materials: ModulusBins) -> None:
    head = (
        f"*HEADING\nsacrofem {sacrofem.__version__}, mesh {mesh.sha256[:16]}\n"
        "** Units: mm, N, MPa. Coordinates: LPS (x to the left, y to the back, z to the head).\n"
        f"** {materials.summary()}.\n"
        "** Add boundary conditions and a *STEP; SURF_ and NODES_ name the tagged surfaces.\n"
    )
    out.write(head.encode("ascii"))


def _write_materials(out: BinaryIO, materials: ModulusBins) -> None:
    # Sorted once: a search through all cells for each material would be slow for many of both.
    order = np.argsort(materials.material, kind="stable")
    cells = np.split(order, np.cumsum(np.bincount(materials.material))[:-1])
    for number, members in enumerate(cells):
        young, poisson = materials.young_MPa[number], materials.poisson[number]
        _write_set(out, "ELSET", f"BIN_{number + 1}", members)
        material = (
            f"*MATERIAL, NAME=MAT_{number + 1}\n*ELASTIC\n{NUMBER % young}, {NUMBER % poisson}\n"
            f"*SOLID SECTION, ELSET=BIN_{number + 1}, MATERIAL=MAT_{number + 1}\n"
        )
        out.write(material.encode("ascii"))


def _write_surfaces(out: BinaryIO, mesh: BoneMesh, elements: NDArray[np.int64]) -> None:
    cells, faces = cells_behind(mesh.tets, mesh.facets)
    on_face = FACES[:, : 3 if elements.shape[1] == 4 else 6]
    for tag in SurfaceTag:
        chosen = mesh.facet_tag == tag
        if not chosen.any():
            continue
        nodes = elements[cells[chosen][:, None], on_face[faces[chosen]]]
        _write_set(out, "NSET", f"NODES_{tag.name}", np.unique(nodes))
        out.write(f"*SURFACE, TYPE=ELEMENT, NAME=SURF_{tag.name}\n".encode("ascii"))
        np.savetxt(out, np.column_stack([cells[chosen], faces[chosen]]) + 1, fmt="%d, S%d")


def _write_set(out: BinaryIO, kind: str, name: str, numbers: NDArray[np.int64]) -> None:
    """A named set of nodes or elements, numbered from 0 here; nothing for an empty one."""
    if len(numbers) == 0:
        return
    out.write(f"*{kind}, {kind}={name}\n".encode("ascii"))
    full = len(numbers) // PER_LINE * PER_LINE
    np.savetxt(out, numbers[:full].reshape(-1, PER_LINE) + 1, fmt="%d", delimiter=", ")
    if full < len(numbers):
        np.savetxt(out, numbers[None, full:] + 1, fmt="%d", delimiter=", ")


def _table(out: BinaryIO, rows: NDArray[np.generic], line: str, chunk: int = 50_000) -> None:
    """Rows with their number in front, from 1."""
    for first in range(0, len(rows), chunk):
        part = rows[first : first + chunk]
        number = np.arange(first + 1, first + 1 + len(part))
        np.savetxt(out, np.column_stack([number, part]), fmt=line)
