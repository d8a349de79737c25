"""Anatomy from labels: frame, joints and sides, and that a mirrored patient is mirrored."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sacrofem.anatomy.foramina import FACES, LEVELS
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.anatomy.surface import bone_surface
from sacrofem.errors import InputError
from sacrofem.image.files import read_labels
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.phantom import PhantomTruth
from sacrofem.image.volume import CtVolume, Grid, LabelMap


def mirrored(labels: LabelMap) -> LabelMap:
    """The patient's mirror image: x turned round, left and right hip renamed."""
    values = labels.labels[::-1].copy()
    left, right = values == HIP_LEFT, values == HIP_RIGHT
    values[left], values[right] = HIP_RIGHT, HIP_LEFT
    return LabelMap(values, labels.grid)


def test_frame_is_orthonormal_and_right_handed(anatomy: Anatomy) -> None:
    axes = anatomy.frame.axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)


def test_frame_points_to_the_patients_left_back_and_head(anatomy: Anatomy) -> None:
    frame = anatomy.frame
    assert frame.left[0] > 0.99
    assert frame.posterior[1] > 0.5
    assert frame.superior[2] > 0.5


def test_the_sacral_slope_is_the_phantoms(anatomy: Anatomy) -> None:
    # Built with a slope of 40 degrees; its posterior rim stands 2.4 mm higher, which adds 5.
    assert anatomy.sacral_slope_deg == pytest.approx(45.0, abs=3.0)


def test_promontory_and_endplate_are_the_phantoms(known: PhantomTruth, anatomy: Anatomy) -> None:
    # The body's corner is rounded by 3 mm, so the bone ends before the corner.
    assert np.linalg.norm(anatomy.promontory_mm - known.promontory_mm) < 3.0
    width, depth = anatomy.endplate_size_mm
    # 49 x 30 mm with a rounded rim that does not count fully.
    assert width == pytest.approx(47.5, abs=3.0)
    assert depth == pytest.approx(28.0, abs=3.0)


def test_joint_areas_are_those_of_a_sacrum_and_the_same_on_both_sides(anatomy: Anatomy) -> None:
    # Auricular 9-16 cm2 (Poilliot; 12875567), endplate about 40 x 30 mm.
    left, right = (anatomy.area_mm2(t) for t in (SurfaceTag(4), SurfaceTag(5)))
    assert 900 < left < 1800
    assert left == pytest.approx(right, rel=0.02)
    assert 800 < anatomy.area_mm2(SurfaceTag.ENDPLATE_S1) < 1500
    assert anatomy.warnings == ()


def test_joint_centres_are_the_phantoms(known: PhantomTruth, anatomy: Anatomy) -> None:
    for side in ("left", "right"):
        centre = anatomy.joint_centre_mm(SurfaceTag[f"AURICULAR_{side.upper()}"])
        # The ear is drawn with edges that the sacrum's rounding takes off, above most of all.
        assert np.linalg.norm(centre - known.si_joint_mm[side]) < 10.0


def test_lateral_masses_lie_lateral_to_and_above_the_s1_foramina(anatomy: Anatomy) -> None:
    for side, sign in (("left", 1), ("right", -1)):
        foramen = anatomy.frame.to_local(anatomy.foramen_s1_mm[side][None])[0]
        mass = anatomy.frame.to_local(anatomy.lateral_mass_mm[side][None])[0]
        assert sign * mass[0] > sign * foramen[0] + 5.0
        assert mass[2] > foramen[2]


def test_a_mirrored_patient_has_mirrored_landmarks(
    anatomy: Anatomy, phantom_images: tuple[CtVolume, LabelMap]
) -> None:
    other = find_anatomy(mirrored(phantom_images[1]))
    flip = np.array([-1.0, 1.0, 1.0])
    for side, opposite in (("left", "right"), ("right", "left")):
        pairs = [(anatomy.lateral_mass_mm[side], other.lateral_mass_mm[opposite])]
        pairs += [
            (anatomy.foramen(n, side, f).centre_mm, other.foramen(n, opposite, f).centre_mm)
            for n in LEVELS
            for f in FACES
        ]
        for here, there in pairs:
            expected = anatomy.frame.to_local(here[None]) * flip
            np.testing.assert_allclose(other.frame.to_local(there[None]), expected, atol=1.0)


def test_surface_keeps_the_labels_volume(phantom_images: tuple[CtVolume, LabelMap]) -> None:
    surface = bone_surface(phantom_images[1], SACRUM)
    assert surface.volume_ml == pytest.approx(surface.label_ml, rel=0.01)


