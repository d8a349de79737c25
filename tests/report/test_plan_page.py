"""The page of a plan: what is drawn lies where it is, every number is on it, nothing is asked."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
import numpy as np
import pytest
from matplotlib.patches import Polygon

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.compartments import PASSAGES, Compartment
from sacrofem.mesh.tissue_grid import BONE, ILIUM_LEFT, ILIUM_RIGHT
from sacrofem.report import plan_page as page_module
from sacrofem.report import plan_scene, scene
from sacrofem.report.html import NO_SCENE, Picture
from sacrofem.report.plan_figures import LEAK, arm_regions, plan_slices
from sacrofem.report.plan_page import plan_page, plan_pictures, write_plan_page
from sacrofem.report.plan_slices import (
    cut,
    direction_letters,
    needle_mm,
    needle_plane,
    plan_planes,
    region_of,
)
from sacrofem.report.plan_table import plan_tables
from sacrofem.treatment.access.structures import RADIUS_MM
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField, operating_field
from sacrofem.treatment.plan import FillPlan, LesionPlan, PathPlan, ProcedurePlan
from sacrofem.treatment.procedure import Procedure, Treatment
from sacrofem.treatment.region import region_of_volume
from sacrofem.treatment.sites import place_lesions

HOSTILE = '<script>alert(1)</script> & "quotes"'
LESION_ML, CEMENT_ML = 6.0, 4.0


@pytest.fixture(scope="module")
def field(phantom_bone: MeshedBone) -> OperatingField:
    return operating_field(phantom_bone)


@cache
def ball(field: OperatingField, volume_ml: float) -> np.ndarray:
    """Samples of a ball of bone in the left lateral mass."""
    centre = field.mesh.lateral_mass_mm["left"]
    distance = np.linalg.norm(field.samples.points_mm - centre, axis=1)
    return region_of_volume(field.samples, distance, volume_ml, "ball")


@pytest.fixture(scope="module")
def lesion(field: OperatingField) -> Lesion:
    plan = LesionPlan(volume_ml=LESION_ML, centre_mm=field.mesh.lateral_mass_mm["left"])
    return place_lesions(field, [plan])[0]


def path_of(points_mm: FloatArray, crosses: tuple[str, ...] = ()) -> AccessPath:
    return AccessPath(
        approach="transiliac" if crosses else "short axis",
        cannula="11 G",
        points_mm=points_mm,
        length_in_bone_mm=31.4,
        axial_angle_deg=-4.2,
        sagittal_angle_deg=17.3,
        clearance_mm={"foramina": 5.67, "canal": 12.34, "anterior cortex": 8.91, "SI joint": -1.5},
        crosses=crosses,
        allowed_by_rule=not crosses,
        notes=("a note on the path",),
    )


@pytest.fixture(scope="module")
def make_arm(field: OperatingField) -> Callable[..., Treatment]:
    """Maker of an arm: a ball of cement in the left lateral mass through a straight needle."""

    def make(
        leak_ml: dict[Compartment, float] | None = None,
        crosses: tuple[str, ...] = (),
        side: float = 1.0,
    ) -> Treatment:
        tip = field.mesh.lateral_mass_mm["left"]
        way = field.atlas.frame.axes.T @ np.array([0.35 * side, 0.92, 0.15])
        inside = ball(field, CEMENT_ML)
        core = ball(field, 0.5 * CEMENT_ML)
        leaks = leak_ml or {}
        fill = CementFill(
            technique="balloon",
            samples=field.samples,
            pure=core,
            interdigitated=inside & ~core,
            hollow=field.samples.none,
            compacted_g_per_cm3=np.zeros(len(field.mesh.tets)),
            injected_ml=CEMENT_ML + sum(leaks.values()) + 0.25,
            cement_ml=CEMENT_ML,
            leak_ml=leaks,
            unplaced_ml=0.25,
            pressure_kPa=123.4,
            stopped_by="cement within 2 mm of foramen S1 left",
            nerve_distance_mm={code: 3.21 + code for code in PASSAGES},
            notes=("a note on the fill",),
        )
        plan = ProcedurePlan((0,), PathPlan(), FillPlan("balloon", CEMENT_ML))
        path = path_of(np.stack([tip + 30.0 * way, tip]), crosses)
        return Treatment((Procedure(plan, path, fill),))

    return make


def parsed(text: str) -> Element:
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(root: Element) -> str:
    return " ".join("".join(root.itertext()).split())


FRAME = SacralFrame(np.zeros(3), *np.eye(3))


@pytest.mark.parametrize(
    ("way", "letters"),
    [
        ((0.3, 0.95, 0.1), ("R", "L", "P", "A")),
        ((0.05, 0.2, -0.97), ("A", "P", "I", "S")),
        ((1.0, 0.0, 0.0), ("R", "L", "P", "A")),
    ],
)
def test_needle_lies_in_its_plane(way: tuple[float, ...], letters: tuple[str, ...]) -> None:
    """Protects: the picture along the needle holds it, and is drawn the radiological way round."""
    tip = np.array([20.0, 5.0, -15.0])
    track = np.array(way) / np.linalg.norm(way)
    plane = needle_plane(FRAME, path_of(np.stack([tip + 40.0 * track, tip])))
    points = np.stack([tip + 40.0 * track, tip])
    assert np.abs(plane.height_mm(points)).max() < 1e-9
    assert plane.right @ plane.up == pytest.approx(0.0, abs=1e-12)
    assert np.linalg.norm(plane.flat(points)[0] - plane.flat(points)[1]) == pytest.approx(40.0)
    assert tuple(letter[0] for letter in plane.letters) == letters


def test_bent_needle_lies_in_its_plane_with_its_bend() -> None:
    """Protects: a bevel's bend is seen in its true size, not along it."""
    points = np.array([[0.0, 30.0, -80.0], [2.0, 12.0, -40.0], [3.0, 6.0, -10.0]])
    plane = needle_plane(FRAME, path_of(points))
    assert np.abs(plane.height_mm(points)).max() < 1e-9
    assert plane.letters[0][0] == "A"


