"""A CT from a folder of DICOM: the series is chosen, every slice rescaled by its own numbers.

pydicom gives the stored values, so that rescale and padding are applied here, per slice and in
sight of the tests; SimpleITK's GDCM only decompresses what pydicom has no decoder for (JPEG
lossless above all, which most archives use).
"""

import hashlib
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset

from sacrofem.errors import InputError
from sacrofem.image.dicom_headers import (
    SECONDARY_CAPTURE,
    Slice,
    Stack,
    has_preamble,
    scan,
)
from sacrofem.image.dicom_stack import Geometry, require_uniform, stack_geometry, unshear
from sacrofem.image.formats import make_grid
from sacrofem.image.hounsfield import AIR_HU
from sacrofem.image.noted import Noted
from sacrofem.image.volume import CtVolume

#: A padding value in this range of HU is a tissue's value too, and is left as it is.
TISSUE_HU = (-500.0, 2500.0)
PIXEL_TAGS = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "NumberOfFrames",
)


def is_dicom(path: Path) -> bool:
    """Whether ``path`` is a file that begins as DICOM does."""
    return path.is_file() and has_preamble(path)


def load_dicom(path: Path, series: int | str | None = None) -> Noted[CtVolume]:
    """Read a CT from a folder of DICOM files, or from one multi-frame file.

    A tilted gantry is removed by moving every slice in its plane; exact copies of slices are
    dropped; padding becomes air.

    Args:
        path: The folder; sub-folders, files of other kinds and other series may lie in it.
        series: SeriesInstanceUID, or number of slices; without it the series with most slices.

    Raises:
        InputError: No CT, or no single one, fits; or its slices form no regular volume in HU.
    """
    stacks, left_out = scan(path)
    chosen, notes = choose_stack(stacks, series, str(path), left_out)
    who = f"{path}: series {chosen.describe()}"
    require_uniform(chosen.slices, who)
    slices, copies = _without_copies(chosen.slices, who)
    geometry = stack_geometry(slices, who)
    hu, padded = _rescaled(geometry.slices, who)
    told = [*notes]
    if left_out:
        said = ", ".join(f"{n} {kind}" for kind, n in sorted(left_out.items()))
        told.append(f"files left out: {said}")
    if copies:
        told.append(f"{copies} exact copies of slices dropped")
    if len({s.rescale for s in slices}) > 1:
        told.append("slope and intercept differ from slice to slice; each slice has its own")
    told += padded
    return _volume(hu, geometry, who, tuple(told))


def choose_stack(
    stacks: tuple[Stack, ...], series: int | str | None, source: str, left_out: Counter[str]
) -> tuple[Stack, list[str]]:
    """The stack that is asked for, or the CT with most slices.

    Raises:
        InputError: There is no CT, no such series, or more than one that fits equally.
    """
    fitting = [s for s in stacks if s.modality == "CT"]
    if isinstance(series, str):
        fitting = [s for s in stacks if s.uid == series]
    elif series is not None:
        fitting = [s for s in fitting if len(s.slices) == series]
    if not fitting:
        raise InputError(f"{source}: {_why_none(stacks, series, left_out)}")
    most = max(len(s.slices) for s in fitting)
    best = [s for s in fitting if len(s.slices) == most]
    if len(best) > 1:
        raise InputError(
            f"{source}: {len(best)} series have {most} slices each: {_told(best)}; name one by "
            "its UID as 'series'."
        )
    chosen = best[0]
    if chosen.modality != "CT":
        raise InputError(
            f"{source}: series {chosen.describe()} is {chosen.modality}, and a CT is needed: only "
            "CT has Hounsfield units."
        )
    others = [s for s in stacks if s is not chosen]
    notes = [f"DICOM series {chosen.describe()}"]
    return chosen, [*notes, *([f"other series: {_told(others)}"] if others else [])]


def _why_none(stacks: tuple[Stack, ...], series: int | str | None, left_out: Counter[str]) -> str:
    if stacks and series is not None:
        asked = f"UID {series}" if isinstance(series, str) else f"{series} slices"
        return f"there is no CT series with {asked}; there are {_told(stacks)}."
    if stacks:
        return f"there is no CT in it, only {_told(stacks)}; Hounsfield units need a CT."
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(left_out.items())) or "no file at all"
    return f"there is no DICOM slice in it, found {kinds}; give the folder of the CT series."


def _told(stacks: tuple[Stack, ...] | list[Stack]) -> str:
    return "; ".join(s.describe() for s in stacks)


def _without_copies(slices: tuple[Slice, ...], who: str) -> tuple[tuple[Slice, ...], int]:
    """Drop slices at the place of another with the same pixels and rescale.

    Instance UIDs are not asked: bad anonymisers give one to all slices. Slices that differ at one
    place stay, and are refused where the stack is put in order.
    """
    by_place: dict[tuple[float, ...], list[Slice]] = {}
    for one in slices:
        by_place.setdefault(tuple(np.round(one.position_mm, 2)), []).append(one)
    twice = {s.path for group in by_place.values() if len(group) > 1 for s in group}
    prints = {
        (path, n): hashlib.sha256(frame.tobytes()).digest()
        for path in twice
        for n, frame in enumerate(_decoded(path, who))
    }
    single = [
        one
        for group in by_place.values()
        for one in {(prints.get((s.path, s.frame)), s.rescale): s for s in group[::-1]}.values()
    ]
    return tuple(single), len(slices) - len(single)


