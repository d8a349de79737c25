"""What went wrong with a store, in words: a cause, and a way out."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sacrofem.errors import InputError

_FULL = (
    "there is no room to write ({error}); what was written before is safe. Make room on the disk, "
    "or raise the quota, and start again: only what is missing is done."
)
_READ_ONLY = (
    "cannot be opened or written ({error}); the file and its folder must exist, with the right to "
    "write. Nothing was changed."
)
_DAMAGED = (
    "is damaged ({error}). Copy it away; `sqlite3 COPY .recover` saves what can be read; a run in "
    "another folder makes the records again."
)
_BUSY = (
    "another programme has held it for minutes ({error}); close what reads it (a shell of SQLite, "
    "a notebook) and start again. What was written before is safe."
)
_NO_STORE = "not a record store ({error}); move it away, or give another folder."
#: By primary result code of SQLite, https://www.sqlite.org/rescode.html.
_WORDS = {
    sqlite3.SQLITE_FULL: _FULL,
    # EFBIG and EDQUOT; a full disk where SQLite could not tell.
    sqlite3.SQLITE_IOERR: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_NOTADB: _NO_STORE,
}
_READING = "cannot be read ({error}); look at the disk and the network. Nothing was changed."


class StoreError(InputError):
    """A store cannot be read or written; what was committed before is intact where it can be."""


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite says about a store into a :class:`StoreError`; bugs of ours stay bugs."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None or code & 0xFF not in _WORDS:
            raise
        words = _READING if code == sqlite3.SQLITE_IOERR_READ else _WORDS[code & 0xFF]
        raise StoreError(f"{path}: {words.format(error=error)}") from error


def damaged(path: Path, why: object) -> StoreError:
    """The error of a row or a file that cannot be decoded."""
    return StoreError(f"{path}: {_DAMAGED.format(error=why)}")
