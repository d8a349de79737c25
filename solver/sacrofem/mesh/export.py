"""The mesh for other programs: ParaView (VTU, XDMF), gmsh (MSH), Abaqus and CalculiX (INP)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dolfinx
import numpy as np
from dolfinx import fem
from mpi4py import MPI
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.abaqus import write_abaqus
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.domain import make_domain, tag_cells, tag_facets
from sacrofem.mesh.files import write_vtu
from sacrofem.mesh.modulus_bins import ModulusBins
from sacrofem.mesh.share import share_of

SUFFIXES = {
    ".vtu": "ParaView",
    ".xdmf": "ParaView and DOLFINx",
    ".msh": "gmsh",
    ".inp": "Abaqus and CalculiX",
}


def export_mesh(
    path: Path,
    mesh: BoneMesh,
    young_MPa: FloatArray,
    poisson: FloatArray | float,
    bins: int = 100,
    order: int = 1,
) -> ModulusBins | None:
    """Write a mesh in the format of the file's suffix, see :data:`SUFFIXES`.

    Args:
        path: File to write.
        mesh: Bone mesh.
        young_MPa: Young's modulus of each cell, shape (m,); not in ``.msh``.
        poisson: Poisson's ratio of each cell, shape (m,), or of all; not in ``.msh``.
        bins: Number of modulus bins of ``.inp``.
        order: Order of the elements of ``.inp``, 1 or 2.

    Returns: The materials of ``.inp``, nothing for the others.

    Raises:
        InputError: No such format, or see :func:`sacrofem.mesh.abaqus.write_abaqus`.
    """
    suffix = path.suffix.lower()
    if suffix == ".inp":
        return write_abaqus(path, mesh, young_MPa, poisson, bins=bins, order=order)
    if suffix == ".msh":
        # gmsh takes half a second to import, and no other format needs it.
        from sacrofem.mesh.gmsh_file import write_gmsh

        write_gmsh(path, mesh)
    elif suffix in (".vtu", ".xdmf"):
        ratio = np.broadcast_to(np.asarray(poisson, dtype=np.float64), mesh.part.shape)
        cells: dict[str, NDArray[Any]] = {
            "density_g_per_cm3": mesh.density.g_per_cm3,
            "young_MPa": young_MPa,
            "poisson": np.ascontiguousarray(ratio),
        }
        if suffix == ".vtu":
            write_vtu(path, mesh, {}, cells | {"part": mesh.part})
        else:
            write_xdmf(path, mesh, cells)
    else:
        known = ", ".join(f"{end} ({program})" for end, program in SUFFIXES.items())
        raise InputError(
            f"{path}: the suffix says the format of a mesh and has to be one of {known}; found "
            f"'{path.suffix}'."
        )
    return None


def write_xdmf(path: Path, mesh: BoneMesh, cell_data: Mapping[str, NDArray[Any]]) -> None:
    """Write ``.xdmf`` and its ``.h5``, for ParaView and for DOLFINx on any number of ranks.

    The grid ``mesh`` has the cells with ``part`` and the fields, the grid ``facet_tag`` the outer
    facets. In DOLFINx ``XDMFFile.read_mesh(name="mesh")``, then ``read_meshtags`` of the grid
    ``mesh`` for the parts and of ``facet_tag``; it does not read fields back. Points and cells
    come in the order that DOLFINx gives them, not that of the mesh.

    Args:
        path: File to write; the ``.h5`` stands beside it and has to stay there.
        mesh: Bone mesh.
        cell_data: Fields of the cells, shape (m,) each.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    share = share_of(mesh, 0, 1)
    domain = make_domain(share, MPI.COMM_SELF)
    domain.name = "mesh"
    cells = domain.topology.original_cell_index
    part, facet_tag = tag_cells(domain, mesh.part[cells]), tag_facets(domain, share)
    part.name, facet_tag.name = "part", "facet_tag"
    space = fem.functionspace(domain, ("Discontinuous Lagrange", 0))
    with dolfinx.io.XDMFFile(MPI.COMM_SELF, path, "w") as out:
        out.write_mesh(domain)
        out.write_meshtags(part, domain.geometry)
        out.write_meshtags(facet_tag, domain.geometry)
        for name, values in cell_data.items():
            field = fem.Function(space, name=name)
            field.x.array[:] = values[cells]
            out.write_function(field)
    _regroup(path, ("part", *cell_data))


def _regroup(path: Path, cell_names: tuple[str, ...]) -> None:
    """Put all that belongs to the cells into one grid, and geometry where it is referred to.

    DOLFINx writes one grid for each field, most of them by XInclude: ParaView shows them as
    separate blocks, and VTK's own reader crashes (pyvista/pyvista issue 6303).
    """
    tree = ElementTree.parse(path)
    domain = tree.getroot()[0]
    grids = {grid.get("Name"): grid for grid in domain}
    for name in cell_names:
        attribute = next(grids[name].iter("Attribute"))
        grids["mesh"].append(attribute)
        domain.remove(grids[name])
    facets = grids["facet_tag"]
    facets.remove(facets[0])
    facets.extend(grids["mesh"].iter("Geometry"))
    for item in tree.iter("DataItem"):
        # Without these readers take every number for single precision.
        whole = item.get("NumberType") == "Int" or "/MeshTags/" in (item.text or "")
        item.set("NumberType", "Int" if whole else "Float")
        item.set("Precision", "4" if (item.text or "").endswith("/Values") else "8")
    ElementTree.indent(tree)
    tree.write(path, encoding="utf-8", xml_declaration=True)
