"""The phantom CT: its sizes, topology, symmetry and Hounsfield units."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import euler_number

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.landmarks import find_anatomy
from sacrofem.image.labels import FEMUR_LEFT, FEMUR_RIGHT, HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.phantom import PhantomSpec, make_phantom
from sacrofem.image.phantom.curve import LENGTH_MM, along_and_behind, world
from sacrofem.image.phantom.sacrum import FORAMINA
from sacrofem.image.volume import CtVolume, Grid, LabelMap

Scan = tuple[CtVolume, LabelMap]
TOUCHING = np.ones((3, 3, 3), dtype=bool)


@pytest.fixture(scope="module")
def scan() -> Scan:
    """The default phantom, 1.5 mm."""
    return make_phantom()


@pytest.fixture(scope="module")
def plain() -> Scan:
    """A coarse scan without texture and noise."""
    return make_phantom(PhantomSpec(voxel_mm=(3.0, 3.0, 3.0), noise_hu=0.0, texture_hu=0.0))


def points(labels: LabelMap, label: int) -> NDArray[np.float64]:
    return labels.grid.to_world(np.argwhere(labels.mask(label)).astype(np.float64))


def index_of(grid: Grid, x: float, s: float, t: float) -> tuple[int, int, int]:
    i, j, k = np.rint(grid.to_index(np.array([world(x, s, t)])))[0].astype(int)
    return int(i), int(j), int(k)


def test_same_spec_gives_identical_arrays(plain: Scan) -> None:
    """Protects: a phantom in a record can be made again bit by bit."""
    spec = PhantomSpec(voxel_mm=(3.0, 3.0, 3.0), seed=7)
    first, second = make_phantom(spec), make_phantom(spec)
    assert np.array_equal(first[0].hu, second[0].hu)
    assert np.array_equal(first[1].labels, second[1].labels)


def test_seed_changes_noise_not_anatomy(plain: Scan) -> None:
    """Protects: a study over seeds varies the image alone."""
    other = make_phantom(PhantomSpec(voxel_mm=(3.0, 3.0, 3.0), seed=2))
    first = make_phantom(PhantomSpec(voxel_mm=(3.0, 3.0, 3.0), seed=1))
    assert not np.array_equal(first[0].hu, other[0].hu)
    assert np.array_equal(first[1].labels, other[1].labels)
    assert np.array_equal(first[1].labels, plain[1].labels)


def test_without_texture_and_noise_left_mirrors_right(plain: Scan) -> None:
    """Protects: a left-right difference in a result is never the phantom's."""
    ct, labels = plain
    assert np.array_equal(ct.hu, ct.hu[::-1])
    other = np.arange(256, dtype=np.uint8)
    other[[HIP_LEFT, HIP_RIGHT, FEMUR_LEFT, FEMUR_RIGHT]] = (
        HIP_RIGHT, HIP_LEFT, FEMUR_RIGHT, FEMUR_LEFT
    )  # fmt: skip
    assert np.array_equal(labels.labels, other[labels.labels[::-1]])


def test_axes_are_left_posterior_superior(scan: Scan) -> None:
    """Protects: +x is the patient's left, +y the back, +z the head."""
    _, labels = scan
    assert points(labels, HIP_LEFT)[:, 0].min() > 0 > points(labels, HIP_RIGHT)[:, 0].max()
    assert points(labels, L5)[:, 2].mean() > points(labels, SACRUM)[:, 2].mean()
    assert points(labels, SACRUM)[:, 1].mean() > points(labels, HIP_LEFT)[:, 1].mean()


