"""Study files: what is in the file is what is run, in the same order every time."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sacrofem.errors import InputError
from sacrofem.study.scenario import Scenario
from sacrofem.study.study_file import Study, StudyPoint, points_of, read_study, saltelli_blocks
from sacrofem.study.variation import as_written

ROOT = Path(__file__).parents[2]
BASE = ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml"
CEMENT, LESION = "arms.*.fill.cement_ml", "lesions.0.volume_ml"


def study_file(folder: Path, text: str, base: Path = BASE) -> Path:
    (folder / "study.yaml").write_text(f"base: {base}\n{text}\n")
    return folder / "study.yaml"


def points(path: Path) -> list[StudyPoint]:
    return points_of(*read_study(path), path)


def values_of(found: list[StudyPoint], field: str) -> list[Any]:
    return [point.values[field] for point in found]


def test_a_grid_crosses_all_values_and_the_last_list_runs_fastest(tmp_path: Path) -> None:
    found = points(study_file(tmp_path, f"vary: {{{CEMENT}: [4, 6], {LESION}: [5.0, 7.1, 9.0]}}"))
    assert [p.number for p in found] == list(range(6))
    assert [tuple(p.values.values()) for p in found] == [
        (4, 5.0), (4, 7.1), (4, 9.0), (6, 5.0), (6, 7.1), (6, 9.0)
    ]  # fmt: skip
    for point in found:
        assert {arm.fill.cement_ml for arm in point.scenario.arms} == {point.values[CEMENT]}
        assert point.scenario.lesions[0].volume_ml == point.values[LESION]


def test_what_does_not_vary_is_that_of_the_base(tmp_path: Path) -> None:
    path = study_file(tmp_path, f"vary: {{{CEMENT}: [6.0], load.force_N: [500]}}")
    _, base = read_study(path)
    assert points(path)[0].scenario == base


@pytest.mark.parametrize(
    ("base", "vary", "place"),
    [
        ("failure_curve: true", f"vary: {{{CEMENT}: [4, 6]}}", "base.yaml: "),
        ("failure_curve: false", "vary: {failure_curve: [true]}", "study.yaml, vary: "),
    ],
)
def test_curves_to_failure_are_refused(tmp_path: Path, base: str, vary: str, place: str) -> None:
    """Protects: a sweep does not leave out in silence what its scenario asks for."""
    text = BASE.read_text().replace("../meshes", str(BASE.parents[1] / "meshes"))
    (tmp_path / "base.yaml").write_text(f"{text}{base}\n")
    with pytest.raises(InputError, match="a sweep computes no curves") as caught:
        read_study(study_file(tmp_path, vary, tmp_path / "base.yaml"))
    assert place in str(caught.value)


def test_zipped_lists_run_side_by_side(tmp_path: Path) -> None:
    text = f"""
vary:
  {CEMENT}: {{from: 2, to: 6, step: 2}}
  materials.cement_MPa: [1000, 2000]
  {LESION}: [3.0, 5.0, 7.0]
zip: [[{CEMENT}, {LESION}]]
"""
    found = points(study_file(tmp_path, text))
    assert len(found) == 6
    pairs = set(zip(values_of(found, CEMENT), values_of(found, LESION), strict=True))
    assert pairs == {(2, 3.0), (4, 5.0), (6, 7.0)}


def test_drawn_fields_cross_the_lists_that_are_named(tmp_path: Path) -> None:
    """Protects: a comparison over a list sees the same drawn patients for each of its values."""
    text = f"""
vary:
  {CEMENT}: [4.0, 6.0, 8.0]
  load.force_N: {{normal: [500, 50]}}
  lesions.0.site: [lateral mass left, lateral mass right]
cross: [{CEMENT}]
design: {{kind: lhs, samples: 10, seed: 1}}
"""
    found = points(study_file(tmp_path, text))
    assert len(found) == 30
    for i in range(0, 30, 3):
        assert [p.values[CEMENT] for p in found[i : i + 3]] == [4.0, 6.0, 8.0]
        assert (
            len({(p.values["load.force_N"], p.values["lesions.0.site"]) for p in found[i : i + 3]})
            == 1
        )
    # Not crossed: an equally likely choice, and ten strata fall on two values five times each.
    assert set(Counter(values_of(found, "lesions.0.site")).values()) == {15}


def test_crossing_one_list_of_a_group_crosses_the_group(tmp_path: Path) -> None:
    text = f"""
