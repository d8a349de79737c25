"""Stiffness of one sacroiliac joint with its ligaments: a rigid sacrum on a fixed hip bone.

What Miller, Schultz and Andersson measured (J Orthop Res 1987;5:92): one ilium fixed, forces and
moments at the centre of the sacrum along and about the axes of the S1 endplate, and how far that
centre moved the same way. Here bone does not deform, so that the motion is that of the springs of
the joint and of the taut ligaments, in closed form; nothing is fitted to the measurement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import MeshError
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.attachments import find_ligaments, joint_facets
from sacrofem.mechanics.ligaments import ALL, LigamentName, Ligaments, Side
from sacrofem.mechanics.supports import JointSprings, cartilage_springs
from sacrofem.mesh.bone_mesh import BoneMesh, Part

#: The largest static loads of Miller 1987.
MILLER_FORCE_N, MILLER_MOMENT_NM = 294.0, 42.0
#: Axis of the sacral frame (left, posterior, superior) and sign of each direction on the left
#: joint; medial, and what turns towards a side, is mirrored on the right.
TRANSLATIONS = {
    "medial": (0, -1.0),
    "lateral": (0, 1.0),
    "anterior": (1, -1.0),
    "posterior": (1, 1.0),
    "superior": (2, 1.0),
    "inferior": (2, -1.0),
}
#: The same of moments, by the right-hand rule; bending and torsion towards the joint's own side.
ROTATIONS = {
    "flexion": (0, 1.0),
    "extension": (0, -1.0),
    "bending to the joint": (1, 1.0),
    "bending away": (1, -1.0),
    "torsion to the joint": (2, 1.0),
    "torsion away": (2, -1.0),
}
#: Taut sets tried; each is the one that the last motion asks for.
_TRIES = 50


@dataclass(frozen=True, eq=False)
class SingleJoint:
    """What one joint gives under the loads of Miller 1987.

    Attributes:
        side: ``left`` or ``right``.
        area_mm2: Of the sacral side of the joint.
        centre_mm: Centre of the sacrum, where it is loaded, world, shape (3,).
        stiffness: Of the joint and all its ligaments as if they also pushed, force and moment (N,
            N mm) over translation and rotation (mm, rad) of the centre, in the sacral frame,
            shape (6, 6).
        joint_stiffness: The same without ligaments.
        translation_mm: Motion along each force of 294 N, by direction.
        rotation_deg: Rotation about each moment of 42 Nm, by direction.
    """

    side: Side
    area_mm2: float
    centre_mm: FloatArray
    stiffness: FloatArray
    joint_stiffness: FloatArray
    translation_mm: Mapping[str, float]
    rotation_deg: Mapping[str, float]


def single_joint_compliance(
    mesh: BoneMesh,
    side: Side,
    ligaments: Sequence[LigamentName] = ALL,
    springs: JointSprings | None = None,
) -> SingleJoint:
    """Motions of a rigid sacrum on one joint under 294 N and 42 Nm.

    Args:
        mesh: Bone mesh of either model.
        side: Which joint.
        ligaments: Which ligaments of that side hold with it; they bear tension only.
        springs: Of the joint; None are those of its cartilage.

    Raises:
        MeshError: The mesh has no joint on that side.
    """
    centre = np.average(
        mesh.centroids_mm[mesh.part == Part.SACRUM],
        axis=0,
        weights=mesh.cell_ml[mesh.part == Part.SACRUM],
    )
    area, joint = joint_stiffness(mesh, side, centre, springs or cartilage_springs())
    held = find_ligaments(mesh, tuple(ligaments))
    held = held.of(held.side == side)
    rows = ligament_rows(mesh, held, centre)
    k = held.stiffness_N_per_mm
    mirror = 1.0 if side == "left" else -1.0
    translation, rotation = {}, {}
    for name, (axis, sign) in TRANSLATIONS.items():
        sign = sign * mirror if axis == 0 else sign
        load = _unit(axis, sign * MILLER_FORCE_N)
        translation[name] = float(sign * motion_under(joint, rows, k, load)[axis])
    for name, (axis, sign) in ROTATIONS.items():
        sign = sign if axis == 0 else sign * mirror
        load = _unit(3 + axis, sign * 1000.0 * MILLER_MOMENT_NM)
        rotation[name] = float(np.degrees(sign * motion_under(joint, rows, k, load)[3 + axis]))
    whole = joint + (rows.T * k) @ rows
    return SingleJoint(side, area, centre, whole, joint, translation, rotation)


def joint_stiffness(
    mesh: BoneMesh, side: Side, centre_mm: FloatArray, springs: JointSprings
) -> tuple[float, FloatArray]:
    """Area of a joint, and stiffness of its springs about a point, sacral frame, shape (6, 6).

    The integral of ``H^T [k_n n n^T + k_t (I - n n^T)] H`` over the joint, where H gives the
    displacement of a point of a rigid body; exact by the midpoints of each triangle's edges.

    Raises:
        MeshError: The mesh has no joint on that side.
    """
    facets = joint_facets(mesh, side)
    if len(facets) == 0:
        raise MeshError(
            f"the stiffness of the {side} sacroiliac joint needs its surface, and this mesh has "
            "none there: mesh it from labels that hold both hips."
        )
    axes = mesh.frame.axes
    corner = (mesh.points_mm[facets] - centre_mm) @ axes.T
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    double = np.linalg.norm(normal, axis=1)
    n = normal / double[:, None]
    outer = n[:, :, None] * n[:, None, :]
    k_n, k_t = springs.normal_N_per_mm3, springs.tangential_N_per_mm3
    local = k_n * outer + k_t * (np.eye(3) - outer)
    total = np.zeros((6, 6))
    for middle in np.moveaxis(0.5 * (corner + np.roll(corner, 1, axis=1)), 1, 0):
        H = np.zeros((len(middle), 3, 6))
        H[:, :, :3] = np.eye(3)
        for axis, unit in enumerate(np.eye(3)):
            H[:, :, 3 + axis] = np.cross(unit, middle)
        total += np.einsum("f,fia,fij,fjb->ab", double / 6.0, H, local, H)
    return float(0.5 * double.sum()), total


def ligament_rows(mesh: BoneMesh, ligaments: Ligaments, centre_mm: FloatArray) -> FloatArray:
    """Shortening of each element a unit of motion of the centre, sacral frame, shape (k, 6)."""
    axes = mesh.frame.axes
    way = ligaments.direction @ axes.T
    arm = (mesh.points_mm[ligaments.vertex] - centre_mm) @ axes.T
    return np.concatenate([way, np.cross(arm, way)], axis=1)


def motion_under(
    joint: FloatArray, rows: FloatArray, k: FloatArray, load: FloatArray
) -> FloatArray:
    """Motion of the centre under a load, with the ligaments that it makes taut, shape (6,).

    Args:
        joint: Stiffness without ligaments, see :func:`joint_stiffness`.
        rows: See :func:`ligament_rows`, shape (k, 6).
        k: Stiffness of each element in N/mm, shape (k,).
        load: Force in N and moment in N mm, sacral frame, shape (6,).

    Raises:
        MeshError: No set of taut ligaments agrees with its own motion.
    """
    taut: NDArray[np.bool_] = np.zeros(len(rows), dtype=bool)
    for _ in range(_TRIES):
        held = rows[taut]
        motion = np.linalg.solve(joint + (held.T * k[taut]) @ held, load)
        found = rows @ motion < 0.0
        if (found == taut).all():
            return np.asarray(motion)
        taut = found
    raise MeshError(
        f"which ligaments of the joint are taut must settle within {_TRIES} tries, and did not: "
        "leave some out, or report a defect."
    )


def _unit(axis: int, size: float) -> FloatArray:
    out = np.zeros(6)
    out[axis] = size
    return out