def test_sacrum_has_published_size(scan: Scan) -> None:
    """Protects: width 98-108, height 89-107, S1 endplate 48-50 x 30 mm (PMC5799488), volume."""
    ct, labels = scan
    sacrum = points(labels, SACRUM)
    voxel = ct.grid.spacing_mm[0]
    assert 98 <= np.ptp(sacrum[:, 0]) + voxel <= 108
    height = np.linalg.norm(np.subtract(world(0, 0, 0), world(0, LENGTH_MM, 4)))
    assert 89 <= height <= 107
    s, t = along_and_behind(sacrum[:, 1], sacrum[:, 2])
    plate = (s > 1) & (s < 3) & (t > 2) & (t < 12)  # above the fillet between body and ala
    assert np.ptp(sacrum[plate, 0]) + voxel == pytest.approx(48.0, abs=2.0)
    middle = (s > 2) & (s < 5) & (np.abs(sacrum[:, 0]) < 3) & (t < 35)
    assert np.ptp(t[middle]) + voxel == pytest.approx(30.0, abs=2.0)
    assert 180 <= len(sacrum) * labels.grid.voxel_ml <= 230


def test_disc_space_is_that_of_l5_s1(scan: Scan) -> None:
    """Protects: L5 stands 8-10 mm above the S1 endplate, parallel to it."""
    ct, labels = scan
    for behind in (5.0, 15.0, 25.0):
        line = [labels.labels[index_of(ct.grid, 0.0, -h, behind)] for h in np.arange(-4, 20, 0.25)]
        first = next(h for h, v in enumerate(line) if v == L5)
        last = max(h for h, v in enumerate(line) if v == SACRUM)
        assert (first - last) * 0.25 == pytest.approx(9.0, abs=2.0)


@pytest.mark.parametrize("label", [SACRUM, L5, HIP_LEFT, HIP_RIGHT, FEMUR_LEFT, FEMUR_RIGHT])
def test_every_bone_is_one_piece_without_cavities(scan: Scan, label: int) -> None:
    """Protects: the meshing, which takes one closed surface a bone."""
    mask = scan[1].mask(label)
    assert ndimage.label(mask)[1] == 1
    assert ndimage.label(~mask)[1] == 1


def test_canal_and_foramina_make_eighteen_openings(scan: Scan) -> None:
    """Protects: 8 foramina in front, 8 behind, canal and hiatus join: genus 17, Euler -16."""
    assert euler_number(scan[1].mask(SACRUM), connectivity=3) == 1 - 17


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("side", [-1, 1])
def test_each_foramen_is_open_from_front_to_back(scan: Scan, level: int, side: int) -> None:
    """Protects: a needle or cement finds every foramen open, without a detour around the bone."""
    _, labels = scan
    foramen = FORAMINA[level]
    every = labels.grid.to_world(np.argwhere(np.ones(labels.grid.shape)).astype(np.float64))
    s, t = along_and_behind(every[:, 1], every[:, 2])
    tube = np.abs(every[:, 0] - side * foramen.back_x_mm) < foramen.front_radius_mm + 3.0
    tube &= (np.abs(s - foramen.s_mm) < foramen.front_radius_mm + 4.0) & (t > -12) & (t < 60)
    free = tube.reshape(labels.grid.shape) & ~labels.mask(SACRUM)
    parts, _ = ndimage.label(free)
    depth = t.reshape(labels.grid.shape)
    front = set(np.unique(parts[free & (depth < -8)]))
    back = set(np.unique(parts[free & (depth > 50)]))
    assert front & back


def test_nothing_touches_across_a_joint(scan: Scan) -> None:
    """Protects: joint spaces stay open at 1.5 mm, so that no mesh bridges them."""
    _, labels = scan
    around = ndimage.binary_dilation(labels.mask(SACRUM), TOUCHING)
    for other in (HIP_LEFT, HIP_RIGHT, L5):
        assert not (around & labels.mask(other)).any()
    for hip, femur in ((HIP_LEFT, FEMUR_LEFT), (HIP_RIGHT, FEMUR_RIGHT)):
        around = ndimage.binary_dilation(labels.mask(hip), TOUCHING)
        assert not (around & labels.mask(femur)).any()


