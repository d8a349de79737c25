"""Landmarks of one sacrum, found in its label map or given: all that the other rooms ask of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy import checks
from sacrofem.anatomy.canal import Canal, find_canal
from sacrofem.anatomy.curve import SacralCurve, find_curve
from sacrofem.anatomy.endplate import (
    canal_front_mm,
    endplate_of,
    endplate_size,
    find_endplate,
    promontory,
)
from sacrofem.anatomy.foramina import FACES, SIDES, Foramen, ForamenSearch, Opening, find_foramina
from sacrofem.anatomy.frame import SacralFrame, left_axis, symmetry_plane
from sacrofem.anatomy.joints import SurfaceTag, find_auricular, find_facets
from sacrofem.anatomy.overrides import Overrides, check_near_bone, nested, read_overrides
from sacrofem.anatomy.surface import (
    BoneIndicator,
    BoneSurface,
    bone_indicator,
    largest_piece,
    surface_of,
)
from sacrofem.anatomy.unrolled import unroll
from sacrofem.anatomy.zones import SacralMap, make_map
from sacrofem.errors import InputError
from sacrofem.image.files import require_labels
from sacrofem.image.labels import L5, SACRUM
from sacrofem.image.volume import FloatArray, LabelMap

#: Edge of the grid on which the lateral masses are measured, in mm.
MASS_GRID_MM = 2.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What the program knows of one sacrum.

    Attributes:
        frame: Sacral frame.
        surface: Smooth surface of the sacrum.
        surface_tag: :class:`SurfaceTag` of each triangle, shape (m,).
        foramen_s1_mm: Middle of the S1 foramen by side, world, shape (3,).
        lateral_mass_mm: Centre of the largest sphere inside each lateral mass of S1, world.
        warnings: What was not found, and what was done instead.
        promontory_mm: Front rim of the S1 endplate in the midline, world, shape (3,).
        endplate_size_mm: Width and midline depth of the S1 endplate.
        curve: Pelvic face of the bodies in the midline.
        foramina: All sixteen openings, S1 to S4, left and right, anterior and posterior.
        canal: Sacral canal and hiatus.
        map: Borders of levels and zones.
    """

    frame: SacralFrame
    surface: BoneSurface
    surface_tag: NDArray[np.int8]
    foramen_s1_mm: dict[str, FloatArray]
    lateral_mass_mm: dict[str, FloatArray]
    warnings: tuple[str, ...]
    promontory_mm: FloatArray
    endplate_size_mm: tuple[float, float]
    curve: SacralCurve
    foramina: dict[Opening, Foramen]
    canal: Canal
    map: SacralMap

    @property
    def sacral_slope_deg(self) -> float:
        """Angle of the S1 endplate to the axial plane of the world, positive when tilted forwards.

        The patient lies in a CT: standing, the sacral slope is another one.
        """
        up = self.frame.superior
        return float(np.degrees(np.arctan2(-up[1], up[2])))

    def area_mm2(self, tag: SurfaceTag) -> float:
        """Area of one tagged part of the surface."""
        return float(self.surface.areas_mm2[self.surface_tag == tag].sum())

    def joint_centre_mm(self, tag: SurfaceTag) -> FloatArray:
        """Area-weighted centre of one tagged part of the surface, world, shape (3,)."""
        weight = self.surface.areas_mm2 * (self.surface_tag == tag)
        return np.asarray(weight @ self.surface.centroids_mm / weight.sum())

    def foramen(self, level: str, side: str, face: str) -> Foramen:
        """One opening: level ``S1`` to ``S4``, side ``left`` or ``right``, face ``anterior`` ..."""
        return self.foramina[Opening(level, side, face)]

    def level_of(self, points_mm: FloatArray) -> NDArray[np.int8]:
        """Level 1 to 5 of world points, shape (n,); see :meth:`SacralMap.level_of`."""
        return self.map.level_of(points_mm)

    def denis_zone(self, points_mm: FloatArray) -> NDArray[np.int8]:
        """Denis' zone 1 to 3 of world points, shape (n,); see :meth:`SacralMap.denis_zone`."""
        return self.map.denis_zone(points_mm)

    def side_of(self, points_mm: FloatArray) -> NDArray[np.int8]:
        """1 for world points left of the midline, -1 right of it, shape (n,)."""
        return self.map.side_of(points_mm)

    def landmarks(self) -> dict[str, object]:
        """All landmarks as a recipe gives them, world mm: what can be corrected and given back."""
        flat: dict[str, FloatArray] = {
            "promontory": self.promontory_mm,
            "hiatus": self.canal.hiatus_mm,
            "frame.origin": self.frame.origin_mm,
            "frame.left": self.frame.left,
            "frame.superior": self.frame.superior,
            "auricular.left": self.joint_centre_mm(SurfaceTag.AURICULAR_LEFT),
            "auricular.right": self.joint_centre_mm(SurfaceTag.AURICULAR_RIGHT),
        }
        flat |= {f"lateral_mass.{side}": self.lateral_mass_mm[side] for side in SIDES}
        for name, foramen in self.foramina.items():
            flat[f"foramina.{name.level}.{name.side}.{name.face}"] = foramen.centre_mm
        return nested(flat)


