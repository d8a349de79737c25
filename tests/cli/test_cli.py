"""The commands as a user types them: status, messages, folders; one real run of each."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sacrofem.image.files import read_pair, write_ct, write_labels
from sacrofem.image.volume import CtVolume, LabelMap

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml"
SACROFEM = (sys.executable, "-m", "sacrofem")


def sacrofem(*arguments: object, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    launch = ("mpirun", "-n", str(ranks)) if ranks > 1 else ()
    command = [*launch, *SACROFEM, *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)


def coarse_scenario(folder: Path) -> Path:
    """The shipped scenario with a coarser phantom and P1: the same chain, in less time."""
    (folder / "mesh.yaml").write_text("phantom: {voxel_mm: [2, 2, 2]}\nedge_mm: 6.0\n")
    text = SCENARIO.read_text().replace("../meshes/phantom.yaml", "mesh.yaml")
    (folder / "scenario.yaml").write_text(text + "order: 1\n")
    return folder / "scenario.yaml"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """A folder with a coarse scenario, whose mesh is made once for all tests of this file."""
    folder = tmp_path_factory.mktemp("cli")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    (user / "fenics").mkdir(parents=True, exist_ok=True)
    (folder / "cache").mkdir()
    (folder / "cache" / "fenics").symlink_to(user / "fenics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield coarse_scenario(folder)


@pytest.fixture(scope="module")
def one_rank(shared: Path) -> dict:
    """summary.json of the coarse scenario."""
    done = sacrofem("run", shared, "--out", shared.parent / "one")
    assert done.returncode == 0, done.stderr
    assert "balloon" in done.stdout
    assert "vertebroplasty" in done.stdout
    assert str(shared.parent / "one" / "report.html") in done.stdout
    return json.loads((shared.parent / "one" / "summary.json").read_text())


def test_summary_keeps_its_contract(one_rank: dict) -> None:
    assert one_rank["schema"] == 2
    mesh = {"nodes", "cells", "dofs", "volume_ml", "label_volume_ml", "quality_min", "quality_p01"}
    assert mesh <= one_rank["mesh"].keys()
    state = {
        "stiffness_N_per_mm",
        "load_share_left",
        "load_share_right",
        "equilibrium_error",
        "iterations",
        "residual",
    }
    for arm in ("balloon", "vertebroplasty"):
        values = one_rank["arms"][arm]
        assert {"lesion_ml", "cement_ml", "leak_ml"} <= values.keys()
        for name in ("intact", "lesion", "treated"):
            assert state <= values[name].keys()
        assert {"von_mises_mean", "von_mises_p95"} <= values["relief"]["rim"].keys()
        assert values["lesion_ml"] == pytest.approx(7.1, rel=0.005)
        assert values["cement_ml"] == pytest.approx(6.0, rel=0.005)
    assert {"mesh", "solve", "model", "measure"} <= one_rank["seconds"].keys()
    assert one_rank["peak_memory_GB"] > 0
    # Cells of 6 mm may close a tunnel of the coarse phantom, and the last bits of the libraries
    # decide which; every other warning would be news.
    assert [w for w in one_rank["warnings"] if "tunnels" not in w] == []
    assert one_rank["inputs"]["phantom"]
    assert one_rank["versions"]["dolfinx"]


def test_a_run_leaves_records_fields_and_a_report(one_rank: dict, shared: Path) -> None:
    out = shared.parent / "one"
    with sqlite3.connect(out / "records.sqlite") as store:
        rows = dict(store.execute("SELECT arm, treated_stiffness_N_per_mm FROM records"))
    for arm, stiffness in rows.items():
        assert stiffness == one_rank["arms"][arm]["treated"]["stiffness_N_per_mm"]
    assert {p.name for p in (out / "fields").iterdir()} == {
        "intact.vtu",
        "lesion.vtu",
        "arm-balloon.vtu",
        "arm-vertebroplasty.vtu",
    }
    assert (out / "report.html").stat().st_size > 10_000


def test_two_ranks_make_the_summary_of_one(one_rank: dict, shared: Path) -> None:
    done = sacrofem("run", shared, "--out", shared.parent / "two", ranks=2)
    assert done.returncode == 0, done.stderr
    two = json.loads((shared.parent / "two" / "summary.json").read_text())
    assert two["ranks"] == 2
    for arm, values in one_rank["arms"].items():
        assert two["arms"][arm]["key"] == values["key"]
        for state in ("intact", "lesion", "treated"):
            for name in ("stiffness_N_per_mm", "load_share_left", "rim_von_mises_p95_MPa"):
                assert two["arms"][arm][state][name] == pytest.approx(values[state][name], rel=1e-6)


def sweep_of(scenario: Path) -> Path:
    path = scenario.parent / "sweep.yaml"
    path.write_text(f"base: {scenario.name}\nvary: {{arms.*.fill.cement_ml: [2, 4, 6, 8]}}\n")
    return path


def rows_of(records: Path) -> dict[str, tuple]:
    columns = "key, arm, cement_ml, leak_ml, treated_stiffness_N_per_mm, relief_rim_von_mises_p95"
    with sqlite3.connect(records) as store:
        return {row[0]: row[1:] for row in store.execute(f"SELECT {columns} FROM records")}


@pytest.mark.slow
def test_a_sweep_killed_half_way_ends_with_every_row_once(shared: Path) -> None:
    sweep, folder = sweep_of(shared), shared.parent
    whole = sacrofem("sweep", sweep, "--out", folder / "whole")
    assert whole.returncode == 0, whole.stderr
    assert "8 cases: 0 known, 8 computed, 0 failed" in whole.stdout

    killed = folder / "killed"
    command = [*SACROFEM, "sweep", str(sweep), "--out", str(killed)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as running:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and _count(killed / "records.sqlite") < 3:
            time.sleep(0.05)
        # The session is our own: its workers go with it, as on a machine that loses power.
        os.killpg(running.pid, signal.SIGKILL)
    before = rows_of(killed / "records.sqlite")
    assert 3 <= len(before) < 8

    again = sacrofem("sweep", sweep, "--out", killed)
    assert again.returncode == 0, again.stderr
    assert f"8 cases: {len(before)} known, {8 - len(before)} computed" in again.stdout
    expected, found = (
        rows_of(folder / "whole" / "records.sqlite"),
        rows_of(killed / "records.sqlite"),
    )
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert found[key][0] == row[0]
        assert found[key][1:] == pytest.approx(row[1:], rel=1e-6)

    # The study keeps its own mesh: without the cache nothing is meshed or computed again.
    for mesh in (folder / "cache" / "sacrofem" / "meshes").iterdir():
        mesh.unlink()
    third = sacrofem("sweep", sweep, "--out", killed)
    assert "8 cases: 8 known, 0 computed, 0 failed" in third.stdout


def _count(records: Path) -> int:
    try:
        return len(rows_of(records))
    except sqlite3.OperationalError:
        return 0


@pytest.fixture
def tiny_pair(tmp_path: Path, phantom_images: tuple[CtVolume, LabelMap]) -> tuple[Path, Path]:
    ct, labels = phantom_images
    write_ct(tmp_path / "ct.nii.gz", ct)
    write_labels(tmp_path / "labels.nii.gz", labels)
    return tmp_path / "ct.nii.gz", tmp_path / "labels.nii.gz"


def _no_sacrum(pair: tuple[Path, Path]) -> None:
    _, labels = read_pair(*pair)
    values = np.where(labels.labels == 25, 0, labels.labels).astype(np.uint8)
    write_labels(pair[1], LabelMap(values, labels.grid))


def _windowed(pair: tuple[Path, Path]) -> None:
    ct, _ = read_pair(*pair)
    write_ct(pair[0], CtVolume(np.clip(ct.hu, 0, 255), ct.grid))


def _empty(pair: tuple[Path, Path]) -> None:
    pair[1].write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "file", "words"),
    [
        (_no_sacrum, "labels.nii.gz", "label 25 (sacrum) is missing"),
        (_windowed, "ct.nii.gz", "not a CT in Hounsfield units"),
        (_empty, "labels.nii.gz", "empty"),
    ],
)
def test_bad_images_end_in_one_sentence_status_2_and_no_folder(
    tmp_path: Path, tiny_pair: tuple[Path, Path], spoil, file: str, words: str
) -> None:
    spoil(tiny_pair)
    out = tmp_path / "out"
    done = sacrofem("run", SCENARIO, "--ct", tiny_pair[0], "--labels", tiny_pair[1], "--out", out)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("sacrofem: ")
    assert file in last
    assert words in last
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("technique: balloon, ", "technique: ballon, ", "did you mean 'balloon'"),
        ("volume_ml: 7.1", "volume_ml: -7.1", "greater than or equal to 0, found -7.1"),
    ],
)
def test_a_bad_scenario_ends_with_status_2(tmp_path: Path, old: str, new: str, words) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SCENARIO.read_text().replace(old, new))
    done = sacrofem("run", path, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_more_cement_than_bone_ends_with_status_2_on_all_ranks(shared: Path) -> None:
    path = shared.parent / "much.yaml"
    path.write_text(shared.read_text().replace("cement_ml: 6.0", "cement_ml: 600"))
    done = sacrofem("run", path, "--out", shared.parent / "much", ranks=2)
    assert done.returncode == 2
    assert "600 ml asked" in done.stderr
    assert not (shared.parent / "much").exists()


def test_a_cohort_has_patients_of_its_own(tmp_path: Path) -> None:
    """Protects: a folder with a cohort is told from a scenario, and takes no images."""
    cohort = ROOT / "scenarios" / "cohorts" / "andresen-2014"
    done = sacrofem("run", cohort, "--out", tmp_path / "out", "--ct", tmp_path / "ct.nii.gz")
    assert done.returncode == 2
    assert "is a cohort, whose patients are phantoms of their own" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    done = sacrofem("run", SCENARIO, "--out", tmp_path / "thesis")
    assert done.returncode == 2
    assert "not made by sacrofem" in done.stderr
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def test_phantom_writes_a_pair_that_can_be_read(tmp_path: Path) -> None:
    done = sacrofem("phantom", "--out", tmp_path / "p", "--voxel-mm", 3)
    assert done.returncode == 0, done.stderr
    ct, labels = read_pair(tmp_path / "p" / "ct.nii.gz", tmp_path / "p" / "labels.nii.gz")
    assert -1100 < ct.hu.min() < -900  # air
    assert {25, 27, 77, 78} <= set(np.unique(labels.labels))


@pytest.mark.slow
def test_the_real_ct_runs(shared: Path, real_ct: tuple[Path, Path]) -> None:
    out = shared.parent / "real"
    done = sacrofem("run", SCENARIO, "--ct", real_ct[0], "--labels", real_ct[1], "--out", out)
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["mesh"]["volume_ml"] == pytest.approx(
        summary["mesh"]["label_volume_ml"], rel=0.02
    )
    # Osteopenic: 13 % of its sacrum's voxels are below 0 HU (the data's own description).
    assert any("was clamped" in text for text in summary["warnings"])
    for arm in summary["arms"].values():
        assert arm["lesion_ml"] == pytest.approx(7.1, rel=0.005)
        assert arm["cement_ml"] == pytest.approx(6.0, rel=0.005)
        assert arm["relief"]["rim"]["von_mises_mean"] > 0
        for state in ("intact", "lesion", "treated"):
            total = arm[state]["load_share_left"] + arm[state]["load_share_right"]
            assert total == pytest.approx(1.0, abs=1e-6)
