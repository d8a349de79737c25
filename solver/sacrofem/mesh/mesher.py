"""Tetrahedra of one bone, or of the sacrum with both ilia and the cartilage between them.

Lattice, cut along the bones' surfaces, cut along the joints, better shapes, cartilage. The same
fields give the same mesh, to the last bit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sacrofem.errors import MeshError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import Part, boundary_facets, facet_areas_mm2, signed_volumes_mm3
from sacrofem.mesh.cartilage import joint_facets, open_joints, smooth_parts
from sacrofem.mesh.contract import contract
from sacrofem.mesh.fields import BoneField
from sacrofem.mesh.lattice import Lattice, make_lattice
from sacrofem.mesh.optimise import improve
from sacrofem.mesh.solid import Solid, onto
from sacrofem.mesh.stuffing import cut

#: Side of a lattice cube as a part of the wanted edge: the mean edge of the BCC lattice is 0.92.
CUBE_OF_EDGE = 1.0 / 0.92
#: A wall thinner than this many cubes gets cubes of half the side, down to half the finest edge:
#: at 1.5 the walls between foramina and the iliac fossa keep their topology (docs/decisions.md).
WALL_IN_CUBES = 1.5
#: Cells of a bone so close to another are as fine as those of the zone.
JOINT_MARGIN_MM = 3.0
#: A node may stay so far off its surface, in mm.
OFF_SURFACE_MM = 0.05
#: Largest correction of a surface that makes the mesh hold its label's volume, in mm.
OFFSET_AT_MOST_MM = 0.5

IntArray = NDArray[np.int64]
Zone = Callable[[FloatArray], NDArray[np.bool_]]


@dataclass(frozen=True)
class EdgeLengths:
    """Target edges in mm: where lesions and cement may lie, and elsewhere.

    Edges grow by factors of two; elsewhere they are the largest that is not above ``elsewhere_mm``.
    """

    zone_mm: float
    elsewhere_mm: float

    @property
    def levels(self) -> int:
        """How often the zone's edge can be doubled."""
        return int(np.floor(np.log2(self.elsewhere_mm / self.zone_mm) + 1e-9))


@dataclass(frozen=True, eq=False)
class Tetrahedra:
    """A mesh without materials.

    Attributes:
        points_mm: Nodes, shape (n, 3).
        tets: Cells, shape (m, 4), positively oriented.
        part: :class:`Part` of each cell, int8, shape (m,).
        solid: The solid, its surfaces moved so that each bone holds its label's volume.
    """

    points_mm: FloatArray
    tets: IntArray
    part: NDArray[np.int8]
    solid: Solid


def fill_solid(solid: Solid, edges: EdgeLengths, zone: Zone, cartilage_mm: float) -> Tetrahedra:
    """Mesh a solid.

    Args:
        solid: The sacrum alone, or with ilia.
        edges: Target edge lengths.
        zone: Tells which points, shape (n, 3), lie where lesions and cement may lie.
        cartilage_mm: Thickness of the cartilage of each sacroiliac joint; not read for one bone.

    Raises:
        MeshError: The solid has no cells, or no joint between sacrum and an ilium.
    """
    lattice = _lattice(solid, edges, zone)
    solid = solid.moved({part: _offset(lattice, bone) for part, bone in solid.bones.items()})
    points, tets, _ = cut(lattice.points_mm, lattice.tets, solid.outer)
    side: NDArray[np.int8] = np.ones(len(tets), dtype=np.int8)
    if solid.ilia:
        points, tets, side = cut(points, tets, solid.towards_sacrum, both_sides=True)
    points, tets, side = _largest_piece(points, tets, side)
    part: NDArray[np.int8] = np.full(len(tets), Part.SACRUM, dtype=np.int8)
    if solid.ilia:
        part[side < 0] = solid.nearest_ilium(points[tets[side < 0]].mean(axis=1))
        points, tets, part = _with_joints(solid, points, tets, part, cartilage_mm)
    else:
        points, tets, part = contract(points, tets, part)
        outer, none = np.unique(boundary_facets(tets)[0]), np.empty(0, dtype=np.int64)
        points = improve(points, tets, _projection(solid, outer, none, np.zeros(len(points))))
    return Tetrahedra(points, tets, part, solid)


def _lattice(solid: Solid, edges: EdgeLengths, zone: Zone) -> Lattice:
    """The lattice around a solid: fine in the zone, at the joints and in thin walls."""
    finest = edges.zone_mm * CUBE_OF_EDGE
    # One level more than asked for, for thin walls.
    cubes = tuple(finest * 2.0**n for n in range(edges.levels, -2, -1))
    half_wall = {
        (part, side): _half_thickness(bone, side)
        for part, bone in solid.bones.items()
        for side in cubes[:-1]
    }

    def needed(centres: FloatArray, side: float) -> NDArray[np.bool_]:
        return solid.outer(centres) > -2.0 * side

    def refine(centres: FloatArray, side: float) -> NDArray[np.bool_]:
        thin = np.zeros(len(centres), dtype=bool)
        for part, bone in solid.bones.items():
            depth = bone.at(centres)
            near = np.flatnonzero(np.abs(depth) < side)
            # Measured from the nearest point of the bone: a cube outside sees a part of it only.
            outside = near[depth[near] < 0.0]
            at = centres[near]
            at[depth[near] < 0.0] = onto(bone.at, centres[outside])
            thin[near] |= 2.0 * half_wall[part, side].at(at) < WALL_IN_CUBES * side
        if side <= finest:
            return thin
        depths = np.stack([bone.at(centres) for bone in solid.bones.values()])
        fine = (solid.bones[Part.SACRUM].at(centres) > -side) & zone(centres)
        if len(depths) > 1:
            # The second nearest bone: at the sacroiliac joints, and at the symphysis.
            fine |= np.sort(depths, axis=0)[-2] > -JOINT_MARGIN_MM - 0.5 * side
        return np.asarray(thin | fine)

    low, high = solid.box_mm
    return make_lattice(low, high, cubes, needed, refine)


