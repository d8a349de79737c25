"""The commands about studies: sweep, merge, export, report."""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sacrofem.cli.console import app, complain, console
from sacrofem.errors import InputError
from sacrofem.report.study_page import write_study_report
from sacrofem.study.analysis.facts import FACTS_FILE
from sacrofem.study.cluster import KINDS, ClusterOptions
from sacrofem.study.dry_run import dry_run
from sacrofem.study.export import dictionary_path, export_table
from sacrofem.study.merge import merge_stores
from sacrofem.study.output_folder import check_output, mark
from sacrofem.study.sweep import SweepOptions, SweepOutcome, SweepState, run_sweep

RECORDS = "records.sqlite"
#: Status of a command ended by Ctrl-C and by SIGTERM: 128 and the number of the signal.
INTERRUPTED, TERMINATED = 130, 143
#: Seconds between lines of progress where there is no terminal to draw a bar on. A choice.
LINE_EVERY_S = 30.0
#: Failed cases told one by one; the store holds all of them.
TOLD = 20

JOB = "Jobs of a batch system"


@app.command()
def sweep(
    study: Annotated[Path, typer.Argument(help="Study file (YAML).")],
    out: Annotated[Path | None, typer.Option(help="Output folder.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Cases solved at a time.")] = 2,
    ranks: Annotated[
        int, typer.Option(min=1, help="Solver processes of a case (MPI), for large meshes.")
    ] = 1,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run cases again that failed before.")
    ] = False,
    shard: Annotated[
        str, typer.Option(help="i/n: the i-th of n parts, in a folder of its own below --out.")
    ] = "1/1",
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Tell what it would do and cost; run nothing.")
    ] = False,
    cluster: Annotated[str, typer.Option(help=f"Where: {', '.join(KINDS)}.")] = "local",
    cores: Annotated[
        int | None,
        typer.Option(min=1, help="Cores of a job, --ranks to a worker.", rich_help_panel=JOB),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory of a job, as 16GB.", rich_help_panel=JOB)
    ] = None,
    walltime: Annotated[
        str | None, typer.Option(help="Time of a job, as 04:00:00.", rich_help_panel=JOB)
    ] = None,
    queue: Annotated[
        str | None, typer.Option(help="Queue or partition.", rich_help_panel=JOB)
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Account or project.", rich_help_panel=JOB)
    ] = None,
    interface: Annotated[
        str | None, typer.Option(help="Network interface, as ib0.", rich_help_panel=JOB)
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="Command that starts Python in a job.", rich_help_panel=JOB)
    ] = None,
    prologue: Annotated[
        list[str] | None,
        typer.Option(help="Line of shell that a job runs first; repeatable.", rich_help_panel=JOB),
    ] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option(
            help="Directive for the batch system, as --extra=--constraint=avx2; repeatable.",
            rich_help_panel=JOB,
        ),
    ] = None,
) -> None:
    """Run what is missing of a study; every finished case is a row of records.sqlite."""
    part = _shard(shard)
    folder = out or Path("results") / study.stem
    if dry:
        typer.echo(dry_run(study, folder))
        return
    if part != (1, 1):
        check_output(folder)
        mark(folder)
        folder = folder / f"shard-{part[0]}-of-{part[1]}"
    where = ClusterOptions(
        kind=cluster,
        workers=workers,
        ranks=ranks,
        cores=cores,
        memory=memory,
        walltime=walltime,
        queue=queue,
        account=account,
        interface=interface,
        python=python,
        prologue=tuple(prologue or ()),
        extra=tuple(extra or ()),
    )
    with _interruptible(study):
        outcome = _run(study, folder, SweepOptions(where, retry_failed, part))
    _tell(outcome)
    if part == (1, 1) and outcome.cases > sum(outcome.failed_before.values()) + len(
        outcome.failures
    ):
        typer.echo(f"Report: {write_study_report(folder)}")
    if outcome.failures:
        raise typer.Exit(1)


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="Folder for the one store; made where missing.")],
    stores: Annotated[list[Path], typer.Argument(help="Folders of shards, or their stores.")],
) -> None:
    """Merge the stores of a study's shards into one: every record once."""
    files = [_store_of(store) for store in stores]
    check_output(out)
    mark(out)
    merged = merge_stores(files, out / RECORDS)
    facts = next((f for file in files if (f := file.with_name(FACTS_FILE)).is_file()), None)
    if facts is not None:
        shutil.copyfile(facts, out / FACTS_FILE)
    typer.echo(
        f"{merged.records} records, {merged.failures} failures; {merged.duplicates} were there "
        f"more than once\nRecords: {out / RECORDS}"
    )


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="Folder of a study, or its store.")],
    to: Annotated[str, typer.Option(help="parquet or csv.")] = "parquet",
    out: Annotated[Path | None, typer.Option(help="File to write; beside the store.")] = None,
) -> None:
    """Write the records as one table, with a data dictionary beside it."""
    if to not in ("parquet", "csv"):
        raise InputError(f"--to {to}: parquet or csv is needed.")
    records = _store_of(store)
    table = out or records.with_suffix(f".{to}")
    rows = export_table(records, table)
    typer.echo(f"{rows} rows\nTable: {table}\nColumns: {dictionary_path(table)}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a study.")],
) -> None:
    """Write the page of a study anew from its records."""
    typer.echo(f"Report: {write_study_report(folder)}")


