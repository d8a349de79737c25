"""Landmarks of the hip bones: acetabula and ischia, where the model of the pelvis is held."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.joints import faces_label, largest, pieces
from sacrofem.anatomy.surface import BoneSurface, bone_surface
from sacrofem.errors import InputError
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, NAMES
from sacrofem.image.volume import FloatArray, LabelMap

#: TotalSegmentator v2's numbers of the femora.
FEMUR = {"left": 75, "right": 76}
HIP = {"left": HIP_LEFT, "right": HIP_RIGHT}

#: Largest width of the hip joint that is bridged, in mm.
HIP_GAP_MM = 8.0
#: Radii of acetabula that are looked for, in mm: femoral heads are 40 to 55 mm wide in adults,
#: cartilage and joint space add about 2 mm to the radius (a choice, wide on purpose).
RADII_MM = (18.0, 33.0)
#: Edge of the cells in which centres are counted, and how near to the sphere its triangles lie.
CELL_MM, ON_SPHERE_MM = 3.0, 2.0
#: Triangles of an acetabulum look at its centre within this angle (a choice).
LOOKS_DEG = 35.0
#: Smallest part of a sphere that is believed, in steradian: a whole acetabulum covers about a
#: half sphere, 6.3, less its notch and fossa.
COVERS_AT_LEAST_SR = 2.0
#: The ischium's lowest part, where one sits: within this height above its lowest point, in mm.
SEAT_MM = 10.0


@dataclass(frozen=True, eq=False)
class Acetabulum:
    """The socket of a hip joint: a sphere through its surface.

    Attributes:
        centre_mm: Centre, world, shape (3,).
        radius_mm: Radius.
        triangles: Which triangles of the hip's surface make it, shape (m,).
        from_femur: Whether the femur's label told where it is, else the hip's own shape.
    """

    centre_mm: FloatArray
    radius_mm: float
    triangles: NDArray[np.bool_]
    from_femur: bool


@dataclass(frozen=True, eq=False)
class Hip:
    """One hip bone.

    Attributes:
        surface: Its smooth surface.
        acetabulum: Its socket, None if not found.
        ischium_mm: Lowest point of the ischial tuberosity, world, shape (3,), None if not in the
            image.
        seat: Which triangles make its lowest part, shape (m,).
        cut_off: Whether the edge of the image cuts the bone.
    """

    surface: BoneSurface
    acetabulum: Acetabulum | None
    ischium_mm: FloatArray | None
    seat: NDArray[np.bool_]
    cut_off: bool


@dataclass(frozen=True, eq=False)
class HipAnatomy:
    """Both hips by side, ``left`` and ``right``, and what was not found, in words."""

    hips: dict[str, Hip]
    warnings: tuple[str, ...]


def find_hips(labels: LabelMap, frame: SacralFrame, source: str = "labels") -> HipAnatomy:
    """Find acetabula and ischia of both hips.

    Args:
        labels: Label map with both hips; femora (75, 76) help where they are.
        frame: Sacral frame.
        source: Name of the label file for messages.

    Raises:
        InputError: A hip has no label.
    """
    hips, warnings = {}, []
    for side, label in HIP.items():
        if not labels.mask(label).any():
            raise InputError(
                f"{source}: label {label} ({NAMES[label]}) is missing, but the model of the pelvis "
                "needs both hips; label it, or take the model of the sacrum alone."
            )
        surface = bone_surface(labels, label)
        socket = _from_femur(labels, surface, side) or _from_shape(surface, frame, side)
        edges = _cut_faces(labels, label)
        lowest, seat = _ischium(surface, socket)
        ischium = None if edges["lower"] else lowest
        seat = seat & (ischium is not None)
        hips[side] = Hip(surface, socket, ischium, seat, any(edges.values()))
        warnings += _words(hips[side], side, edges["lower"])
    return HipAnatomy(hips, tuple(warnings))


def _words(hip: Hip, side: str, lower: bool) -> list[str]:
    """What is missing of one hip."""
    words = []
    why = "the hip is cut off by the edge of the image" if hip.cut_off else "its label has no cup"
    if hip.acetabulum is None:
        words.append(
            f"the {side} acetabulum is not found ({why}); hold the pelvis elsewhere, give a CT "
            f"that reaches below the hip joints, or label the femur ({FEMUR[side]})"
        )
    if lower:
        words.append(
            f"the edge of the image cuts the {side} hip from below: its ischial tuberosity is not "
            "in the image, and the pelvis cannot be held there"
        )
    elif hip.cut_off:
        words.append(f"the edge of the image cuts the {side} hip; what is beyond is missing")
    return words


def _from_femur(labels: LabelMap, surface: BoneSurface, side: str) -> Acetabulum | None:
    """The part of the hip that faces the femur, if that has a label."""
    centroids, normals = surface.centroids_mm, surface.normals
    seen = faces_label(centroids, normals, labels, FEMUR[side], HIP_GAP_MM)
    joint = largest(pieces(surface.triangles, seen), surface.areas_mm2, 300.0)
    if not joint.any():
        return None
    guess = (centroids[joint] + 25.0 * normals[joint]).mean(axis=0)
    centre, radius = _sphere(surface, joint, guess, 25.0)
    chosen = _on_sphere(surface, centre, radius)
    return _believed(surface, centre, radius, chosen, from_femur=True)


def _from_shape(surface: BoneSurface, frame: SacralFrame, side: str) -> Acetabulum | None:
    """The sphere at whose centre most of the bone's surface looks.

    Every triangle votes for the points at the allowed radii along its normal (Hough transform);
    the acetabulum is the only large hollow of the bone that is round.
    """
    centroids, normals, areas = surface.centroids_mm, surface.normals, surface.areas_mm2
    sign = 1.0 if side == "left" else -1.0
    # The cup looks outwards; the iliac fossa and the pelvic wall, hollow too, look inwards.
    outwards = sign * (normals @ frame.left) > -0.5
    centre, radius = _most_looked_at(centroids[outwards], normals[outwards], areas[outwards])
    for _ in range(3):
        chosen = outwards & _on_sphere(surface, centre, radius, 2.0 * ON_SPHERE_MM)
        if chosen.sum() < 20:
            return None
        centre, radius = _sphere(surface, chosen, centre, radius)
    chosen = outwards & _on_sphere(surface, centre, radius)
    return _believed(surface, centre, radius, chosen, from_femur=False)


def _most_looked_at(
    centroids: FloatArray, normals: FloatArray, areas_mm2: FloatArray
) -> tuple[FloatArray, float]:
    """Centre and radius of the sphere with the most votes, to within a cell."""
    low = centroids.min(axis=0) - RADII_MM[1]
    shape = tuple(np.ceil((np.ptp(centroids, axis=0) + 2 * RADII_MM[1]) / CELL_MM).astype(int) + 1)
    best, most, radius = np.zeros(3), -1.0, RADII_MM[0]
    for r in np.arange(*RADII_MM, CELL_MM):
        cell = ((centroids + r * normals - low) / CELL_MM).round().astype(int)
        votes = np.zeros(shape)
        # Per area of the sphere, or the largest sphere would always win.
        np.add.at(votes, tuple(cell.T), areas_mm2 / r**2)
        votes = ndimage.gaussian_filter(votes, 0.8)
        at = np.unravel_index(int(votes.argmax()), shape)
        if votes[at] > most:
            best, most, radius = low + CELL_MM * np.array(at), float(votes[at]), float(r)
    return best, radius


def _sphere(
    surface: BoneSurface, chosen: NDArray[np.bool_], centre: FloatArray, radius: float
) -> tuple[FloatArray, float]:
    """The sphere through the chosen triangles, little moved by those that do not belong to it."""
    points = surface.centroids_mm[chosen]
    weight = np.sqrt(surface.areas_mm2[chosen])

    def misfit(x: FloatArray) -> FloatArray:
        return np.asarray(weight * (np.linalg.norm(points - x[:3], axis=1) - x[3]))

    best = least_squares(misfit, np.append(centre, radius), loss="soft_l1", f_scale=1.0)
    return best.x[:3], float(best.x[3])


def _on_sphere(
    surface: BoneSurface, centre: FloatArray, radius: float, within_mm: float = ON_SPHERE_MM
) -> NDArray[np.bool_]:
    """Triangles on a sphere that look at its centre, shape (m,)."""
    towards = centre - surface.centroids_mm
    distance = np.linalg.norm(towards, axis=1)
    looks = (surface.normals * towards).sum(axis=1) > np.cos(np.radians(LOOKS_DEG)) * distance
    return np.asarray(looks & (np.abs(distance - radius) < within_mm))


def _believed(
    surface: BoneSurface,
    centre: FloatArray,
    radius: float,
    chosen: NDArray[np.bool_],
    from_femur: bool,
) -> Acetabulum | None:
    """The acetabulum, if its size is that of a hip joint and enough of its sphere is there."""
    solid_angle = float(surface.areas_mm2[chosen].sum()) / max(radius, 1.0) ** 2
    if not RADII_MM[0] <= radius <= RADII_MM[1] or solid_angle < COVERS_AT_LEAST_SR:
        return None
    return Acetabulum(centre, radius, chosen, from_femur)


def _ischium(
    surface: BoneSurface, socket: Acetabulum | None
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Lowest point of the bone behind and below the socket, and the triangles around it.

    Down is that of the patient's world axes; the pubis, in front, may reach as far down.
    """
    centroids = surface.centroids_mm
    if socket is None:
        behind = centroids[:, 1] > np.median(centroids[:, 1])
    else:
        behind = centroids[:, 1] > socket.centre_mm[1]
    low = int(np.where(behind, centroids[:, 2], np.inf).argmin())
    seat = behind & (centroids[:, 2] < centroids[low, 2] + SEAT_MM)
    return centroids[low], seat


def _cut_faces(labels: LabelMap, label: int) -> dict[str, bool]:
    """Whether a label touches the lower edge of the image, and any other one."""
    mask = labels.mask(label)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    cut = {"lower": False, "other": False}
    for axis, part in enumerate(box):
        down = labels.grid.direction[2, axis]
        for touches, sign in ((part.start == 0, -1.0), (part.stop == mask.shape[axis], 1.0)):
            if touches:
                cut["lower" if sign * down < -0.7 else "other"] = True
    return cut
