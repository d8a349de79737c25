"""What a folder of DICOM files contains: the position and rescale of every slice, by series.

Headers are read with pydicom, so that position, orientation, rescale and padding are each file's
own and can be checked one by one; nothing is taken from file names or from the order of files.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from sacrofem.image.volume import FloatArray

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DIRECTORY = "1.2.840.10008.1.3.10"
#: Values of ImageType of pictures that lie in the folder of a CT and are none.
NO_SLICE = {"LOCALIZER", "SCOUT", "SCREEN SAVE", "DOSE_INFO"}
#: Cosines of one orientation agree to this (a choice: headers round to 5 or 6 digits).
SAME_COSINE = 1e-3
TAGS = [
    "SOPClassUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "Modality",
    "ImageType",
    "ConvolutionKernel",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice: a file, or a frame of a multi-frame file.

    Attributes:
        path: The file.
        frame: Index of the frame in it, 0 for a file of one slice.
        series_uid: SeriesInstanceUID.
        modality: CT, MR, ...
        title: Description and reconstruction kernel of the series, in words.
        photometric: PhotometricInterpretation.
        shape: Columns and rows.
        spacing_mm: Distance of columns and of rows.
        position_mm: Centre of the first voxel in LPS, shape (3,).
        cosines: Direction of a row (along which the column index grows) and of a column, (6,).
        rescale: Slope and intercept, or None where the file has none.
        rescale_type: Unit of the rescaled value, empty where the file does not say.
        padding: Smallest and largest stored value of padding, or None.
        problem: Why the slice cannot be placed, or empty.
    """

    path: Path
    frame: int
    series_uid: str
    modality: str
    title: str
    photometric: str
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    position_mm: FloatArray
    cosines: FloatArray
    rescale: tuple[float, float] | None
    rescale_type: str
    padding: tuple[float, float] | None
    problem: str


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of one series and one orientation, in the order of their files."""

    slices: tuple[Slice, ...]

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.slices[0].series_uid

    @property
    def modality(self) -> str:
        """Modality of the series."""
        return self.slices[0].modality

    def describe(self) -> str:
        """UID, description, number of slices and spacing in words."""
        first = self.slices[0]
        normal = np.cross(first.cosines[:3], first.cosines[3:])
        along = np.sort(np.array([s.position_mm @ normal for s in self.slices]))
        step = float(np.median(np.diff(along))) if len(along) > 1 else 0.0
        size = f"{first.spacing_mm[0]:.3g} x {first.spacing_mm[1]:.3g} x {step:.3g} mm"
        return f"{self.uid} ({first.title}, {self.modality}, {len(self.slices)} slices, {size})"


def scan(path: Path) -> tuple[tuple[Stack, ...], Counter[str]]:
    """All slices of a folder and its sub-folders (or of one file) by series and orientation.

    Returns:
        The stacks, and how many files of which other kinds were left out.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    left_out: Counter[str] = Counter()
    stacks: dict[str, list[list[Slice]]] = {}
    for file in files:
        found = _slices_of(file)
        if isinstance(found, str):
            left_out[found] += 1
            continue
        for one in found:
            parts = stacks.setdefault(one.series_uid, [])
            for part in parts:
                if np.abs(part[0].cosines - one.cosines).max() < SAME_COSINE:
                    part.append(one)
                    break
            else:
                parts.append([one])
    return tuple(Stack(tuple(p)) for parts in stacks.values() for p in parts), left_out


