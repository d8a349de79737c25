"""The meshed bone of a recipe: made once, kept in the user's cache under the hash of its inputs."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sacrofem.mesh.build import MeshedBone, build_mesh
from sacrofem.mesh.files import MeshFileError, load_bone, save_bone
from sacrofem.study.images import PatientImages, input_hashes, read_images, source_of
from sacrofem.study.provenance import MESH_ROOMS, Stopwatch, sha256_of_code, sha256_of_value
from sacrofem.study.recipe import MeshRecipe

#: What names files, whose contents are hashed instead.
_PATHS: Any = {"ct": True, "labels": True, "surfaces": {"files"}}


@dataclass(frozen=True, eq=False)
class Patient:
    """A meshed bone and where it comes from.

    Attributes:
        bone: Mesh, tissue grid and the mesh's report.
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


def load_patient(
    recipe: MeshRecipe,
    watch: Stopwatch,
    folder: Path | None = None,
    images: PatientImages | None = None,
) -> Patient:
    """Read the images of a recipe and mesh them, or take the mesh that was made before.

    Args:
        recipe: What to mesh.
        watch: Told the time of the stages.
        folder: Where meshes are kept; the user's cache by default. A study keeps its own, so that
            it can go on where the cache was emptied.
        images: The recipe's images where they have been read already.

    Raises:
        InputError: The images cannot be used.
        MeshError: The mesh misses its limits.
    """
    inputs = input_hashes(recipe)
    key = sha256_of_value(
        {
            "inputs": inputs,
            "recipe": recipe.model_dump(mode="json", exclude=_PATHS),
            "code": sha256_of_code(MESH_ROOMS),
        }
    )
    cached = cache_folder() / "meshes" / f"{key[:32]}.npz"
    path = cached if folder is None else folder / cached.name
    if path != cached and not path.is_file() and _whole(cached) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cached, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    with watch.stage("mesh"):
        known = _whole(path)
    if known is not None:
        return Patient(known, source_of(recipe), inputs, path, True)
    with watch.stage("image"):
        read = read_images(recipe) if images is None else images
    with watch.stage("mesh"):
        bone = build_mesh(
            read.ct,
            read.labels,
            recipe.request(),
            read.calibration,
            read.source,
            recipe.landmarks,
            read.notes,
        )
        save_bone(path, bone)
    return Patient(bone, read.source, inputs, path, False)


def _whole(path: Path) -> MeshedBone | None:
    """The bone of a mesh file; None, and the file gone, where it is missing or damaged.

    The mesher gives the same mesh again, so nothing is lost with a damaged file.
    """
    if not path.is_file():
        return None
    try:
        return load_bone(path)
    except MeshFileError:
        path.unlink()
        return None
