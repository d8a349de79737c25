"""Ligaments: exact alone, exact with the bone, slack where they would push, internal between bones.

The bones are boxes of tetrahedra; the box is mirror-symmetric in its vertices, so that the ends of
its ligaments are too.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from sacrofem.errors import SolverError
from sacrofem.mechanics import ligaments as table
from sacrofem.mechanics import state as states
from sacrofem.mechanics.attachments import default_ligaments, find_ligaments
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.ligaments import ALL, LIGAMENTS, NO_LIGAMENTS, OF_SACRUM, SIDES, Ligaments
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, ModulusField, intact_modulus
from sacrofem.mechanics.sections import make_section
from sacrofem.mechanics.state import StateSolution, solve_state, solve_with_ligaments
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, JointSprings, Support, support_of
from sacrofem.mesh.bone_mesh import BoneMesh

MIRROR = np.array([-1.0, 1.0, 1.0])
NO_CORTEX = MaterialParameters(cortex_mm=0.0)


def leveled(box: Callable[..., BoneMesh], cells: int = 4) -> BoneMesh:
    """A box with the five levels of a sacrum, from its top down."""
    mesh = box(cells)
    level = np.clip(np.ceil(-mesh.centroids_mm[:, 2] / 8.0), 1, 5).astype(np.int8)
    return replace(mesh, level=level)


def line(
    mesh: BoneMesh, vertex: int, end_mm: tuple[float, float, float], k: float, hip: int = -1
) -> Ligaments:
    """One element of the sacrospinous ligament on the left."""
    along = np.array(end_mm) - mesh.points_mm[vertex]
    return Ligaments(
        name=np.array(["sacrospinous"]),
        side=np.array(["left"]),
        stiffness_N_per_mm=np.array([k]),
        vertex=np.array([vertex]),
        hip_vertex=np.array([hip]),
        end_mm=np.array([end_mm]),
        direction=(along / np.linalg.norm(along))[None],
    )


def nearest(mesh: BoneMesh, place_mm: tuple[float, float, float]) -> int:
    return int(np.argmin(np.linalg.norm(mesh.points_mm - np.array(place_mm), axis=1)))


def model_of(
    mesh: BoneMesh,
    ligaments: Ligaments,
    order: int = 1,
    springs: JointSprings | None = None,
    load: SacralLoad | None = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> ElasticModel:
    support = support_of(mesh) if springs is None else Support(SACROILIAC_JOINTS, springs)
    load = load or SacralLoad(500.0, 30.0, moment_Nm=5.0)
    return make_model(mesh, load, support, NO_CORTEX, order, comm, ligaments)


def rigid(mesh: BoneMesh) -> ModulusField:
    """So stiff that springs and ligaments give a thousand times more."""
    base = intact_modulus(mesh)
    return replace(base, young_MPa=np.full_like(base.young_MPa, 1e5))


def test_one_line_on_a_rigid_block_has_the_force_of_the_closed_form(
    box: Callable[..., BoneMesh],
) -> None:
    """Joint springs of stiffness K and a line of stiffness k share 500 N as K to k.

    The line lies in the block's axis of symmetry, where only a translation answers.
    """
    mesh = box(2)
    bottom = nearest(mesh, (0.0, 0.0, -40.0))
    k_t, k, area = 0.5, 300.0, 2.0 * 30.0 * 40.0
    ligaments = line(mesh, bottom, (0.0, 0.0, 10.0), k)
    model = model_of(mesh, ligaments, 1, JointSprings(5.0, k_t), SacralLoad(500.0, 0.0))
    model, state = solve_with_ligaments(model, rigid(mesh))
    joints = k_t * area
    tension = state.ligament_tension_N["sacrospinous"]["left"]
    assert tension == pytest.approx(500.0 * k / (joints + k), rel=1e-3)
    assert state.energy.ligaments_mJ == pytest.approx(0.5 * tension**2 / k, rel=1e-6)
    # The force on a side is that of joint and ligament together.
    assert state.joint_force_N["left"][2] == pytest.approx(
        -0.5 * 500.0 * joints / (joints + k) - tension, rel=1e-3
    )


def test_a_line_that_would_push_carries_nothing(box: Callable[..., BoneMesh]) -> None:
    mesh = box(2)
    below = line(mesh, nearest(mesh, (0.0, 0.0, -40.0)), (0.0, 0.0, -90.0), 300.0)
    bare, held = (model_of(mesh, lig) for lig in (NO_LIGAMENTS, below))
    model, state = solve_with_ligaments(held, intact_modulus(mesh))
    assert len(model.ligaments) == 0
    assert state.ligament_tension_N == {}
    without = solve_state(bare, intact_modulus(mesh))
    np.testing.assert_array_equal(state.displacement_mm, without.displacement_mm)


@pytest.mark.parametrize("order", [1, 2])
def test_all_balances_hold_with_every_ligament(box: Callable[..., BoneMesh], order: int) -> None:
    """Equilibrium, sections above and below ligaments, and energy, as exact as without them."""
    mesh = leveled(box)
    cuts = []
    for height in (-10.0, -20.0, -30.0):
        far = mesh.centroids_mm[:, 2] < height
        cuts.append(make_section(mesh, f"below {height}", far, ~far))
    model = model_of(mesh, find_ligaments(mesh, ALL), order)
    model, state = solve_with_ligaments(model, intact_modulus(mesh), cuts)
    assert 0 < len(model.ligaments) < 76
    assert all(min(side.values()) >= 0.0 for side in state.ligament_tension_N.values())
    assert state.equilibrium_error < 1e-9
    assert max(section.error for section in state.sections) < 1e-9
    assert state.energy.error < 1e-9
    assert state.energy.ligaments_mJ > 0.01 * state.energy.half_work_mJ
    # Far below, what goes through a section is what joints and ligaments bear there.
    pulled = sum(f for sides in state.ligament_force_N.values() for f in sides.values())
    assert np.linalg.norm(pulled) > 1.0


def test_a_section_knows_what_hangs_on_ligaments_below_it(box: Callable[..., BoneMesh]) -> None:
    """Joints above the cut, one line below it: through the cut goes what the line bears."""
    mesh = box(4)
    upper = mesh.points_mm[mesh.facets].mean(axis=1)[:, 2] > -20.0
    tag = np.where(upper, mesh.facet_tag, 0).astype(np.int8)
    mesh = replace(mesh, facet_tag=tag)
    far = mesh.centroids_mm[:, 2] < -20.0
    cut = make_section(mesh, "cut", far, ~far)
    ligaments = line(mesh, nearest(mesh, (15.0, 0.0, -40.0)), (60.0, -10.0, -20.0), 800.0)
    _, state = solve_with_ligaments(model_of(mesh, ligaments), intact_modulus(mesh), [cut])
    borne = state.ligament_force_N["sacrospinous"]["left"]
    assert np.linalg.norm(borne) > 5.0
    np.testing.assert_allclose(state.sections[0].force_N, borne, atol=1e-6)


def test_the_ends_are_mirrored_and_a_symmetric_load_pulls_both_sides_alike(
    box: Callable[..., BoneMesh],
) -> None:
    mesh = leveled(box)
    found = find_ligaments(mesh, ALL)
    left, right = (found.of(found.side == side) for side in SIDES)
    np.testing.assert_array_equal(left.name, right.name)
    np.testing.assert_allclose(
        mesh.points_mm[left.vertex], mesh.points_mm[right.vertex] * MIRROR, atol=1e-9
    )
    np.testing.assert_allclose(left.direction, right.direction * MIRROR, atol=1e-9)
    # A block that does not deform: its tetrahedra are not mirrored.
    model, state = solve_with_ligaments(model_of(mesh, found), rigid(mesh))
    assert len(model.ligaments) > 10
    for name, tension in state.ligament_tension_N.items():
        assert tension["left"] == pytest.approx(tension["right"], rel=0.01, abs=0.05), name


def test_a_stiffer_ligament_is_a_stiffer_model(box: Callable[..., BoneMesh]) -> None:
    mesh = leveled(box)
    found = find_ligaments(mesh, ALL)
    moved = []
    for factor in (0.0, 0.5, 1.0, 10.0):
        scaled = replace(found, stiffness_N_per_mm=factor * found.stiffness_N_per_mm)
        model, state = solve_with_ligaments(model_of(mesh, scaled), intact_modulus(mesh))
        moved.append(float(state.endplate_mm @ model.direction))
    assert np.all(np.diff(moved) < 0.0)


def test_the_taut_set_stays_with_the_model(box: Callable[..., BoneMesh]) -> None:
    """Later states are solved with the intact state's ligaments, whatever lengthens then."""
    mesh = leveled(box)
    intact = intact_modulus(mesh)
    model, _ = solve_with_ligaments(model_of(mesh, find_ligaments(mesh, ALL)), intact)
    soft = replace(intact, young_MPa=np.where(mesh.centroids_mm[:, 0] > 0.0, 5.0, intact.young_MPa))
    state = solve_state(model, soft)
    assert state.energy.error < 1e-9
    assert set(state.ligament_tension_N) == set(model.ligaments.name.tolist())


