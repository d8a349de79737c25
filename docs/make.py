"""Make the tables and pictures of the documentation: ``./with-env python docs/make.py``.

Runs the main scenario on the phantom, on one rank and on two, and with ``--ct`` and ``--labels`` on
other images as well; writes ``docs/benchmarks.md`` and ``docs/images/``. Meshes are made anew.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mpi4py import MPI

from sacrofem.anatomy.landmarks import find_anatomy
from sacrofem.mechanics.laws import law_table
from sacrofem.report.figures import density_slices, difference_slices, png
from sacrofem.report.mesh_scene import by_part
from sacrofem.report.scene import treatment_scene
from sacrofem.report.view import view_of
from sacrofem.study.bones import load_patient
from sacrofem.study.images import read_images
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import read_recipe
from sacrofem.study.run import run_scenario
from sacrofem.study.scenario import read_scenario

ROOT = Path(__file__).parents[1]
SCENARIO = ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml"
#: Edge lengths in mm and degrees of the displacement for the table of the discretisation.
DISCRETISATIONS = ((4.0, 1), (3.0, 1), (2.0, 1), (4.0, 2), (3.0, 2), (2.0, 2))
#: Model and edge lengths in mm, in the treatable zone and elsewhere, for the table of meshes.
MESHES = (("sacrum", 3.0, 3.0), ("sacrum", 1.7, 1.7), ("pelvis", 2.0, 4.0))
STAGES = ("image", "mesh", "model", "treatment", "solve", "measure")


def run(
    name: str, images: list[str], ranks: int, out: Path, scenario: Path = SCENARIO
) -> dict[str, Any]:
    """One run; its summary with the time on the clock."""
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command = [*launch, sys.executable, "-m", "sacrofem", "run", str(scenario)]
    start = time.perf_counter()
    subprocess.run([*command, "--out", str(out), *images], check=True)
    summary = json.loads((out / "summary.json").read_text())
    return summary | {"name": name, "clock": time.perf_counter() - start}


def row(cells: list[str]) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(cells) + " |\n"


def columns(rows: dict[str, list[str]], names: list[str]) -> str:
    """A Markdown table with a column for each run."""
    head = row(["", *names]) + row(["---"] * (len(names) + 1))
    return head + "".join(row([label, *cells]) for label, cells in rows.items())


def benchmark(runs: list[dict[str, Any]]) -> str:
    """Sizes, times and solver figures of all runs."""
    solves = [
        [arm[state] for arm in run["arms"].values() for state in ("intact", "lesion", "treated")]
        for run in runs
    ]
    mesh = [run["mesh"] for run in runs]
    rows = {
        "ranks": [str(run["ranks"]) for run in runs],
        "nodes": [f"{m['nodes']:,}" for m in mesh],
        "tetrahedra": [f"{m['cells']:,}" for m in mesh],
        "degrees of freedom (P2)": [f"{m['dofs']:,}" for m in mesh],
        "mesh volume, ml": [f"{m['volume_ml']:.2f}" for m in mesh],
        "label volume, ml": [f"{m['label_volume_ml']:.2f}" for m in mesh],
        "quality, minimum": [f"{m['quality_min']:.2f}" for m in mesh],
        "quality, 1st percentile": [f"{m['quality_p01']:.2f}" for m in mesh],
        "iterations": [
            f"{min(s['iterations'] for s in some)} to {max(s['iterations'] for s in some)}"
            for some in solves
        ],
        "largest relative residual": [f"{max(s['residual'] for s in x):.1e}" for x in solves],
        "largest equilibrium error": [
            f"{max(s['equilibrium_error'] for s in x):.1e}" for x in solves
        ],
    }
    for stage in STAGES:
        rows[f"{stage}, s"] = [
            f"{run['seconds'][stage]:.1f}" if stage in run["seconds"] else "cached" for run in runs
        ]
    rows["whole command with report, s"] = [f"{run['clock']:.0f}" for run in runs]
    rows["peak memory of all ranks, GB"] = [f"{run['peak_memory_GB']:.1f}" for run in runs]
    return columns(rows, [run["name"] for run in runs])


def results(runs: list[dict[str, Any]]) -> str:
    """What the comparison says on each input."""
    text = ""
    for run in runs:
        arms = run["arms"]
        rows = {
            "lesion, ml": [f"{a['lesion_ml']:.3f}" for a in arms.values()],
            "cement in bone, ml": [f"{a['cement_ml']:.3f}" for a in arms.values()],
            "leak, ml": [f"{a['leak_ml']:.3f}" for a in arms.values()],
        }
        for state in ("intact", "lesion", "treated"):
            states = [a[state] for a in arms.values()]
            rows[f"stiffness {state}, N/mm"] = [f"{s['stiffness_N_per_mm']:.1f}" for s in states]
            rows[f"share left {state}, %"] = [f"{100 * s['load_share_left']:.2f}" for s in states]
        for name, label in (("von_mises_mean", "mean"), ("von_mises_p95", "95th percentile")):
            rows[f"relief in the rim, {label}, %"] = [
                f"{100 * a['relief']['rim'][name]:.1f}" for a in arms.values()
            ]
        text += f"### {run['name']}\n\n" + columns(rows, list(arms)) + "\n"
    return text


def discretisations(folder: Path) -> list[dict[str, Any]]:
    """The main scenario on the phantom, meshed coarser and finer, in P1 and P2."""
    runs = []
    for edge_mm, order in DISCRETISATIONS:
        recipe = f"phantom: {{voxel_mm: [1.5, 1.5, 1.5], seed: 1}}\nedge_mm: {edge_mm}\n"
        (folder / "mesh.yaml").write_text(recipe)
        text = SCENARIO.read_text().replace("../meshes/phantom.yaml", "mesh.yaml")
        (folder / "scenario.yaml").write_text(f"{text}order: {order}\n")
        name = f"{edge_mm:g} mm, P{order}"
        runs.append(run(name, [], 2, folder / "out", folder / "scenario.yaml"))
    return runs


def mesh_run(name: str, images: list[str], folder: Path, recipe: str) -> dict[str, Any]:
    """One `sacrofem mesh`; its figures with the time on the clock and the peak memory."""
    (folder / "mesh.yaml").write_text(recipe)
    out = folder / "mesh"
    command = [sys.executable, "-m", "sacrofem", "mesh", str(folder / "mesh.yaml")]
    start = time.perf_counter()
    child = subprocess.Popen([*command, "--out", str(out), *images])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {child.returncode}")
    values = json.loads((out / "mesh.json").read_text())
    clock = time.perf_counter() - start
    return values | {"name": name, "clock": clock, "memory_GB": usage.ru_maxrss * 1024 / 1e9}


def meshes(inputs: dict[str, list[str]], folder: Path) -> list[dict[str, Any]]:
    """Meshes of all inputs."""
    runs = []
    for source, images in inputs.items():
        for model, zone, elsewhere in MESHES:
            recipe = f"phantom: {{}}\nmodel: {model}\nedge_mm: {zone}\n"
            recipe += f"edge_elsewhere_mm: {elsewhere}\n"
            name = f"{source}: {model}, {zone:g} / {elsewhere:g} mm"
            runs.append(mesh_run(name, images, folder, recipe))
    return runs


def mesh_table(runs: list[dict[str, Any]]) -> str:
    """Sizes, times, quality and fidelity of meshes."""
    rows = {
        "nodes": [f"{run['nodes']:,}" for run in runs],
        "tetrahedra": [f"{run['cells']:,}" for run in runs],
        "command without report, s": [f"{run['clock']:.0f}" for run in runs],
        "peak memory, GB": [f"{run['memory_GB']:.2f}" for run in runs],
        "quality (SICN), minimum": [f"{run['shape']['minimum']:.2f}" for run in runs],
        "quality (SICN), 1st percentile": [f"{run['shape']['percentile_1']:.2f}" for run in runs],
        "dihedral angles, deg": [
            f"{run['shape']['dihedral_min_deg']:.0f} to {run['shape']['dihedral_max_deg']:.0f}"
            for run in runs
        ],
        "openings of foramina S1-S4": [f"{run['foramina_open']} of 16" for run in runs],
        "tunnels of the sacrum (label)": [
            "{tunnels} ({label_tunnels})".format(**run["parts"]["sacrum"]) for run in runs
        ],
    }
    for name in ("sacrum", "ilium left", "ilium right"):
        parts = [(run["parts"].get(name), run["voxel_mm"]) for run in runs]
        for label, show in (
            ("volume against label, %", _volume_percent),
            ("surface distance, mean, voxels", lambda p, v: f"{p['surface_mean_mm'] / v:.2f}"),
            ("surface distance, 95th perc., voxels", lambda p, v: f"{p['surface_p95_mm'] / v:.2f}"),
        ):
            rows[f"{name}: {label}"] = [show(p, v) if p else "-" for p, v in parts]
    return columns(rows, [run["name"] for run in runs])


def _volume_percent(part: dict[str, float], _: float) -> str:
    return f"{100 * (part['mesh_ml'] / part['label_ml'] - 1):+.2f}"


def _stiffness(arm: dict[str, Any], state: str) -> float:
    return float(arm[state]["stiffness_N_per_mm"])


def discretisation_table(runs: list[dict[str, Any]]) -> str:
    """How the measures move with edge length and degree."""
    rows = {
        "nodes": [f"{run['mesh']['nodes']:,}" for run in runs],
        "degrees of freedom": [f"{run['mesh']['dofs']:,}" for run in runs],
    }
    for arm in runs[0]["arms"]:
        arms = [run["arms"][arm] for run in runs]
        rows[f"{arm}: stiffness with lesion, N/mm"] = [
            f"{_stiffness(a, 'lesion'):.1f}" for a in arms
        ]
        rows[f"{arm}: stiffness treated over lesion, %"] = [
            f"{100 * (_stiffness(a, 'treated') / _stiffness(a, 'lesion') - 1):+.2f}" for a in arms
        ]
        for name, label in (("von_mises_mean", "mean"), ("von_mises_p95", "95th percentile")):
            rows[f"{arm}: relief in the rim, {label}, %"] = [
                f"{100 * a['relief']['rim'][name]:.1f}" for a in arms
            ]
    table = columns(rows, [run["name"] for run in runs])
    return table + "\nDifference to the finest, last column:\n\n" + _differences(runs)


def _differences(runs: list[dict[str, Any]]) -> str:
    """Relative difference of the measures to the last run, in percent."""
    rows = {}
    for arm in runs[0]["arms"]:
        arms = [run["arms"][arm] for run in runs]
        figures = {
            "stiffness with lesion": [_stiffness(a, "lesion") for a in arms],
            "relief in the rim, mean": [a["relief"]["rim"]["von_mises_mean"] for a in arms],
            "relief in the rim, 95th percentile": [
                a["relief"]["rim"]["von_mises_p95"] for a in arms
            ],
        }
        for label, values in figures.items():
            rows[f"{arm}: {label}, %"] = [f"{100 * (v / values[-1] - 1):+.1f}" for v in values]
    return columns(rows, [run["name"] for run in runs])


def laws() -> str:
    """Young's modulus by every density law, at densities of K2HPO4."""
    densities = (50.0, 100.0, 150.0, 200.0, 300.0)
    table = row(["law", "its density", *(f"{rho:g} mg/cm3" for rho in densities)])
    table += row(["---"] * (len(densities) + 2))
    for name, kind, modulus in law_table(densities):
        table += row([name, kind, *(f"{E:.0f}" for E in modulus)])
    return table


