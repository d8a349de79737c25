"""The mesher: volumes, gradation, joints, determinism and symmetry on bodies of known shape."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sacrofem.errors import MeshError
from sacrofem.image.volume import FloatArray, Grid
from sacrofem.mesh.bone_mesh import Part, boundary_facets, signed_volumes_mm3
from sacrofem.mesh.cartilage import joint_facets
from sacrofem.mesh.fidelity import tunnels
from sacrofem.mesh.fields import BAND_MM, BoneField
from sacrofem.mesh.mesher import EdgeLengths, Tetrahedra, fill_solid
from sacrofem.mesh.quality import inverse_condition
from sacrofem.mesh.solid import SYMPHYSIS_MM, Solid, onto

GRID = Grid((81, 61, 61), (1.0, 1.0, 1.0), np.array([-40.0, -30.0, -30.0]), np.eye(3))


def bone(distance: Callable[[FloatArray], FloatArray], volume_ml: float | None = None) -> BoneField:
    """A bone whose signed distance is known; its volume by its voxels unless given."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in GRID.shape], indexing="ij"), axis=-1)
    value = distance(GRID.to_world(index.reshape(-1, 3))).reshape(GRID.shape)
    value = np.clip(value, -BAND_MM, BAND_MM).astype(np.float32)
    return BoneField(value, GRID, volume_ml or float((value > 0.0).sum()) / 1000.0, 0.0, 0.0)


def block(low: list[float], high: list[float]) -> Callable[[FloatArray], FloatArray]:
    """Signed distance to a box with edges rounded by 3 mm."""
    middle, half = 0.5 * np.add(low, high), 0.5 * np.subtract(high, low) - 3.0

    def distance(x: FloatArray) -> FloatArray:
        q = np.abs(x - middle) - half
        outside = np.linalg.norm(np.maximum(q, 0.0), axis=1)
        return np.asarray(3.0 - outside - np.minimum(q.max(axis=1), 0.0))

    return distance


def torus(x: FloatArray) -> FloatArray:
    return np.asarray(5.0 - np.hypot(np.hypot(x[:, 0], x[:, 1]) - 14.0, x[:, 2]))


def nowhere(points: FloatArray) -> NDArray[np.bool_]:
    return np.zeros(len(points), dtype=bool)


def everywhere(points: FloatArray) -> NDArray[np.bool_]:
    return np.ones(len(points), dtype=bool)


def pelvis(gap_mm: float = 2.0) -> Solid:
    """Three blocks side by side, a gap between neighbours."""
    inner = 12.0 + gap_mm
    return Solid(
        {
            Part.SACRUM: bone(block([-12.0, -18.0, -15.0], [12.0, 18.0, 15.0])),
            Part.ILIUM_LEFT: bone(block([inner, -24.0, -20.0], [34.0, 20.0, 22.0])),
            Part.ILIUM_RIGHT: bone(block([-34.0, -24.0, -20.0], [-inner, 20.0, 22.0])),
        }
    )


@cache
def pelvis_mesh() -> Tetrahedra:
    return fill_solid(pelvis(), EdgeLengths(5.0, 5.0), nowhere, 2.0)


def digest(made: Tetrahedra) -> str:
    hashed = hashlib.sha256()
    for array in (made.points_mm, made.tets, made.part):
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


def require_sound(made: Tetrahedra) -> None:
    """Conforming, positive, in one piece of facets, without loose nodes."""
    tets = made.tets
    faces = tets[:, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]].reshape(-1, 3)
    assert np.unique(np.sort(faces, axis=1), axis=0, return_counts=True)[1].max() <= 2
    assert signed_volumes_mm3(made.points_mm, tets).min() > 0.0
    np.testing.assert_array_equal(np.unique(tets), np.arange(len(made.points_mm)))


# --- one bone ----------------------------------------------------------------------------------


def test_one_bone_holds_its_volume_and_its_tunnel() -> None:
    ring = bone(torus)
    made = fill_solid(Solid({Part.SACRUM: ring}), EdgeLengths(3.0, 3.0), everywhere, 0.0)
    require_sound(made)
    assert signed_volumes_mm3(made.points_mm, made.tets).sum() == pytest.approx(
        1000.0 * ring.label_ml, rel=5e-3
    )
    assert tunnels(made.tets) == 1
    assert (made.part == Part.SACRUM).all()
    assert inverse_condition(made.points_mm, made.tets).min() > 0.25
    outer = np.unique(boundary_facets(made.tets)[0])
    assert np.abs(made.solid.outer(made.points_mm[outer])).max() < 0.06


