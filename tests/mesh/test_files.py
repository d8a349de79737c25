"""Mesh files: whole or not at all, read in shares, and a clear word when they are damaged."""

import tracemalloc
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from sacrofem.anatomy.atlas import Atlas
from sacrofem.anatomy.frame import SacralFrame
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mesh import files
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.files import MeshFileError, load_bone, read_share, save_bone
from sacrofem.mesh.report import MeshReport
from sacrofem.mesh.share import first_rows, share_of
from sacrofem.mesh.tissue_grid import TissueGrid


def make_bone(mesh: BoneMesh, atlas: Atlas, report: MeshReport) -> MeshedBone:
    """The mesh with two parts, a density of its own in each cell and a small tissue grid."""
    rng = np.random.default_rng(5)
    part = np.where(mesh.centroids_mm[:, 0] > 0, Part.ILIUM_LEFT, Part.SACRUM).astype(np.int8)
    density = RhoQctK2HPO4(rng.uniform(0.0, 1.0, len(mesh.tets)))
    tissue = TissueGrid(
        origin_local_mm=np.array([-1.0, 0.1, 2.0]),
        step_mm=1.0,
        tissue=rng.integers(0, 3, (3, 4, 5)).astype(np.uint8),
        compartment=rng.integers(0, 15, (3, 4, 5)).astype(np.uint8),
        density=RhoQctK2HPO4(rng.random((3, 4, 5)).astype(np.float32).astype(np.float64)),
    )
    level = rng.integers(0, 6, len(part)).astype(np.int8)
    mixed = replace(mesh, part=part, density=density, level=level, zone=(level + 1) % 4)
    return MeshedBone(mixed, tissue, atlas, report)


@pytest.fixture
def bone(
    box: Callable[..., BoneMesh],
    plain_atlas: Callable[[SacralFrame], Atlas],
    plain_report: Callable[[BoneMesh], MeshReport],
) -> MeshedBone:
    mesh = box(3)
    return make_bone(mesh, plain_atlas(mesh.frame), plain_report(mesh))


@pytest.fixture
def path(tmp_path: Path, bone: MeshedBone) -> Path:
    save_bone(tmp_path / "bone.npz", bone)
    return tmp_path / "bone.npz"


def test_everything_comes_back_bit_for_bit(path: Path, bone: MeshedBone) -> None:
    again = load_bone(path)
    assert again.mesh.sha256 == bone.mesh.sha256
    for name in ("points_mm", "tets", "facets", "facet_tag", "part", "level", "zone"):
        old, new = getattr(bone.mesh, name), getattr(again.mesh, name)
        np.testing.assert_array_equal(new, old)
        assert new.dtype == old.dtype
    assert again.report == bone.report
    np.testing.assert_array_equal(again.mesh.frame.axes, bone.mesh.frame.axes)
    for side, point in bone.mesh.foramen_s1_mm.items():
        np.testing.assert_array_equal(again.mesh.foramen_s1_mm[side], point)
    np.testing.assert_array_equal(again.tissue.tissue, bone.tissue.tissue)
    np.testing.assert_array_equal(again.tissue.compartment, bone.tissue.compartment)
    assert again.atlas.as_json() == bone.atlas.as_json()
    np.testing.assert_array_equal(again.tissue.origin_local_mm, bone.tissue.origin_local_mm)
    np.testing.assert_array_equal(again.tissue.density.g_per_cm3, bone.tissue.density.g_per_cm3)


def test_the_parts_of_a_mesh_are_counted_apart(bone: MeshedBone) -> None:
    mesh = bone.mesh
    half = mesh.part_ml(Part.SACRUM) + mesh.part_ml(Part.ILIUM_LEFT)
    assert half == pytest.approx(mesh.volume_ml)
    assert mesh.part_ml(Part.CARTILAGE_LEFT) == 0.0
    assert (mesh.centroids_mm[mesh.cells_of(Part.ILIUM_LEFT), 0] > 0).all()
    other = replace(mesh, part=np.full_like(mesh.part, Part.SACRUM))
    assert other.sha256 != mesh.sha256


def test_equal_bones_give_equal_files(path: Path, bone: MeshedBone) -> None:
    # The clock, the process and the temporary name leave no trace.
    save_bone(path.with_name("again.npz"), bone)
    assert path.with_name("again.npz").read_bytes() == path.read_bytes()


