"""Faults: each ends with a cause and a way out, and what was committed stays."""

import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from sacrofem.errors import InputError
from sacrofem.study.records import SCHEMA
from sacrofem.study.store import insert_rows, known_keys, open_store, read_records, read_table

NOBODY = 65534


@contextmanager
def _tmpfs(folder: Path) -> Iterator[None]:
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _fill(path: Path, make: SimpleNamespace) -> None:
    """Write rows, twenty a transaction, until there is no room."""
    with open_store(path) as store:
        for first in range(0, 4000, 20):
            insert_rows(store, (make.row(first + n) for n in range(20)))


def test_a_full_disk_is_told_and_the_records_are_intact(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    disk = tmp_path / "disk"
    with _tmpfs(disk):
        path = disk / "records.sqlite"
        with pytest.raises(InputError, match=r"no room to write.*Make room on the disk"):
            _fill(path, make)
        kept = tmp_path / "kept.sqlite"
        shutil.copy(path, kept)
        committed = len(read_records(path))
        assert committed > 10
        # The next start meets the same disk, says the same, and spoils nothing.
        with pytest.raises(InputError, match=r"no room|make room"):
            _fill(path, make)
        assert len(read_records(path)) == committed
    with open_store(kept) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert len(known_keys(store)) == committed
        insert_rows(store, [make.row(5000)])


def test_a_limit_of_the_size_of_files_is_told(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "records.sqlite"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
    try:
        with pytest.raises(InputError, match="no room to write"):
            _fill(path, make)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    committed = len(read_records(path))
    with open_store(path) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        insert_rows(store, [make.row(5000)])
        assert len(known_keys(store)) == committed + 1 > 10


@contextmanager
def _as_nobody(folder: Path, mode: int = 0o555) -> Iterator[None]:
    """With the rights of a folder's mode alone; root has every right and must be somebody else."""
    folder.chmod(mode)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)


def test_a_read_only_folder_is_told_and_can_be_read(make: SimpleNamespace) -> None:
    # Not tmp_path: nobody but its owner may look into the folders above it.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "records.sqlite"
        with open_store(path) as store:
            insert_rows(store, [make.row(1)])
        path.chmod(0o444)
        with _as_nobody(folder):
            with pytest.raises(InputError, match=r"cannot be written.*Permission denied"):
                _fill(path, make)
            with pytest.raises(InputError, match="cannot be written"):
                _fill(folder / "new.sqlite", make)
            assert len(read_records(path)) == 1
        # The folder may be written, the file may not.
        with _as_nobody(folder, 0o777), pytest.raises(InputError, match="readonly database"):
            _fill(path, make)
        assert len(read_records(path)) == 1


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "records.sqlite"
    with pytest.raises(InputError, match=r"cannot be written.*No such file"), open_store(path):
        pass
    for read in (read_records, read_table):
        with pytest.raises(InputError, match="there is no such record store"):
            read(path)
    assert not path.parent.exists()


def _spoil(path: Path, start: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * length)


def test_a_page_that_is_spoilt_is_told_when_it_is_read(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        insert_rows(store, (make.row(seed) for seed in range(200)))
    size = path.stat().st_size
    _spoil(path, size // 2, size // 4)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"is damaged.*\.recover"):
        read_records(path)
    assert path.read_bytes() == before


def test_a_record_that_is_spoilt_is_named(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        insert_rows(store, [make.row(1)])
        store.execute("UPDATE details SET packed = substr(packed, 1, 9)")
    with pytest.raises(InputError, match=f"is damaged .record {make.row(1).key}"):
        read_records(path)


def test_a_store_cut_short_is_told_at_once(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        insert_rows(store, (make.row(seed) for seed in range(100)))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match="is damaged"), open_store(path):
        pass


def test_other_files_are_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    for write in (True, False):
        with (
            pytest.raises(InputError, match="another programme's SQLite file"),
            open_store(path, write=write),
        ):
            pass
    assert path.read_bytes() == before
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    with pytest.raises(InputError, match="an empty file"):
        read_records(empty)


def test_stores_of_older_and_newer_sacrofems_each_have_their_words(tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    with sqlite3.connect(old) as other:
        other.execute("CREATE TABLE records (key TEXT PRIMARY KEY)")
        other.execute("PRAGMA user_version = 3")
    with pytest.raises(InputError, match=r"schema 3.*use the sacrofem that wrote it"):
        read_records(old)
    new = tmp_path / "new.sqlite"
    with open_store(new) as store:
        store.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(InputError, match=r"update sacrofem"), open_store(new):
        pass


def test_a_store_with_other_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with open_store(path) as store:
        store.execute("UPDATE columns SET name = 'colour' WHERE name = 'seconds'")
    with pytest.raises(InputError, match=r"its numbers are not those of this sacrofem.*colour"):
        read_records(path)
