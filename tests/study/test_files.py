"""User files: what is wrong is said with file, line, field, value and the nearest right word."""

from pathlib import Path

import pytest

from sacrofem.errors import InputError
from sacrofem.study.recipe import read_recipe, with_own_images
from sacrofem.study.scenario import read_scenario
from sacrofem.study.study_file import points_of, read_study

ROOT = Path(__file__).parents[2]
GOOD = (ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml").read_text()


def scenario_with(folder: Path, old: str, new: str) -> Path:
    assert old in GOOD
    (folder / "s.yaml").write_text(GOOD.replace(old, new))
    return folder / "s.yaml"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("force_N: 500", "forse_N: 500", ("line 7", "unknown word 'forse_N'", "mean 'force_N'")),
        ("title:", "titel:", ("line 3", "'titel'", "'title'")),
        (
            "technique: balloon, ",
            "technique: ballon, ",
            ("line 9", "found 'ballon'", "mean 'balloon'"),
        ),
        ("cement_ml: 6.0}}\n  - ", "cement_ml: -6.0}}\n  - ", ("line 9", "cement_ml", "-6.0")),
        ("volume_ml: 7.1", "volume_ml: much", ("line 6", "volume_ml", "'much'")),
        ("lateral mass right, level", "lateral mass rigth, level", ("'lateral mass right'",)),
        ("mesh: ../meshes/phantom.yaml\n", "", ("mesh", "required")),
        ("name: vertebroplasty", "name: balloon", ("two arms are named 'balloon'",)),
        ("name: balloon,", "name: a/b,", ("letters, digits",)),
        ("volume_ml: 7.1", "volume_ml: .nan", ("volume_ml",)),
    ],
)
def test_a_wrong_scenario_is_explained(tmp_path: Path, old: str, new: str, words) -> None:
    path = scenario_with(tmp_path, old, new)
    with pytest.raises(InputError) as caught:
        read_scenario(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line ")
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("text", ["", "just words", "[1, 2]", "a: [1", "\x00"])
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InputError, match=r"s\.yaml"):
        read_scenario(tmp_path / "s.yaml")


def test_shipped_files_are_valid() -> None:
    for path in (ROOT / "scenarios").glob("*.yaml"):
        assert read_recipe(read_scenario(path).mesh)
    for path in (ROOT / "scenarios" / "sweeps").glob("*.yaml"):
        assert points_of(*read_study(path), path)


def test_own_images_come_in_pairs(tmp_path: Path) -> None:
    recipe = read_recipe(ROOT / "meshes" / "phantom.yaml")
    with pytest.raises(InputError, match="--ct is given without --labels"):
        with_own_images(recipe, tmp_path / "ct.nii", None)
    own = with_own_images(recipe, tmp_path / "ct.nii", tmp_path / "l.nii")
    assert own.phantom is None
    assert own.edge_mm == recipe.edge_mm
