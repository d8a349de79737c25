"""Left stays left whatever a file's axes are; a file that does not say so is refused."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image.files import load_ct, read_ct, write_ct
from sacrofem.image.volume import CtVolume


def assert_same_world(read: CtVolume, ct: CtVolume) -> None:
    """The HU found at the world position of each voxel of ``ct`` is that voxel's."""
    index = np.argwhere(np.ones(ct.grid.shape, dtype=bool))
    there = np.round(read.grid.to_index(ct.grid.to_world(index.astype(float)))).astype(int)
    np.testing.assert_allclose(read.hu[tuple(there.T)], ct.hu[tuple(index.T)], atol=0.51)


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd", "mha"])
def test_left_is_left_whatever_the_order_of_the_axes(
    tmp_path: Path, suffix: str, pelvis, stored, orders
) -> None:
    """RAS, LPS, LAS and all other orders: the same voxel at the same place in the world."""
    ct, _ = pelvis
    for axes, flips in orders:
        write_ct(tmp_path / f"ct.{suffix}", stored(ct, axes, flips))
        assert_same_world(read_ct(tmp_path / f"ct.{suffix}"), ct)


def nifti(path: Path, ct: CtVolume, sform: np.ndarray | None, qform: np.ndarray | None) -> Path:
    image = nibabel.Nifti1Image(ct.hu, None)
    image.set_sform(sform, 0 if sform is None else 1)
    image.set_qform(qform, 0 if qform is None else 1)
    nibabel.save(image, path)
    return path


def ras(ct: CtVolume) -> np.ndarray:
    """The affine of a grid as NIfTI states it."""
    grid = ct.grid
    to_ras = np.diag([-1.0, -1.0, 1.0])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = to_ras @ grid.matrix, to_ras @ grid.origin_mm
    return affine


def test_nifti_orientation_by_sform_or_qform_alone(tmp_path: Path, pelvis) -> None:
    ct, _ = pelvis
    near = ras(ct)
    near[0, 3] += 0.4
    assert_same_world(read_ct(nifti(tmp_path / "s.nii", ct, ras(ct), None)), ct)
    assert_same_world(read_ct(nifti(tmp_path / "q.nii", ct, None, ras(ct))), ct)
    both = read_ct(nifti(tmp_path / "b.nii", ct, ras(ct), near))
    np.testing.assert_allclose(both.grid.origin_mm, ct.grid.origin_mm, atol=1e-4)
    assert "qform" in load_ct(tmp_path / "q.nii").notes[0]


def test_nifti_without_or_with_two_orientations_or_sheared_is_refused(
    tmp_path: Path, pelvis
) -> None:
    ct, _ = pelvis
    mirrored, sheared = ras(ct), ras(ct)
    mirrored[0] *= -1.0
    sheared[1, 2] = 8.0 * np.tan(np.radians(15.0))
    for sform, qform, words in (
        (None, None, "neither sform nor qform"),
        (ras(ct), mirrored, "mm apart, so left and right are not sure"),
        (sheared, None, r"axes are sheared, 15.0 degrees .* DICOM folder"),
        (np.diag([6e-3, 7e-3, 8e-3, 1.0]), None, "no clinical CT in mm"),
    ):
        with pytest.raises(InputError, match=words):
            read_ct(nifti(tmp_path / "ct.nii", ct, sform, qform))


def nrrd(path: Path, ct: CtVolume, space: str, sign: tuple[int, ...], shear: float = 0.0) -> Path:
    steps = np.diag(ct.grid.spacing_mm) * sign
    steps[2, 1] += shear
    told = ["({:g},{:g},{:g})".format(*row) for row in steps]
    origin = ct.grid.origin_mm * sign
    lines = (
        "NRRD0005",
        "type: float",
        "dimension: 3",
        *([f"space: {space}"] if space else []),
        f"sizes: {ct.grid.shape[0]} {ct.grid.shape[1]} {ct.grid.shape[2]}",
        f"space directions: {' '.join(told)}" if space else "spacings: 6 7 8",
        *(["space origin: ({:g},{:g},{:g})".format(*origin)] if space else []),
        "endian: little",
        "encoding: raw",
    )
    path.write_bytes("\n".join([*lines, "", ""]).encode() + ct.hu.tobytes(order="F"))
    return path


@pytest.mark.parametrize(
    ("space", "sign"),
    [
        ("left-posterior-superior", (1, 1, 1)),
        ("right-anterior-superior", (-1, -1, 1)),
        ("RAS", (-1, -1, 1)),
        ("left-anterior-superior", (1, -1, 1)),
    ],
)
def test_nrrd_spaces_give_the_same_world(tmp_path: Path, space: str, sign, pelvis) -> None:
    assert_same_world(read_ct(nrrd(tmp_path / "ct.nrrd", pelvis[0], space, sign)), pelvis[0])


def test_nrrd_of_unknown_space_or_sheared_is_refused(tmp_path: Path, pelvis) -> None:
    path = tmp_path / "ct.nrrd"
    for space, shear, words in (
        ("", 0.0, "no 'space'"),
        ("scanner-xyz", 0.0, "'space: scanner-xyz'"),
        ("left-posterior-superior", 2.0, "axes are sheared"),
    ):
        with pytest.raises(InputError, match=words):
            read_ct(nrrd(path, pelvis[0], space, (1, 1, 1), shear))


def meta(path: Path, lines: tuple[str, ...], ct: CtVolume) -> Path:
    head = (
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        *lines,
        f"Offset = {' '.join(f'{x:g}' for x in ct.grid.origin_mm)}",
        f"ElementSpacing = {' '.join(f'{x:g}' for x in ct.grid.spacing_mm)}",
        f"DimSize = {' '.join(str(n) for n in ct.grid.shape)}",
        "ElementType = MET_FLOAT",
        "ElementDataFile = LOCAL",
        "",
    )
    path.write_bytes("\n".join(head).encode() + ct.hu.tobytes(order="F"))
    return path


def test_metaimage_orientation_by_letters_by_matrix_and_by_both(
    tmp_path: Path, pelvis, stored
) -> None:
    """The letters name where each axis starts: RAI is the identity in LPS, LPI turns x and y."""
    ct, _ = pelvis
    turned = stored(ct, (0, 1, 2), (0, 1))
    identity, half_turn = "1 0 0 0 1 0 0 0 1", "-1 0 0 0 -1 0 0 0 1"
    for picture, matrix, letters in ((ct, identity, "RAI"), (turned, half_turn, "LPI")):
        by_matrix, by_letters = f"TransformMatrix = {matrix}", f"AnatomicalOrientation = {letters}"
        for lines in ((by_matrix,), (by_letters,), (by_matrix, by_letters)):
            assert_same_world(read_ct(meta(tmp_path / "ct.mha", lines, picture)), ct)
    unknown = (f"TransformMatrix = {identity}", "AnatomicalOrientation = ???")
    assert_same_world(read_ct(meta(tmp_path / "ct.mha", unknown, ct)), ct)


def test_metaimage_without_or_with_two_orientations_is_refused(tmp_path: Path, pelvis) -> None:
    identity = "TransformMatrix = 1 0 0 0 1 0 0 0 1"
    for lines, words in (
        ((), "neither TransformMatrix nor AnatomicalOrientation"),
        ((identity, "AnatomicalOrientation = LPI"), "LPI contradicts its TransformMatrix"),
        (("TransformMatrix = 1 0 0 0.2 1 0 0 0 1",), "axes are sheared"),
    ):
        with pytest.raises(InputError, match=words):
            read_ct(meta(tmp_path / "ct.mha", lines, pelvis[0]))
