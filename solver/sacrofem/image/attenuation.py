"""Attenuation of tissues, water and K2HPO4: what a reference tissue weighs on a phantom's scale.

A tissue with the linear attenuation mu shows ``HU = 1000 (mu / mu_water - 1)``. One mg/cm3 of
K2HPO4 in water raises the HU by the ratio of the mass attenuations less the water that it displaces
(QCT PRO User Guide, Mindways, 2011: 0.2174 mg/mg). The quotient is the tissue's K2HPO4 equivalent.
"""

import numpy as np

#: Photon energies of the tables below, in keV.
ENERGIES_KEV = (50.0, 60.0, 80.0, 100.0)
#: Mass attenuation in cm2/g at these energies: NIST Standard Reference Database 126, Table 4
#: (Hubbell and Seltzer; tissues of ICRU-44), K2HPO4 by XCOM.
MASS_ATTENUATION = {
    "water": (0.2269, 0.2059, 0.1837, 0.1707),
    "air": (0.2080, 0.1875, 0.1662, 0.1541),
    "fat": (0.2123, 0.1974, 0.1800, 0.1688),
    "muscle": (0.2262, 0.2048, 0.1823, 0.1693),
    "blood": (0.2278, 0.2057, 0.1827, 0.1695),
    "K2HPO4": (0.5573, 0.3890, 0.2508, 0.1972),
}
#: Densities that belong to these compositions, in g/cm3 (NIST SRD 126, Table 2).
TISSUE_G_PER_CM3 = {"water": 1.0, "air": 0.001205, "fat": 0.95, "muscle": 1.05, "blood": 1.06}
#: Water displaced by dissolved K2HPO4, in mg/mg (QCT PRO User Guide, Mindways, 2011).
DISPLACED_WATER = 0.2174


def mass_attenuation(material: str, energy_keV: float) -> float:
    """Mass attenuation in cm2/g: the cubic through the tabulated points, in logarithms."""
    x, y = np.log(ENERGIES_KEV), np.log(MASS_ATTENUATION[material])
    return float(np.exp(np.polyval(np.polyfit(x - x[1], y, 3), np.log(energy_keV) - x[1])))


def tissue_HU(tissue: str, energy_keV: float) -> float:
    """HU of a tissue at an effective energy on a scanner that is well adjusted."""
    ratio = mass_attenuation(tissue, energy_keV) / mass_attenuation("water", energy_keV)
    return 1000.0 * (TISSUE_G_PER_CM3[tissue] * ratio - 1.0)


def K2HPO4_slope_mg_per_cm3_per_HU(energy_keV: float) -> float:
    """Density of K2HPO4 in water that raises the CT by one HU, at an effective energy."""
    ratio = mass_attenuation("K2HPO4", energy_keV) / mass_attenuation("water", energy_keV)
    return 1.0 / (ratio - DISPLACED_WATER)


def K2HPO4_equivalent_mg_per_cm3(tissue: str, energy_keV: float) -> float:
    """The reading of a perfect K2HPO4 calibration in a tissue; negative in fat and air."""
    return tissue_HU(tissue, energy_keV) * K2HPO4_slope_mg_per_cm3_per_HU(energy_keV)
