"""One image file of three dimensions to an array ``[i, j, k]`` and its grid in LPS, and back.

NIfTI is read with nibabel: ITK turns NaN into 0, takes one of two contradicting orientations
without a word, and invents one where there is none. NRRD and MetaImage are read with ITK, which
keeps NaN but skews sheared axes silently and takes unknown spaces for LPS; so their headers are
looked at first. Left and right always come from the file, never from the order of the array.
"""

import re
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.noted import Noted
from sacrofem.image.volume import FloatArray, Grid

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr")
META = (".mha", ".mhd")
SUFFIXES = (*NIFTI, *NRRD, *META)
ACCEPTED = "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr) or MetaImage (.mha, .mhd)"

#: Axes are straightened where that moves no voxel by more than this part of one (a choice: header
#: rounding stays below it, a gantry tilt of 0.1 degree in 100 slices does not).
STRAIGHTEN_VOXELS = 0.1
#: Voxel sizes of clinical CT with a wide margin (a choice); outside, the unit is not mm.
VOXEL_MM = (0.02, 25.0)

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
#: MetaImage names the side where each axis starts: RAI is ITK's identity, x from right to left.
AXIS_FROM = {
    "R": (1, 0, 0),
    "L": (-1, 0, 0),
    "A": (0, 1, 0),
    "P": (0, -1, 0),
    "I": (0, 0, 1),
    "S": (0, 0, -1),
}
NRRD_SPACES = {
    "left-posterior-superior",
    "lps",
    "right-anterior-superior",
    "ras",
    "left-anterior-superior",
    "las",
}

Image = tuple[NDArray[Any], Grid]


def suffix_of(path: Path) -> str:
    """The known suffix of an image file in small letters, or an empty string."""
    name = path.name.lower()
    return next((s for s in SUFFIXES if name.endswith(s)), "")


def read_image(path: Path) -> Noted[Image]:
    """Read one file: values with their own type, shape ``grid.shape``, and the grid.

    Raises:
        InputError: The file is missing, empty, of another format or broken; is not
            three-dimensional with one real value per voxel; or its orientation is unknown,
            contradictory or not orthogonal.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give {ACCEPTED}.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); export or copy it again.")
    suffix = suffix_of(path)
    if not suffix:
        raise InputError(f"{path}: not readable as an image; give {ACCEPTED}.")
    return _read_nifti(path) if suffix in NIFTI else _read_itk(path, suffix)


def require_finite(values: NDArray[Any], source: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        InputError: A value is not finite; the message counts them and gives the first.
    """
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values)
    if bad.any():
        place = tuple(int(n) for n in np.argwhere(bad)[0])
        raise InputError(
            f"{source}: {int(bad.sum())} voxels are not finite (the first at {place}); export the "
            "CT again, or replace them by air (-1000 HU)."
        )


def make_grid(shape: tuple[int, ...], axes_mm: FloatArray, origin_mm: FloatArray, who: str) -> Grid:
    """The grid of axis steps in mm (columns of ``axes_mm``, LPS); rounding is straightened.

    Raises:
        InputError: The steps are not finite, not in mm, or not at right angles.
    """
    steps = np.linalg.norm(axes_mm, axis=0)
    if not np.isfinite(axes_mm).all() or not np.isfinite(origin_mm).all():
        raise InputError(f"{who}: the header's orientation is not finite; export the image again.")
    if steps.min() < VOXEL_MM[0] or steps.max() > VOXEL_MM[1]:
        size = " x ".join(f"{s:.4g}" for s in steps)
        raise InputError(
            f"{who}: voxels of {size} are no clinical CT in mm (possible are {VOXEL_MM[0]:g} to "
            f"{VOXEL_MM[1]:g} mm); write the header's voxel size in mm."
        )
    given = axes_mm / steps
    u, _, vt = np.linalg.svd(given)
    straight = u @ vt
    moved = np.abs((given - straight) * steps) @ np.asarray(shape, dtype=np.float64)
    if moved.max() > STRAIGHTEN_VOXELS * steps.min():
        cosines = given.T @ given - np.eye(3)
        angle = np.degrees(np.arcsin(np.abs(cosines).max().clip(max=1.0)))
        raise InputError(
            f"{who}: its axes are sheared, {angle:.1f} degrees off a right angle (a gantry tilt?), "
            "and voxels must be rectangular; resample it to an orthogonal grid, or give the "
            "DICOM folder, whose tilt is removed on reading."
        )
    exact = np.abs(given - straight).max() < 1e-12
    nx, ny, nz = (int(n) for n in shape)
    sx, sy, sz = (float(s) for s in steps)
    return Grid((nx, ny, nz), (sx, sy, sz), np.asarray(origin_mm), given if exact else straight)


def write_image(path: Path, values: NDArray[np.generic], grid: Grid) -> None:
    """Write an array ``[i, j, k]`` in the format that the suffix of ``path`` names.

    Raises:
        InputError: The suffix is none that can be written.
    """
    if not suffix_of(path):
        raise InputError(f"{path}: images are written as {ACCEPTED}; change the file's ending.")
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin([float(x) for x in grid.origin_mm])
    image.SetDirection([float(x) for x in grid.direction.ravel()])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), useCompression=True)


def _require_volume(path: Path, shape: tuple[int, ...], kind: str) -> None:
    if kind not in "biuf":
        raise InputError(
            f"{path}: one real value per voxel is needed, found colours, complex numbers or a "
            "segmentation in layers; export the CT itself, or one label map."
        )
    if len(shape) != 3 or min(shape) < 2:
        size = " x ".join(str(n) for n in shape)
        raise InputError(
            f"{path}: a volume of three dimensions is needed, found {size} voxels; "
            "give the whole series, not one slice and not a sequence in time."
        )