def _half_thickness(bone: BoneField, side: float) -> BoneField:
    """Half the local thickness of a bone's walls: the deepest point within the side of a cube."""
    reach = np.ceil(side / np.array(bone.grid.spacing_mm)).astype(int)
    deepest = ndimage.maximum_filter(bone.distance_mm, size=tuple(2 * reach + 1))
    return BoneField(deepest, bone.grid, bone.label_ml, 0.0, 0.0)


def _offset(lattice: Lattice, bone: BoneField) -> float:
    """How far a bone's surface has to move outwards for its mesh to hold the label's volume."""
    near = bone.at(lattice.points_mm) > 0.0
    tets = lattice.tets[near[lattice.tets].any(axis=1)]
    points, tets, _ = cut(lattice.points_mm, tets, bone.at)
    facets, _ = boundary_facets(tets)
    missing_mm3 = 1000.0 * bone.label_ml - signed_volumes_mm3(points, tets).sum()
    offset = float(missing_mm3 / facet_areas_mm2(points, facets).sum())
    if abs(offset) > OFFSET_AT_MOST_MM:
        raise MeshError(
            f"the mesh of a bone of {bone.label_ml:.1f} ml would have to grow by {offset:.2f} mm "
            f"to hold its label's volume (limit {OFFSET_AT_MOST_MM:g} mm): the label is too rough "
            "or the cells too large; try a smaller edge length."
        )
    return offset


def _largest_piece(
    points: FloatArray, tets: IntArray, side: NDArray[np.int8]
) -> tuple[FloatArray, IntArray, NDArray[np.int8]]:
    """The largest piece of a mesh that hangs together by facets; its own points only."""
    corners = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    a, b, c = np.sort(tets[:, corners].reshape(-1, 3), axis=1).T
    key = (a * len(points) + b) * len(points) + c
    order = np.argsort(key, kind="stable")
    twins = np.flatnonzero(np.diff(key[order]) == 0)
    first, second = order[twins] // 4, order[twins + 1] // 4
    link = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(tets),) * 2)
    number = connected_components(link, directed=False)[1]
    kept = number == np.bincount(number).argmax()
    used, cells = np.unique(tets[kept], return_inverse=True)
    return points[used], cells.reshape(-1, 4), side[kept]


def _projection(
    solid: Solid, outer: IntArray, joint: IntArray, level: FloatArray
) -> Callable[[FloatArray, IntArray], FloatArray]:
    """Puts nodes back on the outer surface, on the joint, or on the rim where these meet.

    Args:
        solid: The surfaces.
        outer: Nodes on the outer surface.
        joint: Nodes on the joint, or on the faces of its cartilage.
        level: Where those lie between the bones, as a value of ``towards_sacrum`` for every node.
    """
    on_outer, on_joint = np.zeros(len(level), dtype=bool), np.zeros(len(level), dtype=bool)
    on_outer[outer], on_joint[joint] = True, True

    def project(points: FloatArray, nodes: IntArray) -> FloatArray:
        points = points.copy()
        o, j = on_outer[nodes], on_joint[nodes]
        for chosen in (o & ~j, j & ~o, o & j):
            if chosen.any():
                row = np.flatnonzero(chosen)[0]
                points[chosen] = land(
                    points[chosen], level[nodes[chosen]], bool(o[row]), bool(j[row])
                )
        return points

    def land(at: FloatArray, wanted: FloatArray, to_outer: bool, to_joint: bool) -> FloatArray:
        def beside(points: FloatArray) -> FloatArray:
            return np.asarray(solid.towards_sacrum(points) - wanted)

        surfaces = [f for f, there in ((beside, to_joint), (solid.outer, to_outer)) if there]
        for surface in len(surfaces) * surfaces:
            at = onto(surface, at)
        off = np.max([np.abs(surface(at)) for surface in surfaces], axis=0)
        at[off > OFF_SURFACE_MM] = np.nan
        return at

    return project


def _with_joints(
    solid: Solid, points: FloatArray, tets: IntArray, part: NDArray[np.int8], cartilage_mm: float
) -> tuple[FloatArray, IntArray, NDArray[np.int8]]:
    """Better shapes, then the cartilage, then better shapes again."""
    part = smooth_parts(points, tets, part, solid.towards_sacrum)
    points, tets, part = contract(points, tets, part)
    facets, ilium = joint_facets(tets, part)
    for missing in set(solid.ilia) - {Part(int(p)) for p in np.unique(ilium)}:
        raise MeshError(
            f"sacrum and {missing.name.lower().replace('_', ' ')} do not come within the joint's "
            "gap, so there is no sacroiliac joint to mesh; check the hip labels, or take the "
            "model 'sacrum'."
        )
    outer = np.unique(boundary_facets(tets)[0])
    level = np.zeros(len(points))
    points = improve(points, tets, _projection(solid, outer, np.unique(facets), level))
    points, tets, part = open_joints(points, tets, part, cartilage_mm)
    faces = np.unique(tets[np.isin(part, (Part.CARTILAGE_LEFT, Part.CARTILAGE_RIGHT))])
    outer = np.setdiff1d(np.unique(boundary_facets(tets)[0]), faces)
    level = np.zeros(len(points))
    level[faces] = solid.towards_sacrum(points[faces])
    return improve(points, tets, _projection(solid, outer, faces, level)), tets, part
