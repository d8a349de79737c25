"""The page of a mesh: its figures beside their limits, pictures, calibration and landmarks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import sacrofem
from sacrofem.anatomy.landmarks import Anatomy
from sacrofem.image.calibration import STATED_AT_MG_PER_CM3
from sacrofem.image.volume import CtVolume, LabelMap
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.report import MeshReport
from sacrofem.report import mesh_figures, mesh_scene, scene
from sacrofem.report.anatomy_figure import draw_anatomy
from sacrofem.report.digits import fixed, signed
from sacrofem.report.figures import png
from sacrofem.report.html import NO_SCENE, Picture, render
from sacrofem.report.mesh_checks import checks, verdict_in_words

#: Pixels of an inch: the cells of a slice must be seen.
SLICE_DPI, SCENE_DPI = 120, 100
NOTE = (
    "A mesh outside a limit is refused, but for those marked as a remark: closed foramina and "
    "tunnels that differ come from the labels or from cells that are too coarse for a thin wall. "
    "Quality is the signed inverse condition number (gmsh's SICN): 1 is the regular tetrahedron, 0 "
    "a flat one. The distance between surfaces is taken both ways, to the label as it is, and not "
    "near the cartilage, which is made, not segmented; where cells are larger than voxels its "
    "limit counts in halves of the edge length. Aspect ratio: 1 is the regular tetrahedron."
)


@dataclass(frozen=True)
class Landmark:
    """A row of the table of landmarks: three numbers as text, and whether it was found."""

    name: str
    place: tuple[str, ...]
    remark: str


def write_mesh_report(
    path: Path,
    bone: MeshedBone,
    ct: CtVolume,
    labels: LabelMap,
    anatomy: Anatomy,
    title: str,
    recipe: str | None = None,
) -> None:
    """Write the page of a mesh: one HTML file that asks for nothing else.

    Args:
        path: The file; its folder exists.
        bone: Mesh and its report.
        ct: The CT from which it was made.
        labels: The label map.
        anatomy: What was found in it.
        title: Title of the page.
        recipe: Text of the recipe, for making it again.
    """
    drawn, missing = mesh_pictures(bone, ct, labels, anatomy)
    path.write_text(mesh_page(bone, anatomy, title, drawn, missing, recipe), encoding="utf-8")


def mesh_page(
    bone: MeshedBone,
    anatomy: Anatomy,
    title: str,
    drawn: Iterable[Picture],
    missing: str | None = None,
    recipe: str | None = None,
) -> str:
    """The page as HTML, with pictures that are drawn already; see :func:`write_mesh_report`."""
    report = bone.report
    found = checks(report)
    return render(
        "mesh_page.html",
        title=title,
        version=sacrofem.__version__,
        question=_question(report),
        verdict=verdict_in_words(found),
        outside=any(check.verdict == "outside" for check in found),
        warnings=report.warnings,
        checks=[(group, list(rows)) for group, rows in groupby(found, key=attrgetter("of"))],
        note=NOTE,
        pictures=list(drawn),
        missing=missing,
        calibration=calibration_in_words(report.calibration),
        references=_references(report.calibration),
        landmarks=landmark_rows(report, anatomy),
        recipe=recipe,
        facts=[
            ("mesh, SHA-256", bone.mesh.sha256),
            ("sacrofem", sacrofem.__version__),
            ("model", report.model),
            ("edge lengths", f"{report.zone_mm:g} mm, elsewhere {report.elsewhere_mm:g} mm"),
        ],
    )


def mesh_pictures(
    bone: MeshedBone, ct: CtVolume, labels: LabelMap, anatomy: Anatomy
) -> tuple[list[Picture], str | None]:
    """The pictures of the page, and a sentence about those that could not be drawn."""
    shell = mesh_figures.shell_of(bone.mesh)
    slices = Picture(
        png(mesh_figures.mesh_on_ct(bone, ct, labels, anatomy, shell), SLICE_DPI),
        "Slices of the CT with the cross-section of the mesh, its parts in colours, and the "
        "outlines of the labels.",
        "The mesh on the CT (bone window). Thin lines: the cells, exactly as the plane cuts them; "
        "thick lines: the parts; dashed: the labels as they are, with the steps of their voxels. "
        "Radiological convention: the patient's right (R) is on the left of axial and coronal "
        "pictures; axial is seen from the feet. A, P: front and back; S, I: above and below.",
    )
    distances = mesh_figures.surface_distances_mm(bone.mesh, labels, shell)
    curves = Picture(
        png(mesh_figures.distributions(bone, distances)),
        "Histograms of cell quality and dihedral angles; distribution of the distance between mesh "
        "and labels.",
        "Left and middle: all cells, on a logarithmic scale, so that a few bad ones are seen. "
        "Right: share of the surface that lies closer to the label than the distance below it.",
    )
    landmarks = Picture(
        png(draw_anatomy(ct, labels, anatomy), SCENE_DPI),
        "The sacrum from the front and from behind with all landmarks, and three slices of the CT.",
        "Landmarks, levels and Denis' zones as they were found in the labels. Hollow marks are "
        "estimates.",
    )
    if scene.render_window() is None:
        return [slices, curves, landmarks], NO_SCENE
    return [slices, *_scenes(bone, anatomy), curves, landmarks], None


def _scenes(bone: MeshedBone, anatomy: Anatomy) -> list[Picture]:
    return [
        Picture(
            png(mesh_scene.by_part(bone.mesh, anatomy), SCENE_DPI),
            "3-D pictures of the mesh by part from the front, from behind, from the left, from an "
            "oblique direction, and cut open.",
            "The mesh by part, with the edges of its cells. Below, what lies in front of the plane "
            "along the foramina is taken away, whole cells at a time, so that the size of the "
            "inner cells is seen. From the front the patient's right is on the left.",
        ),
        Picture(
            png(mesh_scene.by_density(bone.mesh, anatomy), SCENE_DPI),
            "3-D pictures of the mesh by density, cut along and across the sacrum and in the "
            "middle.",
            "Density of each cell, the CT integrated over it, not smoothed, on planes that cut the "
            "mesh exactly. Cells whose density is clamped for the modulus have colours of their "
            "own: large voids of fat are common in the lateral masses of old people.",
        ),
    ]


def calibration_in_words(calibration: Mapping[str, Any]) -> list[str]:
    """The line from HU to density, its uncertainty and what has to be known of it."""
    slope, start = (calibration[f] for f in ("slope_mg_per_cm3_per_HU", "intercept_mg_per_cm3"))
    line = (
        f"{calibration['kind']} equivalent in mg/cm³ = {signed(start, 2)} + {fixed(slope, 3)} · HU"
    )
    at, error = calibration["relative_error_at_100"], calibration["slope_error_mg_per_cm3_per_HU"]
    parts = [
        *([f"{100.0 * at:.0f} % of a density of {STATED_AT_MG_PER_CM3:g} mg/cm³"] if at else []),
        *([f"{fixed(error, 3)} mg/cm³ per HU of the slope"] if error else []),
    ]
    known = "Standard error: " + ", ".join(parts) if parts else "Nothing tells its error"
    return [
        f"{line.replace('= +', '= ')}. Method: {calibration['method']}. "
        f"Source: {calibration['source']}.",
        f"{known}.",
        *(f"{note[:1].upper()}{note[1:]}." for note in calibration["notes"]),
    ]


def _references(calibration: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows of the tissues that an internal calibration found."""
    slope, start = calibration["slope_mg_per_cm3_per_HU"], calibration["intercept_mg_per_cm3"]
    return [
        (
            tissue["name"],
            fixed(tissue["median_HU"], 1),
            fixed(tissue["spread_HU"], 1),
            f"{tissue['voxels']:,}",
            fixed(tissue["expected_mg_per_cm3"], 1),
            fixed(tissue["expected_sd_mg_per_cm3"], 1),
            fixed(start + slope * tissue["median_HU"], 1),
        )
        for tissue in calibration["references"]
    ]


