"""Who carries what: the parts that bone, lesion and cement have in force and energy.

A cell can hold several tissues. The rule: they share its strain (Voigt), so that each carries in
the ratio of modulus times volume; the gap of a fracture is in series with all of them (Reuss): it
carries the same force, and its part of the energy is ``(g / E_gap) E_cell``. Where the materials
mix by the same rule, the default, the parts are exact but for Poisson's ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.materials import MaterialParameters, ModulusField, cement_modulus_MPa
from sacrofem.mechanics.state import StateSolution
from sacrofem.mechanics.supports import CARTILAGES
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion

#: Where the energy is: names of :func:`energy_by_tissue`.
TISSUES = ("bone", "lesion", "gap", "cement", "cortex", "cartilage", "ilia", "springs", "ligaments")


@dataclass(frozen=True, eq=False)
class TissueShares:
    """Parts of the tissues in each cell, each shape (m,).

    Attributes:
        bone_volume: Part of the volume that is bone without lesion, cement or cavity.
        cement, lesion: Part of the force; the rest is in bone. Compacted bone counts as bone of
            the CT's density, blastic lesion as bone.
        gap: Part of the energy that is in the gap of a fracture, before the other parts.
    """

    bone_volume: FloatArray
    cement: FloatArray
    lesion: FloatArray
    gap: FloatArray


def tissue_shares(
    intact: ModulusField,
    modulus: ModulusField,
    lesions: Sequence[Lesion],
    fills: Sequence[CementFill],
    parameters: MaterialParameters,
) -> TissueShares:
    """Parts of the tissues in a state.

    Args:
        intact: Moduli of the bone as the CT shows it.
        modulus: Moduli of the state.
        lesions: Lesions of the state, none for the intact one.
        fills: Fills of the state.
        parameters: Material constants.
    """
    none = np.zeros(len(intact.young_MPa))
    if not lesions and not fills:
        return TissueShares(none + 1.0, none, none, none)
    samples = lesions[0].samples if lesions else fills[0].samples
    pure = np.logical_or.reduce([samples.none, *(f.pure for f in fills)])
    composite = np.logical_or.reduce([samples.none, *(f.interdigitated for f in fills)]) & ~pure
    hollow = np.logical_or.reduce([samples.none, *(f.hollow for f in fills)])
    lytic = np.logical_or.reduce([samples.none, *(les.lytic for les in lesions)])
    sick = np.logical_or.reduce([samples.none, *(les.inside for les in lesions)])
    cement, free = pure | composite, ~(pure | composite | hollow)
    bone = samples.fraction(free & ~sick)
    bone[np.bincount(samples.cell, minlength=samples.cells) == 0] = 1.0
    in_cement = samples.fraction(pure) * cement_modulus_MPa(False, parameters)
    in_cement += samples.fraction(composite) * cement_modulus_MPa(True, parameters)
    in_lesion = samples.fraction(free & sick & ~lytic) * intact.young_MPa
    # The control has lesions of the bone's own modulus.
    soft_MPa = intact.young_MPa if parameters.tumour_MPa is None else parameters.tumour_MPa
    in_lesion += samples.fraction(free & lytic) * soft_MPa
    whole = np.maximum(in_cement + in_lesion + bone * intact.young_MPa, 1e-12)
    broken = [les.fracture for les in lesions if les.fracture and parameters.tumour_MPa is not None]
    gap = np.minimum(np.sum([none, *(f.open_share(cement) for f in broken)], axis=0), 1.0)
    in_series = gap * modulus.young_MPa / parameters.fracture_MPa
    return TissueShares(bone, in_cement / whole, in_lesion / whole, np.minimum(in_series, 1.0))


def energy_by_tissue(
    mesh: BoneMesh, state: StateSolution, shares: TissueShares
) -> dict[str, float]:
    """Energy in mJ by :data:`TISSUES`; the sum is half the work of the load."""
    cell_mJ = state.energy.cell_mJ
    joined = (1.0 - shares.gap) * cell_mJ
    sacrum = mesh.part == Part.SACRUM
    cartilage = np.isin(mesh.part, [int(part) for part in CARTILAGES.values()])
    in_lesion, in_cement = float(joined @ shares.lesion), float(joined @ shares.cement)
    in_gap = float(cell_mJ @ shares.gap)
    return {
        "bone": float(cell_mJ[sacrum].sum()) - in_lesion - in_cement - in_gap,
        "lesion": in_lesion,
        "gap": in_gap,
        "cement": in_cement,
        "cortex": state.energy.cortex_mJ,
        "cartilage": float(cell_mJ[cartilage].sum()),
        "ilia": float(cell_mJ[~sacrum & ~cartilage].sum()),
        "springs": state.energy.springs_mJ,
        "ligaments": state.energy.ligaments_mJ,
    }
