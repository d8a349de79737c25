"""A summary, a scenario and a box of bone that need no solver."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.image.calibration import FALLBACK_LINE
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mesh.bone_mesh import BoneMesh, Part, boundary_facets
from sacrofem.mesh.compartments import Compartment
from sacrofem.mesh.tissue_grid import BONE, TissueGrid
from sacrofem.report.view import ArmView, BoneView
from sacrofem.study.scenario import Scenario
from sacrofem.treatment.access_path import AccessPath
from sacrofem.treatment.region import region_of_volume, samples_of

#: Corners of the box of bone, frame coordinates, in mm: wider to the back than to the front.
LOW, HIGH = np.array([-50.0, -20.0, -60.0]), np.array([50.0, 30.0, 0.0])
EDGE_MM = 5.0


def _state(stiffness: float, left: float, mean: float, p95: float) -> dict[str, float]:
    return {
        "stiffness_N_per_mm": stiffness,
        "load_share_left": left,
        "load_share_right": 1.0 - left,
        "rim_von_mises_mean_MPa": mean,
        "rim_von_mises_p95_MPa": p95,
        "equilibrium_error": 1e-12,
        "iterations": 30,
        "residual": 7e-11,
    }


def _arm(mean: float, leak_ml: float) -> dict[str, Any]:
    return {
        "key": "0123456789abcdef0123456789abcdef",
        "lesion_ml": 7.1,
        "injected_ml": 6.0 + leak_ml,
        "cement_ml": 6.0,
        "augmented_ml": 6.6,
        "leak_ml": leak_ml,
        "leaks": {"presacral": leak_ml} if leak_ml else {},
        "unplaced_ml": 0.0,
        "nerve_distance_mm": 6.4,
        "intact": _state(2000.0, 0.5, 0.20, 0.50),
        "lesion": _state(1900.0, 0.52, 0.25, 0.60),
        "treated": _state(1995.0, 0.5049, mean, 0.45),
        "relief": {"rim": {"von_mises_mean": 1.0 - mean / 0.25, "von_mises_p95": 0.25}},
        "procedures": [
            {
                "lesions": [1],
                "path": {
                    "approach": "short axis",
                    "cannula": "13 G",
                    "length_in_bone_mm": 19.0,
                    "axial_angle_deg": 0.0,
                    "sagittal_angle_deg": -15.0,
                    "least_clearance_mm": 7.8,
                    "crosses": [],
                    "allowed_by_rule": True,
                },
                "fill": {
                    "cement_ml": 6.0,
                    "injected_ml": 6.0 + leak_ml,
                    "leaks": {"presacral": leak_ml} if leak_ml else {},
                    "stopped_by": "",
                },
            }
        ],
    }


@pytest.fixture
def scenario() -> Scenario:
    """A scenario of two arms with a lesion on the right."""
    return Scenario.model_validate(
        {
            "title": "A lesion",
            "mesh": "recipe.yaml",
            "lesions": [{"site": "lateral mass right", "volume_ml": 7.1}],
            "arms": [
                {"name": name, "fill": {"technique": name, "cement_ml": 6.0}}
                for name in ("balloon", "vertebroplasty")
            ],
        }
    )


@pytest.fixture
def summary(scenario: Scenario) -> dict[str, Any]:
    """The values of a ``summary.json`` of that scenario."""
    return {
        "schema": 2,
        "title": scenario.title,
        "lesions": [{"name": "lateral mass right", "side": "right", "volume_ml": 7.1}],
        "mesh": {
            "model": "sacrum",
            "nodes": 19189,
            "cells": 90069,
            "dofs": 407769,
            "volume_ml": 223.76,
            "label_volume_ml": 223.58,
            "quality_min": 0.28,
            "quality_p01": 0.65,
            "clamped_density_ml": 3.4,
            "sha256": "ab" * 32,
            "from_cache": True,
        },
        "calibration": asdict(FALLBACK_LINE),
        "arms": {"balloon": _arm(0.20, 0.0), "vertebroplasty": _arm(0.21, 0.125)},
        "warnings": [],
        "seconds": {"mesh": 52.1, "solve": 26.8},
        "peak_memory_GB": 1.12,
        "ranks": 1,
        "inputs": {
            "ct": "cd" * 32,
            "labels": "ef" * 32,
            "scenario": scenario.model_dump(mode="json", exclude={"mesh"}),
        },
        "versions": {"sacrofem": "0.1.0", "python": "3.13.5"},
    }


def _box() -> tuple[np.ndarray, np.ndarray]:
    """Points and tetrahedra of a box: six to a cube, all about the cube's diagonal."""
    count = np.rint((HIGH - LOW) / EDGE_MM).astype(int)
    index = np.stack(np.meshgrid(*(np.arange(n + 1) for n in count), indexing="ij"), axis=-1)
    number = np.arange(index[..., 0].size).reshape(count + 1)
    tets = []
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        corner, walk = np.zeros(3, dtype=int), []
        for axis in (None, *order):
            if axis is not None:
                corner[axis] = 1
            i, j, k = (slice(corner[a], corner[a] + count[a]) for a in range(3))
            walk.append(number[i, j, k].ravel())
        tets.append(np.stack(walk, axis=1))
    cells = np.concatenate(tets)
    points = LOW + EDGE_MM * index.reshape(-1, 3)
    a, b, c, d = (points[cells[:, n]] for n in range(4))
    flipped = np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) < 0
    cells[flipped] = cells[flipped][:, [0, 2, 1, 3]]
    return points, cells