def test_a_set_that_does_not_settle_is_an_error(
    box: Callable[..., BoneMesh], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "ACTIVE_SETS", 1)
    mesh = leveled(box)
    with pytest.raises(SolverError, match="must settle within 1 solves"):
        solve_with_ligaments(model_of(mesh, find_ligaments(mesh, ALL)), intact_modulus(mesh))


def coupled(mesh: BoneMesh) -> Ligaments:
    """Two lines between vertices of one bone: as between sacrum and ilium of a pelvis."""
    one = nearest(mesh, (15.0, 0.0, -10.0)), nearest(mesh, (-15.0, 15.0, -40.0))
    two = nearest(mesh, (-30.0, -15.0, 0.0)), nearest(mesh, (30.0, 0.0, -30.0))
    rows = [line(mesh, a, tuple(mesh.points_mm[b]), 2e3, b) for a, b in (one, two)]
    names = Ligaments.__dataclass_fields__
    return Ligaments(**{n: np.concatenate([getattr(r, n) for r in rows]) for n in names})


@pytest.mark.parametrize("order", [1, 2])
def test_a_line_between_two_bones_gives_the_world_no_force(
    box: Callable[..., BoneMesh], order: int
) -> None:
    """Its forces are internal: supports carry the load alone, and its energy is stored."""
    mesh = box(4)
    far = mesh.centroids_mm[:, 2] < -20.0
    cut = make_section(mesh, "cut", far, ~far)
    model = model_of(mesh, coupled(mesh), order)
    state = solve_state(model, intact_modulus(mesh), [cut])
    carried = state.joint_force_N["left"] + state.joint_force_N["right"]
    np.testing.assert_allclose(carried, model.force_N, atol=1e-6)
    assert state.sections[0].error < 1e-9
    assert state.energy.error < 1e-9
    assert state.energy.ligaments_mJ > 1e-4
    bare = solve_state(model_of(mesh, NO_LIGAMENTS, order), intact_modulus(mesh))
    assert np.abs(state.displacement_mm - bare.displacement_mm).max() > 1e-4