@pytest.mark.parametrize("hip", [HIP_LEFT, HIP_RIGHT])
def test_auricular_surface_has_published_area(scan: Scan, hip: int) -> None:
    """Protects: 10-18 cm2 a side, over S1 to S3 (auricular 15.0 +- 2.4 cm2, Poilliot)."""
    _, labels = scan
    spacing = labels.grid.spacing_mm
    near = ndimage.distance_transform_edt(~labels.mask(hip), sampling=spacing) < 5.0
    sacrum = labels.mask(SACRUM)
    # The surface's area from its voxel faces: each axis counts the area seen along it.
    seen = [
        float(np.count_nonzero((sacrum & near) & ~np.roll(sacrum, step, axis)))
        * np.prod(spacing)
        / spacing[axis]
        for axis, step in enumerate((-1 if hip == HIP_LEFT else 1, 1, 1))
    ]
    assert 10.0 <= np.linalg.norm(seen) / 100.0 <= 18.0
    levels = along_and_behind(*points_near(labels, sacrum & near)[:, 1:].T)[0]
    assert np.percentile(levels, 1) < 12.0
    assert 54.0 < np.percentile(levels, 99) < 65.0  # the middle of S3 is at 63


@pytest.mark.parametrize("side", [-1, 1])
def test_joint_is_ear_shaped_before_a_recess(scan: Scan, side: int) -> None:
    """Protects: sacroiliac gap 2-4 mm in both limbs, over 6 mm at the tuberosity behind them."""
    _, labels = scan
    hip = labels.mask(HIP_LEFT if side > 0 else HIP_RIGHT)
    away = ndimage.distance_transform_edt(~hip, sampling=labels.grid.spacing_mm)

    def gap(s_mm: float, t_mm: float) -> float:
        """Distance of the outermost sacrum at (s, t) to the hip, surface to surface."""
        x = np.arange(30.0, 64.0, 0.25)
        line = [index_of(labels.grid, side * v, s_mm, t_mm) for v in x]
        last = max(k for k, voxel in enumerate(line) if labels.labels[voxel] == SACRUM)
        return float(away[line[last]]) - labels.grid.spacing_mm[0]

    for limb in ((12.0, 30.0), (18.0, 12.0), (30.0, 14.0), (40.0, 16.0), (50.0, 22.0)):
        assert 1.0 < gap(*limb) < 4.0
    assert gap(25.0, 33.0) > 6.0


def test_articular_processes_are_short_and_stout(scan: Scan) -> None:
    """Protects: tips 4-7 mm above the endplate; facets of 1.0-2.5 cm2 a side towards L5."""
    _, labels = scan
    x, y, z = points(labels, SACRUM).T
    s, t = along_and_behind(y, z)
    for side in (-1, 1):
        process = (side * x > 12.0) & (side * x < 36.0) & (t > 34.0)
        assert 4.0 < -s[process].min() < 7.0
    anatomy = find_anatomy(labels)
    assert anatomy.warnings == ()
    for tag in (SurfaceTag.FACET_S1_LEFT, SurfaceTag.FACET_S1_RIGHT):
        assert 100.0 < anatomy.area_mm2(tag) < 250.0


def test_alae_fall_and_sweep_forwards(scan: Scan) -> None:
    """Protects: S1 stands 3-6 mm proud of the alae, which fall outwards and are hollow in front."""
    _, labels = scan
    x, y, z = points(labels, SACRUM).T
    s, t = along_and_behind(y, z)
    top = [s[(np.abs(np.abs(x) - at) < 1) & (np.abs(t - 15) < 1)].min() for at in (28, 38, 46)]
    assert 3.0 < top[0] - 0.5 * labels.grid.spacing_mm[2] < 6.0
    assert top[0] + 1.0 < top[1] < top[2] - 1.0
    level = np.abs(s - 24.0) < 1.0
    front = [t[level & (np.abs(np.abs(x) - at) < 1)].min() for at in (0, 30, 48)]
    assert front[1] > front[0] + 4.0
    assert front[2] < front[1] - 3.0


