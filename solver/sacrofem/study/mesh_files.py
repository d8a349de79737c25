"""The folder of ``sacrofem mesh``: the mesh for other programs, and its figures as JSON."""

import json
from collections.abc import Iterable
from pathlib import Path

from sacrofem.errors import InputError
from sacrofem.mechanics.materials import intact_modulus
from sacrofem.mesh.export import SUFFIXES, export_mesh
from sacrofem.study.bones import Patient
from sacrofem.study.provenance import versions


def export_names(formats: Iterable[str]) -> list[str]:
    """File names for formats such as ``inp`` or ``.inp``, VTU always first.

    Raises:
        InputError: A format is not known.
    """
    names = ["mesh.vtu"]
    for text in formats:
        suffix = "." + text.lower().removeprefix(".")
        if suffix not in SUFFIXES:
            known = ", ".join(f"{end[1:]} ({program})" for end, program in SUFFIXES.items())
            raise InputError(f"--export {text}: known formats are {known}.")
        if f"mesh{suffix}" not in names:
            names.append(f"mesh{suffix}")
    return names


def write_mesh_files(folder: Path, patient: Patient, names: Iterable[str]) -> None:
    """Write a mesh with the moduli of the intact bone, and ``mesh.json``."""
    mesh = patient.bone.mesh
    modulus = intact_modulus(mesh)
    binning = None
    for name in names:
        bins = export_mesh(folder / name, mesh, modulus.young_MPa, modulus.poisson)
        binning = bins.summary() if bins is not None else binning
    values = patient.bone.report.as_json() | {
        "sha256": mesh.sha256,
        "inputs": patient.inputs,
        "source": patient.source,
        "abaqus_materials": binning,
        "versions": versions(),
    }
    text = json.dumps(values, indent=2, allow_nan=False)
    (folder / "mesh.json").write_text(text + "\n", encoding="utf-8")
