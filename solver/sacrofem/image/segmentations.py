"""Label maps from files: one file with numbers, or a folder with one mask a structure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.formats import SUFFIXES, read_image, suffix_of
from sacrofem.image.labels import (
    ALIASES,
    NAMES,
    S1,
    SACRUM,
    STRUCTURES,
    file_numbers,
    structure_number,
)
from sacrofem.image.noted import Noted
from sacrofem.image.volume import Grid, LabelMap

Numbers = Mapping[str, int | Sequence[int]]


def load_segmentation(path: Path, numbers: Numbers | None = None) -> Noted[LabelMap]:
    """Read labels on their own grid, with the project's numbers.

    Args:
        path: A label file, or a folder of masks named ``sacrum.nii.gz``, ``vertebrae_L5.nii.gz``,
            ... as TotalSegmentator writes them by default.
        numbers: Which numbers of the file mean which structure, for example
            ``{"sacrum": 1, "hip_left": [2, 5]}``; other numbers are dropped. Without it the
            numbers of TotalSegmentator v2 hold. A separate S1 is joined with the sacrum.

    Raises:
        InputError: The file or folder cannot be read as labels.
    """
    if path.is_dir():
        if numbers is not None:
            raise InputError(
                f"{path}: label numbers cannot be given for a folder of masks, whose files are "
                "named by their structure; leave them out, or give one label file."
            )
        read = _masks(path)
    else:
        read = _numbered(path, numbers)
    joined = _with_s1(read.value.labels)
    labels = LabelMap(joined.value, read.value.grid)
    return Noted(labels, (*read.notes, *joined.notes))


def _numbered(path: Path, numbers: Numbers | None) -> Noted[LabelMap]:
    _refuse_dicom(path)
    image = read_image(path)
    values, grid = image.value
    _require_whole(values, path, 255 if numbers is None else None)
    if numbers is None:
        return Noted(LabelMap(values.astype(np.uint8), grid), image.notes)
    table = file_numbers(numbers, str(path))
    labels = np.zeros(grid.shape, dtype=np.uint8)
    for target, found in table.items():
        labels[np.isin(values, found)] = target
    present = {int(n) for n in np.unique(values) if n}
    named = {n for found in table.values() for n in found}
    if not present & set(table[SACRUM]):
        raise InputError(
            f"{path}: label number {table[SACRUM][0]} (sacrum) is not in the file, found "
            f"{_list(present)}; correct the label numbers."
        )
    notes = list(image.notes)
    if present - named:
        notes.append(f"{path.name}: label numbers {_list(present - named)} are not used")
    if named - present:
        notes.append(f"{path.name}: label numbers {_list(named - present)} do not occur in it")
    return Noted(LabelMap(labels, grid), tuple(notes))


def _masks(folder: Path) -> Noted[LabelMap]:
    """A folder of one mask a structure; files of other structures are left alone."""
    wanted = {*STRUCTURES, *ALIASES}
    files = {
        path: path.name[: -len(suffix_of(path))]
        for path in sorted(folder.iterdir())
        if suffix_of(path) and path.name[: -len(suffix_of(path))] in wanted
    }
    if "sacrum" not in files.values():
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            _refuse_dicom(path)
        raise InputError(
            f"{folder}: there is no mask of the sacrum in the folder (sacrum.nii.gz, or with "
            f"{', '.join(SUFFIXES[2:])}); give the folder that TotalSegmentator wrote, or one "
            "label file."
        )
    labels: NDArray[np.uint8] | None = None
    grid: Grid | None = None
    notes: list[str] = []
    twice = 0
    for path, name in files.items():
        image = read_image(path)
        values, own = image.value
        _require_whole(values, path, None)
        notes += image.notes
        if labels is None or grid is None:
            labels, grid, first = np.zeros(own.shape, dtype=np.uint8), own, path
        elif not grid.same_as(own):
            raise InputError(
                f"{path}: its grid is not that of {first.name}; all masks of a folder lie on one "
                "grid, write them again in one run."
            )
        mask = values != 0
        twice += int(np.count_nonzero(mask & (labels != 0)))
        labels[mask & (labels == 0)] = structure_number(name, str(path))
    assert labels is not None
    assert grid is not None
    notes.insert(0, f"labels from the masks {', '.join(files.values())} in {folder.name}")
    if twice:
        notes.append(f"{twice * grid.voxel_ml:.2f} ml lie in two masks and went to the first")
    return Noted(LabelMap(labels, grid), tuple(notes))


def _with_s1(labels: NDArray[np.uint8]) -> Noted[NDArray[np.uint8]]:
    """One sacrum of TotalSegmentator's sacrum and vertebra S1."""
    split = labels == S1
    count = int(np.count_nonzero(split))
    if not count:
        return Noted(labels)
    note = f"{NAMES[S1]} (label {S1}, {count} voxels) joined with the sacrum (label {SACRUM})"
    return Noted(np.where(split, np.uint8(SACRUM), labels), (note,))


def _require_whole(values: NDArray[Any], path: Path, largest: int | None) -> None:
    if values.dtype.kind == "f":
        fit = np.isfinite(values) & (values == np.round(values)) & (values >= 0)
    else:
        fit = values >= 0
    if largest is not None:
        fit &= values <= largest
    if not np.all(fit):
        place = tuple(int(n) for n in np.argwhere(~fit)[0])
        span = "from 0 to 255" if largest == 255 else "from 0"
        way = (
            " (a mapping of label numbers may have larger ones)"
            if largest and np.all(values >= 0)
            else ""
        )
        raise InputError(
            f"{path}: a label map holds whole numbers {span}{way}, found {values[place]} at voxel "
            f"{place}; is this the CT instead of its labels?"
        )


def _refuse_dicom(path: Path) -> None:
    """Segmentation objects and contours of DICOM are told apart from a broken file."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return
    if start[128:] == b"DICM":
        raise InputError(
            f"{path}: labels in DICOM (SEG or RTSTRUCT) are not read; export them as a label map "
            "in NIfTI or NRRD, for example with 3D Slicer."
        )


def _list(numbers: set[int]) -> str:
    return ", ".join(str(n) for n in sorted(numbers)) or "none"