def _rescaled(slices: tuple[Slice, ...], who: str) -> tuple[NDArray[np.float32], list[str]]:
    """HU as ``[i, j, k]``, and notes on padding."""
    columns, rows = slices[0].shape
    hu = np.empty((columns, rows, len(slices)), dtype=np.float32)
    opened: tuple[Path | None, NDArray[Any]] = (None, np.empty(0))
    aired = kept = 0
    for k, one in enumerate(slices):
        if opened[0] != one.path:
            opened = (one.path, _decoded(one.path, who))
        stored = opened[1][one.frame]
        assert one.rescale is not None
        slope, intercept = one.rescale
        values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        if one.padding is not None:
            padding = (stored >= one.padding[0]) & (stored <= one.padding[1])
            count = int(np.count_nonzero(padding))
            ends = slope * np.array(one.padding) + intercept
            if ends.max() < TISSUE_HU[0] or ends.min() > TISSUE_HU[1]:
                values[padding] = AIR_HU
                aired += count
            else:
                kept += count
        hu[:, :, k] = values.T
    notes = [f"{aired} padded voxels set to air ({AIR_HU:g} HU)"] if aired else []
    if kept:
        notes.append(
            f"{kept} voxels have the padding value, which is a tissue's value too; left as they are"
        )
    return hu, notes


def _volume(
    hu: NDArray[np.float32], geometry: Geometry, who: str, notes: tuple[str, ...]
) -> Noted[CtVolume]:
    first = geometry.slices[0]
    axes = geometry.direction * [*first.spacing_mm, geometry.step_mm]
    origin = first.position_mm
    if geometry.tilt_degrees:
        hu, (before_i, before_j) = unshear(hu, geometry.shift_mm, first.spacing_mm)
        origin = origin - axes @ [before_i, before_j, 0]
        notes = (
            *notes,
            f"gantry tilt of {geometry.tilt_degrees:.1f} degrees removed: slices moved in their "
            "planes with linear interpolation, what they do not cover is air",
        )
    return Noted(CtVolume(hu, make_grid(hu.shape, axes, origin, who)), notes)


def _decoded(path: Path, who: str) -> NDArray[Any]:
    """Stored values of a file, shape (frames, rows, columns)."""
    try:
        data = pydicom.dcmread(path, force=True)
        frames = int(data.get("NumberOfFrames", None) or 1)
        shape = (frames, int(data.Rows), int(data.Columns))
        syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
        if syntax is None:
            # Without a file header the data are implicit little endian (PS3.10).
            data.ensure_file_meta()
            data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        values = _stored(data)
        return _without_unused_bits(values.reshape(shape), data)
    except (
        RuntimeError,
        NotImplementedError,
        ValueError,
        AttributeError,
        KeyError,
        TypeError,
        OSError,
        EOFError,
    ) as error:
        name = getattr(_syntax_of(path), "name", "unknown transfer syntax")
        raise InputError(
            f"{who}: the pixels of {path.name} cannot be decoded ({name}): "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; export the "
            "series uncompressed, or copy it again."
        ) from error


def _syntax_of(path: Path) -> Any:
    """Transfer syntax of a file, or None where it says none."""
    meta = getattr(pydicom.dcmread(path, stop_before_pixels=True, force=True), "file_meta", None)
    return getattr(meta, "TransferSyntaxUID", None)


def _stored(data: Dataset) -> NDArray[Any]:
    try:
        return np.asarray(data.pixel_array)
    except (RuntimeError, NotImplementedError, ValueError):
        if not data.file_meta.TransferSyntaxUID.is_compressed:
            raise
        return _by_gdcm(data)


def _by_gdcm(data: Dataset) -> NDArray[Any]:
    """Decompress a copy that holds the pixels only, so that GDCM applies no rescale of its own."""
    bare = Dataset()
    for tag in PIXEL_TAGS:
        if tag in data:
            bare[tag] = data[tag]
    bare["PixelData"] = data["PixelData"]
    bare.SOPClassUID = SECONDARY_CAPTURE
    bare.SOPInstanceUID = pydicom.uid.generate_uid()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "pixels.dcm"
        pydicom.dcmwrite(copy, bare, enforce_file_format=True)
        return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(copy))))


def _without_unused_bits(values: NDArray[Any], data: Dataset) -> NDArray[Any]:
    """Old overlays hide in the bits above the stored ones."""
    stored, allocated = int(data.BitsStored), int(data.BitsAllocated)
    if values.dtype.kind not in "iu" or stored >= allocated:
        return values
    bits = values.astype(np.int32) & ((1 << stored) - 1)
    if data.PixelRepresentation == 1:
        bits = bits - ((bits >> (stored - 1)) << stored)
    return bits
