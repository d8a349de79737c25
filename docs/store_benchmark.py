"""Measures the record store with a million synthetic records and writes ``docs/store.md``.

``./with-env python docs/store_benchmark.py FOLDER [RECORDS]``: 2 GB and some minutes on a disk; not
part of the tests. Every point of the study has a bone, lesions and loads of its own, all at random;
its arms share what the arms of a real scenario share, no more.
"""

import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sacrofem.study.case import case_key
from sacrofem.study.packing import CORE, DETAILS, in_kept_precision
from sacrofem.study.records import NUMBERS
from sacrofem.study.store import (
    PointRow,
    Row,
    insert_row,
    insert_rows,
    known_keys,
    open_store,
    put_points,
    read_table,
)
from sacrofem.study.store_file import transaction

DOCS = Path(__file__).parent
ARMS = ("short axis balloon", "short axis vertebroplasty", "long axis balloon", "transiliac RFA")
FIELDS = (
    "arms.*.fill.cement_ml",
    "lesions.0.volume_ml",
    "load.force_N",
    "materials.cement_MPa",
    "materials.tumour_MPa",
)
#: Numbers that are zero: leaks of most cases, cement and lesion in the states that have none.
ZERO = tuple(
    name
    for name in NUMBERS
    if name.startswith("leak_")
    or (name.startswith(("intact", "lesion_")) and "cement" in name)
    or name in ("intact_energy_lesion_mJ", "intact_energy_gap_mJ")
)
#: Regions that cement reaches, whose sound bone differs from arm to arm also before treatment.
REACHED = ("_rim_", "_whole_", "_zone_I_right_", "_zone_II_right_")
#: Whether the arms of a point have a number in common.
IS_SHARED = np.array(
    [n.startswith(("intact_", "lesion_")) and not any(r in n for r in REACHED) for n in NUMBERS]
)
#: By how much a number differs from arm to arm where they do not.
SPREAD = 0.1
WHOLE = tuple(name for name in NUMBERS if name == "dofs" or name.endswith("iterations"))
RELIEF = "relief_rim_von_mises_mean"
BATCH = 1000
#: Only so many of the records are drawn; the others have copies of their rows.
COPIES = 20


def main(folder: Path, records: int) -> None:
    """Make the stores, measure, write the page."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "million.sqlite"
    path.unlink(missing_ok=True)
    lines = [_commits(folder / "commits.sqlite", n) for n in (1, 10, 100)]
    lines += [_exact(folder / "exact.sqlite")]
    points = _points(records)
    with open_store(path) as store:
        lines.append(_timed("Table of points written", lambda: put_points(store, points))[1])
        drawn = points[: records // COPIES]
        start = time.perf_counter()
        for chunk in batched(drawn, BATCH, strict=False):
            insert_rows(store, _rows(chunk))
        each_ms = (time.perf_counter() - start) / len(drawn) * 1e3
        lines.append(f"| Record drawn and written, {BATCH} a transaction | {each_ms:.2f} ms each |")
        _copy(store, len(drawn))
    size = path.stat().st_size
    lines.append(f"| Size of the file | {size / 1e9:.2f} GB, {size / records:.0f} bytes a record |")
    lines += _queries(path, points)
    _write(lines, records)


def _copy(store: sqlite3.Connection, drawn: int) -> None:
    """Give the points that have no record yet copies of the others' rows, byte by byte."""
    core = ", ".join(CORE)
    bases = store.execute("SELECT max(id) FROM bases").fetchone()[0]
    with transaction(store):
        for n in range(1, COPIES):
            store.execute(
                "INSERT INTO results SELECT id + ?, arm, title, finished, form, changes, "
                f"{core} FROM results WHERE id <= ? ORDER BY id",
                (n * drawn, drawn),
            )
            store.execute(
                "INSERT INTO bases SELECT id + ?, shared + ?, packed FROM bases WHERE id <= ?",
                (n * bases, n, bases),
            )
            store.execute(
                "INSERT INTO details SELECT id + ?, base + ?, packed FROM details WHERE id <= ?",
                (n * drawn, n * bases, drawn),
            )