def test_letters_name_the_largest_direction_first() -> None:
    """Protects: oblique pictures say how they lie."""
    assert direction_letters(FRAME, np.array([0.0, -1.0, 0.0])) == "A"
    assert direction_letters(FRAME, np.array([0.1, -0.8, 0.6])) == "AS"
    assert direction_letters(FRAME, np.array([0.9, 0.0, -0.43])) == "LI"


def test_slices_show_the_grid_where_it_is(
    field: OperatingField, lesion: Lesion, make_arm: Callable[..., Treatment]
) -> None:
    """Protects: pixels have the coordinates that their place in the picture says."""
    path = make_arm().procedures[0].path
    frame = field.atlas.frame
    local = np.moveaxis(field.tissue.local_points(), -1, 0)
    for plane in plan_planes(frame, lesion.centre_mm, path):
        piece = cut(field, plane, path)
        rows, columns = len(piece.up_mm) // 2, len(piece.right_mm) // 2
        shown = [piece.of_grid(values)[rows, columns] for values in local]
        flat = np.array([[piece.right_mm[columns], piece.up_mm[rows]]])
        assert frame.to_local(plane.to_world(flat))[0] == pytest.approx(shown, abs=1e-6)
        bone = piece.nearest(field.tissue.tissue) == BONE
        for edge in (bone[0], bone[-1], bone[:, 0], bone[:, -1]):
            assert not edge.any()
        needle = plane.flat(needle_mm(path))
        left, right, low, high = piece.extent
        assert ((needle > [left, low]) & (needle < [right, high])).all()


def test_region_on_the_grid_has_its_volume(field: OperatingField) -> None:
    """Protects: an outline encloses the cement, also where it touches the bone's surface."""
    region = region_of(field, ball(field, 8.0))
    ml = float((region.share > 0.5).sum()) * field.tissue.voxel_ml
    assert ml == pytest.approx(8.0, rel=0.06)
    assert region_of(field, field.samples.none).empty


def test_cannula_is_drawn_to_scale(
    field: OperatingField, lesion: Lesion, make_arm: Callable[..., Treatment]
) -> None:
    """Protects: the wall of the needle is where it would be; it can be measured in the picture."""
    arm = make_arm()
    figure = plan_slices(field, (lesion,), {"arm": arm}, {"arm": arm_regions(field, arm)})
    along = figure.axes[3]
    corners = next(p.get_xy() for p in along.patches if isinstance(p, Polygon))
    sides = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    assert min(sides) == pytest.approx(2.0 * RADIUS_MM["11 G"])
    for axes in figure.axes:
        box, (width, height) = axes.get_position(), figure.get_size_inches()
        mm = np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())
        assert mm[0] / (box.width * width) == pytest.approx(mm[1] / (box.height * height))


def test_cement_outside_the_bone_is_drawn_and_its_passage_outlined(
    field: OperatingField, lesion: Lesion, make_arm: Callable[..., Treatment]
) -> None:
    """Protects: a leak is seen where it is, and none is shown where there is none."""
    red = [int(LEAK[i : i + 2], 16) / 255 for i in (1, 3, 5)]

    def drawn(code: Compartment | None) -> tuple[bool, bool, bool]:
        """Whether the legend has it, cement is filled, a passage is outlined."""
        arm = make_arm({} if code is None else {code: 0.3})
        if code is not None:
            procedure = arm.procedures[0]
            voxels = np.argwhere(field.tissue.compartment == code)
            fill = replace(procedure.fill, leak_voxels=voxels)
            arm = Treatment((replace(procedure, fill=fill),))
        regions = {"arm": arm_regions(field, arm)}
        figure = plan_slices(field, (lesion,), {"arm": arm}, regions)
        patches = [patch for axes in figure.axes for patch in axes.patches]
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        return (
            "cement outside the bone" in texts,
            any(p.get_fill() and np.allclose(p.get_facecolor()[:3], red) for p in patches),
            any(
                np.allclose(p.get_edgecolor()[:3], red) and p.get_linewidth() > 1.5
                for p in patches
                if not p.get_fill()
            ),
        )

    assert drawn(Compartment.CANAL) == (True, True, True)
    assert drawn(Compartment.PRESACRAL) == (True, True, False)
    assert drawn(None) == (False, False, False)


