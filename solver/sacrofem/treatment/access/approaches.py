"""The six approaches: how each builds its candidate tracks from the patient's own landmarks.

Directions are in the sacral frame, from the tip outwards; tracks stand in the order of their
distance to the approach's nominal direction, which decides between equal clearances. Angles that a
family spans are choices wherever no source is named.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sacrofem.anatomy.landmarks import side_sign
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.compartments import Compartment
from sacrofem.treatment.access.passage import Passage
from sacrofem.treatment.access.tracks import Tracks, straight
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Approach

#: A target so near the midline can be reached from either side.
CENTRAL_MM = 12.0
#: How far tracks are followed: to the back, and along the sacrum or through the ilium.
SHORT_REACH_MM, LONG_REACH_MM = 90.0, 130.0

#: Tilts to the sagittal plane of the tracks from behind, positive with a lateral entry.
TILTS_DEG = np.arange(-30.0, 46.0, 2.5)
#: Cranio-caudal inclinations of the angulated short axis; less than the first is a short axis.
INCLINATIONS_DEG = np.concatenate([np.arange(-50.0, -9.0, 5.0), np.arange(10.0, 51.0, 5.0)])

#: Directions of the transiliac track from the transverse axis backwards: the patient lies prone.
ILIAC_DEG, ILIAC_NOMINAL_DEG = np.arange(-10.0, 61.0, 2.5), 20.0
#: Inclinations out of the axial plane within which the gantry follows.
GANTRY_DEG = np.array([0.0, -5.0, 5.0, -10.0, 10.0])
#: Widest joint that a transiliac track crosses: cartilage is 1 to 3 mm thick, behind it the
#: ligaments lie in a wider cleft.
JOINT_GAP_MM = 10.0

#: Directions of the anterior-oblique track from the transverse axis forwards, and upwards.
FORWARD_DEG, UPWARD_DEG = np.arange(12.5, 61.0, 5.0), np.arange(-10.0, 41.0, 5.0)
#: Widest gap in front of the joint between ala and iliac fossa that it crosses.
GUTTER_MM = 15.0

#: The entry of the long axis as a share of the way from the foramen S3 to the joint's lower end;
#: Smith and Gilula take the middle.
LONG_SHARES = np.array([0.5, 0.35, 0.65, 0.2, 0.8])
#: How far its direction may pass above or below that point, and before or behind it.
LONG_UP_MM, LONG_BACK_MM = np.arange(-15.0, 31.0, 7.5), np.arange(-12.0, 13.0, 4.0)
#: Largest angle to the pelvic face between S1 and S3 at which it still runs along it.
LONG_WITHIN_DEG = 40.0
#: Half the height of an auricular surface (56 mm, PMC5799488), where the images show no joint.
HALF_JOINT_MM = 28.0

#: Directions of the interpedicular track's last piece, from the pelvic face backwards.
BODY_DEG = np.arange(-20.0, 46.0, 3.0)
#: Bends of a bevel needle and where they lie before the tip. How far a 13 G bevel can be steered in
#: bone is not published; 20 degrees in one place is a choice.
BENDS_DEG, BEND_AT_MM = np.array([5.0, 10.0, 15.0, 20.0, -5.0, -10.0]), np.arange(15.0, 60.0, 10.0)
#: It enters in the midline and stays so near to it.
MIDLINE_MM = 12.0
#: Length over which it comes from the midline to a target beside it.
SIDEWAYS_OVER_MM = 80.0


@dataclass(frozen=True, eq=False)
class Family:
    """Candidate tracks of an approach.

    Attributes:
        tracks: The tracks, nominal ones first for each aim.
        reach_mm: How far outwards they are followed.
        passage: What they may go through.
        crosses: What they cross by intent.
    """

    tracks: Tracks
    reach_mm: float
    passage: Passage
    crosses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Undefined:
    """Why an approach cannot be built for a target at all."""

    reason: str


Builder = Callable[[OperatingField, FloatArray, bool], Family | Undefined]


def short_axis(field: OperatingField, aims_mm: FloatArray, bevel: bool) -> Family:
    """From behind in the axial plane of S1 at the target's level (Andresen 2014, Fig. 1c)."""
    level = np.zeros(1)
    ways = [_dorsal(tilt, level, side) for side in _sides(aims_mm) for tilt in _mild(TILTS_DEG)]
    return Family(straight(aims_mm, np.vstack(ways)), SHORT_REACH_MM, Passage())


