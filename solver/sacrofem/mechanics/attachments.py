"""Where ligaments hold on to sacrum and hip bones, found on a mesh.

The sacral ends are vertices of the sacrum's surface: the front and back border of the joint, the
lateral part of the back of S1-S2 and S3-S4, the lateral margin below the joint. The other ends are
vertices of the hip bone where that is meshed, else points fixed in space at published distances;
only their direction matters there. Places are given in the sacral frame, mirrored on the right, and
in standing, at the usual sacral slope.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.ligaments import (
    ALL,
    LIGAMENTS,
    OF_SACRUM,
    LigamentName,
    Ligaments,
    Side,
    make_ligaments,
)
from sacrofem.mechanics.loads import SACRAL_SLOPE_DEG
from sacrofem.mechanics.supports import CARTILAGES, SACROILIAC_JOINTS, face_of_layer, is_pelvis
from sacrofem.mesh.bone_mesh import BoneMesh, Part

#: Of the sacrotuberous ligament 64 to 94 mm are published (Aldabe 2019, a review): the middle. Of
#: the sacrospinous about 38 mm in men and 46 in women (Hammer 2009): the middle.
SACROTUBEROUS_MM, SACROSPINOUS_MM = 79.0, 42.0
#: Half the distances between the ischial spines and between the tuberosities: the textbook's 10.5
#: cm of obstetrics, and the same for the medial margins of the tuberosities (a choice).
HALF_INTERSPINOUS_MM, HALF_INTERTUBEROUS_MM = 52.5, 52.5
#: What is not lateral of the two runs forward in standing, so far below the horizontal (a choice;
#: a spine as high as the hip's centre and a tuberosity under it lie so).
SPINE_BELOW_DEG, TUBEROSITY_BELOW_DEG = 30.0, 65.0
#: Posterior superior iliac spine, from the joint's centre to the side, back and up: two hip bones
#: of one CT of an adult, the only ones looked at; it lies at the height of S2.
ILIAC_SPINE_MM = np.array([0.0, 42.0, -16.0])
#: How far above or below the joint's centre, in standing, it is looked for on a meshed hip bone (a
#: choice).
ILIAC_SPINE_WITHIN_MM = 40.0
#: Length of short fibres whose hip bone is not meshed; of no effect but on pictures.
SHORT_MM = 10.0
#: How far from where it should be an end on a meshed hip bone may be found, in mm; farther means
#: that the image does not show it, and the end is fixed in space.
FOUND_WITHIN_MM = 30.0
#: The back of the sacrum looks back by more than this cosine; its crest is lateral of this part of
#: the half width, its margin of that one (choices).
LOOKS_BACK, CREST, MARGIN = 0.5, 0.6, 0.8

_HIP = {"left": Part.ILIUM_LEFT, "right": Part.ILIUM_RIGHT}


@dataclass(frozen=True, eq=False)
class _SideOfBone:
    """One side of a mesh in the sacral frame, lateral first, the right one mirrored.

    Attributes:
        place_mm: All vertices, shape (n, 3).
        outer: Outer vertices of the sacrum that are not of the joint, shape (j,).
        level: Largest sacral level at each of them, shape (j,).
        normal: Outward unit normal at each, shape (j, 3).
        joint: Vertices of the joint's surface on the sacrum, shape (i,).
        joint_normal: Mean outward normal of that surface, shape (3,).
        hip: Outer vertices of the hip bone, shape (h,); empty where it is not meshed.
        seat: Those of them on the ischial seat.
    """

    place_mm: FloatArray
    outer: NDArray[np.int64]
    level: NDArray[np.int8]
    normal: FloatArray
    joint: NDArray[np.int64]
    joint_normal: FloatArray
    hip: NDArray[np.int64]
    seat: NDArray[np.int64]


def default_ligaments(mesh: BoneMesh) -> tuple[LigamentName, ...]:
    """The ligaments that a mesh has by default: all of a pelvis, two of the sacrum alone."""
    return ALL if is_pelvis(mesh) else OF_SACRUM


def find_ligaments(mesh: BoneMesh, names: Sequence[LigamentName] | None = None) -> Ligaments:
    """The elements of ligaments of a mesh, both sides.

    A ligament whose place on the sacrum the mesh does not have is left out.

    Args:
        mesh: Bone mesh of either model.
        names: Which; None are those of :func:`default_ligaments`.
    """
    rows = []
    sides: tuple[Side, Side] = ("left", "right")
    for side in sides:
        half = _side_of_bone(mesh, side)
        back = mesh.frame.axes * [[1.0 if side == "left" else -1.0], [1.0], [1.0]]
        for name in default_ligaments(mesh) if names is None else names:
            vertex = _FROM[name](half, LIGAMENTS[name].elements)
            if len(vertex) == 0:
                continue
            hip, end = _hip_ends(half, name, vertex)
            rows.append((name, side, vertex, hip, end @ back + mesh.frame.origin_mm))
    return make_ligaments(mesh, rows)


def joint_facets(mesh: BoneMesh, side: Side) -> NDArray[np.int64]:
    """The sacral facets of a joint, shape (f, 3): tagged, or those at the meshed cartilage."""
    if is_pelvis(mesh):
        return face_of_layer(mesh, CARTILAGES[side], Part.SACRUM)[:, ::-1]
    return mesh.facets[mesh.facet_tag == SACROILIAC_JOINTS[side]]


def _side_of_bone(mesh: BoneMesh, side: Side) -> _SideOfBone:
    mirror = np.array([1.0 if side == "left" else -1.0, 1.0, 1.0])
    place = mesh.frame.to_local(mesh.points_mm) * mirror
    level = np.zeros(len(place), dtype=np.int8)
    np.maximum.at(level, mesh.tets, mesh.level[:, None])
    sacral, hip = (_vertices(mesh, mesh.part == part) for part in (Part.SACRUM, _HIP[side]))
    joints = [joint_facets(mesh, "left"), joint_facets(mesh, "right")]
    joint = joints[0] if side == "left" else joints[1]
    normal = _normals(mesh, mesh.facets) @ mesh.frame.axes.T * mirror
    at = _sums(mesh.facets, normal, len(place))
    mean = (_normals(mesh, joint) @ mesh.frame.axes.T * mirror).sum(axis=0)
    surface = np.unique(mesh.facets)
    outer = np.setdiff1d(np.intersect1d(surface, sacral), np.concatenate(joints))
    outer = outer[place[outer, 0] > 0.0]
    length = np.linalg.norm(at[outer], axis=1)
    seat = mesh.facets[mesh.facet_tag == SurfaceTag[f"ISCHIUM_{side.upper()}"]]
    hip = _in_order(np.setdiff1d(np.intersect1d(surface, hip), sacral), place)
    return _SideOfBone(
        place_mm=place,
        outer=outer,
        level=level[outer],
        normal=at[outer] / np.where(length > 0.0, length, 1.0)[:, None],
        joint=_in_order(np.unique(joint), place),
        joint_normal=mean / max(float(np.linalg.norm(mean)), 1e-12),
        hip=hip,
        seat=hip[np.isin(hip, seat)],
    )


def _in_order(vertices: NDArray[np.int64], place_mm: FloatArray) -> NDArray[np.int64]:
    """Vertices by their place: the first of equals is then the same on both sides."""
    return np.asarray(vertices[np.lexsort(np.round(place_mm[vertices], 4).T)])


def _vertices(mesh: BoneMesh, cells: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.unique(mesh.tets[cells])


def _normals(mesh: BoneMesh, facets: NDArray[np.int64]) -> FloatArray:
    """Outward normals of facets, as long as twice their areas, shape (f, 3)."""
    a, b, c = (mesh.points_mm[facets[:, i]] for i in range(3))
    return np.asarray(np.cross(b - a, c - a))


def _sums(facets: NDArray[np.int64], values: FloatArray, count: int) -> FloatArray:
    out = np.zeros((count, 3))
    for corner in facets.T:
        np.add.at(out, corner, values)
    return out


def _border(half: _SideOfBone, elements: int, front: bool) -> NDArray[np.int64]:
    """Vertices of the joint's front or back border, evenly along its long axis."""
    if len(half.joint) == 0:
        return half.joint
    flat = half.place_mm[half.joint][:, 1:]
    flat = flat - flat.mean(axis=0)
    axis = np.linalg.eigh(flat.T @ flat)[1][:, 1]
    axis = axis if axis[1] > 0.0 else -axis
    along, across = flat @ axis, flat @ np.array([-axis[1], axis[0]])
    across = np.round(across if front else -across, 6)
    step = np.ptp(along) / elements
    chosen = []
    for number in range(elements):
        away = np.abs(along - along.min() - (number + 0.5) * step)
        near = np.flatnonzero(away <= max(0.5 * step, float(away.min())) + 1e-6)
        edge = near[across[near] == across[near].max()]
        chosen.append(half.joint[edge[np.argmin(np.round(away[edge], 6))]])
    return np.array(chosen)


