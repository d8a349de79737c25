"""The commands about studies as a user types them: Ctrl-C, shards, merge, export, dry run."""

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sacrofem.cli.studies import progress_text
from sacrofem.study.sweep import SweepState

SACROFEM = (sys.executable, "-m", "sacrofem")


def sacrofem(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*SACROFEM, *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def count(records: Path) -> int:
    if not records.is_file():
        return 0
    with sqlite3.connect(records) as store:
        try:
            return int(store.execute("SELECT count(*) FROM records").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


@pytest.mark.slow
def test_a_study_is_interrupted_ended_and_goes_on(
    small_study: Path, tmp_path: Path, own_cache: Path
) -> None:
    """Protects: Ctrl-C ends with 130 and SIGTERM with 143, the store whole, no worker left; the
    next call does the rest.
    """
    study, out = small_study, tmp_path / "out"
    for sent, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        before = count(out / "records.sqlite")
        with subprocess.Popen(
            [*SACROFEM, "sweep", str(study), "--out", str(out)],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as client:
            while count(out / "records.sqlite") == before and client.poll() is None:
                time.sleep(0.02)
            # As a terminal does: to every process of the session; a batch system's goes to one.
            if sent == signal.SIGINT:
                os.killpg(client.pid, sent)
            else:
                client.send_signal(sent)
            _, errors = client.communicate(timeout=60)
        assert client.returncode == status, errors
        assert "Traceback" not in errors
        assert not _session(client.pid)
    kept = count(out / "records.sqlite")
    assert 2 <= kept < 8
    last = sacrofem("sweep", study, "--out", out)
    assert f"8 cases: {kept} known, {8 - kept} computed, 0 failed" in last.stdout, last.stderr


@pytest.mark.slow
def test_shards_merge_into_the_whole_study(
    small_study: Path, tmp_path: Path, own_cache: Path
) -> None:
    """Protects: the way without Dask on a cluster: shards by a job array, one store, one table."""
    study, out = small_study, tmp_path / "out"
    for shard in ("1/2", "2/2"):
        done = sacrofem("sweep", study, "--out", out, "--shard", shard, "--workers", 1)
        assert "4 cases: 0 known, 4 computed, 0 failed" in done.stdout, done.stderr
    merged = sacrofem("merge", out, out / "shard-1-of-2", out / "shard-2-of-2")
    assert "8 records, 0 failures; 0 were there" in merged.stdout, merged.stderr
    exported = sacrofem("export", out, "--to", "csv")
    assert "8 rows" in exported.stdout, exported.stderr
    with (out / "records.csv").open() as table:
        rows = list(csv.DictReader(table))
    found = {(row["arm"], float(row["arms.*.fill.cement_ml"])) for row in rows}
    assert len(found) == 8


def test_a_dry_run_leaves_nothing(small_study: Path, tmp_path: Path) -> None:
    done = sacrofem("sweep", small_study, "--out", tmp_path / "out", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "8 cases" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--shard", "3/2"), "--shard 3/2"),
        (("--cluster", "cray"), "allowed: local, slurm"),
        (("--memory", "4GB"), "--cluster is local"),
    ],
)
def test_a_wrong_option_is_explained_before_anything_is_made(
    small_study: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = sacrofem("sweep", small_study, "--out", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_progress_tells_rate_time_left_and_failures_by_cause() -> None:
    """Protects: the rate is of this call's cases alone, not of those known before."""
    failed = {"solver": 2, "input": 1}
    state = SweepState(cases=100, known=40, done=10, failed=failed, workers=2, last="balloon")
    assert progress_text(state, 60.0) == (
        "10 a minute · 0:05:00 left · 2 workers · failed: 1 input, 2 solver · balloon"
    )
    assert progress_text(SweepState(cases=100, known=40), 0.0) == "waiting for workers"


def _session(leader: int) -> list[str]:
    """Living processes of a session."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(name)
    return found