def angulated_short_axis(field: OperatingField, aims_mm: FloatArray, bevel: bool) -> Family:
    """The short axis inclined cranio-caudally and laterally (Andresen 2014, Fig. 1b)."""
    ways = [
        _dorsal(tilt, _mild(INCLINATIONS_DEG), side)
        for side in _sides(aims_mm)
        for tilt in _mild(TILTS_DEG[::2])
    ]
    return Family(straight(aims_mm, np.vstack(ways)), SHORT_REACH_MM, Passage())


def transiliac(field: OperatingField, aims_mm: FloatArray, bevel: bool) -> Family:
    """From the side through ilium and joint in the axial plane of S1 (Andresen 2014, Fig. 1d)."""
    ways = [
        _lateral(_mild(ILIAC_DEG - ILIAC_NOMINAL_DEG) + ILIAC_NOMINAL_DEG, GANTRY_DEG, side)
        for side in _sides(aims_mm)
    ]
    passage = Passage(joint_gap_mm=JOINT_GAP_MM)
    return Family(straight(aims_mm, np.vstack(ways)), LONG_REACH_MM, passage, ("ilium", "SI joint"))


def anterior_oblique(field: OperatingField, aims_mm: FloatArray, bevel: bool) -> Family:
    """From the front and the side through the iliac wing into the ala.

    The papers name the approach (Tian 2019; Tian 2022, AJNR 43:1222) but the texts that could be
    read do not describe it. ASSUMED here: through the iliac fossa, through the front of the joint
    or close before it into the ala, lateral of the pelvis' contents.
    """
    ways = [_lateral(-FORWARD_DEG, _mild(UPWARD_DEG), side) for side in _sides(aims_mm)]
    passage = Passage(joint_gap_mm=GUTTER_MM, past_front=True)
    return Family(straight(aims_mm, np.vstack(ways)), LONG_REACH_MM, passage, ("ilium",))


def long_axis(field: OperatingField, aims_mm: FloatArray, bevel: bool) -> Family | Undefined:
    """From between joint and foramen S3 along the ala, lateral to the foramina.

    Entry at the middle between the lower end of the joint and the lateral border of the foramen S3
    (Smith and Gilula), up along the anterior cortex (Smith and Dix, AJR 2006;186:1252-1255).
    """
    guides = np.vstack([_long_guides(field, side) for side in _sides(aims_mm)])
    down = _along_pelvic_face(field, 0, 2)
    offset = guides - aims_mm[:, None]
    way = (offset / np.linalg.norm(offset, axis=2, keepdims=True)).reshape(-1, 3)
    steep = way @ down >= np.cos(np.radians(LONG_WITHIN_DEG))
    if not steep.any():
        return Undefined(
            "the target lies too low or too far back for a track that enters between joint and "
            f"foramen S3 and stays within {LONG_WITHIN_DEG:g} degrees of the pelvic face"
        )
    tip = np.repeat(aims_mm, len(guides), axis=0)[steep]
    tracks = Tracks(tip, way[steep], np.full(len(tip), np.inf), way[steep])
    border = float(field.atlas.map.border_s_mm[0])
    return Family(tracks, LONG_REACH_MM, Passage(entry_below_s_mm=border))


def interpedicular(field: OperatingField, aims_mm: FloatArray, bevel: bool) -> Family | Undefined:
    """From the midline at S3 and S4 through the canal into the bodies, parallel to their front.

    Entry over the hiatus, through the canal below the dural sac, which ends at S2, then steered
    along the anterior border (Firat 2011, CVIR 34 Suppl 2:S282-S287; Tian 2019).
    """
    central = aims_mm[np.abs(aims_mm[:, 0]) <= MIDLINE_MM]
    if not len(central):
        return Undefined(
            f"the target lies {np.abs(aims_mm[:, 0]).min():.0f} mm from the midline, the track "
            f"between the pedicles stays within {MIDLINE_MM:g} mm of it"
        )
    bends, lengths = np.array([0.0]), np.array([np.inf])
    if bevel:
        grid = np.meshgrid(BENDS_DEG, BEND_AT_MM, indexing="ij")
        bends, lengths = np.append(bends, grid[0]), np.append(lengths, grid[1])
    face = _along_pelvic_face(field, 0, 2)
    body = np.repeat(_mild(BODY_DEG), len(bends))
    bend, length = np.tile(bends, len(BODY_DEG)), np.tile(lengths, len(BODY_DEG))
    pieces = [_sagittal(face, angle, central[:, 0]) for angle in (body, body + bend)]
    tracks = Tracks(
        np.repeat(central, len(body), axis=0),
        pieces[0],
        np.tile(length, len(central)),
        pieces[1],
    )
    border = float(field.atlas.map.border_s_mm[1])
    passage = Passage(canal_below_s_mm=border, entry_below_s_mm=border)
    return Family(tracks, LONG_REACH_MM, passage, ("canal",))


