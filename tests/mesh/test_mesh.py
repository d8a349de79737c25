"""Mesh: equal parts of cells, the phantom's mesh as a whole, files that come back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import meshio
import numpy as np
import pytest

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import MeshError
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mesh.bone_mesh import BoneMesh, Part, facet_areas_mm2, signed_volumes_mm3
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.fidelity import tunnels
from sacrofem.mesh.files import load_bone, save_bone, write_vtu
from sacrofem.mesh.quality import inverse_condition
from sacrofem.mesh.report import QUALITY_AT_LEAST, QUALITY_P01_AT_LEAST, require_limits
from sacrofem.mesh.samples import sample_points


@pytest.mark.parametrize("level", [0, 1, 2])
def test_sample_points_integrate_linear_functions_exactly(level: int) -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(4, 3))
    samples = sample_points(points, np.array([[0, 1, 2, 3]]), level)[0]
    assert len(samples) == 8**level
    np.testing.assert_allclose(samples.mean(axis=0), points.mean(axis=0), atol=1e-12)


def test_equal_parts_fill_the_tetrahedron() -> None:
    # Second moments differ between a partition and a cloud that merely has the right mean.
    points = np.vstack([np.zeros(3), np.eye(3)])
    samples = sample_points(points, np.array([[0, 1, 2, 3]]), 4)[0]
    assert (samples >= 0).all()
    assert (samples.sum(axis=1) <= 1).all()
    # Mean of x^2 over the unit tetrahedron is 1/10.
    assert (samples[:, 0] ** 2).mean() == pytest.approx(0.1, rel=0.01)


def test_box_facets_are_outward_and_cover_the_surface(box: Callable[..., BoneMesh]) -> None:
    mesh = box(3)
    assert signed_volumes_mm3(mesh.points_mm, mesh.tets).min() > 0
    assert facet_areas_mm2(mesh.points_mm, mesh.facets).sum() == pytest.approx(
        2 * (60 * 30 + 60 * 40 + 30 * 40)
    )
    a, b, c = (mesh.points_mm[mesh.facets[:, i]] for i in range(3))
    outward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a - [0, 0, -20.0])
    assert (outward > 0).all()


def test_phantom_mesh_keeps_volume_quality_and_joints(phantom_bone: MeshedBone) -> None:
    mesh, report = phantom_bone.mesh, phantom_bone.report
    assert mesh.volume_ml == pytest.approx(report.parts["sacrum"].label_ml, rel=0.01)
    assert (mesh.part == Part.SACRUM).all()
    quality = inverse_condition(mesh.points_mm, mesh.tets)
    assert quality.min() == report.shape.minimum > QUALITY_AT_LEAST
    assert np.percentile(quality, 1.0) > QUALITY_P01_AT_LEAST
    area = [
        facet_areas_mm2(mesh.points_mm, mesh.facets[mesh.facet_tag == tag]).sum()
        for tag in (SurfaceTag.AURICULAR_LEFT, SurfaceTag.AURICULAR_RIGHT)
    ]
    assert area[0] == pytest.approx(area[1], rel=0.05)
    assert (mesh.facet_tag == SurfaceTag.ENDPLATE_S1).any()


def test_phantom_mesh_has_open_foramina(phantom_bone: MeshedBone) -> None:
    # Genus 17: eight anterior and eight posterior foramina, the canal and the hiatus
    # (Euler number of a closed surface is 2 - 2 genus). At 2 mm one small opening may close.
    found = phantom_bone.report.parts["sacrum"].tunnels
    assert found >= 15
    assert found == tunnels(phantom_bone.mesh.tets)


def test_every_sacral_cell_has_a_level_and_a_zone(phantom_bone: MeshedBone) -> None:
    mesh = phantom_bone.mesh
    assert set(np.unique(mesh.level)) == {1, 2, 3, 4, 5}
    assert set(np.unique(mesh.zone)) == {1, 2, 3}


def test_density_of_cells_is_that_of_the_ct(phantom_bone: MeshedBone) -> None:
    mesh = phantom_bone.mesh
    local = mesh.frame.to_local(mesh.centroids_mm)
    body = (np.abs(local[:, 0]) < 12) & (local[:, 2] > -20) & (local[:, 2] < -8)
    body &= np.abs(local[:, 1]) < 8
    ala = np.linalg.norm(mesh.centroids_mm - mesh.lateral_mass_mm["left"], axis=1) < 10
    density = mesh.density.g_per_cm3
    # facts.md 2h: the S1 body is denser than the alae.
    assert density[body].mean() > 1.2 * density[ala].mean()


def test_a_bad_mesh_is_refused_with_its_number(phantom_bone: MeshedBone) -> None:
    """Protects: the figures that the limits read are those of the mesh."""
    report = phantom_bone.report
    require_limits(report)
    sacrum = report.parts["sacrum"]
    wrong = replace(sacrum, label_ml=1.1 * sacrum.label_ml)
    with pytest.raises(MeshError, match=r"mesh of the sacrum holds .* ml and its label .* apart"):
        require_limits(replace(report, parts={"sacrum": wrong}))


def test_a_bone_comes_back_from_its_file(tmp_path: Path, phantom_bone: MeshedBone) -> None:
    save_bone(tmp_path / "bone.npz", phantom_bone)
    again = load_bone(tmp_path / "bone.npz")
    assert again.mesh.sha256 == phantom_bone.mesh.sha256
    assert again.report == phantom_bone.report
    np.testing.assert_array_equal(again.tissue.tissue, phantom_bone.tissue.tissue)
    np.testing.assert_array_equal(again.mesh.facets, phantom_bone.mesh.facets)
    assert [p.name for p in tmp_path.iterdir()] == ["bone.npz"]


def test_hash_changes_with_density(box: Callable[..., BoneMesh]) -> None:
    mesh = box(2)
    other = replace(mesh, density=RhoQctK2HPO4(mesh.density.g_per_cm3 * 1.001))
    assert mesh.sha256 != other.sha256


def test_vtu_is_read_by_others(tmp_path: Path, box: Callable[..., BoneMesh]) -> None:
    mesh = box(2)
    cells = {"density": mesh.density.g_per_cm3}
    write_vtu(tmp_path / "a.vtu", mesh, {"u": mesh.points_mm}, cells)
    read = meshio.read(tmp_path / "a.vtu")
    np.testing.assert_allclose(read.points, mesh.points_mm)
    np.testing.assert_allclose(read.cell_data["density"][0], mesh.density.g_per_cm3)
