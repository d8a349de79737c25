"""Loads on the sacrum: what L5 presses on the S1 endplate and the S1 facets, by load case.

Without muscles a load is the weight above S1, along gravity. With muscles it is the joint reaction:
the same weight, and the pull of muscles that run along the spine, normal to the endplate (a
choice), as large as the size of the reaction demands. In standing that inclines the reaction by
21 deg to the endplate's normal; musculoskeletal models found 17 deg at L5-S1 (5.23 and 1.57 times
body weight, walking uphill, 10.1115/1.4066658) and 18 to 21 deg at L4-L5 (PMC8170092, Table 1).
Only the joint gets that force: where the same muscles pull on sacrum and ilium is not modelled, so
that joints and supports bear the whole reaction, an upper bound for what is below S1.

In one-leg stance the same force is on S1, and a leg hangs at the hip that is not held. No muscle of
the hip is there: the bonded hip bears the moment that the abductors bear.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh, facet_areas_mm2

#: 500 N with 85 % on the anterior and middle column, the rest on the facets
#: (s12891-022-05522-3, 2022).
STANDING_FORCE_N = 500.0
ENDPLATE_SHARE = 0.85
#: Inclination of the S1 endplate to the horizontal in standing; CT is taken lying, so it is an
#: assumption and a field of the scenario.
SACRAL_SLOPE_DEG = 40.0
#: Weight above S1 over body weight: 35 kg of 70 kg (Whitlow 2007).
WEIGHT_PER_BODY_WEIGHT = 0.5
#: Joint force of quiet standing over body weight, with muscles: at the slowest walk the force at
#: L3-L4 swings between 0.8 and 1.0 (Cappozzo 1984); the middle.
REACTION_PER_BODY_WEIGHT = 0.9
#: The peaks of walking, in percent of the cycle from heel strike: toe-off of either leg, when the
#: extensors of the trunk are most active (Cappozzo 1984); its time in the cycle is a choice.
GAIT_PEAK_PERCENT = 10.0

#: A whole leg over body weight: thigh, shank and foot (Winter 2009, after Dempster 1955).
LEG_PER_BODY_WEIGHT = 0.161

Case = Literal["standing", "one-leg stance", "sitting", "walking", "forward flexion", "lifting"]


@dataclass(frozen=True)
class Posture:
    """What a load case is made of; forces are over that of quiet standing.

    Attributes:
        reaction: Least and largest joint force of a cycle, with muscles; equal where nothing moves.
        weight: The same of the weight with its inertia; None where the trunk leans, for then the
            muscles carry what the weight alone would turn over.
        source: Where the reaction comes from.
        slope_change_deg: Sacral slope less that of standing.
        moment_Nm: Flexion moment through L5-S1.
    """

    reaction: tuple[float, float]
    weight: tuple[float, float] | None
    source: str
    slope_change_deg: float = 0.0
    moment_Nm: float = 0.0


#: Pressure in the disc L4-5 of one man of 70 kg in relaxed standing (Wilke 1999), in MPa.
_STANDING_MPA = 0.5
#: Chair sitting: sacral slope 20.3 deg, standing 35.3 deg (Moon 2018, 10.4055/cios.2018.10.3.322;
#: 18.7 deg less in Endo 2012).
_SITTING_DEG = -15.0
#: Flexion moment that lumbar models and tests put beside 500 N (s13018-020-01650-5 and others).
_FLEXION_NM = 7.5


def _held(pressure_MPa: float) -> tuple[float, float]:
    return (pressure_MPa / _STANDING_MPA,) * 2


POSTURES: dict[Case, Posture] = {
    "standing": Posture((1.0, 1.0), (1.0, 1.0), "the force that the other cases scale"),
    "one-leg stance": Posture(
        (1.0, 1.0), (1.0, 1.0), "as in standing, the trunk above S1 is the same (a choice)"
    ),
    "sitting": Posture(
        _held(0.46), (1.0, 1.0), "unsupported, 0.46 of 0.5 MPa (Wilke 1999)", _SITTING_DEG
    ),
    # The middle of 0.2-0.8 and of 1.0-2.5 body weights. The weight: the vertical ground reaction
    # of a normal walk over body weight, about 0.8 to 1.2 (a choice).
    "walking": Posture(
        (0.5 / REACTION_PER_BODY_WEIGHT, 1.75 / REACTION_PER_BODY_WEIGHT),
        (0.8, 1.2),
        "0.2-0.8 to 1.0-2.5 body weights at L3-L4, by speed; the middle (Cappozzo 1984)",
    ),
    "forward flexion": Posture(
        _held(1.1), None, "standing, 1.1 of 0.5 MPa (Wilke 1999)", moment_Nm=_FLEXION_NM
    ),
    "lifting": Posture(
        _held(2.3), None, "20 kg, round back, 2.3 of 0.5 MPa (Wilke 1999)", moment_Nm=_FLEXION_NM
    ),
}


@dataclass(frozen=True)
class LoadCase:
    """A load case as it is asked for.

    Attributes:
        case: A name of :data:`POSTURES`.
        force_N: Force on S1 in quiet standing; the other cases scale it.
        body_weight_N: Body weight instead, from which the force in standing follows.
        muscles: Whether the force is the joint reaction with muscles, or the weight alone.
        gait_percent: Time in the cycle of walking from heel strike, 0 to 100.
        sacral_slope_deg: In standing; ``measured`` is that of the image, where the patient lies.
        endplate_share: Part of the force on the endplate, the rest on the facets.
        moment_Nm: Flexion moment on the endplate; None is that of the case.
    """

    case: Case = "standing"
    force_N: float = STANDING_FORCE_N
    body_weight_N: float | None = None
    muscles: bool = False
    gait_percent: float = GAIT_PEAK_PERCENT
    sacral_slope_deg: float | Literal["measured"] = SACRAL_SLOPE_DEG
    endplate_share: float = ENDPLATE_SHARE
    moment_Nm: float | None = None

    def __post_init__(self) -> None:
        """Refuse a case that the weight alone does not make.

        Raises:
            InputError: The trunk leans, and no muscle holds it.
        """
        if POSTURES[self.case].weight is None and not self.muscles:
            raise InputError(
                f"the load case '{self.case}' needs 'muscles: true': a trunk that leans is held by "
                "the muscles of the back, whose pull is most of the load on S1; found 'muscles: "
                "false', the weight alone."
            )


@dataclass(frozen=True)
class HangingLeg:
    """The leg that hangs in one-leg stance; at which hip is a matter of the support.

    Attributes:
        weight_N: Its weight, along gravity.
        sacral_slope_deg: By which gravity is known in the sacral frame.
    """

    weight_N: float
    sacral_slope_deg: float


@dataclass(frozen=True)
class SacralLoad:
    """A force and a flexion moment on S1, and what hangs below.

    Attributes:
        force_N: Size of the force.
        sacral_slope_deg: Angle of the force to the endplate's normal, to the front; of a weight it
            is the sacral slope.
        endplate_share: Part of it on the endplate.
        moment_Nm: Flexion moment on the endplate, about its centroid.
        leg: The hanging leg of one-leg stance.
    """

    force_N: float = STANDING_FORCE_N
    sacral_slope_deg: float = SACRAL_SLOPE_DEG
    endplate_share: float = ENDPLATE_SHARE
    moment_Nm: float = 0.0
    leg: HangingLeg | None = None


@dataclass(frozen=True, eq=False)
class Bending:
    """Traction ``spin x (x - centre)`` of the S1 endplate: no force, a moment.

    Attributes:
        spin_MPa_per_mm: World, shape (3,).
        centre_mm: Centroid of the endplate, shape (3,).
    """

    spin_MPa_per_mm: FloatArray
    centre_mm: FloatArray


def lying_slope_deg(frame: SacralFrame) -> float:
    """Angle of the S1 endplate to the axial plane of the image, in which the patient lies.

    Raises:
        InputError: It is not between 0 and 90 degrees.
    """
    slope = float(np.degrees(np.arctan2(-frame.superior[1], frame.superior[2])))
    if not 0.0 <= slope <= 90.0:
        raise InputError(
            "a sacral slope from 0 to 90 degrees can be taken from the image, found "
            f"{slope:.0f}: the patient does not lie along its z axis; give sacral_slope_deg."
        )
    return slope


def sacral_load(asked: LoadCase, frame: SacralFrame) -> SacralLoad:
    """Force, its direction and the moment of a load case in a sacral frame.

    Raises:
        InputError: See :func:`lying_slope_deg`.
    """
    posture = POSTURES[asked.case]
    slope = asked.sacral_slope_deg
    standing_deg = lying_slope_deg(frame) if slope == "measured" else slope
    slope_deg = max(standing_deg + posture.slope_change_deg, 0.0)
    moment_Nm = posture.moment_Nm if asked.moment_Nm is None else asked.moment_Nm
    size_N = force_on_s1_N(asked)
    leg = None
    if asked.case == "one-leg stance":
        leg = HangingLeg(LEG_PER_BODY_WEIGHT * body_weight_N(asked), slope_deg)
    if asked.muscles:
        # The part of the weight along the endplate is left to the joint, whatever muscles add.
        weight_N = standing_N(asked) * WEIGHT_PER_BODY_WEIGHT / REACTION_PER_BODY_WEIGHT
        along = min(weight_N * np.sin(np.radians(slope_deg)) / size_N, 1.0)
        slope_deg = float(np.degrees(np.arcsin(along)))
    return SacralLoad(size_N, slope_deg, asked.endplate_share, moment_Nm, leg)


def standing_N(asked: LoadCase) -> float:
    """Force on S1 in quiet standing, by the same person."""
    if asked.body_weight_N is None:
        return asked.force_N
    return _part_of_body_weight(asked) * asked.body_weight_N


def body_weight_N(asked: LoadCase) -> float:
    """Body weight, given or that to which the force in standing belongs."""
    if asked.body_weight_N is not None:
        return asked.body_weight_N
    return asked.force_N / _part_of_body_weight(asked)


def _part_of_body_weight(asked: LoadCase) -> float:
    return REACTION_PER_BODY_WEIGHT if asked.muscles else WEIGHT_PER_BODY_WEIGHT


def force_on_s1_N(asked: LoadCase) -> float:
    """Size of the force of a load case.

    What moves is a cosine with two peaks a cycle, one a step, between least and largest force.
    """
    posture = POSTURES[asked.case]
    factors = posture.reaction if asked.muscles else posture.weight
    assert factors is not None
    low, high = factors
    turn = 4.0 * np.pi * (asked.gait_percent - GAIT_PEAK_PERCENT) / 100.0
    factor = 0.5 * (high + low) + 0.5 * (high - low) * float(np.cos(turn))
    return standing_N(asked) * factor


def gravity(frame: SacralFrame, sacral_slope_deg: float) -> FloatArray:
    """Unit vector of gravity, world, shape (3,).

    With the slope at 0 it is straight down the endplate's normal; the slope tilts the endplate
    forward, so that gravity gains a part along it to the front.
    """
    slope = np.radians(sacral_slope_deg)
    return np.asarray(-np.cos(slope) * frame.superior - np.sin(slope) * frame.posterior)


def tractions_MPa(mesh: BoneMesh, load: SacralLoad) -> dict[SurfaceTag, FloatArray]:
    """Uniform traction on each loaded part of the surface, world, shape (3,) each.

    Facets that the labels do not show give their share to the other facet or to the endplate.
    """
    area = {
        tag: float(facet_areas_mm2(mesh.points_mm, mesh.facets[mesh.facet_tag == tag]).sum())
        for tag in SurfaceTag
    }
    facets = [t for t in (SurfaceTag.FACET_S1_LEFT, SurfaceTag.FACET_S1_RIGHT) if area[t] > 0]
    share = {SurfaceTag.ENDPLATE_S1: load.endplate_share if facets else 1.0}
    for tag in facets:
        share[tag] = (1.0 - load.endplate_share) / len(facets)
    force = load.force_N * gravity(mesh.frame, load.sacral_slope_deg)
    return {tag: part * force / area[tag] for tag, part in share.items()}


def bending(mesh: BoneMesh, load: SacralLoad) -> Bending:
    """The traction that gives a load's moment, exactly, on the endplate of any mesh.

    With r from the centroid the integral of ``r x (spin x r)`` is J spin, where J is the second
    moment of the area; flexion turns about the frame's axis to the left.
    """
    corner = mesh.points_mm[mesh.facets[mesh.facet_tag == SurfaceTag.ENDPLATE_S1]]
    area = facet_areas_mm2(corner.reshape(-1, 3), np.arange(3 * len(corner)).reshape(-1, 3))
    centre = area @ corner.mean(axis=1) / area.sum()
    # Exact for triangles, on which the product is quadratic: the midpoints of their edges.
    middle = 0.5 * (corner + np.roll(corner, 1, axis=1)) - centre
    outer = np.einsum("f,fai,faj->ij", area / 3.0, middle, middle)
    second_moment = np.trace(outer) * np.eye(3) - outer
    moment_Nmm = 1000.0 * load.moment_Nm * mesh.frame.left
    return Bending(np.linalg.solve(second_moment, moment_Nmm), centre)
