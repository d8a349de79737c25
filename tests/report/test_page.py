"""The HTML page and the list of assumptions."""

import base64
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest

from sacrofem.report import page as page_module
from sacrofem.report import scene
from sacrofem.report.assumptions import assumptions
from sacrofem.report.page import IS_PHANTOM, NO_SCENE, Picture, headlines, page, pictures
from sacrofem.report.view import BoneView
from sacrofem.study.scenario import Scenario
from sacrofem.treatment import shell

HOSTILE = '<script>alert(1)</script> & "quotes"'
PICTURES = [Picture(b"\x89PNG", f"alt {HOSTILE}", "A caption."), Picture(b"x", "two", "Another.")]


def parsed(text: str) -> Element:
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(root: Element) -> str:
    return " ".join("".join(root.itertext()).split())


def test_page_is_valid_and_asks_for_nothing(summary: dict[str, Any], scenario: Scenario) -> None:
    """Protects: one file that opens without a network and without a script."""
    text = page(summary, scenario, PICTURES)
    root = parsed(text)
    assert root.get("lang") == "en"
    for element in root.iter():
        assert element.tag not in ("script", "link", "iframe", "object")
        assert str(element.get("src", "data:")).startswith("data:image/png;base64,") or (
            element.get("src") is None
        )
        assert str(element.get("href", "#")).startswith("#")
    assert not re.search(r"@import|url\(", text)


def test_hostile_words_stay_words(summary: dict[str, Any], scenario: Scenario) -> None:
    """Protects: what a file says cannot run in the reader's browser."""
    summary |= {"title": HOSTILE, "warnings": [HOSTILE]}
    summary["arms"] = {HOSTILE: summary["arms"]["balloon"]}
    root = parsed(page(summary, scenario, PICTURES))
    assert not list(root.iter("script"))
    title = root.find("head/title")
    assert title is not None
    assert title.text == HOSTILE
    assert root.findall(".//img")[0].get("alt") == f"alt {HOSTILE}"


def test_every_picture_has_words(summary: dict[str, Any], scenario: Scenario) -> None:
    """Protects: readers who cannot see a picture are told what it shows."""
    root = parsed(page(summary, scenario, PICTURES))
    found = root.findall(".//figure")
    assert len(found) == len(PICTURES)
    for number, (figure, picture) in enumerate(zip(found, PICTURES, strict=True), start=1):
        image, caption = figure.find("img"), figure.find("figcaption")
        assert image is not None
        assert caption is not None
        assert image.get("alt") == picture.alt
        assert base64.b64decode(str(image.get("src")).split(",")[1]) == picture.png
        assert words(caption) == f"Figure {number}. {picture.caption}"


def test_headings_do_not_skip_a_level(summary: dict[str, Any], scenario: Scenario) -> None:
    """Protects: the outline that a screen reader walks."""
    root = parsed(page(summary, scenario, PICTURES))
    levels = [int(e.tag[1]) for e in root.iter() if re.fullmatch(r"h[1-6]", str(e.tag))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_headline_numbers_stand_beside_their_meaning(
    summary: dict[str, Any], scenario: Scenario
) -> None:
    """Protects: five numbers of each arm, each with its own words."""
    balloon_arm = headlines(summary)[0]
    values = {meaning: value for value, _, meaning in balloon_arm.numbers}
    assert list(values.values()) == ["20", "25", "+5.0", "+1.5", "0.00"]
    root = parsed(page(summary, scenario, []))
    pairs = root.findall(".//dl/div")
    assert len(pairs) == 5 * len(summary["arms"])
    assert all([child.tag for child in pair] == ["dt", "dd"] for pair in pairs)


def test_share_change_is_that_of_the_lesion_side(summary: dict[str, Any]) -> None:
    """Protects: left and right of the headline follow the lesion."""
    summary["lesions"][0]["side"] = "left"
    value, _, meaning = headlines(summary)[0].numbers[3]
    assert value == "-1.5"
    assert "left SI joint" in meaning


def test_missing_numbers_are_dashes(summary: dict[str, Any], scenario: Scenario) -> None:
    """Protects: a page of a case that could not be measured is still a page."""
    for arm in summary["arms"].values():
        for state in ("intact", "lesion", "treated"):
            arm[state] = dict.fromkeys(arm[state])
        arm["relief"]["rim"] = dict.fromkeys(arm["relief"]["rim"])
    text = words(parsed(page(summary, scenario, [])))
    assert "None" not in text
    assert "nan" not in text
    assert "\u2013 %" in text


def test_phantom_is_named_only_where_it_is_one(summary: dict[str, Any], scenario: Scenario) -> None:
    """Protects: nobody takes the phantom for a patient, nor a patient for the phantom."""
    assert IS_PHANTOM not in words(parsed(page(summary, scenario, [])))
    summary["inputs"] = {"phantom": "ab" * 32, "scenario": summary["inputs"]["scenario"]}
    assert IS_PHANTOM in words(parsed(page(summary, scenario, [])))


def test_every_assumption_has_value_unit_and_source(scenario: Scenario) -> None:
    """Protects: no assumption without its origin, and none told twice."""
    found = assumptions(scenario)
    assert all(a.group and a.name and a.value and a.unit and a.source for a in found)
    assert len({(a.group, a.name) for a in found}) == len(found)
    groups = [a.group for a in found]
    assert len(set(groups)) == 1 + sum(a != b for a, b in pairwise(groups))


def test_assumptions_are_those_of_this_run(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects: the list shows what was used, not what is usual."""
    monkeypatch.setattr(shell, "SHELL_MM", 2.75)
    material = scenario.materials.model_copy(update={"cement_MPa": 1234.0})
    found = {a.name: a for a in assumptions(scenario.model_copy(update={"materials": material}))}
    assert found["Shell of compacted bone around the cavity"].value == "2.75"
    assert found["PMMA, Young's modulus"].value == "1234"
    assert "this scenario" in found["PMMA, Young's modulus"].source
    assert "this scenario" not in found["Cortex, thickness"].source
    assert float(found["Cement in bone, modulus that follows"].value) == pytest.approx(
        1234.0 * (1.0 - material.composite_porosity) ** material.composite_exponent, rel=1e-3
    )


def test_every_assumption_is_on_the_page(summary: dict[str, Any], scenario: Scenario) -> None:
    """Protects: the page leaves no assumption out."""
    root = parsed(page(summary, scenario, []))
    rows = root.findall(".//table[@class='assumptions']/tbody/tr")
    assert [words(row[0]) for row in rows] == [a.name for a in assumptions(scenario)]


def test_report_without_opengl_says_so(
    summary: dict[str, Any],
    scenario: Scenario,
    views: dict[str, BoneView],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Protects: a machine on which VTK cannot draw still gets its report."""
    monkeypatch.setattr(scene, "render_window", lambda: None)
    monkeypatch.setattr(page_module, "_slices", lambda view, arms: [])
    drawn, missing = pictures(views["right"], summary)
    assert missing == NO_SCENE
    assert len(drawn) == 1
    assert NO_SCENE in words(parsed(page(summary, scenario, drawn, missing)))


def test_template_is_package_data() -> None:
    """Protects: an installed package finds its template beside its module."""
    assert (Path(page_module.__file__).parent / "page.html").is_file()
