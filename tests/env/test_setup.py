"""How the environment is found, made, remembered and, when all fails, refused."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

# The real set-up but for two functions: the probe believes $HAVE, a finished kind is only named.
DRIVER = """
set -euo pipefail
project=$PWD want=${WANT:-auto} cache=$XDG_CACHE_HOME/sacrofem stamp=$PWD/.venv/stamps/key
say() { printf 'with-env: %s\\n' "$*" >&2; }
die() { say "$2"; exit "$1"; }
ready() { false; }
. env/setup.sh
probe() { why="$1 has no DOLFINx"; [[ "$1" == ${HAVE:-/nowhere} ]]; }
make_venv() { venv=none; echo "$kind $python"; }
set_up
"""
MISSING = "LC_ALL=C; echo '  Candidate: 0.5.2-2'"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="apt-get needs root")


def decide(scratch, **variables):
    scratch.env |= variables
    return scratch.run(["bash", "-c", DRIVER], cwd=scratch.project)


@pytest.fixture
def bare(scratch):
    """Nothing is there: old apt, no conda, no right to mount."""
    scratch.fake("python3")
    scratch.fake("apt-cache", MISSING)
    scratch.fake("apt-get")
    scratch.fake("unshare", "exit 1")
    return scratch


def test_active_python_comes_first(bare):
    bare.fake("conda")
    done = decide(bare, HAVE=f"{bare.bin}/python3")
    assert done.stdout == f"active {bare.bin}/python3\n"
    assert bare.calls() == []


@pytest.mark.parametrize(
    ("tool", "call"),
    [("conda", "env create"), ("mamba", "env create"), ("micromamba", "create")],
)
def test_conda_comes_second_and_is_made_once(bare, tool, call):
    bare.fake(tool, 'while [ "$1" != --prefix ]; do shift; done; mkdir -p "$2/bin"')
    prefix = f"{bare.env['XDG_CACHE_HOME']}/sacrofem/conda/"
    done = decide(bare, HAVE="*/conda/*/bin/python3")
    assert done.stdout.startswith(f"conda {prefix}")
    [made] = bare.calls()
    assert made.startswith(f"{tool} {call} --prefix {prefix}")
    assert made.endswith(f"--file {bare.project}/environment.yml")
    assert decide(bare).stdout.startswith("conda ")
    assert bare.calls() == []


def test_broken_conda_environment_is_made_anew(bare):
    make = 'while [ "$1" != --prefix ]; do shift; done; mkdir -p "$2"; touch "$2/$$"'
    bare.fake("conda", f"{make}; exit 1")
    assert decide(bare, WANT="conda", HAVE="*/conda/*").returncode == 1
    bare.fake("conda", make)
    assert decide(bare).returncode == 0
    [prefix] = (bare.project.parent / "cache" / "sacrofem" / "conda").iterdir()
    assert len(list(prefix.iterdir())) == 2  # of the second call alone, and the mark


@root_only
def test_failed_conda_is_said_and_apt_comes_next(bare):
    bare.fake("conda", "echo cannot reach the channel; exit 1")
    installed = bare.project / "installed"
    bare.fake("apt-cache", "echo '  Candidate: 1:0.9.0-8'")
    bare.fake("apt-get", f"touch '{installed}'")
    bare.env["HAVE"] = "/usr/bin/python3"
    late = DRIVER.replace("[[", f"[ -e '{installed}' ] && [[")  # DOLFINx is there once apt-get ran
    done = bare.run(["bash", "-c", late], cwd=bare.project)
    assert done.stdout == "apt /usr/bin/python3\n"
    assert len(re.findall("'conda' did not work .*cannot reach the channel", done.stderr)) == 1
    call = bare.calls()[-1]
    assert call.startswith("apt-get install --yes --no-install-recommends python3-dolfinx-real ")
    assert "libopenblas0-openmp" in call


@pytest.mark.parametrize("candidate", ["0.5.2-2+b1", "0.8.0-1", "0.12.0-1", "(none)"])
def test_apt_with_another_dolfinx_installs_nothing(bare, candidate):
    bare.fake("apt-cache", f"echo '  Candidate: {candidate}'")
    done = decide(bare)
    assert done.returncode == 1
    assert f"apt: apt offers DOLFINx {candidate}" in done.stderr
    assert not [call for call in bare.calls() if call.startswith("apt-get")]


def test_nothing_possible_names_every_way_out(bare):
    done = decide(bare)
    assert (done.returncode, done.stdout) == (1, "")
    for text in ("active: ", "conda: no conda", "apt: apt offers DOLFINx 0.5.2", "root: needs"):
        assert f"\n  {text}" in done.stderr
    for text in ("activate a Python", "install conda", "apt-get install python3-", "as root"):
        assert text in done.stderr


def test_forced_kind_tries_no_other(bare):
    done = decide(bare, WANT="conda", HAVE=f"{bare.bin}/python3")
    assert done.returncode == 1
    assert "conda: " in done.stderr
    assert "active: " not in done.stderr
    bare.env["SACROFEM_ENV"] = "docker"
    assert bare.run([*bare.with_env, "true"]).returncode == 2


def test_second_call_starts_no_python_until_something_changes(active):
    assert active.run([*active.with_env, "true"]).returncode == 0
    first = active.calls()
    assert any("--requirement" in call for call in first)
    assert sum("--editable" in call for call in first) == 1
    assert active.run([*active.with_env, "true"]).stderr == ""
    assert active.calls() == []
    with (active.project / "environment.yml").open("a") as file:
        file.write("# changed\n")
    assert active.run([*active.with_env, "true"]).returncode == 0
    assert not any("install" in call for call in active.calls())
    with (active.project / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert active.run([*active.with_env, "true"]).returncode == 0
    again = active.calls()
    assert any("--editable" in call for call in again)
    assert not any("--requirement" in call for call in again)


def test_failed_step_is_repeated(active):
    python = active.bin / "python3"
    works = python.read_text()
    fails = '[[ "$*" != *--requirement* ]] || { echo no network; exit 1; }\n'
    python.write_text(works.replace("case", f"{fails}case", 1))
    active.env["SACROFEM_ENV"] = "active"
    done = active.run([*active.with_env, "true"])
    assert done.returncode == 1
    assert "no network" in done.stderr
    assert str(active.project / ".venv" / "setup.log") in done.stderr
    python.write_text(works)
    assert active.run([*active.with_env, "true"]).returncode == 0


def test_interrupted_build_leaves_no_tree(scratch, mounts, tmp_path):
    beat = tmp_path / "beat"
    scratch.env["SACROFEM_ENV"] = "root"
    scratch.fake("df", "echo 99G")
    endless = f'while :; do date +%N >"{beat}"; sleep 0.02; done'
    scratch.fake("mmdebstrap", f'mkdir -p "${{!#}}/usr"; {endless}')
    process = scratch.start([*scratch.with_env, "true"])
    roots = tmp_path / "cache" / "sacrofem" / "roots"
    for _ in range(500):
        if beat.exists():
            break
        time.sleep(0.01)
    assert [path.suffix for path in roots.iterdir() if path.is_dir()] == [".part"]
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    time.sleep(0.2)
    last = beat.read_text()
    time.sleep(0.2)
    assert beat.read_text() == last, "the build goes on without its caller"

    scratch.fake("mmdebstrap", f'ls "{roots}"; mkdir "${{!#}}"; echo no mirror; exit 1')
    done = scratch.run([*scratch.with_env, "true"])
    assert done.returncode == 1
    assert "no mirror" in done.stderr
    listing = (scratch.project / ".venv" / "setup.log").read_text().split("GB)\n")[-1]
    assert listing.split() == ["lock", "no", "mirror"]
    assert [path.name for path in roots.iterdir()] == ["lock"]
