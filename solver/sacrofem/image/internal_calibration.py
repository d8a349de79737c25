"""Calibration without a phantom: the line through air, fat, muscle and blood of the patient.

Their K2HPO4 equivalents come from published mass attenuations (:mod:`sacrofem.image.attenuation`).
What the CT cannot tell is the effective energy of its X-rays: soft tissue of unknown composition
does not fix it. It is an input, and its uncertainty goes into the stated error.
"""

import numpy as np

from sacrofem.errors import InputError
from sacrofem.image import attenuation
from sacrofem.image.calibration import (
    STATED_AT_MG_PER_CM3,
    Calibration,
    Reference,
    error_at,
    hu_at,
    line_covariance,
    to_density,
)
from sacrofem.image.internal_references import Tissue, find_tissues
from sacrofem.image.volume import CtVolume, FloatArray, LabelMap

#: Effective energy of 120 kVp behind a pelvis and its standard deviation between scanners: a
#: choice. The slope rises by 0.014 mg/cm3 per HU and keV.
EFFECTIVE_ENERGY_KEV, ENERGY_SD_KEV = 70.0, 5.0
#: Energies between which a clinical CT of the pelvis lies (80 to 140 kVp).
ENERGIES_KEV = (55.0, 90.0)
#: Spread of each reference between people, in HU; choices. Air: scatter. Fat: its lipid, 61 to 87 %
#: in people and 74 % in the table (Woodard and White 1986). Muscle: fat between its fibres. Blood:
#: its haematocrit.
SPREAD_HU = {"air": 10.0, "fat": 20.0, "muscle": 15.0, "blood": 15.0}
#: Where a line of another origin is checked, its slope may differ by this part: a phantom has
#: measured the energy that the references assume. A choice: two standard deviations of the energy.
SLOPE_MAY_DIFFER = 0.2


def calibrate_internally(
    ct: CtVolume, labels: LabelMap, effective_energy_keV: float = EFFECTIVE_ENERGY_KEV
) -> Calibration:
    """The line through air, fat, muscle and, where its vessels are labelled, blood.

    Raises:
        InputError: The energy is out of range; a reference is not found, or lies where it cannot
            lie in HU, see :func:`sacrofem.image.internal_references.find_tissues`.
    """
    tissues, notes = find_tissues(ct, labels)
    return fit_line(references(tissues, effective_energy_keV), effective_energy_keV, notes)


def references(
    tissues: tuple[Tissue, ...], effective_energy_keV: float = EFFECTIVE_ENERGY_KEV
) -> tuple[Reference, ...]:
    """The tissues with their published K2HPO4 equivalents at an energy.

    Raises:
        InputError: No clinical CT has this energy.
    """
    low, high = ENERGIES_KEV
    if not low <= effective_energy_keV <= high:
        raise InputError(
            f"the effective energy of a clinical CT lies between {low:g} and {high:g} keV, found "
            f"{effective_energy_keV:g}; give that of the spectrum (70 at 120 kVp), not the kVp."
        )
    return tuple(
        Reference(
            t.name, t.median_HU, t.spread_HU, t.voxels, *_expected(t.name, effective_energy_keV)
        )
        for t in tissues
    )


def fit_line(
    found: tuple[Reference, ...], effective_energy_keV: float, notes: tuple[str, ...] = ()
) -> Calibration:
    """The weighted least-squares line through references at an energy.

    Weights are the spreads between people. The stated error holds these and the energy's, as
    independent standard deviations.
    """
    hu, mg, sd = _columns(found)
    slope, intercept = (float(c) for c in np.polyfit(hu, mg, 1, w=1.0 / sd))
    covariance, at = line_covariance(hu, sd), hu_at(slope, intercept)
    change = _change_with_energy(found, effective_energy_keV)
    error = np.hypot(error_at(covariance, at), change[0] * at + change[1])
    medians = ", ".join(f"{r.name} {r.median_HU:.0f} HU" for r in found)
    return Calibration(
        intercept_mg_per_cm3=intercept,
        slope_mg_per_cm3_per_HU=slope,
        source=(
            f"internal references of this CT ({medians}) with their K2HPO4 equivalents at "
            f"{effective_energy_keV:g} keV (NIST SRD 126, ICRU-44; after Lee 2017, Michalski 2020)"
        ),
        method="internal references",
        slope_error_mg_per_cm3_per_HU=float(np.hypot(np.sqrt(covariance[0, 0]), change[0])),
        relative_error_at_100=float(error / STATED_AT_MG_PER_CM3),
        references=found,
        notes=(
            f"the effective energy of {effective_energy_keV:g} ± {ENERGY_SD_KEV:g} keV is an "
            "assumption, the CT does not tell it; it goes into the stated error",
            *_off_the_line(found, mg - slope * hu - intercept),
            *notes,
        ),
    )


def cross_check(calibration: Calibration, found: tuple[Reference, ...]) -> tuple[str, ...]:
    """Where a line of another origin reads a reference wrongly, in words; empty where it does not.

    Allowed are two standard deviations of the reference and a fifth of its equivalent.
    """
    words = []
    for r in found:
        reads = 1000.0 * float(to_density(np.array([r.median_HU]), calibration).g_per_cm3[0])
        allowed = float(
            np.hypot(2.0 * r.expected_sd_mg_per_cm3, SLOPE_MAY_DIFFER * r.expected_mg_per_cm3)
        )
        if abs(reads - r.expected_mg_per_cm3) > allowed:
            words.append(
                f"the {calibration.method} reads {reads:.0f} mg/cm3 in the {r.name} of this CT "
                f"({r.median_HU:.0f} HU), {r.expected_mg_per_cm3:.0f} ± {allowed:.0f} is expected: "
                "check that the line belongs to this scanner, and its units"
            )
    return tuple(words)


def _columns(found: tuple[Reference, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    hu = np.array([r.median_HU for r in found])
    mg = np.array([r.expected_mg_per_cm3 for r in found])
    return hu, mg, np.array([r.expected_sd_mg_per_cm3 for r in found])


def _change_with_energy(found: tuple[Reference, ...], energy_keV: float) -> FloatArray:
    """How one standard deviation of the energy changes (slope, intercept), shape (2,)."""
    hu, _, sd = _columns(found)
    low, high = (
        np.polyfit(hu, [_expected(r.name, energy)[0] for r in found], 1, w=1.0 / sd)
        for energy in (energy_keV - ENERGY_SD_KEV, energy_keV + ENERGY_SD_KEV)
    )
    return np.asarray((high - low) / 2.0)


def _off_the_line(found: tuple[Reference, ...], residual: FloatArray) -> tuple[str, ...]:
    """A word for each reference that lies more than two standard deviations off the line."""
    return tuple(
        f"the {r.name} lies {miss:.0f} mg/cm3 off the line, more than two standard deviations"
        for r, miss in zip(found, residual, strict=True)
        if abs(miss) > 2.0 * r.expected_sd_mg_per_cm3
    )


def _expected(name: str, energy_keV: float) -> tuple[float, float]:
    """K2HPO4 equivalent of a tissue and its standard deviation, in mg/cm3."""
    slope = attenuation.K2HPO4_slope_mg_per_cm3_per_HU(energy_keV)
    return attenuation.K2HPO4_equivalent_mg_per_cm3(name, energy_keV), slope * SPREAD_HU[name]
