"""What a run assumes of lesion, path, cement, mesh and measures."""

from sacrofem.measure import stress_relief
from sacrofem.mesh import report as limits
from sacrofem.report.assumptions.entry import CHOICE, Assumption, show
from sacrofem.study.scenario import Scenario
from sacrofem.treatment import access_path, balloon, lesion, vertebroplasty


def treatment_assumptions(scenario: Scenario) -> tuple[Assumption, ...]:
    """Assumptions of the treatment and of what is measured."""
    return (
        *_lesion(scenario),
        *_path(),
        *_balloon(),
        *_mobility(),
        *_needle(),
        *_numerics(scenario),
    )


def _lesion(scenario: Scenario) -> list[Assumption]:
    group = "Lesion"
    spec = scenario.lesions[0]
    return [
        Assumption(group, "Volume", show(spec.volume_ml), "ml", "this scenario"),
        Assumption(
            group,
            "Site, level and kind",
            f"{spec.site}, {spec.level}, {spec.kind}",
            "none",
            "this scenario",
        ),
        Assumption(
            group,
            "Form",
            "sphere about the centre of the lateral mass, clipped to the bone",
            "none",
            "choice of this program; real lesions are irregular",
        ),
        Assumption(
            group,
            "Reach of lesion and cement from its centre",
            show(lesion.REACH_MM),
            "mm",
            CHOICE,
        ),
    ]


def _path() -> list[Assumption]:
    group, tilts = "Access path", access_path.SHORT_AXIS_TILTS_DEG
    return [
        Assumption(
            group,
            "Short axis: tilts that are tried, the one of the largest clearance is taken",
            f"{tilts[0]:g} to {tilts[-1]:g}, step {tilts[1] - tilts[0]:g}",
            "deg",
            "axial plane of S1 from the back (Andresen 2014, Fig. 1c); the range is a choice",
        ),
        Assumption(
            group,
            "Gap in the bone that stops a path",
            show(access_path.GAP_MM),
            "mm",
            CHOICE,
        ),
        Assumption(
            group,
            "Entry zone without clearance",
            show(access_path.ENTRY_ZONE_MM),
            "mm",
            CHOICE,
        ),
    ]


def _balloon() -> list[Assumption]:
    group = "Balloon"
    several = "several inflations from the centre to the periphery (Andresen 2014); number assumed"
    return [
        Assumption(group, "Inflations along the path", str(balloon.INFLATIONS), "1", several),
        Assumption(
            group,
            "Spacing of the inflations",
            show(balloon.SPACING_OF_RADIUS),
            "lesion radii",
            CHOICE,
        ),
        Assumption(
            group,
            "Shell of compacted bone around the cavity",
            show(balloon.SHELL_MM),
            "mm",
            "published range 1-3 mm; the value is a choice; the displaced mass is kept",
        ),
        Assumption(
            group,
            "Leakage",
            "none",
            "none",
            "cement enters an open cavity at low pressure; not computed",
        ),
    ]


def _mobility() -> list[Assumption]:
    group, flow = "Vertebroplasty: mobility of the front", vertebroplasty
    return [
        Assumption(
            group,
            "Density of solid bone, for the bone volume fraction",
            show(flow.SOLID_DENSITY_G_PER_CM3),
            "g/cm³",
            "cortical bone of about 1200 HU on the calibration line, at a fraction near 0.9",
        ),
        Assumption(
            group,
            "Bone volume fraction of mobility 1",
            show(flow.REFERENCE_FRACTION),
            "1",
            f"{CHOICE}: mid-range of trabecular bone",
        ),
        Assumption(
            group,
            "Mobility in bone of fraction f",
            "proportional to (1 - f)³ / f²",
            "none",
            "Kozeny-Carman (Carman 1937)",
        ),
        Assumption(
            group,
            "Bone volume fraction below which tissue is a void",
            show(flow.VOID_FRACTION),
            "1",
            "lowest in biopsies 0.057 (Kinzl 2011)",
        ),
        Assumption(
            group,
            "Mobility in tumour, against a void",
            show(flow.TUMOUR_OF_VOID),
            "1",
            "peak pressures in a simulated metastasis with and without a void (JOSR 2015;10:20)",
        ),
        Assumption(
            group,
            "Mobility in soft tissue outside a breach",
            show(flow.SOFT_TISSUE_MOBILITY),
            "1",
            CHOICE,
        ),
    ]


def _needle() -> list[Assumption]:
    group, flow = "Vertebroplasty: cortex and needle", vertebroplasty
    return [
        Assumption(
            group,
            "Impermeable cortex",
            str(flow.CORTEX_VOXELS),
            "voxels of the flow grid",
            CHOICE,
        ),
        Assumption(
            group,
            "Needle tip beyond the lesion's centre, at most",
            show(flow.TIP_BEYOND_CENTRE_OF_RADIUS),
            "lesion radii",
            f"withdrawn during injection (Tian 2019); {CHOICE}",
        ),
        Assumption(
            group, "Deposit at the needle tip, radius", show(flow.TIP_RADIUS_MM), "mm", CHOICE
        ),
    ]


def _numerics(scenario: Scenario) -> list[Assumption]:
    group = "Mesh and measures"
    return [
        Assumption(
            group,
            "Elements",
            f"tetrahedra, order {scenario.order}",
            "none",
            "this scenario",
        ),
        Assumption(
            group, "Smallest cell quality allowed", show(limits.QUALITY_AT_LEAST), "1", CHOICE
        ),
        Assumption(
            group,
            "Largest difference of mesh and label volume",
            show(100.0 * limits.VOLUME_WITHIN),
            "%",
            CHOICE,
        ),
        Assumption(
            group,
            "Width of the rim around the lesion",
            show(stress_relief.RIM_MM),
            "mm",
            CHOICE,
        ),
        Assumption(
            group,
            "Lesion or cement in a cell that still counts as bone, at most",
            show(stress_relief.PURE_BONE),
            "1",
            CHOICE,
        ),
    ]
