"""The mesh for gmsh: binary MSH 4.1 with named groups."""

from pathlib import Path

import gmsh
import numpy as np

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.mesh.bone_mesh import BoneMesh, Part

#: Number of gmsh's group of untagged facets: gmsh counts from 1, :data:`SurfaceTag.FREE` is 0.
GMSH_FREE = 100
_GMSH_TRIANGLE, _GMSH_TETRAHEDRON = 2, 4


def write_gmsh(path: Path, mesh: BoneMesh) -> None:
    """Write binary MSH 4.1 with a physical group for each part and each tagged surface.

    The groups have the names of :class:`Part` and :class:`SurfaceTag` and their numbers, but for
    untagged facets, which are :data:`GMSH_FREE`. Nodes and elements are numbered from 1, elements
    with the tetrahedra first.

    Args:
        path: File to write, with the suffix ``.msh``.
        mesh: Bone mesh.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    running = bool(gmsh.isInitialized())
    if not running:
        gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.MshFileVersion", 4.1)
        gmsh.option.setNumber("Mesh.Binary", 1)
        gmsh.model.add(mesh.sha256[:16])
        _fill_gmsh(mesh)
        gmsh.write(str(path))
        gmsh.model.remove()
    finally:
        if not running:
            gmsh.finalize()


def _fill_gmsh(mesh: BoneMesh) -> None:
    """Give the mesh to gmsh's current model."""
    for part in Part:
        cells = mesh.cells_of(part)
        if len(cells) > 0:
            _add_group(3, int(part), part.name)
    # All nodes go to one volume first; gmsh then finds which are on a surface or another part.
    nodes = np.arange(1, len(mesh.points_mm) + 1)
    gmsh.model.mesh.addNodes(3, int(mesh.part.min()), nodes, mesh.points_mm.ravel())
    for part in Part:
        cells = mesh.cells_of(part)
        if len(cells) > 0:
            corners = mesh.tets[cells].ravel() + 1
            gmsh.model.mesh.addElementsByType(int(part), _GMSH_TETRAHEDRON, cells + 1, corners)
    for tag in SurfaceTag:
        facets = np.flatnonzero(mesh.facet_tag == tag)
        if len(facets) > 0:
            number = int(tag) if tag != SurfaceTag.FREE else GMSH_FREE
            _add_group(2, number, tag.name)
            gmsh.model.mesh.addElementsByType(
                number,
                _GMSH_TRIANGLE,
                len(mesh.tets) + facets + 1,
                mesh.facets[facets].ravel() + 1,
            )
    gmsh.model.mesh.reclassifyNodes()


def _add_group(dim: int, number: int, name: str) -> None:
    gmsh.model.addDiscreteEntity(dim, number)
    gmsh.model.addPhysicalGroup(dim, [number], number, name)