def test_without_l5_the_flat_upper_end_is_the_endplate(
    coarse: LabelMap, coarse_anatomy: Anatomy, without: Callable[..., LabelMap]
) -> None:
    found = find_anatomy(without(coarse, L5))
    cosine = float(found.frame.superior @ coarse_anatomy.frame.superior)
    assert np.degrees(np.arccos(min(cosine, 1.0))) < 3.0
    assert np.linalg.norm(found.frame.origin_mm - coarse_anatomy.frame.origin_mm) < 3.0
    assert any("L5 (27) has no label" in warning for warning in found.warnings)


def test_a_sacrum_alone_needs_only_its_joints(
    coarse: LabelMap, coarse_anatomy: Anatomy, without: Callable[..., LabelMap]
) -> None:
    alone = without(coarse, L5, HIP_LEFT, HIP_RIGHT)
    joints = coarse_anatomy.landmarks()["auricular"]
    found = find_anatomy(alone, overrides={"auricular": joints})
    for side in ("left", "right"):
        tag = SurfaceTag[f"AURICULAR_{side.upper()}"]
        # A disk of 15 cm2 on a curved face.
        assert found.area_mm2(tag) == pytest.approx(1500.0, rel=0.15)
        away = found.joint_centre_mm(tag) - coarse_anatomy.joint_centre_mm(tag)
        assert np.linalg.norm(away) < 5.0
    assert any("a mirrored image would not be noticed" in warning for warning in found.warnings)


@pytest.mark.parametrize(("label", "way_out"), [(HIP_LEFT, "left"), (HIP_RIGHT, "right")])
def test_a_missing_hip_is_named_with_what_to_give(
    coarse: LabelMap, without: Callable[..., LabelMap], label: int, way_out: str
) -> None:
    with pytest.raises(
        InputError, match=rf"here.nii: label {label} .*landmarks.auricular.{way_out}"
    ):
        find_anatomy(without(coarse, label), "here.nii")


def test_a_missing_sacrum_is_named(coarse: LabelMap, without: Callable[..., LabelMap]) -> None:
    with pytest.raises(InputError, match=r"here.nii: label 25 \("):
        find_anatomy(without(coarse, SACRUM), "here.nii")


def test_swapped_sides_are_refused(coarse: LabelMap) -> None:
    grid = coarse.grid
    flipped = Grid(grid.shape, grid.spacing_mm, -grid.origin_mm, grid.direction * [-1, 1, 1])
    with pytest.raises(InputError, match="swapped or the image is mirrored"):
        find_anatomy(LabelMap(coarse.labels, flipped))


@pytest.fixture(scope="module")
def real(real_ct: tuple[Path, Path]) -> Anatomy:
    return find_anatomy(read_labels(real_ct[1]))


def test_the_real_sacrum_has_its_parts(real: Anatomy) -> None:
    # facts.md: sacrum 209.5 ml, to which the filling of cavities adds a little.
    assert real.surface.label_ml == pytest.approx(209.5, abs=0.5)
    left, right = (real.area_mm2(t) for t in (SurfaceTag(4), SurfaceTag(5)))
    assert left == pytest.approx(right, rel=0.1)
    # 15.0 +/- 2.4 cm2 (Poilliot), two SD.
    assert 1020 < right < left < 1980
    assert 1000 < real.area_mm2(SurfaceTag.ENDPLATE_S1) < 2000
    assert 20.0 < real.sacral_slope_deg < 65.0


def test_the_real_sacrum_has_sixteen_open_foramina_in_their_places(real: Anatomy) -> None:
    assert sum(foramen.found for foramen in real.foramina.values()) == 16
    for side in ("left", "right"):
        # Posterior S1 23.5 +/- 2.8 mm from the midline (epain, n = 632), two SD.
        posterior = real.foramen("S1", side, "posterior")
        assert abs(posterior.curved_mm[0]) == pytest.approx(23.5, abs=5.6)
        # Lateral border of the anterior one at 31 mm (a practice source: 5 mm either way).
        anterior = real.foramen("S1", side, "anterior")
        assert abs(anterior.curved_mm[0]) + 0.5 * anterior.diameter_mm == pytest.approx(31, abs=5)
        # 12.97 x 12.23 mm (jcdr 11661).
        assert anterior.diameter_mm == pytest.approx(12.6, abs=3.0)


def test_the_real_canal_is_said_to_be_closed_at_3_mm(real: Anatomy) -> None:
    assert not real.canal.found
    assert any("landmarks.hiatus" in warning for warning in real.warnings)
    assert len(real.warnings) == 2