def find_anatomy(
    labels: LabelMap, source: str = "labels", overrides: Mapping[str, object] | None = None
) -> Anatomy:
    """Find frame, joints, foramina, canal, levels and zones in a label map.

    Args:
        labels: Label map with the sacrum; L5 and the hips may be missing where the endplate is flat
            and the joints are given.
        source: Name of the label file for messages.
        overrides: Landmarks to use instead of found ones; see
            :func:`sacrofem.anatomy.overrides.read_overrides`.

    Raises:
        InputError: A label that is needed is missing, sides are swapped, the sacrum is cut by the
            edge of the image or in two pieces, the S1 endplate or an auricular surface is not
            found, or a given landmark has a wrong name or lies far from the bone.
    """
    given = read_overrides(overrides)
    require_labels(labels, (SACRUM,), source)
    guess = left_axis(labels)
    warnings = checks.check_label(labels, source)
    bone = bone_indicator(labels, SACRUM)
    surface = surface_of(bone)
    check_near_bone(given, surface.points_mm)
    warnings += checks.label_warnings(labels, bone)
    endplate, frame = _frame(labels, bone, surface, guess, given, source)
    warnings += checks.fusion_warnings(labels, surface, endplate)
    tag, missing = _tags(labels, bone, surface, endplate, frame, given, source)
    front = given.point("promontory")
    front = promontory(surface, frame) if front is None else front
    curve = find_curve(bone, frame, front, source)
    search, canal, more = _tunnels(labels, bone, surface, curve, tag, given)
    foramina = search.foramina
    middle = {side: _middle(foramina, side) for side in SIDES}
    masses = given.by_side("lateral_mass")
    return Anatomy(
        frame=frame,
        surface=surface,
        surface_tag=tag,
        foramen_s1_mm=middle,
        lateral_mass_mm={
            side: masses[side] if side in masses else _lateral_mass(bone, frame, middle[side], side)
            for side in SIDES
        },
        warnings=warnings + missing + more,
        promontory_mm=front,
        endplate_size_mm=endplate_size(surface, endplate, frame),
        curve=curve,
        foramina=foramina,
        canal=canal,
        map=make_map(curve, foramina),
    )


def _middle(foramina: Mapping[Opening, Foramen], side: str) -> FloatArray:
    """Half way between the openings of an S1 foramen, world, shape (3,)."""
    return np.mean([foramina[Opening("S1", side, face)].centre_mm for face in FACES], axis=0)


def side_sign(side: str) -> int:
    """The sign of the frame's left coordinate on a side."""
    return 1 if side == "left" else -1


def _frame(
    labels: LabelMap,
    bone: BoneIndicator,
    surface: BoneSurface,
    guess: FloatArray,
    given: Overrides,
    source: str,
) -> tuple[NDArray[np.bool_], SacralFrame]:
    """Endplate and frame; with a given frame, the endplate that goes with it."""
    frame = given.frame()
    if frame is None:
        plane = symmetry_plane(surface, guess)
        return find_endplate(labels, bone, surface, plane, source)
    endplate = endplate_of(bone, surface, frame)
    if not endplate.any():
        raise InputError(
            f"landmarks.frame: no part of the sacrum looks along superior at the origin "
            f"{frame.origin_mm.round(0).tolist()}; put the origin onto the middle of the S1 "
            "endplate, and superior along its outward normal."
        )
    return endplate, frame