def _lateral(
    half: _SideOfBone, elements: int, levels: tuple[int, ...], part: float, back: float
) -> NDArray[np.int64]:
    """Outer vertices of levels, lateral of a part of the half width of each, evenly in height.

    Args:
        half: The side.
        elements: How many.
        levels: Of the sacrum.
        part: Of the half width.
        back: Smallest cosine between their normals and the way back.
    """
    chosen = np.zeros(len(half.outer), dtype=bool)
    lateral = half.place_mm[half.outer, 0]
    for level in levels:
        here = half.level == level
        if here.any():
            chosen |= here & (lateral >= part * lateral[here].max()) & (half.normal[:, 1] >= back)
    rows = half.outer[chosen]
    if len(rows) == 0:
        return rows
    picks = ((np.arange(elements) + 0.5) * len(rows) / elements).astype(int)
    return _in_order(rows, half.place_mm)[picks]


#: The sacral end of each ligament.
_FROM: dict[LigamentName, Callable[[_SideOfBone, int], NDArray[np.int64]]] = {
    "anterior sacroiliac": lambda half, n: _border(half, n, front=True),
    "interosseous": lambda half, n: _border(half, n, front=False),
    "short posterior sacroiliac": lambda half, n: _lateral(half, n, (1, 2), CREST, LOOKS_BACK),
    "long posterior sacroiliac": lambda half, n: _lateral(half, n, (3, 4), CREST, LOOKS_BACK),
    "sacrospinous": lambda half, n: _lateral(half, n, (4, 5), MARGIN, -1.0),
    "sacrotuberous": lambda half, n: _lateral(half, n, (3, 4, 5), MARGIN, 0.0),
}


