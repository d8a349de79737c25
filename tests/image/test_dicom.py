"""DICOM folders: the right series, every slice at its place in HU, and what is refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from sacrofem.errors import InputError
from sacrofem.image.files import load_ct, read_ct
from sacrofem.image.volume import CtVolume

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
COLUMNS, ROWS, SLICES = 12, 10, 8
#: Distance of columns, rows and slices: all different, so that exchanging two is seen.
PIXEL = (1.5, 2.0, 2.5)
Edit = Callable[[Dataset, int], None]


def values(i: np.ndarray, j: np.ndarray, k: np.ndarray) -> np.ndarray:
    """HU of voxel (i, j, k): no two voxels alike."""
    return -1000.0 + i + 20.0 * j + 200.0 * k


def frame(k: int) -> np.ndarray:
    """HU of slice ``k`` as DICOM stores it: rows, columns."""
    j, i = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    return values(i, j, np.full_like(i, k))


def header(uid: str, pixels: np.ndarray, position: np.ndarray, cosines=AXIAL) -> Dataset:
    """A CT slice with intercept -1024, signed 16 bits."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID = CT_CLASS, generate_uid(), uid
    data.Modality, data.SeriesDescription = "CT", "pelvis"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.ImagePositionPatient = [float(x) for x in position]
    data.ImageOrientationPatient = list(cosines)
    data.PixelSpacing = [PIXEL[1], PIXEL[0]]
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, -1024, "HU"
    data.PixelData = np.round(pixels + 1024).astype("<i2").tobytes()
    return data


def save(data: Dataset, path: Path) -> Path:
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def series(
    folder: Path,
    edit: Edit = lambda data, k: None,
    count: int = SLICES,
    uid: str = "1.2.3",
    cosines=AXIAL,
    leave_out: tuple[int, ...] = (),
) -> Path:
    """Write a series, its files in an order that says nothing about that of the slices."""
    normal = np.cross(cosines[:3], cosines[3:])
    for k in range(count):
        position = np.array([-10.0, -20.0, 100.0]) + normal * PIXEL[2] * k
        data = header(uid, frame(k), position, cosines)
        edit(data, k)
        if k not in leave_out:
            save(data, folder / f"IM{(k * 7) % 31:03d}{uid[-1]}")
    return folder


def always(tag: str, value: object, of: tuple[int, ...] = tuple(range(99))) -> Edit:
    def edit(data: Dataset, k: int) -> None:
        if k in of:
            setattr(data, tag, value)

    return edit


def assert_every_voxel_at_its_place(ct: CtVolume, cosines=AXIAL) -> None:
    """The HU of each voxel says its index, and so where it must lie."""
    i, j, k = np.meshgrid(*[np.arange(n) for n in ct.grid.shape], indexing="ij")
    np.testing.assert_allclose(ct.hu, values(i, j, k), atol=1e-3)
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    corner = np.array([[COLUMNS - 1.0, ROWS - 1.0, SLICES - 1.0]])
    far = row * PIXEL[0] * corner[0, 0] + column * PIXEL[1] * corner[0, 1]
    far = far + np.cross(row, column) * PIXEL[2] * corner[0, 2] + [-10.0, -20.0, 100.0]
    np.testing.assert_allclose(ct.grid.to_world(corner)[0], far, atol=1e-6)


