"""What a run assumes of cement: cavity and shell, flow, deposits, stop rules."""

from sacrofem.report.assumptions.entry import CHOICE, Assumption, show
from sacrofem.study.scenario import FillSpec, Scenario
from sacrofem.treatment import balloon, medium, shell, vertebroplasty


def cement_assumptions(scenario: Scenario) -> tuple[Assumption, ...]:
    """Assumptions of the fills that a scenario asks for."""
    fills = [
        procedure.fill
        for arm in scenario.arms
        for procedure in arm.of_lesions(len(scenario.lesions))
    ]
    techniques = {fill.technique for fill in fills}
    rows: list[Assumption] = []
    if techniques & {"balloon", "vesselplasty"}:
        rows += _balloon(fills)
    if techniques - {"mask"}:
        rows += _flow(fills)
    if "vertebroplasty" in techniques:
        rows += _needle(fills)
    if "vesselplasty" in techniques:
        rows.append(_container(fills))
    return tuple(rows)


def _asked(values: set[str]) -> str:
    return ", ".join(sorted(values)) or "none"


def _balloon(fills: list[FillSpec]) -> list[Assumption]:
    group = "Balloon"
    several = "several inflations from the centre to the periphery (Andresen 2014); number assumed"
    inflations = {str(f.inflations) for f in fills if f.technique == "balloon"}
    rows = (
        ("Inflations along the path", _asked(inflations), "1", several),
        (
            "Spacing of the inflations, of the path's length in the lesion, at most",
            show(balloon.SPACING_OF_LENGTH),
            "1",
            CHOICE,
        ),
        (
            "What the balloon resists with, against the strength of the tissue",
            show(balloon.BALLOON_MPA),
            "MPa",
            f"{CHOICE}; strength of bone after Kopperdahl 2002, tumour has none",
        ),
        ("Cavity's distance to the surface of the bone", show(balloon.WALL_MM), "mm", CHOICE),
        (
            "Shell of compacted bone around the cavity",
            show(shell.SHELL_MM),
            "mm",
            "published range 1-3 mm; the value is a choice; the displaced mass is kept",
        ),
        (
            "The shell widens where the bone is dense, up to",
            show(shell.WIDEST_SHELL_MM),
            "mm",
            CHOICE,
        ),
        (
            "Leakage",
            "by the same flow as without a balloon, in the cavity and through the shell",
            "none",
            "the balloon's effect on leakage is no input",
        ),
    )
    return [Assumption(group, *row) for row in rows]


def _flow(fills: list[FillSpec]) -> list[Assumption]:
    group = "Flow of cement"
    viscosity = {f"{f.viscosity} ({medium.VISCOSITY_PA_S[f.viscosity]:g} Pa s)" for f in fills}
    rows = (
        (
            "Law",
            "Darcy flow behind a front at marrow pressure",
            "none",
            "cement is far more viscous than marrow; one obstacle problem for the whole injection "
            "(Elliott and Janovsky 1981)",
        ),
        (
            "Viscosity",
            _asked(viscosity),
            "Pa s",
            "100 to 1000 Pa s at delivery, from memory; it changes the pressure, not the shape",
        ),
        (
            "Rate of the injection",
            show(60.0 * vertebroplasty.FLOW_ML_PER_S),
            "ml/min",
            "3 ml/min (JOSR 2015;10:20)",
        ),
    )
    return [*_permeability(group), *(Assumption(group, *row) for row in rows)]


def _permeability(group: str) -> list[Assumption]:
    rows = (
        (
            "Permeability of trabecular bone",
            f"{medium.TRABECULAR_M2:.2e}",
            "m²",
            "mean of three directions (Baroud 2004)",
        ),
        (
            "Solid fraction of that bone",
            show(medium.TRABECULAR_FRACTION),
            "1",
            f"mid-range of trabecular bone; {CHOICE}",
        ),
        (
            "Permeability at a solid fraction f",
            "proportional to (1 - f)³ / f²",
            "none",
            "Kozeny-Carman (Carman 1937)",
        ),
        (
            "Solid fraction below which tissue is a void",
            show(medium.VOID_FRACTION),
            "1",
            "lowest in biopsies 0.057 (Kinzl 2011)",
        ),
        (
            "Solid fraction of soft tumour, for its permeability",
            show(medium.TUMOUR_FRACTION),
            "1",
            "peak pressures in a simulated metastasis with and without a void (JOSR 2015;10:20)",
        ),
        (
            "Pores of soft tumour",
            "all of it: tumour is pushed aside",
            "none",
            CHOICE,
        ),
        (
            "Soft tissue outside a destroyed cortex",
            "as permeable as a void",
            "none",
            f"{CHOICE}; nobody has measured it",
        ),
        ("Intact cortex", "impermeable, one voxel of the flow grid", "none", CHOICE),
    )
    return [Assumption(group, *row) for row in rows]


def _needle(fills: list[FillSpec]) -> list[Assumption]:
    group = "Vertebroplasty"
    margins = {show(f.margin_mm) for f in fills if f.margin_mm is not None}
    pressures = {show(f.pressure_kPa) for f in fills if f.pressure_kPa is not None}
    stops = "margin or resistance end an injection (Tian 2019); this scenario"
    rows = (
        (
            "The needle is withdrawn between deposits by",
            show(vertebroplasty.WITHDRAWN_BY_MM),
            "mm",
            f"withdrawn during injection (Tian 2019); {CHOICE}",
        ),
        ("Stops at a margin of nerves and surface", _asked(margins), "mm", stops),
        ("Stops at a pressure", _asked(pressures), "kPa", stops),
    )
    return [Assumption(group, *row) for row in rows]


def _container(fills: list[FillSpec]) -> Assumption:
    shares = {show(f.permeating_share) for f in fills if f.technique == "vesselplasty"}
    return Assumption(
        "Vesselplasty",
        "Part of the cement that permeates the container's wall",
        _asked(shares),
        "1",
        "this scenario (Klingler 2013: containment is the point of the technique)",
    )
