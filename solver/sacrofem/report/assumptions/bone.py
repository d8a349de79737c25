"""What a run assumes of image, bone, materials, load and supports."""

import math

import numpy as np

from sacrofem.anatomy import joints
from sacrofem.image.calibration import FALLBACK_LINE, RhoQctK2HPO4
from sacrofem.mechanics import loads, materials, supports
from sacrofem.mesh import tissue_grid
from sacrofem.report.assumptions.entry import CHOICE, Assumption, show, source_of
from sacrofem.study.scenario import Scenario

STANDING = "s12891-022-05522-3 (2022)"
CARTILAGE = "BMC Musculoskelet Disord 2013 14:217, Table 1 (another published table has 10 MPa)"
TUMOUR = "explanted human metastases, not fractured (La Barbera 2025)"
CEMENT = "measured range 0.95-3 GPa; 1937 ± 478 MPa (ISO 5833, PMC3698342)"


def bone_assumptions(scenario: Scenario) -> tuple[Assumption, ...]:
    """Assumptions of everything before the treatment."""
    return (*_image(), *_bone(), *_materials(scenario), *_load(scenario), *_supports())


def _image() -> list[Assumption]:
    group, line = "CT and anatomy", FALLBACK_LINE
    return [
        Assumption(
            group,
            "HU to density: slope",
            show(line.slope_mg_per_cm3_per_HU),
            "mg/cm³ per HU (K2HPO4 equivalent)",
            line.source,
        ),
        Assumption(
            group,
            "HU to density: intercept",
            show(line.intercept_mg_per_cm3),
            "mg/cm³ (K2HPO4 equivalent)",
            line.source,
        ),
        Assumption(
            group,
            "Largest sacroiliac gap that counts as the joint",
            show(joints.SACROILIAC_GAP_MM),
            "mm",
            f"{CHOICE}; the interosseous recess behind the joint is wider",
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


def _bone() -> list[Assumption]:
    group = "Bone"
    one, two = (
        float(materials.kopperdahl_2002(RhoQctK2HPO4(np.array([rho])))[0]) for rho in (1.0, 2.0)
    )
    law = "Kopperdahl 2002, vertebral trabecular bone, density by quantitative CT (K2HPO4)"
    return [
        Assumption(group, "Young's modulus at density 1 g/cm³", show(one), "MPa", law),
        Assumption(group, "Exponent of the density", show(math.log2(two / one)), "1", law),
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


def _materials(scenario: Scenario) -> list[Assumption]:
    used, group = scenario.materials, "Tumour, cement, cortex"
    kinzl = "bone switched off, pores explain the modulus (Kinzl 2011); the value is a choice"
    shell = "s13018-020-01650-5, Table 1; thickness 0.5-2 mm"
    chosen = (
        ("tumour_MPa", "Tumour, Young's modulus", "MPa", TUMOUR),
        ("cement_MPa", "PMMA, Young's modulus", "MPa", CEMENT),
        ("composite_porosity", "Cement in bone, porosity", "1", kinzl),
        ("composite_exponent", "Cement in bone, exponent of 1 - porosity", "1", kinzl),
        ("cortex_mm", "Cortex, thickness", "mm", shell),
        ("cortex_MPa", "Cortex, Young's modulus", "MPa", shell),
    )
    parameters = materials.MaterialParameters(**used.model_dump())
    composite = show(materials.cement_modulus_MPa(True, parameters))
    rows = []
    for field, name, unit, source in chosen:
        value, default = getattr(used, field), getattr(materials.MaterialParameters(), field)
        shown = "as the bone" if value is None else show(value)
        rows.append(Assumption(group, name, shown, unit, source_of(value, default, source)))
    follows = "from the modulus of PMMA, the porosity and the exponent"
    nearly = "nearly incompressible under a fast load (Whyne, Tschirhart)"
    return [
        *rows,
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


def _load(scenario: Scenario) -> list[Assumption]:
    load, group = scenario.load, "Load"
    return [
        Assumption(
            group,
            f"Force along gravity, {load.case}",
            show(load.force_N),
            "N",
            source_of(load.force_N, loads.STANDING_FORCE_N, STANDING),
        ),
        Assumption(
            group,
            "Part of it on the S1 endplate, the rest on the S1 facets",
            show(load.endplate_share),
            "1",
            source_of(load.endplate_share, loads.ENDPLATE_SHARE, STANDING),
        ),
        Assumption(
            group,
            "Sacral slope in standing",
            show(load.sacral_slope_deg),
            "deg",
            source_of(
                load.sacral_slope_deg, loads.SACRAL_SLOPE_DEG, f"{CHOICE}; the CT is taken lying"
            ),
        ),
    ]


def _supports() -> list[Assumption]:
    group, springs = "Supports", supports.cartilage_springs()
    follows = "from the three values above: confined modulus and shear modulus over thickness"
    return [
        Assumption(
            group,
            "Sacroiliac cartilage, Young's modulus",
            show(supports.CARTILAGE_MPA),
            "MPa",
            CARTILAGE,
        ),
        Assumption(
            group,
            "Sacroiliac cartilage, Poisson's ratio",
            show(supports.CARTILAGE_POISSON),
            "1",
            CARTILAGE,
        ),
        Assumption(
            group,
            "Sacroiliac cartilage, both layers",
            show(supports.CARTILAGE_MM),
            "mm",
            CHOICE,
        ),
        Assumption(group, "Joint spring, normal", show(springs.normal_N_per_mm3), "N/mm³", follows),
        Assumption(
            group, "Joint spring, sliding", show(springs.tangential_N_per_mm3), "N/mm³", follows
        ),
        Assumption(
            group,
            "Ilia, ligaments, muscles",
            "rigid ilia; no ligaments, no muscles",
            "none",
            "choice of this program; the joint springs pull as well as push",
        ),
    ]
