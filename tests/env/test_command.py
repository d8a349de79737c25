"""The command inside keeps its status, signals, directory, arguments, input and process id."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

# Says that it is ready, then waits in short naps until a signal comes.
WAITS = """
trap 'echo got TERM; exit 5' TERM
trap 'echo got INT; exit 6' INT
echo $$
while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("status", [0, 1, 3, 255])
def test_exit_status_is_kept(scratch, entry, status):
    assert scratch.run([*entry, "bash", "-c", f"exit {status}"]).returncode == status


def test_unknown_command_is_127(scratch, entry):
    done = scratch.run([*entry, "no-such-command"])
    assert done.returncode == 127
    assert "no-such-command" in done.stderr


@pytest.mark.parametrize(
    ("number", "name", "status"), [(signal.SIGTERM, "TERM", 5), (signal.SIGINT, "INT", 6)]
)
def test_signal_reaches_the_command(scratch, entry, number, name, status):
    process = scratch.start([*entry, "bash", "-c", WAITS])
    # The command has taken the place of with-env: whoever holds its process id holds the command.
    assert int(process.stdout.readline()) == process.pid
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    assert (out, process.returncode) == (f"got {name}\n", status)


def test_killed_command_shows_its_signal(scratch, entry):
    assert scratch.run([*entry, "bash", "-c", "kill -KILL $$"]).returncode == -signal.SIGKILL


def test_directory_is_kept(scratch, entry, tmp_path):
    inside = tmp_path / "some where"
    inside.mkdir()
    assert scratch.run([*entry, "pwd"], cwd=inside).stdout == f"{inside}\n"


def test_relative_paths_are_kept(scratch, entry, tmp_path):
    (tmp_path / "in").write_text("data")
    assert scratch.run([*entry, "cp", "in", "out"], cwd=tmp_path).returncode == 0
    assert (tmp_path / "out").read_text() == "data"


def test_arguments_are_kept(scratch, entry):
    given = [
        "",
        " two  words ",
        'a "quote"',
        "it's",
        "new\nline",
        "*",
        "$HOME",
        "--",
        "a=b=c",
        "äß",
    ]
    out = scratch.run([*entry, "printf", r"%s\0", *given]).stdout
    assert out.split("\0")[:-1] == given


def test_input_and_output_are_passed(scratch, entry):
    done = scratch.run([*entry, "bash", "-c", "cat; echo error >&2"], input="data")
    assert (done.stdout, done.stderr) == ("data", "error\n")


def test_variables_are_kept_and_set(active):
    active.env |= {"https_proxy": "http://proxy:3128", "SSL_CERT_FILE": "/some/ca.pem"}
    show = ["bash", "-c", 'echo "$https_proxy $SSL_CERT_FILE $OMP_NUM_THREADS $OMPI_MCA_btl"']
    out = active.run([*active.with_env, *show]).stdout
    assert out == "http://proxy:3128 /some/ca.pem 1 self,sm\n"
    active.env["OMP_NUM_THREADS"] = "2"
    assert active.run([*active.with_env, *show]).stdout.split()[2] == "2"


def test_works_from_elsewhere_and_through_a_link(active, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(active.project / "with-env")
    assert active.run(["./link", "pwd"], cwd=tmp_path).stdout == f"{tmp_path}\n"


def test_another_environment_from_inside_is_refused(active):
    active.env |= {"SACROFEM_INSIDE": f"active {active.project}", "SACROFEM_ENV": "next"}
    done = active.run([*active.with_env, "true"])
    assert done.returncode == 2
    assert "inside the environment 'active'" in done.stderr
    active.env |= {"SACROFEM_INSIDE": "active /other/clone", "SACROFEM_ENV": "auto"}
    assert "/other/clone" in active.run([*active.with_env, "true"]).stderr


def test_tree_hides_nothing_silently(scratch, tree_entry, tmp_path):
    etc = scratch.project / "tree" / "etc"
    etc.unlink()
    etc.mkdir()
    (tmp_path / "ct.nii").symlink_to("/etc/nsswitch.conf")
    (tmp_path / "up").symlink_to("/")
    file = "etc/nsswitch.conf"
    for hidden in (f"/{file}", f"--ct=/{file}", f"up/{file}", "ct.nii"):
        done = scratch.run([*tree_entry, "echo", hidden], cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "not visible inside the environment" in done.stderr
        assert done.stderr.count("\n") == 1
    done = scratch.run([*tree_entry, "echo", "/etc/never-existed"], cwd=tmp_path)
    assert done.stdout == "/etc/never-existed\n"


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGKILL])
def test_no_mount_is_left(scratch, tree_entry, number):
    before = Path("/proc/self/mounts").read_text()
    show = "cat /proc/self/mounts; echo; exec sleep 60"
    process = scratch.start([*tree_entry, "bash", "-c", show])
    inside = "".join(iter(process.stdout.readline, "\n"))
    for place in (" /usr ", " /etc "):
        assert inside.count(place) == before.count(place) + 1
    process.send_signal(number or signal.SIGINT)
    process.wait(timeout=10)
    assert Path("/proc/self/mounts").read_text() == before


def test_tree_path_order(scratch, tree_entry):
    path = scratch.run([*tree_entry, "bash", "-c", "echo $PATH"]).stdout
    assert re.fullmatch(r".*/\.venv/.*/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\n", path)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
def test_shellcheck(scratch):
    scripts = [scratch.project / "with-env", *sorted((scratch.project / "env").glob("*.sh"))]
    subprocess.run(["shellcheck", "--external-sources", "--severity=warning", *scripts], check=True)
