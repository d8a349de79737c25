"""Calibration without a phantom: tissues of known HU are found, a wrong scale is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image import attenuation
from sacrofem.image.calibration import Reference, phantom_line, to_density
from sacrofem.image.files import read_ct, read_labels
from sacrofem.image.internal_calibration import (
    SPREAD_HU,
    calibrate_internally,
    cross_check,
    fit_line,
    references,
)
from sacrofem.image.internal_references import VESSELS, find_tissues
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT
from sacrofem.image.phantom import PhantomSpec, make_phantom
from sacrofem.image.phantom.tissue import AIR_HU, FAT_HU, SOFT_HU
from sacrofem.image.volume import CtVolume, Grid, LabelMap

Images = tuple[CtVolume, LabelMap]
TRUE_HU = {"air": AIR_HU, "fat": FAT_HU, "muscle": SOFT_HU}


@pytest.fixture(scope="module")
def scan() -> Images:
    """The phantom at 3 mm with the noise of a thin slice."""
    return make_phantom(PhantomSpec(voxel_mm=(3.0, 3.0, 3.0), noise_hu=30.0))


def changed(scan: Images, change: Callable[[np.ndarray], np.ndarray]) -> Images:
    """The scan with other HU."""
    return CtVolume(change(scan[0].hu.copy()).astype(np.float32), scan[0].grid), scan[1]


def found_hu(scan: Images) -> dict[str, float]:
    return {t.name: t.median_HU for t in find_tissues(*scan)[0]}


def test_the_phantoms_tissues_are_found(scan: Images, phantom_images: Images) -> None:
    """Protects: the search itself, against the HU that the phantom was made of."""
    for images, within in ((scan, 3.0), (phantom_images, 0.5)):
        for name, hu in found_hu(images).items():
            assert hu == pytest.approx(TRUE_HU[name], abs=within), name
    tissues, notes = find_tissues(*scan)
    assert {t.name for t in tissues} == set(TRUE_HU)
    assert min(t.voxels for t in tissues) > 1000
    assert all(5.0 < t.spread_HU < 25.0 for t in tissues)
    assert "without labelled vessels" in notes[0]


def test_the_grid_may_lie_in_the_world_as_it_likes(scan: Images) -> None:
    """Protects: no axis of the image is taken for a direction of the body."""
    ct, labels = scan
    turned = Grid(
        (ct.grid.shape[2], ct.grid.shape[0], ct.grid.shape[1]),
        ct.grid.spacing_mm,
        ct.grid.origin_mm,
        -np.roll(np.eye(3), 1, axis=0),
    )

    def turn(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values.transpose(2, 0, 1)[::-1, :, ::-1])

    assert found_hu((CtVolume(turn(ct.hu), turned), LabelMap(turn(labels.labels), turned))) == (
        found_hu(scan)
    )


def test_one_hip_or_none_is_enough(scan: Images) -> None:
    ct, labels = scan
    for gone in ((HIP_LEFT,), (HIP_LEFT, HIP_RIGHT)):
        fewer = np.where(np.isin(labels.labels, gone), 0, labels.labels).astype(np.uint8)
        muscle = found_hu((ct, LabelMap(fewer, labels.grid)))["muscle"]
        assert muscle == pytest.approx(SOFT_HU, abs=6.0)


def test_a_mattress_padding_and_bowel_gas_are_not_the_air(scan: Images) -> None:
    """Protects: the lowest peak outside is the air, though foam of -940 HU has more voxels."""
    rng = np.random.default_rng(1)

    def change(hu: np.ndarray) -> np.ndarray:
        half = hu.shape[1] // 2
        behind = hu[:, half:] < -850.0
        hu[:, half:][behind] = -930.0 + rng.normal(0, 15, behind.sum())
        hu[:3, :3] = -3024.0
        corner = hu[hu.shape[0] // 2 :, :half]
        corner[corner < -800.0] = -1024.0
        hu[40:48, 40:50, -12:] = -900.0
        return hu

    assert found_hu(changed(scan, change))["air"] == pytest.approx(AIR_HU, abs=4.0)


def test_the_line_of_references_on_the_line_is_that_line() -> None:
    """Protects: the fit. Tissues as NIST's tables have them on a scanner 3 % off, 62 keV."""
    names = ("air", "fat", "muscle", "blood")
    slope = attenuation.K2HPO4_slope_mg_per_cm3_per_HU(62.0)
    found = tuple(
        Reference(
            name,
            1.03 * attenuation.tissue_HU(name, 62.0) + 8.0,
            10.0,
            1000,
            attenuation.K2HPO4_equivalent_mg_per_cm3(name, 62.0),
            slope * SPREAD_HU[name],
        )
        for name in names
    )
    line = fit_line(found, 62.0)
    assert line.slope_mg_per_cm3_per_HU == pytest.approx(slope / 1.03, rel=1e-9)
    assert line.intercept_mg_per_cm3 == pytest.approx(-8.0 * slope / 1.03, rel=1e-6)
    assert line.relative_error_at_100 is not None
    assert 0.08 < line.relative_error_at_100 < 0.25
    assert not any("off the line" in note for note in line.notes)