def pictures() -> None:
    """The pictures of the README, from the mesh that the last run left in the cache."""
    scenario = read_scenario(SCENARIO)
    view = view_of(run_scenario(scenario, read_recipe(scenario.mesh), MPI.COMM_SELF))
    images = ROOT / "docs" / "images"
    images.mkdir(exist_ok=True)
    pelvis = read_recipe(ROOT / "meshes" / "phantom-pelvis.yaml")
    source = read_images(pelvis)
    bone = load_patient(pelvis, Stopwatch(), images=source).bone
    for name, figure in (
        ("mesh", by_part(bone.mesh, find_anatomy(source.labels))),
        ("treatment", treatment_scene(view)),
        ("density", density_slices(view)),
        ("difference", difference_slices(view)),
    ):
        (images / f"{name}.png").write_bytes(png(figure, dpi=80))


def main() -> None:
    """Run, then write tables and pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ct", type=Path, help="another CT (NIfTI, HU)")
    parser.add_argument("--labels", type=Path, help="its label map")
    given = parser.parse_args()
    inputs = {"phantom, 1.5 mm": []}
    if given.ct and given.labels:
        inputs["CT given"] = ["--ct", str(given.ct), "--labels", str(given.labels)]
    runs = []
    with tempfile.TemporaryDirectory(prefix="sacrofem-docs-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for name, images in inputs.items():
            for ranks in (1, 2):
                title = f"{name}, {ranks} rank{'s' * (ranks > 1)}"
                runs.append(run(title, images, ranks, Path(folder) / "out"))
        # Before the pictures: a child's peak memory is not told below what this process holds.
        made = meshes(inputs, Path(folder))
        pictures()
        finer = discretisations(Path(folder))
    versions = ", ".join(f"{k} {v}" for k, v in runs[0]["versions"].items() if k != "code")
    text = (
        "# Measured figures\n\nMade by `./with-env python docs/make.py`; not edited by hand. "
        f"Machine: {os.cpu_count()} cores. {versions}.\n\nCompiled forms and meshes were not "
        "cached, except the mesh where 'cached' stands.\n\n## Sizes and times\n\n"
        f"{benchmark(runs)}\n## Results\n\nForce 500 N, lesion 7.1 ml in the right lateral mass, "
        f"6 ml of cement.\n\n{results(runs[::2])}## Meshes\n\n`sacrofem mesh`, edge in the "
        "treatable zone / elsewhere; from files to a mesh, written as VTU.\n\n"
        f"{mesh_table(made)}\n## Discretisation\n\nThe phantom with other edge "
        "lengths and degrees of the displacement; the default is 3 mm, P2.\n\n"
        f"{discretisation_table(finer)}\n## Density laws\n\nYoung's modulus in MPa.\n\n{laws()}"
    )
    (ROOT / "docs" / "benchmarks.md").write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
