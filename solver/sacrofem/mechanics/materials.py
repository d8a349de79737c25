"""Young's modulus, Poisson's ratio and cortex of every cell, from density and treatment."""

from dataclasses import dataclass, replace

import numpy as np

from sacrofem.image.calibration import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion

BONE_POISSON = 0.3
#: Density below which bone counts as a fatty void and is clamped, in g/cm3: gives 24 MPa.
DENSITY_FLOOR_G_PER_CM3 = 0.01
#: Above this the CT shows metal or an artefact: 1.2 g/cm3 of K2HPO4 is dense cortical bone.
DENSITY_CEILING_G_PER_CM3 = 1.2
#: Explanted human metastases, not fractured: aggregate modulus 200.35 kPa (La Barbera 2025).
TUMOUR_MPA = 0.2
#: Soft tumour under a fast load is nearly incompressible (Whyne, Tschirhart).
TUMOUR_POISSON = 0.45
#: Measured range 0.95-3 GPa; 1937 +/- 478 MPa for vertebroplasty cement (ISO 5833, PMC3698342).
CEMENT_MPA = 2000.0
CEMENT_POISSON = 0.3
#: Pore fraction of cement that permeates bone, and the exponent of its effect: the bone is
#: mechanically switched off, pores explain the modulus (Kinzl 2011); the two values are a choice.
COMPOSITE_POROSITY = 0.1
COMPOSITE_EXPONENT = 2.0
#: Cortical shell: 0.5-2 mm thick; 12 GPa (s13018-020-01650-5, Table 1).
CORTEX_MM = 1.0
CORTEX_MPA = 12000.0


@dataclass(frozen=True)
class MaterialParameters:
    """Material constants of one run; the defaults are the module's constants.

    ``tumour_MPa = None`` is a control: a lesion with the bone's own constants and its cortex.
    """

    tumour_MPa: float | None = TUMOUR_MPA
    cement_MPa: float = CEMENT_MPA
    composite_porosity: float = COMPOSITE_POROSITY
    composite_exponent: float = COMPOSITE_EXPONENT
    cortex_mm: float = CORTEX_MM
    cortex_MPa: float = CORTEX_MPA


@dataclass(frozen=True, eq=False)
class ModulusField:
    """Elastic constants per cell of one state.

    Attributes:
        young_MPa: Young's modulus, shape (m,).
        poisson: Poisson's ratio, shape (m,).
        cortex: Part of the cortical membrane that is left on the cell's outer facets, shape (m,).
    """

    young_MPa: FloatArray
    poisson: FloatArray
    cortex: FloatArray


def kopperdahl_2002(density: RhoQctK2HPO4) -> FloatArray:
    """Young's modulus in MPa of vertebral trabecular bone: ``2980 rho^1.05`` (Kopperdahl 2002)."""
    return np.asarray(2980.0 * density.g_per_cm3**1.05)


def clamp_density(density: RhoQctK2HPO4) -> RhoQctK2HPO4:
    """Density with voids raised to the floor and artefacts lowered to the ceiling."""
    return RhoQctK2HPO4(
        np.clip(density.g_per_cm3, DENSITY_FLOOR_G_PER_CM3, DENSITY_CEILING_G_PER_CM3)
    )


def clamped_ml(mesh: BoneMesh) -> float:
    """Volume of the cells whose density is clamped."""
    raw = mesh.density.g_per_cm3
    clamped = (raw < DENSITY_FLOOR_G_PER_CM3) | (raw > DENSITY_CEILING_G_PER_CM3)
    return float(mesh.cell_ml[clamped].sum())


def intact_modulus(mesh: BoneMesh) -> ModulusField:
    """The bone as the CT shows it."""
    young = kopperdahl_2002(clamp_density(mesh.density))
    return ModulusField(young, np.full(len(young), BONE_POISSON), np.ones(len(young)))


def lesion_modulus(mesh: BoneMesh, lesion: Lesion, parameters: MaterialParameters) -> ModulusField:
    """The bone with the lesion: Voigt mixture, cortex gone where it breaches."""
    return _with_tumour(intact_modulus(mesh), lesion.fraction, lesion.fraction, parameters)


def treated_modulus(
    mesh: BoneMesh, fill: CementFill, parameters: MaterialParameters
) -> ModulusField:
    """The bone with lesion and cement; the destroyed cortex stays destroyed."""
    density = RhoQctK2HPO4(clamp_density(mesh.density).g_per_cm3 + fill.compacted_g_per_cm3)
    bone = replace(intact_modulus(mesh), young_MPa=kopperdahl_2002(clamp_density(density)))
    left, cement = fill.lesion_left_fraction, fill.fraction
    # The cement's part is still bone here: what is left of the lesion was mixed with the rest.
    around = _with_tumour(bone, left, fill.lesion.fraction, parameters)
    pmma_MPa = cement_modulus_MPa(fill.interdigitated, parameters)
    return ModulusField(
        young_MPa=around.young_MPa + cement * (pmma_MPa - bone.young_MPa),
        poisson=around.poisson + cement * (CEMENT_POISSON - bone.poisson),
        cortex=around.cortex,
    )


def _with_tumour(
    bone: ModulusField, tumour: FloatArray, breached: FloatArray, parameters: MaterialParameters
) -> ModulusField:
    """Mix a volume fraction of tumour, shape (m,), into the bone and open its cortex."""
    if parameters.tumour_MPa is None:
        return bone
    return ModulusField(
        young_MPa=(1.0 - tumour) * bone.young_MPa + tumour * parameters.tumour_MPa,
        poisson=(1.0 - tumour) * bone.poisson + tumour * TUMOUR_POISSON,
        cortex=bone.cortex * (1.0 - breached),
    )


def cement_modulus_MPa(interdigitated: bool, parameters: MaterialParameters) -> float:
    """Pure PMMA in a cavity; ``E (1 - porosity)^n`` where it permeates bone (Kinzl 2011)."""
    if not interdigitated:
        return parameters.cement_MPa
    solid = 1.0 - parameters.composite_porosity
    return float(parameters.cement_MPa * solid**parameters.composite_exponent)
