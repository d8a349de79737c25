"""What a track may meet: its name in the clinic, and the distance to what it must not touch."""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.compartments import FORAMINA, PASSAGES, Compartment
from sacrofem.mesh.tissue_grid import BONE, ILIUM_LEFT, ILIUM_RIGHT, L5_BONE
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Cannula

#: Outer radius of the cannulas: Stubs' wire gauge, 2.41, 3.05 and 3.40 mm across.
RADIUS_MM: Mapping[Cannula, float] = {"13 G": 1.205, "11 G": 1.525, "10 G": 1.70}

#: What a sample of a track lies in. A higher number says more about why a track is blocked; from
#: PASSAGE on it is the nerve passage of that compartment.
SOFT, FRONT, SACRUM, ILIUM, LUMBAR, JOINT, BEYOND, PASSAGE = 0, 1, 2, 3, 4, 5, 6, 10
CANAL_CODE = PASSAGE + int(Compartment.CANAL)
#: What else stops a track; from CLOSE on it is the wall's distance to that one of STRUCTURES.
HIGH_ENTRY, NO_ILIUM, FORE, FLAT, PAST_JOINT, CLOSE, FREE = 30, 31, 32, 33, 34, 40, 255
#: The wall keeps this distance from every structure that it does not cross by intent: a choice, one
#: voxel of the grid.
SAFETY_MM = 1.0
_WORDS = {
    SOFT: "a gap in the bone",
    FRONT: "the presacral space",
    SACRUM: "the sacrum beyond the ilium",
    ILIUM: "the ilium",
    LUMBAR: "L5 or its disc",
    JOINT: "the SI joint",
    BEYOND: "the border of the images within the ilium",
    HIGH_ENTRY: "an entry above the approach's level",
    NO_ILIUM: "no ilium on its way in",
    FORE: "an entry from the pelvis",
    FLAT: "an entry too flat to the skin of the back",
    PAST_JOINT: "a way past the SI joint",
}

#: The structures whose distance a path reports, as compartments of the tissue grid.
STRUCTURES: Mapping[str, tuple[Compartment, ...]] = {
    "foramina": FORAMINA,
    "canal": (Compartment.CANAL,),
    "anterior cortex": (Compartment.PRESACRAL,),
    "SI joint": (Compartment.SI_JOINT_LEFT, Compartment.SI_JOINT_RIGHT),
}

#: Code of a voxel by its compartment; sacrum, ilium and L5 come from the tissue.
_CODE = np.array(
    [PASSAGE + c if c in PASSAGES else SOFT for c in range(len(Compartment))], dtype=np.uint8
)
_CODE[[Compartment.SI_JOINT_LEFT, Compartment.SI_JOINT_RIGHT]] = JOINT
_CODE[Compartment.DISC_L5S1] = LUMBAR
_CODE[Compartment.PRESACRAL] = FRONT

_BONES = {BONE: SACRUM, L5_BONE: LUMBAR, ILIUM_LEFT: ILIUM, ILIUM_RIGHT: ILIUM}

_Grids = dict[str, FloatArray]
_kept: WeakKeyDictionary[OperatingField, _Grids] = WeakKeyDictionary()
_coded: WeakKeyDictionary[OperatingField, NDArray[np.uint8]] = WeakKeyDictionary()


def codes_at(field: OperatingField, local_mm: FloatArray) -> NDArray[np.uint8]:
    """What frame points lie in, shape (..., 3) to (...); BEYOND outside the grid."""
    grid = _code_grid(field)
    index = np.floor(field.tissue.index_of(local_mm) + 1.5).astype(np.int32)
    # The grid has a border of BEYOND about it: what lies further out is clipped onto that.
    i, j, k = (np.clip(index[..., a], 0, grid.shape[a] - 1) for a in range(3))
    return np.asarray(grid[i, j, k])


def words_of(code: int) -> str:
    """What stops a track, for a sentence: ``the foramen S1 left``."""
    if code >= CLOSE:
        return f"less than {SAFETY_MM:g} mm to the {tuple(STRUCTURES)[code - CLOSE]}"
    if code > PASSAGE and code < HIGH_ENTRY:
        return f"the {Compartment(code - PASSAGE).words}"
    return _WORDS[code]


def clearances(
    field: OperatingField, local_mm: FloatArray, within: NDArray[np.bool_], cannula: Cannula
) -> dict[str, FloatArray]:
    """Smallest distance of the cannula's wall from each structure along tracks.

    The border of a structure is taken half a voxel before the centre of its voxels.

    Args:
        field: The bone.
        local_mm: Samples of the tracks in the frame, shape (n, m, 3).
        within: Which samples count, shape (n, m).
        cannula: Its size.

    Returns:
        Distance in mm by structure, shape (n,); infinite where the images show none of it.
    """
    box = field.tissue.sacrum_box
    low = np.array([part.start for part in box])
    index = (field.tissue.index_of(local_mm[within]) - low).T
    track = np.nonzero(within)[0]
    wall = RADIUS_MM[cannula] + 0.5 * field.tissue.step_mm
    out: dict[str, FloatArray] = {}
    for name, grid in _distances(field).items():
        at = ndimage.map_coordinates(grid, index, order=1, mode="nearest")
        least = np.full(len(within), np.inf)
        np.minimum.at(least, track, at - wall)
        out[name] = least
    return out


def _code_grid(field: OperatingField) -> NDArray[np.uint8]:
    """The code of each voxel within a border of BEYOND; made once a field."""
    if field not in _coded:
        tissue = field.tissue.tissue
        code = _CODE[field.tissue.compartment]
        for bone, number in _BONES.items():
            code[tissue == bone] = number
        _coded[field] = np.pad(code, 1, constant_values=BEYOND)
    return _coded[field]


def _distances(field: OperatingField) -> _Grids:
    """Distance of the voxels of the sacrum's box to each structure; made once a field."""
    if field not in _kept:
        compartment = field.tissue.compartment[field.tissue.sacrum_box]
        _kept[field] = {name: _distance(field, compartment, c) for name, c in STRUCTURES.items()}
    return _kept[field]


def _distance(
    field: OperatingField, compartment: NDArray[np.uint8], which: tuple[Compartment, ...]
) -> FloatArray:
    away = ~np.isin(compartment, which)
    if away.all():
        return np.full(away.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(away) * field.tissue.step_mm)
