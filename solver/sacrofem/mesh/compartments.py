"""Where cement is that left the bone: canal, foramina, joints, in front of and behind the sacrum.

The sacrum is unrolled along the curve of its pelvic face (:mod:`sacrofem.anatomy.curve`): there its
front and its back are height maps ``t`` over ``(x, s)``, and a foramen is a column without bone on
one of them. What is soft and lies between the bridged faces is a passage where bone encloses it or
where the atlas has an opening; the rest is in front of or behind the bone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sacrofem.anatomy.atlas import Atlas
from sacrofem.anatomy.foramina import FACES, LEVELS, SIDES
from sacrofem.anatomy.unrolled import BRIDGE_MM
from sacrofem.image.volume import FloatArray

#: What a voxel of the tissue grid holds.
SOFT, BONE, L5_BONE, ILIUM_LEFT, ILIUM_RIGHT = range(5)

#: An opening's rim is rounded: its column counts so far outside its ellipse, in mm, a choice.
RIM_MM = 1.5
#: A void belongs to a foramen up to so far beyond the radius of its openings, in mm, a choice: the
#: nerve reaches the tunnel from above.
BESIDE_MM = 3.0
#: What is said to lie on a line lies so close to it, in mm: a voxel's diagonal.
ON_LINE_MM = 1.8
#: Points along the axis of a foramen: at most 1.5 mm apart.
TUNNEL_POINTS = 32
#: Half width of the strip in which a roof over the canal is looked for, in mm.
MIDLINE_MM = 2.5
#: Nothing farther than this in front of or behind the middle of the canal belongs to it, in mm: it
#: is up to 20 mm deep.
HALF_DEPTH_MM = 15.0
#: Widest gap between sacrum and ilium that is a joint, in mm: 2 to 4 mm of cartilage and cleft, and
#: what labels that were drawn on voxels of 3 mm leave out. Behind, the ligaments' cleft is wider.
JOINT_MM = 6.0
#: Sacrum and ilium are on opposite sides of what lies between them: largest cosine of the angle in
#: which it sees their nearest points.
OPPOSITE = -0.4
#: Highest space between the endplates of S1 and L5 that is disc, and its height where the images do
#: not show L5, in mm, choices above the 10 mm or so of a sound disc.
DISC_AT_MOST_MM, DISC_MM = 16.0, 10.0
#: The bone of the endplate is found this far below its plane at most, in mm: it is hollow.
ENDPLATE_MM = 6.0
#: Part of its 27 neighbours that a voxel of the joint needs: one layer of them is a third.
MAJORITY = 0.3

Mask = NDArray[np.bool_]


class Compartment(IntEnum):
    """A space that cement can be in; the nine nerve passages are CANAL and the foramina."""

    BONE = 0
    CANAL = 1
    FORAMEN_S1_LEFT = 2
    FORAMEN_S1_RIGHT = 3
    FORAMEN_S2_LEFT = 4
    FORAMEN_S2_RIGHT = 5
    FORAMEN_S3_LEFT = 6
    FORAMEN_S3_RIGHT = 7
    FORAMEN_S4_LEFT = 8
    FORAMEN_S4_RIGHT = 9
    SI_JOINT_LEFT = 10
    SI_JOINT_RIGHT = 11
    DISC_L5S1 = 12
    PRESACRAL = 13
    DORSAL = 14
    OTHER_BONE = 15

    @property
    def words(self) -> str:
        """Its name in a report: ``foramen S1 left``."""
        return _WORDS[self]


PASSAGES = tuple(Compartment(number) for number in range(1, 10))
FORAMINA = PASSAGES[1:]
_WORDS = {
    Compartment.BONE: "sacral bone",
    Compartment.CANAL: "canal",
    Compartment.SI_JOINT_LEFT: "SI joint left",
    Compartment.SI_JOINT_RIGHT: "SI joint right",
    Compartment.DISC_L5S1: "disc L5-S1",
    Compartment.PRESACRAL: "presacral",
    Compartment.DORSAL: "dorsal",
    Compartment.OTHER_BONE: "other bone",
    **{
        Compartment[f"FORAMEN_{level}_{side.upper()}"]: f"foramen {level} {side}"
        for level in LEVELS
        for side in SIDES
    },
}


@dataclass(frozen=True, eq=False)
class _Bones:
    """The bones on a grid along the axes of the sacral frame.

    Attributes:
        axes_mm: Frame coordinates of the voxels along each axis, evenly spaced.
        sacrum: The sacrum, its inner cavities filled, shape (nx, ny, nz).
        l5: The fifth lumbar vertebra, same shape.
        ilia: The ilia by side, same shape.
    """

    axes_mm: tuple[FloatArray, FloatArray, FloatArray]
    sacrum: Mask
    l5: Mask
    ilia: Mapping[str, Mask]

    @property
    def step_mm(self) -> float:
        """Voxel size."""
        return float(self.axes_mm[0][1] - self.axes_mm[0][0])

    def index_of(self, local_mm: FloatArray) -> NDArray[np.int64]:
        """Nearest voxels, shape (n, 3), of frame coordinates; those of the border beyond it."""
        pairs = zip(self.axes_mm, np.asarray(local_mm).T, strict=True)
        return np.stack([_nearest(axis, values) for axis, values in pairs], axis=-1)

    @cached_property
    def soft(self) -> Mask:
        """Voxels without bone."""
        return np.asarray(~(self.sacrum | self.l5 | self.ilia["left"] | self.ilia["right"]))


@dataclass(frozen=True, eq=False)
class _Curved:
    """Where the voxels are along the curve: ``s`` and ``t`` in mm, shape (ny, nz)."""

    s_mm: FloatArray
    t_mm: FloatArray


@dataclass(frozen=True, eq=False)
class _Image:
    """The unrolled sacrum over (x, s) with the grid's own x.

    ``front_mm`` and ``back_mm`` are ``t`` of the first and the last bone of a column, ``lid_*`` the
    bridged faces, shape (nx, ns); columns without bone have both bones half way between the lids.
    """

    s_mm: FloatArray
    t_mm: FloatArray
    bone: Mask
    outline: Mask
    front_mm: FloatArray
    back_mm: FloatArray
    lid_front_mm: FloatArray
    lid_back_mm: FloatArray

    def row(self, s_mm: FloatArray) -> NDArray[np.int64]:
        """Nearest numbers along ``s``, within the image."""
        return _nearest(self.s_mm, s_mm)


def find_compartments(
    tissue: NDArray[np.uint8], axes_mm: Sequence[FloatArray], atlas: Atlas
) -> NDArray[np.uint8]:
    """The compartment of each voxel, shape (nx, ny, nz).

    Canal and foramina meet where Denis' zones III and II do. Where the canal has no roof it is as
    wide and deep as where it has one; above the sacrum it goes on as at its mouth. Its lower end is
    the hiatus, or where the labels close it.

    Args:
        tissue: :data:`SOFT`, :data:`BONE` ... of each voxel of a grid along the axes of the frame,
            shape (nx, ny, nz).
        axes_mm: Frame coordinates of the voxels along each axis, evenly spaced.
        atlas: Landmarks of the sacrum.
    """
    x, y, z = axes_mm
    ilia = {"left": tissue == ILIUM_LEFT, "right": tissue == ILIUM_RIGHT}
    bones = _Bones((x, y, z), tissue == BONE, tissue == L5_BONE, ilia)
    curved = _curved(bones, atlas)
    image = _unroll(bones, atlas, curved)
    row = image.row(curved.s_mm)
    middle = 0.5 * (image.lid_front_mm + image.lid_back_mm)
    behind = np.asarray(curved.t_mm > middle[:, row])
    out = np.where(behind, Compartment.DORSAL, Compartment.PRESACRAL).astype(np.uint8)
    for side, ilium in bones.ilia.items():
        out[_joint(bones, ilium)] = Compartment[f"SI_JOINT_{side.upper()}"]
    out[_disc(bones, atlas)] = Compartment.DISC_L5S1
    foramina = _foramina(bones, atlas, image, curved)
    out[foramina > 0] = foramina[foramina > 0]
    out[_canal(bones, atlas, image, curved)] = Compartment.CANAL
    out[~bones.soft] = Compartment.OTHER_BONE
    out[bones.sacrum] = Compartment.BONE
    return out


def _curved(bones: _Bones, atlas: Atlas) -> _Curved:
    """The curve's coordinates of the voxels: those of a sagittal plane serve all others."""
    _, y, z = bones.axes_mm
    plane = np.stack(np.meshgrid([0.0], y, z, indexing="ij"), axis=-1).reshape(-1, 3)
    curved = atlas.curve.to_curved(atlas.frame.to_world(plane)).reshape(len(y), len(z), 3)
    return _Curved(curved[..., 1], curved[..., 2])


