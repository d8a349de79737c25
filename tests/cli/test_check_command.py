"""``sacrofem check`` as a user types it: what is possible is drawn, what is not is explained."""

import subprocess
import sys
from pathlib import Path

SCENARIO = """\
title: Two arms, one of them impossible
mesh: mesh.yaml
lesions:
  - {site: lateral mass right, volume_ml: 7.1, kind: lytic, breach: [anterior]}
arms:
  - {name: possible, approach: short axis, fill: {technique: vertebroplasty, cement_ml: 6.0}}
"""
TOO_MUCH = "  - {name: flood, fill: {technique: balloon, cement_ml: 900.0}}\n"


def check(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "mesh.yaml").write_text("phantom: {voxel_mm: [2, 2, 2]}\nedge_mm: 6.0\n")
    (folder / "scenario.yaml").write_text(text)
    command = [sys.executable, "-m", "sacrofem", "check", str(folder / "scenario.yaml")]
    return subprocess.run(
        [*command, "--out", str(folder / "out")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_possible_scenario_is_drawn(tmp_path: Path, own_cache: Path) -> None:
    done = check(tmp_path, SCENARIO)
    assert done.returncode == 0, done.stderr
    assert "short axis" in done.stdout
    page = (tmp_path / "out" / "check.html").read_text()
    assert page.count("data:image/png;base64") >= 2
    assert str(tmp_path / "out" / "check.html") in done.stdout


def test_what_is_refused_is_explained_and_the_rest_is_drawn(
    tmp_path: Path, own_cache: Path
) -> None:
    done = check(tmp_path, SCENARIO + TOO_MUCH)
    assert done.returncode == 2
    assert "arm flood: " in done.stderr
    assert "900 ml" in done.stderr
    assert "possible" in done.stdout
    assert "flood is refused" in (tmp_path / "out" / "check.html").read_text()
