"""From Hounsfield units to density, with the density's kind in its type.

The field's most common error is to feed a density-modulus law with the density of another law
(Knowles 2016). A density is therefore never a bare array: :class:`RhoQctK2HPO4` is what a K2HPO4
phantom measures, and only laws made for it accept it.
"""

from dataclasses import dataclass

from sacrofem.image.volume import FloatArray


@dataclass(frozen=True, eq=False)
class RhoQctK2HPO4:
    """Bone mineral density by quantitative CT against K2HPO4, in g/cm3."""

    g_per_cm3: FloatArray


@dataclass(frozen=True)
class CalibrationLine:
    """A straight line from HU to density: ``mg/cm3 = intercept + slope * HU``."""

    intercept_mg_per_cm3: float
    slope_mg_per_cm3_per_HU: float
    source: str


#: Fallback where no phantom was scanned: the line of one group's sacral patients, from its two
#: printed pairs (105.66 HU, 86.42 mg/cm3) and (44.84 HU, 37.16 mg/cm3). Scanner-specific.
FALLBACK_LINE = CalibrationLine(
    intercept_mg_per_cm3=0.84,
    slope_mg_per_cm3_per_HU=0.810,
    source="fallback line, diagnostics15222926 (2025); no phantom in this CT",
)


def hu_to_density(hu: FloatArray, line: CalibrationLine = FALLBACK_LINE) -> RhoQctK2HPO4:
    """Density in g/cm3 of HU values, same shape; negative where the CT shows fat or air."""
    mg_per_cm3 = line.intercept_mg_per_cm3 + line.slope_mg_per_cm3_per_HU * hu
    return RhoQctK2HPO4(mg_per_cm3 / 1000.0)
