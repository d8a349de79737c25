"""What a run assumes of image, bone, materials, load and supports."""

from sacrofem.anatomy import joints
from sacrofem.image.calibration import FALLBACK_LINE, Calibration
from sacrofem.mechanics import laws, materials, supports
from sacrofem.mesh import tissue_grid
from sacrofem.mesh.build import Model
from sacrofem.report.assumptions.entry import CHOICE, Assumption, show, source_of
from sacrofem.report.assumptions.load import ligament_assumptions, load_assumptions
from sacrofem.study.scenario import Scenario

CARTILAGE = "BMC Musculoskelet Disord 2013 14:217, Table 1 (another published table has 10 MPa)"
BROKEN = "fractured human metastases, 14.47 kPa (La Barbera 2025)"
TUMOUR = "explanted human metastases, not fractured (La Barbera 2025)"
CEMENT = "measured range 0.95-3 GPa; 1937 ± 478 MPa (ISO 5833, PMC3698342)"


def bone_assumptions(
    scenario: Scenario,
    calibration: Calibration = FALLBACK_LINE,
    model: Model = "sacrum",
    hold: supports.Hold = supports.DEFAULT_HOLD,
) -> tuple[Assumption, ...]:
    """Assumptions of everything before the treatment.

    Args:
        scenario: The scenario.
        calibration: How the bone was calibrated.
        model: What was meshed.
        hold: Where a pelvis is held.
    """
    return (
        *_calibration(calibration),
        *_image(),
        *_bone(scenario),
        *_materials(scenario),
        *load_assumptions(scenario),
        *_cartilage(model),
        *(_sacrum_held() if model == "sacrum" else _pelvis_held(hold)),
        *ligament_assumptions(scenario.load, model),
    )


def _calibration(line: Calibration) -> list[Assumption]:
    group, kind = "CT and anatomy", f"mg/cm³ ({line.kind} equivalent)"
    slope, intercept = line.slope_mg_per_cm3_per_HU, line.intercept_mg_per_cm3
    error = line.relative_error_at_100
    rows = [
        ("HU to density: slope", show(slope), f"{kind} per HU", line.source),
        ("HU to density: intercept", show(intercept), kind, line.source),
        (
            "HU to density: standard error at 100 mg/cm³",
            "not known" if error is None else show(100.0 * error),
            "%",
            "; ".join(line.notes) or line.source,
        ),
    ]
    rows += [
        (
            f"Reference tissue: {r.name}",
            show(r.median_HU),
            "HU",
            f"found in this CT, {r.voxels} voxels",
        )
        for r in line.references
    ]
    return [Assumption(group, *row) for row in rows]


def _image() -> list[Assumption]:
    group = "CT and anatomy"
    return [
        Assumption(
            group,
            "Largest sacroiliac gap that counts as the joint",
            show(joints.SACROILIAC_GAP_MM),
            "mm",
            f"{CHOICE}; the interosseous recess behind the joint is wider",
        ),
        Assumption(
            group,
            "Recess behind the joint: farther back than the joint's median by",
            show(joints.RECESS_MM),
            "mm",
            CHOICE,
        ),
        Assumption(
            group, "Largest L5-S1 disc height bridged", show(joints.DISC_GAP_MM), "mm", CHOICE
        ),
        Assumption(
            group,
            "Voxel of the grid for path and cement flow",
            show(tissue_grid.GRID_STEP_MM),
            "mm",
            CHOICE,
        ),
    ]


def _range(bounds: tuple[float, float]) -> str:
    return f"{show(bounds[0])} to {show(bounds[1])}"


def _bone(scenario: Scenario) -> list[Assumption]:
    group = "Bone"
    name = materials.MaterialParameters(**scenario.materials.model_dump()).law
    law = laws.law_named(name)
    source = source_of(name, laws.DEFAULT_LAW, law.source)
    return [
        Assumption(group, "Density law", law.formula, "none", source),
        Assumption(
            group,
            "Conversion to the density of the law",
            laws.conversion_in_words(law),
            "none",
            "named in the conversion",
        ),
        Assumption(
            group,
            "Densities that the law was measured on",
            "not at hand" if law.range_g_per_cm3 is None else _range(law.range_g_per_cm3),
            f"g/cm³ ({law.kind.words})",
            "as commonly quoted",
        ),
        Assumption(
            group,
            "Smallest Young's modulus of bone",
            show(laws.MODULUS_FLOOR_MPA),
            "MPa",
            CHOICE,
        ),
        Assumption(
            group,
            "Density of a fatty void (floor)",
            show(materials.DENSITY_FLOOR_G_PER_CM3),
            "g/cm³",
            f"{CHOICE}; clamped volume is reported",
        ),
        Assumption(
            group,
            "Largest density (ceiling)",
            show(materials.DENSITY_CEILING_G_PER_CM3),
            "g/cm³",
            "dense cortical bone; above it the CT shows metal or an artefact",
        ),
        Assumption(group, "Poisson's ratio", show(materials.BONE_POISSON), "1", CHOICE),
        Assumption(
            group,
            "Material law",
            "linear, elastic, isotropic, small strain",
            "none",
            "choice of this program; bone is neither isotropic nor linear near failure",
        ),
    ]


