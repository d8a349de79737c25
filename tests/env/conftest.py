"""The environment scripts in a scratch project, with stand-ins for the programs they call."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parents[2]

# Stands in for a Python with DOLFINx: passes the probe, makes an empty venv, shows some path.
PYTHON = """
case "$*" in
  *" venv "*) mkdir -p "${!#}/bin"
    for name in python python3; do ln -s "$0" "${!#}/bin/$name"; done ;;
  *sys.path*) echo "${0%/bin/*}/site" ;;
esac
"""


@dataclass
class Scratch:
    """The scratch project and how to call things in it."""

    project: Path
    bin: Path
    calls_file: Path
    env: dict[str, str]

    def fake(self, name: str, body: str = "") -> None:
        """Put a program on PATH that writes down its call and then runs body."""
        script = self.bin / name
        script.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.calls_file}"\n{body}\n')
        script.chmod(0o755)

    def calls(self) -> list[str]:
        """Return the calls since the last time."""
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        self.calls_file.unlink(missing_ok=True)
        return text.splitlines()

    @property
    def with_env(self) -> list[str]:
        return [str(self.project / "with-env")]

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        options = {"env": self.env, "text": True, "stdout": -1, "stderr": -1} | options
        # A background job of a script ignores SIGINT, and so would all that it starts.
        return subprocess.Popen(command, preexec_fn=default_signals, **options)

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        options = {"env": self.env, "text": True, "capture_output": True, "timeout": 20} | options
        return subprocess.run(command, **options)


def default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    project = tmp_path / "a project"
    project.mkdir()
    for name in ("with-env", "pyproject.toml", "environment.yml"):
        shutil.copy(HERE / name, project)
    shutil.copytree(HERE / "env", project / "env")
    tools = tmp_path / "bin"
    tools.mkdir()
    dropped = ("SACROFEM_", "CONDA_", "MAMBA_", "CI", "VIRTUAL_ENV", "PYTHONPATH", "PYENV_", "OMP_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    env["PATH"] = f"{tools}:/usr/bin:/bin:/usr/sbin:/sbin"
    env["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    return Scratch(project, tools, tmp_path / "calls", env)


@pytest.fixture
def active(scratch: Scratch) -> Scratch:
    """Scratch with a stand-in Python that counts as an active environment."""
    scratch.fake("python3", PYTHON)
    return scratch


@pytest.fixture
def mounts() -> None:
    """Skip where this user cannot mount."""
    if not shutil.which("mount") or not shutil.which("unshare"):
        pytest.skip("no mount program here")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("needs root with the right to mount")


@pytest.fixture
def tree_entry(active: Scratch, mounts: None) -> list[str]:
    """Enter a Debian tree that consists of the present /usr and /etc."""
    tree = active.project / "tree"
    tree.mkdir()
    (tree / "usr").symlink_to("/usr")
    (tree / "etc").symlink_to("/etc")
    assert active.run([*active.with_env, "true"]).returncode == 0
    [stamp] = (active.project / ".venv" / "stamps").iterdir()
    venv = stamp.read_text().splitlines()[2]
    stamp.write_text(f"root\n{tree}\n{venv}\n")
    return active.with_env


@pytest.fixture(params=["active", "nested", "tree"])
def entry(request: pytest.FixtureRequest, active: Scratch) -> list[str]:
    """The start of a command line that runs the rest of it inside an environment of each sort."""
    if request.param == "tree":
        return request.getfixturevalue("tree_entry")
    if request.param == "nested":
        active.env["SACROFEM_INSIDE"] = f"active {active.project}"
    else:
        assert active.run([*active.with_env, "true"]).returncode == 0
    return active.with_env
