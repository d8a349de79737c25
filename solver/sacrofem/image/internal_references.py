"""Tissues of the patient that can stand in for a phantom: found by place and by histogram peak.

Air outside the body, fat under the skin and muscle beside the hips are in every CT of a pelvis
that shows the skin (Lee 2017, Michalski 2020); blood only where its vessels are labelled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.errors import InputError
from sacrofem.image.hounsfield import require_hounsfield
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, SACRUM
from sacrofem.image.volume import CtVolume, FloatArray, LabelMap

#: Where the median of each tissue may lie, in HU; wider is another tissue or a wrong scale. Choices
#: within the ranges of Michalski 2020 (adipose -100 +/- 30, blood 20 +/- 40, muscle 30 +/- 35);
#: blood and muscle from 20 HU on, below is fat or water.
WINDOW_HU = {
    "air": (-1060.0, -940.0),
    "fat": (-140.0, -60.0),
    "muscle": (20.0, 80.0),
    "blood": (20.0, 75.0),
}
#: Volume that each tissue needs, in ml: a choice.
LEAST_ML = {"air": 5.0, "fat": 5.0, "muscle": 5.0, "blood": 2.0}

AIR_BELOW_HU, BODY_ABOVE_HU, BONE_ABOVE_HU = -800.0, -500.0, 200.0
#: Below the scale of 12 bits, and all around at its lowest number, is what no scanner saw.
PADDING_BELOW_HU, LOWEST_STORED_HU = -1100.0, -1024.0
#: Muscle whose neighbourhood of 27 voxels has a mean below this lies beside a septum of fat.
FATTY_BELOW_HU = -20.0
#: Voxels are thinned to about this size before the search.
SEARCH_MM = 2.5
#: Distances in mm: of air from the body, of fat and muscle from the skin, of muscle from its bones
#: at most and from any bone at least, of blood from its vessel's wall.
AIR_FROM_BODY_MM, FAT_DEPTH_MM, MUSCLE_DEPTH_MM = 6.0, (4.0, 30.0), 12.0
MUSCLE_WITHIN_MM, MUSCLE_FROM_BONE_MM, BLOOD_FROM_WALL_MM = 40.0, 5.0, 3.0
#: A peak counts from this part of the highest on.
SECOND_PEAK = 0.15
BIN_HU, SMOOTH_BINS, PEAK_HALF_WIDTH_HU = 4.0, 2.0, 30.0
#: Numbers of TotalSegmentator v2: aorta, inferior vena cava, iliac arteries and veins; gluteal
#: muscles, erectors of the spine, iliopsoas.
VESSELS, MUSCLES = (52, 63, 65, 66, 67, 68), tuple(range(80, 90))

NO_VESSEL = "blood is left out: without labelled vessels it is not found reliably"
CONTRAST = (
    "blood of {hu:.0f} HU holds contrast medium and is left out; the medium raises the density of "
    "bone too"
)


@dataclass(frozen=True)
class Tissue:
    """A tissue found in a CT.

    Attributes:
        name: ``air``, ``fat``, ``muscle`` or ``blood``.
        median_HU: Median of its voxels.
        spread_HU: Their median absolute deviation; fat and muscle are cut 30 HU from the median.
        voxels: How many there were, of the thinned CT.
    """

    name: str
    median_HU: float
    spread_HU: float
    voxels: int


@dataclass(frozen=True, eq=False)
class _Search:
    """The thinned CT: HU, labels, what is outside the body, the body, and its depth in mm."""

    hu: NDArray[np.float32]
    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, ...]
    outside: NDArray[np.bool_]
    body: NDArray[np.bool_]
    depth_mm: NDArray[np.float32]

    @property
    def voxel_ml(self) -> float:
        """Volume of a thinned voxel."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def find_tissues(ct: CtVolume, labels: LabelMap) -> tuple[tuple[Tissue, ...], tuple[str, ...]]:
    """Air, fat, muscle and, where it can be had, blood; and what has to be said of them.

    Raises:
        InputError: The CT is not in HU; it shows no air outside the body, no fat under the skin or
            no muscle beside the hips; or one of them lies where it cannot lie in HU.
    """
    require_hounsfield(ct.hu, "calibration by internal references")
    search = _search(ct, labels)
    samples = {"air": _air(search), "fat": _fat(search), "muscle": _muscle(search)}
    blood, notes = _blood(search)
    if blood is not None:
        samples["blood"] = blood
    return tuple(_tissue(name, hu) for name, hu in samples.items()), notes


def _tissue(name: str, hu: FloatArray) -> Tissue:
    median = float(np.median(hu))
    return Tissue(name, median, float(np.median(np.abs(hu - median))), len(hu))


