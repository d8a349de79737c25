"""The file of a record store: its tables, and opening one that is whole, ours and of our version.

Numbers of a case are in ``results`` (columns) and ``details`` (packed, see
:mod:`sacrofem.study.packing`). Keys, names and the parts of input documents that repeat are written
once and referred to by number. The views ``records``, ``points``, ``failures`` and ``responses``
put them together again for whoever asks in SQL; docs/records.md describes them.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from sacrofem.study.packing import CORE
from sacrofem.study.records import COLUMNS, NUMBERS, SCHEMA
from sacrofem.study.store_faults import StoreError, told
from sacrofem.study.writer_lock import writer_lock

#: What tells a store from any other SQLite file: "SACR".
APPLICATION = 0x53414352
#: A reader keeps a writer waiting for as long as it reads, and a commit a reader.
WRITER_WAITS_S = 300.0
READER_WAITS_S = 60.0
#: Large pages: of 4096 bytes, those of packed numbers would be a third empty.
PAGE_BYTES = 16384
#: Memory for pages: a million keys come in no order, and pages would be read again and again.
CACHE_KIB = 262_144


@contextmanager
def open_store(path: Path, *, write: bool = True) -> Iterator[sqlite3.Connection]:
    """Open a store; to write, one that does not exist is made.

    A writer is alone until the block ends, readers come and go. Every write is a transaction with
    the rollback journal, which works on network disks where write-ahead logging does not, and
    ``synchronous = FULL``: what was committed outlives the process, and a machine that loses power.

    Raises:
        InputError: Another process writes; the file is not there, no store, of another version,
            damaged, or cannot be written. So is what the block itself meets (a full disk).
    """
    if not write and not path.is_file():
        raise StoreError(f"{path}: there is no such record store; give the file of a finished run.")
    with writer_lock(path) if write else nullcontext(), told(path):
        # Also a reader may write: it is SQLite's way to undo what a killed writer had half done.
        target = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'rw'}"
        waits = WRITER_WAITS_S if write else READER_WAITS_S
        with closing(
            sqlite3.connect(target, timeout=waits, uri=True, isolation_level=None)
        ) as store:
            store.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            if write:
                store.execute("PRAGMA journal_mode = DELETE")
                store.execute("PRAGMA synchronous = FULL")
                if _is_empty(store):
                    store.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                    _create(store)
            else:
                store.execute("PRAGMA query_only = ON")
            _check(path, store)
            yield store


@contextmanager
def transaction(store: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All of a block or, where it ends with an error, nothing of it."""
    store.execute(begin)
    try:
        yield
        store.execute("COMMIT")
    except BaseException:
        # SQLite ends the transaction itself where the disk is full.
        if store.in_transaction:
            store.execute("ROLLBACK")
        raise


def quoted(name: str) -> str:
    """A name as SQL has it; the dotted path of a field is one."""
    return '"' + name.replace('"', '""') + '"'


def word_number(store: sqlite3.Connection, word: str) -> int:
    """The number of an arm's name or a title, given now where it is new."""
    store.execute("INSERT OR IGNORE INTO words (word) VALUES (?)", (word,))
    found = store.execute("SELECT id FROM words WHERE word = ?", (word,)).fetchone()
    return int(found[0])


def make_design(store: sqlite3.Connection, fields: dict[str, bool]) -> None:
    """Make the table of points anew, without its index, and the views that show its fields.

    Args:
        store: A store, in a transaction.
        fields: The varied fields by dotted path, and whether all their values are numbers.
    """
    columns = "".join(f", {quoted(path)}" for path in fields)
    shown = "".join(f", d.{quoted(path)}" for path in fields)
    core = ", ".join(f"r.{name}" for name in CORE)
    for view in ("points", "responses"):
        store.execute(f"DROP VIEW IF EXISTS {view}")
    store.execute("DROP TABLE IF EXISTS design")
    store.execute("DELETE FROM fields")
    store.executemany(
        "INSERT INTO fields (path, is_number) VALUES (?, ?)",
        [(p, int(n)) for p, n in fields.items()],
    )
    store.execute(
        "CREATE TABLE design (point INTEGER NOT NULL, arm INTEGER NOT NULL, id INTEGER NOT NULL"
        f"{columns}, PRIMARY KEY (point, arm)) WITHOUT ROWID"
    )
    store.execute(
        f"CREATE VIEW points AS SELECT d.point, a.word AS arm, c.key{shown} FROM design AS d "
        "JOIN words AS a ON a.id = d.arm JOIN cases AS c ON c.id = d.id"
    )
    store.execute(
        f"CREATE VIEW responses AS SELECT d.point, a.word AS arm{shown}, {core} FROM design AS d "
        "JOIN words AS a ON a.id = d.arm JOIN results AS r ON r.id = d.id"
    )


