"""The page of a mesh: every figure beside its limit, nothing asked of the network."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest

from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.errors import MeshError
from sacrofem.image.volume import CtVolume, LabelMap
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.report import MeshReport, report_from_json, require_limits
from sacrofem.report import mesh_page as mesh_page_module
from sacrofem.report import scene
from sacrofem.report.html import NO_SCENE, Picture
from sacrofem.report.mesh_checks import checks, verdict_in_words
from sacrofem.report.mesh_page import calibration_in_words, mesh_page, write_mesh_report

Images = tuple[CtVolume, LabelMap]
HOSTILE = '<script>alert(1)</script> & "quotes"'
PICTURES = [Picture(b"\x89PNG", "one", "A caption."), Picture(b"x", "two", "Another.")]


def parsed(text: str) -> Element:
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(root: Element) -> str:
    return " ".join("".join(root.itertext()).split())


@pytest.fixture(scope="module")
def anatomy(phantom_images: Images) -> Anatomy:
    return find_anatomy(phantom_images[1])


def changed(bone: MeshedBone, **values: Any) -> MeshedBone:
    return replace(bone, report=replace(bone.report, **values))


def part_changed(report: MeshReport, **values: Any) -> MeshReport:
    return replace(report, parts={"sacrum": replace(report.parts["sacrum"], **values)})


def test_written_page_is_one_file_with_every_picture(
    phantom_bone: MeshedBone, phantom_images: Images, anatomy: Anatomy, tmp_path: Path
) -> None:
    """Protects: the whole way, from a mesh to a file that opens without network and script."""
    path = tmp_path / "report.html"
    write_mesh_report(path, phantom_bone, *phantom_images, anatomy, "A phantom", "phantom: {}")
    text = path.read_text(encoding="utf-8")
    root = parsed(text)
    assert root.get("lang") == "en"
    for element in root.iter():
        assert element.tag not in ("script", "link", "iframe", "object")
        assert str(element.get("src", "data:image/png;base64,")).startswith(
            "data:image/png;base64,"
        )
        assert str(element.get("href", "#")).startswith("#")
    assert not re.search(r"@import|url\(|https?://", re.sub(r'src="[^"]*"', "", text))
    images = root.findall(".//figure/img")
    assert len(images) == (5 if scene.render_window() is not None else 3)
    assert all(len(str(image.get("alt"))) > 20 for image in images)
    levels = [int(e.tag[1]) for e in root.iter() if re.fullmatch(r"h[1-6]", str(e.tag))]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert words(root.findall(".//pre")[0]) == "phantom: {}"


def test_every_figure_of_the_report_is_on_the_page(
    phantom_bone: MeshedBone, anatomy: Anatomy
) -> None:
    """Protects: nothing that is known of the mesh is kept from the reader."""
    bone = changed(phantom_bone, metal_ml=1.234, warnings=("a word of warning",), cartilage_ml=9.87)
    text = words(parsed(mesh_page(bone, anatomy, "T", PICTURES)))
    report, part = bone.report, bone.report.parts["sacrum"]
    for found in (
        f"{report.nodes:,}",
        f"{report.cells:,}",
        f"{report.zone_mm:g} mm",
        f"{report.voxel_mm:.2f} mm",
        f"{report.shape.minimum:.3f}",
        f"{report.shape.percentile_1:.3f}",
        f"{report.shape.aspect_p99:.2f}",
        f"{report.shape.aspect_max:.2f}",
        f"{report.shape.dihedral_min_deg:.1f}° to {report.shape.dihedral_max_deg:.1f}°",
        f"{part.mesh_ml:.2f} ml of the label's {part.label_ml:.2f} ml",
        f"{part.surface_mean_mm:.2f} mm",
        f"{part.surface_p95_mm:.2f} mm",
        f"{report.foramina_open} of 16",
        "1.23 ml",
        "9.87 ml",
        "a word of warning",
        report.calibration["source"],
        bone.mesh.sha256,
    ):
        assert found in text, found


def test_every_landmark_has_its_place_and_its_origin(
    phantom_bone: MeshedBone, anatomy: Anatomy
) -> None:
    """Protects: what a recipe can correct is shown, and an estimate is not taken for a find."""
    name, foramen = next(iter(anatomy.foramina.items()))
    lost = {**anatomy.foramina, name: replace(foramen, found=False, basis="its neighbours")}
    partly = replace(anatomy, foramina=lost)
    root = parsed(mesh_page(phantom_bone, partly, "T", []))
    rows = root.findall(".//table[@class='landmarks']/tbody/tr")
    table = {words(row[0]): [words(cell) for cell in row[1:]] for row in rows}
    assert len(table) == len(rows) == 9 + len(anatomy.foramina)
    for key, place in anatomy.foramina.items():
        numbers = [f"{x:.1f}".replace("-", "\u2212") for x in place.centre_mm.round(3)]
        assert table[key.key.removeprefix("landmarks.")][:3] == numbers
    assert table[name.key.removeprefix("landmarks.")][3] == "estimated: its neighbours"
    assert sum("estimated" in row[3] for row in table.values()) == sum(
        not f.found for f in lost.values()
    ) + (not anatomy.canal.found)


@pytest.mark.parametrize("outside", [False, True])
def test_page_and_mesher_judge_alike(phantom_bone: MeshedBone, outside: bool) -> None:
    """Protects: the page calls outside what the mesher refuses, and nothing else."""
    step = 1.001 if outside else 0.999
    base = phantom_bone.report
    scale = max(base.voxel_mm, 0.5 * base.elsewhere_mm)
    label = base.parts["sacrum"].label_ml
    for report in (
        replace(base, shape=replace(base.shape, minimum=0.1 / step)),
        replace(base, shape=replace(base.shape, percentile_1=0.25 / step)),
        part_changed(base, mesh_ml=label * (1.0 + 0.01 * step)),
        part_changed(base, surface_mean_mm=0.25 * scale * step),
        part_changed(base, surface_p95_mm=0.6 * scale * step),
        replace(base, shape=replace(base.shape, minimum=float("nan") if outside else 1.0)),
    ):
        bad = [check for check in checks(report) if check.verdict == "outside" and check.refuses]
        assert len(bad) == outside
        if outside:
            with pytest.raises(MeshError):
                require_limits(report)
        else:
            require_limits(report)


def test_values_outside_a_limit_are_marked(phantom_bone: MeshedBone, anatomy: Anatomy) -> None:
    """Protects: a bad figure is seen, in words and not by colour alone."""
    tunnels = phantom_bone.report.parts["sacrum"].label_tunnels
    whole = part_changed(replace(phantom_bone.report, foramina_open=16), tunnels=tunnels)
    good = parsed(mesh_page(replace(phantom_bone, report=whole), anatomy, "T", []))
    assert not [row for row in good.findall(".//tr") if outside(row)]
    assert "are within it" in verdict_in_words(checks(whole))
    bad_bone = changed(phantom_bone, foramina_open=14)
    bad_bone = replace(
        bad_bone, report=part_changed(bad_bone.report, tunnels=tunnels + 1, surface_p95_mm=9.0)
    )
    bad = parsed(mesh_page(bad_bone, anatomy, "T", []))
    marks = {words(row[0]): words(row[3]) for row in bad.findall(".//tr") if outside(row)}
    assert list(marks.values()) == ["✗ outside (remark)", "✗ outside", "✗ outside (remark)"]
    assert "3 of" in words(bad.findall(".//main/p/strong")[0])


def outside(row: Element) -> bool:
    return any(cell.get("class") == "outside" for cell in row)


def test_calibration_is_told_with_its_uncertainty(
    phantom_bone: MeshedBone, anatomy: Anatomy
) -> None:
    """Protects: a line whose error nobody knows says so; references come with their spread."""
    base = dict(phantom_bone.report.calibration)
    known = " ".join(calibration_in_words(base | {"relative_error_at_100": 0.2}))
    assert "20 % of a density of 100 mg/cm³" in known
    blind = base | {"relative_error_at_100": None, "slope_error_mg_per_cm3_per_HU": None}
    assert "Nothing tells its error." in calibration_in_words(blind)
    tissue = {
        "name": "fat",
        "median_HU": -101.26,
        "spread_HU": 9.3,
        "voxels": 12345,
        "expected_mg_per_cm3": -70.0,
        "expected_sd_mg_per_cm3": 14.2,
    }
    bone = changed(phantom_bone, calibration=base | {"references": (tissue,)})
    root = parsed(mesh_page(bone, anatomy, "T", []))
    row = root.findall(".//table[@class='references']/tbody/tr")[0]
    start, slope = base["intercept_mg_per_cm3"], base["slope_mg_per_cm3_per_HU"]
    on_line = f"{start + slope * -101.26:.1f}".replace("-", "\u2212")
    expected = ["fat", "\u2212101.3", "9.3", "12,345", "\u221270.0", "14.2", on_line]
    assert [words(cell) for cell in row] == expected


def test_report_read_back_from_json_gives_the_same_page(
    phantom_bone: MeshedBone, anatomy: Anatomy
) -> None:
    """Protects: a mesh from the cache has the page that it had when it was made."""
    again = replace(phantom_bone, report=report_from_json(phantom_bone.report.as_json()))
    assert mesh_page(again, anatomy, "T", []) == mesh_page(phantom_bone, anatomy, "T", [])


def test_hostile_words_stay_words(phantom_bone: MeshedBone, anatomy: Anatomy) -> None:
    """Protects: what a file or a recipe says cannot run in the reader's browser."""
    bone = changed(phantom_bone, warnings=(HOSTILE,))
    root = parsed(mesh_page(bone, anatomy, HOSTILE, PICTURES, None, HOSTILE))
    assert not list(root.iter("script"))
    assert words(root.findall(".//pre")[0]) == HOSTILE


def test_page_without_opengl_says_so(
    phantom_bone: MeshedBone,
    phantom_images: Images,
    anatomy: Anatomy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Protects: a machine on which VTK cannot draw still gets its page."""
    monkeypatch.setattr(scene, "render_window", lambda: None)
    monkeypatch.setattr(mesh_page_module, "png", lambda figure, dpi=0: b"")
    drawn, missing = mesh_page_module.mesh_pictures(phantom_bone, *phantom_images, anatomy)
    assert missing == NO_SCENE
    assert len(drawn) == 3
    assert NO_SCENE in words(parsed(mesh_page(phantom_bone, anatomy, "T", drawn, missing)))
