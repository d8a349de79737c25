"""What a run assumes of the load on S1."""

from sacrofem.mechanics import loads
from sacrofem.report.assumptions.entry import CHOICE, Assumption, show, source_of
from sacrofem.study.scenario import LoadSpec, Scenario

STANDING = "s12891-022-05522-3 (2022)"
GROUP = "Load"


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
        Assumption(
            GROUP,
            "One-leg stance, swing leg of walking",
            "not modelled",
            "none",
            "they change the supports, which here are springs at both sides",
        ),
    )


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