def _unroll(bones: _Bones, atlas: Atlas, curved: _Curved) -> _Image:
    """The sacrum's front and back, bridged as in :func:`sacrofem.anatomy.unrolled.unroll`."""
    step, seen = bones.step_mm, bones.sacrum.any(axis=0)
    s, t = (
        np.arange(values[seen].min() - step, values[seen].max() + 1.5 * step, step)
        for values in (curved.s_mm, curved.t_mm)
    )
    points = np.stack(np.meshgrid([0.0], s, t, indexing="ij"), axis=-1).reshape(-1, 3)
    local = atlas.frame.to_local(atlas.curve.to_world(points))
    j, k = (_nearest(bones.axes_mm[axis], local[:, axis]) for axis in (1, 2))
    bone = bones.sacrum[:, j, k].reshape(-1, len(s), len(t))
    columns: Mask = np.asarray(bone.any(axis=2))
    outline = ndimage.binary_fill_holes(columns)
    front, back = t[bone.argmax(axis=2)], t[-1 - bone[..., ::-1].argmax(axis=2)]
    front, back = np.where(columns, front, t[-1]), np.where(columns, back, t[0])
    # Outside, the faces go on as at the nearest border: no edge there that could be bridged.
    a, b = ndimage.distance_transform_edt(~outline, return_distances=False, return_indices=True)
    front, back, through = front[a, b], back[a, b], ~columns[a, b]
    reach = round(BRIDGE_MM / step)
    u, v = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = u * u + v * v <= reach * reach + 1
    lid_front = ndimage.grey_opening(front, footprint=disk)
    lid_back = ndimage.grey_closing(back, footprint=disk)
    half = 0.5 * (lid_front + lid_back)
    front, back = np.where(through, half, front), np.where(through, half, back)
    return _Image(s, t, bone, outline, front, back, lid_front, lid_back)