def index_design(store: sqlite3.Connection) -> None:
    """Make the points be found by their case, once they are all there: that is faster."""
    store.execute("CREATE INDEX design_by_case ON design (id)")


def _is_empty(store: sqlite3.Connection) -> bool:
    """Whether a file is new, or was made by a writer that was killed at once."""
    return int(store.execute("PRAGMA page_count").fetchone()[0]) == 0


def _create(store: sqlite3.Connection) -> None:
    core = ", ".join(f"{name} REAL" for name in CORE)
    with transaction(store):
        store.execute(f"PRAGMA application_id = {APPLICATION}")
        store.execute(f"PRAGMA user_version = {SCHEMA}")
        for name, columns in {
            "columns": "place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, packed INTEGER, "
            "unit TEXT, meaning TEXT, source TEXT",
            "cases": "id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE",
            "words": "id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE",
            "forms": "id INTEGER PRIMARY KEY, form TEXT, leaves TEXT, UNIQUE (form, leaves)",
            "fields": "place INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, is_number INTEGER",
            "results": "id INTEGER PRIMARY KEY, arm INTEGER, title INTEGER, finished INTEGER, "
            f"form INTEGER, changes TEXT, {core}",
            "bases": "id INTEGER PRIMARY KEY, shared INTEGER NOT NULL, packed BLOB NOT NULL",
            "details": "id INTEGER PRIMARY KEY, base INTEGER NOT NULL, packed BLOB NOT NULL",
            "failed": "id INTEGER PRIMARY KEY, point INTEGER, arm INTEGER, cause TEXT, "
            "message TEXT, traceback TEXT, host TEXT, attempts INTEGER, finished INTEGER, "
            "form INTEGER, changes TEXT",
        }.items():
            store.execute(f"CREATE TABLE {name} ({columns})")
        store.executemany(
            "INSERT INTO columns (name, packed, unit, meaning, source) VALUES (?, ?, ?, ?, ?)",
            [(n, int(n not in CORE), c.unit, c.meaning, c.source) for n, c in COLUMNS.items()],
        )
        store.execute("CREATE INDEX bases_by_inputs ON bases (shared)")
        _create_views(store)
        make_design(store, {})
        index_design(store)


def _create_views(store: sqlite3.Connection) -> None:
    core = ", ".join(f"r.{name}" for name in CORE)
    names = "JOIN cases AS c ON c.id = r.id JOIN words AS a ON a.id = r.arm"
    finished = "strftime('%Y-%m-%dT%H:%M:%S+00:00', r.finished, 'unixepoch') AS finished"
    store.execute(
        f"CREATE VIEW records AS SELECT c.key, a.word AS arm, t.word AS title, {finished}, {core} "
        f"FROM results AS r {names} JOIN words AS t ON t.id = r.title"
    )
    store.execute(
        "CREATE VIEW failures AS SELECT c.key, r.point, a.word AS arm, r.cause, r.message, "
        f"r.traceback, r.host, r.attempts, {finished} FROM failed AS r {names}"
    )


def _check(path: Path, store: sqlite3.Connection) -> None:
    """What can be told of a store at once, however large it is.

    SQLite itself looks at the header and whether the file is as long as that says. A page that was
    spoilt within is told when it is read: to look at all of them at every start would take minutes.
    """
    version = int(store.execute("PRAGMA user_version").fetchone()[0])
    ours = int(store.execute("PRAGMA application_id").fetchone()[0]) == APPLICATION
    tables = {row[0] for row in store.execute("SELECT name FROM sqlite_master")}
    if not ours and not (version and "records" in tables):
        what = "another programme's SQLite file" if tables else "an empty file"
        raise StoreError(f"{path}: not a record store ({what}); give another folder.")
    if version != SCHEMA:
        way = "update sacrofem" if version > SCHEMA else "use the sacrofem that wrote it"
        raise StoreError(
            f"{path}: written with schema {version}, this sacrofem knows {SCHEMA}; give another "
            f"folder, or {way}. Nothing was changed."
        )
    found = [row[0] for row in store.execute("SELECT name FROM columns ORDER BY place")]
    if found != list(NUMBERS):
        other = sorted(set(found) ^ set(NUMBERS)) or ["their order"]
        raise StoreError(
            f"{path}: its numbers are not those of this sacrofem ({len(found)} for {len(NUMBERS)}; "
            f"{other[0]}); give another folder, or use the sacrofem that wrote it."
        )
