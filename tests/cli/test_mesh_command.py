"""``sacrofem mesh`` as a user types it: a pelvis from files, its figures, its page, its formats."""

import json
import subprocess
import sys
from pathlib import Path

import meshio
import numpy as np
import pytest

from sacrofem.image.files import write_ct, write_labels
from sacrofem.image.phantom import PhantomSpec, make_phantom
from sacrofem.mesh import report as limits

RECIPE = "phantom: {voxel_mm: [3, 3, 3]}\nmodel: pelvis\nedge_mm: 4.0\nedge_elsewhere_mm: 8.0\n"


def sacrofem(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sacrofem", *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command writes for a pelvis from NRRD files."""
    base = tmp_path_factory.mktemp("mesh")
    (base / "mesh.yaml").write_text(RECIPE)
    ct, labels = make_phantom(PhantomSpec(voxel_mm=(3.0, 3.0, 3.0)))
    write_ct(base / "ct.nrrd", ct)
    write_labels(base / "labels.nrrd", labels)
    images = ("--ct", base / "ct.nrrd", "--labels", base / "labels.nrrd")
    more = ("--report", "--export", "inp", "--export", "msh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(base / "cache"))
        done = sacrofem("mesh", base / "mesh.yaml", "--out", base / "out", *images, *more)
    assert done.returncode == 0, done.stderr
    assert "16 of 16 open" in done.stdout
    return base / "out"


def test_its_figures_keep_the_limits(folder: Path) -> None:
    values = json.loads((folder / "mesh.json").read_text())
    assert values["model"] == "pelvis"
    assert values["shape"]["minimum"] >= limits.QUALITY_AT_LEAST
    assert values["shape"]["percentile_1"] >= limits.QUALITY_P01_AT_LEAST
    assert set(values["parts"]) == {"sacrum", "ilium left", "ilium right"}
    for part in values["parts"].values():
        assert part["mesh_ml"] == pytest.approx(part["label_ml"], rel=limits.VOLUME_WITHIN)
    assert values["cartilage_ml"] > 1.0
    assert len(values["sha256"]) == 64


def test_the_formats_hold_the_same_mesh(folder: Path) -> None:
    values = json.loads((folder / "mesh.json").read_text())
    for name in ("mesh.vtu", "mesh.msh", "mesh.inp"):
        read = meshio.read(folder / name)
        tets = np.concatenate([b.data for b in read.cells if b.type == "tetra"])
        assert len(tets) == values["cells"], name
        corner = read.points[tets]
        volume = np.linalg.det(corner[:, 1:] - corner[:, :1]) / 6000.0
        whole = sum(part["mesh_ml"] for part in values["parts"].values())
        assert volume.sum() == pytest.approx(whole + values["cartilage_ml"], rel=1e-6)
        assert volume.min() > 0.0


def test_the_page_is_there(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert "<html" in page
    assert "data:image/png;base64," in page


def test_a_format_that_is_not_known_is_named(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(RECIPE)
    done = sacrofem("mesh", tmp_path / "mesh.yaml", "--out", tmp_path / "out", "--export", "stl")
    assert done.returncode == 2
    assert "known formats are vtu (ParaView)" in done.stderr
    assert not (tmp_path / "out").exists()