def _foramina(bones: _Bones, atlas: Atlas, image: _Image, curved: _Curved) -> NDArray[np.uint8]:
    """The code of the foramen that each voxel lies in, 0 for none, shape (nx, ny, nz).

    A void between the bridged faces lies in the tunnel that is nearest: where bone is in front of
    it and behind it, or where the atlas has the tunnel's opening.
    """
    row = image.row(curved.s_mm)
    # The faces are known to half a voxel; those in their outermost layer count.
    slack_mm = 0.25 * bones.step_mm
    under = (image.lid_front_mm - slack_mm)[:, row] < curved.t_mm
    under &= curved.t_mm < (image.lid_back_mm + slack_mm)[:, row]
    place = np.argwhere(under & image.outline[:, row] & bones.soft)
    i, j, k = place.T
    line, code, radius = _tunnels(atlas)
    away, nearest = cKDTree(line).query(_world(bones, atlas, place))
    far = away > radius[nearest] + BESIDE_MM
    x, s, t = bones.axes_mm[0][i], curved.s_mm[j, k], curved.t_mm[j, k]
    before, behind = t < image.front_mm[i, row[j, k]], t > image.back_mm[i, row[j, k]]
    closed = (before & ~_at_opening(atlas, "anterior", x, s)) | (
        behind & ~_at_opening(atlas, "posterior", x, s)
    )
    out = np.zeros(bones.sacrum.shape, dtype=np.uint8)
    out[i, j, k] = np.where(far | closed, 0, code[nearest])
    here = place[away < ON_LINE_MM]
    out[~_connected(out > 0, here)] = 0
    return out


