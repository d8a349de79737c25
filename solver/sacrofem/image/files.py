"""Reading and writing CT and labels at the file boundary: what comes in is checked, and is LPS.

``load_*`` give the value and notes on how it was read; ``read_*`` give the value alone.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sacrofem.errors import InputError
from sacrofem.image.dicom import is_dicom, load_dicom
from sacrofem.image.formats import ACCEPTED, read_image, require_finite, write_image
from sacrofem.image.hounsfield import METAL_HU, metal_ml, require_hounsfield
from sacrofem.image.labels import NAMES
from sacrofem.image.noted import Noted
from sacrofem.image.placement import onto_grid, require_sides
from sacrofem.image.segmentations import Numbers, load_segmentation
from sacrofem.image.volume import CtVolume, Grid, LabelMap


@dataclass(frozen=True, eq=False)
class Pair:
    """A CT and its labels on the same grid."""

    ct: CtVolume
    labels: LabelMap


def load_ct(path: Path, series: int | str | None = None) -> Noted[CtVolume]:
    """Read a CT in Hounsfield units from NIfTI, NRRD, MetaImage or a folder of DICOM.

    Args:
        path: An image file, a DICOM folder, or one multi-frame DICOM file.
        series: Of a DICOM folder: SeriesInstanceUID or number of slices; see
            :func:`sacrofem.image.dicom.load_dicom`.

    Raises:
        InputError: The file is missing, empty, not three-dimensional, of unknown orientation,
            holds values that are not finite, or is not in HU; or the DICOM cannot be used.
    """
    if path.is_dir() or is_dicom(path):
        read = load_dicom(path, series)
    else:
        if series is not None:
            raise InputError(
                f"{path}: a series ({series}) can be chosen in a DICOM folder only; leave it out, "
                f"or give the folder instead of {ACCEPTED}."
            )
        image = read_image(path)
        values, grid = image.value
        require_finite(values, str(path))
        read = Noted(CtVolume(hu=values.astype(np.float32, order="C"), grid=grid), image.notes)
    require_hounsfield(read.value.hu, str(path))
    metal = metal_ml(read.value)
    found = (f"{metal:.1f} ml of metal (above {METAL_HU:g} HU)",) if metal else ()
    return Noted(read.value, (*read.notes, *found))


def load_labels(path: Path, numbers: Numbers | None = None) -> Noted[LabelMap]:
    """Read labels; see :func:`sacrofem.image.segmentations.load_segmentation`.

    Raises:
        InputError: The labels cannot be read, or their bones lie on the wrong side.
    """
    read = load_segmentation(path, numbers)
    require_sides(read.value, str(path))
    return read


def load_pair(
    ct_path: Path,
    labels_path: Path,
    series: int | str | None = None,
    numbers: Numbers | None = None,
) -> Noted[Pair]:
    """Read a CT and its labels, on the grid of the CT.

    Labels on a turned or flipped copy of the CT's voxels, or on a part of them, are put at their
    place exactly; labels on any other grid are refused.

    Raises:
        InputError: See :func:`load_ct` and :func:`load_labels`; or the grids do not fit.
    """
    ct, labels = load_ct(ct_path, series), load_labels(labels_path, numbers)
    notes = (*ct.notes, *labels.notes)
    grid = ct.value.grid
    if grid.same_as(labels.value.grid):
        return Noted(Pair(ct.value, labels.value), notes)
    placed = onto_grid(labels.value, grid)
    if placed is None:
        raise InputError(
            f"{labels_path}: its grid ({describe(labels.value.grid)}) is not that of {ct_path} "
            f"({describe(grid)}); resample the labels onto the CT with nearest neighbours."
        )
    return Noted(Pair(ct.value, placed.value), (*notes, *placed.notes))


def read_ct(path: Path, series: int | str | None = None) -> CtVolume:
    """The CT of :func:`load_ct` without its notes."""
    return load_ct(path, series).value


def read_labels(path: Path, numbers: Numbers | None = None) -> LabelMap:
    """The labels of :func:`load_labels` without their notes."""
    return load_labels(path, numbers).value


def read_pair(
    ct_path: Path,
    labels_path: Path,
    series: int | str | None = None,
    numbers: Numbers | None = None,
) -> tuple[CtVolume, LabelMap]:
    """The CT and the labels of :func:`load_pair` without their notes."""
    pair = load_pair(ct_path, labels_path, series, numbers).value
    return pair.ct, pair.labels


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
    """Write a CT as int16, in the format of the suffix: NIfTI, NRRD or MetaImage."""
    write_image(path, np.round(ct.hu).astype(np.int16), ct.grid)


def write_labels(path: Path, labels: LabelMap) -> None:
    """Write a label map as uint8, in the format of the suffix: NIfTI, NRRD or MetaImage."""
    write_image(path, labels.labels, labels.grid)


def describe(grid: Grid) -> str:
    """A grid in words for messages."""
    shape = " x ".join(str(n) for n in grid.shape)
    spacing = " x ".join(f"{s:.3g}" for s in grid.spacing_mm)
    origin = ", ".join(f"{x:.1f}" for x in grid.origin_mm)
    return f"{shape} voxels of {spacing} mm at {origin}"
