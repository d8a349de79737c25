"""What a run assumes of lesions, paths and measures."""

from sacrofem.measure import micromotion, stress_relief
from sacrofem.mesh import report as limits
from sacrofem.report.assumptions.cement import cement_assumptions
from sacrofem.report.assumptions.entry import CHOICE, Assumption, show
from sacrofem.study.scenario import Scenario
from sacrofem.treatment import breach, fracture, site_lines, sites
from sacrofem.treatment.access import aim, approaches, passage, structures


def treatment_assumptions(scenario: Scenario) -> tuple[Assumption, ...]:
    """Assumptions of the treatment and of what is measured."""
    return (*_lesions(scenario), *_path(), *cement_assumptions(scenario), *_numerics(scenario))


def _lesions(scenario: Scenario) -> list[Assumption]:
    group = "Lesion"
    rows = [
        Assumption(group, f"Lesion {number}", spec.words, "none", "this scenario")
        for number, spec in enumerate(scenario.lesions, start=1)
    ]
    rows += [
        Assumption(
            group,
            "Form",
            "ball, or body of even thickness about a line through its zones, clipped to the bone",
            "none",
            f"{CHOICE}; real lesions are irregular; a mask has its own form",
        ),
        Assumption(
            group,
            "Drawn out towards a zone that it spreads to, of the way to its centre",
            show(site_lines.SPREAD_SHARE),
            "1",
            CHOICE,
        ),
        Assumption(
            group,
            "Distance to canal and foramina of a lesion that spares the nerves",
            show(sites.NERVE_MARGIN_MM),
            "mm",
            CHOICE,
        ),
        Assumption(
            group,
            "Cortex of a breached face is gone within this distance of the lesion",
            show(breach.REACH_MM),
            "mm",
            CHOICE,
        ),
    ]
    if any(spec.fracture is not None for spec in scenario.lesions):
        rows += _fracture()
    return rows


def _fracture() -> list[Assumption]:
    group = "Fracture"
    return [
        Assumption(
            group,
            "Plane",
            "parallel to the mid-sagittal plane, in the stated zone of Denis",
            "none",
            f"this scenario; {CHOICE}",
        ),
        Assumption(
            group,
            "It runs on into the bone around the lesion by",
            show(fracture.SURROUND_MM),
            "mm",
            CHOICE,
        ),
        Assumption(
            group,
            "Stiffness of a cell that it crosses",
            "bone and gap in series",
            "none",
            "a thin soft layer carries the force of the bone (Reuss); cement closes it",
        ),
        Assumption(
            group,
            "Motion is measured in slabs of bone on both sides that begin at",
            show(micromotion.BEGINS_MM),
            "mm",
            CHOICE,
        ),
    ]


def _path() -> list[Assumption]:
    group = "Access path"
    tilts = approaches.TILTS_DEG
    rows = (
        (
            "Which track is taken",
            "the feasible one of the largest clearance of the approach's family",
            "none",
            "ray-cast in this patient's CT; families: module treatment/access/approaches",
        ),
        (
            "Tracks from behind: tilts to the sagittal plane",
            f"{tilts[0]:g} to {tilts[-1]:g}, step {tilts[1] - tilts[0]:g}",
            "deg",
            f"short axis (Andresen 2014, Fig. 1c); the range is a {CHOICE}",
        ),
        (
            "Distance of the cannula's wall to all that it does not cross by intent, at least",
            show(structures.SAFETY_MM),
            "mm",
            CHOICE,
        ),
        (
            "Distance of the tip to the outside of the bone, at least",
            show(aim.TIP_CLEARANCE_MM),
            "mm",
            CHOICE,
        ),
        ("Gap in the bone that stops a path", show(passage.GAP_MM), "mm", CHOICE),
        (
            "Largest bend of a bevel needle, in one place",
            show(float(approaches.BENDS_DEG.max())),
            "deg",
            f"steered by its bevel (Tian 2019); the number is a {CHOICE}",
        ),
        (
            "Accesses that are named for a zone",
            "I: short, long, transiliac, anterior-oblique; II: long; III: transiliac, "
            "interpedicular; several bodies: interpedicular",
            "none",
            "Tian 2019; reported beside the path, it decides nothing but the access 'best'",
        ),
    )
    return [Assumption(group, *row) for row in rows]


def _numerics(scenario: Scenario) -> list[Assumption]:
    group = "Mesh and measures"
    rows = (
        ("Elements", f"tetrahedra, order {scenario.order}", "none", "this scenario"),
        ("Smallest cell quality allowed", show(limits.QUALITY_AT_LEAST), "1", CHOICE),
        (
            "Largest difference of mesh and label volume",
            show(100.0 * limits.VOLUME_WITHIN),
            "%",
            CHOICE,
        ),
        ("Width of the rim around the lesion", show(stress_relief.RIM_MM), "mm", CHOICE),
        (
            "Lesion or cement in a cell that still counts as bone, at most",
            show(stress_relief.PURE_BONE),
            "1",
            CHOICE,
        ),
    )
    return [Assumption(group, *row) for row in rows]