@pytest.mark.parametrize("level", range(1, 4))
@pytest.mark.parametrize("side", [-1, 1])
def test_lower_foramina_are_seen_through_from_behind(scan: Scan, level: int, side: int) -> None:
    """Protects: S2 to S4 are straight through holes along the normal of the dorsal surface."""
    _, labels = scan
    foramen = FORAMINA[level]
    depth = np.arange(-6.0, 50.0, 0.75)
    free = 0
    for x in np.arange(foramen.back_x_mm - 4.0, foramen.back_x_mm + 4.5, 0.5):
        for s in np.arange(foramen.s_mm - 3.0, foramen.s_mm + 5.5, 0.5):
            ray = [labels.labels[index_of(labels.grid, side * x, s, t)] for t in depth]
            free += SACRUM not in ray
    assert free * 0.5**2 > 10.0  # mm2 in the clear


def points_near(labels: LabelMap, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    return labels.grid.to_world(np.argwhere(mask).astype(np.float64))


def test_wedge_narrows_downwards_and_backwards(scan: Scan) -> None:
    """Protects: the keystone form that locks the sacrum between the ilia."""
    sacrum = points(scan[1], SACRUM)
    s, t = along_and_behind(sacrum[:, 1], sacrum[:, 2])
    width = [np.ptp(sacrum[(s > a) & (s < a + 6), 0]) for a in (20, 50, 65, 80, 98)]
    assert all(upper > lower + 4 for upper, lower in pairwise(width))
    level = (s > 20) & (s < 35)
    assert np.ptp(sacrum[level & (t < 20), 0]) > np.ptp(sacrum[level & (t > 38), 0]) + 4


def test_hu_order_of_the_zones(scan: Scan) -> None:
    """Protects: S1 body > S2 body, S1 body > ala > alar void below zero (Zheng 2000, Rommens)."""
    ct, labels = scan
    deep = ndimage.binary_erosion(labels.mask(SACRUM), TOUCHING, iterations=3)
    x, y, z = points_near(labels, deep).T
    s, t = along_and_behind(y, z)
    hu, x = ct.hu[deep], np.abs(x)
    body = np.median(hu[(x < 12) & (s > 6) & (s < 24)])
    lower = np.median(hu[(x < 10) & (s > 36) & (s < 48)])
    from_void = np.linalg.norm(np.stack([s, x, t]) - np.array([[15.0], [36.0], [30.0]]), axis=0)
    ala = np.median(hu[(x > 30) & (s < 45) & (from_void > 14)])
    void = np.median(hu[from_void < 5])
    assert 150 < body < 240
    assert body > lower + 20
    assert body > ala + 40
    assert 90 < ala < 150
    assert -90 < void < -10


def test_air_fat_and_muscle_have_their_hu(scan: Scan) -> None:
    """Protects: HU anchors of calibrations: air -1000, fat -100, soft tissue about 40."""
    ct, labels = scan
    assert np.median(ct.hu[:8, :8]) == pytest.approx(-1000, abs=10)
    back = int(ct.grid.to_index(np.array([[0.0, 88.0, 0.0]]))[0, 1])
    assert np.median(ct.hu[ct.grid.shape[0] // 2, back]) == pytest.approx(-100, abs=20)
    assert np.median(ct.hu[labels.labels == 0][::7]) == pytest.approx(40, abs=20)
    assert np.array_equal(ct.hu, np.rint(ct.hu))


@pytest.mark.parametrize("voxel_mm", [(1.0, 1.0, 3.0), (2.0, 2.0, 2.0), (3.0, 2.0, 1.5)])
def test_volume_does_not_depend_on_the_voxel(
    scan: Scan, voxel_mm: tuple[float, float, float]
) -> None:
    """Protects: the same anatomy at any voxel size, within 2 %."""
    fine = np.count_nonzero(scan[1].mask(SACRUM)) * scan[1].grid.voxel_ml
    _, labels = make_phantom(PhantomSpec(voxel_mm=voxel_mm))
    other = np.count_nonzero(labels.mask(SACRUM)) * labels.grid.voxel_ml
    assert other == pytest.approx(fine, rel=0.02)
