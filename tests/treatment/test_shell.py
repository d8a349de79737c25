"""The shell: what a cavity displaces is conserved, spread evenly and never beyond solid."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.samples import sample_points
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.medium import SOLID_G_PER_CM3, TUMOUR_FRACTION
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import LesionPlan
from sacrofem.treatment.region import BoneSamples
from sacrofem.treatment.shell import (
    SHELL_MM,
    WIDEST_SHELL_MM,
    Tissue,
    compact,
    on_grid,
    tissue_at_samples,
)
from sacrofem.treatment.sites import place_lesions


@pytest.fixture(scope="module")
def field(phantom_bone: MeshedBone) -> OperatingField:
    """The phantom in parts of about 1 mm3, eight a cell: a fill takes a third of the time."""
    mesh = phantom_bone.mesh
    points = sample_points(mesh.points_mm, mesh.tets, 1)
    parts = points.shape[1]
    cells = np.repeat(np.arange(len(mesh.tets)), parts)
    volume = np.repeat(mesh.cell_ml / parts, parts)
    samples = BoneSamples(points.reshape(-1, 3), cells, volume, len(mesh.tets))
    return OperatingField(mesh, phantom_bone.tissue, phantom_bone.atlas, samples)


def lesion_of(field: OperatingField, **plan: object) -> Lesion:
    return place_lesions(field, [LesionPlan(site="lateral mass right", **plan)])[0]


def ball(field: OperatingField, volume_ml: float) -> NDArray[np.bool_]:
    """A ball around the right lateral mass that is well inside the bone."""
    centre = field.mesh.lateral_mass_mm["right"]
    radius = np.cbrt(3000.0 * volume_ml / (4.0 * np.pi))
    return np.linalg.norm(field.samples.points_mm - centre, axis=1) <= radius


def uniform(field: OperatingField, g_per_cm3: float) -> Tissue:
    size = len(field.samples.cell)
    return Tissue(np.full(size, g_per_cm3), np.zeros(size))


@pytest.mark.parametrize("seed", range(6))
def test_bone_mass_is_conserved_and_nothing_gets_denser_than_solid(
    field: OperatingField, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    size = len(field.samples.cell)
    # Bone as patchy as can be: marrow beside bone that is solid already.
    tissue = Tissue(
        rng.choice([0.0, 0.1, 0.3, 1.0, 1.3], size, p=[0.2, 0.4, 0.3, 0.05, 0.05]), np.zeros(size)
    )
    cavity = ball(field, float(rng.uniform(0.5, 8.0)))
    shell = compact(field, tissue, cavity, field.samples.none)
    displaced_g = field.samples.integral(cavity, tissue.bone_g_per_cm3)
    assert shell.displaced_g == displaced_g > 0.05
    added_g = float(shell.bone_g_per_cm3 @ field.samples.part_ml)
    assert added_g == pytest.approx(displaced_g, rel=1e-12)
    in_cells = field.samples.per_cell(shell.bone_g_per_cm3)
    assert float(in_cells @ field.mesh.cell_ml) == pytest.approx(displaced_g, rel=1e-12)
    took = shell.bone_g_per_cm3 > 0.0
    after = (tissue.bone_g_per_cm3 + shell.bone_g_per_cm3)[took]
    assert after.max() <= SOLID_G_PER_CM3 * (1.0 + 1e-12)
    assert not (took & (cavity | ~shell.parts)).any()


def test_uniform_bone_takes_the_mass_evenly_within_the_shells_thickness(
    field: OperatingField,
) -> None:
    cavity = ball(field, 3.0)
    shell = compact(field, uniform(field, 0.2), cavity, field.samples.none)
    assert shell.thickness_mm == SHELL_MM
    added = shell.bone_g_per_cm3[shell.parts]
    np.testing.assert_allclose(added, added[0])
    shell_ml = field.samples.volume_ml(shell.parts)
    assert added[0] == pytest.approx(0.2 * field.samples.volume_ml(cavity) / shell_ml)
    # A ball of 3 ml has a radius of 8.95 mm; parts are less than 1 mm wide.
    assert shell_ml == pytest.approx(4e-3 / 3 * np.pi * (10.95**3 - 8.95**3), rel=0.2)


def test_dense_bone_widens_the_shell_and_too_dense_bone_is_refused(field: OperatingField) -> None:
    cavity = ball(field, 6.0)
    thickness = [
        compact(field, uniform(field, density), cavity, field.samples.none).thickness_mm
        for density in (0.2, 0.5, 0.6, 0.7)
    ]
    assert thickness == sorted(thickness)
    assert thickness[0] == SHELL_MM < thickness[-1] <= WIDEST_SHELL_MM
    with pytest.raises(InputError, match=r"cannot open 6.0 ml .* 5.4\d g .*too dense.*smaller"):
        compact(field, uniform(field, 0.9), cavity, field.samples.none)


def test_soft_tumour_has_no_bone_mass_but_closes_pores(field: OperatingField) -> None:
    lesion = lesion_of(field, volume_ml=9.0)
    tissue = tissue_at_samples(field, [lesion])
    cavity = np.zeros_like(lesion.inside)
    distance = np.linalg.norm(field.samples.points_mm - lesion.centre_mm, axis=1)
    cavity[lesion.inside & (distance < 8.0)] = True
    shell = compact(field, tissue, cavity, field.samples.none)
    assert shell.displaced_g == 0.0
    assert not shell.bone_g_per_cm3.any()
    tumour_ml = TUMOUR_FRACTION * field.samples.volume_ml(cavity)
    assert float(shell.tumour @ field.samples.part_ml) == pytest.approx(tumour_ml, rel=1e-12)
    rim = shell.parts & lesion.inside
    assert (shell.tumour[rim] > 0.0).all()
    np.testing.assert_allclose(shell.closing_g_per_cm3, SOLID_G_PER_CM3 * shell.tumour)


def test_bone_of_a_blastic_lesion_is_displaced_with_its_own_density(field: OperatingField) -> None:
    lesion = lesion_of(field, volume_ml=5.0, kind="blastic")
    cavity = ball(field, 2.0) & lesion.inside
    tissue = tissue_at_samples(field, [lesion])
    healthy = tissue_at_samples(field, [])
    shell = compact(field, tissue, cavity, field.samples.none)
    assert shell.displaced_g > 1.5 * field.samples.integral(cavity, healthy.bone_g_per_cm3)
    assert not shell.tumour.any()


def test_hardened_cement_takes_nothing_in(field: OperatingField) -> None:
    cavity = ball(field, 3.0)
    taken = ~cavity & (field.local_mm[:, 0] > field.local_mm[cavity, 0].mean())
    shell = compact(field, uniform(field, 0.2), cavity, taken)
    assert not (shell.parts & taken).any()
    assert float(shell.bone_g_per_cm3 @ field.samples.part_ml) == pytest.approx(
        shell.displaced_g, rel=1e-12
    )


def test_fat_has_no_mass(field: OperatingField) -> None:
    fatty = replace(
        field, mesh=replace(field.mesh, density=RhoQctK2HPO4(np.full(len(field.mesh.tets), -0.1)))
    )
    assert (
        compact(
            fatty, tissue_at_samples(fatty, []), ball(field, 3.0), field.samples.none
        ).displaced_g
        == 0.0
    )


def test_values_on_the_grid_are_those_of_the_samples_in_each_voxel(field: OperatingField) -> None:
    inside = ball(field, 4.0)
    np.testing.assert_allclose(on_grid(field, 3.0 * np.ones(len(inside)))[field.voxel][inside], 3.0)
    grid = on_grid(field, inside.astype(float))
    assert grid.sum() * field.tissue.voxel_ml == pytest.approx(4.0, rel=0.03)
    assert not on_grid(field, np.zeros(len(inside))).any()