@pytest.mark.mpi
@pytest.mark.parametrize("order", [1, 2])
def test_all_ranks_together_find_what_one_rank_finds(
    box: Callable[..., BoneMesh], order: int
) -> None:
    mesh = leveled(box, 3)
    for ligaments in (find_ligaments(mesh, ALL), coupled(mesh)):
        found: list[StateSolution] = []
        for comm in (MPI.COMM_SELF, MPI.COMM_WORLD):
            model = model_of(mesh, ligaments, order, comm=comm)
            found.append(solve_with_ligaments(model, intact_modulus(mesh))[1])
        alone, together = found
        size = np.abs(alone.displacement_mm).max()
        np.testing.assert_allclose(
            together.displacement_mm, alone.displacement_mm, atol=1e-8 * size
        )
        for name, sides in alone.ligament_tension_N.items():
            for side in SIDES:
                assert together.ligament_tension_N[name][side] == pytest.approx(
                    sides[side], abs=1e-6
                )


def test_a_ligament_is_as_stiff_as_the_table_whatever_its_elements(
    box: Callable[..., BoneMesh],
) -> None:
    mesh = leveled(box)
    found = find_ligaments(mesh, ALL)
    for name, asked in LIGAMENTS.items():
        for side in SIDES:
            here = (found.name == name) & (found.side == side)
            assert here.sum() == asked.elements
            assert found.stiffness_N_per_mm[here].sum() == pytest.approx(asked.N_per_mm)
    np.testing.assert_allclose(np.linalg.norm(found.direction, axis=1), 1.0)


def test_what_the_mesh_does_not_have_is_left_out(box: Callable[..., BoneMesh]) -> None:
    """A box of the first level alone has no lower sacrum for ligaments to hold."""
    mesh = box(2)
    assert default_ligaments(mesh) == OF_SACRUM
    assert len(find_ligaments(mesh)) == 0
    assert set(find_ligaments(mesh, ALL).name) <= set(table.ALL) - set(OF_SACRUM)


def test_each_ligament_runs_where_its_name_says(box: Callable[..., BoneMesh]) -> None:
    """Front and back border of the joint, back of the bone, its margin; down, up and forward."""
    mesh = leveled(box)
    found = find_ligaments(mesh, ALL)
    start, way = (
        {name: rows[found.name == name] for name in ALL}
        for rows in (mesh.points_mm[found.vertex], found.direction)
    )
    np.testing.assert_allclose(np.abs(start["anterior sacroiliac"][:, 0]), 30.0)
    np.testing.assert_allclose(start["anterior sacroiliac"][:, 1], -15.0)
    np.testing.assert_allclose(np.abs(start["interosseous"][:, 0]), 30.0)
    np.testing.assert_allclose(start["interosseous"][:, 1], 15.0)
    np.testing.assert_allclose(start["short posterior sacroiliac"][:, 1], 15.0)
    np.testing.assert_allclose(start["long posterior sacroiliac"][:, 1], 15.0)
    slope = np.radians(40.0)
    up, back = np.array([0, np.sin(slope), np.cos(slope)]), np.array([0, 1.0, 0])
    assert (way["interosseous"] @ up > 0.3).all()
    assert (way["sacrospinous"] @ back).mean() < -0.3
    assert (way["sacrotuberous"] @ up).mean() < -0.5
    assert (start["long posterior sacroiliac"] @ up).max() < (
        start["short posterior sacroiliac"] @ up
    ).mean()
    # All run away from the midline.
    outwards = np.sign(mesh.points_mm[found.vertex, 0]) * found.direction[:, 0]
    assert (outwards > 0.0).all()