def landmark_rows(report: MeshReport, anatomy: Anatomy) -> list[Landmark]:
    """All landmarks with their names in a recipe."""
    estimates = {
        name.key.removeprefix("landmarks."): foramen.basis
        for name, foramen in anatomy.foramina.items()
        if not foramen.found
    }
    sizes = {
        name.key.removeprefix("landmarks."): f"yes, {foramen.diameter_mm:.1f} mm wide"
        for name, foramen in anatomy.foramina.items()
        if foramen.found
    }
    if not anatomy.canal.found:
        estimates["hiatus"] = "the canal is closed in the labels"
    rows = []
    for name, place in _flat(report.landmarks):
        digits = 3 if name in ("frame.left", "frame.superior") else 1
        remark = f"estimated: {estimates[name]}" if name in estimates else sizes.get(name, "yes")
        rows.append(Landmark(name, tuple(fixed(value, digits) for value in place), remark))
    return rows


def _flat(nested: Mapping[str, Any], start: str = "") -> list[tuple[str, list[float]]]:
    """Nested landmarks as pairs of dotted name and coordinates."""
    pairs: list[tuple[str, list[float]]] = []
    for name, value in nested.items():
        full = f"{start}{name}"
        pairs += _flat(value, f"{full}.") if isinstance(value, Mapping) else [(full, value)]
    return pairs


def _question(report: MeshReport) -> str:
    model = {
        "sacrum": "The sacrum alone, held by springs at its joints.",
        "pelvis": "The posterior pelvis: sacrum, cartilage of both sacroiliac joints and ilia, one "
        "conforming mesh.",
    }[report.model]
    return (
        f"{model} {report.nodes:,} nodes and {report.cells:,} tetrahedra. Is the mesh the "
        "bone that the CT shows?"
    )
