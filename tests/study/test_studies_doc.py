"""The guide to study files: every example in it is a study that can be read."""

import re
import shutil
from pathlib import Path

import pytest

from sacrofem.study.study_file import points_of, read_study

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "studies.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
TABLE = re.search(r"\n\n((?:    [^\n]+\n)+)", TEXT.split("kind: csv, file: patients.csv")[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml", tmp_path)
    for name in ("a-first-patient.yaml", "a-second-patient.yaml"):
        (tmp_path / name).write_text("phantom: {}\n")
    assert TABLE
    (tmp_path / "patients.csv").write_text(re.sub("(?m)^    ", "", TABLE[1]))
    return tmp_path


@pytest.mark.parametrize(
    ("example", "points"), list(zip(EXAMPLES, [4, 8, 4, 6, 100, 320, 2], strict=True))
)
def test_examples_are_studies(folder: Path, example: str, points: int) -> None:
    path = folder / "study.yaml"
    path.write_text(example)
    assert len(points_of(*read_study(path), path)) == points


def test_ranges_are_those_of_the_table(folder: Path) -> None:
    """Protects: the values that the guide spells out for its ranges."""
    rows = re.findall(r"\| `(\{from.*?\})` \| ([\d., ]+);", TEXT)
    assert len(rows) == 2
    for entry, values in rows:
        path = folder / "study.yaml"
        path.write_text(
            f"base: balloon-vs-vertebroplasty.yaml\nvary: {{lesions.0.volume_ml: {entry}}}\n"
        )
        found = [p.values["lesions.0.volume_ml"] for p in points_of(*read_study(path), path)]
        assert found == pytest.approx([float(v) for v in values.split(",")])
