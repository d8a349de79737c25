"""The meshed bone of a recipe: made once, kept in the user's cache under the hash of its inputs."""

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from sacrofem.image.calibration import FALLBACK_LINE
from sacrofem.image.files import read_pair
from sacrofem.image.phantom import PhantomSpec, make_phantom
from sacrofem.image.volume import CtVolume, LabelMap
from sacrofem.mesh.build import MeshedBone, build_mesh
from sacrofem.mesh.files import load_bone, save_bone
from sacrofem.study.provenance import (
    MESH_ROOMS,
    Stopwatch,
    sha256_of_code,
    sha256_of_file,
    sha256_of_value,
)
from sacrofem.study.scenario import MeshRecipe


@dataclass(frozen=True, eq=False)
class Patient:
    """A meshed bone and where it comes from.

    Attributes:
        bone: Mesh and tissue grid.
        source: What was meshed, in words.
        inputs: Hashes of the images, or the phantom's parameters.
        mesh_file: Where the mesh is cached.
        from_cache: Whether it was there already.
    """

    bone: MeshedBone
    source: str
    inputs: dict[str, str]
    mesh_file: Path
    from_cache: bool


def cache_folder() -> Path:
    """Folder of what can be made again: ``$XDG_CACHE_HOME/sacrofem``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sacrofem"


def load_patient(recipe: MeshRecipe, watch: Stopwatch, folder: Path | None = None) -> Patient:
    """Read the images of a recipe and mesh them, or take the mesh that was made before.

    Args:
        recipe: What to mesh.
        watch: Told the time of the stages.
        folder: Where meshes are kept; the user's cache by default. A study keeps its own: the
            mesher gives another mesh each time, and its records name the mesh by its hash.

    Raises:
        InputError: The images cannot be used.
        MeshError: The mesh misses its limits.
    """
    inputs = input_hashes(recipe)
    key = sha256_of_value(
        {
            "inputs": inputs,
            "edge_mm": recipe.edge_mm,
            "line": asdict(FALLBACK_LINE),
            "code": sha256_of_code(MESH_ROOMS),
        }
    )
    cached = cache_folder() / "meshes" / f"{key[:32]}.npz"
    path = cached if folder is None else folder / cached.name
    if path != cached and not path.is_file() and cached.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cached, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    source = "phantom" if recipe.phantom else str(recipe.labels)
    if path.is_file():
        with watch.stage("mesh"):
            return Patient(load_bone(path), source, inputs, path, True)
    with watch.stage("image"):
        ct, labels = _images(recipe)
    with watch.stage("mesh"):
        bone = build_mesh(ct, labels, recipe.edge_mm, source=source)
        save_bone(path, bone)
    return Patient(bone, source, inputs, path, False)


def input_hashes(recipe: MeshRecipe) -> dict[str, str]:
    """Hashes of a recipe's images, or of the phantom's parameters."""
    if recipe.ct is None or recipe.labels is None:
        assert recipe.phantom is not None
        return {"phantom": sha256_of_value(recipe.phantom.model_dump(mode="json"))}
    # Reading checks the files with better words than hashing would.
    if not (recipe.ct.is_file() and recipe.labels.is_file()):
        read_pair(recipe.ct, recipe.labels)
    return {"ct": sha256_of_file(recipe.ct), "labels": sha256_of_file(recipe.labels)}


def _images(recipe: MeshRecipe) -> tuple[CtVolume, LabelMap]:
    if recipe.ct is not None and recipe.labels is not None:
        return read_pair(recipe.ct, recipe.labels)
    assert recipe.phantom is not None
    return make_phantom(PhantomSpec(voxel_mm=recipe.phantom.voxel_mm, seed=recipe.phantom.seed))
