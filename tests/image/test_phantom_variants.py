"""Other pelves of the phantom: parameters do what they say, truth is that of the images."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import euler_number

from sacrofem.errors import InputError
from sacrofem.image.labels import FEMUR_LEFT, HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.phantom import (
    PhantomSpec,
    make_phantom,
    nearby,
    phantom_grid,
    phantom_labels,
    random_spec,
    sacrum_volume_ml,
    truth,
)
from sacrofem.image.phantom.curve import along_and_behind, world
from sacrofem.image.phantom.form import form_of
from sacrofem.image.phantom.raster import SI_GAP_MM, bones
from sacrofem.image.phantom.sacrum import FORAMINA, auricular_x
from sacrofem.image.phantom.tissue import VOID_SXT, age_of
from sacrofem.image.volume import CtVolume, LabelMap

Array = NDArray[np.float64]
COARSE = PhantomSpec(voxel_mm=(3.0, 3.0, 3.0), noise_hu=0.0, texture_hu=0.0)
ODD = PhantomSpec(  # as far from the default as tests of truth can use
    voxel_mm=(2.0, 2.0, 2.0), sex="male", size=0.9, dysmorphism=1.0, asymmetry=0.05,
    rotation_deg=(20.0, -15.0, 10.0), age_years=35.0,
)  # fmt: skip
FINE_ODD = PhantomSpec(size=0.9, dysmorphism=1.0, asymmetry=-0.04, sex="male")


@cache
def scan(spec: PhantomSpec) -> CtVolume:
    return make_phantom(spec)[0]


@cache
def volume_ml(spec: PhantomSpec) -> float:
    return sacrum_volume_ml(spec, step_mm=1.5)


@cache
def labelled(spec: PhantomSpec) -> LabelMap:
    return phantom_labels(spec)


def points(labels: LabelMap, label: int) -> Array:
    return labels.grid.to_world(np.argwhere(labels.mask(label)).astype(np.float64))


def label_at(labels: LabelMap, world_mm: Array) -> NDArray[np.uint8]:
    """Labels at world points (n, 3)."""
    index = np.rint(labels.grid.to_index(np.atleast_2d(world_mm))).astype(int)
    return labels.labels[tuple(index.T)]


def ball_hu(ct: CtVolume, centre_mm: Array, radius_mm: float) -> float:
    steps = np.stack(np.meshgrid(*[np.arange(-9.0, 10.0)] * 3), axis=-1).reshape(-1, 3)
    at = centre_mm + steps[np.linalg.norm(steps, axis=1) <= radius_mm]
    return float(ndimage.map_coordinates(ct.hu, ct.grid.to_index(at).T, order=1).mean())


def test_bone_is_lost_with_age_and_women_lose_more() -> None:
    """Protects: 1.6 (women) and 0.7 (men) mg/cm3 a year (10.1002/jor.25329), by 0.81 mg per HU."""
    centre = np.array([0.0, 6.0, -11.0])  # middle of S1
    hu = {
        (sex, age): ball_hu(scan(replace(COARSE, sex=sex, age_years=age)), centre, 4.0)
        for sex in ("female", "male")
        for age in (30.0, 80.0)
    }
    assert hu["female", 30.0] - hu["female", 80.0] == pytest.approx(50 * 1.6 / 0.81, rel=0.05)
    assert hu["male", 30.0] - hu["male", 80.0] == pytest.approx(50 * 0.7 / 0.81, rel=0.05)
    assert hu["male", 80.0] > hu["female", 80.0] + 40.0


def test_the_young_have_no_alar_void_and_a_thicker_cortex() -> None:
    """Protects: fatty voids are a sign of old bone alone (Rommens and Wagner)."""
    s, x, t = VOID_SXT
    void = np.array(world(x, s, t))
    young, old = (scan(replace(COARSE, age_years=age)) for age in (30.0, 80.0))
    assert ball_hu(young, void, 3.0) > 120.0
    assert ball_hu(old, void, 3.0) < -20.0
    ages = [age_of(PhantomSpec(age_years=age)) for age in (30.0, 50.0, 70.0, 90.0)]
    assert np.all(np.diff([a.cortex_mm for a in ages]) < 0.0)
    assert np.all(np.diff([a.void for a in ages]) >= 0.0)
    assert ages[2].marrow_hu == pytest.approx(0.0)  # the default is a woman of 70


def test_a_mans_sacrum_is_higher_and_no_wider() -> None:
    """Protects: sex changes the form, not the size alone (PMC5799488; PubMed 12875567)."""
    woman, man = (labelled(s) for s in (COARSE, replace(COARSE, sex="male")))
    a, b = (np.ptp(points(m, SACRUM), axis=0) for m in (woman, man))
    assert b[0] == pytest.approx(a[0], abs=3.0)
    assert b[2] > 1.05 * a[2]
    assert volume_ml(PhantomSpec(sex="male")) > 1.1 * volume_ml(PhantomSpec())


@pytest.mark.parametrize("size", [0.88, 1.12])
def test_size_scales_the_bone_but_not_its_joint_space(size: float) -> None:
    """Protects: volume goes with the cube; the joint space keeps 2.8 mm all over its face."""
    spec = PhantomSpec(size=size)
    assert volume_ml(spec) == pytest.approx(size**3 * volume_ml(PhantomSpec()), rel=0.01)
    form = form_of(spec)
    hip = next(b for b in bones(form, age_of(spec)) if b.label == HIP_LEFT)
    drawn = [world(0.0, s, t)[1:] for s, t in ((15.0, 20.0), (30.0, 12.0), (40.0, 14.0), (50, 20))]
    face = [form.world((float(auricular_x(*map(np.array, p), form)), *p)) for p in drawn]
    np.testing.assert_allclose(hip.distance(*np.array(face).T), SI_GAP_MM, atol=0.1)


def test_dysmorphism_steepens_the_alae_and_keeps_a_disc() -> None:
    """Protects: the signs that decide how a sacrum is approached (Kaiser 2014)."""
    plain, odd = (replace(COARSE, voxel_mm=(2.0,) * 3, dysmorphism=d) for d in (0.0, 1.0))

    def fall(labels: LabelMap) -> float:
        """How far the ala falls from 28 to 42 mm beside the midline, in mm."""
        x, y, z = points(labels, SACRUM).T
        s, t = along_and_behind(y, z)
        top = [s[(np.abs(np.abs(x) - at) < 1.5) & (np.abs(t - 20) < 2)].min() for at in (28, 42)]
        return float(top[1] - top[0])

    assert fall(labelled(odd)) > fall(labelled(plain)) + 1.5
    disc = np.array(world(0.0, 30.0, 11.0))
    assert ball_hu(scan(odd), disc, 1.5) < ball_hu(scan(plain), disc, 1.5) - 80.0

    def opening(labels: LabelMap) -> int:
        """Free voxels in a slab around the pelvic opening of S1."""
        x, y, z = labels.grid.to_world(np.argwhere(~labels.mask(SACRUM)).astype(float)).T
        s, t = along_and_behind(y, z)
        at = (np.abs(np.abs(x) - 24.5) < 12) & (np.abs(s - 30) < 12) & (np.abs(t - 16) < 2)
        return int(np.count_nonzero(at))

    assert opening(labelled(odd)) > 1.1 * opening(labelled(plain))


def test_a_rotated_scan_shows_the_same_pelvis() -> None:
    """Protects: oblique image axes change the grid and nothing in the world."""
    straight = labelled(replace(COARSE, voxel_mm=(2.0,) * 3))
    spec = replace(COARSE, voxel_mm=(2.0,) * 3, rotation_deg=(20.0, -25.0, 15.0))
    ct, turned = scan(spec), labelled(spec)
    assert np.linalg.det(turned.grid.direction) == pytest.approx(1.0)
    assert abs(turned.grid.direction[0, 1]) > 0.1
    for label in np.unique(straight.labels)[1:]:
        at = points(turned, label)
        assert len(at) == pytest.approx(np.count_nonzero(straight.mask(label)), rel=0.01)
        core = ndimage.binary_erosion(turned.mask(label), np.ones((3, 3, 3)))
        core_at = turned.grid.to_world(np.argwhere(core).astype(float))
        assert np.all(label_at(straight, core_at) == label)
    body = np.array([0.0, 6.0, -11.0])
    plain_hu = ball_hu(scan(replace(COARSE, voxel_mm=(2.0,) * 3)), body, 4.0)
    assert ball_hu(ct, body, 4.0) == pytest.approx(plain_hu, abs=5.0)


def test_asymmetry_widens_the_left_half_and_mirrors() -> None:
    """Protects: the sign of asymmetry, and that it is the only left-right difference."""
    left, right = (labelled(replace(COARSE, asymmetry=a)) for a in (0.05, -0.05))
    x = points(left, SACRUM)[:, 0]
    assert x.max() > -x.min() + 2.0
    assert np.array_equal(left.mask(SACRUM), right.mask(SACRUM)[::-1])
    assert np.array_equal(left.mask(HIP_LEFT), right.mask(HIP_RIGHT)[::-1])


@pytest.mark.parametrize("spec", [COARSE, ODD], ids=["default", "odd"])
def test_truth_is_that_of_the_images(spec: PhantomSpec) -> None:
    """Protects: what other tests compare with: landmarks lie in or between the labels named."""
    labels, known = labelled(spec), truth(spec)
    voxel = spec.voxel_mm[0]
    bone = points(labels, SACRUM)

    def away(at: Array, of: Array) -> Array:
        return np.linalg.norm(of[None] - np.atleast_2d(at)[:, None], axis=2).min(axis=1)

    assert np.all(label_at(labels, known.canal_mm) == 0)
    assert np.all(label_at(labels, known.level_boundaries_mm[1:5]) == SACRUM)
    assert away(known.promontory_mm, bone)[0] < voxel + 1.0
    for side, sign, hip in (("left", 1, HIP_LEFT), ("right", -1, HIP_RIGHT)):
        for openings in (known.anterior_foramina_mm, known.posterior_foramina_mm):
            assert np.all(np.sign(openings[side][:, 0]) == sign)
            assert np.all(label_at(labels, openings[side]) == 0)
            assert np.all(away(openings[side], bone) < 8.0 + voxel)
        joint = known.si_joint_mm[side]
        for label in (SACRUM, hip):
            assert away(joint, points(labels, label))[0] < 0.5 * SI_GAP_MM + voxel
        from_centre = np.linalg.norm(points(labels, hip) - known.acetabulum_mm[side], axis=1)
        assert from_centre.min() == pytest.approx(known.acetabulum_radius_mm, abs=0.5 * voxel)
    assert label_at(labels, known.acetabulum_mm["left"])[0] == FEMUR_LEFT
    volume = len(bone) * labels.grid.voxel_ml
    assert volume == pytest.approx(volume_ml(spec), rel=0.01)


@pytest.mark.parametrize("spec", [COARSE, ODD], ids=["default", "odd"])
def test_true_endplate_is_a_plane_below_the_disc(spec: PhantomSpec) -> None:
    """Protects: the normal from which slope and load directions are judged."""
    labels, known = labelled(spec), truth(spec)
    assert np.linalg.norm(known.endplate_normal) == pytest.approx(1.0)
    ring = np.array([[np.cos(a), np.sin(a)] for a in np.arange(0.0, 6.28, 0.5)]) * 9.0
    across = np.array([1.0, 0.0, 0.0])
    back = np.cross(known.endplate_normal, across)
    at = known.endplate_centre_mm + ring[:, :1] * across + ring[:, 1:] * back
    assert np.all(label_at(labels, at - 3.5 * known.endplate_normal) == SACRUM)
    assert np.all(label_at(labels, at + 3.5 * known.endplate_normal) == 0)
    assert np.all(label_at(labels, at + 13.5 * known.endplate_normal) == L5)


def test_truth_is_symmetric_where_the_pelvis_is() -> None:
    """Protects: left and right are not told apart by the phantom's construction."""
    known = truth(PhantomSpec(dysmorphism=0.5))
    flip = np.array([-1.0, 1.0, 1.0])
    for pair in (known.anterior_foramina_mm, known.posterior_foramina_mm, known.si_joint_mm):
        np.testing.assert_allclose(pair["left"], pair["right"] * flip, atol=1e-9)
    assert len(known.anterior_foramina_mm["left"]) == len(FORAMINA)


