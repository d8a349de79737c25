"""Young's modulus, Poisson's ratio and cortex of every cell, from density and treatment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.laws import DEFAULT_LAW, modulus_MPa
from sacrofem.mechanics.mixture import FRACTIONS_WITHIN, Mixture, Phase, mix
from sacrofem.mechanics.supports import CARTILAGE_POISSON, CARTILAGES, layer_MPa
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import BLASTIC_G_PER_CM3, Lesion

BONE_POISSON = 0.3
#: Density below which bone counts as a fatty void and is clamped, in g/cm3: gives 24 MPa.
DENSITY_FLOOR_G_PER_CM3 = 0.01
#: Above this the CT shows metal or an artefact: 1.2 g/cm3 of K2HPO4 is dense cortical bone.
DENSITY_CEILING_G_PER_CM3 = 1.2
#: Explanted human metastases, not fractured: aggregate modulus 200.35 kPa (La Barbera 2025).
TUMOUR_MPA = 0.2
#: The same of fractured ones, 14.47 kPa: what fills the gap of a fracture, also beside the lesion
#: (there it is a choice: nothing softer than a tumour is known of a fresh gap).
FRACTURE_MPA = 0.014
#: Soft tumour under a fast load is nearly incompressible (Whyne, Tschirhart).
TUMOUR_POISSON = 0.45
#: Part of the rise in modulus that the density law gives blastic bone (a choice): its woven tissue
#: is denser, but not proportionally stiffer.
BLASTIC_STIFFENING = 0.5
#: What is left in the cavity of a balloon beside the cement is fluid and debris: as soft as tumour
#: (a choice).
HOLLOW_MPA = 0.2
#: Measured range 0.95-3 GPa; 1937 +/- 478 MPa for vertebroplasty cement (ISO 5833, PMC3698342).
CEMENT_MPA = 2000.0
CEMENT_POISSON = 0.3
#: Pore fraction of cement that permeates bone, and the exponent of its effect: the bone is
#: mechanically switched off, pores explain the modulus (Kinzl 2011); the two values are a choice.
COMPOSITE_POROSITY = 0.1
COMPOSITE_EXPONENT = 2.0
#: Part of the composite's modulus that an unbonded interface leaves; 1 is bonded. Contact in place
#: of bonding and shrinkage leave 0.6 to 0.63 (from the +20 % compliance and -24 % stiffness of
#: Kinzl 2012).
INTERFACE_FACTOR = 1.0
#: Cortical shell: 0.5-2 mm thick; 12 GPa (s13018-020-01650-5, Table 1).
CORTEX_MM = 1.0
CORTEX_MPA = 12000.0
#: A choice, by how little relief moves from edges of 3 mm to 2 mm (phantom, P2, balloon and
#: vertebroplasty): 2.2 and 1.2 points, Hill's mean 2.5 and 1.6. Reuss and the lower bound turn a
#: cell with a trace of tumour into tumour, which cuts the cement off from the bone.
DEFAULT_MIXTURE: Mixture = "voigt"


@dataclass(frozen=True)
class MaterialParameters:
    """Material constants of one run; the defaults are the module's constants.

    ``tumour_MPa = None`` is a control: lesions and fractures with the bone's own constants and its
    cortex. ``law`` is a name of :data:`sacrofem.mechanics.laws.LAWS`, ``mixture`` one of
    :data:`sacrofem.mechanics.mixture.MIXTURES`.
    """

    tumour_MPa: float | None = TUMOUR_MPA
    fracture_MPa: float = FRACTURE_MPA
    blastic_g_per_cm3: float = BLASTIC_G_PER_CM3
    blastic_stiffening: float = BLASTIC_STIFFENING
    cement_MPa: float = CEMENT_MPA
    composite_porosity: float = COMPOSITE_POROSITY
    composite_exponent: float = COMPOSITE_EXPONENT
    interface_factor: float = INTERFACE_FACTOR
    cortex_mm: float = CORTEX_MM
    cortex_MPa: float = CORTEX_MPA
    law: str = DEFAULT_LAW
    mixture: Mixture = DEFAULT_MIXTURE

    def __post_init__(self) -> None:
        """Refuse an interface that would be stiffer than bonded.

        Raises:
            InputError: The interface factor is not in (0, 1].
        """
        if not 0.0 < self.interface_factor <= 1.0:
            raise InputError(
                "interface_factor must be above 0 and at most 1 (bonded), found "
                f"{self.interface_factor:g}; an unbonded interface has 0.6 to 0.63 (Kinzl 2012)."
            )


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


def lesion_modulus(
    mesh: BoneMesh, lesions: Sequence[Lesion], parameters: MaterialParameters
) -> ModulusField:
    """The bone with its lesions and fractures; the cortex is gone where they breached it.

    A cell that is partly tumour is mixed by volume, see :func:`sacrofem.mechanics.mixture.mix`; a
    fracture is in series with what is in its cells, whatever the mixture: Voigt would hide a thin
    compliant layer.
    """
    return treated_modulus(mesh, lesions, (), parameters)


def treated_modulus(
    mesh: BoneMesh,
    lesions: Sequence[Lesion],
    fills: Sequence[CementFill],
    parameters: MaterialParameters,
) -> ModulusField:
    """The bone with lesions and cement; the destroyed cortex stays destroyed.

    Cement takes the place of whatever was there: the bone that it permeates is switched off
    (Kinzl 2011). What a balloon displaced makes the bone denser that is left in a cell; where
    cement crosses a fracture the gap is closed.
    """
    diseased = lesions if parameters.tumour_MPa is not None else ()
    content = _content(len(mesh.tets), diseased, fills)
    # A sliver of bone beside a cavity would take any mass into its small volume: no bone is denser
    # than the ceiling, and :func:`clamped_compaction_g` tells what that leaves out.
    dense = np.minimum(_compacted(mesh, fills, content), DENSITY_CEILING_G_PER_CM3)
    bone = _with_density(mesh, RhoQctK2HPO4(dense), parameters)
    mixed = _mixed(bone, content, parameters)
    mixed = replace(mixed, cortex=mixed.cortex * _cortex_left(diseased, len(mesh.tets)))
    return _with_fractures(mixed, diseased, fills, parameters)


def clamped_compaction_g(
    mesh: BoneMesh, lesions: Sequence[Lesion], fills: Sequence[CementFill]
) -> float:
    """Bone mass that was displaced into bone whose density is at the ceiling already.

    It adds nothing to the modulus; in g of the mineral that the density counts.
    """
    content = _content(len(mesh.tets), lesions, fills)
    over = np.maximum(_compacted(mesh, fills, content) - DENSITY_CEILING_G_PER_CM3, 0.0)
    return float((over * content.skeleton) @ mesh.cell_ml)


@dataclass(frozen=True, eq=False)
class _Content:
    """Volume fractions of each cell, each shape (m,).

    Attributes:
        lytic, blastic: Tumour that is left.
        pure, composite, hollow: PMMA, PMMA in the pores of bone or tumour, empty cavity.
        skeleton: What is bone with or without cement in its pores: displaced bone lies there.
    """

    lytic: FloatArray
    blastic: FloatArray
    pure: FloatArray
    composite: FloatArray
    hollow: FloatArray
    skeleton: FloatArray


def _content(cells: int, lesions: Sequence[Lesion], fills: Sequence[CementFill]) -> _Content:
    """What is in each cell: cement over cavity over lesion, each part of a cell once."""
    all_samples = [fill.samples for fill in fills] + [lesion.samples for lesion in lesions]
    if not all_samples:
        none = np.zeros(cells)
        return _Content(none, none, none, none, none, np.ones(cells))
    samples = all_samples[0]

    def any_of(regions: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
        return np.asarray(np.logical_or.reduce([samples.none, *regions]))

    pure = any_of(fill.pure for fill in fills)
    composite = any_of(fill.interdigitated for fill in fills) & ~pure
    hollow = any_of(fill.hollow for fill in fills) & ~pure & ~composite
    eaten = any_of(lesion.lytic for lesion in lesions)
    free = ~(pure | composite | hollow)
    blastic = any_of(lesion.blastic for lesion in lesions) & free
    skeleton = ~(pure | hollow | eaten)
    parts = (eaten & free, blastic, pure, composite, hollow, skeleton)
    return _Content(*(samples.fraction(part) for part in parts))


def _compacted(mesh: BoneMesh, fills: Sequence[CementFill], content: _Content) -> FloatArray:
    """Density of the bone with what was pressed into it, in g/cm3, shape (m,).

    What a fill adds to a cell lies in the part of it that is bone: dividing by that part conserves
    the mass.
    """
    density = clamp_density(mesh.density).g_per_cm3
    for fill in fills:
        density = density + fill.compacted_g_per_cm3 / np.maximum(content.skeleton, 1e-9)
    return np.asarray(density)


def _mixed(bone: ModulusField, content: _Content, parameters: MaterialParameters) -> ModulusField:
    """Bone, tumour, cement and cavity of each cell by the mixture of the parameters.

    Cells of bone alone stay as they are.
    """
    shares = (content.lytic, content.blastic, content.pure, content.composite, content.hollow)
    here = np.sum(shares, axis=0) > 0.0
    if not here.any():
        return bone
    lytic, blastic, pure, composite, hollow = (share[here] for share in shares)
    young, poisson = bone.young_MPa[here], bone.poisson[here]
    left = np.maximum(1.0 - (lytic + blastic + pure + composite + hollow), 0.0)
    # A rest of rounding would be a phase of its own to the bounds.
    left[left < FRACTIONS_WITHIN] = 0.0
    # The control, which has no tumour's modulus, has no tumour either.
    tumour_MPa = TUMOUR_MPA if parameters.tumour_MPa is None else parameters.tumour_MPa

    def phase(share: FloatArray, inside_MPa: float, inside_poisson: float) -> Phase:
        return Phase(share, np.full_like(share, inside_MPa), np.full_like(share, inside_poisson))

    mixed_MPa, mixed_poisson = mix(
        (
            Phase(left, young, poisson),
            Phase(blastic, _blastic_MPa(young, parameters), poisson),
            phase(lytic, tumour_MPa, TUMOUR_POISSON),
            phase(pure, cement_modulus_MPa(False, parameters), CEMENT_POISSON),
            phase(composite, cement_modulus_MPa(True, parameters), CEMENT_POISSON),
            phase(hollow, HOLLOW_MPA, TUMOUR_POISSON),
        ),
        parameters.mixture,
    )
    all_young, all_poisson = bone.young_MPa.copy(), bone.poisson.copy()
    all_young[here], all_poisson[here] = mixed_MPa, mixed_poisson
    return ModulusField(all_young, all_poisson, bone.cortex)


def _blastic_MPa(bone_MPa: FloatArray, parameters: MaterialParameters) -> FloatArray:
    """Modulus of blastic bone in place of bone; bone that is denser already is not made softer."""
    dense = clamp_density(RhoQctK2HPO4(np.array([parameters.blastic_g_per_cm3])))
    rise_MPa = np.maximum(modulus_MPa(dense, parameters.law)[0] - bone_MPa, 0.0)
    return np.asarray(bone_MPa + parameters.blastic_stiffening * rise_MPa)


def _with_fractures(
    mixed: ModulusField,
    lesions: Sequence[Lesion],
    fills: Sequence[CementFill],
    parameters: MaterialParameters,
) -> ModulusField:
    """Mix the open gaps of fractures in series (Reuss): ``1/E = (1 - f)/E_mixed + f/E_gap``.

    The fracture runs to the surface, so the cortex is cut as well and stays so under cement.
    """
    broken = [lesion.fracture for lesion in lesions if lesion.fracture is not None]
    if not broken:
        return mixed
    none = broken[0].samples.none
    cement = np.logical_or.reduce([none, *(fill.inside for fill in fills)])
    gap = np.minimum(np.sum([f.open_share(cement) for f in broken], axis=0), 1.0)
    cut = np.minimum(np.sum([f.open_share(none) for f in broken], axis=0), 1.0)
    soft_MPa = parameters.fracture_MPa
    return ModulusField(
        young_MPa=1.0 / ((1.0 - gap) / mixed.young_MPa + gap / soft_MPa),
        poisson=(1.0 - gap) * mixed.poisson + gap * TUMOUR_POISSON,
        cortex=mixed.cortex / (1.0 - cut + cut * parameters.cortex_MPa / soft_MPa),
    )


def _cortex_left(lesions: Sequence[Lesion], cells: int) -> FloatArray:
    """Part of the cortex that breaches left, shape (m,)."""
    return np.asarray(
        np.prod([np.ones(cells), *(1.0 - lesion.cortex_lost for lesion in lesions)], axis=0)
    )


def cement_modulus_MPa(interdigitated: bool, parameters: MaterialParameters) -> float:
    """Modulus of cement: pure PMMA in a cavity, composite where it permeates bone.

    The composite has ``E (1 - porosity)^n`` (Kinzl 2011), times the factor of its interface (Kinzl
    2012).
    """
    if not interdigitated:
        return parameters.cement_MPa
    solid = 1.0 - parameters.composite_porosity
    composite = parameters.cement_MPa * solid**parameters.composite_exponent
    return float(parameters.interface_factor * composite)
