"""What a run assumes of the load on S1, of the leg that hangs and of the ligaments."""

from sacrofem.mechanics import attachments, loads
from sacrofem.mechanics.ligaments import ALL, LIGAMENTS, OF_SACRUM
from sacrofem.mesh.build import Model
from sacrofem.report.assumptions.entry import CHOICE, Assumption, show, source_of
from sacrofem.study.scenario import LoadSpec, Scenario

STANDING = "s12891-022-05522-3 (2022)"
GROUP = "Load"
LIGAMENT_GROUP = "Ligaments"
LIGAMENT_TABLE = (
    "s12891-021-04856-8 (2021), Table 1, read as that of the whole ligament, the softer reading"
)
_LIGAMENT_FORM = (
    ("Ligaments bear", "tension only, linear, without slack or pre-tension", "none", CHOICE),
    (
        "Which elements are taut",
        "found in the intact state, the same in all states",
        "none",
        f"{CHOICE}: each state stays linear and states differ in their moduli alone",
    ),
    (
        "Iliolumbar and pubic ligaments",
        "not modelled",
        "none",
        "they end at L5 and at the symphysis, which are not modelled",
    ),
    (
        "Fibres of the interosseous ligament",
        "half outwards along the joint's normal, half upwards",
        "none",
        CHOICE,
    ),
)
_LIGAMENT_ENDS = (
    (
        "Sacrospinous ligament, length from the lateral margin of S4-S5",
        show(attachments.SACROSPINOUS_MM),
        "mm",
        "about 38 in men, 46 in women (Hammer 2009); the middle",
    ),
    (
        "Sacrotuberous ligament, length from the lateral margin of S3-S5",
        show(attachments.SACROTUBEROUS_MM),
        "mm",
        "64 to 94 (Aldabe 2019); the middle",
    ),
    (
        "Ischial spine, from the midline",
        show(attachments.HALF_INTERSPINOUS_MM),
        "mm",
        "half of 10.5 cm, obstetric textbooks",
    ),
    ("Ischial tuberosity, from the midline", show(attachments.HALF_INTERTUBEROUS_MM), "mm", CHOICE),
    (
        "Way to the ischial spine, below the horizontal in standing",
        show(attachments.SPINE_BELOW_DEG),
        "deg",
        CHOICE,
    ),
    (
        "Way to the ischial tuberosity, below the horizontal in standing",
        show(attachments.TUBEROSITY_BELOW_DEG),
        "deg",
        CHOICE,
    ),
    (
        "Posterior superior iliac spine behind the joint's centre",
        show(float(attachments.ILIAC_SPINE_MM[1])),
        "mm",
        "two hip bones of one CT; where the hip is meshed its hindmost point in standing",
    ),
)


def load_assumptions(scenario: Scenario) -> tuple[Assumption, ...]:
    """Assumptions of the load: force, direction, moment, where it acts, what is left out."""
    load = scenario.load
    posture = loads.POSTURES[load.case]
    moment_Nm = posture.moment_Nm if load.moment_Nm is None else load.moment_Nm
    return (
        *_force(load, posture),
        *_direction(load, posture),
        Assumption(
            GROUP,
            "Flexion moment on the S1 endplate",
            show(moment_Nm),
            "Nm",
            source_of(moment_Nm, posture.moment_Nm, "of the case; with 500 N models take 7.5 Nm"),
        ),
        Assumption(
            GROUP,
            "Part of the force on the S1 endplate, the rest on the S1 facets",
            show(load.endplate_share),
            "1",
            source_of(load.endplate_share, loads.ENDPLATE_SHARE, STANDING),
        ),
        Assumption(
            GROUP,
            "Pull of the muscles on the sacrum and the ilia themselves",
            "not modelled",
            "none",
            f"{CHOICE}; with muscles the supports bear the whole reaction, an upper bound",
        ),
        *_stance(load),
    )