def _tunnels(atlas: Atlas) -> tuple[FloatArray, NDArray[np.uint8], FloatArray]:
    """Points on the axes of the foramina, world, (n, 3); the code and the radius of each."""
    share = np.linspace(0.0, 1.0, TUNNEL_POINTS)
    points, codes, radii = [], [], []
    for level, side in product(LEVELS, SIDES):
        front, back = (atlas.foramen(level, side, face) for face in FACES)
        points.append(front.centre_mm + share[:, None] * (back.centre_mm - front.centre_mm))
        codes.append(np.full(len(share), Compartment[f"FORAMEN_{level}_{side.upper()}"]))
        radii.append(0.5 * (front.axes_mm[0] + share * (back.axes_mm[0] - front.axes_mm[0])))
    return np.concatenate(points), np.concatenate(codes).astype(np.uint8), np.concatenate(radii)


def _at_opening(atlas: Atlas, face: str, x_mm: FloatArray, s_mm: FloatArray) -> Mask:
    """Which columns (x, s) an opening of a face covers that was found in the labels."""
    inside = np.zeros(len(x_mm), dtype=bool)
    for name, foramen in atlas.foramina.items():
        if name.face == face and foramen.found:
            x, s = foramen.curved_mm[:2]
            inside |= np.hypot(x_mm - x, s_mm - s) < 0.5 * foramen.axes_mm[0] + RIM_MM
    return inside


def _canal(bones: _Bones, atlas: Atlas, image: _Image, curved: _Curved) -> Mask:
    """The voxels of the sacral canal, and of what goes on from it above the sacrum."""
    out = np.zeros_like(bones.sacrum)
    if len(atlas.canal.line_mm) == 0:
        return out
    line = atlas.curve.to_curved(atlas.canal.line_mm)
    z = bones.axes_mm[2]
    mouth = int(_nearest(z, atlas.frame.to_local(atlas.canal.line_mm[:1])[:, 2])[0])
    row = image.row(curved.s_mm)
    middle = np.interp(image.s_mm, line[:, 1], line[:, 2])
    like = _roofed_row(image, bones.axes_mm[0], middle, line[:, 1])
    along = (curved.s_mm <= line[-1, 1]) & (np.abs(curved.t_mm - middle[row]) < HALF_DEPTH_MM)
    along &= z <= z[mouth]
    medial = np.abs(bones.axes_mm[0]) < atlas.map.medial_mm.max()
    place = np.argwhere(bones.soft & along & medial[:, None, None])
    place = place[atlas.map.denis_zone(_world(bones, atlas, place)) == 3]
    i, j, k = place.T
    r, t = row[j, k], curved.t_mm[j, k]
    enclosed = (image.front_mm[i, r] < t) & (t < image.back_mm[i, r])
    model = like[r]
    as_there = _nearest(image.t_mm, t - middle[r] + middle[model])
    void = ~image.bone & np.logical_or.accumulate(image.bone, axis=2)
    void &= np.logical_or.accumulate(image.bone[..., ::-1], axis=2)[..., ::-1]
    out[i, j, k] = enclosed | ((model != r) & void[i, model, as_there])
    out[..., mouth:] = out[..., mouth - 1 : mouth] & bones.soft[..., mouth:]
    on_line = bones.index_of(atlas.frame.to_local(atlas.canal.line_mm))
    return _connected(out, on_line)


