"""Reading and writing NIfTI at the file boundary: what comes in is checked, what goes out is LPS.

SimpleITK gives world coordinates in LPS whatever the file's own convention is; this module only
turns its ``[k, j, i]`` arrays into ``[i, j, k]`` and refuses what cannot be a CT or a label map.
"""

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.labels import NAMES
from sacrofem.image.volume import CtVolume, Grid, LabelMap

#: A CT contains air or fat; an image without any voxel below this is not in HU.
MOST_NEGATIVE_HU_AT_LEAST = -50.0
#: 12-bit scanners end at 3071 HU, extended ones at 30710 HU (Coolens 2003).
LARGEST_HU = 31000.0


def read_ct(path: Path) -> CtVolume:
    """Read a CT in Hounsfield units from a NIfTI file.

    Raises:
        InputError: The file is missing, empty, not three-dimensional, holds values that are not
            finite, or is not in HU.
    """
    values, grid = _read(path)
    _require_finite(path)
    hu = values.astype(np.float32)
    low, high = float(hu.min()), float(hu.max())
    if low > MOST_NEGATIVE_HU_AT_LEAST or high > LARGEST_HU:
        raise InputError(
            f"{path}: the values run from {low:g} to {high:g}, so this is not a CT in Hounsfield "
            "units (air -1000, fat about -100); export it with its rescale slope and intercept "
            "applied, not as a windowed picture."
        )
    return CtVolume(hu=hu, grid=grid)


def read_labels(path: Path) -> LabelMap:
    """Read a label map with TotalSegmentator numbers from a NIfTI file.

    Raises:
        InputError: The file is missing, empty, not three-dimensional or holds other values than
            whole numbers from 0 to 255.
    """
    values, grid = _read(path)
    whole = np.isfinite(values) & (values == np.round(values)) & (values >= 0) & (values <= 255)
    if not whole.all():
        place = tuple(int(n) for n in np.argwhere(~whole)[0])
        raise InputError(
            f"{path}: a label map holds whole numbers from 0 to 255, found "
            f"{values[place]} at voxel {place}; is this the CT instead of its labels?"
        )
    return LabelMap(labels=values.astype(np.uint8), grid=grid)


def read_pair(ct_path: Path, labels_path: Path) -> tuple[CtVolume, LabelMap]:
    """Read a CT and its label map and check that they belong together.

    Raises:
        InputError: See :func:`read_ct` and :func:`read_labels`; or the grids differ.
    """
    ct, labels = read_ct(ct_path), read_labels(labels_path)
    if not ct.grid.same_as(labels.grid):
        raise InputError(
            f"{labels_path}: its grid ({describe(labels.grid)}) is not that of {ct_path} "
            f"({describe(ct.grid)}); resample the labels onto the CT with nearest neighbours."
        )
    return ct, labels


def require_labels(labels: LabelMap, needed: tuple[int, ...], source: str) -> None:
    """Check that every needed label occurs.

    Raises:
        InputError: A label is absent; the message lists those that are there.
    """
    present = [int(n) for n in np.unique(labels.labels) if n]
    missing = [n for n in needed if n not in present]
    if missing:
        raise InputError(
            f"{source}: label {missing[0]} ({NAMES[missing[0]]}) is missing, found "
            f"{present or 'no label at all'}; label numbers are those of TotalSegmentator v2."
        )


def write_ct(path: Path, ct: CtVolume) -> None:
    """Write a CT as int16 NIfTI."""
    _write(path, np.round(ct.hu).astype(np.int16), ct.grid)


def write_labels(path: Path, labels: LabelMap) -> None:
    """Write a label map as uint8 NIfTI."""
    _write(path, labels.labels, labels.grid)


def _require_finite(path: Path) -> None:
    """Look for NaN and infinity in the file itself: ITK's NIfTI reader turns them into 0."""
    image = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Pair) or image.get_data_dtype().kind != "f":
        return
    bad = ~np.isfinite(np.asarray(image.dataobj))
    if bad.any():
        place = tuple(int(n) for n in np.argwhere(bad)[0])
        raise InputError(
            f"{path}: {int(bad.sum())} voxels are not finite (the first at {place}); export the CT "
            "again, or replace them by air (-1000 HU)."
        )


def describe(grid: Grid) -> str:
    """A grid in words for messages."""
    shape = " x ".join(str(n) for n in grid.shape)
    spacing = " x ".join(f"{s:.3g}" for s in grid.spacing_mm)
    origin = ", ".join(f"{x:.1f}" for x in grid.origin_mm)
    return f"{shape} voxels of {spacing} mm at {origin}"


def _read(path: Path) -> tuple[NDArray[np.float64], Grid]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a NIfTI image (.nii or .nii.gz).")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); export or copy it again.")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path}: not readable as an image ({_cause(error)}); give NIfTI (.nii, .nii.gz)."
        ) from error
    if image.GetDimension() != 3 or min(image.GetSize()) < 2:
        size = " x ".join(str(n) for n in image.GetSize())
        raise InputError(
            f"{path}: a volume of three dimensions is needed, found {size} voxels; "
            "give the whole series, not one slice."
        )
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            f"{path}: one value per voxel is needed, found "
            f"{image.GetNumberOfComponentsPerPixel()} (a colour image?); export the CT itself."
        )
    nx, ny, nz = image.GetSize()
    sx, sy, sz = image.GetSpacing()
    grid = Grid(
        shape=(nx, ny, nz),
        spacing_mm=(sx, sy, sz),
        origin_mm=np.array(image.GetOrigin()),
        direction=np.array(image.GetDirection()).reshape(3, 3),
    )
    array = sitk.GetArrayViewFromImage(image)
    return np.ascontiguousarray(array.transpose(2, 1, 0), dtype=np.float64), grid


def _cause(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("sitk::ERROR: ") if lines else "no cause given"


def _write(path: Path, values: NDArray[np.generic], grid: Grid) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin([float(x) for x in grid.origin_mm])
    image.SetDirection([float(x) for x in grid.direction.ravel()])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), useCompression=True)
