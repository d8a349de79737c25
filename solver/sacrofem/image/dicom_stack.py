"""The geometry of a stack of slices: their order, gaps, copies, and the tilt of the gantry."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.errors import InputError
from sacrofem.image.dicom_headers import Slice
from sacrofem.image.hounsfield import AIR_HU
from sacrofem.image.volume import FloatArray

#: Slices may lie this part of their distance off a regular stack (a choice: positions rounded to
#: 0.1 mm stay below it, one missing slice is ten times above it).
IRREGULAR = 0.1
#: In-plane shifts over the whole stack below this part of a pixel are rounding, not a tilt.
TILT_PIXELS = 0.1
#: Positions closer than this are one (a choice: no CT has slices so thin).
SAME_POSITION_MM = 0.01


@dataclass(frozen=True, eq=False)
class Geometry:
    """A regular stack.

    Attributes:
        slices: In the order of growing position along the normal.
        direction: Row, column and normal as columns, shape (3, 3), right-handed.
        step_mm: Distance of slices along the normal.
        shift_mm: In-plane shift of each slice against the first along row and column,
            shape (n, 2); zero without tilt.
        tilt_degrees: Angle between the direction of the stack and the normal.
    """

    slices: tuple[Slice, ...]
    direction: FloatArray
    step_mm: float
    shift_mm: FloatArray
    tilt_degrees: float


def require_uniform(slices: tuple[Slice, ...], who: str) -> None:
    """Check that all slices have one size, one pixel spacing and one kind of value.

    Raises:
        InputError: They differ, or are colours, inverted or not in HU.
    """
    first = slices[0]
    for one in slices:
        place = f"{one.path.name}, frame {one.frame + 1}" if one.frame else one.path.name
        if one.problem:
            raise InputError(f"{who}: {place}: {one.problem}; export the series again.")
        if one.shape != first.shape:
            raise InputError(
                f"{who}: mixed sizes, {first.path.name} has {_size(first)} pixels and {place} "
                f"{_size(one)}; remove the slices that do not belong to the stack."
            )
        if not np.allclose(one.spacing_mm, first.spacing_mm, rtol=1e-3):
            raise InputError(
                f"{who}: mixed pixel spacing, {first.path.name} has {first.spacing_mm[0]:g} mm and "
                f"{place} {one.spacing_mm[0]:g} mm; remove the slices that do not belong to it."
            )
        if one.photometric != "MONOCHROME2":
            raise InputError(
                f"{who}: {place} is {one.photometric or 'of unknown photometry'}, a picture made "
                "for display; a CT in HU is MONOCHROME2, export the original series."
            )
        if one.rescale is None or one.rescale[0] == 0.0:
            raise InputError(
                f"{who}: {place} has no rescale slope and intercept, so its values cannot be "
                "turned into HU; export the original series."
            )
        if one.rescale_type not in ("", "HU"):
            raise InputError(
                f"{who}: {place} is rescaled to {one.rescale_type!r}, not to HU; export the series "
                "in Hounsfield units."
            )


def stack_geometry(slices: tuple[Slice, ...], who: str) -> Geometry:
    """Order slices along their normal and find the regular stack that they form.

    Raises:
        InputError: The cosines are not orthonormal; fewer than two positions; a position
            occurs twice; slices are missing or irregular, or do not lie on a line.
    """
    row, column = slices[0].cosines[:3], slices[0].cosines[3:]
    if np.abs([row @ row - 1.0, column @ column - 1.0, row @ column]).max() > 1e-2:
        raise InputError(
            f"{who}: its row and column directions are not at right angles (ImageOrientationPatient"
            f" {np.round(slices[0].cosines, 4).tolist()}); export the series again."
        )
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    normal = np.cross(row, column)
    place = np.array([s.position_mm for s in slices])
    order = np.argsort(place @ normal, kind="stable")
    place, slices = place[order], tuple(slices[n] for n in order)
    along = place @ normal
    _require_regular(along, slices, who)
    step = float(along[-1] - along[0]) / (len(along) - 1)
    shift = np.stack([place @ row, place @ column], axis=1)
    shift -= shift[0]
    return Geometry(
        slices,
        np.stack([row, column, normal], axis=1),
        step,
        *_tilt(shift, along - along[0], np.array(slices[0].spacing_mm), who),
    )


def _require_regular(along: FloatArray, slices: tuple[Slice, ...], who: str) -> None:
    if len(along) < 2:
        raise InputError(f"{who}: one slice is no volume; give the folder with the whole series.")
    steps = np.diff(along)
    if steps.min() < SAME_POSITION_MM:
        same = np.flatnonzero(steps < SAME_POSITION_MM)
        n = int(same[0])
        raise InputError(
            f"{who}: {len(same)} positions occur twice with different pixels, the first at "
            f"{along[n]:.1f} mm along the normal ({slices[n].path.name} and "
            f"{slices[n + 1].path.name}); two phases or reconstructions in one series? Keep one."
        )
    step = float(np.median(steps))
    gaps = np.flatnonzero(steps > 1.5 * step)
    if gaps.size:
        told = ", ".join(f"{along[n]:.1f} to {along[n + 1]:.1f} mm" for n in gaps[:5])
        raise InputError(
            f"{who}: slices are missing, {gaps.size} gaps along the normal where slices lie "
            f"{step:.3g} mm apart: {told}{' ...' if gaps.size > 5 else ''}; copy the series "
            "completely, interpolated bone would be invented."
        )
    even = np.linspace(along[0], along[-1], len(along))
    if np.abs(along - even).max() > IRREGULAR * step:
        raise InputError(
            f"{who}: slices lie {steps.min():.3g} to {steps.max():.3g} mm apart, and a regular "
            "stack is needed; export a reconstruction with one distance of slices."
        )


def _tilt(
    shift: FloatArray, along: FloatArray, pixel_mm: FloatArray, who: str
) -> tuple[FloatArray, float]:
    """In-plane shifts of a tilted gantry, which must grow evenly, and the angle."""
    if np.abs(shift / pixel_mm).max() <= TILT_PIXELS:
        return np.zeros_like(shift), 0.0
    slope = shift[-1] / along[-1]
    even = along[:, None] * slope
    if np.abs((shift - even) / pixel_mm).max() > 0.5:
        raise InputError(
            f"{who}: the slices do not lie behind each other on a line (in-plane shifts up to "
            f"{np.abs(shift).max():.1f} mm); parts of two scans? Keep one of them."
        )
    return even, float(np.degrees(np.arctan(np.linalg.norm(slope))))


def unshear(
    hu: NDArray[np.float32], shift_mm: FloatArray, pixel_mm: tuple[float, float]
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Move every slice of ``hu[i, j, k]`` in its plane by ``shift_mm[k]``, on a larger grid.

    Linear interpolation along the shift, so that no value leaves the range of its neighbours; what
    no slice covers becomes air.

    Returns:
        The volume, and the pixels by which its first voxel lies before that of the first slice.
    """
    pixels = shift_mm / np.asarray(pixel_mm)
    low = np.floor(pixels.min(axis=0)).astype(int)
    more = np.ceil(pixels.max(axis=0)).astype(int) - low
    ni, nj, nk = hu.shape
    moved = np.full((ni + more[0], nj + more[1], nk), AIR_HU, dtype=np.float32)
    for k in range(nk):
        padded = np.pad(hu[:, :, k], [(0, more[0]), (0, more[1])], constant_values=AIR_HU)
        moved[:, :, k] = ndimage.shift(
            padded, pixels[k] - low, order=1, cval=AIR_HU, prefilter=False
        )
    return moved, (-int(low[0]), -int(low[1]))


def _size(one: Slice) -> str:
    return f"{one.shape[0]} x {one.shape[1]}"
