"""Surfaces become labels of the same volume at the same place, or are refused by name."""

from pathlib import Path

import numpy as np
import pytest
import pyvista as pv
from skimage.measure import marching_cubes

from sacrofem.errors import InputError
from sacrofem.image.files import read_pair
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.surface_files import load_surface
from sacrofem.image.surfaces import load_surfaces, read_surfaces, zone_ct
from sacrofem.image.volume import Grid, LabelMap
from sacrofem.image.voxelise import inside_fraction, most_covered

FORMATS = (".stl", ".ply", ".obj", ".vtp")
#: Bones of a pelvis as ellipsoids in LPS: centre and half axes in mm.
BONES = {
    "sacrum": ((1.3, 20.2, 3.1), (42.0, 24.0, 50.0)),
    "hip_left": ((70.4, -5.0, -10.0), (24.0, 40.0, 70.0)),
    "hip_right": ((-70.4, -5.0, -10.0), (24.0, 40.0, 70.0)),
    "L5": ((0.0, 5.0, 70.0), (25.0, 20.0, 14.0)),
}


def bone(name: str) -> pv.PolyData:
    centre, half = BONES[name]
    ball = pv.Icosphere(radius=1.0, nsub=4)
    return pv.PolyData.from_regular_faces(
        np.asarray(ball.points, dtype=float) * half + centre, ball.regular_faces
    )


def write(folder: Path, suffix: str = ".stl", factor=(1.0, 1.0, 1.0), names=BONES) -> dict:
    """Files of the bones with their coordinates multiplied by ``factor``."""
    folder.mkdir(exist_ok=True)
    paths = {name: folder / f"{name}{suffix}" for name in names}
    for name, path in paths.items():
        mesh = bone(name)
        mesh.points = mesh.points * factor
        mesh.save(path)
    return paths


def ml(labels: LabelMap, label: int) -> float:
    return float(np.count_nonzero(labels.mask(label))) * labels.grid.voxel_ml


def centroid(labels: LabelMap, label: int) -> np.ndarray:
    return labels.grid.to_world(np.argwhere(labels.mask(label)).astype(float)).mean(axis=0)


@pytest.mark.parametrize("suffix", FORMATS)
def test_labels_have_the_surfaces_volume_and_place(tmp_path: Path, suffix: str) -> None:
    labels = read_surfaces(write(tmp_path, suffix, names=("sacrum", "L5")), "mm", "LPS")
    for name, label in (("sacrum", SACRUM), ("L5", L5)):
        assert ml(labels, label) == pytest.approx(bone(name).volume / 1000.0, rel=0.002)
        np.testing.assert_allclose(centroid(labels, label), BONES[name][0], atol=0.05)


@pytest.mark.parametrize(("unit", "mm"), [("cm", 10.0), ("m", 1000.0)])
def test_unit_and_coordinates_are_turned_into_mm_and_lps(
    tmp_path: Path, unit: str, mm: float
) -> None:
    paths = write(tmp_path, ".ply", np.array([-1.0, -1.0, 1.0]) / mm)
    labels = read_surfaces(paths, unit, "RAS", voxel_mm=2.0)
    np.testing.assert_allclose(centroid(labels, SACRUM), BONES["sacrum"][0], atol=0.1)
    np.testing.assert_allclose(centroid(labels, HIP_LEFT), BONES["hip_left"][0], atol=0.1)
    with pytest.raises(InputError, match=f"sacrum of .* in unit mm is not .* state unit: {unit}"):
        read_surfaces(paths, "mm", "RAS")


@pytest.mark.parametrize("handed", [1.0, -1.0])
def test_the_grid_of_a_ct_is_used_whatever_its_axes(tmp_path: Path, handed: float) -> None:
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, handed]])
    start = np.array([30.0, -150.0, -100.0 * handed])
    grid = Grid((160, 150, 90), (1.2, 1.4, 2.3), start, turn)
    labels = read_surfaces(write(tmp_path), "mm", "LPS", ct_grid=grid)
    assert labels.grid is grid
    assert ml(labels, SACRUM) == pytest.approx(bone("sacrum").volume / 1000.0, rel=0.005)
    np.testing.assert_allclose(centroid(labels, SACRUM), BONES["sacrum"][0], atol=0.1)


def test_a_surface_outside_the_ct_names_the_other_coordinates(tmp_path: Path) -> None:
    paths = write(tmp_path, names=("sacrum",))
    grid = Grid((100, 60, 120), (1.0, 1.0, 1.0), np.array([-50.0, -50.0, -60.0]), np.eye(3))
    with pytest.raises(InputError, match=r"outside the CT, only 39\.5 of 210.* coordinates: RAS"):
        read_surfaces(paths, "mm", "LPS", ct_grid=grid)


