"""Shows that a study loses nothing, and what the engine costs; writes docs/cluster-show.md.

    ./with-env python docs/cluster_show.py [--cases 200] [--kills 20]
                                           [--parts cost,speed,local,slurm]

Studies run by the command line, as a user's do. Workers and clients are killed by SIGKILL, by the
pids of processes that this script has started. Some ten minutes on two quiet cores.
"""

import argparse
import os
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

from slurm import one_node_slurm, why_not  # noqa: E402

from sacrofem.study.cluster import ClusterOptions, open_cluster  # noqa: E402
from sacrofem.study.engine import Answer, Call, run_calls  # noqa: E402
from sacrofem.study.merge import NOT_RESULTS  # noqa: E402
from sacrofem.study.provenance import versions  # noqa: E402
from sacrofem.study.store import known_keys, open_store, read_failures, read_records  # noqa: E402
from sacrofem.study.store_faults import StoreError  # noqa: E402

PAGE = ROOT / "docs" / "cluster-show.md"
TRIVIAL = 10_000
SEED = 6
PARTS = ("cost", "speed", "local", "slurm")
JOBS = ("--cluster", "slurm", "--memory", "2GB", "--walltime", "01:00:00", "--interface", "lo")


def main() -> None:
    """Run the parts and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--parts", default=",".join(PARTS))
    asked = parser.parse_args()
    parts = asked.parts.split(",")
    rows = []
    with tempfile.TemporaryDirectory(prefix="sacrofem-show") as name:
        folder = Path(name)
        study = write_study(folder, asked.cases)
        plain = folder / "plain"
        if "cost" in parts:
            rows.append(("cost of the engine", cost()))
        if {"speed", "local", "slurm"} & set(parts):
            seconds = undisturbed(study, plain)
            rows.append(("undisturbed, two workers", f"{asked.cases} cases in {seconds:.0f} s"))
            rows.append(("seconds of a case", f"{mean_seconds(plain):.2f}"))
        if "speed" in parts:
            rows.append(("two workers against one", speed(study, folder, seconds)))
        if "local" in parts:
            done = disturbed(study, folder / "local", (), local_workers, asked.kills)
            rows.append(
                (f"{asked.kills} kills on this machine", f"{done}; {same(plain, folder / 'local')}")
            )
        if "slurm" in parts:
            rows.append(
                ("two workers and the client killed, by Slurm", by_slurm(study, folder, plain))
            )
    write_page(rows, asked.cases)


def write_study(folder: Path, cases: int) -> Path:
    """A study of small cases: two arms, ten volumes of cement, as many lesions as it takes."""
    (folder / "mesh.yaml").write_text("phantom: {voxel_mm: [3, 3, 3]}\nedge_mm: 8.0\n")
    base = (ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml").read_text()
    base = base.replace("../meshes/phantom.yaml", "mesh.yaml")
    (folder / "scenario.yaml").write_text(base + "order: 1\n")
    lesions = [round(4.0 + 0.25 * i, 2) for i in range(-(-cases // 20))]
    (folder / "study.yaml").write_text(
        "base: scenario.yaml\nvary:\n"
        f"  lesions.0.volume_ml: {lesions}\n"
        f"  arms.*.fill.cement_ml: {[round(1.0 + 0.5 * i, 1) for i in range(10)]}\n"
    )
    return folder / "study.yaml"


def cost() -> str:
    """Milliseconds that the engine takes for a call that does nothing."""
    with open_cluster(ClusterOptions(workers=2)) as cluster:
        calls = [Call(f"t{i}", -i, i % 100) for i in range(TRIVIAL)]
        start = time.perf_counter()
        answers = chain.from_iterable(run_calls(abs, calls, cluster))
        values = [one.value for one in answers if isinstance(one, Answer)]
        each_ms = 1000.0 * (time.perf_counter() - start) / TRIVIAL
    assert sorted(values) == list(range(TRIVIAL))
    return f"{each_ms:.1f} ms a call, {TRIVIAL} calls that do nothing, two workers (limit 50 ms)"


def command(study: Path, out: Path, *more: str) -> list[str]:
    """The command line of a study."""
    sweep = [sys.executable, "-m", "sacrofem", "sweep", str(study), "--out", str(out)]
    return [*sweep, "--retry-failed", *more]


@contextmanager
def client(study: Path, out: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running study."""
    with (out.with_suffix(".log")).open("ab") as log:
        process = subprocess.Popen(command(study, out, *more), stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()


def undisturbed(study: Path, out: Path, *more: str) -> float:
    """Seconds from the first record to the last: no imports, no mesh."""
    with client(study, out, *more) as process:
        while finished(out) == 0 and process.poll() is None:
            time.sleep(0.02)
        start = time.monotonic()
        process.wait()
    return time.monotonic() - start


def speed(study: Path, folder: Path, two_s: float) -> str:
    """How much faster two workers are than one."""
    one_s = undisturbed(study, folder / "one", "--workers", "1")
    return f"{one_s / two_s:.2f} times as fast ({one_s:.0f} s against {two_s:.0f} s; aim 1.7)"


def disturbed(
    study: Path,
    out: Path,
    more: tuple[str, ...],
    workers: Callable[[int], list[int]],
    kills: int,
) -> str:
    """Run a study to its end under kills at seeded random moments; the second of each five hits
    the client, all others a worker.
    """
    rng = random.Random(SEED)
    clients = killed_workers = killed_clients = 0
    while True:
        clients += 1
        with client(study, out, *more) as process:
            while killed_workers + killed_clients < kills and process.poll() is None:
                wait_for_record(out, process)
                time.sleep(rng.uniform(0.0, 1.0))
                if (killed_workers + killed_clients) % 5 == 1:
                    process.send_signal(signal.SIGKILL)
                    killed_clients += 1
                    process.wait()
                elif kill_one(rng, workers(process.pid)):
                    killed_workers += 1
            process.wait()
        if process.returncode == -signal.SIGKILL:
            continue
        told = f"{killed_workers} workers and {killed_clients} clients killed, {clients} clients"
        twice = [failure.cause for failure in read_failures(out / "records.sqlite")]
        if not twice:
            return told
        # Killed twice under one client: a failure by rule, which one more call runs again.
        with client(study, out, *more) as process:
            process.wait()
        return f"{told}, {len(twice)} cases lost with two workers ({twice[0]}) and run once more"


def by_slurm(study: Path, folder: Path, plain: Path) -> str:
    """The study through a real Slurm, two workers killed and the client once."""
    reason = why_not()
    if reason is not None:
        return f"not run: {reason}"
    with one_node_slurm() as environment:
        os.environ["SLURM_CONF"] = environment["SLURM_CONF"]
        out = folder / "slurm"
        done = disturbed(study, out, JOBS, slurm_workers, 3)
        return f"{done}; {same(plain, out)}"


def local_workers(client_pid: int) -> list[int]:
    """Workers of a client on this machine: its children."""
    return [pid for pid in processes() if parent(pid) == client_pid and is_worker(pid)]


def slurm_workers(_: int) -> list[int]:
    """Workers in jobs of our Slurm."""
    ours = b"SLURM_CONF=" + os.environ["SLURM_CONF"].encode()
    return [pid for pid in processes() if is_worker(pid) and in_job(pid, ours)]


def processes() -> list[int]:
    """Pids of all processes."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def read(pid: int, name: str) -> bytes:
    """A file of a process; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def parent(pid: int) -> int:
    """Parent of a process; 0 where it is gone."""
    fields = read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def is_worker(pid: int) -> bool:
    """Whether a process is a spawned worker."""
    return b"multiprocessing.spawn" in read(pid, "cmdline")


def in_job(pid: int, ours: bytes) -> bool:
    """Whether a process belongs to a job of our Slurm."""
    variables = read(pid, "environ")
    return ours in variables and b"SLURM_JOB_ID=" in variables


def kill_one(rng: random.Random, pids: list[int]) -> bool:
    """Kill one of some processes."""
    if not pids:
        return False
    try:
        os.kill(rng.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for_record(out: Path, process: subprocess.Popen[bytes], within_s: float = 300.0) -> None:
    """Wait for the next record, or the end of the client."""
    before, deadline = finished(out), time.monotonic() + within_s
    while finished(out) == before and process.poll() is None:
        assert time.monotonic() < deadline, f"no new record within {within_s:.0f} s"
        time.sleep(0.05)


def finished(out: Path) -> int:
    """Number of records of a study."""
    if not (out / "records.sqlite").is_file():
        return 0
    try:
        with open_store(out / "records.sqlite", write=False) as store:
            return len(known_keys(store))
    except StoreError:
        return 0  # just being made


def mean_seconds(out: Path) -> float:
    """Mean seconds of a case."""
    seconds = [row["seconds"] for row in read_records(out / "records.sqlite")]
    return sum(seconds) / len(seconds)


def same(plain: Path, other: Path) -> str:
    """How the records of two runs of one study differ."""
    first, second = (
        {row["key"]: row for row in read_records(out / "records.sqlite")} for out in (plain, other)
    )
    assert first.keys() == second.keys(), f"{len(first)} records, then {len(second)}"
    worst = 0.0
    for key, row in first.items():
        for name, value in row.items():
            if isinstance(value, float) and not name.endswith(NOT_RESULTS):
                apart = abs(value - second[key][name])
                worst = max(worst, apart / max(abs(value), 1e-9) if apart > 1e-12 else 0.0)
    return f"{len(second)} records, each once, largest relative difference {worst:.0e}"


def rows_before() -> dict[str, str]:
    """Rows of the page as it stands: those of parts that were not asked for stay."""
    if not PAGE.is_file():
        return {}
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    return {cells[1]: cells[2] for cells in (re.split(r" ?\| ?", line) for line in lines[2:])}


def write_page(rows: list[tuple[str, str]], cases: int) -> None:
    """Write the page, with what it ran on."""
    rows = list((rows_before() | dict(rows)).items())
    found = versions()
    words = ", ".join(f"{name} {found[name]}" for name in ("sacrofem", "python", "dolfinx"))
    lines = [
        "# A study under kills",
        "",
        "Written by `docs/cluster_show.py`; docs/cluster.md explains how studies run. "
        f"{cases} cases on a coarse phantom (3 mm voxels, 8 mm edges, linear elements), "
        f"{os.cpu_count()} cores ({platform.machine()}), {words}.",
        "",
        "| what | found |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
    ]
    seconds = next((float(value) for name, value in rows if name == "seconds of a case"), None)
    if seconds is not None:
        hours = seconds * 1e5 / 3600.0
        lines += [
            f"At this case 100,000 cases cost {hours:.0f} core hours, and a case of s seconds "
            "costs 27.8 s core hours per 100,000.",
            "",
        ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