def _read_nifti(path: Path) -> Noted[Image]:
    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Pair):
            raise ImageFileError("no NIfTI header")
        values = np.asarray(image.dataobj)
        axes, origin, notes = _nifti_axes(path, image)
    except (
        ImageFileError,
        HeaderDataError,
        WrapStructError,
        OSError,
        EOFError,
        ValueError,
        zlib.error,
    ) as error:
        raise InputError(
            f"{path}: not readable as an image ({_first_line(error)}); give {ACCEPTED}."
        ) from error
    if values.ndim > 3 and set(values.shape[3:]) == {1}:
        values = values.reshape(values.shape[:3])
    _require_volume(path, values.shape, values.dtype.kind)
    return Noted((values, make_grid(values.shape, axes, origin, str(path))), notes)


def _nifti_axes(path: Path, image: Any) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
    """Axis steps and origin in LPS mm from sform and qform."""
    sform, _ = image.get_sform(coded=True)
    qform, _ = image.get_qform(coded=True)
    if sform is None and qform is None:
        raise InputError(
            f"{path}: its header has neither sform nor qform (both codes are 0), so left and right "
            "are not known; convert it from DICOM again, or set the right orientation."
        )
    chosen = qform if sform is None else sform
    notes: tuple[str, ...] = ()
    if sform is None:
        notes = (f"{path.name}: orientation from the qform, there is no sform",)
    elif qform is not None:
        shape = (*image.shape, 1, 1)[:3]
        ends = [[0, n] for n in shape]
        corners = np.stack(np.meshgrid(*ends, [1], indexing="ij"), axis=-1).reshape(-1, 4)
        apart = np.linalg.norm((corners @ (sform - qform).T)[:, :3], axis=1).max()
        if apart > np.linalg.norm(sform[:3, :3], axis=0).min():
            raise InputError(
                f"{path}: its sform and its qform put the same voxel up to {apart:.1f} mm apart, "
                "so left and right are not sure; remove the wrong one from the header."
            )
    unit, _ = image.header.get_xyzt_units()
    scale = {"meter": 1000.0, "micron": 1e-3}.get(unit, 1.0)
    if scale != 1.0:
        notes = (*notes, f"{path.name}: its header is in {unit}, turned into mm")
    to_lps = RAS_TO_LPS @ (chosen[:3] * scale)
    return to_lps[:, :3], to_lps[:, 3], notes


def _read_itk(path: Path, suffix: str) -> Noted[Image]:
    header = _header(path)
    if suffix in NRRD:
        _require_nrrd_space(path, header)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path}: not readable as an image ({_first_line(error)}); give {ACCEPTED}."
        ) from error
    kind = "V" if image.GetNumberOfComponentsPerPixel() != 1 else "f"
    _require_volume(path, image.GetSize(), kind)
    direction: FloatArray = np.array(image.GetDirection()).reshape(3, 3)
    if suffix in META:
        direction = _meta_direction(path, header, direction)
    axes = direction * np.array(image.GetSpacing())
    values = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    grid = make_grid(values.shape, axes, np.array(image.GetOrigin()), str(path))
    return Noted((values, grid))


def _header(path: Path) -> dict[str, str]:
    """Fields of the text header of NRRD (``key: value``) or MetaImage (``key = value``)."""
    with path.open("rb") as file:
        text = file.read(1 << 16).decode("latin-1")
    fields: dict[str, str] = {}
    for line in text.splitlines():
        match = re.match(r"\s*([\w ]+?)\s*(?::=|:|=)\s*(.*)", line)
        if match:
            fields[match[1].lower()] = match[2].strip()
        # What follows is voxels.
        if not line.strip() or line.startswith("ElementDataFile"):
            break
    return fields


def _require_nrrd_space(path: Path, header: dict[str, str]) -> None:
    space = header.get("space", "")
    if space.lower() not in NRRD_SPACES or "space directions" not in header:
        found = f"'space: {space}'" if space else "no 'space'"
        raise InputError(
            f"{path}: the header has {found} and "
            f"{'' if 'space directions' in header else 'no '}'space directions', so left and right "
            "are not known; give it a space (left-posterior-superior, right-anterior-superior or "
            "left-anterior-superior) and space directions, as 3D Slicer does."
        )


def _meta_direction(path: Path, header: dict[str, str], direction: FloatArray) -> FloatArray:
    """Axes of a MetaImage: its matrix, or its letters where there is no matrix."""
    letters = header.get("anatomicalorientation", "").upper()
    known = len(letters) == 3 and set(letters) <= set(AXIS_FROM)
    named = np.array([AXIS_FROM[n] for n in letters], dtype=np.float64).T if known else None
    if not {"transformmatrix", "orientation", "rotation"} & set(header):
        if named is None:
            raise InputError(
                f"{path}: the header has neither TransformMatrix nor AnatomicalOrientation, so "
                "left and right are not known; add one of them."
            )
        return named
    # Letters name the nearest axis of an oblique matrix, which is at most 55 degrees away.
    if named is not None and (direction * named).sum(axis=0).min() < 0.5:
        raise InputError(
            f"{path}: AnatomicalOrientation = {letters} contradicts its TransformMatrix, so left "
            "and right are not sure; remove the wrong one from the header."
        )
    return direction


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("sitk::ERROR: ") if lines else type(error).__name__
