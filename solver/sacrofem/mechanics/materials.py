"""Young's modulus, Poisson's ratio and cortex of every cell, from density and treatment."""

from dataclasses import dataclass

import numpy as np

from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.laws import DEFAULT_LAW, modulus_MPa
from sacrofem.mechanics.supports import CARTILAGE_POISSON, CARTILAGES, layer_MPa
from sacrofem.mesh.bone_mesh import BoneMesh, Part
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
    ``law`` is a name of :data:`sacrofem.mechanics.laws.LAWS`.
    """

    tumour_MPa: float | None = TUMOUR_MPA
    cement_MPa: float = CEMENT_MPA
    composite_porosity: float = COMPOSITE_POROSITY
    composite_exponent: float = COMPOSITE_EXPONENT
    cortex_mm: float = CORTEX_MM
    cortex_MPa: float = CORTEX_MPA
    law: str = DEFAULT_LAW


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


def clamp_density(density: RhoQctK2HPO4) -> RhoQctK2HPO4:
    """Density with voids raised to the floor and artefacts lowered to the ceiling."""
    return RhoQctK2HPO4(
        np.clip(density.g_per_cm3, DENSITY_FLOOR_G_PER_CM3, DENSITY_CEILING_G_PER_CM3)
    )


@dataclass(frozen=True)
class ClampedVolume:
    """Volume of the cells whose density is clamped: fatty voids, and metal or artefacts."""

    below_ml: float
    above_ml: float


def clamped_volume(mesh: BoneMesh, bone: Part = Part.SACRUM) -> ClampedVolume:
    """Volume of one bone's cells below the floor and above the ceiling of the density."""
    here = mesh.part == bone
    raw, cell_ml = mesh.density.g_per_cm3[here], mesh.cell_ml[here]
    return ClampedVolume(
        below_ml=float(cell_ml[raw < DENSITY_FLOOR_G_PER_CM3].sum()),
        above_ml=float(cell_ml[raw > DENSITY_CEILING_G_PER_CM3].sum()),
    )


def clamped_ml(mesh: BoneMesh, bone: Part = Part.SACRUM) -> float:
    """Volume of one bone's cells whose density is clamped."""
    volume = clamped_volume(mesh, bone)
    return volume.below_ml + volume.above_ml


def intact_modulus(
    mesh: BoneMesh, parameters: MaterialParameters = MaterialParameters()
) -> ModulusField:
    """Bones as the CT shows them, and the cartilage of the model `pelvis`.

    The cartilage has the constants of :mod:`sacrofem.mechanics.supports` and no cortex.

    Raises:
        InputError: No density law has the name of the parameters.
        MeshError: See :func:`sacrofem.mechanics.supports.layer_mm`.
    """
    return _with_density(mesh, mesh.density, parameters)


def _with_density(
    mesh: BoneMesh, density: RhoQctK2HPO4, parameters: MaterialParameters
) -> ModulusField:
    """Bones of a density, one value a cell, and cartilage, which has its own constants."""
    young = modulus_MPa(clamp_density(density), parameters.law)
    poisson, cortex = np.full(len(young), BONE_POISSON), np.ones(len(young))
    for part in CARTILAGES.values():
        cells = mesh.cells_of(part)
        if len(cells):
            young[cells], poisson[cells] = layer_MPa(mesh, part), CARTILAGE_POISSON
            cortex[cells] = 0.0
    return ModulusField(young, poisson, cortex)


def lesion_modulus(mesh: BoneMesh, lesion: Lesion, parameters: MaterialParameters) -> ModulusField:
    """The bone with the lesion: Voigt mixture, cortex gone where it breaches."""
    return _with_tumour(
        intact_modulus(mesh, parameters), lesion.fraction, lesion.fraction, parameters
    )


def treated_modulus(
    mesh: BoneMesh, fill: CementFill, parameters: MaterialParameters
) -> ModulusField:
    """The bone with lesion and cement; the destroyed cortex stays destroyed."""
    density = RhoQctK2HPO4(clamp_density(mesh.density).g_per_cm3 + fill.compacted_g_per_cm3)
    bone = _with_density(mesh, density, parameters)
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