def test_a_reference_counts_by_how_well_it_is_known(scan: Images) -> None:
    """Protects: the weights. The residuals of a weighted fit are balanced, by 1 / sd^2."""
    line = calibrate_internally(*scan)
    hu = np.array([r.median_HU for r in line.references])
    off = np.array([r.expected_mg_per_cm3 for r in line.references])
    off -= line.intercept_mg_per_cm3 + line.slope_mg_per_cm3_per_HU * hu
    weight = np.array([r.expected_sd_mg_per_cm3 for r in line.references]) ** -2.0
    assert np.abs(off).max() > 3.0
    assert (weight * off).sum() == pytest.approx(0.0, abs=1e-9)
    assert (weight * off * hu).sum() == pytest.approx(0.0, abs=1e-6)


def test_reference_equivalents_are_those_of_the_tables() -> None:
    """Protects: the table and its interpolation, by hand at a tabulated energy (60 keV)."""
    per_HU = 1.0 / (0.3890 / 0.2059 - 0.2174)
    assert attenuation.K2HPO4_slope_mg_per_cm3_per_HU(60.0) == pytest.approx(per_HU, rel=1e-9)
    fat_HU = 1000.0 * (0.95 * 0.1974 / 0.2059 - 1.0)
    fat = attenuation.K2HPO4_equivalent_mg_per_cm3("fat", 60.0)
    assert fat == pytest.approx(fat_HU * per_HU, rel=1e-9)
    # A QCT scanner at 120 kVp shows 1.3 to 1.4 HU per mg/cm3.
    assert 1.3 < 1.0 / attenuation.K2HPO4_slope_mg_per_cm3_per_HU(70.0) < 1.4


def test_the_line_follows_a_scanner_that_is_off(scan: Images) -> None:
    """Protects: what it is for. 3 % and 6 HU off gives the same density of the same tissue."""
    off = changed(scan, lambda hu: 1.03 * hu + 6.0)
    hu = np.array([150.0])
    line = calibrate_internally(*scan)
    true = to_density(hu, line).g_per_cm3
    found = to_density(1.03 * hu + 6.0, calibrate_internally(*off)).g_per_cm3
    assert found == pytest.approx(true, rel=0.02)
    assert to_density(1.03 * hu + 6.0, line).g_per_cm3 != pytest.approx(true, rel=0.04)


