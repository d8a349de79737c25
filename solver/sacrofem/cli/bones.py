"""The commands about one bone or a cohort: mesh, check, run, phantom."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from sacrofem.anatomy.landmarks import find_anatomy
from sacrofem.cli.console import app, comm, complain, status
from sacrofem.errors import InputError
from sacrofem.image.files import write_ct, write_labels
from sacrofem.image.phantom import PhantomSpec, make_phantom
from sacrofem.mechanics.distributed import on_root
from sacrofem.report.check_page import check_table, write_check_page
from sacrofem.report.cohort_page import write_cohort_report
from sacrofem.report.cohort_table import cohort_text
from sacrofem.report.mesh_page import write_mesh_report
from sacrofem.report.mesh_table import mesh_table
from sacrofem.report.page import write_report
from sacrofem.report.scene import render_window
from sacrofem.report.table import comparison_table
from sacrofem.study.bones import load_patient
from sacrofem.study.check import check_scenario
from sacrofem.study.cohort import is_cohort
from sacrofem.study.fields import write_fields
from sacrofem.study.images import read_images
from sacrofem.study.mesh_files import export_names, write_mesh_files
from sacrofem.study.output_folder import check_output, mark, staged
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import MeshRecipe, read_recipe, with_own_images
from sacrofem.study.run import ScenarioResult, run_scenario
from sacrofem.study.scenario import Scenario, read_scenario
from sacrofem.study.store import open_store, write_record
from sacrofem.study.summary import summary, write_summary

OWN_CT = typer.Option(help="CT in HU for the recipe's: a file, or a folder of DICOM slices.")
OWN_LABELS = typer.Option(help="Label map of --ct: a file, or a folder of TotalSegmentator masks.")


@app.command()
def mesh(
    recipe: Annotated[Path, typer.Argument(help="Mesh recipe (YAML).")],
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("mesh"),
    ct: Annotated[Path | None, OWN_CT] = None,
    labels: Annotated[Path | None, OWN_LABELS] = None,
    report: Annotated[bool, typer.Option("--report", help="Write a page with pictures.")] = False,
    export: Annotated[
        list[str] | None, typer.Option(help="Formats besides VTU: xdmf, msh, inp; repeatable.")
    ] = None,
) -> None:
    """Mesh a recipe's bone: the mesh as VTU, its figures as JSON, a page with pictures."""
    question = with_own_images(read_recipe(recipe), ct, labels)
    names = export_names(export or [])
    check_output(out)
    with status() as say:
        say("images")
        watch = Stopwatch()
        with watch.stage("image"):
            images = read_images(question)
        say("anatomy and mesh")
        patient = load_patient(question, watch, images=images)
        say("files")
        with staged(out) as folder:
            write_mesh_files(folder, patient, names)
            if report:
                say("report")
                anatomy = find_anatomy(images.labels, images.source, question.landmarks)
                title = f"{question.model} of {images.source}"
                page = folder / "report.html"
                inputs = (patient.bone, images.ct, images.labels, anatomy, title)
                write_mesh_report(page, *inputs, recipe.read_text(encoding="utf-8"))
    typer.echo(mesh_table(patient.bone.report))
    typer.echo(f"\nMesh: {out / 'mesh.vtu'}")


@app.command()
def check(
    scenario: Annotated[Path, typer.Argument(help="Scenario file (YAML).")],
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("check"),
    ct: Annotated[Path | None, OWN_CT] = None,
    labels: Annotated[Path | None, OWN_LABELS] = None,
) -> None:
    """Draw lesions, paths and cement of a scenario, with every clearance; nothing is solved."""
    question, recipe = _read(scenario, out, ct, labels)
    with status() as say, ThreadPoolExecutor(1) as pool:
        # Another process finds out whether VTK can draw here, while this one computes.
        pool.submit(render_window)
        say("mesh, lesions, paths and cement")
        found = check_scenario(question, recipe)
        say("pictures")
        with staged(out) as folder:
            write_check_page(folder / "check.html", found)
    if found.arms:
        typer.echo(check_table(found))
    typer.echo(f"\nPictures: {out / 'check.html'}")
    for name, reason in found.refused.items():
        complain(f"arm {name}: {reason}")
    if found.refused:
        raise typer.Exit(InputError.exit_status)


@app.command()
def run(
    scenario: Annotated[Path, typer.Argument(help="Scenario file (YAML), or a cohort's folder.")],
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("results"),
    ct: Annotated[Path | None, OWN_CT] = None,
    labels: Annotated[Path | None, OWN_LABELS] = None,
) -> None:
    """Run a scenario or a cohort: mesh, lesions, every arm, measures, report."""
    if on_root(comm, lambda: is_cohort(scenario)):
        _run_cohort(scenario, out, own_images=ct is not None or labels is not None)
        return
    question, recipe = on_root(comm, lambda: _read(scenario, out, ct, labels))
    with status() as say:
        result = run_scenario(question, recipe, comm, say)
        say("report")
        table = on_root(comm, lambda: _write(result, out))
    if comm.rank == 0:
        typer.echo(table)
        typer.echo(f"\nReport: {out / 'report.html'}")


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("phantom"),
    voxel_mm: Annotated[float, typer.Option(min=0.4, max=5.0, help="Voxel size.")] = 1.5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of texture and noise.")] = 1,
    age_years: Annotated[float, typer.Option(help="Age: density and fatty voids.")] = 70.0,
    sex: Annotated[str, typer.Option(help="female or male: size and proportions.")] = "female",
    dysmorphism: Annotated[float, typer.Option(help="Upper sacral dysmorphism, 0 to 1.")] = 0.0,
) -> None:
    """Write the project's own CT and its label map as ct.nii.gz and labels.nii.gz."""
    check_output(out)
    person = PhantomSpec(
        voxel_mm=(voxel_mm,) * 3,
        seed=seed,
        age_years=age_years,
        sex="male" if sex == "male" else "female",
        dysmorphism=dysmorphism,
    )
    image, labels = make_phantom(person)
    mark(out)
    write_ct(out / "ct.nii.gz", image)
    write_labels(out / "labels.nii.gz", labels)
    typer.echo(f"{out / 'ct.nii.gz'}\n{out / 'labels.nii.gz'}")


def _run_cohort(cohort: Path, out: Path, own_images: bool) -> None:
    """Run what is missing of a cohort; status 1 where a patient failed."""
    if own_images:
        raise InputError(
            f"--ct, --labels: {cohort} is a cohort, whose patients are phantoms of their own; give "
            "a scenario to run it on your images."
        )
    # Its statistics take a quarter of a second to import, which every other command would spend.
    from sacrofem.study.cohort_run import run_cohort

    with status() as say:
        outcome = run_cohort(cohort, out, comm, say)
        say("report")
        on_root(comm, lambda: write_cohort_report(out / "report.html", outcome.values))
    if comm.rank == 0:
        typer.echo(cohort_text(outcome.values))
        typer.echo(f"\nReport: {out / 'report.html'}")
    if outcome.failures:
        raise typer.Exit(1)


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