vary:
  load.force_N: {{uniform: [400, 600]}}
  {CEMENT}: [4.0, 6.0]
  {LESION}: [5.0, 9.0]
zip: [[{CEMENT}, {LESION}]]
cross: [{LESION}]
design: {{kind: random, samples: 3, seed: 1}}
"""
    found = points(study_file(tmp_path, text))
    pairs = list(zip(values_of(found, CEMENT), values_of(found, LESION), strict=True))
    assert pairs == [(4.0, 5.0), (6.0, 9.0)] * 3
    assert len(set(values_of(found, "load.force_N"))) == 3


def test_dependent_fields_follow_varied_ones_and_the_base(tmp_path: Path) -> None:
    text = f"""
vary:
  {LESION}: [5.0, 10.0]
  {CEMENT}: {{equals: "min(lesions.0.volume_ml * 0.7, 6) + load.force_N / 1000"}}
  materials.tumour_MPa: {{equals: "{CEMENT} * 2"}}
"""
    found = points(study_file(tmp_path, text))
    assert values_of(found, CEMENT) == [4.0, 6.5]
    assert values_of(found, "materials.tumour_MPa") == [8.0, 13.0]
    assert found[1].scenario.arms[1].fill.cement_ml == 6.5
    assert found[1].scenario.materials.tumour_MPa == 13.0


def test_computed_values_are_those_that_a_person_would_write(tmp_path: Path) -> None:
    """Protects: 0.1 * 3 is the case of 0.3 that is in the store already."""
    text = "vary: {order: [1], materials.cortex_mm: {equals: 0.1 * 3}}"
    assert values_of(points(study_file(tmp_path, text)), "materials.cortex_mm") == [0.3]


def test_nested_values_and_what_varies_inside_them(tmp_path: Path) -> None:
    """Protects: a whole lesion is put first, its volume after, and the file's value stays."""
    text = """
vary:
  lesions.0.volume_ml: [4.0, 5.0]
  lesions.0:
    - {site: vertebral body, volume_ml: 1.0}
    - {site: lateral mass left, volume_ml: 1.0, kind: blastic}
"""
    found = points(study_file(tmp_path, text))
    lesions = [p.scenario.lesions[0] for p in found]
    assert [(one.site, one.volume_ml) for one in lesions] == [
        ("vertebral body", 4.0),
        ("lateral mass left", 4.0),
        ("vertebral body", 5.0),
        ("lateral mass left", 5.0),
    ]
    assert found[0].values["lesions.0"] == {"site": "vertebral body", "volume_ml": 1.0}


def test_lists_of_lesions_of_different_length(tmp_path: Path) -> None:
    text = """
vary:
  lesions:
    - [{site: vertebral body, volume_ml: 1.0}]
    - [{site: vertebral body, volume_ml: 1.0}, {site: lateral mass left, volume_ml: 1.0}]
  lesions.*.kind: [lytic, blastic]
"""
    found = points(study_file(tmp_path, text))
    assert [len(p.scenario.lesions) for p in found] == [1, 1, 2, 2]
    assert [p.scenario.lesions[-1].kind for p in found] == ["lytic", "blastic"] * 2


def test_several_meshes_are_several_patients(tmp_path: Path) -> None:
    """Protects: names of files in a study are relative to the study, as the base is."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("phantom: {}\n")
    found = points(study_file(tmp_path, "vary: {mesh: [a.yaml, b.yaml], order: [1, 2]}"))
    assert [(p.scenario.mesh, p.scenario.order) for p in found] == [
        (tmp_path / name, order) for name in ("a.yaml", "b.yaml") for order in (1, 2)
    ]
    assert found[0].values["mesh"] == "a.yaml"


def test_points_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        f"{LESION},lesions.0.site,load.moment_Nm\n"
        "4,vertebral body,null\n1e1, lateral mass left,-2.5\n"
    )
    text = f"""
vary:
  {CEMENT}: [3.0, 4.0]
  materials.tumour_MPa: {{equals: "{LESION} * 2"}}
