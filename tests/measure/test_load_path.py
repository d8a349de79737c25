"""Load path and tissues: sections of a sacrum, shares of mixed cells, energy by tissue."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.measure.sections import SECTIONS, load_path, plane_section, sacral_sections
from sacrofem.measure.tissues import TISSUES, energy_by_tissue, tissue_shares
from sacrofem.mechanics.elasticity import make_model
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import (
    FRACTURE_MPA,
    TUMOUR_MPA,
    MaterialParameters,
    ModulusField,
    cement_modulus_MPa,
    intact_modulus,
)
from sacrofem.mechanics.state import solve_state
from sacrofem.mechanics.supports import support_of
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.region import BoneSamples, samples_of

PARAMETERS = MaterialParameters()
BONE_MPA = 300.0


def sacral(mesh: BoneMesh) -> BoneMesh:
    """The box with levels and zones like those of a sacrum."""
    x, z = np.abs(mesh.centroids_mm[:, 0]), mesh.centroids_mm[:, 2]
    zone = np.select([x > 15.0, x > 7.5], [1, 2], 3).astype(np.int8)
    level = np.select([z > -20.0, z > -30.0], [1, 2], 3).astype(np.int8)
    return replace(mesh, zone=zone, level=level)


def test_shares_of_a_symmetric_sacrum(box: Callable[..., BoneMesh]) -> None:
    """Protects: each section's name, side and sign, and the sum of its carriers."""
    mesh = sacral(box(8))
    model = make_model(mesh, SacralLoad(500.0, 0.0), support_of(mesh), PARAMETERS, 1, MPI.COMM_SELF)
    plane = plane_section(mesh, "middle", np.zeros(3), np.array([1.0, 0.0, 0.0]))
    solved = solve_state(model, intact_modulus(mesh), (*sacral_sections(mesh), plane))
    path = load_path(solved, model.force_N, np.ones(len(mesh.tets)))
    assert tuple(path) == (*SECTIONS, "middle")
    for side in ("left", "right"):
        # Half the load ends on each joint; the endplate of the wing bears a quarter of its own.
        assert path[f"I|II {side}"].share == pytest.approx(0.25, abs=2e-3)
        assert path[f"II|III {side}"].share == pytest.approx(0.125, abs=2e-3)
    assert path["middle"].share == pytest.approx(0.0, abs=2e-3)
    assert 0.1 < path["S2|S3"].share < path["S1|S2"].share < 0.6
    assert max(load.error for load in path.values()) < 1e-8
    # All cells are cement here. What is left are the joints' springs at the section's own nodes:
    # half of the first layer of 5 mm, of joints 40 mm high.
    assert path["S2|S3"].bone_share == pytest.approx(0.5 * 5.0 / 40.0, abs=2e-3)


def test_sections_that_a_bone_does_not_have_are_left_out(box: Callable[..., BoneMesh]) -> None:
    """Protects: a mesh of S1 alone has no S2|S3, and no error either."""
    assert sacral_sections(box(2)) == ()


def fields(mesh: BoneMesh, young_MPa: Any) -> ModulusField:
    m = len(mesh.tets)
    return ModulusField(np.full(m, young_MPa), np.full(m, 0.3), np.ones(m))


def lesion(samples: BoneSamples, inside: np.ndarray, fracture: Any = None) -> Any:
    return SimpleNamespace(samples=samples, inside=inside, lytic=inside, fracture=fracture)


def fill(samples: BoneSamples, pure: np.ndarray) -> Any:
    none = samples.none
    return SimpleNamespace(samples=samples, pure=pure, interdigitated=none, hollow=none)


def test_tissues_of_a_cell_share_by_modulus_and_volume(box: Callable[..., BoneMesh]) -> None:
    """Protects: the stated rule; cement over lesion over bone, each part of a cell once."""
    mesh = box(2)
    samples = samples_of(mesh)
    place = np.arange(len(samples.cell)) % np.bincount(samples.cell)[0]
    parts = place.max() + 1
    sick, cement = place < parts // 2, place < parts // 4
    found = tissue_shares(
        fields(mesh, BONE_MPA),
        fields(mesh, BONE_MPA),
        [lesion(samples, sick)],
        [fill(samples, cement)],
        PARAMETERS,
    )
    c, les, b = 0.25 * cement_modulus_MPa(False, PARAMETERS), 0.25 * TUMOUR_MPA, 0.5 * BONE_MPA
    np.testing.assert_allclose(found.cement, c / (c + les + b), rtol=1e-12)
    np.testing.assert_allclose(found.lesion, les / (c + les + b), rtol=1e-12)
    np.testing.assert_allclose(found.bone_volume, 0.5, rtol=1e-12)
    np.testing.assert_array_equal(found.gap, 0.0)


def test_energy_of_a_gap_is_that_of_springs_in_series(box: Callable[..., BoneMesh]) -> None:
    """Protects: ``(g / E_gap) E`` of Reuss' cell, and that the parts sum to the whole."""
    mesh = box(2)
    samples, g = samples_of(mesh), 0.01
    broken = SimpleNamespace(open_share=lambda closed: np.full(len(mesh.tets), g))
    cell_MPa = 1.0 / ((1.0 - g) / BONE_MPA + g / FRACTURE_MPA)
    found = tissue_shares(
        fields(mesh, BONE_MPA),
        fields(mesh, cell_MPa),
        [lesion(samples, samples.none, broken)],
        [],
        PARAMETERS,
    )
    exact = (g / FRACTURE_MPA) / ((1.0 - g) / BONE_MPA + g / FRACTURE_MPA)
    np.testing.assert_allclose(found.gap, exact, rtol=1e-12)
    state: Any = SimpleNamespace(
        energy=SimpleNamespace(
            cell_mJ=mesh.cell_ml, cortex_mJ=2.0, springs_mJ=3.0, ligaments_mJ=1.0
        )
    )
    energy = energy_by_tissue(mesh, state, found)
    assert tuple(energy) == TISSUES
    assert sum(energy.values()) == pytest.approx(mesh.volume_ml + 6.0)
    assert energy["gap"] == pytest.approx(exact * mesh.volume_ml)
    assert energy["bone"] == pytest.approx((1.0 - exact) * mesh.volume_ml)


def test_the_intact_bone_is_all_bone(box: Callable[..., BoneMesh]) -> None:
    """Protects: cells that no treatment can reach count as bone."""
    mesh = box(2)
    found = tissue_shares(fields(mesh, BONE_MPA), fields(mesh, BONE_MPA), (), (), PARAMETERS)
    np.testing.assert_array_equal(found.bone_volume, 1.0)
    for part in (found.cement, found.lesion, found.gap):
        assert not part.any()
