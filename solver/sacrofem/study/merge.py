"""Merging: the stores of a study's shards, or of several hosts, become one."""

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sacrofem.errors import InputError
from sacrofem.study.packing import CORE
from sacrofem.study.store_faults import damaged
from sacrofem.study.store_file import (
    index_design,
    make_design,
    open_store,
    quoted,
    transaction,
)

#: Two runs of one case on two machines differ in the last digits; by more than this they are two
#: results (a choice: the solver's residual is 1e-10).
RELATIVE, ABSOLUTE = 1e-6, 1e-9
#: Ends of the names of numbers that tell how a result was come by.
NOT_RESULTS = ("seconds", "iterations", "residual", "_error")
_RESULTS = tuple(name for name in CORE if not name.endswith(NOT_RESULTS))


@dataclass(frozen=True)
class MergeOutcome:
    """What a merge wrote.

    Args:
        records: Records of the merged store.
        duplicates: Records that were there more than once; the first of each was kept.
        failures: Failures of the merged store, of cases that succeeded nowhere.
        replaced_failures: Failures of cases that succeeded in another store.
        points: Rows of the table of points, a point and an arm each.
    """

    records: int
    duplicates: int
    failures: int
    replaced_failures: int
    points: int


def merge_stores(paths: Sequence[Path], out: Path) -> MergeOutcome:
    """Write all records, failures and points of some stores into a new one; they stay as they are.

    Numbers of one key must be the same in all stores to 1e-6, but for time and the solver's own;
    those with a column of their own are compared.

    Raises:
        InputError: There is nothing to merge, ``out`` exists, a store cannot be read, two stores
            have different numbers for one key, or different studies.
    """
    if not paths:
        raise InputError("merge: at least one store is needed, found none.")
    if out.exists():
        raise InputError(f"{out}: exists already; give the name of a new store to merge into.")
    part = out.with_name(f"{out.name}.part")
    part.unlink(missing_ok=True)
    duplicates, seen = 0, set()
    try:
        with open_store(part) as store:
            _make_design(store, paths)
            for path in paths:
                with _attached(store, path), _told(path), transaction(store):
                    duplicates += _copy(store, path)
                    seen |= {key for (key,) in store.execute("SELECT key FROM shard.failures")}
            with transaction(store):
                store.execute("DELETE FROM failed WHERE id IN (SELECT id FROM results)")
            counts = [_count(store, table) for table in ("results", "failed", "design")]
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)
    return MergeOutcome(counts[0], duplicates, counts[1], len(seen) - counts[1], counts[2])


def _make_design(store: sqlite3.Connection, paths: Sequence[Path]) -> None:
    """The table of points with the fields of the stores, which must be the same."""
    first: tuple[Path, dict[str, bool]] | None = None
    for path in paths:
        with open_store(path, write=False) as shard:
            fields = dict(shard.execute("SELECT path, is_number FROM fields ORDER BY place"))
        if not fields:
            continue
        if first is None:
            first = path, fields
        if set(fields) != set(first[1]):
            other = sorted(set(fields) ^ set(first[1]))[0]
            raise InputError(
                f"{path}: is of another study than {first[0]} (vary: {other}); merge the shards of "
                "one study."
            )
        first = first[0], {field: bool(first[1][field] and fields[field]) for field in first[1]}
    if first is not None:
        with transaction(store):
            make_design(store, first[1])
            index_design(store)


@contextmanager
def _attached(store: sqlite3.Connection, path: Path) -> Iterator[None]:
    store.execute("ATTACH ? AS shard", (f"{path.absolute().as_uri()}?mode=rw",))
    store.execute("CREATE TEMP TABLE moved (old INTEGER PRIMARY KEY, new INTEGER, is_new INTEGER)")
    try:
        yield
    finally:
        store.execute("DROP TABLE temp.moved")
        store.execute("DETACH shard")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Damage is the attached store's: ours is new."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT:
            raise damaged(path, error) from error
        raise


def _copy(store: sqlite3.Connection, path: Path) -> int:
    """Copy the attached store; return how many of its records were there before."""
    for table, columns in (("words", "word"), ("forms", "form, leaves"), ("cases", "key")):
        store.execute(
            f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM shard.{table} "
            "ORDER BY id"
        )
    store.execute(
        "INSERT INTO moved SELECT s.id, m.id, m.id NOT IN (SELECT id FROM main.results) "
        "FROM shard.cases AS s JOIN main.cases AS m ON m.key = s.key"
    )
    known = "FROM moved AS m JOIN shard.results AS s ON s.id = m.old WHERE NOT m.is_new"
    duplicates = int(store.execute(f"SELECT count(*) {known}").fetchone()[0])
    _check_same(store, path)
    _copy_points(store, path)
    _copy_records(store)
    return duplicates


