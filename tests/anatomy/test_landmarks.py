"""Anatomy from labels: frame, joints and sides, and that a mirrored patient is mirrored."""

from pathlib import Path

import numpy as np
import pytest

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.anatomy.surface import bone_surface
from sacrofem.errors import InputError
from sacrofem.image.files import read_labels
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.volume import CtVolume, Grid, LabelMap


def mirrored(labels: LabelMap) -> LabelMap:
    """The patient's mirror image: x turned round, left and right hip renamed."""
    values = labels.labels[::-1].copy()
    left, right = values == HIP_LEFT, values == HIP_RIGHT
    values[left], values[right] = HIP_RIGHT, HIP_LEFT
    return LabelMap(values, labels.grid)


@pytest.fixture(scope="module")
def anatomy(phantom_images: tuple[CtVolume, LabelMap]) -> Anatomy:
    return find_anatomy(phantom_images[1])


def test_frame_is_orthonormal_and_right_handed(anatomy: Anatomy) -> None:
    axes = anatomy.frame.axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)


def test_frame_points_to_the_patients_left_back_and_head(anatomy: Anatomy) -> None:
    frame = anatomy.frame
    assert frame.left[0] > 0.99
    assert frame.posterior[1] > 0.5
    assert frame.superior[2] > 0.5


def test_endplate_normal_has_the_phantoms_sacral_slope(anatomy: Anatomy) -> None:
    # Built with a slope of 40 degrees; its posterior rim stands 2.4 mm higher, which adds 5.
    slope = np.degrees(np.arctan2(-anatomy.frame.superior[1], anatomy.frame.superior[2]))
    assert slope == pytest.approx(45.0, abs=3.0)


def test_joint_areas_are_those_of_a_sacrum_and_the_same_on_both_sides(anatomy: Anatomy) -> None:
    # Auricular 9-16 cm2 (Poilliot; 12875567), endplate about 40 x 30 mm.
    left, right = (anatomy.area_mm2(t) for t in (SurfaceTag(4), SurfaceTag(5)))
    assert 900 < left < 1800
    assert left == pytest.approx(right, rel=0.02)
    assert 800 < anatomy.area_mm2(SurfaceTag.ENDPLATE_S1) < 1500
    assert anatomy.warnings == ()


def test_foramina_and_lateral_masses_lie_where_anatomy_has_them(anatomy: Anatomy) -> None:
    for side, sign in (("left", 1), ("right", -1)):
        foramen = anatomy.frame.to_local(anatomy.foramen_s1_mm[side][None])[0]
        mass = anatomy.frame.to_local(anatomy.lateral_mass_mm[side][None])[0]
        assert 15 < sign * foramen[0] < 33
        assert -45 < foramen[2] < -15
        assert sign * mass[0] > sign * foramen[0] + 5.0
        assert mass[2] > foramen[2]


def test_a_mirrored_patient_has_mirrored_landmarks(
    anatomy: Anatomy, phantom_images: tuple[CtVolume, LabelMap]
) -> None:
    other = find_anatomy(mirrored(phantom_images[1]))
    flip = np.array([-1.0, 1.0, 1.0])
    for side, opposite in (("left", "right"), ("right", "left")):
        expected = anatomy.frame.to_local(anatomy.lateral_mass_mm[side][None]) * flip
        found = other.frame.to_local(other.lateral_mass_mm[opposite][None])
        np.testing.assert_allclose(found, expected, atol=1.0)


def test_surface_keeps_the_labels_volume(phantom_images: tuple[CtVolume, LabelMap]) -> None:
    surface = bone_surface(phantom_images[1], SACRUM)
    assert surface.volume_ml == pytest.approx(surface.label_ml, rel=0.01)


def test_islands_are_dropped_and_told(phantom_images: tuple[CtVolume, LabelMap]) -> None:
    labels = phantom_images[1]
    values = labels.labels.copy()
    values[1:3, 1:3, 1:3] = SACRUM
    surface = bone_surface(LabelMap(values, labels.grid), SACRUM)
    assert surface.dropped_ml == pytest.approx(8 * labels.grid.voxel_ml)


@pytest.mark.parametrize("label", [SACRUM, HIP_LEFT, HIP_RIGHT, L5])
def test_a_missing_label_is_named(phantom_images: tuple[CtVolume, LabelMap], label: int) -> None:
    values = phantom_images[1].labels.copy()
    values[values == label] = 0
    with pytest.raises(InputError, match=rf"here.nii: label {label} \("):
        find_anatomy(LabelMap(values, phantom_images[1].grid), "here.nii")


def test_swapped_sides_are_refused(phantom_images: tuple[CtVolume, LabelMap]) -> None:
    labels = phantom_images[1]
    grid = labels.grid
    flipped = Grid(grid.shape, grid.spacing_mm, -grid.origin_mm, grid.direction * [-1, 1, 1])
    with pytest.raises(InputError, match="swapped or the image is mirrored"):
        find_anatomy(LabelMap(labels.labels, flipped))


def test_the_real_sacrum_has_its_parts(real_ct: tuple[Path, Path]) -> None:
    anatomy = find_anatomy(read_labels(real_ct[1]))
    # facts.md: sacrum 209.5 ml; the labels have no joint gap, so the recess counts as joint too.
    assert anatomy.surface.label_ml == pytest.approx(209.5, abs=0.5)
    assert anatomy.area_mm2(SurfaceTag.AURICULAR_LEFT) == pytest.approx(
        anatomy.area_mm2(SurfaceTag.AURICULAR_RIGHT), rel=0.1
    )
    assert 1000 < anatomy.area_mm2(SurfaceTag.ENDPLATE_S1) < 2000
    assert anatomy.warnings == ()
