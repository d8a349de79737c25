"""Is it a CT in Hounsfield units, and where is metal in it. Nothing here changes a value."""

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import CtVolume

AIR_HU = -1000.0
#: A CT contains air or fat; an image without any voxel below this is not in HU.
MOST_NEGATIVE_HU_AT_LEAST = -50.0
#: 12-bit scanners end at 3071 HU, extended ones at 30710 HU (Coolens 2003).
LARGEST_HU = 31000.0
#: Metal begins five standard deviations above cortical bone (1200 +- 250 HU, Michalski 2020) and
#: below where 12-bit scanners saturate (3071 HU), so that clipped metal is found too.
METAL_HU = 2500.0
#: Soft tissue of a body (fat -100, muscle 30, blood 40 HU; Michalski 2020) with noise.
SOFT_TISSUE_HU = (-200.0, 200.0)
#: Rescale intercept of nearly every CT; lost, soft tissue lies here instead of at 0.
USUAL_OFFSET_HU = 1024.0
#: Voxels from which the spread of values is judged (a choice).
SAMPLE_VOXELS = 2_000_000

Hu = NDArray[np.float32]


def metal_mask(ct: CtVolume) -> NDArray[np.bool_]:
    """Voxels of metal: above 2500 HU, shape ``ct.grid.shape``.

    Streaks next to metal are not found by this, and clipped or partial voxels at its rim are not.
    """
    return np.asarray(ct.hu > METAL_HU)


def metal_ml(ct: CtVolume) -> float:
    """Volume of the voxels of :func:`metal_mask` in ml."""
    return float(np.count_nonzero(metal_mask(ct))) * ct.grid.voxel_ml


def require_hounsfield(hu: Hu, source: str) -> None:
    """Check that values are Hounsfield units of a body.

    Raises:
        InputError: They are not; the message names the likely cause and the way out.
    """
    low, high = float(hu.min()), float(hu.max())
    if low == high:
        raise InputError(
            f"{source}: every voxel has the value {low:g}, so this is not a CT in Hounsfield "
            "units; give the image itself, not an empty copy of it."
        )
    cause = _cause_by_range(hu, low, high) or _cause_by_spread(_sample(hu))
    if cause:
        raise InputError(
            f"{source}: the values run from {low:g} to {high:g}, so this is not a CT in Hounsfield "
            f"units (air -1000, fat about -100): {cause}."
        )


def _cause_by_range(hu: Hu, low: float, high: float) -> str:
    rescale = "export it with its rescale slope and intercept applied"
    if high > LARGEST_HU:
        return f"no scanner gives more than {LARGEST_HU:g} HU; {rescale}"
    if low <= MOST_NEGATIVE_HU_AT_LEAST:
        return ""
    if high <= 20.0:
        return (
            "they look like attenuation coefficients or densities; convert them by "
            "HU = 1000 (mu / mu_water - 1), or export the CT itself"
        )
    if high <= 255.0:
        return f"a windowed picture of 8 bits has lost its HU; {rescale}, not as a windowed picture"
    if _share(_sample(hu), USUAL_OFFSET_HU - 150.0, USUAL_OFFSET_HU + 150.0) > 0.1:
        return (
            "soft tissue lies near 1024, so the rescale intercept was lost; add -1024 to every "
            "voxel (look the intercept up in the DICOM header), or " + rescale
        )
    return f"there is no air and no fat in it; {rescale}, not as a windowed picture"


def _cause_by_spread(hu: Hu) -> str:
    """Values too far apart for tissue. Padding is one constant, so the lowest value is left out."""
    inside = hu[hu > hu.min()]
    low, high = np.percentile(inside, [1.0, 99.0])
    tissue = inside[inside > -300.0]
    soft = _share(tissue, *SOFT_TISSUE_HU) if tissue.size else 0.0
    # A big prosthesis alone also lifts the 99th percentile, but leaves the soft tissue where it is.
    if low < -5000.0 or (high > 4000.0 and soft < 0.35):
        return (
            f"1 % of the voxels lie below {low:.0f} and 1 % above {high:.0f}, about ten times too "
            "far apart for tissue; divide them by the factor that they were multiplied with "
            "(often 10)"
        )
    if inside.max() < -200.0:
        return "there is air only, no tissue; give the CT of the patient"
    return ""


def _sample(hu: Hu) -> Hu:
    """Every n-th voxel along each axis, enough for shares and percentiles."""
    step = max(1, round((hu.size / SAMPLE_VOXELS) ** (1.0 / 3.0)))
    return hu[(slice(None, None, step),) * hu.ndim]


def _share(values: Hu, low: float, high: float) -> float:
    return float(np.count_nonzero((values >= low) & (values <= high))) / max(values.size, 1)