def test_the_surface_moves_to_hold_the_labels_volume() -> None:
    """Protects: the correction by an offset, and its limit with a cause."""
    exact = 2.0 * np.pi**2 * 14.0 * 25.0 / 1000.0
    for factor in (0.95, 1.06):
        ring = bone(torus, factor * exact)
        made = fill_solid(Solid({Part.SACRUM: ring}), EdgeLengths(3.0, 3.0), everywhere, 0.0)
        volume = signed_volumes_mm3(made.points_mm, made.tets).sum()
        assert volume == pytest.approx(1000.0 * ring.label_ml, rel=1e-2)
    wrong = Solid({Part.SACRUM: bone(torus, 1.3 * exact)})
    with pytest.raises(MeshError, match=r"would have to grow by 0\.\d+ mm .*too rough"):
        fill_solid(wrong, EdgeLengths(3.0, 3.0), everywhere, 0.0)


def test_cells_are_fine_in_the_zone_and_coarse_elsewhere() -> None:
    solid = Solid({Part.SACRUM: bone(lambda x: 24.0 - np.linalg.norm(x, axis=1))})
    made = fill_solid(solid, EdgeLengths(2.0, 8.0), lambda x: x[:, 0] > 10.0, 0.0)
    require_sound(made)
    corner = made.points_mm[made.tets]
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    edge = np.mean([np.linalg.norm(corner[:, i] - corner[:, j], axis=1) for i, j in pairs], axis=0)
    x = corner.mean(axis=1)[:, 0]
    assert edge[x > 12.0].mean() == pytest.approx(2.0, rel=0.15)
    # Not four times as long: cells at the surface are cut.
    assert edge[x < -2.0].mean() > 2.5 * edge[x > 12.0].mean()


@pytest.mark.parametrize(
    ("zone", "elsewhere", "levels"), [(3, 3, 0), (3, 5.9, 0), (3, 6, 1), (1.5, 7, 2)]
)
def test_edges_grow_by_factors_of_two(zone: float, elsewhere: float, levels: int) -> None:
    assert EdgeLengths(zone, elsewhere).levels == levels


def test_a_thin_wall_stays_whole() -> None:
    """Protects: a plate of 2.5 mm, thinner than a cube of 4 mm, has no holes."""
    plate = bone(lambda x: np.minimum(1.25 - np.abs(x[:, 2]), 20.0 - np.hypot(x[:, 0], x[:, 1])))
    made = fill_solid(Solid({Part.SACRUM: plate}), EdgeLengths(4.0, 4.0), nowhere, 0.0)
    require_sound(made)
    assert tunnels(made.tets) == 0
    assert signed_volumes_mm3(made.points_mm, made.tets).sum() == pytest.approx(
        1000.0 * plate.label_ml, rel=0.02
    )


def test_a_loose_piece_is_left_off() -> None:
    both = bone(
        lambda x: np.maximum(
            12.0 - np.linalg.norm(x, axis=1), 3.0 - np.linalg.norm(x - [25.0, 0.0, 0.0], axis=1)
        )
    )
    made = fill_solid(Solid({Part.SACRUM: both}), EdgeLengths(3.0, 3.0), everywhere, 0.0)
    require_sound(made)
    assert np.linalg.norm(made.points_mm, axis=1).max() < 13.0


# --- three bones -------------------------------------------------------------------------------