def ligament_assumptions(load: LoadSpec, model: Model) -> tuple[Assumption, ...]:
    """Assumptions of the ligaments of a model: which there are, how stiff, where they end."""
    if not load.ligaments:
        none = "this scenario (default: those of the model)"
        return (Assumption(LIGAMENT_GROUP, "Ligaments", "none", "none", none),)
    names = OF_SACRUM if model == "sacrum" else ALL
    left_out = f"{CHOICE}: the joint's springs stand for the sacroiliac ligaments"
    rows = [
        Assumption(
            LIGAMENT_GROUP,
            f"{name.capitalize()} ligament of a side, {LIGAMENTS[name].elements} elements together",
            show(LIGAMENTS[name].N_per_mm) if name in names else "not there",
            "N/mm" if name in names else "none",
            LIGAMENT_TABLE if name in names else left_out,
        )
        for name in LIGAMENTS
    ]
    rows += [
        Assumption(LIGAMENT_GROUP, name, value, unit, source)
        for name, value, unit, source in (*_LIGAMENT_FORM, *_LIGAMENT_ENDS)
    ]
    ends = "points fixed in space: the hip bones are not in the mesh"
    if model == "pelvis":
        ends = (
            "hip bone, its vertex nearest to the place below, the ischial seat where it is known; "
            f"fixed in space where none is within {show(attachments.FOUND_WITHIN_MM)} mm"
        )
    rows.append(Assumption(LIGAMENT_GROUP, "Other ends of the ligaments", ends, "none", CHOICE))
    return tuple(rows)


def _stance(load: LoadSpec) -> list[Assumption]:
    swing = Assumption(
        GROUP,
        "Swing leg of walking",
        "not modelled",
        "none",
        "the load of walking is on the supports of standing",
    )
    if load.stance is None:
        return [swing]
    leg_N = loads.LEG_PER_BODY_WEIGHT * loads.body_weight_N(load.load_case)
    part = show(loads.LEG_PER_BODY_WEIGHT)
    return [
        Assumption(
            GROUP,
            f"Weight of the leg that hangs; the {load.stance} one stands",
            show(leg_N),
            "N",
            f"{part} body weights (Winter 2009, after Dempster 1955)",
        ),
        Assumption(
            GROUP,
            "Hip that stands",
            "bonded, no abductors; of the sacrum alone its joint on fixed bone",
            "none",
            f"{CHOICE}; the bond bears the moment of the abductors, and none of their force",
        ),
        Assumption(
            GROUP,
            "Symphysis in one-leg stance",
            "not modelled",
            "none",
            f"{CHOICE}; the joints then bear the whole leg, an upper bound of their shares",
        ),
    ]


def _force(load: LoadSpec, posture: loads.Posture) -> list[Assumption]:
    case, standing_N = load.load_case, loads.standing_N(load.load_case)
    if load.body_weight_N is None:
        source = source_of(load.force_N, loads.STANDING_FORCE_N, STANDING)
    elif load.muscles:
        source = f"{show(loads.REACTION_PER_BODY_WEIGHT)} body weights (Cappozzo 1984)"
    else:
        source = f"{show(loads.WEIGHT_PER_BODY_WEIGHT)} body weights (Whitlow 2007)"
    when = f" at {show(load.gait_percent)} % of the cycle" if load.case == "walking" else ""
    weight = "weight above S1, with its inertia in walking"
    return [
        Assumption(GROUP, "Force on S1 in quiet standing", show(standing_N), "N", source),
        Assumption(
            GROUP,
            f"Force on S1, {load.case}{when}",
            show(loads.force_on_s1_N(case)),
            "N",
            posture.source if load.muscles else weight,
        ),
        Assumption(
            GROUP,
            "Muscles of the trunk in the force",
            "with" if load.muscles else "without",
            "none",
            f"{CHOICE}; without them a load in the body is underestimated by a factor of 2 to 3",
        ),
    ]


def _direction(load: LoadSpec, posture: loads.Posture) -> list[Assumption]:
    measured = load.sacral_slope_deg == "measured"
    slope = "that of the image" if measured else show(float(load.sacral_slope_deg))
    along = "along gravity"
    if load.muscles:
        along = "weight along gravity, pull of the muscles normal to the endplate"
    return [
        Assumption(GROUP, "Direction of the force", along, "none", CHOICE),
        Assumption(
            GROUP,
            "Sacral slope in standing",
            slope,
            "deg",
            source_of(
                load.sacral_slope_deg, loads.SACRAL_SLOPE_DEG, f"{CHOICE}; the CT is taken lying"
            ),
        ),
        Assumption(
            GROUP,
            f"Change of the sacral slope, {load.case}",
            show(posture.slope_change_deg),
            "deg",
            "sitting: Moon 2018 (10.4055/cios.2018.10.3.322); else a choice",
        ),
    ]