def test_the_volume_is_kept_for_shapes_between_the_voxels() -> None:
    """Turned and shifted shapes of bone size: within 0.5 % as stated, and a tube stays open."""
    rng = np.random.default_rng(3)
    shapes = (
        pv.Icosphere(radius=30.0, nsub=5),
        pv.ParametricTorus(ringradius=30.0, crosssectionradius=8.0).triangulate().clean(),
        pv.Cube(x_length=50, y_length=40, z_length=30).triangulate().clean(),
    )
    for shape in shapes:
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        points = np.asarray(shape.points, dtype=float) @ (turn * np.linalg.det(turn)).T
        points += 3.0 + rng.random(3) - points.min(axis=0)
        triangles = np.asarray(shape.regular_faces, dtype=np.int64)
        a, b, c = points[triangles].transpose(1, 0, 2)
        volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0
        triangles = triangles if volume > 0 else triangles[:, ::-1]
        size = tuple(int(n) for n in np.ceil(points.max(axis=0)) + 3)
        fraction = inside_fraction(points, triangles, size)
        assert fraction.sum(dtype=float) == pytest.approx(abs(volume), rel=5e-4)
        assert np.count_nonzero(most_covered(fraction)) == pytest.approx(abs(volume), rel=2e-3)


@pytest.mark.parametrize("start", [1.5, 1.625, 1.25])
def test_edges_on_the_rays_lose_no_column(start: float) -> None:
    """A box whose edges and diagonals run along voxel faces or rays: no streak, no hole."""
    size = np.array([8.0, 6.0, 4.0])
    box = pv.Cube(bounds=np.stack([[start] * 3, start + size], axis=1).ravel()).triangulate()
    points = np.asarray(box.clean().points, dtype=float)
    triangles = np.asarray(box.clean().regular_faces, dtype=np.int64)
    fraction = inside_fraction(points, triangles, (12, 10, 8))
    np.testing.assert_allclose(fraction[3:9, 3:7, 3:5], 1.0, atol=1e-6)
    assert fraction.sum(dtype=float) == pytest.approx(np.prod(size), rel=1e-6)
    outside = fraction.copy()
    outside[1:11, 1:9, 1:7] = 0.0
    assert not outside.any()


def test_normals_inward_or_mixed_are_turned_and_said(tmp_path: Path) -> None:
    mesh = bone("sacrum")
    faces = np.asarray(mesh.regular_faces)
    inward = pv.PolyData.from_regular_faces(mesh.points, faces[:, ::-1])
    mixed = faces.copy()
    mixed[::3] = mixed[::3, ::-1]
    for name, broken, said in (
        ("inward", inward, "pointed inward"),
        ("mixed", pv.PolyData.from_regular_faces(mesh.points, mixed), "pointed both ways"),
    ):
        broken.save(tmp_path / f"{name}.ply", recompute_normals=False)
        read = load_surface(tmp_path / f"{name}.ply", "mm", "LPS")
        assert read.value.volume_ml == pytest.approx(mesh.volume / 1000.0)
        assert said in " ".join(read.notes)


def test_overlapping_bones_are_shared_out_and_reported(tmp_path: Path) -> None:
    near = bone("hip_left")
    near.points = near.points - [9.0, 0.0, 0.0]
    paths = write(tmp_path)
    near.save(paths["hip_left"])
    read = load_surfaces(paths, "mm", "LPS", voxel_mm=2.0)
    assert any("sacrum and hip left overlap by" in note for note in read.notes)
    near.points = np.asarray(bone("sacrum").points) + np.array([5.0, 0.0, 0.0])
    near.save(paths["hip_left"])
    with pytest.raises(InputError, match="is one bone given twice"):
        load_surfaces(paths, "mm", "LPS", voxel_mm=2.0)


def test_a_separate_s1_is_joined(tmp_path: Path) -> None:
    paths = write(tmp_path, names=("sacrum", "hip_left", "hip_right"))
    first = bone("L5")
    first.points = first.points - [0.0, -10.0, 25.0]
    first.save(tmp_path / "S1.stl")
    labels = read_surfaces({**paths, "S1": tmp_path / "S1.stl"}, "mm", "LPS", voxel_mm=2.0)
    assert set(np.unique(labels.labels)) == {0, SACRUM, HIP_LEFT, HIP_RIGHT}
    assert ml(labels, SACRUM) > bone("sacrum").volume / 1000.0 + 5.0