@pytest.mark.parametrize(
    "cosines",
    [
        AXIAL,
        (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
        (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
        (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
        (0.8, 0.6, 0.0, -0.6, 0.8, 0.0),
    ],
    ids=["axial", "sagittal", "coronal", "prone", "oblique"],
)
def test_every_voxel_lies_where_its_slice_says(tmp_path: Path, cosines) -> None:
    assert_every_voxel_at_its_place(read_ct(series(tmp_path, cosines=cosines)), cosines)


def test_simpleitk_gives_the_same_world(tmp_path: Path) -> None:
    cosines = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
    ct = read_ct(series(tmp_path, cosines=cosines))
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image = sitk.ReadImage(names)
    index = (3, 4, 5)
    world = ct.grid.to_world(np.array([index], dtype=float))[0]
    np.testing.assert_allclose(world, image.TransformIndexToPhysicalPoint(index), atol=1e-4)
    assert ct.hu[index] == image[index]


def test_what_lies_between_the_slices_is_left_out(tmp_path: Path) -> None:
    scout = always("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"])
    capture = always("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7")
    without_place = always("ImagePositionPatient", None)
    directory = always("SOPClassUID", "1.2.840.10008.1.3.10")

    def dose(data: Dataset, k: int) -> None:
        data.Modality = "SR"
        for tag in ("Rows", "Columns", "PixelData"):
            del data[tag]

    series(tmp_path / "a" / "b")
    for n, edit in enumerate((scout, capture, without_place, dose, directory)):
        series(tmp_path / str(n), edit, count=20, uid=f"1.9.{n}")
    (tmp_path / "a" / "b" / "README.txt").write_text("not a picture")
    (tmp_path / "a" / "truncated").write_bytes((tmp_path / "a/b/IM0003").read_bytes()[:150])
    read = load_ct(tmp_path)
    assert_every_voxel_at_its_place(read.value)
    told = " ".join(read.notes)
    for kind in ("20 localizer", "secondary capture", "without position", "DICOMDIR", "no DICOM"):
        assert kind in told, told


def test_the_longest_series_is_taken_and_another_by_uid_or_number(tmp_path: Path) -> None:
    series(tmp_path, uid="1.1")
    series(tmp_path, uid="1.2", count=5)
    assert read_ct(tmp_path).grid.shape[2] == SLICES
    assert read_ct(tmp_path, series="1.2").grid.shape[2] == 5
    assert read_ct(tmp_path, series=5).grid.shape[2] == 5


def test_two_series_of_one_length_are_not_chosen_by_chance(tmp_path: Path) -> None:
    series(tmp_path, uid="1.1")
    series(tmp_path, always("ConvolutionKernel", "B70f"), uid="1.2")
    with pytest.raises(InputError) as caught:
        read_ct(tmp_path)
    for word in ("1.1 (pelvis", "1.2 (pelvis, kernel B70f", "8 slices", "1.5 x 2 x 2.5 mm"):
        assert word in str(caught.value), str(caught.value)
    assert read_ct(tmp_path, series="1.2").grid.shape[2] == SLICES


def test_a_second_orientation_in_the_series_is_not_mixed_in(tmp_path: Path) -> None:
    series(tmp_path)
    series(tmp_path / "coronal", count=3, cosines=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    assert_every_voxel_at_its_place(read_ct(tmp_path))


def test_each_slice_has_its_own_slope_and_intercept(tmp_path: Path) -> None:
    def rescale(data: Dataset, k: int) -> None:
        data.RescaleSlope, data.RescaleIntercept = 0.5 + 0.25 * k, -1000 - 10 * k
        stored = (frame(k) - float(data.RescaleIntercept)) / float(data.RescaleSlope)
        data.PixelData = np.round(stored).astype("<i2").tobytes()

    read = load_ct(series(tmp_path, rescale))
    i, j, k = np.meshgrid(*[np.arange(n) for n in read.value.grid.shape], indexing="ij")
    # Stored values are whole numbers: half a slope is lost at most.
    assert np.all(np.abs(read.value.hu - values(i, j, k)) <= 0.5 * (0.5 + 0.25 * k) + 1e-3)
    assert any("differ from slice to slice" in note for note in read.notes)


def test_copies_are_dropped_and_two_phases_are_refused(tmp_path: Path) -> None:
    def second_phase(data: Dataset, k: int) -> None:
        data.PixelData = np.round(frame(k) + 1050).astype("<i2").tobytes()

    series(tmp_path / "one")
    series(tmp_path / "two")
    read = load_ct(tmp_path)
    assert_every_voxel_at_its_place(read.value)
    assert any("8 exact copies" in note for note in read.notes)
    series(tmp_path / "two", second_phase)
    with pytest.raises(InputError, match=r"8 positions occur twice .* two phases"):
        read_ct(tmp_path)


def test_padding_becomes_air_but_a_tissue_value_does_not(tmp_path: Path) -> None:
    def pad(stored: int, tag: int) -> Edit:
        def edit(data: Dataset, k: int) -> None:
            pixels = np.round(frame(k) + 1024).astype("<i2")
            pixels[0, :3] = stored
            data.PixelData = pixels.tobytes()
            data.add_new(0x00280120, "SS" if tag < 32768 else "US", tag)

        return edit

    # A scanner's -2000 written as unsigned 63536, as some do.
    for n, tag in enumerate((-2000, 63536)):
        read = load_ct(series(tmp_path / str(n), pad(-2000, tag)))
        np.testing.assert_array_equal(read.value.hu[:3, 0, :], -1000.0)
        assert any("24 padded voxels" in note for note in read.notes)
    kept = load_ct(series(tmp_path / "tissue", pad(1024, 1024)))
    np.testing.assert_array_equal(kept.value.hu[:3, 0, :], 0.0)
    assert any("left as they are" in note for note in kept.notes)


def test_overlays_above_the_stored_bits_are_not_hu(tmp_path: Path) -> None:
    def overlay(data: Dataset, k: int) -> None:
        """Unsigned slices, and signed ones whose negative values have 12 bits."""
        data.BitsStored, data.HighBit, data.PixelRepresentation = 12, 11, k % 2
        data.RescaleIntercept = -1024 * (1 - k % 2)
        stored = np.round(frame(k) - float(data.RescaleIntercept)).astype(np.int64) & 0xFFF
        stored[2, 2] |= 0x4000
        data.PixelData = stored.astype("<u2").tobytes()

    assert_every_voxel_at_its_place(read_ct(series(tmp_path, overlay)))


@pytest.mark.parametrize("degrees", [-18.0, 0.5, 22.0])
def test_a_tilted_gantry_is_removed(tmp_path: Path, degrees: float) -> None:
    """A ball scanned under a tilted gantry keeps its centroid and volume; unsheared it is moved."""
    radius, spacing = 14.0, 1.25
    # The gantry leans: its planes are turned about x, the table still moves along z.
    cosines = np.array([1, 0, 0, 0, np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    normal = np.cross(cosines[:3], cosines[3:])
    j, i = np.meshgrid(np.arange(48), np.arange(44), indexing="ij")
    start = np.array([-21.5, -23.5, 100.0])
    middle = start + np.array([21.3, 23.4, 24.0]) + cosines[3:] * 0.7
    for k in range(40):
        position = start + np.array([0.0, 0.0, spacing * k])
        place = position + i[..., None] * cosines[:3] + j[..., None] * cosines[3:]
        inside = np.clip(radius + 0.5 - np.linalg.norm(place - middle, axis=-1), 0.0, 1.0)
        data = header("1.2.3", -1000.0 + 1400.0 * inside, position, cosines)
        data.PixelSpacing = [1.0, 1.0]
        save(data, tmp_path / f"{k}.dcm")
    read = load_ct(tmp_path)
    ct = read.value
    np.testing.assert_allclose(ct.grid.direction[:, 2], normal, atol=1e-9)
    assert ct.grid.spacing_mm[2] == pytest.approx(spacing * np.cos(np.radians(degrees)))
    weight = (ct.hu + 1000.0).ravel().astype(float)
    index = np.argwhere(np.ones(ct.grid.shape, dtype=bool)).astype(float)
    centre = ct.grid.to_world((weight @ index / weight.sum())[None])[0]
    np.testing.assert_allclose(centre, middle, atol=0.05)
    ball_ml = 4.0 / 3.0 * np.pi * radius**3 / 1000.0
    assert weight.sum() / 1400.0 * ct.grid.voxel_ml == pytest.approx(ball_ml, rel=0.01)
    # Round in every direction, not only at its centre: the second moment of a ball is r^2 / 5.
    world = ct.grid.to_world(index) - centre
    moment = (world * weight[:, None]).T @ world / weight.sum()
    np.testing.assert_allclose(moment, np.eye(3) * radius**2 / 5.0, atol=1.2)
    assert any(f"tilt of {abs(degrees):.1f} degrees" in note for note in read.notes)


def enhanced(path: Path, spoil: Callable[[Dataset], None] = lambda data: None) -> Path:
    """All slices as frames of one Enhanced CT file, in reversed order; rescale shared."""
    data = header("1.5", frame(0), np.zeros(3))
    data.SOPClassUID = CT_CLASS + ".1"
    for tag in data.dir("Rescale", "Patient", "PixelSpacing"):
        del data[tag]
    order = range(SLICES)[::-1]
    data.NumberOfFrames = SLICES
    data.PixelData = b"".join(np.round(frame(k) + 1024).astype("<i2").tobytes() for k in order)
    shared, measures, plane, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [PIXEL[1], PIXEL[0]]
    plane.ImageOrientationPatient = list(AXIAL)
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024, "HU"
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    shared.PixelValueTransformationSequence = Sequence([rescale])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for k in order:
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [-10.0, -20.0, 100.0 + PIXEL[2] * k]
        group.PlanePositionSequence = Sequence([position])
        frames.append(group)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    spoil(data)
    return save(data, path)


def test_enhanced_multi_frame_ct_as_a_file_and_in_a_folder(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "enhanced.dcm")
    assert_every_voxel_at_its_place(read_ct(path))
    assert_every_voxel_at_its_place(read_ct(tmp_path))


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_compressed_slices_keep_their_values(tmp_path: Path, compressor: str) -> None:
    def compress(data: Dataset, k: int) -> None:
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(tmp_path / "pixels.dcm"))
        writer.SetUseCompression(True)
        writer.SetCompressor(compressor)
        writer.Execute(sitk.GetImageFromArray(np.round(frame(k) + 1024).astype(np.int16)[None]))
        packed = pydicom.dcmread(tmp_path / "pixels.dcm")
        data.PixelData = packed.PixelData
        data["PixelData"].is_undefined_length = True
        data.BitsStored, data.HighBit = packed.BitsStored, packed.HighBit
        data.file_meta = packed.file_meta

    folder = tmp_path / "series"
    for k in range(SLICES):
        data = header("1.2.3", frame(k), np.array([-10.0, -20.0, 100.0 + PIXEL[2] * k]))
        compress(data, k)
        folder.mkdir(exist_ok=True)
        pydicom.dcmwrite(folder / f"{k}.dcm", data, enforce_file_format=True)
    assert pydicom.dcmread(folder / "0.dcm").file_meta.TransferSyntaxUID.is_compressed
    assert_every_voxel_at_its_place(read_ct(folder))


def _half(data: Dataset, k: int) -> None:
    if k > 4:
        data.ImagePositionPatient[2] += 1.25 * (k - 4)


def _aside(data: Dataset, k: int) -> None:
    if k > 4:
        data.ImagePositionPatient[0] += 30.0


def _cut_off(data: Dataset, k: int) -> None:
    if k == 3:
        data.PixelData = data.PixelData[:50]


def _smaller(data: Dataset, k: int) -> None:
    if k == 3:
        data.Columns = 6
        data.PixelData = data.PixelData[: 2 * 6 * ROWS]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (always("RescaleIntercept", None), ("rescale slope and intercept", "original")),
        (always("Modality", "MR"), ("MR", "Hounsfield units need a CT", "8 slices")),
        (always("PhotometricInterpretation", "MONOCHROME1"), ("MONOCHROME1", "MONOCHROME2")),
        (always("PhotometricInterpretation", "RGB"), ("RGB", "picture")),
        (always("RescaleType", "US"), ("'US'", "not to HU")),
        (always("PixelSpacing", [2.0, 3.0], (4,)), ("mixed pixel spacing", "1.5 mm", "3 mm")),
        (_smaller, ("mixed sizes", "12 x 10", "6 x 10")),
        (_half, ("2.5 to 3.75 mm apart", "regular")),
        (_aside, ("on a line", "30.0 mm")),
        (_cut_off, ("IM021", "cannot be decoded", "Explicit VR Little Endian")),
        (always("ImageOrientationPatient", [1, 0, 0, 0.3, 1, 0]), ("right angles", "0.3")),
        (always("RescaleIntercept", 0), ("Hounsfield",)),
    ],
)
def test_what_is_no_ct_in_hu_is_refused_by_name(tmp_path: Path, edit: Edit, words) -> None:
    with pytest.raises(InputError) as caught:
        read_ct(series(tmp_path, edit))
    message = str(caught.value)
    assert message.startswith(str(tmp_path))
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_missing_slices_are_named_by_their_positions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2 gaps .* 102.5 to 107.5 mm, 110.0 to 115.0 mm"):
        read_ct(series(tmp_path, leave_out=(2, 5)))


def test_positions_rounded_to_a_tenth_are_regular(tmp_path: Path) -> None:
    def rounded(data: Dataset, k: int) -> None:
        data.ImagePositionPatient[2] = round(100.0 + PIXEL[2] * k + 0.04 * (-1) ** k, 1)

    assert read_ct(series(tmp_path, rounded)).grid.spacing_mm[2] == pytest.approx(2.5, abs=0.02)


def test_frames_without_position_and_empty_folders_are_refused(tmp_path: Path) -> None:
    def no_groups(data: Dataset) -> None:
        del data.PerFrameFunctionalGroupsSequence

    def no_position(data: Dataset) -> None:
        del data.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence

    with pytest.raises(InputError, match="multi-frame without functional groups"):
        read_ct(enhanced(tmp_path / "a.dcm", no_groups))
    with pytest.raises(InputError, match="frame 4: its header has no usable ImagePosition"):
        read_ct(enhanced(tmp_path / "b.dcm", no_position))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no DICOM slice in it, found no file at all"):
        read_ct(tmp_path / "empty")
    with pytest.raises(InputError, match=r"no CT series with 99 slices; there are 1\.2\.3"):
        read_ct(series(tmp_path / "c"), series=99)
