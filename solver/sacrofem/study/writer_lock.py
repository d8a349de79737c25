"""One writer at a time: a lock beside the store, which the kernel frees when its holder dies."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sacrofem.errors import InputError

#: Locks of this process, with what they say: fcntl(2) does not keep a process out of its own, and
#: takes it away where the process closes any other handle of the file, so these are never reopened.
_held: dict[str, str] = {}


def lock_file(store: Path) -> Path:
    """The file that is there while a store has a writer."""
    return store.with_name(f"{store.name}.lock")


@contextmanager
def writer_lock(store: Path) -> Iterator[None]:
    """Be the only writer of a store for the length of the block.

    Record locks of fcntl(2) are used: they hold across the hosts of a network disk (NFS 4, or
    NFS 3 with its lock daemon), a forked child does not inherit them, and a process that is killed
    loses them. A lock file that is there without its lock was left by a process that was killed:
    on this host it is taken over. That of another host is refused, since a network disk may be
    mounted without locks between hosts.

    Raises:
        InputError: Another process writes, or one of another host did not end as it should; the
            folder cannot be written, or grants no locks.
    """
    path = lock_file(store.resolve())
    if (ours := _held.get(str(path))) is not None:
        raise _refused(store, ours)
    handle = _locked(store, path)
    try:
        left = os.pread(handle, 1000, 0).decode(errors="replace")
        if _host(left) not in ("", socket.gethostname()):
            raise InputError(
                f"{store}: {_words(left)} did not close it, and may be writing still. If that "
                f"process is gone, delete {path} and start again."
            )
        _held[str(path)] = _sign(store, handle)
        try:
            yield
        finally:
            # Removed while it is locked: whoever waits for this file sees that it is gone.
            path.unlink(missing_ok=True)
    finally:
        _held.pop(str(path), None)
        os.close(handle)


def _locked(store: Path, path: Path) -> int:
    """A handle of the lock file, with the lock."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(
                f"{store}: cannot be written ({error.strerror}: {path}); give an output folder "
                "that exists, with the right to write there."
            ) from error
        if _try_lock(store, handle) and _is_there(path, handle):
            return handle
        # The writer before us removed the file after we opened it: this is not the lock any more.
        os.close(handle)


def _try_lock(store: Path, handle: int) -> bool:
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        left = os.pread(handle, 1000, 0).decode(errors="replace")
        os.close(handle)
        raise _refused(store, left) from error
    except OSError as error:
        os.close(handle)
        raise InputError(
            f"{store}: its disk grants no locks ({error.strerror}), without which two writers "
            "could spoil it; put the output folder on another disk."
        ) from error
    return True


def _is_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _sign(store: Path, handle: int) -> str:
    """Write who we are into the lock file."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    ours = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now})
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, ours.encode(), 0)
    except OSError as error:
        raise InputError(
            f"{store}: cannot be written ({error.strerror}); make room on its disk."
        ) from error
    return ours


def _host(text: str) -> str:
    return str(_parsed(text).get("host", ""))


def _words(text: str) -> str:
    found = _parsed(text)
    if not found:
        return "another process"
    return f"process {found.get('pid')} on {found.get('host')}, since {found.get('since')},"


def _parsed(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refused(store: Path, text: str) -> InputError:
    return InputError(
        f"{store}: {_words(text)} is writing it, and a store has one writer; wait for it or end "
        "it, or give another output folder."
    )