def _store_of(path: Path) -> Path:
    return path / RECORDS if path.is_dir() else path


def progress_text(state: SweepState, seconds: float) -> str:
    """What a study is doing in one line: rate, time left, workers, failures by cause, last case.

    Args:
        state: How far it is.
        seconds: Time since the first worker could begin.
    """
    parts = []
    if state.done and seconds > 0.0:
        left = state.cases - state.known - state.done
        rate = state.done / seconds
        parts += [f"{60.0 * rate:.3g} a minute", f"{_clock(left / rate)} left"]
    parts.append(f"{state.workers} workers" if state.workers else "waiting for workers")
    if state.failed:
        parts.append("failed: " + ", ".join(f"{n} {c}" for c, n in sorted(state.failed.items())))
    if state.last:
        parts.append(state.last)
    return " · ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _run(study: Path, folder: Path, options: SweepOptions) -> SweepOutcome:
    """Run a study under a bar, or with a line now and then where there is no terminal."""
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as bar:
        task = bar.add_task("mesh", total=None)
        began, told, address = 0.0, time.monotonic(), ""

        def tell(state: SweepState) -> None:
            nonlocal began, told, address
            now = time.monotonic()
            if state.workers and not began:
                began = now
            if state.dashboard != address:
                address = state.dashboard
                console.print(f"Dashboard: {address}")
            done = state.known + state.done
            text = progress_text(state, now - began)
            bar.update(task, completed=done, total=state.cases, description=text)
            if not console.is_terminal and now - told > LINE_EVERY_S:
                told = now
                console.print(f"{done}/{state.cases} {text}", markup=False, soft_wrap=True)

        return run_sweep(study, folder, options, tell)


@contextmanager
def _interruptible(study: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a study with its workers, its store whole and its status told."""

    def end(*_: object) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        complain(f"interrupted; finished cases are kept: sacrofem sweep {study} goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(outcome: SweepOutcome) -> None:
    """Say what was done, and what went wrong."""
    failed_before = sum(outcome.failed_before.values())
    computed = outcome.cases - outcome.known_before - failed_before - len(outcome.failures)
    typer.echo(
        f"{outcome.cases} cases: {outcome.known_before} known, {computed} computed, "
        f"{len(outcome.failures)} failed\nRecords: {outcome.records}"
    )
    for text in list(outcome.failures.values())[:TOLD]:
        complain(f"failed: {text}")
    if len(outcome.failures) > TOLD:
        complain(f"... and {len(outcome.failures) - TOLD} more, all in the table failures")
    if failed_before:
        causes = ", ".join(f"{n} {cause}" for cause, n in sorted(outcome.failed_before.items()))
        complain(f"failed before and not run again: {causes}; --retry-failed runs them again")


def _shard(text: str) -> tuple[int, int]:
    i, slash, n = text.partition("/")
    if not (slash and i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise InputError(f"--shard {text}: i/n with i from 1 to n is needed, as 2/8.")
    return int(i), int(n)