@pytest.mark.parametrize("spec", [FINE_ODD, replace(ODD, voxel_mm=(1.5,) * 3)])
def test_canal_and_foramina_are_open_in_other_pelves(spec: PhantomSpec) -> None:
    """Protects: 18 openings in one piece of bone: genus 17, in any form and orientation."""
    mask = labelled(spec).mask(SACRUM)
    assert euler_number(mask, connectivity=3) == 1 - 17
    assert ndimage.label(mask)[1] == 1


@pytest.mark.parametrize("seed", [7, 11])
def test_foramina_are_open_at_three_millimetres(seed: int) -> None:
    """Protects: each foramen leads from the pelvis to the back in a coarse, oblique scan too."""
    spec = replace(
        random_spec(seed, (3.0, 3.0, 3.0)), label_holes=0, label_islands=0, label_roughness=0.0
    )
    labels, known = labelled(spec), truth(spec)
    free = np.argwhere(~labels.mask(SACRUM))
    at = labels.grid.to_world(free.astype(float))
    for side in ("left", "right"):
        ends = zip(known.anterior_foramina_mm[side], known.posterior_foramina_mm[side], strict=True)
        for front, back in ends:
            length = np.linalg.norm(back - front)
            along = (at - front) @ (back - front) / length
            off = np.linalg.norm(at - front - np.outer(along, (back - front) / length), axis=1)
            tube = (off < 7.0) & (along > -10.0) & (along < length + 10.0)
            inside = np.zeros(labels.grid.shape, dtype=bool)
            inside[tuple(free[tube].T)] = True
            part = ndimage.label(inside)[0][tuple(free.T)]
            assert set(part[tube & (along < -4)]) & set(part[tube & (along > length + 4)])