def _check_same(store: sqlite3.Connection, path: Path) -> None:
    there = ", ".join(f"s.{name}" for name in _RESULTS)
    here = ", ".join(f"r.{name}" for name in _RESULTS)
    pairs = store.execute(
        f"SELECT c.key, {there}, {here} FROM moved AS m JOIN shard.results AS s ON s.id = m.old "
        "JOIN main.results AS r ON r.id = m.new JOIN main.cases AS c ON c.id = m.new"
    )
    # A query that was not read to its end keeps its tables locked.
    with closing(pairs):
        for key, *values in pairs:
            new, old = values[: len(_RESULTS)], values[len(_RESULTS) :]
            for name, a, b in zip(_RESULTS, new, old, strict=True):
                if not _is_same(a, b):
                    raise InputError(
                        f"{path}: record {key} has {name} = {a}, an earlier store has {b}, though "
                        "inputs and code are the same. Nothing was merged; run this case again to "
                        "see which holds, and leave out the store that is wrong."
                    )


def _is_same(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _copy_points(store: sqlite3.Connection, path: Path) -> None:
    words = "JOIN shard.words AS w ON w.id = s.arm JOIN main.words AS n ON n.word = w.word"
    moved = f"FROM shard.design AS s {words} JOIN moved AS m ON m.old = s.id"
    other = store.execute(
        f"SELECT s.point, n.word {moved} JOIN main.design AS d ON d.point = s.point AND "
        "d.arm = n.id WHERE d.id != m.new LIMIT 1"
    ).fetchone()
    if other is not None:
        raise InputError(
            f"{path}: point {other[0]}, arm {other[1]} is another case than in an earlier store; "
            "merge the shards of one reading of the study, made by one sacrofem."
        )
    fields = [row[0] for row in store.execute("SELECT path FROM shard.fields ORDER BY place")]
    names = "".join(f", {quoted(field)}" for field in fields)
    values = "".join(f", s.{quoted(field)}" for field in fields)
    store.execute(
        f"INSERT OR IGNORE INTO main.design (point, arm, id{names}) "
        f"SELECT s.point, n.id, m.new{values} {moved}"
    )


def _copy_records(store: sqlite3.Connection) -> None:
    """Results, details and failures, with the numbers that stand for words in this store."""
    first_base = int(store.execute("SELECT coalesce(max(id), 0) FROM main.bases").fetchone()[0])
    store.execute(
        "INSERT INTO main.bases SELECT id + ?, shared, packed FROM shard.bases", (first_base,)
    )
    words = (
        "JOIN shard.words AS {0}o ON {0}o.id = s.{0} "
        "JOIN main.words AS {0}n ON {0}n.word = {0}o.word"
    )
    forms = (
        "JOIN shard.forms AS fo ON fo.id = s.form "
        "JOIN main.forms AS fn ON fn.form = fo.form AND fn.leaves = fo.leaves"
    )
    core = ", ".join(CORE)
    store.execute(
        f"INSERT INTO main.results (id, arm, title, finished, form, changes, {core}) "
        f"SELECT m.new, armn.id, titlen.id, s.finished, fn.id, s.changes, {core} "
        "FROM moved AS m JOIN shard.results AS s ON s.id = m.old "
        f"{words.format('arm')} {words.format('title')} {forms} WHERE m.is_new"
    )
    store.execute(
        "INSERT INTO main.details SELECT m.new, s.base + ?, s.packed FROM moved AS m "
        "JOIN shard.details AS s ON s.id = m.old WHERE m.is_new",
        (first_base,),
    )
    told = "point, cause, message, traceback, host, attempts, finished, changes"
    store.execute(
        f"INSERT OR REPLACE INTO main.failed (id, arm, form, {told}) SELECT m.new, armn.id, fn.id, "
        f"{', '.join('s.' + name for name in told.split(', '))} FROM moved AS m "
        f"JOIN shard.failed AS s ON s.id = m.old {words.format('arm')} {forms}"
    )


def _count(store: sqlite3.Connection, table: str) -> int:
    return int(store.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
