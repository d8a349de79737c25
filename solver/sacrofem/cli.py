"""The command line: ``sacrofem run|sweep|phantom``. It parses, calls and prints, nothing else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from mpi4py import MPI
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import sacrofem
from sacrofem.errors import SacrofemError
from sacrofem.image.files import write_ct, write_labels
from sacrofem.image.phantom import PhantomSpec, make_phantom
from sacrofem.mechanics.distributed import on_root
from sacrofem.report.page import write_report
from sacrofem.report.table import comparison_table
from sacrofem.study.fields import write_fields
from sacrofem.study.output_folder import check_output, mark, staged
from sacrofem.study.records import open_store, write_record
from sacrofem.study.run import ScenarioResult, run_scenario
from sacrofem.study.scenario import (
    MeshRecipe,
    Scenario,
    read_recipe,
    read_scenario,
    with_own_images,
)
from sacrofem.study.summary import summary, write_summary
from sacrofem.study.sweep import run_sweep

app = typer.Typer(
    help="Finite-element simulation of cement augmentation of the sacrum.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
comm = MPI.COMM_WORLD
#: Text for people goes to standard error of rank 0, tables to standard output.
console = Console(stderr=True, quiet=comm.rank != 0, highlight=False)


def main() -> None:
    """Entry point of the command ``sacrofem``."""
    try:
        app()
    except SacrofemError as error:
        console.print(f"sacrofem: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_status)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(sacrofem.__version__)
        raise typer.Exit


@app.command()
def run(
    scenario: Annotated[Path, typer.Argument(help="Scenario file (YAML).")],
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("results"),
    ct: Annotated[Path | None, typer.Option(help="CT in HU (NIfTI), for the recipe's.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Label map (NIfTI) of --ct.")] = None,
) -> None:
    """Run a scenario: mesh, lesion, every arm, measures, report."""
    question, recipe = on_root(comm, lambda: _read(scenario, out, ct, labels))
    with _status() as say:
        result = run_scenario(question, recipe, comm, say)
        say("report")
        table = on_root(comm, lambda: _write(result, out))
    if comm.rank == 0:
        typer.echo(table)
        typer.echo(f"\nReport: {out / 'report.html'}")


@app.command()
def sweep(
    study: Annotated[Path, typer.Argument(help="Sweep file (YAML).")],
    out: Annotated[Path | None, typer.Option(help="Output folder.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
) -> None:
    """Run what is missing of a sweep; every finished case is a row of records.sqlite."""
    folder = out or Path("results") / study.stem
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(study.stem, total=None)

        def tell(done: int, total: int, last: str) -> None:
            bar.update(task, completed=done, total=total, description=f"{study.stem}: {last}")

        outcome = run_sweep(study, folder, workers, tell)
    computed = outcome.cases - outcome.known_before - len(outcome.failures)
    typer.echo(
        f"{outcome.cases} cases: {outcome.known_before} known, {computed} computed, "
        f"{len(outcome.failures)} failed\nRecords: {outcome.records}"
    )
    for text in outcome.failures.values():
        console.print(f"failed: {text}", style="red", markup=False, soft_wrap=True)
    if outcome.failures:
        raise typer.Exit(1)


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("phantom"),
    voxel_mm: Annotated[float, typer.Option(min=0.4, max=5.0, help="Voxel size.")] = 1.5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of texture and noise.")] = 1,
) -> None:
    """Write the project's own CT and its label map as ct.nii.gz and labels.nii.gz."""
    check_output(out)
    image, labels = make_phantom(PhantomSpec(voxel_mm=(voxel_mm,) * 3, seed=seed))
    mark(out)
    write_ct(out / "ct.nii.gz", image)
    write_labels(out / "labels.nii.gz", labels)
    typer.echo(f"{out / 'ct.nii.gz'}\n{out / 'labels.nii.gz'}")


def _read(
    scenario: Path, out: Path, ct: Path | None, labels: Path | None
) -> tuple[Scenario, MeshRecipe]:
    question = read_scenario(scenario)
    recipe = with_own_images(read_recipe(question.mesh), ct, labels)
    check_output(out)
    return question, recipe


def _write(result: ScenarioResult, out: Path) -> str:
    """Write the output folder and return the comparison table."""
    values = summary(result)
    with staged(out) as folder:
        write_fields(folder / "fields", result)
        with open_store(folder / "records.sqlite") as store:
            for case in result.cases:
                write_record(store, case, result.scenario.title, sum(result.seconds.values()))
        write_summary(folder / "summary.json", values)
        write_report(folder, result, values)
    return comparison_table(values)


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """A line that says what is being done."""
    with console.status("starting") as status:

        def say(text: str) -> None:
            status.update(text)
            if not console.is_terminal:
                console.print(text)

        yield say