def _tags(
    labels: LabelMap,
    bone: BoneIndicator,
    surface: BoneSurface,
    endplate: NDArray[np.bool_],
    frame: SacralFrame,
    given: Overrides,
    source: str,
) -> tuple[NDArray[np.int8], tuple[str, ...]]:
    """:class:`SurfaceTag` of each triangle, and which facets are missing."""
    tag = np.zeros(len(surface.triangles), dtype=np.int8)
    tag[endplate] = SurfaceTag.ENDPLATE_S1
    missing: tuple[str, ...] = ()
    if labels.mask(L5).any():
        behind = canal_front_mm(bone, frame)
        facets, missing = find_facets(surface, labels, frame, behind, tag == 0)
        for value, chosen in facets.items():
            tag[chosen] = value
    joints = find_auricular(surface, labels, tag == 0, given.by_side("auricular"), source)
    for value, chosen in joints.items():
        tag[chosen] = value
    return tag, missing


def _tunnels(
    labels: LabelMap,
    bone: BoneIndicator,
    surface: BoneSurface,
    curve: SacralCurve,
    tag: NDArray[np.int8],
    given: Overrides,
) -> tuple[ForamenSearch, Canal, tuple[str, ...]]:
    """Foramina and canal, given ones put in, and what was not found."""
    image = unroll(bone, surface, curve)
    joints = tag >= SurfaceTag.AURICULAR_LEFT
    beside = curve.to_curved(surface.centroids_mm[joints])[:, 1]
    search = find_foramina(image, float(beside.mean()) if joints.any() else None)
    foramina = dict(search.foramina)
    for name, point in given.foramina().items():
        curved = curve.to_curved(point[None])[0]
        foramina[name] = replace(
            foramina[name], centre_mm=point, curved_mm=curved, found=True, basis=""
        )
    search = replace(search, foramina=foramina)
    s4_mm = float(np.mean([f.curved_mm[1] for n, f in foramina.items() if n.level == "S4"]))
    third_mm = float(np.mean([f.curved_mm[1] for n, f in foramina.items() if n.level == "S3"]))
    canal = find_canal(image, s4_mm)
    hiatus = given.point("hiatus")
    if hiatus is not None:
        canal = replace(canal, hiatus_mm=hiatus, found=True)
    words = checks.foramen_warnings(labels, search, curve, third_mm)
    return search, canal, words + checks.canal_warnings(canal)


def _lateral_mass(
    bone: BoneIndicator, frame: SacralFrame, foramen_mm: FloatArray, side: str
) -> FloatArray:
    """Centre of the largest sphere in the bone lateral to and above the S1 foramen."""
    # Every n-th point of a finer grid will do: the sphere is 20 mm wide.
    spacing = np.array(bone.grid.spacing_mm)
    every = np.maximum(np.floor(MASS_GRID_MM / spacing + 1e-6), 1).astype(int)
    thin = tuple(slice(None, None, n) for n in every)
    inside = largest_piece(bone.field[thin] > bone.level)
    depth = ndimage.distance_transform_edt(inside, sampling=every * spacing)
    local = frame.to_local(bone.grid.to_world(np.argwhere(inside) * every))
    foramen = frame.to_local(foramen_mm[None])[0]
    sign = side_sign(side)
    # The plateau of the distance map is flat: weigh by a high power instead of taking one voxel.
    here = (sign * (local[:, 0] - foramen[0]) > 6.0) & (local[:, 2] > foramen[2] - 5.0)
    if not here.any():
        raise InputError(
            f"no bone lies lateral to the {side} S1 foramen found at {foramen.round(0)} mm in the "
            "sacral frame; give the label of the whole sacrum with its wings."
        )
    weight = depth[inside][here] ** 8
    return np.asarray(frame.to_world((weight @ local[here] / weight.sum())[None])[0])
