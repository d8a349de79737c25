"""Where a model is held, and by what: springs per area on named parts of its surface.

The model `sacrum` is held at its sacroiliac joints, the model `pelvis`, whose joints are meshed, at
the acetabula or the ischia. All are springs: fixed nodes would need another matrix, another
multigrid and another way to read the reactions, and neither joint nor seat is rigid.

The meshed cartilage of a pelvis is as stiff per area as the springs of the sacrum alone. A thin
layer of thickness h between stiffer bones resists with M / h against closing and G / h against
sliding (Johnson 1985, thin layers). How thick a layer is meshed is a matter of the mesh, so its
modulus is scaled with it, ``E = E_cartilage h / h_cartilage``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import InputError, MeshError
from sacrofem.mesh.bone_mesh import BoneMesh, Part, boundary_facets, facet_areas_mm2

Hold = Literal["acetabula", "ischia"]
DEFAULT_HOLD: Hold = "acetabula"
#: The leg that stands in one-leg stance.
Stance = Literal["left", "right"]

#: Articular cartilage of the sacroiliac joint: 11.9 MPa, 0.4 (BMC 2013 14:217, Table 1; the other
#: published table has 10 MPa), both layers together about 3 mm.
CARTILAGE_MPA = 11.9
CARTILAGE_POISSON = 0.4
CARTILAGE_MM = 3.0
#: Cartilage of the hip joint, both layers together, of the same modulus: a choice. Bonded to the
#: femur, since the muscles that hold the tilt of the pelvis are not modelled: on smooth balls the
#: pelvis would turn over about the axis through both hips. The seat of the ischia is the same.
HIP_CARTILAGE_MM = 3.0

#: The held surfaces, by side.
SACROILIAC_JOINTS = {"left": SurfaceTag.AURICULAR_LEFT, "right": SurfaceTag.AURICULAR_RIGHT}
HELD_AT: Mapping[Hold, Mapping[str, SurfaceTag]] = {
    "acetabula": {"left": SurfaceTag.ACETABULUM_LEFT, "right": SurfaceTag.ACETABULUM_RIGHT},
    "ischia": {"left": SurfaceTag.ISCHIUM_LEFT, "right": SurfaceTag.ISCHIUM_RIGHT},
}
_SINGULAR = {"acetabula": "acetabulum", "ischia": "ischium"}
#: The cartilages of the model `pelvis`, by side, and the bones.
CARTILAGES = {"left": Part.CARTILAGE_LEFT, "right": Part.CARTILAGE_RIGHT}
BONES = (Part.SACRUM, Part.ILIUM_LEFT, Part.ILIUM_RIGHT)


@dataclass(frozen=True)
class JointSprings:
    """Stiffness per area of a thin elastic layer, in N/mm3.

    Attributes:
        normal_N_per_mm3: Against opening and closing; confined layer, ``M / thickness``.
        tangential_N_per_mm3: Against sliding, ``G / thickness``.
    """

    normal_N_per_mm3: float
    tangential_N_per_mm3: float


@dataclass(frozen=True)
class Support:
    """How a model is held.

    Attributes:
        surfaces: The held part of the surface by side, ``left`` and ``right``; one of them in
            one-leg stance.
        springs: Springs on them.
        hanging: In one-leg stance, where the hanging leg pulls; None on two legs.
    """

    surfaces: Mapping[str, SurfaceTag]
    springs: JointSprings
    hanging: SurfaceTag | None = None


def cartilage_springs(
    young_MPa: float = CARTILAGE_MPA,
    poisson: float = CARTILAGE_POISSON,
    thickness_mm: float = CARTILAGE_MM,
) -> JointSprings:
    """Springs of a cartilage layer that cannot expand sideways: confined modulus and shear."""
    confined = young_MPa * (1.0 - poisson) / ((1.0 + poisson) * (1.0 - 2.0 * poisson))
    shear = young_MPa / (2.0 * (1.0 + poisson))
    return JointSprings(confined / thickness_mm, shear / thickness_mm)


def is_pelvis(mesh: BoneMesh) -> bool:
    """Whether a mesh is of the model `pelvis`: its sacroiliac cartilages are meshed."""
    return any(bool((mesh.part == part).any()) for part in CARTILAGES.values())


def support_of(mesh: BoneMesh, hold: Hold = DEFAULT_HOLD, stance: Stance | None = None) -> Support:
    """The support of a mesh: which it is follows from its parts.

    Args:
        mesh: Bone mesh.
        hold: Where a pelvis is held; without effect on the sacrum alone.
        stance: The leg that stands alone. A pelvis is held at its acetabulum and the other leg
            hangs at the other one; the sacrum alone is held at the joint of that side (Whitlow
            2007 held one joint) and the other hip and leg hang at the other joint.

    Raises:
        InputError: A surface that holds the model is not in the mesh, the ilia touch, or a pelvis
            that sits is to stand on one leg.
    """
    pelvis = is_pelvis(mesh)
    if pelvis and _ilia_touch(mesh):
        raise InputError(
            "the ilia of a pelvis have to be apart, since the symphysis is not modelled and the "
            "force through each sacroiliac joint is read where its ilium is held; in this mesh "
            "they share nodes: leave a voxel without label between the hips at the symphysis, or "
            "mesh the model sacrum alone."
        )
    surfaces = HELD_AT[hold] if pelvis else SACROILIAC_JOINTS
    for side, tag in surfaces.items():
        if not (mesh.facet_tag == tag).any():
            raise InputError(_missing(side, hold, mesh) if pelvis else _no_joint(side))
    thickness_mm = HIP_CARTILAGE_MM if pelvis else CARTILAGE_MM
    springs = cartilage_springs(thickness_mm=thickness_mm)
    if stance is None:
        return Support(surfaces, springs)
    if pelvis and hold == "ischia":
        raise InputError(
            "one-leg stance is at a hip: it needs 'hold: acetabula', found 'hold: ischia', where "
            "one sits; leave 'hold' out."
        )
    other = "right" if stance == "left" else "left"
    return Support({stance: surfaces[stance]}, springs, surfaces[other])


def _ilia_touch(mesh: BoneMesh) -> bool:
    left, right = (mesh.tets[mesh.part == p] for p in (Part.ILIUM_LEFT, Part.ILIUM_RIGHT))
    return bool(np.isin(left, np.unique(right)).any())


def _missing(side: str, hold: Hold, mesh: BoneMesh) -> str:
    other: Hold = "ischia" if hold == "acetabula" else "acetabula"
    there = all((mesh.facet_tag == tag).any() for tag in HELD_AT[other].values())
    instead = f"hold it at the {other}, which are there" if there else "mesh the model sacrum alone"
    return (
        f"the pelvis is to be held at the {hold}, but this mesh has no {side} {_SINGULAR[hold]}: "
        "the image does not reach it, or it was not found in the hip's label; give labels that "
        f"hold the whole hip, or {instead}."
    )


def _no_joint(side: str) -> str:
    return (
        f"the sacrum is held at its sacroiliac joints, but this mesh has no {side} auricular "
        "surface; mesh it from labels that hold both hips, or give the centre of the joint in "
        f"landmarks.auricular.{side}."
    )


def face_of_layer(mesh: BoneMesh, cartilage: Part, bone: Part) -> NDArray[np.int64]:
    """Facets of a cartilage at a bone, shape (f, 3), outward of the cartilage."""
    facets, _ = boundary_facets(mesh.tets[mesh.part == cartilage])
    of_bone = np.zeros(len(mesh.points_mm), dtype=bool)
    of_bone[mesh.tets[mesh.part == bone]] = True
    return facets[of_bone[facets].all(axis=1)]


def layer_mm(mesh: BoneMesh, cartilage: Part) -> float:
    """Mean thickness of a cartilage: its volume over the mean area of its two faces.

    Raises:
        MeshError: The cartilage does not lie between the sacrum and an ilium.
    """
    area_mm2 = sum(
        facet_areas_mm2(mesh.points_mm, face_of_layer(mesh, cartilage, bone)).sum()
        for bone in BONES
    )
    if area_mm2 == 0.0:
        raise MeshError(
            f"the {cartilage.name.lower().replace('_', ' ')} has to lie between the sacrum and an "
            "ilium and share their nodes; in this mesh it touches neither: mesh the bone again."
        )
    return 1000.0 * mesh.part_ml(cartilage) / (0.5 * float(area_mm2))


def layer_MPa(mesh: BoneMesh, cartilage: Part) -> float:
    """Young's modulus of the meshed layer that gives the joint its stiffness per area."""
    return CARTILAGE_MPA * layer_mm(mesh, cartilage) / CARTILAGE_MM