def _open(folder: Path) -> Path:
    mesh = bone("sacrum")
    faces = np.asarray(mesh.regular_faces)[5:]
    pv.PolyData.from_regular_faces(mesh.points, faces).save(folder / "open.ply")
    return folder / "open.ply"


def _points(folder: Path) -> Path:
    pv.PolyData(np.random.default_rng(0).normal(size=(20, 3))).save(folder / "points.ply")
    return folder / "points.ply"


def _text(folder: Path) -> Path:
    (folder / "text.stl").write_text("no surface at all")
    return folder / "text.stl"


def _slicer(folder: Path) -> Path:
    path = write(folder, names=("sacrum",))["sacrum"]
    content = path.read_bytes()
    path.write_bytes(b"3D Slicer output. SPACE=RAS".ljust(80) + content[80:])
    return path


def _slicer_vtp(folder: Path) -> Path:
    mesh = bone("sacrum")
    mesh.field_data["SPACE"] = ["RAS"]
    mesh.save(folder / "sacrum.vtp")
    return folder / "sacrum.vtp"


def _half_size(folder: Path) -> Path:
    return write(folder, factor=(0.5, 0.5, 0.5), names=("sacrum",))["sacrum"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_open, ("not closed", "edges are open", "holes")),
        (_points, ("no surface of triangles", "20 points")),
        (_text, ("text.stl", "export")),
        (_slicer, ("stated as LPS", "SPACE=RAS", "state coordinates: RAS")),
        (_slicer_vtp, ("stated as LPS", "SPACE=RAS")),
        (_half_size, ("26", "80 to 400 ml", "whole bone")),
        (lambda folder: folder / "sacrum.igs", (".stl, .ply, .obj, .vtp",)),
        (lambda folder: folder / "none.stl", ("no such file",)),
    ],
)
def test_what_is_no_bone_surface_is_refused_by_name(tmp_path: Path, make, words) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError) as caught:
        read_surfaces({"sacrum": path}, "mm", "LPS")
    message = str(caught.value)
    assert message.startswith(str(path))
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_exchanged_hips_unknown_names_and_a_missing_sacrum_are_refused(tmp_path: Path) -> None:
    paths = write(tmp_path)
    swapped = {**paths, "hip_left": paths["hip_right"], "hip_right": paths["hip_left"]}
    with pytest.raises(InputError, match="mirrored or the two numbers are exchanged"):
        read_surfaces(swapped, "mm", "LPS", voxel_mm=3.0)
    with pytest.raises(InputError, match="did you mean hip_left"):
        read_surfaces({**paths, "hip_lfet": paths["hip_left"]}, "mm", "LPS", voxel_mm=3.0)
    with pytest.raises(InputError, match="none of the sacrum"):
        read_surfaces({"L5": paths["L5"]}, "mm", "LPS")


def test_a_ct_of_zones_has_each_labels_hu_and_muscle_elsewhere(tmp_path: Path) -> None:
    labels = read_surfaces(write(tmp_path), "mm", "LPS", voxel_mm=3.0)
    ct = zone_ct(labels, {SACRUM: 141.0, HIP_LEFT: 250.0, HIP_RIGHT: 250.0, L5: 120.0})
    assert ct.grid is labels.grid
    assert set(np.unique(ct.hu[labels.mask(SACRUM)])) == {141.0}
    assert set(np.unique(ct.hu[labels.labels == 0])) == {30.0}
    with pytest.raises(InputError, match=r"label 27 \(vertebra L5\) has no HU"):
        zone_ct(labels, {SACRUM: 141.0, HIP_LEFT: 250.0, HIP_RIGHT: 250.0})
    with pytest.raises(InputError, match="is no bone"):
        zone_ct(labels, {SACRUM: 0.2e5})


def test_the_real_sacrum_survives_a_way_through_stl(
    tmp_path: Path, real_ct: tuple[Path, Path]
) -> None:
    _, labels = read_pair(*real_ct)
    padded = np.pad(labels.mask(SACRUM), 1).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(padded, 0.5)
    mesh = pv.PolyData.from_regular_faces(labels.grid.to_world(vertices - 1.0), faces)
    mesh.save(tmp_path / "sacrum.stl")
    read = load_surfaces({"sacrum": tmp_path / "sacrum.stl"}, "mm", "LPS", ct_grid=labels.grid)
    found, known = read.value.mask(SACRUM), labels.mask(SACRUM)
    surface_ml = load_surface(tmp_path / "sacrum.stl", "mm", "LPS").value.volume_ml
    assert ml(read.value, SACRUM) == pytest.approx(surface_ml, rel=0.005)
    overlap = np.count_nonzero(found & known) / np.count_nonzero(found | known)
    assert overlap > 0.9, read.notes
