"""Cross-sections of a mesh, and its figures on the CT and in 3-D."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.image.volume import CtVolume, Grid, LabelMap
from sacrofem.mesh.bone_mesh import BoneMesh, Part, boundary_facets
from sacrofem.mesh.build import MeshedBone
from sacrofem.report import mesh_figures, mesh_scene, scene
from sacrofem.report.mesh_figures import PART_COLOURS, mesh_on_ct, shell_of
from sacrofem.report.mesh_slices import (
    AXIAL,
    CutPlane,
    cross_section,
    cut_lines,
    facets_between,
    hu_on,
    labels_on,
    outer_facets,
    sacral_planes,
)

Images = tuple[CtVolume, LabelMap]
needs_opengl = pytest.mark.skipif(
    scene.render_window() is None, reason="VTK cannot draw off-screen here"
)
#: Half the sides of a box around a sacrum, and where its sacrum and its cartilages end, in mm.
HALF_MM, SACRUM_MM, JOINT_MM = np.array([90.0, 60.0, 80.0]), 45.0, 60.0


def axial(height_mm: float) -> CutPlane:
    x, y = np.eye(3)[:2]
    return CutPlane("axial", np.array([3.0, -2.0, height_mm]), x, -y, AXIAL)


@pytest.fixture(scope="module")
def anatomy(phantom_images: Images) -> Anatomy:
    return find_anatomy(phantom_images[1])


@pytest.fixture(scope="module")
def pelvis(box: Callable[..., BoneMesh], anatomy: Anatomy) -> BoneMesh:
    """A box in the place of the phantom, its five parts side by side from right to left."""
    small = box(12)
    low, high = small.points_mm.min(axis=0), small.points_mm.max(axis=0)
    local = (2.0 * (small.points_mm - low) / (high - low) - 1.0) * HALF_MM - [0.0, 0.0, 40.0]
    frame = anatomy.frame
    left = local[small.tets].mean(axis=1)[:, 0]
    bins = np.digitize(left, (-JOINT_MM, -SACRUM_MM, SACRUM_MM, JOINT_MM))
    order = (Part.ILIUM_RIGHT, Part.CARTILAGE_RIGHT, Part.SACRUM, Part.CARTILAGE_LEFT)
    part = np.array([*order, Part.ILIUM_LEFT], dtype=np.int8)[bins]
    density = RhoQctK2HPO4(np.where(part == Part.SACRUM, -0.05, 0.3))
    points = frame.to_world(local)
    return replace(small, points_mm=points, part=part, density=density, frame=frame)


@pytest.fixture(scope="module")
def slices(
    phantom_bone: MeshedBone, pelvis: BoneMesh, phantom_images: Images, anatomy: Anatomy
) -> Figure:
    bone = replace(phantom_bone, mesh=pelvis)
    return mesh_on_ct(bone, *phantom_images, anatomy, shell_of(pelvis))


@pytest.mark.parametrize("cells", [4, 5])
@pytest.mark.parametrize("height", [-20.0, -17.3])
def test_area_of_a_boxs_cross_section_is_exact(
    box: Callable[..., BoneMesh], cells: int, height: float
) -> None:
    """Protects: what is drawn is the mesh; a plane in faces of cells cuts each face once."""
    mesh = box(cells)
    cut = cross_section(mesh.points_mm, mesh.tets, axial(height))
    assert cut.areas_mm2.sum() == pytest.approx(60.0 * 30.0, rel=1e-12)
    assert len(np.unique(cut.cell)) == len(cut.cell)


def test_area_of_an_oblique_cross_section_is_exact(box: Callable[..., BoneMesh]) -> None:
    """Protects: planes that lie along no axis."""
    mesh, angle = box(4), np.radians(25.0)
    right = np.array([np.cos(angle), 0.0, np.sin(angle)])
    plane = CutPlane(
        "oblique", np.array([0.0, 0.0, -20.0]), right, np.array([0.0, -1.0, 0.0]), AXIAL
    )
    cut = cross_section(mesh.points_mm, mesh.tets, plane)
    assert cut.areas_mm2.sum() == pytest.approx(60.0 * 30.0 / np.cos(angle), rel=1e-12)
    corners = plane.to_world(cut.polygons_mm)
    np.testing.assert_allclose(plane.height_mm(corners), 0.0, atol=1e-9)
    lines = cut_lines(mesh.points_mm, mesh.facets, plane)
    around = 2.0 * (60.0 / np.cos(angle) + 30.0)
    assert np.linalg.norm(np.diff(lines, axis=1), axis=2).sum() == pytest.approx(around, rel=1e-12)


def test_facets_stand_before_their_own_cells(box: Callable[..., BoneMesh]) -> None:
    """Protects: a surface has the colours of the cells behind it."""
    mesh = box(3)
    facets, behind = outer_facets(mesh)
    wanted, cells = boundary_facets(mesh.tets)
    np.testing.assert_array_equal(facets, wanted)
    np.testing.assert_array_equal(behind, cells)
    kept = mesh.centroids_mm[:, 0] < 0.0
    inner, cells = facets_between(mesh.tets, kept)
    assert kept[cells].all()
    ends = np.concatenate([facets[kept[behind]], inner])
    expected = boundary_facets(mesh.tets[kept])[0]
    assert {tuple(sorted(f)) for f in ends} == {tuple(sorted(f)) for f in expected}
    assert len(ends) == len(expected)


def test_ct_and_labels_are_read_at_their_world_place() -> None:
    """Protects: CT, label and mesh lie over each other, in turned and oblong voxels as well."""
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    grid = Grid((6, 8, 5), (1.0, 2.0, 3.0), np.array([10.0, 20.0, 30.0]), turned)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    world = grid.to_world(index.reshape(-1, 3))
    hu = (world @ [3.0, -2.0, 5.0]).reshape(grid.shape).astype(np.float32)
    inside = (world[:, 0] > 1.0).reshape(grid.shape)
    labels = LabelMap((25 * inside).astype(np.uint8), grid)
    points = grid.to_world(np.array([[2.3, 3.6, 1.2], [4.1, 0.2, 3.9]]))
    expected = points @ [3.0, -2.0, 5.0]
    np.testing.assert_allclose(hu_on(CtVolume(hu, grid), points), expected, rtol=1e-5)
    x = np.array([9.9, 1.0, -3.9, 11.5])
    at = np.column_stack([x, np.full(4, 22.0), np.full(4, 33.0)])
    # Voxels at x = 10, 8, ... -4: the label ends half way between 2 and 0; beyond 10 is no image.
    np.testing.assert_allclose(labels_on(labels, (25, 7), at)[25], [0.95 + 0.05, 0.5, 0.0, 0.25])
    assert not labels_on(labels, (25, 7), at)[7].any()


def test_planes_are_drawn_in_the_radiological_convention(anatomy: Anatomy) -> None:
    """Protects: letters and directions, in every plane."""
    frame = anatomy.frame
    for plane in sacral_planes(anatomy):
        axes = np.stack([plane.right, plane.up])
        np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-9)
        ends = {"L": frame.left, "P": frame.posterior, "S": [0.0, 0.0, 1.0], "A": -frame.posterior}
        _, right, _, up = plane.letters
        assert plane.right @ ends[right] > 0.5
        assert plane.up @ ends[up] > 0.5
    through = sacral_planes(anatomy)[1]
    for side in ("left", "right"):
        for face in ("anterior", "posterior"):
            centre = anatomy.foramen("S1", side, face).centre_mm
            assert abs(through.height_mm(centre)) < 3.0


def test_slices_show_each_part_in_its_colour_on_its_side(slices: Figure) -> None:
    """Protects: contours by part, and the patient's left on the reader's right."""
    seen = set()
    for axes in slices.axes:
        words = [text.get_text() for text in axes.texts]
        assert axes.images
        assert any(word.endswith(" mm") for word in words)
        (cells,) = (c for c in axes.collections if isinstance(c, PolyCollection))
        fill = cells.get_facecolor()[:, :3]
        middle = np.array([path.vertices[:4, 0].mean() for path in cells.get_paths()])
        place = {
            part: middle[np.isclose(fill, to_rgb(colour)).all(axis=1)]
            for part, colour in PART_COLOURS.items()
        }
        lines = {line.get_color() for line in axes.lines}
        for part, found in place.items():
            if len(found):
                seen.add(part)
                assert PART_COLOURS[part] in lines
        np.testing.assert_allclose(cells.get_edgecolor()[:, :3], fill)
        if "L" not in words:
            continue
        # In pictures from front or below the parts of the box stand side by side.
        for part, low, high in (
            (Part.ILIUM_RIGHT, -HALF_MM[0], -JOINT_MM),
            (Part.SACRUM, -SACRUM_MM, SACRUM_MM),
            (Part.ILIUM_LEFT, JOINT_MM, HALF_MM[0]),
        ):
            assert ((place[part] > low - 3.0) & (place[part] < high + 3.0)).all()
        assert axes.get_xlim()[0] < axes.get_xlim()[1]
        spots = {text.get_text(): text.get_position()[0] for text in axes.texts}
        assert spots["R"] < spots["L"]
    assert seen == set(Part)


def test_cells_and_outline_of_a_part_end_at_the_same_place(pelvis: BoneMesh) -> None:
    """Protects: both faces of the cartilage are outlined, so that its thickness is seen."""
    shell = shell_of(pelvis)
    plane = sacral_planes_middle(pelvis)
    joint = shell.triangles[shell.part == Part.CARTILAGE_LEFT]
    x = plane.flat(pelvis.points_mm[np.unique(joint)])[:, 0]
    assert x.min() == pytest.approx(SACRUM_MM, abs=0.1)
    assert x.max() == pytest.approx(JOINT_MM, abs=0.1)


def sacral_planes_middle(mesh: BoneMesh) -> CutPlane:
    frame = mesh.frame
    return CutPlane("middle", frame.origin_mm, frame.left, frame.superior, AXIAL)


def test_distances_are_those_of_the_report(
    phantom_bone: MeshedBone, phantom_images: Images
) -> None:
    """Protects: the distribution that is drawn is the one whose figures are printed."""
    shell = shell_of(phantom_bone.mesh)
    found = mesh_figures.surface_distances_mm(phantom_bone.mesh, phantom_images[1], shell)
    part = phantom_bone.report.parts["sacrum"]
    assert found["sacrum"].mean() == pytest.approx(part.surface_mean_mm, rel=1e-9)
    assert np.percentile(found["sacrum"], 95.0) == pytest.approx(part.surface_p95_mm, rel=1e-9)
    figure = mesh_figures.distributions(phantom_bone, found)
    assert [axes.get_xlabel().split(",")[0] for axes in figure.axes] == [
        "quality of the cells (SICN)",
        "dihedral angles",
        "distance between mesh and label",
    ]


@needs_opengl
def test_3d_pictures_have_left_and_right_by_part(pelvis: BoneMesh, anatomy: Anatomy) -> None:
    """Protects: from the front the left ilium is on the right, from behind on the left."""
    figure = mesh_scene.by_part(pelvis, anatomy)
    front, behind, *_ = (np.asarray(axes.images[0].get_array()) for axes in figure.axes)
    for picture, left_is_right in ((front, True), (behind, False)):
        assert (orange_centre(picture) > 0.5) == left_is_right


@needs_opengl
def test_3d_density_marks_what_is_clamped(pelvis: BoneMesh, anatomy: Anatomy) -> None:
    """Protects: voids are seen as such, and counted bone by bone."""
    figure = mesh_scene.by_density(pelvis, anatomy)
    sacral_ml = pelvis.part_ml(Part.SACRUM)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    found = f"sacrum {sacral_ml:.1f}, ilium left 0.0, ilium right 0.0 ml"
    assert words[0] == f"below 10 mg/cm³, raised to it: {found}"
    picture = np.asarray(figure.axes[0].images[0].get_array())
    wanted = 255 * np.array(to_rgb(mesh_scene.BELOW_COLOUR))
    marked = (np.abs(picture.astype(float) - wanted) < 3.0).all(axis=-1)
    assert marked.mean() > 0.1


def orange_centre(picture: np.ndarray) -> float:
    """Horizontal centre of what is orange, as a part of the width."""
    red, _, blue = (picture[..., i].astype(float) for i in range(3))
    columns = np.nonzero(red - blue > 70.0)[1]
    assert len(columns) > 200
    return float(columns.mean() / picture.shape[1])
