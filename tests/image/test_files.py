"""What the file boundary refuses, that left stays left, and what is no CT in HU."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from sacrofem.errors import InputError
from sacrofem.image.files import (
    load_ct,
    read_ct,
    read_labels,
    read_pair,
    write_ct,
    write_labels,
)
from sacrofem.image.hounsfield import metal_mask, metal_ml
from sacrofem.image.labels import SACRUM
from sacrofem.image.volume import CtVolume, Grid, LabelMap

TILTED = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def volume(shape: tuple[int, int, int] = (5, 6, 7), direction: np.ndarray = TILTED) -> CtVolume:
    grid = Grid(shape, (1.0, 2.0, 3.0), np.array([10.0, -20.0, 30.0]), direction)
    hu = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 100.0
    return CtVolume(hu, grid)


FORMATS = ("nii", "nii.gz", "nrrd", "nhdr", "mha", "mhd")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_round_trip_keeps_every_voxel_at_its_place(tmp_path: Path, suffix: str) -> None:
    written = volume()
    path = tmp_path / f"ct.{suffix}"
    write_ct(path, written)
    read = read_ct(path)
    assert read.grid.same_as(written.grid)
    np.testing.assert_array_equal(read.hu, written.hu)
    labels = LabelMap((written.hu > 0).astype(np.uint8) * np.uint8(SACRUM), written.grid)
    write_labels(path, labels)
    np.testing.assert_array_equal(read_labels(path).labels, labels.labels)


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


def _nan(suffix: str):
    def make(folder: Path) -> Path:
        values = np.full((4, 5, 6), -100.0, dtype=np.float32)
        values[1, 2, 3] = np.nan
        sitk.WriteImage(sitk.GetImageFromArray(values), folder / f"nan.{suffix}")
        return folder / f"nan.{suffix}"

    return make


def _changed(change):
    """A CT of air, fat, muscle and bone whose values went through ``change``."""

    def make(folder: Path) -> Path:
        image = sitk.GetImageFromArray(change(body()).transpose(2, 1, 0))
        sitk.WriteImage(image, folder / "ct.mha")
        return folder / "ct.mha"

    return make


def body() -> np.ndarray:
    """HU of a body in air: 30 % air, 20 % fat, 40 % muscle, 10 % bone, with noise of 15 HU."""
    tissue = np.repeat([-1000.0, -100.0, 50.0, 400.0], [30, 20, 40, 10])
    noise = np.random.default_rng(5).normal(0.0, 15.0, (100, 10, 10))
    return np.clip(tissue[:, None, None] + noise, -1024.0, 3071.0).round().astype(np.float32)


def _text(folder: Path) -> Path:
    (folder / "notes.nii.gz").write_text("no image at all")
    return folder / "notes.nii.gz"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_hu_from_0_to_255, ("0 to 1", "Hounsfield", "rescale")),
        (_two_dimensional, ("three dimensions", "4", "series")),
        (_empty, ("empty", "0 bytes")),
        (_nan("nii.gz"), ("not finite", "(3, 2, 1)", "-1000")),
        (_nan("nrrd"), ("not finite", "(3, 2, 1)", "-1000")),
        (_nan("mha"), ("not finite", "(3, 2, 1)", "-1000")),
        (_text, ("not readable", "NIfTI")),
        (_changed(lambda hu: hu + 1024.0), ("0 to", "rescale intercept", "add -1024")),
        (_changed(lambda hu: hu * 10.0), ("ten times", "divide")),
        (_changed(lambda hu: hu[30:] * 10.0), ("ten times", "divide")),
        (_changed(lambda hu: hu[:88] * 10.0), ("ten times", "divide")),
        (_changed(lambda hu: hu / 5000.0 + 0.2), ("attenuation", "mu_water")),
        (_changed(lambda hu: ((hu + 160) / 2).clip(0, 255)), ("8 bits", "windowed", "rescale")),
        (_changed(lambda hu: np.full_like(hu, -1000.0)), ("every voxel", "-1000")),
        (_changed(lambda hu: np.minimum(hu, -900.0)), ("air only",)),
        (_changed(lambda hu: hu + 32768.0), ("31000 HU", "rescale")),
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


def test_metal_is_found_and_left_as_it_is(tmp_path: Path, pelvis) -> None:
    ct, _ = pelvis
    hu = ct.hu.copy()
    hu[3:5, 3, 3] = (2500.0, 3071.0)
    write_ct(tmp_path / "ct.nii", CtVolume(hu, ct.grid))
    read = load_ct(tmp_path / "ct.nii")
    assert np.argwhere(metal_mask(read.value)).tolist() == [[4, 3, 3]]
    assert metal_ml(read.value) == pytest.approx(0.336)
    assert read.value.hu[4, 3, 3] == 3071.0
    assert "0.3 ml of metal" in read.notes[0]


def test_a_prosthesis_and_padding_are_no_wrong_unit(tmp_path: Path) -> None:
    """Extended-scale metal in 3 % of the voxels and a circle of padding at -3024."""
    hu = body()
    hu[-3:] = 9000.0
    hu[:15] = -3024.0
    grid = Grid(hu.shape, (3.0, 3.0, 3.0), np.zeros(3), np.eye(3))
    write_ct(tmp_path / "ct.nii", CtVolume(hu, grid))
    np.testing.assert_array_equal(read_ct(tmp_path / "ct.nii").hu, hu)


def test_a_series_can_be_asked_of_dicom_only_and_only_known_endings_are_written(tmp_path: Path):
    write_ct(tmp_path / "ct.nii", volume())
    with pytest.raises(InputError, match="in a DICOM folder only"):
        read_ct(tmp_path / "ct.nii", series=20)
    with pytest.raises(InputError, match="written as NIfTI"):
        write_ct(tmp_path / "ct.tiff", volume())