def test_the_socket_is_a_closed_cup() -> None:
    """Protects: a head pressed inwards or upwards meets bone, and leaves through the opening."""
    known, labels = truth(COARSE), labelled(COARSE)
    reach = np.arange(known.acetabulum_radius_mm - 3.0, 40.0)

    def hit(direction: Array) -> bool:
        line = known.acetabulum_mm["left"] + reach[:, None] * direction / np.linalg.norm(direction)
        return bool(np.any(label_at(labels, line) == HIP_LEFT))

    for inwards in ((-1, 0, 0), (-1, 0, 1), (0, 0, 1), (-1, 1, 0), (-1, -1, 0), (-1, 0, -0.5)):
        assert hit(np.array(inwards, dtype=float))
    assert not hit(np.array([0.77, -0.3, -0.56]))


def test_label_faults_are_where_they_are_said_to_be() -> None:
    """Protects: holes within bone, islands off it, roughness of one voxel, and the CT as it was."""
    ct, whole = scan(COARSE), labelled(COARSE)
    cross = ndimage.generate_binary_structure(3, 1)
    bone = whole.labels > 0
    holed = phantom_labels(replace(COARSE, label_holes=9)).labels
    changed = holed != whole.labels
    assert np.all(holed[changed] == 0)
    assert np.all(bone[changed])
    _, count = ndimage.label(changed)
    assert 4 <= count <= 9
    strewn = phantom_labels(replace(COARSE, label_islands=9)).labels
    changed = strewn != whole.labels
    assert not np.any(changed & ndimage.binary_dilation(bone, cross, iterations=2))
    assert 4 <= ndimage.label(changed)[1] <= 9
    rough_ct, rough = make_phantom(replace(COARSE, label_roughness=0.5))
    changed = rough.labels != whole.labels
    skin = ndimage.binary_dilation(bone, cross) & ~ndimage.binary_erosion(bone, cross)
    assert not np.any(changed & ~skin)
    # Half a voxel off the surface, an SD of half a voxel carries 16 % over.
    assert np.count_nonzero(changed) == pytest.approx(0.16 * np.count_nonzero(skin), rel=0.2)
    assert np.array_equal(rough_ct.hu, ct.hu)