def _hip_ends(
    half: _SideOfBone, name: LigamentName, vertex: NDArray[np.int64]
) -> tuple[NDArray[np.int64], FloatArray]:
    """Hip vertices, -1 where fixed in space, and places of the other ends of a ligament."""
    wanted = _wanted_mm(half, name, half.place_mm[vertex])
    on_seat = name == "sacrotuberous" and len(half.seat) > 0
    hip = half.seat if on_seat else half.hip
    if len(hip) == 0:
        return np.full(len(vertex), -1), wanted
    place = half.place_mm[hip]
    away = np.linalg.norm(wanted[:, None] - place, axis=2)
    nearest = np.argmin(np.round(away, 6), axis=1)
    found = on_seat | (away[np.arange(len(vertex)), nearest] <= FOUND_WITHIN_MM)
    ends = np.where(found[:, None], place[nearest], wanted)
    return np.where(found, hip[nearest], -1), ends


def _wanted_mm(half: _SideOfBone, name: LigamentName, start: FloatArray) -> FloatArray:
    """Where the other ends should be, shape (k, 3)."""
    if name == "anterior sacroiliac":
        return start + SHORT_MM * half.joint_normal
    if name == "interosseous":
        # From the iliac tuberosity down to the sacrum: half outwards, half upwards (a choice).
        way = half.joint_normal + np.array([0.0, 0.0, 1.0])
        return start + SHORT_MM * way / np.linalg.norm(way)
    if name == "short posterior sacroiliac":
        return start + SHORT_MM * np.array([1.0, 0.0, 0.0])
    if name == "long posterior sacroiliac":
        return np.broadcast_to(_iliac_spine_mm(half), start.shape)
    if name == "sacrospinous":
        return _ischial_mm(start, SACROSPINOUS_MM, HALF_INTERSPINOUS_MM, SPINE_BELOW_DEG)
    return _ischial_mm(start, SACROTUBEROUS_MM, HALF_INTERTUBEROUS_MM, TUBEROSITY_BELOW_DEG)


def _iliac_spine_mm(half: _SideOfBone) -> FloatArray:
    """In standing the hindmost point of the hip bone near the joint, or its usual place."""
    forward, down = _standing()
    centre = half.place_mm[half.joint].mean(axis=0)
    place = half.place_mm[half.hip]
    near = place[np.abs((place - centre) @ down) <= ILIAC_SPINE_WITHIN_MM]
    if len(near):
        return np.asarray(near[np.argmin(np.round(near @ forward, 6))])
    return np.asarray(centre + ILIAC_SPINE_MM)


def _standing() -> tuple[FloatArray, FloatArray]:
    """Forward and down in standing, in the sacral frame, shape (3,) each."""
    slope = np.radians(SACRAL_SLOPE_DEG)
    sine, cosine = np.sin(slope), np.cos(slope)
    return np.array([0.0, -cosine, sine]), np.array([0.0, -sine, -cosine])


def _ischial_mm(
    start: FloatArray, length_mm: float, lateral_mm: float, below_deg: float
) -> FloatArray:
    """A point of the ischium, by the length of a ligament from the mean of its sacral ends."""
    (forward, down), below = _standing(), np.radians(below_deg)
    middle = start.mean(axis=0)
    aside = lateral_mm - middle[0]
    # In a very wide or narrow sacrum at least half of the length is not lateral.
    rest = np.sqrt(max(length_mm**2 - aside**2, 0.25 * length_mm**2))
    point = middle + rest * (np.cos(below) * forward + np.sin(below) * down) + [aside, 0.0, 0.0]
    return np.broadcast_to(point, start.shape)
