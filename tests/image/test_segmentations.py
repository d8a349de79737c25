"""Labels of any numbers, files and axes become one map on the CT's voxels, or are refused."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from sacrofem.errors import InputError
from sacrofem.image.files import (
    load_labels,
    load_pair,
    read_labels,
    read_pair,
    write_ct,
    write_labels,
)
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.volume import CtVolume, Grid, LabelMap


def test_a_mirrored_or_turned_picture_is_seen_by_its_bones(tmp_path: Path, pelvis) -> None:
    _, labels = pelvis
    for axis, words in ((0, "mirrored"), (1, "front and back"), (2, "upside down")):
        write_labels(tmp_path / "l.nrrd", LabelMap(np.flip(labels.labels, axis), labels.grid))
        with pytest.raises(InputError, match=words):
            read_labels(tmp_path / "l.nrrd")


def test_labels_on_turned_or_cropped_voxels_are_placed_exactly(
    tmp_path: Path, pelvis, stored, orders
) -> None:
    ct, labels = pelvis
    write_ct(tmp_path / "ct.nrrd", ct)
    picture = CtVolume(labels.labels.astype(np.float32), labels.grid)
    for axes, flips in orders:
        turned = stored(picture, axes, flips)
        write_labels(tmp_path / "l.nrrd", LabelMap(turned.hu.astype(np.uint8), turned.grid))
        read = load_pair(tmp_path / "ct.nrrd", tmp_path / "l.nrrd")
        np.testing.assert_array_equal(read.value.labels.labels, labels.labels)
        assert read.value.labels.grid.same_as(ct.grid)
        assert bool(read.notes) == (axes != (0, 1, 2) or bool(flips))
    corner = labels.grid.to_world(np.array([[2.0, 3.0, 2.0]]))[0]
    part = labels.labels[2:18, 3:12, 2:13]
    own = Grid(part.shape, labels.grid.spacing_mm, corner, np.eye(3))
    write_labels(tmp_path / "l.nrrd", LabelMap(part, own))
    read = load_pair(tmp_path / "ct.nrrd", tmp_path / "l.nrrd")
    np.testing.assert_array_equal(read.value.labels.labels, labels.labels)
    assert any("a part of 16 x 9 x 11 voxels" in note for note in read.notes)


@pytest.mark.parametrize("shift_mm", [(0.6, 0.0, 0.0), (-12.0, 0.0, 0.0)])
def test_labels_between_or_beyond_the_voxels_of_the_ct_are_refused(
    tmp_path: Path, shift_mm, pelvis
):
    ct, labels = pelvis
    write_ct(tmp_path / "ct.mha", ct)
    grid = Grid(ct.grid.shape, ct.grid.spacing_mm, ct.grid.origin_mm + shift_mm, np.eye(3))
    write_labels(tmp_path / "l.mha", LabelMap(labels.labels, grid))
    with pytest.raises(InputError, match="resample the labels onto the CT"):
        read_pair(tmp_path / "ct.mha", tmp_path / "l.mha")


def test_label_numbers_of_others_are_mapped(tmp_path: Path, pelvis) -> None:
    """Two numbers for one bone, numbers above 255, floats, and a number that nobody asked for."""
    _, labels = pelvis
    own = {SACRUM: 1, HIP_LEFT: 2000, HIP_RIGHT: 3, L5: 4}
    values = np.zeros(labels.grid.shape)
    for number, other in own.items():
        values[labels.labels == number] = other
    values[14:16][labels.labels[14:16] == HIP_LEFT] = 5
    values[0, 0, 0] = 9
    turned = CtVolume(values.astype(np.float32), labels.grid)
    image = sitk.GetImageFromArray(turned.hu.transpose(2, 1, 0))
    image.SetSpacing(labels.grid.spacing_mm)
    image.SetOrigin(labels.grid.origin_mm.tolist())
    sitk.WriteImage(image, tmp_path / "l.nrrd")
    numbers = {"sacrum": 1, "hip_left": [2000, 5], "hip_right": 3, "L5": 4, "S1": 6}
    read = load_labels(tmp_path / "l.nrrd", numbers)
    np.testing.assert_array_equal(read.value.labels, labels.labels)
    assert read.value.labels.dtype == np.uint8
    assert "numbers 9 are not used" in read.notes[0]
    assert "numbers 6 do not occur" in read.notes[1]
    for wrong, words in (
        ({"sacrum": 7}, r"7 \(sacrum\) is not in the file, found 1, 3, 4, 5, 9, 2000"),
        ({"sacrum": 1, "hip_left": [2, 1]}, "given to sacrum and to hip_left"),
        ({"sacrum": 1, "hip_lft": 2}, "did you mean hip_left"),
        ({"hip_left": 1}, "no label number is given for the sacrum"),
        ({"sacrum": 0}, "whole numbers from 1"),
        (None, "from 0 to 255 .*, found 2000"),
    ):
        with pytest.raises(InputError, match=words):
            read_labels(tmp_path / "l.nrrd", wrong)


def test_a_separate_s1_is_joined_with_the_sacrum(tmp_path: Path, pelvis) -> None:
    _, labels = pelvis
    split = labels.labels.copy()
    split[8:12, 8:12, 7:9] = 26
    write_labels(tmp_path / "l.nii.gz", LabelMap(split, labels.grid))
    read = load_labels(tmp_path / "l.nii.gz")
    np.testing.assert_array_equal(read.value.labels, labels.labels)
    assert "vertebra S1 (label 26, 32 voxels) joined" in read.notes[0]


def test_the_real_labels_with_s1_split_are_those_without(real_ct: tuple[Path, Path]) -> None:
    whole = read_labels(real_ct[1])
    split = read_labels(real_ct[1].with_name("sacrum_pelvis_labels_s1split.nii.gz"))
    np.testing.assert_array_equal(split.labels, whole.labels)


def test_a_folder_of_masks_as_totalsegmentator_writes_it(tmp_path: Path, pelvis) -> None:
    _, labels = pelvis
    names = {"sacrum": SACRUM, "hip_left": HIP_LEFT, "hip_right": HIP_RIGHT, "vertebrae_L5": L5}
    for name, number in names.items():
        mask = labels.mask(number)
        if name == "sacrum":
            mask[:, :, 7:9] = False
        write_labels(tmp_path / f"{name}.nii.gz", LabelMap(mask.astype(np.uint8), labels.grid))
    first = labels.mask(SACRUM)
    first[:, :, :7] = False
    write_labels(tmp_path / "vertebrae_S1.nii.gz", LabelMap(first.astype(np.uint8), labels.grid))
    (tmp_path / "spleen.nii.gz").write_text("not looked at")
    np.testing.assert_array_equal(read_labels(tmp_path).labels, labels.labels)
    with pytest.raises(InputError, match="cannot be given for a folder"):
        read_labels(tmp_path, {"sacrum": 1})
    (tmp_path / "sacrum.nii.gz").unlink()
    with pytest.raises(InputError, match="no mask of the sacrum"):
        read_labels(tmp_path)


def test_labels_in_dicom_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "seg.dcm").write_bytes(bytes(128) + b"DICM" + bytes(20))
    for path in (tmp_path, tmp_path / "seg.dcm"):
        with pytest.raises(InputError, match=r"DICOM \(SEG or RTSTRUCT\) are not read"):
            read_labels(path)