def has_preamble(path: Path) -> bool:
    """Whether a file begins as DICOM does."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _slices_of(path: Path) -> list[Slice] | str:
    """The slices of one file, or what else it is."""
    try:
        bare = not has_preamble(path)
        # Old files begin with their first element (group 0008) and have no preamble.
        if bare:
            with path.open("rb") as file:
                if file.read(2) != b"\x08\x00":
                    return "no DICOM"
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS, force=bare)
        other = _kind_without_slices(header)
        return other or _read_slices(path, header)
    except (InvalidDicomError, OSError, EOFError, ValueError, TypeError, AttributeError, KeyError):
        return "broken DICOM"


def _kind_without_slices(header: Dataset) -> str:
    sop = str(header.get("SOPClassUID", ""))
    meta = getattr(header, "file_meta", None)
    if meta is not None and str(meta.get("MediaStorageSOPClassUID", "")) == DIRECTORY:
        return "DICOMDIR"
    if sop == SECONDARY_CAPTURE or sop.startswith(SECONDARY_CAPTURE + "."):
        return "secondary capture"
    modality = str(header.get("Modality", "") or "DICOM")
    if "Rows" not in header:
        return f"{modality} object without image"
    if modality in ("SEG", "RTDOSE"):
        return f"{modality} object"
    if NO_SLICE & {str(word).upper() for word in header.get("ImageType", None) or ()}:
        return "localizer or dose report"
    many = int(header.get("NumberOfFrames", None) or 1) > 1
    if not many and "PerFrameFunctionalGroupsSequence" not in header:
        lacks = any(
            not header.get(tag, None) for tag in ("ImagePositionPatient", "ImageOrientationPatient")
        )
        return "picture without position" if lacks else ""
    return ""


def _read_slices(path: Path, header: Dataset) -> list[Slice]:
    per_frame = header.get("PerFrameFunctionalGroupsSequence", None)
    if per_frame:
        shared = header.get("SharedFunctionalGroupsSequence", None)
        common = shared[0] if shared else Dataset()
        return [
            _slice(path, n, header, _frame_tags(item, common)) for n, item in enumerate(per_frame)
        ]
    frames = int(header.get("NumberOfFrames", None) or 1)
    if frames > 1:
        why = "multi-frame without functional groups, so no frame has a position"
        return [_slice(path, n, header, Dataset(), why) for n in range(frames)]
    return [_slice(path, 0, header, header)]


def _frame_tags(item: Dataset, common: Dataset) -> Dataset:
    """Position, orientation, spacing and rescale of a frame, its own or shared by all."""
    tags = Dataset()
    for name in (
        "PixelMeasuresSequence",
        "PlaneOrientationSequence",
        "PlanePositionSequence",
        "PixelValueTransformationSequence",
    ):
        group = item.get(name, None) or common.get(name, None)
        if group:
            tags.update(group[0])
    return tags


def _slice(path: Path, frame: int, header: Dataset, tags: Dataset, problem: str = "") -> Slice:
    def numbers(name: str, count: int) -> FloatArray:
        given = tags.get(name, None)
        ok = given is not None and not isinstance(given, str) and len(given) == count
        return np.array([float(x) for x in given]) if ok else np.full(count, np.nan)

    position, cosines = numbers("ImagePositionPatient", 3), numbers("ImageOrientationPatient", 6)
    rows_apart, columns_apart = numbers("PixelSpacing", 2)
    for name, value in (
        ("ImagePositionPatient", position),
        ("ImageOrientationPatient", cosines),
        ("PixelSpacing", rows_apart),
    ):
        if not problem and not np.isfinite(value).all():
            problem = f"its header has no usable {name}"
    slope, intercept = tags.get("RescaleSlope", None), tags.get("RescaleIntercept", None)
    lacking = slope in (None, "") or intercept in (None, "")
    words = (str(header.get("SeriesDescription", "") or "no description"), _kernel(header))
    return Slice(
        path=path,
        frame=frame,
        series_uid=str(header.get("SeriesInstanceUID", "")),
        modality=str(header.get("Modality", "") or "unknown modality"),
        title=", ".join(w for w in words if w),
        photometric=str(header.get("PhotometricInterpretation", "")),
        shape=(int(header.Columns), int(header.Rows)),
        spacing_mm=(float(columns_apart), float(rows_apart)),
        position_mm=np.nan_to_num(position) if problem else position,
        cosines=np.nan_to_num(cosines) if problem else cosines,
        rescale=None if lacking else (float(slope), float(intercept)),
        rescale_type=str(tags.get("RescaleType", "") or "").strip(),
        padding=_padding(header),
        problem=problem,
    )


def _kernel(header: Dataset) -> str:
    given = header.get("ConvolutionKernel", None)
    if not given:
        return ""
    return f"kernel {given if isinstance(given, str) else '/'.join(given)}"


def _padding(header: Dataset) -> tuple[float, float] | None:
    """Stored values of padding; some writers store a negative one as if it were unsigned."""
    value = header.get("PixelPaddingValue", None)
    limit = header.get("PixelPaddingRangeLimit", None)
    signed = header.get("PixelRepresentation", 0) == 1

    def stored(given: Any) -> float:
        number = int(given)
        return float(number - 65536 if signed and number > 32767 else number)

    if value in (None, ""):
        return None
    ends = stored(value), stored(value if limit in (None, "") else limit)
    return min(ends), max(ends)