def test_the_energy_is_an_input_and_in_the_error(scan: Images) -> None:
    tissues, _ = find_tissues(*scan)
    lines = [fit_line(references(tissues, energy), energy) for energy in (62.0, 70.0, 78.0)]
    slopes = [line.slope_mg_per_cm3_per_HU for line in lines]
    assert slopes[0] < slopes[1] < slopes[2]
    error = lines[1].slope_error_mg_per_cm3_per_HU
    assert error is not None
    assert error > 0.9 * (slopes[2] - slopes[0]) * 5.0 / 16.0
    with pytest.raises(InputError, match="not the kVp"):
        references(tissues, 120.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hu: hu + 1024.0, "rescale intercept"),
        (lambda hu: hu + 200.0, "air outside the body"),
        (lambda hu: hu + 100.0, "found the commonest value there at -"),
        (lambda hu: 2.0 * hu, "found the commonest value there at -19"),
        (lambda hu: np.where(hu > -500.0, hu + 200.0, hu), "fat under the skin from -140 to -60"),
        (lambda hu: np.clip(hu, -160.0, 240.0), "cropped inside the skin, windowed or shifted"),
        (lambda hu: (hu + 1024.0) / 4096.0, "attenuation"),
        (lambda hu: -hu, "calibration by internal references"),
    ],
    ids=["stored", "+200", "+100", "x2", "fat at +100", "windowed", "0..1", "inverted"],
)
def test_a_ct_in_wrong_units_is_refused(
    scan: Images, change: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    """Protects: a wrong scale is never calibrated away; the error names what was found."""
    with pytest.raises(InputError) as caught:
        calibrate_internally(*changed(scan, change))
    assert words in str(caught.value)


def test_a_ct_without_skin_is_refused(scan: Images) -> None:
    """Protects: gas in the bowel is not taken for the air around the body."""
    ct, labels = scan
    inside = (slice(25, -25), slice(14, -14), slice(None))
    hu = ct.hu[inside].copy()
    hu[20:30, 10:25, -10:] = -990.0
    grid = Grid(hu.shape, ct.grid.spacing_mm, ct.grid.origin_mm, ct.grid.direction)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cropped inside the skin"):
        calibrate_internally(CtVolume(hu, grid), LabelMap(labels.labels[inside], grid))


@pytest.mark.parametrize(
    ("blood_HU", "used", "note"),
    [(45.0, True, None), (160.0, False, "contrast medium"), (5.0, False, "left out")],
)
def test_blood_counts_only_in_labelled_vessels_without_contrast(
    scan: Images, blood_HU: float, used: bool, note: str | None
) -> None:
    ct, labels = scan
    vessel, inside = (
        (slice(48 + n, 54 - n), slice(20 + n, 26 - n), slice(30 + n, 60 - n)) for n in (0, 1)
    )
    hu, numbers = ct.hu.copy(), labels.labels.copy()
    numbers[vessel] = VESSELS[0]
    # The label's outer layer is fat around the vessel.
    hu[vessel], hu[inside] = -80.0, blood_HU
    tissues, notes = find_tissues(CtVolume(hu, ct.grid), LabelMap(numbers, ct.grid))
    blood = [t.median_HU for t in tissues if t.name == "blood"]
    assert blood == ([blood_HU] if used else [])
    assert not notes if note is None else note in notes[0]


def test_a_phantoms_line_is_checked_against_the_tissues(scan: Images) -> None:
    """Protects: a line of another scanner or unit does not pass in silence."""
    found = calibrate_internally(*scan).references
    assert cross_check(phantom_line(0.72, -2.0, "K2HPO4"), found) == ()
    assert cross_check(phantom_line(0.8, 0.0, "HA"), found) == ()
    wrong = cross_check(phantom_line(0.75, 50.0, "K2HPO4"), found)
    assert any("muscle" in words for words in wrong)
    assert any("air" in w for w in cross_check(phantom_line(1.05, 0.0, "K2HPO4"), found))


def test_the_real_ct(real_ct: tuple[Path, Path]) -> None:
    """Protects: a patient on a mattress, cropped at the sides, with metal in one hip."""
    images = read_ct(real_ct[0]), read_labels(real_ct[1])
    line = calibrate_internally(*images)
    hu = {r.name: r.median_HU for r in line.references}
    assert hu["air"] == pytest.approx(-994.0, abs=6.0)  # the foam behind has -950 HU
    assert hu["fat"] == pytest.approx(-106.0, abs=4.0)
    assert 25.0 < hu["muscle"] < 45.0
    assert line.slope_mg_per_cm3_per_HU == pytest.approx(0.75, abs=0.03)
    assert abs(line.intercept_mg_per_cm3) < 20.0