cross: [{CEMENT}]
design: {{kind: csv, file: p.csv}}
"""
    found = points(study_file(tmp_path, text))
    assert [tuple(p.values.values()) for p in found] == [
        (4, "vertebral body", None, 3.0, 8),
        (4, "vertebral body", None, 4.0, 8),
        (10.0, "lateral mass left", -2.5, 3.0, 20.0),
        (10.0, "lateral mass left", -2.5, 4.0, 20.0),
    ]
    assert found[0].scenario.load.moment_Nm is None
    assert found[3].scenario.lesions[0].site == "lateral mass left"


def test_saltelli_points_are_in_blocks(tmp_path: Path) -> None:
    """Protects: the analysis reads A, B and A with one column of B by the number of a point."""
    text = f"""
vary:
  {LESION}: {{uniform: [2, 10]}}
  load.force_N: {{normal: [500, 50]}}
  {CEMENT}: [3.0, 4.0, 5.0, 6.0]
  materials.cement_MPa: [1000, 1500, 2000, 2500]
zip: [[{CEMENT}, materials.cement_MPa]]
design: {{kind: saltelli, samples: 8, seed: 3}}
"""
    path = study_file(tmp_path, text)
    study, _ = read_study(path)
    n, names = saltelli_blocks(study)
    assert (n, names) == (8, (LESION, "load.force_N", CEMENT))
    found = points(path)
    blocks = [found[i : i + n] for i in range(0, len(found), n)]
    assert len(blocks) == 2 + len(names)
    for i, name in enumerate(names):
        for other in names:
            origin = blocks[1] if other == name else blocks[0]
            assert values_of(blocks[2 + i], other) == values_of(origin, other)
    assert values_of(blocks[0], LESION) != values_of(blocks[1], LESION)


def test_a_study_that_is_no_saltelli_design_has_no_blocks(tmp_path: Path) -> None:
    study, _ = read_study(study_file(tmp_path, f"vary: {{{LESION}: [1.0]}}"))
    with pytest.raises(InputError, match="kind: saltelli"):
        saltelli_blocks(study)


def test_more_values_and_more_samples_keep_the_old_points(tmp_path: Path) -> None:
    """Protects: a study that grows computes only what is new; Sobol and random samples extend."""

    def scenarios(text: str) -> list[Scenario]:
        return [p.scenario for p in points(study_file(tmp_path, text))]

    few, more = (
        scenarios(f"vary: {{{LESION}: {values}, {CEMENT}: [4.0, 6.0]}}")
        for values in ("[5.0, 9.0]", "[5.0, 7.0, 9.0]")
    )
    assert all(one in more for one in few)
    for kind in ("sobol", "random", "saltelli"):
        few, more = (
            scenarios(
                f"vary: {{{LESION}: {{uniform: [2, 9]}}, order: [1, 2]}}\n"
                f"design: {{kind: {kind}, samples: {n}, seed: 5}}"
            )
            for n in (16, 32)
        )
        assert all(one in more for one in few)
        if kind != "saltelli":
            assert more[:16] == few


def test_the_same_file_gives_the_same_points_and_another_seed_others(tmp_path: Path) -> None:
    for kind in ("lhs", "sobol", "random", "saltelli"):
        text = (
            f"vary: {{{LESION}: {{uniform: [2, 9]}}}}\ndesign: {{kind: {kind}, samples: 8, seed: "
        )
        first, again, other = (
            values_of(points(study_file(tmp_path, f"{text}{seed}}}")), LESION) for seed in (1, 1, 2)
        )
        assert first == again
        assert not set(first) & set(other)


def test_a_study_written_out_is_the_same_study(tmp_path: Path) -> None:
    text = f"""
title: All kinds
vary:
  {LESION}: {{uniform: [2, 10]}}
  load.force_N: {{normal: [500, 50]}}
  materials.cement_MPa: {{truncated_normal: [2000, 500, 1000, 3000]}}
  materials.fracture_MPa: {{lognormal: [10, 1.5]}}
  lesions.0.kind: {{choice: [lytic, mixed], weights: [2, 1]}}
  materials.cortex_mm: {{from: 0.1, to: 0.3, step: 0.1}}
  materials.composite_exponent: {{from: 1, to: 4, count: 3, spacing: log}}
  {CEMENT}: {{equals: "{LESION} * 0.7"}}
  order: [1, 2]