def _roofed_row(
    image: _Image, x_mm: FloatArray, middle_mm: FloatArray, s_mm: FloatArray
) -> NDArray[np.int64]:
    """The nearest row, of each row, in which bone closes the canal in the midline, shape (ns,)."""
    strip = np.abs(x_mm) < MIDLINE_MM
    roof = (image.back_mm[strip] > middle_mm + 1.0).mean(axis=0) > 0.5
    roof &= (image.front_mm[strip] < middle_mm - 1.0).mean(axis=0) > 0.5
    roof = ndimage.binary_opening(roof, np.ones(5, dtype=bool))
    roof &= (image.s_mm >= s_mm[0]) & (image.s_mm <= s_mm[-1])
    rows = np.flatnonzero(roof)
    every = np.arange(len(roof))
    if len(rows) == 0:
        return every
    return np.asarray(rows[np.abs(every[:, None] - rows).argmin(axis=1)])


def _connected(mask: Mask, seeds: NDArray[np.int64]) -> Mask:
    """The face-connected pieces of a mask that hold a seed, voxel numbers of shape (n, 3)."""
    number, _ = ndimage.label(mask)
    found = np.unique(number[tuple(seeds.T)])
    return np.isin(number, found[found > 0])


def _world(bones: _Bones, atlas: Atlas, index: NDArray[np.int64]) -> FloatArray:
    """World points of voxels, shape (n, 3)."""
    start = np.array([axis[0] for axis in bones.axes_mm])
    return atlas.frame.to_world(start + bones.step_mm * index)


def _nearest(axis_mm: FloatArray, values_mm: FloatArray) -> NDArray[np.int64]:
    """Nearest numbers on an even axis, those of its ends beyond it."""
    index = np.rint((values_mm - axis_mm[0]) / (axis_mm[1] - axis_mm[0])).astype(np.int64)
    return np.asarray(np.clip(index, 0, len(axis_mm) - 1))


def _joint(bones: _Bones, ilium: Mask) -> Mask:
    """Soft voxels between sacrum and ilium: the cleft, its rough voxels evened out."""
    out = np.zeros_like(ilium)
    reach = round(JOINT_MM / bones.step_mm)
    near = bones.soft
    for bone in (bones.sacrum, ilium):
        near = near & ndimage.maximum_filter(bone, 2 * reach + 1)
    place = np.argwhere(near)
    if len(place) == 0:
        return out
    ways, away = [], []
    around = ndimage.maximum_filter(near, 2 * reach + 1)
    for bone in (bones.sacrum, ilium):
        points = np.argwhere(bone & around)
        distance, nearest = cKDTree(points).query(place)
        ways.append((points[nearest] - place) / distance[:, None])
        away.append(distance)
    between = (ways[0] * ways[1]).sum(axis=1) <= OPPOSITE
    # Voxels of bone whose centres are two steps apart have a gap of one step.
    gap_mm = (away[0] + away[1] - 1.0) * bones.step_mm
    out[tuple(place[between & (gap_mm <= JOINT_MM)].T)] = True
    return np.asarray(ndimage.uniform_filter(out.astype(np.float32), 3) > MAJORITY) & near


def _disc(bones: _Bones, atlas: Atlas) -> Mask:
    """Soft voxels over the S1 endplate, up to L5."""
    x, y, z = bones.axes_mm
    half_x, half_y = (0.5 * size for size in atlas.endplate_size_mm)
    plate = bones.sacrum & (z > -ENDPLATE_MM)
    over = (np.hypot(x[:, None] / half_x, y[None, :] / half_y) <= 1.0) & plate.any(axis=2)
    top = z[-1 - plate[..., ::-1].argmax(axis=2)]
    floor = np.where(bones.l5.any(axis=2), z[bones.l5.argmax(axis=2)], np.inf)
    facing = over & (floor - top < DISC_AT_MOST_MM)
    # Where L5 overhangs too high or not at all, the disc bulges as high as it is on the whole.
    height = float(np.median((floor - top)[facing])) if facing.any() else DISC_MM
    ceiling = np.where(facing, floor, top + height)
    within = (z > top[..., None]) & (z < ceiling[..., None])
    return np.asarray(over[..., None] & within & bones.soft)
