"""The dry run: counts and hours that are told before a night is spent on a study."""

import re
from pathlib import Path

import pytest

from sacrofem.errors import InputError
from sacrofem.study.dry_run import FIRST_ROWS, MESH_SECONDS, SOLVE_SECONDS, dry_run, extent_of
from sacrofem.study.records import NUMBERS
from sacrofem.study.store import insert_row, open_store
from sacrofem.study.study_file import points_of, read_study

ROOT = Path(__file__).parents[2]
BASE = ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml"
MESH = "phantom: {}\nedge_mm: 3.0\n"


def study_file(folder: Path, text: str) -> Path:
    (folder / "study.yaml").write_text(f"base: {BASE}\n{text}\n")
    return folder / "study.yaml"


def hours(text: str) -> float:
    found = re.search(r"Estimated: ([\d.e+-]+) core hours", text)
    assert found
    return float(found[1])


def test_equal_cases_lesions_and_loads_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(MESH)
    path = study_file(
        tmp_path,
        """
vary:
  lesions.0.volume_ml: [5, 5.0, 7.1]
  arms.*.fill.cement_ml: [4, 6]
  order: [1, 2]
  arms.1.fill.technique: [balloon]
""",
    )
    extent = extent_of(points_of(*read_study(path), path))
    # Both arms are the same treatment now: 2 volumes x 2 cements each order; 3 x 2 x 2 x 2 asked.
    assert extent.cases == 24
    assert extent.distinct == {1: 4, 2: 4}
    assert extent.diseased == {1: 2, 2: 2}
    assert extent.intact == {1: 1, 2: 1}


def test_hours_are_those_of_the_solves_and_the_meshes(tmp_path: Path) -> None:
    for name, model in (("a.yaml", "sacrum"), ("b.yaml", "pelvis")):
        (tmp_path / name).write_text(f"{MESH}model: {model}\n")
    path = study_file(
        tmp_path, "vary: {mesh: [a.yaml, b.yaml], arms.*.fill.cement_ml: [3, 4, 5], order: [1]}"
    )
    text = dry_run(path)
    assert "6 points, 12 cases (2 arms at a point), 12 of them different, 2 bones" in text
    intact, diseased, treated = SOLVE_SECONDS[1]
    seconds = 2 * intact + 2 * diseased + 12 * treated + sum(MESH_SECONDS.values())
    assert hours(text) == pytest.approx(seconds / 3600, rel=5e-3)
    assert "b.yaml is another mesh" in text
    assert "a.yaml is another mesh" not in text
    rows = [line.split() for line in text.splitlines() if re.match(r"\d+  ", line)]
    assert rows[0] == ["0", "a.yaml", "3", "1"]
    assert len(rows) == FIRST_ROWS
    assert "... 1 more" in text


def test_finished_cases_of_the_folder_make_the_estimate(tmp_path: Path) -> None:
    path = study_file(tmp_path, "vary: {arms.*.fill.cement_ml: [3, 4, 5]}")
    before = hours(dry_run(path, tmp_path))
    with open_store(tmp_path / "records.sqlite") as store:
        for key, seconds in (("a", 100.0), ("b", 300.0)):
            insert_row(
                store, key, "balloon", "t", {}, dict.fromkeys(NUMBERS, 0.0) | {"seconds": seconds}
            )
    text = dry_run(path, tmp_path)
    assert "200.0 s a case, the mean of 2 finished" in text
    assert hours(text) == pytest.approx((6 * 200 + MESH_SECONDS["sacrum"]) / 3600, rel=5e-3)
    assert hours(text) != before


def test_what_cannot_run_is_told(tmp_path: Path) -> None:
    path = study_file(tmp_path, "vary: {arms.*.fill.cement_ml: [3, -4]}")
    with pytest.raises(InputError, match="point 1"):
        dry_run(path)
    (tmp_path / "a.yaml").write_text("phantom: {}\nedge: 3\n")
    with pytest.raises(InputError, match="mean 'edge_mm'"):
        dry_run(study_file(tmp_path, "vary: {mesh: [a.yaml]}"))