def make_view(side: str) -> BoneView:
    """A box of bone with a lesion on one side, one balloon and a made-up stress."""
    points, tets = _box()
    centroids = points[tets].mean(axis=1)
    frame = SacralFrame(np.zeros(3), *np.eye(3))
    mesh = BoneMesh(
        points_mm=points,
        tets=tets,
        facets=boundary_facets(tets)[0],
        facet_tag=np.zeros(len(boundary_facets(tets)[0]), dtype=np.int8),
        density=RhoQctK2HPO4(0.2 + 0.001 * centroids[:, 2]),
        part=np.full(len(tets), Part.SACRUM, dtype=np.int8),
        level=np.full(len(tets), 1, dtype=np.int8),
        zone=np.full(len(tets), 3, dtype=np.int8),
        frame=frame,
        lateral_mass_mm={s: np.array([x, 5.0, -20.0]) for s, x in (("left", 30), ("right", -30))},
        foramen_s1_mm={s: np.array([x, 5.0, -35.0]) for s, x in (("left", 20), ("right", -20))},
    )
    shape = tuple((HIGH - LOW + 17).astype(int))
    local = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) + LOW - 8.0
    bone = ((local >= LOW) & (local <= HIGH)).all(axis=-1)
    code = (BONE * bone).astype(np.uint8)
    # Soft tissue is presacral here: no picture of a solved scenario asks where it is.
    place = np.where(bone, Compartment.BONE, Compartment.PRESACRAL).astype(np.uint8)
    tissue = TissueGrid(LOW - 8.0, 1.0, code, place, RhoQctK2HPO4(np.where(bone, 0.2, 0.0)))
    samples = samples_of(mesh)
    centre = mesh.lateral_mass_mm[side]
    distance = np.linalg.norm(samples.points_mm - centre, axis=1)
    diseased = region_of_volume(samples, distance, 7.1, "lesion")
    cement = region_of_volume(samples, distance, 6.0, "cement")
    path = AccessPath(
        approach="short axis",
        cannula="13 G",
        points_mm=np.stack([np.array([centre[0], HIGH[1], centre[2]]), centre]),
        length_in_bone_mm=float(HIGH[1] - centre[1]),
        axial_angle_deg=0.0,
        sagittal_angle_deg=0.0,
        clearance_mm={},
        crosses=(),
        allowed_by_rule=True,
        notes=(),
    )
    stress = 0.5 + 0.004 * centroids[:, 2]
    young = np.where(samples.fraction(diseased) > 0.5, 0.2, 300.0)
    treated = np.where(samples.fraction(cement) > 0.5, 2000.0, young)
    arm = ArmView("balloon", (path,), cement, samples.fraction(cement), treated, 0.9 * stress)
    return BoneView(mesh, tissue, samples, diseased, centre, young, stress, (arm,))


@pytest.fixture(scope="session")
def views() -> dict[str, BoneView]:
    """The box with its lesion on the left and on the right."""
    return {side: make_view(side) for side in ("left", "right")}
