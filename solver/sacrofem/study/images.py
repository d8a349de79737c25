"""The images of a recipe, read and calibrated, and what identifies them."""

from dataclasses import dataclass
from pathlib import Path

from sacrofem.errors import InputError
from sacrofem.image.calibration import FALLBACK_LINE, Calibration, phantom_line, phantom_rods
from sacrofem.image.files import load_ct, load_pair
from sacrofem.image.internal_calibration import calibrate_internally, cross_check, references
from sacrofem.image.internal_references import find_tissues
from sacrofem.image.labels import structure_number
from sacrofem.image.phantom import make_phantom
from sacrofem.image.surfaces import load_surfaces, zone_ct
from sacrofem.image.volume import CtVolume, LabelMap
from sacrofem.study.provenance import sha256_of_file, sha256_of_value
from sacrofem.study.recipe import CalibrationRecipe, MeshRecipe, SurfaceFiles


@dataclass(frozen=True, eq=False)
class PatientImages:
    """CT and labels of one patient.

    Attributes:
        ct: CT in HU.
        labels: Label map on the same grid.
        calibration: From HU to density.
        notes: What reading and calibrating decided by themselves, for the report.
        source: Where the labels come from, in words.
    """

    ct: CtVolume
    labels: LabelMap
    calibration: Calibration
    notes: tuple[str, ...]
    source: str


def read_images(recipe: MeshRecipe) -> PatientImages:
    """Read what a recipe names, and calibrate it.

    Raises:
        InputError: A file cannot be used, or no calibration can be had.
    """
    ct, labels, notes = _read(recipe)
    calibration, words = make_calibration(recipe.calibration, ct, labels)
    return PatientImages(ct, labels, calibration, notes + words, source_of(recipe))


def source_of(recipe: MeshRecipe) -> str:
    """Where a recipe's bone comes from, in words."""
    if recipe.phantom is not None:
        return "phantom"
    return str(recipe.labels) if recipe.labels is not None else "surfaces"


def input_hashes(recipe: MeshRecipe) -> dict[str, str]:
    """Hashes of a recipe's files, or of the phantom's parameters.

    Raises:
        InputError: A file is missing.
    """
    if recipe.phantom is not None:
        return {"phantom": sha256_of_value(recipe.phantom.model_dump(mode="json"))}
    named = {"ct": recipe.ct, "labels": recipe.labels}
    if recipe.surfaces is not None:
        named |= {f"surface {name}": file for name, file in recipe.surfaces.files.items()}
    if any(path is not None and not path.exists() for path in named.values()):
        # Reading says what is wrong with better words than hashing would.
        _read(recipe)
    return {name: _sha256_of(path) for name, path in named.items() if path is not None}


def make_calibration(
    recipe: CalibrationRecipe, ct: CtVolume, labels: LabelMap
) -> tuple[Calibration, tuple[str, ...]]:
    """The calibration of a recipe, checked against tissues of the CT where they can be found.

    Raises:
        InputError: The line or rods are not plausible, or no internal references are found.
    """
    if recipe.internal is not None:
        return calibrate_internally(ct, labels, recipe.internal.effective_energy_keV), ()
    line, phantom = FALLBACK_LINE, recipe.phantom
    if phantom is not None and phantom.rods is not None:
        line = phantom_rods(phantom.rods, phantom.kind)
    elif phantom is not None:
        slope, intercept = phantom.slope_mg_per_cm3_per_HU, phantom.intercept_mg_per_cm3
        assert slope is not None
        assert intercept is not None
        line = phantom_line(slope, intercept, phantom.kind)
    try:
        tissues, _ = find_tissues(ct, labels)
    except InputError as error:
        return line, (f"the calibration could not be checked against tissues of the CT: {error}",)
    return line, cross_check(line, references(tissues))


def _read(recipe: MeshRecipe) -> tuple[CtVolume, LabelMap, tuple[str, ...]]:
    if recipe.phantom is not None:
        return *make_phantom(recipe.phantom.spec()), ()
    if recipe.surfaces is not None:
        return _from_surfaces(recipe, recipe.surfaces)
    assert recipe.ct is not None
    assert recipe.labels is not None
    pair = load_pair(recipe.ct, recipe.labels, recipe.series, recipe.label_numbers)
    return pair.value.ct, pair.value.labels, pair.notes


def _from_surfaces(
    recipe: MeshRecipe, surfaces: SurfaceFiles
) -> tuple[CtVolume, LabelMap, tuple[str, ...]]:
    scan = None if recipe.ct is None else load_ct(recipe.ct, recipe.series)
    labels = load_surfaces(
        surfaces.files,
        surfaces.unit,
        surfaces.coordinates,
        surfaces.voxel_mm,
        None if scan is None else scan.value.grid,
    )
    if scan is not None:
        return scan.value, labels.value, scan.notes + labels.notes
    assert surfaces.zones_HU is not None
    hu = {structure_number(word, "zones_HU"): value for word, value in surfaces.zones_HU.items()}
    note = "no CT: every bone has one density, that of its zone in the recipe"
    return zone_ct(labels.value, hu), labels.value, (*labels.notes, note)


def _sha256_of(path: Path) -> str:
    """Hash of a file, or of all files of a folder with their names."""
    if path.is_file():
        return sha256_of_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_of_value({str(f.relative_to(path)): sha256_of_file(f) for f in files})
