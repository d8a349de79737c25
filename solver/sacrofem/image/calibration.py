"""From Hounsfield units to density: a straight line with its kind, its source and its uncertainty.

Three ways lead to a :class:`Calibration`: a phantom (its line, or its rods), tissues found in the
CT itself (:mod:`sacrofem.image.internal_calibration`), and a labelled fallback. A line that cannot
be a CT's is refused, with words on what it looks like: most wrong ones are a slip of units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sacrofem.errors import InputError
from sacrofem.image.density import RhoQctHA, RhoQctK2HPO4, convert
from sacrofem.image.volume import FloatArray

Kind = Literal["K2HPO4", "HA"]
Method = Literal["phantom line", "phantom rods", "internal references", "fallback line"]

#: Slopes that a CT can have, in mg/cm3 per HU. K2HPO4 in water gives 0.52 at an effective energy of
#: 55 keV and 0.98 at 90 keV (:mod:`sacrofem.image.attenuation`); HA is 1.15 of it (Faulkner 1993).
#: The upper limits lie under most inverse slopes (HU per mg/cm3), so that these are noticed.
SLOPES = {"K2HPO4": (0.5, 1.1), "HA": (0.55, 1.25)}
#: Largest density of water on a line, in mg/cm3: a choice; 60 mg/cm3 is a scanner 80 HU off.
LARGEST_INTERCEPT_MG_PER_CM3 = 60.0
#: Largest scatter of rods about their line, in mg/cm3: a choice; good phantoms show 1 to 3.
LARGEST_ROD_SCATTER_MG_PER_CM3 = 15.0
#: Stored CT values are HU plus 1024 where the rescale intercept was not applied.
STORED_OFFSET_HU = 1024.0
#: Density at which an uncertainty is stated, in mg/cm3: osteoporotic spongiosa.
STATED_AT_MG_PER_CM3 = 100.0


@dataclass(frozen=True)
class Reference:
    """A tissue found in the CT.

    Attributes:
        name: ``air``, ``fat``, ``muscle`` or ``blood``.
        median_HU: Median of its voxels.
        spread_HU: Their median absolute deviation.
        voxels: How many there were.
        expected_mg_per_cm3: Its published K2HPO4 equivalent.
        expected_sd_mg_per_cm3: How much that differs between people (standard deviation).
    """

    name: str
    median_HU: float
    spread_HU: float
    voxels: int
    expected_mg_per_cm3: float
    expected_sd_mg_per_cm3: float


@dataclass(frozen=True)
class Calibration:
    """A straight line from HU to density: ``mg/cm3 = intercept + slope * HU``.

    Attributes:
        intercept_mg_per_cm3: Density at 0 HU.
        slope_mg_per_cm3_per_HU: Density that raises the CT by one HU.
        source: Where the line comes from, in words, for the report.
        method: How it was made.
        kind: What its density is the equivalent of.
        slope_error_mg_per_cm3_per_HU: Standard error of the slope; None where nothing tells it.
        relative_error_at_100: Relative standard error of a density of 100 mg/cm3; None likewise.
        references: The tissues that it rests on, where it is an internal one.
        notes: What a reader has to know of this line.
    """

    intercept_mg_per_cm3: float
    slope_mg_per_cm3_per_HU: float
    source: str
    method: Method = "phantom line"
    kind: Kind = "K2HPO4"
    slope_error_mg_per_cm3_per_HU: float | None = None
    relative_error_at_100: float | None = None
    references: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()


def calibration_from_json(values: Mapping[str, Any]) -> Calibration:
    """The calibration whose ``dataclasses.asdict`` went through JSON."""
    return Calibration(
        **{
            **values,
            "references": tuple(Reference(**reference) for reference in values["references"]),
            "notes": tuple(values["notes"]),
        }
    )


#: Fallback where no phantom was scanned: the line of one group's sacral patients, from its two
#: printed pairs (105.66 HU, 86.42 mg/cm3) and (44.84 HU, 37.16 mg/cm3). Scanner-specific; its error
#: is a choice: the slopes of 60 and 80 keV are 0.60 and 0.87 mg/cm3 per HU.
FALLBACK_LINE = Calibration(
    intercept_mg_per_cm3=0.84,
    slope_mg_per_cm3_per_HU=0.810,
    source="fallback line, diagnostics15222926 (2025); no phantom in this CT",
    method="fallback line",
    slope_error_mg_per_cm3_per_HU=0.16,
    relative_error_at_100=0.2,
    notes=("the line of another scanner: densities may be wrong by a fifth and more",),
)


def to_density(hu: FloatArray, calibration: Calibration) -> RhoQctK2HPO4:
    """Density of HU values, same shape; negative where the CT shows fat or air.

    A line of hydroxyapatite is converted to K2HPO4 (Faulkner 1993).
    """
    slope = calibration.slope_mg_per_cm3_per_HU
    g_per_cm3 = (calibration.intercept_mg_per_cm3 + slope * hu) / 1000.0
    if calibration.kind == "HA":
        return convert(RhoQctHA(g_per_cm3), RhoQctK2HPO4)
    return RhoQctK2HPO4(g_per_cm3)


def phantom_line(
    slope_mg_per_cm3_per_HU: float,
    intercept_mg_per_cm3: float,
    kind: Kind,
    source: str = "phantom's line of the recipe",
) -> Calibration:
    """The line of a phantom: ``mg/cm3 = intercept + slope * HU``.

    Raises:
        InputError: The line cannot be a CT's; the message says what it looks like.
    """
    _require_plausible(slope_mg_per_cm3_per_HU, intercept_mg_per_cm3, kind, source)
    return Calibration(intercept_mg_per_cm3, slope_mg_per_cm3_per_HU, source, "phantom line", kind)


def phantom_rods(
    rods: Sequence[tuple[float, float]], kind: Kind, source: str = "phantom's rods of the recipe"
) -> Calibration:
    """The least-squares line through a phantom's rods.

    Args:
        rods: Pairs of (HU, mg/cm3), two and more; three and more give an error of the line.
        kind: What the rods' densities are the equivalent of.
        source: Where they were measured, for messages and report.

    Raises:
        InputError: The rods are too few, equal, in g/cm3, scattered, or give a line that cannot be
            a CT's.
    """
    hu, density = _rods(rods, source)
    slope, intercept = (float(c) for c in np.polyfit(hu, density, 1))
    _require_plausible(slope, intercept, kind, source)
    if len(hu) == 2:
        note = "two rods: the line goes through both, nothing tells its error"
        return Calibration(intercept, slope, source, "phantom rods", kind, notes=(note,))
    scatter = float(np.sqrt(np.sum((density - intercept - slope * hu) ** 2) / (len(hu) - 2)))
    if scatter > LARGEST_ROD_SCATTER_MG_PER_CM3:
        worst = int(np.argmax(np.abs(density - intercept - slope * hu)))
        raise InputError(
            f"{source}: the rods lie {scatter:.1f} mg/cm3 off their line (at most "
            f"{LARGEST_ROD_SCATTER_MG_PER_CM3:g}), the worst is ({hu[worst]:g} HU, "
            f"{density[worst]:g} mg/cm3); check that each HU stands with its own rod."
        )
    covariance = line_covariance(hu, np.full(len(hu), scatter))
    return Calibration(
        intercept_mg_per_cm3=intercept,
        slope_mg_per_cm3_per_HU=slope,
        source=source,
        method="phantom rods",
        kind=kind,
        slope_error_mg_per_cm3_per_HU=float(np.sqrt(covariance[0, 0])),
        relative_error_at_100=error_at(covariance, hu_at(slope, intercept)) / STATED_AT_MG_PER_CM3,
        notes=(f"{len(hu)} rods lie {scatter:.1f} mg/cm3 off their line (standard deviation)",),
    )


def hu_at(slope: float, intercept: float, mg_per_cm3: float = STATED_AT_MG_PER_CM3) -> float:
    """HU at which a line gives a density."""
    return (mg_per_cm3 - intercept) / slope


def line_covariance(hu: FloatArray, sd_mg_per_cm3: FloatArray) -> FloatArray:
    """Covariance of (slope, intercept), shape (2, 2), of a line through points of known error."""
    design = np.stack([hu, np.ones(len(hu))], axis=1) / sd_mg_per_cm3[:, None]
    return np.asarray(np.linalg.inv(design.T @ design))


def error_at(covariance: FloatArray, hu: float) -> float:
    """Standard error in mg/cm3 of a line at a HU value."""
    row = np.array([hu, 1.0])
    return float(np.sqrt(row @ covariance @ row))


def _rods(rods: Sequence[tuple[float, float]], source: str) -> tuple[FloatArray, FloatArray]:
    """HU and mg/cm3 of the rods, each shape (n,), sorted by HU and checked."""
    pairs = np.array(sorted((float(hu), float(mg)) for hu, mg in rods)).reshape(-1, 2)
    if len(pairs) < 2 or not np.isfinite(pairs).all() or np.ptp(pairs[:, 0]) == 0.0:
        raise InputError(
            f"{source}: at least two rods of different HU are needed, found {len(pairs)}: "
            f"{[tuple(p) for p in pairs.tolist()]}; give pairs of [HU, mg/cm3]."
        )
    return pairs[:, 0], pairs[:, 1]


def _require_plausible(slope: float, intercept: float, kind: Kind, source: str) -> None:
    """Refuse a line that no CT has, and say what it looks like.

    Raises:
        InputError: Slope or intercept is out of bounds.
    """
    low, high = SLOPES[kind]
    if low <= slope <= high and abs(intercept) <= LARGEST_INTERCEPT_MG_PER_CM3:
        return
    raise InputError(
        f"{source}: a line to {kind} needs a slope of {low:g} to {high:g} mg/cm3 per HU and an "
        f"intercept within {LARGEST_INTERCEPT_MG_PER_CM3:g} mg/cm3, found {slope:.4g} and "
        f"{intercept:.4g}; {_looks_like(slope, intercept, low, high)}."
    )


def _looks_like(slope: float, intercept: float, low: float, high: float) -> str:
    """What a line that no CT has looks like, and what to do."""

    def fits(value: float) -> bool:
        return low <= value <= high

    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0.0:
        return "these are no numbers of a line; give both again"
    if slope < 0.0:
        return "density falls where HU rise: a sign is wrong, or HU and density are swapped"
    if fits(slope):
        offset = intercept / slope
        if abs(abs(offset) - STORED_OFFSET_HU) < 0.1 * STORED_OFFSET_HU:
            return (
                f"an intercept of {offset:.0f} HU looks like stored values with 1024 added: apply "
                "the CT's rescale intercept before the rods are read"
            )
        return "the intercept is the density of water and lies near 0; is it in HU, or in mg/ml?"
    if fits(1000.0 * slope):
        return "it looks like g/cm3 per HU: multiply slope and intercept by 1000"
    if fits(1.0 / slope):
        back, start = 1.0 / slope, -intercept / slope
        return (
            "it looks like the inverse direction, HU per mg/cm3: give slope "
            f"{back:.4g} and intercept {start:.4g}"
        )
    if fits(1000.0 / slope):
        return "it looks like HU per g/cm3: give 1000 over the slope, in mg/cm3 per HU"
    return "check the units: mg/cm3 against HU with the CT's rescale applied"
