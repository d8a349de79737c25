"""Limits of a mesh: each refuses with its own cause; the report survives a file."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sacrofem.errors import MeshError
from sacrofem.mesh.fidelity import PartFidelity
from sacrofem.mesh.quality import ShapeFigures
from sacrofem.mesh.report import (
    QUALITY_AT_LEAST,
    QUALITY_P01_AT_LEAST,
    MeshReport,
    report_from_json,
    require_limits,
)

NAN = float("nan")
SHAPE = ShapeFigures(QUALITY_AT_LEAST, QUALITY_P01_AT_LEAST, 3.0, 9.0, 8.0, 160.0)
SACRUM = PartFidelity(200.0, 200.5, 0.2, 0.5, 17, 17)


def report(model: str = "sacrum", **part: float) -> MeshReport:
    """A report at the limits of quality, with voxels of 1 mm and edges of 2 mm."""
    bone = replace(SACRUM, **part)
    return MeshReport(
        model=model,
        zone_mm=2.0,
        elsewhere_mm=2.0,
        voxel_mm=1.0,
        nodes=10,
        cells=30,
        shape=SHAPE,
        parts={"sacrum": SACRUM, "ilium left": bone},
        cartilage_ml=0.0,
        foramina_open=16,
        calibration={"name": "fallback"},
        metal_ml=0.0,
        landmarks={"s1": [1.0, 2.0, 3.0]},
        warnings=("a word",),
    )


def test_a_mesh_within_all_limits_passes() -> None:
    require_limits(report())


@pytest.mark.parametrize("value", [0.099, -0.5, NAN])
def test_the_worst_cell_is_refused(value: float) -> None:
    found = replace(report(), shape=replace(SHAPE, minimum=value))
    with pytest.raises(
        MeshError, match=rf"worst cell has quality {value:.3f}, at least 0\.1 .*try"
    ):
        require_limits(found)


@pytest.mark.parametrize("value", [0.249, NAN])
def test_the_first_percentile_is_refused(value: float) -> None:
    found = replace(report(), shape=replace(SHAPE, percentile_1=value))
    with pytest.raises(MeshError, match=r"1st percentile .*at least 0\.25 .*try"):
        require_limits(found)


@pytest.mark.parametrize("mesh_ml", [197.9, 202.1, NAN])
def test_the_volume_is_refused_with_its_bone(mesh_ml: float) -> None:
    with pytest.raises(
        MeshError, match=r"ilium left holds .* ml and its label 200\.00 ml.*limit 1 %"
    ):
        require_limits(report(mesh_ml=mesh_ml))


def test_the_cartilage_may_take_room_from_the_bones() -> None:
    require_limits(report("pelvis", mesh_ml=197.0))
    with pytest.raises(MeshError, match=r"limit 2 %"):
        require_limits(report("pelvis", mesh_ml=195.9))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"surface_mean_mm": 0.26}, r"ilium left lies 0\.26 mm from its label \(mean; limit 0\.25"),
        ({"surface_mean_mm": NAN}, r"\(mean; limit"),
        ({"surface_p95_mm": 0.61}, r"lies 0\.61 mm .*\(95th percentile; limit 0\.60"),
        ({"surface_p95_mm": NAN}, r"\(95th percentile; limit"),
    ],
)
def test_the_distance_of_the_surfaces_is_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(MeshError, match=words):
        require_limits(report(**wrong))


def test_distances_are_measured_by_voxels_or_by_edges() -> None:
    """Protects: coarse voxels and coarse cells widen the limit, each by its own size."""
    off = report(surface_mean_mm=0.49, surface_p95_mm=1.19)
    require_limits(replace(off, voxel_mm=2.0))
    require_limits(replace(off, elsewhere_mm=4.0))
    with pytest.raises(MeshError, match="mean"):
        require_limits(replace(off, voxel_mm=1.9, elsewhere_mm=3.8))


def test_the_report_comes_back_from_json() -> None:
    def through(value: MeshReport) -> Any:
        return report_from_json(json.loads(json.dumps(value.as_json())))

    assert through(report()) == report()
    assert through(report("pelvis", mesh_ml=199.0)) != report()