def _chosen_materials() -> tuple[tuple[str, str, str, str], ...]:
    """Field, words, unit and source of the constants that a scenario can change."""
    kinzl = "bone switched off, pores explain the modulus (Kinzl 2011); the value is a choice"
    shell = "s13018-020-01650-5, Table 1; thickness 0.5-2 mm"
    return (
        ("tumour_MPa", "Tumour, Young's modulus", "MPa", TUMOUR),
        ("fracture_MPa", "Gap of a fracture, Young's modulus", "MPa", BROKEN),
        (
            "blastic_g_per_cm3",
            "Blastic bone, density",
            "g/cm³",
            f"{CHOICE}: dense bone, treatment and mechanics alike",
        ),
        (
            "blastic_stiffening",
            "Blastic bone, part of the stiffening by the density law",
            "1",
            f"denser, but not proportionally stiffer; {CHOICE}",
        ),
        ("cement_MPa", "PMMA, Young's modulus", "MPa", CEMENT),
        ("composite_porosity", "Cement in bone, porosity", "1", kinzl),
        ("composite_exponent", "Cement in bone, exponent of 1 - porosity", "1", kinzl),
        (
            "interface_factor",
            "Cement in bone, part of the modulus that the interface leaves",
            "1",
            "1 is bonded; contact and shrinkage leave 0.6 to 0.63 (Kinzl 2012)",
        ),
        ("cortex_mm", "Cortex, thickness", "mm", shell),
        ("cortex_MPa", "Cortex, Young's modulus", "MPa", shell),
    )


def _materials(scenario: Scenario) -> list[Assumption]:
    used, group = scenario.materials, "Tumour, cement, cortex"
    parameters = materials.MaterialParameters(**used.model_dump())
    composite = show(materials.cement_modulus_MPa(True, parameters))
    rows = []
    for field, name, unit, source in _chosen_materials():
        value, default = getattr(used, field), getattr(materials.MaterialParameters(), field)
        shown = "as the bone" if value is None else show(value)
        rows.append(Assumption(group, name, shown, unit, source_of(value, default, source)))
    follows = "from the modulus of PMMA, the porosity, the exponent and the interface"
    nearly = "nearly incompressible under a fast load (Whyne, Tschirhart)"
    mixed = "bulk and shear modulus by volume fraction; a fracture is in series with its cell"
    return [
        *rows,
        Assumption(
            group,
            "Mixture of tissues in one cell",
            used.mixture,
            "none",
            source_of(used.mixture, materials.DEFAULT_MIXTURE, f"{CHOICE}; {mixed}"),
        ),
        Assumption(group, "Cement in bone, modulus that follows", composite, "MPa", follows),
        Assumption(group, "Tumour, Poisson's ratio", show(materials.TUMOUR_POISSON), "1", nearly),
        Assumption(group, "Cement, Poisson's ratio", show(materials.CEMENT_POISSON), "1", CHOICE),
        Assumption(
            group,
            "Cortex, form",
            "membrane on the surface of the mesh, no cells",
            "none",
            "a clinical CT cannot resolve it; gone where the lesion breaches it, also after cement",
        ),
    ]


def _cartilage(model: Model) -> list[Assumption]:
    group, springs = "Supports", supports.cartilage_springs()
    form = "springs" if model == "sacrum" else "meshed layer, its modulus scaled to its thickness"
    follows = "from the three values above: confined modulus and shear modulus over thickness"
    value, nu = show(supports.CARTILAGE_MPA), show(supports.CARTILAGE_POISSON)
    normal, along = show(springs.normal_N_per_mm3), show(springs.tangential_N_per_mm3)
    return [
        Assumption(group, "Sacroiliac cartilage, Young's modulus", value, "MPa", CARTILAGE),
        Assumption(group, "Sacroiliac cartilage, Poisson's ratio", nu, "1", CARTILAGE),
        Assumption(
            group,
            "Sacroiliac cartilage, both layers",
            show(supports.CARTILAGE_MM),
            "mm",
            CHOICE,
        ),
        Assumption(group, "Sacroiliac cartilage, form", form, "none", CHOICE),
        Assumption(group, "Joint stiffness per area, normal", normal, "N/mm³", follows),
        Assumption(group, "Joint stiffness per area, sliding", along, "N/mm³", follows),
    ]


def _sacrum_held() -> list[Assumption]:
    return [
        Assumption(
            "Supports",
            "Ilia, muscles",
            "rigid ilia; no muscles",
            "none",
            "choice of this program; the joint springs pull as well as push",
        ),
    ]


def _pelvis_held(hold: supports.Hold) -> list[Assumption]:
    group = "Supports"
    springs = supports.cartilage_springs(thickness_mm=supports.HIP_CARTILAGE_MM)
    follows = f"{CHOICE}: modulus of the sacroiliac cartilage over the thickness above"
    normal, along = show(springs.normal_N_per_mm3), show(springs.tangential_N_per_mm3)
    return [
        Assumption(group, "Pelvis held at", hold, "none", CHOICE),
        Assumption(
            group,
            "Hip cartilage, both layers; the same springs under the ischia",
            show(supports.HIP_CARTILAGE_MM),
            "mm",
            CHOICE,
        ),
        Assumption(group, "Spring of the support, normal", normal, "N/mm³", follows),
        Assumption(
            group,
            "Spring of the support, sliding",
            along,
            "N/mm³",
            f"{follows}; stands for the muscles that hold the tilt of the pelvis",
        ),
        Assumption(
            group,
            "Ilia, symphysis, muscles",
            "elastic ilia, no symphysis, no muscles",
            "none",
            "choice of this program; the supports pull as well as push",
        ),
        Assumption(
            group,
            "Subchondral plate of the sacroiliac joint",
            "none",
            "none",
            "choice of this program: the cortical membrane lies on outer surfaces only",
        ),
    ]
