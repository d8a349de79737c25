"""The house: imports go one way, files stay short, the version stands in one place."""

import ast
import tomllib
from pathlib import Path

import pytest

import sacrofem

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "solver" / "sacrofem"
ROOMS = (
    "image",
    "anatomy",
    "mesh",
    "treatment",
    "mechanics",
    "measure",
    "study",
    "report",
    "cli",
    "__main__",
)
FILES = sorted(PACKAGE.rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    """Rooms of the package that a file imports from."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    parts = [name.split(".") for name in names]
    return {p[1] for p in parts if p[0] == "sacrofem" and len(p) > 1 and p[1] in ROOMS}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_lower_room_never_imports_a_higher_one(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    order = ROOMS.index(room) if room in ROOMS else -1
    higher = {name for name in imported_rooms(path) if ROOMS.index(name) > order}
    assert not higher


def test_the_import_test_sees_an_import(tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text("from sacrofem.mesh.quality import mesh_quality\nfrom sacrofem import cli\n")
    assert imported_rooms(source) == {"mesh", "cli"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_over_400_lines_and_no_class_over_250(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno - node.lineno <= 250, node.name


def test_the_version_stands_in_pyproject_alone() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert sacrofem.__version__ == version
    assert not [p for p in FILES if f'"{version}"' in p.read_text()]


def test_no_module_but_compat_asks_for_a_version_of_dolfinx() -> None:
    asking = [p for p in FILES if "packaging.version" in p.read_text()]
    assert [p.name for p in asking] == ["_compat.py"]
