"""What the file boundary refuses, and that left stays left."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from sacrofem.errors import InputError
from sacrofem.image.files import read_ct, read_labels, read_pair, write_ct, write_labels
from sacrofem.image.volume import CtVolume, Grid, LabelMap

TILTED = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def volume(shape: tuple[int, int, int] = (5, 6, 7), direction: np.ndarray = TILTED) -> CtVolume:
    grid = Grid(shape, (1.0, 2.0, 3.0), np.array([10.0, -20.0, 30.0]), direction)
    hu = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 100.0
    return CtVolume(hu, grid)


def test_a_round_trip_keeps_every_voxel_at_its_place(tmp_path: Path) -> None:
    written = volume()
    write_ct(tmp_path / "ct.nii.gz", written)
    read = read_ct(tmp_path / "ct.nii.gz")
    assert read.grid.same_as(written.grid)
    np.testing.assert_array_equal(read.hu, written.hu)


def test_world_coordinates_are_lps_as_simpleitk_gives_them(tmp_path: Path) -> None:
    write_ct(tmp_path / "ct.nii.gz", volume())
    image = sitk.ReadImage(str(tmp_path / "ct.nii.gz"))
    index = np.array([[2, 3, 4]])
    world = read_ct(tmp_path / "ct.nii.gz").grid.to_world(index)[0]
    np.testing.assert_allclose(world, image.TransformIndexToPhysicalPoint((2, 3, 4)), atol=1e-5)


def test_the_real_ct_has_its_implant_on_the_left(real_ct: tuple[Path, Path]) -> None:
    ct, labels = read_pair(*real_ct)
    metal = ct.grid.to_world(np.argwhere(ct.hu > 2500).astype(float)).mean(axis=0)
    midline = ct.grid.to_world(np.argwhere(labels.mask(25)).astype(float)).mean(axis=0)
    assert metal[0] > midline[0] + 50.0


def _hu_from_0_to_255(folder: Path) -> Path:
    ct = volume()
    write_ct(folder / "ct.nii.gz", CtVolume(np.clip(ct.hu, 0, 255), ct.grid))
    return folder / "ct.nii.gz"


def _two_dimensional(folder: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5), dtype=np.int16)), folder / "a.nii.gz")
    return folder / "a.nii.gz"


def _empty(folder: Path) -> Path:
    (folder / "empty.nii.gz").touch()
    return folder / "empty.nii.gz"


def _nan(folder: Path) -> Path:
    values = np.full((4, 5, 6), -100.0, dtype=np.float32)
    values[1, 2, 3] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(values), folder / "nan.nii.gz")
    return folder / "nan.nii.gz"


def _text(folder: Path) -> Path:
    (folder / "notes.nii.gz").write_text("no image at all")
    return folder / "notes.nii.gz"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_hu_from_0_to_255, ("0 to 1", "Hounsfield", "rescale")),
        (_two_dimensional, ("three dimensions", "4", "series")),
        (_empty, ("empty", "0 bytes")),
        (_nan, ("not finite", "(3, 2, 1)", "-1000")),
        (_text, ("not readable", "NIfTI")),
        (lambda folder: folder / "none.nii.gz", ("no such file",)),
    ],
)
def test_what_is_no_ct_is_refused_by_name_place_value_and_way_out(
    tmp_path: Path, make, words
) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError) as caught:
        read_ct(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_ct_given_as_labels_is_recognised(tmp_path: Path) -> None:
    write_ct(tmp_path / "ct.nii.gz", volume())
    with pytest.raises(InputError, match="whole numbers from 0 to 255"):
        read_labels(tmp_path / "ct.nii.gz")


def test_ct_and_labels_of_different_grids_are_refused(tmp_path: Path) -> None:
    ct, other = volume(), volume((5, 6, 8))
    write_ct(tmp_path / "ct.nii.gz", ct)
    labels = LabelMap(np.zeros(other.grid.shape, dtype=np.uint8), other.grid)
    write_labels(tmp_path / "labels.nii.gz", labels)
    with pytest.raises(InputError, match=r"labels.nii.gz: its grid \(5 x 6 x 8 .*resample"):
        read_pair(tmp_path / "ct.nii.gz", tmp_path / "labels.nii.gz")
