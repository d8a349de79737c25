"""Mesh random phantoms and write what became of each: ``./with-env python docs/robustness.py``.

Every seed is another pelvis, scan and segmentation (:func:`sacrofem.image.phantom.random_spec`):
size, sex, dysmorphism, voxels, rotation, noise, holes and islands in the labels. Each is meshed in
a process of its own under a time limit, so that a crash or a hang is a row of the table and not its
end. Results are kept line by line in a ``.jsonl`` file beside the table; a second call goes on
where the first ended.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from sacrofem.errors import SacrofemError
from sacrofem.image.phantom import PhantomSpec, make_phantom, random_spec
from sacrofem.mesh import build
from sacrofem.mesh.build import MeshRequest, build_mesh
from sacrofem.mesh.mesher import EdgeLengths
from sacrofem.mesh.report import MeshReport, require_limits

OUTCOMES = {
    "pass": "meshes that pass every limit",
    "refused": "errors that name a cause",
    "crash": "crashes",
    "hang": "beyond the time limit",
}
COLUMNS = (
    "seed | voxel mm | who | scan and labels | nodes | seconds | quality min / 1 % "
    "| volume error % | surface mean / 95 % in voxels | foramina open | outcome"
)


def mesh_one(seed: int, model: str, zone_mm: float, elsewhere_mm: float) -> dict[str, Any]:
    """Mesh one phantom; its figures, also those of a mesh that is refused, and the outcome."""
    spec = random_spec(seed)
    ct, labels = make_phantom(spec)
    reports: list[MeshReport] = []

    def keep_and_check(report: MeshReport) -> None:
        reports.append(report)
        require_limits(report)

    request = MeshRequest(
        "pelvis" if model == "pelvis" else "sacrum", EdgeLengths(zone_mm, elsewhere_mm)
    )
    start, outcome = time.perf_counter(), {"outcome": "pass"}
    try:
        with mock.patch.object(build, "require_limits", keep_and_check):
            build_mesh(ct, labels, request)
    except SacrofemError as error:
        outcome = {"outcome": "refused", "error": str(error)}
    seconds = time.perf_counter() - start
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0**2
    report = {"report": reports[0].as_json()} if reports else {}
    return {"spec": asdict(spec), "seconds": seconds, "peak_gb": peak_gb} | outcome | report


def in_own_process(seed: int, settings: list[str], limit_s: float) -> dict[str, Any]:
    """The result of one seed, whatever happens in its process."""
    command = [sys.executable, __file__, "--seed", str(seed), *settings]
    what: dict[str, Any] = {"spec": asdict(random_spec(seed)), "seconds": limit_s}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return what | {"outcome": "hang", "error": f"not finished after {limit_s:g} s"}
    if done.returncode == 0:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return what | {"outcome": "crash", "error": f"exit status {done.returncode}: {last}"}


def row_of(seed: int, result: dict[str, Any]) -> list[str]:
    """A row of the table."""
    spec = PhantomSpec(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in result["spec"].items()}
    )
    who = (
        f"{spec.sex}, {spec.age_years:.0f} y, size {spec.size:.2f}, asymmetry {spec.asymmetry:+.2f}"
    )
    if spec.dysmorphism:
        who += f", dysmorphism {spec.dysmorphism:.2f}"
    scan = f"noise {spec.noise_hu:.0f} HU"
    if any(spec.rotation_deg):
        scan += ", rotated " + "/".join(f"{angle:.0f}" for angle in spec.rotation_deg)
    if spec.label_holes or spec.label_islands or spec.label_roughness:
        scan += f", {spec.label_holes} holes, {spec.label_islands} islands"
        scan += f", rough {spec.label_roughness:.2f}"
    outcome = result["outcome"] + (f": {result['error']}" if "error" in result else "")
    figures = figures_of(result["report"]) if "report" in result else ["", "", "", "", ""]
    nodes, *rest = figures
    voxel = " x ".join(f"{v:g}" for v in spec.voxel_mm)
    return [str(seed), voxel, who, scan, nodes, f"{result['seconds']:.0f}", *rest, outcome]


def figures_of(report: dict[str, Any]) -> list[str]:
    """Nodes, quality, volume error, distance of the surfaces and open foramina; the worst bone."""
    shape, parts, voxel = report["shape"], report["parts"].values(), report["voxel_mm"]
    volume = max(abs(part["mesh_ml"] / part["label_ml"] - 1.0) for part in parts)
    mean, p95 = (max(part[f"surface_{n}_mm"] for part in parts) / voxel for n in ("mean", "p95"))
    return [
        str(report["nodes"]),
        f"{shape['minimum']:.3f} / {shape['percentile_1']:.3f}",
        f"{100 * volume:.2f}",
        f"{mean:.2f} / {p95:.2f}",
        f"{report['foramina_open']} of 16",
    ]


def table(results: dict[int, dict[str, Any]], settings: argparse.Namespace) -> str:
    """The document: a summary, and a row for each seed."""
    lines = [
        f"# Robustness of the model `{settings.model}`",
        "",
        f"{len(results)} random phantoms, edges {settings.zone:g} mm where lesions may lie and "
        f"{settings.elsewhere:g} mm elsewhere. Made by `docs/robustness.py`.",
        "",
    ]
    for outcome, words in OUTCOMES.items():
        lines.append(f"- {sum(r['outcome'] == outcome for r in results.values())} {words}")
    seconds = [result["seconds"] for result in results.values()]
    lines += [
        f"- seconds a mesh: median {np.median(seconds):.0f}, largest {max(seconds):.0f}; "
        f"most memory {max(result.get('peak_gb', 0.0) for result in results.values()):.1f} GB",
        "",
        f"| {COLUMNS} |",
        "|" + " --- |" * (COLUMNS.count("|") + 1),
    ]
    lines += ["| " + " | ".join(row_of(seed, results[seed])) + " |" for seed in sorted(results)]
    return "\n".join(lines) + "\n"


def read_results(path: Path) -> dict[int, dict[str, Any]]:
    """What an earlier call has done; a line that was cut off counts as not done."""
    results = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        results[entry["seed"]] = entry["result"]
    return results


def run_all(settings: argparse.Namespace) -> None:
    """All seeds that are not done yet; the table is written after each."""
    kept = settings.out.with_suffix(".jsonl")
    results = read_results(kept)
    seeds = range(settings.first, settings.first + settings.count)
    edges = ["--zone", str(settings.zone), "--elsewhere", str(settings.elsewhere)]
    passed_on = ["--model", settings.model, *edges]

    def one(seed: int) -> tuple[int, dict[str, Any]]:
        return seed, in_own_process(seed, passed_on, settings.limit)

    with ThreadPoolExecutor(settings.jobs) as pool:
        for seed, result in pool.map(one, [s for s in seeds if s not in results]):
            results[seed] = result
            with kept.open("a") as file:
                file.write(json.dumps({"seed": seed, "result": result}) + "\n")
            settings.out.write_text(table(results, settings))
            note = f"{seed}: {result['outcome']} {result.get('error', '')}"
            print(note, file=sys.stderr, flush=True)  # noqa: T201
    settings.out.write_text(table(results, settings))


def main() -> None:
    """Read the arguments, and run all seeds, or one of them for a parent process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="number of seeds")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--model", choices=("sacrum", "pelvis"), default="pelvis")
    parser.add_argument("--zone", type=float, default=3.0, help="edges where lesions may lie, mm")
    parser.add_argument("--elsewhere", type=float, default=6.0, help="edges elsewhere, mm")
    parser.add_argument("--jobs", type=int, default=1, help="meshes at the same time")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds until a mesh is a hang")
    parser.add_argument("--out", type=Path, default=Path("docs/robustness.md"))
    parser.add_argument("--seed", type=int, help="mesh this one here, and print its result")
    settings = parser.parse_args()
    if settings.seed is None:
        run_all(settings)
    else:
        result = mesh_one(settings.seed, settings.model, settings.zone, settings.elsewhere)
        print(json.dumps(result))  # noqa: T201


if __name__ == "__main__":
    main()