def test_labels_alone_are_those_of_the_scan() -> None:
    """Protects: tests of labels, which do without the CT, speak of the same phantom."""
    spec = replace(ODD, voxel_mm=(3.0,) * 3, label_holes=2)
    assert np.array_equal(phantom_labels(spec).labels, make_phantom(spec)[1].labels)


def test_random_pelves_differ_and_come_again() -> None:
    """Protects: a hundred different cases, the same on every machine, within what was asked."""
    specs = [random_spec(seed) for seed in range(100)]
    assert specs == [random_spec(seed) for seed in range(100)]
    assert len({s.size for s in specs}) == 100
    voxels = np.array([s.voxel_mm for s in specs])
    assert voxels.min() >= 0.8
    assert voxels.max() <= 3.0
    assert np.mean(voxels[:, 2] > voxels[:, 0]) > 0.2
    assert np.abs([s.rotation_deg for s in specs]).max() <= 25.0
    assert 15 <= sum(s.dysmorphism > 0.0 for s in specs) <= 45
    assert random_spec(3, (2.0, 2.0, 2.0)) == replace(specs[3], voxel_mm=(2.0, 2.0, 2.0))


def test_label_faults_come_again_with_the_seed() -> None:
    """Protects: a failing case can be made again; another seed makes another one."""
    spec = replace(COARSE, label_holes=3, label_islands=3, label_roughness=0.2)
    first, again = phantom_labels(spec), phantom_labels(spec)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.labels, phantom_labels(replace(spec, seed=2)).labels)


