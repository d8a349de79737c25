"""One writer: others are refused, readers are not, and a killed one leaves a store intact."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sacrofem.errors import InputError
from sacrofem.study.store import insert_rows, known_keys, open_store, read_records
from sacrofem.study.writer_lock import lock_file

#: Forks a writer for every line that it is given, which says its pid and then every key that is
#: committed. A line is the first key and the path of the store. Forked: the imports take a second.
WRITERS = """
import os, sys
from pathlib import Path
from sacrofem.study.records import NUMBERS
from sacrofem.study.store import Row, insert_rows, open_store

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

for line in sys.stdin:
    first, path = int(line.split(" ", 1)[0]), Path(line.split(" ", 1)[1].rstrip())
    pid = os.fork()
    if pid:
        say("pid", str(pid))
        os.waitpid(pid, 0)
        say("gone")
        continue
    with open_store(path) as store:
        while True:
            keys = [f"{first + n:08d}" for n in range(3)]
            numbers = {k: dict.fromkeys(NUMBERS, int(k) / 7) for k in keys}
            insert_rows(store, [Row(k, "arm", "t", {"n": int(k)}, numbers[k]) for k in keys])
            say("done", *keys)
            first += 3
"""


@pytest.fixture(scope="module")
def writers() -> Iterator[subprocess.Popen[str]]:
    """A process that forks writers."""
    command = [sys.executable, "-c", WRITERS]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    ) as process:
        yield process
        process.stdin.close()


def _start(writers: subprocess.Popen[str], path: Path, first: int) -> int:
    """Fork a writer; its pid once it has committed its first rows."""
    writers.stdin.write(f"{first} {path}\n")
    writers.stdin.flush()
    words: list[str] = []
    pid = 0
    while not words or words[0] != "done":
        words = writers.stdout.readline().split()
        pid = int(words[1]) if words[0] == "pid" else pid
    return pid


def _kill(writers: subprocess.Popen[str], pid: int) -> set[str]:
    """Kill a writer; the keys that it said it had committed."""
    os.kill(pid, signal.SIGKILL)
    said: set[str] = set()
    while (words := writers.stdout.readline().split()) != ["gone"]:
        said |= set(words[1:])
    return said


def test_twenty_kills_lose_no_row_and_spoil_none(
    tmp_path: Path, writers: subprocess.Popen[str]
) -> None:
    path, moments = tmp_path / "records.sqlite", random.Random(20)
    said: set[str] = set()
    for life in range(20):
        first = 10_000 * life
        pid = _start(writers, path, first)
        said |= {f"{first + n:08d}" for n in range(3)}
        time.sleep(moments.uniform(0.0, 0.05))
        said |= _kill(writers, pid)
        with open_store(path) as store:
            assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert said <= known_keys(store)
    found = read_records(path)
    # What was committed may not have been said; a transaction is there as a whole.
    assert len(found) % 3 == 0
    for record in found:
        assert record["inputs"] == {"n": int(record["key"])}
        assert record["seconds"] == record["intact_energy_error"] == int(record["key"]) / 7


def test_a_reader_reads_while_a_writer_writes(
    tmp_path: Path, writers: subprocess.Popen[str]
) -> None:
    path = tmp_path / "records.sqlite"
    pid = _start(writers, path, 0)
    counts = [len(read_records(path))]
    while counts[-1] == counts[0] or len(counts) < 10:
        counts.append(len(read_records(path)))
    _kill(writers, pid)
    assert counts == sorted(counts)
    assert all(count > 0 and count % 3 == 0 for count in counts)


def test_a_second_writer_is_told_who_the_first_is(
    tmp_path: Path, writers: subprocess.Popen[str]
) -> None:
    path = tmp_path / "records.sqlite"
    pid = _start(writers, path, 0)
    who = f"process {pid} on {socket.gethostname()}, since 20.* is writing it"
    for _ in range(2):
        with pytest.raises(InputError, match=who), open_store(path):
            pass
    _kill(writers, pid)
    # Its lock died with it.
    with open_store(path) as store:
        assert known_keys(store)


def test_a_process_keeps_itself_out(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        with pytest.raises(InputError, match=f"process {os.getpid()} on"), open_store(path):
            pass
        insert_rows(store, [make.row(1)])
        assert lock_file(path).is_file()
    assert not lock_file(path).exists()
    with open_store(path):
        pass


def test_a_lock_that_another_host_left_is_refused_until_it_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    lock_file(path).write_text(json.dumps({"host": "node7", "pid": 5, "since": "2026-01-01"}))
    with pytest.raises(InputError, match=r"process 5 on node7.*delete .*\.lock"), open_store(path):
        pass
    assert lock_file(path).is_file()
    assert not path.exists()
    lock_file(path).unlink()
    with open_store(path):
        pass


def test_an_error_of_the_block_frees_the_store(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_store(tmp_path / "records.sqlite"):
        raise ZeroDivisionError
    with open_store(tmp_path / "records.sqlite"):
        pass