def test_the_joints_are_closed_by_cartilage() -> None:
    """Protects: parts, thickness, place and area of both layers."""
    made = pelvis_mesh()
    require_sound(made)
    assert inverse_condition(made.points_mm, made.tets).min() > 0.15
    assert set(np.unique(made.part)) == {int(p) for p in Part}
    volume = signed_volumes_mm3(made.points_mm, made.tets)
    for part, sign in ((Part.CARTILAGE_LEFT, 1.0), (Part.CARTILAGE_RIGHT, -1.0)):
        layer = made.tets[made.part == part]
        at = made.points_mm[np.unique(layer)] * [sign, 1.0, 1.0]
        # The gap's middle is at 13 mm; the layer bends at the rounded rim alone.
        middle = (np.abs(at[:, 1]) < 10.0) & (np.abs(at[:, 2]) < 7.0)
        np.testing.assert_allclose(np.abs(at[middle, 0] - 13.0), 1.0, atol=0.1)
        # Faces of 36 x 30 mm, and a fringe where the gap is closed around the rounded edges.
        assert 2.0 * 30.0 * 24.0 < volume[made.part == part].sum() < 2.2 * 37.0 * 31.0
    bones = np.isin(made.part, (Part.SACRUM, Part.ILIUM_LEFT, Part.ILIUM_RIGHT))
    assert len(joint_facets(made.tets[bones], made.part[bones])[0]) == 0
    for part, field in made.solid.bones.items():
        middle = made.points_mm[made.tets[made.part == part]].mean(axis=1)
        assert (field.at(middle) > -2.5).all()


def test_bones_apart_have_no_joint() -> None:
    with pytest.raises(
        MeshError, match=r"sacrum and ilium (left|right) do not come within .*joint"
    ):
        fill_solid(pelvis(gap_mm=7.0), EdgeLengths(4.0, 4.0), nowhere, 2.0)


def test_hips_that_touch_in_front_are_kept_apart() -> None:
    """Protects: one hip's label grown into the other's at the symphysis is no bridge of bone."""
    left = bone(block([0.0, -20.0, -10.0], [34.0, 20.0, 10.0]))
    right = bone(block([-34.0, -20.0, -10.0], [0.0, 20.0, 10.0]))
    far = bone(lambda x: np.full(len(x), -BAND_MM), 1.0)
    solid = Solid({Part.SACRUM: far, Part.ILIUM_LEFT: left, Part.ILIUM_RIGHT: right})
    middle = np.stack([np.linspace(-6.0, 6.0, 49), np.zeros(49), np.zeros(49)], axis=1)
    inside = solid.outer(middle) > 0.0
    np.testing.assert_array_equal(inside, np.abs(middle[:, 0]) > 0.5 * SYMPHYSIS_MM)


def test_newton_steps_land_on_the_surface() -> None:
    ring = bone(torus)
    rng = np.random.default_rng(2)
    points = rng.uniform(-20.0, 20.0, (500, 3))
    near = points[np.abs(ring.at(points)) < 2.0]
    landed = onto(ring.at, near)
    assert np.abs(ring.at(landed)).max() < 0.02
    # The nearest place, not any: no point moves much farther than its distance.
    moved = np.linalg.norm(landed - near, axis=1)
    assert (moved < 1.1 * np.abs(ring.at(near)) + 0.05).all()


# --- the same mesh -----------------------------------------------------------------------------


def test_the_same_solid_gives_the_same_mesh_also_in_another_process() -> None:
    """Protects: the cache, and records that can be made again."""
    first = digest(pelvis_mesh())
    assert digest(fill_solid(pelvis(), EdgeLengths(5.0, 5.0), nowhere, 2.0)) == first
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_mesher import *\n"
        "print(digest(pelvis_mesh()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == first


def test_a_mirrored_solid_gives_a_mesh_as_good() -> None:
    """Protects: no side is favoured. The meshes differ, for the lattice starts at one corner."""

    start, end = np.array([-14.0, -8.0, -6.0]), np.array([17.0, 9.0, 7.0])

    def capsule(x: FloatArray) -> FloatArray:
        part = np.clip((x - start) @ (end - start) / np.square(end - start).sum(), 0.0, 1.0)
        return np.asarray(10.0 - np.linalg.norm(x - start - part[:, None] * (end - start), axis=1))

    here, there = (
        fill_solid(
            Solid({Part.SACRUM: bone(lambda x, s=sign: capsule(x * [s, 1.0, 1.0]))}),
            EdgeLengths(3.0, 3.0),
            nowhere,
            0.0,
        )
        for sign in (1.0, -1.0)
    )
    a, b = (inverse_condition(m.points_mm, m.tets) for m in (here, there))
    assert a.min() == pytest.approx(b.min(), rel=0.25)
    assert np.percentile(a, 1.0) == pytest.approx(np.percentile(b, 1.0), rel=0.05)
    assert a.mean() == pytest.approx(b.mean(), rel=0.01)
    volume = [signed_volumes_mm3(m.points_mm, m.tets).sum() for m in (here, there)]
    assert volume[0] == pytest.approx(volume[1], rel=1e-3)