zip: [[materials.cortex_mm, materials.composite_exponent]]
cross: [order]
design: {{kind: sobol, samples: 4, seed: 1}}
"""
    path = study_file(tmp_path, text)
    study, _ = read_study(path)
    written = study.model_dump(mode="json", exclude_none=True)
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(written, sort_keys=False))
    assert read_study(again)[0] == study
    assert values_of(points(again), CEMENT) == values_of(points(path), CEMENT)
    assert as_written(study.vary["order"]) == [1, 2]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "scenarios" / "sweeps").glob("*.yaml")), ids=lambda p: p.stem
)
def test_shipped_studies_have_points(path: Path) -> None:
    assert points(path)


WRONG = [
    (f"vary: {{{CEMENT}: []}}", ("line 2", CEMENT, "at least one value")),
    ("vary: {arms.*.fill.cement: [4]}", ("line 2", "'cement' is no field", "mean 'cement_ml'")),
    ("vary: {arms.7.name: [a]}", ("number below 2", "'7'")),
    ("vary: {lesion.0.volume_ml: [4]}", ("'lesion' is no field", "mean 'lesions'")),
    ("vary: {lesions.0.fracture.gap_mm: [1]}", ("gap_mm", "null", "as a whole")),
    (f"vary:\n  order: [1]\n  {CEMENT}: [4, -1]", ("line 4", CEMENT, "-1", "point 1")),
    ("vary: {lesions.0.site: [lateral mas left]}", ("mean 'lateral mass left'", "point 0")),
    ("vary: {arms.*.name: [same]}", ("two arms are named 'same'", "arms.*.name")),
    ("vary: {arms.*.order: [1], arms.0.order: [2]}", ("leads to the same field",)),
    (f"vary: {{{LESION}: 4}}", ("line 2", LESION, "a list", "uniform", "found 4")),
    (f"vary: {{{LESION}: {{unifrom: [1, 2]}}}}", ("exactly one of", "mean 'uniform'")),
    (f"vary: {{{LESION}: {{uniform: [2, 1]}}}}", ("must increase", "2 and 1")),
    (f"vary: {{{LESION}: {{normal: [2, 0]}}}}", ("normal.1", "greater than 0")),
    (
        f"vary: {{{LESION}: {{uniform: [1, 2], seed: 1}}}}",
        ("unknown word 'seed'", "allowed: uniform"),
    ),
    (f"vary: {{{LESION}: {{from: 1, to: 4, step: 2}}}}", ("meet 3, not 'to', 4",)),
    (f"vary: {{{LESION}: {{from: 1, to: 4}}}}", ("'step' or 'count'",)),
    (f"vary: {{{LESION}: {{choice: [1, 2], weights: [1]}}}}", ("one weight for each of the 2",)),
    (f"vary: {{{LESION}: {{uniform: [1, 2]}}}}", ("a grid crosses lists", LESION, "lhs")),
    (f"vary: {{{LESION}: [1]}}\ndesign: {{kind: lhs, samples: 4}}", ("line 3", "needs 'seed'")),
    (f"vary: {{{LESION}: [1]}}\ndesign: {{kind: gird}}", ("line 3", "found 'gird'", "mean 'grid'")),
    (f"vary: {{{LESION}: [1]}}\ndesign: {{sample: 1}}", ("line 3", "unknown word", "'samples'")),
    (f"vary: {{{LESION}: [1]}}\ndesign: {{seed: 4}}", ("'seed' does not belong", "'grid'")),
    (f"vary: {{{LESION}: [1]}}\ndesign: {{kind: sobol, samples: 100, seed: 1}}", ("64 or 128",)),
    (
        f"vary: {{{LESION}: [1], order: [1, 2]}}\nzip: [[{LESION}, order]]",
        ("line 3", "same length"),
    ),
    (f"vary: {{{LESION}: [1]}}\nzip: [[{LESION}, order]]", ("line 3", "found 'order'", LESION)),
    (f"vary: {{{LESION}: [1]}}\ncross: [order]", ("line 3", "found 'order'")),
    (f"vary: {{{LESION}: [1]}}\ncross: [{LESION}]", ("already crosses",)),
    ("vary:\n  order: [1]\n  order: [2]", ("line 4", "in line 3 already")),
    ("design: {kind: grid}", ("vary: at least one field",)),
    (f"vary: {{{CEMENT}: {{equals: {LESION}}}}}", ("vary: at least one field",)),
    (
        f"vary: {{{LESION}: [1]}}\ncross: [{LESION}]\ndesign: {{kind: lhs, samples: 2, seed: 1}}",
        ("at least one field",),
    ),
    (
        f"vary: {{{LESION}: [1], order: [1]}}\ncross: [order]\n"
        "design: {kind: saltelli, samples: 2, seed: 1}",
        ("one block",),
    ),
    ("design: {kind: csv, file: none.csv}", ("none.csv: no such file",)),
    ("vary: {mesh: [none.yaml]}", ("line 2", "vary.mesh", "no such file", "none.yaml")),
    (
        f"vary: {{order: [1], {LESION}: {{equals: load.force_M}}}}",
        ("line 2", "'force_M'", "mean 'force_N'"),
    ),
    (f"vary: {{order: [1], {LESION}: {{equals: load.case}}}}", ("must be a number", "'standing'")),
    (f"vary: {{{LESION}: {{equals: {LESION} + 1}}, order: [1]}}", ("varies as",)),
    (
        f"vary: {{load.force_N: [1, 2], {LESION}: {{equals: 1 / (load.force_N - 2)}}}}",
        ("point 1", "zero"),
    ),
    (
        f"vary: {{{CEMENT}: [4], {LESION}: {{equals: arms.0.fill.cement_ml}}}}",
        (f"varies as '{CEMENT}'",),
    ),
    (
        f"vary:\n  {LESION}: {{from: 1, to: 2, count: 2000}}\n"
        "  load.force_N: {from: 1, to: 2, count: 2000}",
        ("4,000,000",),
    ),
]


@pytest.mark.parametrize(("text", "words"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_a_wrong_study_is_explained(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = study_file(tmp_path, text)
    with pytest.raises(InputError) as caught:
        points(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (f"{LESION},{LESION}\n1,2\n", ("line 1", "stands there twice")),
        (f"{LESION},order\n1\n", ("line 2", "2 values are needed, found 1")),
        (f"{LESION},order\n1,2\n1,\n", ("line 3", "order", "empty cell")),
        (f"{LESION}\nnan\n", ("line 2", "finite")),
        (f"{LESION}\n1e999\n", ("line 2", "finite")),
        ("lesions.0.site\n{[\n", ("line 2", "not readable as a YAML value")),
        (f"{LESION}\n4\n\n-4\n", ("p.csv, line 4", LESION, "found -4", "point 1")),
        (f"{LESION}\n", ("one point at least",)),
        (f"{CEMENT}\n1\n", ("line 1", "leads to the same field")),
        ("lesions.0.size\n1\n", ("p.csv, line 2", "'size' is no field")),
    ],
)
def test_a_wrong_table_is_explained(tmp_path: Path, table: str, words: tuple[str, ...]) -> None:
    (tmp_path / "p.csv").write_text(table)
    text = f"vary: {{{CEMENT}: [1.0]}}\ncross: [{CEMENT}]\ndesign: {{kind: csv, file: p.csv}}"
    with pytest.raises(InputError) as caught:
        points(study_file(tmp_path, text))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_points_have_in_common_is_validated_and_kept_once(tmp_path: Path) -> None:
    """Protects: 100,000 points in seconds and in memory; docs/studies.md has the times."""
    text = f"""
vary:
  {LESION}: {{uniform: [2, 9]}}
  load.force_N: {{normal: [500, 20]}}
  materials.cement_MPa: [1000, 2000, 3000]
design: {{kind: lhs, samples: 500, seed: 1}}
"""
    path = study_file(tmp_path, text)
    found = points_of(*read_study(path), path)
    assert len(found) == 500
    assert len({id(p.scenario.arms[0]) for p in found}) == 1
    assert len({id(p.scenario.materials) for p in found}) == 3


def test_the_study_is_as_the_file_says(tmp_path: Path) -> None:
    study, base = read_study(study_file(tmp_path, f"title: T\nvary: {{{LESION}: [1, 2]}}"))
    assert study == Study(base=BASE, title="T", vary={LESION: (1, 2)})
    assert base.mesh.is_absolute()
    assert np.isclose(base.lesions[0].volume_ml or 0.0, 7.1)