@pytest.mark.parametrize(
    "wrong",
    [{"size": 2.0}, {"sex": "unknown"}, {"dysmorphism": -0.1}, {"voxel_mm": (1.0, 1.0, 9.0)},
     {"rotation_deg": (0.0, 90.0, 0.0)}, {"age_years": 5.0}, {"label_holes": -1}],
)  # fmt: skip
def test_impossible_people_are_refused(wrong: dict[str, object]) -> None:
    """Protects: a typing error in a study is named, not scanned."""
    with pytest.raises(InputError, match=next(iter(wrong))):
        PhantomSpec(**wrong)  # type: ignore[arg-type]


def test_near_voxels_are_those_of_a_full_search() -> None:
    """Protects: the search by cells, which must not lose a surface."""
    spec = replace(ODD, voxel_mm=(2.0, 2.0, 3.0))
    grid = phantom_grid(spec)
    bone = next(b for b in bones(form_of(spec), age_of(spec)) if b.label == HIP_RIGHT)
    found = nearby.find(bone.distance, grid, bone.box_mm, 1.0, 2.0)
    low, high = nearby.window(grid, bone.box_mm)
    every = np.stack(
        np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1
    ).reshape(-1, 3)  # fmt: skip
    distance = nearby.evaluate(bone.distance, grid, every)
    band = every[(distance < 1.0) & (distance > -2.0)]
    assert {tuple(i) for i in band} == {tuple(i) for i in found.near}
    assert {tuple(i) for i in every[distance <= -2.0]} == {tuple(i) for i in found.deep}