def _search(ct: CtVolume, labels: LabelMap) -> _Search:
    step = tuple(max(round(SEARCH_MM / s), 1) for s in ct.grid.spacing_mm)
    thin = tuple(slice(None, None, n) for n in step)
    spacing = tuple(s * n for s, n in zip(ct.grid.spacing_mm, step, strict=True))
    hu = ct.hu[thin]
    outside = _outside(hu, float(np.prod(spacing)) / 1000.0)
    depth = _distance_mm(outside, spacing)
    return _Search(hu, labels.labels[thin], spacing, outside, _body(hu), depth)


def _body(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The largest connected part that is no air: table and arms are smaller."""
    regions, _ = ndimage.label(hu > BODY_ABOVE_HU)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    return np.asarray(regions == int(np.argmax(sizes)))


def _distance_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """Distance of each voxel to a mask; infinite where the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    return np.asarray(ndimage.distance_transform_edt(~mask, spacing_mm), dtype=np.float32)


def _outside(hu: NDArray[np.float32], voxel_ml: float) -> NDArray[np.bool_]:
    """Voxels outside the body: regions of air that touch two faces of the image or more.

    Bowel gas that the image cuts touches one face. A mattress counts as outside here.

    Raises:
        InputError: There is no such region.
    """
    regions, count = ndimage.label(hu < AIR_BELOW_HU)
    sizes = np.bincount(regions.ravel(), minlength=count + 1) * voxel_ml
    faces = np.zeros(count + 1, dtype=int)
    for axis in range(3):
        for end in (0, -1):
            faces[np.unique(np.take(regions, end, axis=axis))] += 1
    kept = (faces >= 2) & (sizes >= LEAST_ML["air"])
    kept[0] = False
    if not kept.any():
        low, high = (float(x) for x in np.percentile(hu, (0.1, 99.9)))
        raise InputError(
            "calibration by internal references needs air outside the body (about -1000 HU), found "
            f"none: nearly all values lie between {low:.0f} and {high:.0f} HU, so the CT is "
            "cropped inside the skin, windowed or shifted; give a phantom's line, or a CT with the "
            "skin in view."
        )
    return np.asarray(kept[regions])


def _air(search: _Search) -> FloatArray:
    """HU of the air outside the body, away from it; mattress and padding are left out.

    The mattress is denser than air, so air is the lowest peak and not the highest. The peak is
    looked for in a smoothed CT: noise is cut off at -1024 HU and would leave a peak there.
    """
    away = _distance_mm(~search.outside, search.spacing_mm) > AIR_FROM_BODY_MM
    unseen = ndimage.maximum_filter(search.hu, 3) <= LOWEST_STORED_HU
    away &= ~unseen & (search.hu > PADDING_BELOW_HU)
    hu, smooth = search.hu[away], ndimage.uniform_filter(search.hu, 3)[away]
    low, high = WINDOW_HU["air"]
    typical = float(np.median(search.hu[search.outside]))
    if not len(hu) and not low <= typical <= high:
        raise _not_there("air", "outside the body", typical)
    _require_volume("air", "outside the body", len(hu), search)
    centres, height = _histogram(smooth, PADDING_BELOW_HU, AIR_BELOW_HU)
    peak = float(centres[_peaks(height)[0]])
    found = hu[_around(smooth, peak)].astype(np.float64)
    return _in_window("air", "outside the body", found, peak)


def _fat(search: _Search) -> FloatArray:
    """HU of the fat under the skin."""
    near, far = FAT_DEPTH_MM
    hu = search.hu[search.body & (search.depth_mm > near) & (search.depth_mm < far)]
    return _at_peak("fat", "under the skin", hu, (-300.0, 300.0), search)


def _muscle(search: _Search) -> FloatArray:
    """HU of muscle: of its labels where there are some, else of what lies outside the hips."""
    place, there = "in its labels", np.isin(search.labels, MUSCLES)
    if not there.any():
        hips = np.isin(search.labels, (HIP_LEFT, HIP_RIGHT))
        place = "outside the hips" if hips.any() else "behind the sacrum"
        there = _outward_of(hips if hips.any() else search.labels == SACRUM, search)
        there &= search.depth_mm > MUSCLE_DEPTH_MM
    there = there & (
        _distance_mm(search.hu > BONE_ABOVE_HU, search.spacing_mm) > MUSCLE_FROM_BONE_MM
    )
    fatty = ndimage.uniform_filter(search.hu, 3) < FATTY_BELOW_HU
    hu = search.hu[there & ~ndimage.binary_dilation(fatty, np.ones((3, 3, 3)))]
    return _at_peak("muscle", place, hu, (-50.0, 150.0), search)


def _outward_of(bones: NDArray[np.bool_], search: _Search) -> NDArray[np.bool_]:
    """What is near bones, on the side away from the middle of the body: not bladder and bowel."""
    if not bones.any():
        return np.zeros(bones.shape, dtype=bool)
    spacing = np.asarray(search.spacing_mm)
    distance, nearest = ndimage.distance_transform_edt(~bones, spacing, return_indices=True)
    near = (distance > 0.0) & (distance < MUSCLE_WITHIN_MM)
    middle = np.argwhere(search.body).mean(axis=0)
    foot = np.stack([axis[near] for axis in nearest], axis=1)
    outward = np.einsum("ij,ij->i", (foot - middle) * spacing, (np.argwhere(near) - foot) * spacing)
    near[near] = outward > 0.0
    return np.asarray(near)


def _blood(search: _Search) -> tuple[FloatArray | None, tuple[str, ...]]:
    """HU of blood in labelled vessels without contrast medium, else None and why."""
    vessel = np.isin(search.labels, VESSELS)
    if not vessel.any():
        return None, (NO_VESSEL,)
    wall = _distance_mm(~vessel, search.spacing_mm)
    hu = search.hu[vessel & (wall > BLOOD_FROM_WALL_MM)].astype(np.float64)
    if len(hu) * search.voxel_ml < LEAST_ML["blood"]:
        return None, (NO_VESSEL,)
    low, high = WINDOW_HU["blood"]
    if np.median(hu) > high:
        return None, (CONTRAST.format(hu=np.median(hu)),)
    return (hu, ()) if np.median(hu) >= low else (None, (NO_VESSEL,))


def _at_peak(
    name: str, place: str, hu: NDArray[np.float32], bounds: tuple[float, float], search: _Search
) -> FloatArray:
    """The voxels around the highest peak in the window of a tissue.

    Raises:
        InputError: There are too few voxels, or the window holds no peak of its own.
    """
    _require_volume(name, place, len(hu), search)
    centres, height = _histogram(hu, *bounds)
    low, high = WINDOW_HU[name]
    peaks = _peaks(height)
    own = peaks[(centres[peaks] >= low) & (centres[peaks] <= high)]
    if not len(own):
        raise _not_there(name, place, float(centres[int(np.argmax(height))]))
    peak = float(centres[own[int(np.argmax(height[own]))]])
    return _in_window(name, place, hu[_around(hu, peak)].astype(np.float64), peak)


def _histogram(
    hu: NDArray[np.float32], low: float, high: float
) -> tuple[FloatArray, NDArray[np.float64]]:
    """Centres of the bins in HU and the smoothed counts."""
    counts, edges = np.histogram(hu, bins=np.arange(low, high + BIN_HU, BIN_HU))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), SMOOTH_BINS, mode="constant")
    return (edges[:-1] + edges[1:]) / 2.0, smooth


