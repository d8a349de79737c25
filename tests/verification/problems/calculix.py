"""CalculiX on the exported deck, where it is installed.

Springs on facets are not in the deck. The held nodes get the displacement that the model found,
the loaded ones the consistent forces of the model's load: all other nodes have to follow.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from dolfinx.fem import petsc

from problems.exact import NO_CORTEX, model_of, uniform
from problems.meshes import box
from problems.random_box import SIZE_MM
from problems.row import Row, Size
from sacrofem import _compat
from sacrofem.mechanics.elasticity import ElasticModel
from sacrofem.mechanics.state import solve_state
from sacrofem.mesh.abaqus import write_abaqus

#: What single precision of its result file leaves of 6 digits.
WITHIN = 1e-5


def run(size: Size) -> list[Row]:
    """Displacement of every vertex, C3D4, in two materials of the deck's own bins."""
    what = "displacement, exported deck, C3D4 (P1)"
    if shutil.which("ccx") is None:
        return [Row(what, "CalculiX's", "ccx is not installed", None, WITHIN)]
    bone = box(4 if size == "small" else 12, SIZE_MM)
    modulus = uniform(bone, 300.0, 0.3)
    modulus.young_MPa[np.linalg.norm(bone.centroids_mm, axis=1) < 12.0] = 2000.0
    model = model_of(bone, 1, NO_CORTEX)
    ours = solve_state(model, modulus).displacement_mm
    with tempfile.TemporaryDirectory() as folder:
        deck = Path(folder) / "model.inp"
        write_abaqus(deck, bone, modulus.young_MPa, modulus.poisson, bins=2)
        with deck.open("a") as out:
            out.write(_step(model, ours))
        command = ["ccx", "-i", deck.stem]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        theirs = _displacement(deck.with_suffix(".dat"), len(ours))
    off = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    cells = f"{len(bone.tets):,} cells"
    return [Row(f"{what}, {cells}", "CalculiX's", f"off by {off:.1e}", off, WITHIN)]


def _step(model: ElasticModel, displacement_mm: np.ndarray) -> str:
    held = np.unique(model.bone.facets[np.isin(model.bone.facet_tag, list(_held(model)))])
    force_N = _nodal_forces_N(model)
    lines = ["*STEP", "*STATIC", "*BOUNDARY"]
    for node in held:
        lines += [
            f"{node + 1}, {a + 1}, {a + 1}, {displacement_mm[node, a]:.12e}" for a in range(3)
        ]
    lines.append("*CLOAD")
    for node in np.setdiff1d(np.flatnonzero(np.abs(force_N).max(axis=1) > 0.0), held):
        lines += [f"{node + 1}, {a + 1}, {force_N[node, a]:.12e}" for a in range(3)]
    return "\n".join([*lines, "*NODE PRINT, NSET=NODES", "U", "*END STEP", ""])


def _held(model: ElasticModel) -> tuple[int, ...]:
    return tuple(int(tag) for tag in model.support.surfaces.values())


def _nodal_forces_N(model: ElasticModel) -> np.ndarray:
    """Consistent forces of the load at the vertices of the bone mesh, shape (n, 3)."""
    by_dof = petsc.assemble_vector(model.load).getArray().reshape(-1, 3)
    mesh = model.domain.mesh
    node = mesh.geometry.input_global_indices[_compat.geometry_dofmap(mesh)]
    out = np.zeros((len(model.bone.points_mm), 3))
    out[node.ravel()] = by_dof[model.space.dofmap.list.ravel()]
    return out


def _displacement(path: Path, nodes: int) -> np.ndarray:
    """Displacements that CalculiX printed, shape (n, 3)."""
    rows = [line.split() for line in path.read_text().splitlines()]
    table = np.array([[float(cell) for cell in row] for row in rows if len(row) == 4])
    out = np.full((nodes, 3), np.nan)
    out[table[:, 0].astype(int) - 1] = table[:, 1:]
    return out