def _points(records: int) -> list[PointRow]:
    """A study of four arms, of five fields drawn at random but for twenty volumes of cement."""
    random = np.random.default_rng(1)
    drawn = random.random((records // len(ARMS), len(FIELDS)))
    drawn[:, 0] = np.round(1.0 + 19.0 * drawn[:, 0]) / 2.0
    return [
        PointRow(point, arm, case_key({"values": values, "arm": arm}), values)
        for point, row in enumerate(drawn.tolist())
        for values in [dict(zip(FIELDS, row, strict=True))]
        for arm in ARMS
    ]


def _rows(points: tuple[PointRow, ...]) -> Iterator[Row]:
    random = np.random.default_rng(points[0].point)
    for point in points:
        factors = np.where(IS_SHARED, 1.0, random.lognormal(0.0, SPREAD, len(NUMBERS)))
        drawn = (_of_point(point.point) * factors).tolist()
        numbers = dict(zip(NUMBERS, drawn, strict=True)) | dict.fromkeys(ZERO, 0.0)
        numbers |= {name: round(100.0 * numbers[name]) for name in WHOLE}
        numbers[RELIEF] = float(point.values[FIELDS[0]] or 0.0) + random.normal()
        yield Row(point.key, point.arm, "A million", _inputs(point), in_kept_precision(numbers))


@lru_cache(maxsize=1)
def _of_point(point: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng((2, point)).lognormal(0.0, 2.0, len(NUMBERS))


def _inputs(point: PointRow) -> dict[str, Any]:
    """An input document of the length of a real one."""
    cement_ml, volume_ml, force_N, cement_MPa, tumour_MPa = point.values.values()
    approach, _, technique = point.arm.rpartition(" ")
    return {
        "mesh": "d" * 64,
        "code": "c" * 64,
        "lesions": [
            {"breach": [], "centre_mm": None, "fracture": None, "kind": "lytic", "level": "S1"}
            | {"mask": None, "site": "lateral mass right", "volume_ml": volume_ml}
        ],
        "load": {"case": "standing", "endplate_share": 0.85, "force_N": force_N}
        | {"hold": "acetabula", "muscles": False, "sacral_slope_deg": 40.0},
        "materials": {"cement_MPa": cement_MPa, "tumour_MPa": tumour_MPa, "cortex_mm": 1.0}
        | {"law": "kopperdahl 2002", "mixture": "voigt", "interface_factor": 1.0},
        "order": 2,
        "procedures": [
            {"approach": approach, "bevel": True, "cannula": "10 G", "lesions": [1]}
            | {"fill": {"cement_ml": cement_ml, "technique": technique, "viscosity": "high"}}
        ],
    }


def _commits(path: Path, together: int) -> str:
    path.unlink(missing_ok=True)
    rows = list(_rows(tuple(_points(400))))
    with open_store(path) as store:
        start = time.perf_counter()
        for chunk in batched(rows, together, strict=False):
            if together == 1:
                insert_row(store, *(getattr(chunk[0], n) for n in chunk[0].__match_args__))
            else:
                insert_rows(store, chunk)
        each_ms = (time.perf_counter() - start) / len(rows) * 1e3
    path.unlink()
    what = f"Record written and committed to disk, {together} a transaction"
    return f"| {what} | {each_ms:.2f} ms each |"


def _exact(path: Path) -> str:
    """Bytes of a record whose packed numbers are not rounded to single precision."""
    path.unlink(missing_ok=True)
    points = _points(8000)
    with open_store(path) as store:
        put_points(store, points)
        for row in batched(_rows(tuple(points)), BATCH, strict=False):
            noisy = [{n: v * (1.0 + 1e-12) for n, v in r.numbers.items()} for r in row]
            insert_rows(
                store,
                (Row(r.key, r.arm, r.title, r.inputs, n) for r, n in zip(row, noisy, strict=True)),
            )
    size = path.stat().st_size / len(points)
    path.unlink()
    return f"| Record with every number in double precision (not the default) | {size:.0f} bytes |"


def _queries(path: Path, points: list[PointRow]) -> list[str]:
    def resume() -> int:
        with open_store(path) as store:
            known = known_keys(store)
        return sum(point.key not in known for point in points)

    def curve() -> int:
        table = read_table(path, (RELIEF,), (FIELDS[0],))
        arms, arm = np.unique(table.arm, return_inverse=True)
        values, value = np.unique(table.varied[FIELDS[0]], return_inverse=True)
        cell = arm * len(values) + value
        total = np.bincount(cell, table.numbers[RELIEF], len(arms) * len(values))
        np.divide(total, np.bincount(cell, minlength=len(total)))
        return len(total)

    def in_sql() -> int:
        with sqlite3.connect(path) as store:
            return len(
                store.execute(
                    f'SELECT arm, "{FIELDS[0]}", avg({RELIEF}) FROM responses GROUP BY 1, 2'
                ).fetchall()
            )

    def detail() -> int:
        return len(read_table(path, (DETAILS[0],)).point)

    missing, first = _timed("What is missing, of all (resume)", resume)
    assert missing == 0
    return [
        first,
        _timed("Mean relief by cement volume and arm, by `read_table`", curve)[1],
        _timed("The same in SQL, from the view `responses`", in_sql)[1],
        _timed("One packed number of all records, by `read_table`", detail)[1],
    ]


def _timed(what: str, run: Callable[[], Any]) -> tuple[Any, str]:
    start, start_cpu = time.perf_counter(), time.process_time()
    found = run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return found, f"| {what} | {seconds:.1f} s, {cpu:.1f} s of processor |"


def _write(lines: list[str], records: int) -> None:
    text = f"""# The record store, measured

Written by `docs/store_benchmark.py`: {records:,} synthetic records of {len(NUMBERS)} numbers
({len(CORE)} columns, {len(DETAILS)} packed in single precision). {len(ARMS)} arms at points that
each have a bone, lesions and loads of their own ({len(FIELDS)} varied fields). Numbers are drawn at
random for every point, but {len(ZERO)} that are zero; those that cement reaches differ from arm to
arm by {SPREAD:.0%}. One record of {COPIES} was drawn, the others' rows are copies of its bytes.
{os.cpu_count()} cores ({platform.machine()}); SQLite
{sqlite3.sqlite_version}; the file in the disk's cache.

| What | Measured |
|---|---|
{chr(10).join(lines)}

{len(NUMBERS)} independent doubles are {len(NUMBERS) * 8} bytes and do not compress: most of the 64
bits of a result that a solver knows to ten digits are noise. The packed numbers are therefore
rounded to single precision (6e-8) before they become a record. The store itself returns every
number as it was given, bit by bit.
"""
    (DOCS / "store.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