def _peaks(height: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bins higher than their neighbours that count, in order; at least the highest."""
    padded = np.concatenate([[-1.0], height, [-1.0]])
    higher = (padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:])
    return np.flatnonzero(higher & (height >= SECOND_PEAK * height.max()))


def _around(hu: NDArray[np.float32], peak: float) -> NDArray[np.bool_]:
    """Voxels around a peak; the window follows the median, so that it cuts both flanks alike."""
    for _ in range(3):
        peak = float(np.median(hu[np.abs(hu - peak) <= PEAK_HALF_WIDTH_HU]))
    return np.asarray(np.abs(hu - peak) <= PEAK_HALF_WIDTH_HU)


def _require_volume(name: str, place: str, voxels: int, search: _Search) -> None:
    volume_ml = voxels * search.voxel_ml
    if volume_ml < LEAST_ML[name]:
        raise InputError(
            f"calibration by internal references needs {LEAST_ML[name]:g} ml of {name} {place}, "
            f"found {volume_ml:.1f} ml: the field of view is too small for it; give a phantom's "
            "line, or a CT with more of the body in view."
        )


def _in_window(name: str, place: str, hu: FloatArray, peak: float) -> FloatArray:
    low, high = WINDOW_HU[name]
    if not low <= float(np.median(hu)) <= high:
        raise _not_there(name, place, peak)
    return hu


def _not_there(name: str, place: str, found_HU: float) -> InputError:
    low, high = WINDOW_HU[name]
    return InputError(
        f"calibration by internal references needs {name} {place} from {low:g} to {high:g} HU, "
        f"found the commonest value there at {found_HU:.0f} HU: the CT is scaled or shifted (is "
        f"its rescale applied?), or there is no {name} to be seen; give a phantom's line."
    )
