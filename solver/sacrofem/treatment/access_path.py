"""Access paths: straight needle tracks from the skin side through the bone to a target."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.landmarks import side_sign
from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.tissue_grid import BONE, OTHER_BONE, TissueGrid
from sacrofem.treatment.lesion import Lesion

#: The short axis runs in the axial plane of S1 from the back (Andresen 2014, Fig. 1c); lateral
#: tilt from the sagittal plane that is tried, in degrees (positive: entry lateral of the target).
SHORT_AXIS_TILTS_DEG = np.arange(-30.0, 46.0, 2.5)
#: Length of the ray that looks for the entry behind the target, in mm.
RAY_MM = 90.0
RAY_STEP_MM = 0.5
#: A gap in the bone longer than this is a foramen, the canal or a joint, not a rough surface.
GAP_MM = 2.0
#: Clearance counts deeper than this under the entry: at the entry it is zero by nature.
ENTRY_ZONE_MM = 8.0
#: Smallest distance that a needle tip keeps to the outside of the bone, in mm.
TIP_CLEARANCE_MM = 3.0


@dataclass(frozen=True, eq=False)
class AccessPath:
    """A straight needle track.

    Attributes:
        name: Its name in the clinic.
        entry_mm: Where it enters the bone, world, shape (3,).
        target_mm: Its tip, world, shape (3,).
        length_in_bone_mm: From entry to tip.
        sagittal_angle_deg: Angle to the sagittal plane, positive when the entry is lateral.
        clearance_mm: Smallest distance to the outside of the bone beyond the entry zone.
    """

    name: str
    entry_mm: FloatArray
    target_mm: FloatArray
    length_in_bone_mm: float
    sagittal_angle_deg: float
    clearance_mm: float

    @property
    def direction(self) -> FloatArray:
        """Unit vector from the entry to the target, shape (3,)."""
        track = self.target_mm - self.entry_mm
        return np.asarray(track / np.linalg.norm(track))


def short_axis(mesh: BoneMesh, tissue: TissueGrid, lesion: Lesion) -> AccessPath:
    """The short axis to the centre of a lesion, with the tilt of the largest clearance.

    Raises:
        InputError: No tilt reaches the lesion through bone from behind.
    """
    target = mesh.frame.to_local(lesion.centre_mm[None])[0]
    depth = ndimage.distance_transform_edt(tissue.tissue == BONE) * tissue.step_mm
    found = [
        path
        for tilt in SHORT_AXIS_TILTS_DEG
        if (path := _ray(mesh, tissue, depth, target, float(tilt), side_sign(lesion.side)))
    ]
    if not found:
        raise InputError(
            f"approach 'short axis': no tilt from {SHORT_AXIS_TILTS_DEG[0]:g} to "
            f"{SHORT_AXIS_TILTS_DEG[-1]:g} degrees reaches the lesion at {target.round(0)} mm (left"
            ", posterior, superior of the S1 endplate) from behind without crossing the ilium, a "
            "foramen or the canal; choose another side or a smaller lesion."
        )
    return max(found, key=lambda path: path.clearance_mm)


def advance(mesh: BoneMesh, tissue: TissueGrid, path: AccessPath, beyond_mm: float) -> AccessPath:
    """The path with its tip moved on along its own direction, as far as the bone allows.

    Args:
        mesh: Bone mesh.
        tissue: Its tissue grid.
        path: The path.
        beyond_mm: Wanted distance beyond the target; the tip stops where it would come nearer than
            ``TIP_CLEARANCE_MM`` to the outside of the bone.
    """
    depth = ndimage.distance_transform_edt(tissue.tissue == BONE) * tissue.step_mm
    further = np.arange(0.0, beyond_mm + 1e-9, RAY_STEP_MM)
    points = mesh.frame.to_local(path.target_mm + further[:, None] * path.direction)
    index = np.rint(tissue.index_of(points)).astype(int)
    index = np.clip(index, 0, np.array(tissue.tissue.shape) - 1)
    left = depth[tuple(index.T)]
    blocked = np.flatnonzero(left < TIP_CLEARANCE_MM)
    last = max(int(blocked[0]) - 1, 0) if len(blocked) else len(further) - 1
    return replace(
        path,
        target_mm=path.target_mm + further[last] * path.direction,
        length_in_bone_mm=path.length_in_bone_mm + float(further[last]),
        clearance_mm=min(path.clearance_mm, float(left[: last + 1].min())),
    )


def _ray(
    mesh: BoneMesh,
    tissue: TissueGrid,
    depth: NDArray[np.float64],
    target: FloatArray,
    tilt_deg: float,
    sign: int,
) -> AccessPath | None:
    """The path of one tilt, or None where it does not stay in the sacrum."""
    angle = np.radians(tilt_deg)
    back = np.array([sign * np.sin(angle), np.cos(angle), 0.0])
    along = np.arange(0.0, RAY_MM, RAY_STEP_MM)
    index = np.rint(tissue.index_of(target + along[:, None] * back)).astype(int)
    inside = ((index >= 0) & (index < tissue.tissue.shape)).all(axis=1)
    i, j, k = index[inside].T
    code = tissue.tissue[i, j, k]
    if (code == OTHER_BONE).any() or code[0] != BONE:
        return None
    bone = np.flatnonzero(code == BONE)
    if np.diff(bone).max(initial=1) * RAY_STEP_MM > GAP_MM:
        return None
    length = float(along[bone[-1]])
    deep = along[bone] < length - ENTRY_ZONE_MM
    clearance = float(depth[i, j, k][bone][deep].min(initial=np.inf))
    ends = mesh.frame.to_world(np.stack([target + length * back, target]))
    return AccessPath(
        "short axis", ends[0], ends[1], length, tilt_deg, min(clearance, float(depth[i, j, k][0]))
    )