def test_tables_hold_every_figure_of_path_and_fill(
    lesion: Lesion, make_arm: Callable[..., Treatment]
) -> None:
    """Protects: clearances, angles, volumes, leaks, stop reason and nerves stand in the tables."""
    arm = make_arm({Compartment.CANAL: 0.3, Compartment.PRESACRAL: 0.15}, ("ilium", "SI joint"))
    tables = plan_tables((lesion,), {"one": arm, "two": make_arm()})
    for table in tables:
        assert all(len(row) == len(table.columns) for row in table.rows), table.title
    diseased, paths, fills, nerves = ([*map(list, table.rows)] for table in tables)
    assert diseased == [["1", lesion.name, "lytic", "6.00", "none", "none"]]
    assert paths[0] == [
        *("one", "1", "transiliac", "11 G", "31", "17", "-4"),
        *("5.7", "12.3", "8.9", "-1.5", "ilium, SI joint", "no"),
    ]
    assert paths[1][-2:] == ["nothing", "yes"]
    assert fills[0][3:7] == ["4.70", "4.00", "0.45", "0.25"]
    assert fills[0][8:] == [
        "123",
        "canal 0.30, presacral 0.15",
        "cement within 2 mm of foramen S1 left",
    ]
    assert nerves[0][2:] == [f"{3.21 + code:.1f}" for code in PASSAGES]
    assert tables[3].columns[2:4] == ("canal", "S1 left")


def test_no_cement_has_no_distance(lesion: Lesion, make_arm: Callable[..., Treatment]) -> None:
    """Protects: an infinite distance is a dash, and a technique without flow has no pressure."""
    done = make_arm().procedures[0]
    fill = replace(done.fill, pressure_kPa=None, nerve_distance_mm=dict.fromkeys(PASSAGES, inf))
    tables = plan_tables((lesion,), {"arm": Treatment((replace(done, fill=fill),))})
    assert set(tables[3].rows[0][2:]) == {"-"}
    assert tables[2].rows[0][8] == "-"


def test_written_page_is_one_file_with_pictures(
    field: OperatingField, lesion: Lesion, make_arm: Callable[..., Treatment], tmp_path: Path
) -> None:
    """Protects: a page that opens without network and script, whatever the words on it."""
    path = tmp_path / "check.html"
    arms = {HOSTILE: make_arm(crosses=("ilium",))}
    write_plan_page(path, "A plan", field, (lesion,), arms, HOSTILE, [HOSTILE])
    text = path.read_text(encoding="utf-8")
    root = parsed(text)
    for element in root.iter():
        assert element.tag not in ("script", "link", "iframe", "object")
        assert str(element.get("src", "data:image/png;base64,")).startswith("data:image/png")
    assert not re.search(r"@import|url\(|https?://", re.sub(r'src="[^"]*"', "", text))
    images = root.findall(".//figure/img")
    assert len(images) == (2 if scene.render_window() is not None else 1)
    assert words(root).count(HOSTILE) >= 3
    for note in ("a note on the path", "a note on the fill"):
        assert note in words(root)


def test_page_without_arms_and_without_opengl(
    field: OperatingField,
    lesion: Lesion,
    make_arm: Callable[..., Treatment],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Protects: where all arms are refused, or VTK cannot draw, the page says so."""
    drawn, missing = plan_pictures(field, (lesion,), {})
    assert drawn == []
    text = words(parsed(plan_page("T", (lesion,), {}, "Q", ["refused: why"], drawn, missing)))
    assert "No arm is possible" in text
    assert "refused: why" in text
    monkeypatch.setattr(scene, "render_window", lambda: None)
    monkeypatch.setattr(page_module, "png", lambda figure, dpi=0: b"")
    drawn, missing = plan_pictures(field, (lesion,), {"arm": make_arm()})
    assert (len(drawn), missing) == (1, NO_SCENE)
    assert isinstance(drawn[0], Picture)


@pytest.mark.parametrize(("side", "code"), [(1.0, ILIUM_LEFT), (-1.0, ILIUM_RIGHT)])
def test_the_crossed_ilium_is_the_one_at_the_entry(
    field: OperatingField, make_arm: Callable[..., Treatment], side: float, code: int
) -> None:
    """Protects: the 3-D picture shows the bone that the needle goes through, and no other."""
    assert plan_scene._crossed_ilia(field, make_arm()) == set()
    arm = make_arm(crosses=("ilium", "SI joint"))
    procedure = arm.procedures[0]
    entry = field.atlas.frame.to_world(np.array([[70.0 * side, 30.0, -20.0]]))
    points = np.vstack([entry, procedure.path.points_mm[-1:]])
    moved = replace(procedure, path=replace(procedure.path, points_mm=points))
    assert plan_scene._crossed_ilia(field, Treatment((moved,))) == {code}