BUILDERS: Mapping[Approach, Builder] = {
    "short axis": short_axis,
    "angulated short axis": angulated_short_axis,
    "long axis": long_axis,
    "transiliac": transiliac,
    "anterior-oblique": anterior_oblique,
    "interpedicular": interpedicular,
}


def _sides(aims_mm: FloatArray) -> tuple[int, ...]:
    """Signs of the sides from which the first aim can be reached, its own side first."""
    x = float(aims_mm[0, 0])
    own = 1 if x >= 0.0 else -1
    return (own, -own) if abs(x) <= CENTRAL_MM else (own,)


def _mild(angles_deg: FloatArray) -> FloatArray:
    """Angles in the order of their size."""
    return angles_deg[np.argsort(np.abs(angles_deg), kind="stable")]


def _dorsal(tilt_deg: float, inclinations_deg: FloatArray, side: int) -> FloatArray:
    """Unit vectors backwards with one tilt to the side, shape (d, 3)."""
    tilt, up = np.radians(tilt_deg), np.radians(inclinations_deg)
    return np.column_stack(
        [side * np.sin(tilt) * np.cos(up), np.cos(tilt) * np.cos(up), np.sin(up)]
    )


def _lateral(back_deg: FloatArray, up_deg: FloatArray, side: int) -> FloatArray:
    """Unit vectors to a side, turned backwards and upwards, shape (d, 3)."""
    up, back = (np.radians(a).ravel() for a in np.meshgrid(up_deg, back_deg, indexing="ij"))
    return np.column_stack(
        [side * np.cos(back) * np.cos(up), np.sin(back) * np.cos(up), np.sin(up)]
    )


def _sagittal(face: FloatArray, back_deg: FloatArray, x_mm: FloatArray) -> FloatArray:
    """Unit vectors down along the pelvic face, turned backwards and to the midline.

    Returns:
        Shape (aims * angles, 3), the angles of the first aim first.
    """
    back = np.array([0.0, -face[2], face[1]])
    angle = np.radians(back_deg)[:, None]
    flat = np.cos(angle) * face + np.sin(angle) * back
    way = np.repeat(flat[None], len(x_mm), axis=0)
    way[..., 0] = -x_mm[:, None] / SIDEWAYS_OVER_MM
    way = way.reshape(-1, 3)
    return np.asarray(way / np.linalg.norm(way, axis=1, keepdims=True))


def _along_pelvic_face(field: OperatingField, first: int, last: int) -> FloatArray:
    """Unit vector down from one border between levels to another, in the midline of the frame."""
    border = field.atlas.map.border_s_mm
    at = np.array([[0.0, border[first], 0.0], [0.0, border[last], 0.0]])
    ends = field.atlas.frame.to_local(field.atlas.curve.to_world(at))
    way = (ends[1] - ends[0]) * [0.0, 1.0, 1.0]
    return np.asarray(way / np.linalg.norm(way))


def _long_guides(field: OperatingField, side: int) -> FloatArray:
    """Points through which the long axis comes in on a side, nominal first, shape (g, 3)."""
    name = "left" if side_sign("left") == side else "right"
    foramen = field.atlas.foramen("S3", name, "posterior")
    medial = field.atlas.frame.to_local(foramen.centre_mm[None])[0]
    medial[0] += side * 0.5 * foramen.diameter_mm
    lateral = _joint_low_mm(field, name)
    down = _along_pelvic_face(field, 0, 2)
    back = np.array([0.0, -down[2], down[1]])
    up, behind = (_mild(values) for values in (LONG_UP_MM, LONG_BACK_MM))
    share, rise, depth = (
        part.ravel() for part in np.meshgrid(LONG_SHARES, up, behind, indexing="ij")
    )
    guides = medial + share[:, None] * (lateral - medial)
    return np.asarray(guides - rise[:, None] * down + depth[:, None] * back)


def _joint_low_mm(field: OperatingField, side: str) -> FloatArray:
    """The lower end of a sacroiliac joint in the frame, shape (3,)."""
    tissue, down = field.tissue, _along_pelvic_face(field, 0, 2)
    joint = np.argwhere(tissue.compartment == Compartment[f"SI_JOINT_{side.upper()}"])
    if not len(joint):
        centre = field.atlas.frame.to_local(field.atlas.joint_mm[side][None])[0]
        return np.asarray(centre + HALF_JOINT_MM * down)
    points = tissue.local_of(joint.astype(np.float64))
    low = points @ down
    # The mean of the last slice: single voxels of the capsule hang down further.
    return np.asarray(points[low >= np.quantile(low, 0.99)].mean(axis=0))