def test_others_read_the_arrays_with_numpy_alone(path: Path, bone: MeshedBone) -> None:
    with np.load(path) as data:
        np.testing.assert_array_equal(data["tets"], bone.mesh.tets)


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_the_shares_are_the_mesh(path: Path, bone: MeshedBone, ranks: int) -> None:
    shares = [read_share(path, rank, ranks) for rank in range(ranks)]
    for name in ("points_mm", "tets", "facets", "facet_tag", "part"):
        joined = np.concatenate([getattr(share, name) for share in shares])
        np.testing.assert_array_equal(joined, getattr(bone.mesh, name))
    density = np.concatenate([share.density.g_per_cm3 for share in shares])
    np.testing.assert_array_equal(density, bone.mesh.density.g_per_cm3)
    assert {share.cell_count for share in shares} == {len(bone.mesh.tets)}
    assert {share.point_count for share in shares} == {len(bone.mesh.points_mm)}


def test_a_share_cut_from_memory_is_that_of_the_file(path: Path, bone: MeshedBone) -> None:
    cut, read = share_of(bone.mesh, 1, 3), read_share(path, 1, 3)
    for field in fields(cut):
        a, b = getattr(cut, field.name), getattr(read, field.name)
        if field.name == "density":
            a, b = a.g_per_cm3, b.g_per_cm3
        np.testing.assert_array_equal(a, b)
        assert np.asarray(a).dtype == np.asarray(b).dtype


@pytest.mark.parametrize("count", [0, 1, 5, 1_234_567])
def test_shares_differ_by_one_row_at_most(count: int) -> None:
    sizes = np.diff(first_rows(count, 4))
    assert sizes.sum() == count
    assert sizes.max() - sizes.min() <= 1


def test_a_rank_holds_its_share_only(
    tmp_path: Path, box: Callable[..., BoneMesh], bone: MeshedBone
) -> None:
    bone = make_bone(box(24), bone.atlas, bone.report)
    save_bone(tmp_path / "bone.npz", bone)
    mesh = bone.mesh
    whole = sum(a.nbytes for a in (mesh.points_mm, mesh.tets, mesh.facets, mesh.part))
    for rank in (0, 7):
        tracemalloc.start()
        read_share(tmp_path / "bone.npz", rank, 8)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # An eighth, and the pieces in which it is read.
        assert peak < whole / 4


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_told(path: Path, kept: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    for read in (load_bone, lambda p: read_share(p, 1, 2)):
        with pytest.raises(MeshFileError, match=r"bone\.npz: not a whole mesh file .* mesh anew"):
            read(path)


def test_altered_bytes_are_told(path: Path, bone: MeshedBone) -> None:
    data = bytearray(path.read_bytes())
    place = data.index(bone.mesh.points_mm.tobytes()[:64])
    data[place + 6] ^= 1
    path.write_bytes(data)
    with pytest.raises(MeshFileError, match="points_mm"):
        load_bone(path)


def test_a_mesh_that_is_not_the_named_one_is_told(
    path: Path, bone: MeshedBone, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = files._head(bone) | {"sha256": "0" * 64}
    monkeypatch.setattr(files, "_head", lambda _: head)
    save_bone(path, bone)
    with pytest.raises(MeshFileError, match=f"hash to {bone.mesh.sha256[:12]}, not 0000"):
        load_bone(path)


def test_another_schema_is_told(
    path: Path, bone: MeshedBone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SCHEMA", files.SCHEMA + 1)
    with pytest.raises(
        MeshFileError,
        match=rf"schema {files.SCHEMA} are required, this one has schema {files.SCHEMA - 1}",
    ):
        load_bone(path)
    # What versions before the head wrote.
    np.savez_compressed(path, points_mm=bone.mesh.points_mm, tets=bone.mesh.tets)
    with pytest.raises(MeshFileError, match="this one has schema 1"):
        load_bone(path)


@pytest.mark.parametrize("content", [b"", b"not a zip at all", b"PK\x03\x04"])
def test_a_foreign_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(MeshFileError, match="not a whole mesh file"):
        load_bone(tmp_path / "x.npz")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(MeshFileError, match="no such file"):
        load_bone(tmp_path / "x.npz")


def test_an_interrupted_write_leaves_what_was_there(
    path: Path, bone: MeshedBone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space left"):
        save_bone(path, make_bone(bone.mesh, bone.atlas, bone.report))
    monkeypatch.undo()
    assert [p.name for p in path.parent.iterdir()] == ["bone.npz"]
    assert load_bone(path).mesh.sha256 == bone.mesh.sha256
