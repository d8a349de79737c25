"""Mesh recipes: what they accept, what they refuse, and the cache that rests on them."""

from pathlib import Path

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image.files import write_ct, write_labels
from sacrofem.image.volume import CtVolume, LabelMap
from sacrofem.study.bones import load_patient
from sacrofem.study.images import input_hashes, make_calibration, read_images
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import CalibrationRecipe, MeshRecipe, read_recipe, with_own_images

PHANTOM = "phantom: {voxel_mm: [3, 3, 3]}\n"


def recipe(folder: Path, text: str) -> MeshRecipe:
    (folder / "mesh.yaml").write_text(text)
    return read_recipe(folder / "mesh.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("edge_mm: 3\n", "give one of 'phantom', 'labels'"),
        (PHANTOM + "labels: a.nii\nct: b.nii\n", "give one of 'phantom', 'labels'"),
        ("labels: a.nii\n", "labels need their ct"),
        (PHANTOM + "ct: a.nii\n", "a phantom brings its own ct"),
        (PHANTOM + "edge_mm: 3\nedge_elsewhere_mm: 2\n", "cannot be smaller than edge_mm"),
        (PHANTOM + "edge_mm: 0.5\n", "greater than or equal to 1"),
        (PHANTOM + "model: femur\n", "'sacrum' or 'pelvis'"),
        (PHANTOM + "model: pelvs\n", "did you mean 'pelvis'"),
        (PHANTOM + "calibration: {}\n", "give one of 'phantom', 'internal: {}'"),
        (PHANTOM + "calibration: {fallback: true, internal: {}}\n", "give one of 'phantom'"),
        (
            PHANTOM + "calibration: {phantom: {kind: HA, slope_mg_per_cm3_per_HU: 0.8}}\n",
            "belong together",
        ),
        (PHANTOM + "series: 3\n", "series needs a ct"),
        (PHANTOM + "edge: 3\n", "did you mean 'edge_mm'"),
        (
            "surfaces: {files: {sacrum: a.stl}, unit: mm, coordinates: LPS}\n",
            "surfaces need either a ct or their zones_HU",
        ),
        ("surfaces: {files: {sacrum: a.stl}, coordinates: LPS}\n", "unit: this field is required"),
    ],
)
def test_a_wrong_recipe_is_explained(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'mesh.yaml'}, line ")
    assert words in message


def test_a_phantom_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="age_years is 300"):
        read_images(recipe(tmp_path, "phantom: {age_years: 300}\n"))


def test_paths_are_those_of_the_recipe(tmp_path: Path) -> None:
    found = recipe(tmp_path, "ct: a/ct.nii\nlabels: b.nrrd\n")
    assert found.ct == tmp_path / "a" / "ct.nii"
    assert found.labels == tmp_path / "b.nrrd"


def test_own_images_keep_the_model_and_lose_the_landmarks(tmp_path: Path) -> None:
    text = PHANTOM + "model: pelvis\nedge_elsewhere_mm: 6\nlandmarks: {promontory: [0, 0, 0]}\n"
    own = with_own_images(recipe(tmp_path, text), tmp_path / "ct.nii", tmp_path / "l.nii")
    assert (own.model, own.edge_elsewhere_mm, own.landmarks) == ("pelvis", 6.0, None)


def test_the_mesher_gives_the_same_mesh_again(tmp_path: Path, own_cache: Path) -> None:
    """Another machine's cache is empty: records must still name the same mesh there."""
    question = recipe(tmp_path, PHANTOM + "edge_mm: 6\n")
    first = load_patient(question, Stopwatch(), tmp_path / "one")
    again = load_patient(question, Stopwatch(), tmp_path / "one")
    other = load_patient(question, Stopwatch(), tmp_path / "two", read_images(question))
    assert not first.from_cache
    assert again.from_cache
    assert not other.from_cache
    assert again.bone.report == first.bone.report
    assert first.bone.mesh.sha256 == again.bone.mesh.sha256 == other.bone.mesh.sha256
    assert first.mesh_file.read_bytes() == other.mesh_file.read_bytes()


def test_a_damaged_mesh_file_is_made_again(tmp_path: Path, own_cache: Path) -> None:
    question = recipe(tmp_path, PHANTOM + "edge_mm: 6\n")
    first = load_patient(question, Stopwatch(), tmp_path)
    whole = first.mesh_file.read_bytes()
    first.mesh_file.write_bytes(whole[: len(whole) // 2])
    again = load_patient(question, Stopwatch(), tmp_path)
    assert not again.from_cache
    assert again.mesh_file.read_bytes() == whole


def test_a_file_is_known_by_its_contents(
    tmp_path: Path, phantom_images: tuple[CtVolume, LabelMap]
) -> None:
    ct, labels = phantom_images
    for name in ("one", "two"):
        write_ct(tmp_path / name / "ct.nrrd", ct)
        write_labels(tmp_path / name / "labels.nrrd", labels)
    one, two = (
        MeshRecipe(ct=tmp_path / n / "ct.nrrd", labels=tmp_path / n / "labels.nrrd")
        for n in ("one", "two")
    )
    assert input_hashes(one) == input_hashes(two)
    changed = labels.labels.copy()
    changed[0, 0, 0] = 1
    write_labels(tmp_path / "two" / "labels.nrrd", LabelMap(changed, labels.grid))
    assert input_hashes(one)["ct"] == input_hashes(two)["ct"]
    assert input_hashes(one)["labels"] != input_hashes(two)["labels"]


def test_a_line_of_another_scanner_does_not_pass_silently(
    phantom_images: tuple[CtVolume, LabelMap],
) -> None:
    """Twice the phantom's slope puts muscle where no muscle is."""
    ct, labels = phantom_images
    fits, words = make_calibration(CalibrationRecipe(fallback=True), ct, labels)
    assert fits.slope_mg_per_cm3_per_HU == pytest.approx(0.81)
    assert words == ()
    line = {"kind": "K2HPO4", "slope_mg_per_cm3_per_HU": 1.08, "intercept_mg_per_cm3": 40.0}
    _, words = make_calibration(CalibrationRecipe(phantom=line), ct, labels)
    assert len(words) >= 1
    shifted = CtVolume(ct.hu + np.float32(100.0), ct.grid)
    with pytest.raises(InputError, match=r"fat|air"):
        make_calibration(CalibrationRecipe(internal={}), shifted, labels)
