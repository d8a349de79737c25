"""The cement front: exact solutions of the moving boundary, symmetries, balances, stop rules."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from sacrofem.errors import InputError
from sacrofem.treatment.flow import OPENING_MM, Flow, Margin, Stops, inject
from sacrofem.treatment.front import FrontSolver
from sacrofem.treatment.medium import Medium

RATE = 0.05


def block(shape: tuple[int, int, int], step_mm: float = 1.0, mobility: float = 0.2) -> Medium:
    box = tuple(slice(0, n) for n in shape)
    return Medium(box, step_mm, np.full(shape, 0.9), np.full(shape, mobility))  # type: ignore[arg-type]


def rough(shape: tuple[int, int, int], seed: int) -> Medium:
    """Random pores, mobilities over three decades, a tenth of the voxels closed."""
    draw = np.random.default_rng(seed)
    mobility = 10.0 ** draw.uniform(-2.0, 1.0, shape)
    mobility[draw.random(shape) < 0.1] = 0.0
    return replace(
        block(shape), pore=draw.uniform(0.3, 1.0, shape), mobility_mm2_per_kPa_s=mobility
    )


def middle(medium: Medium) -> np.ndarray:
    return (np.array(medium.pore.shape) - 1) / 2.0


def held_ml(medium: Medium, flow: Flow) -> float:
    return float((flow.saturation * medium.pore).sum() * medium.voxel_ml)


def ray_mm(medium: Medium, flow: Flow, start: np.ndarray, way: np.ndarray) -> float:
    """Length of cement on a ray from a voxel: the integral of the saturation."""
    along = np.arange(0.05, 25.0, 0.1)
    points = start[:, None] + np.outer(way / np.linalg.norm(way), along) / medium.step_mm
    return 0.1 * float(ndimage.map_coordinates(flow.saturation, points, order=1).sum())


def test_a_point_deposit_in_a_uniform_medium_grows_to_a_sphere() -> None:
    medium = block((37, 37, 37))
    start = middle(medium)
    for volume_ml in (4.0, 8.0):
        flow = inject(medium, [(start, 1.0)], volume_ml, RATE)
        exact = (3000.0 * volume_ml / 0.9 / (4.0 * np.pi)) ** (1.0 / 3.0)
        ways = np.argwhere(np.ones((3, 3, 3))) - 1.0
        found = [ray_mm(medium, flow, start, way) for way in ways if way.any()]
        np.testing.assert_allclose(found, exact, rtol=0.02)


def test_the_tip_pressure_is_that_of_a_ball_shaped_source() -> None:
    """Source spread over a ball of radius a: p = Q / (4 pi m) (1.2 / a - 1 / R)."""
    medium = block((53, 53, 53), step_mm=0.5)
    flow = inject(medium, [(middle(medium), 1.0)], 3.0, RATE)
    radius = (9000.0 / 0.9 / (4.0 * np.pi)) ** (1.0 / 3.0)
    exact = 1000.0 * RATE / (4.0 * np.pi * 0.2) * (1.2 / OPENING_MM - 1.0 / radius)
    assert flow.pressure_kPa == pytest.approx(exact, rel=0.03)


def test_viscosity_scales_the_pressure_and_not_the_shape() -> None:
    thin = rough((25, 25, 25), 1)
    thick = replace(thin, mobility_mm2_per_kPa_s=thin.mobility_mm2_per_kPa_s / 10.0)
    flows = [inject(medium, [(middle(thin), 1.0)], 1.5, RATE) for medium in (thin, thick)]
    np.testing.assert_allclose(flows[1].saturation, flows[0].saturation, atol=1e-7)
    assert flows[1].pressure_kPa == pytest.approx(10.0 * flows[0].pressure_kPa, rel=1e-4)


def slab(right: float, right_pore: float, from_voxel: int) -> Medium:
    medium = block((241, 1, 1))
    medium.mobility_mm2_per_kPa_s[from_voxel:] = right
    medium.pore[from_voxel:] = right_pore
    return medium


def fronts_mm(medium: Medium, flow: Flow, start: int) -> tuple[float, float]:
    filled = flow.saturation[:, 0, 0] * medium.step_mm
    return float(filled[:start].sum()) + 0.5, float(filled[start + 1 :].sum()) + 0.5


@pytest.mark.parametrize("ratio", [4.0, 0.1])
def test_two_layers_fill_by_the_root_of_their_permeabilities(ratio: float) -> None:
    """Source on the interface: pore X^2 / m is the same on both sides.

    Exactly so for a source without width; a source at a mean distance w on both sides takes
    V w from pore X^2 on each.
    """
    medium, volume_mm3, pores = slab(0.2 * ratio, 0.6, 120), 90.0, np.array([0.9, 0.6])
    source = [(np.array([119.5, 0.0, 0.0]), 1.0)]
    filled = inject(medium, source, volume_mm3 / 1000.0, RATE).saturation[:, 0, 0]
    # Voxels at 0.5 mm give 1/3 of the cement, those at 1.5 mm 1/6, on each side.
    spread = volume_mm3 * (0.5 * 2.0 + 1.5) / 3.0

    def difference(left: float) -> float:
        right = (volume_mm3 - 0.9 * left) / 0.6
        return (0.9 * left**2 - spread) * ratio - (0.6 * right**2 - spread)

    left = brentq(difference, 1.0, volume_mm3 / 0.9)
    exact = np.array([left, (volume_mm3 - 0.9 * left) / 0.6])
    found = np.array([filled[:120].sum(), filled[120:].sum()])
    np.testing.assert_allclose(found, exact, rtol=0.002)
    root = np.sqrt(ratio * pores[0] / pores[1])
    assert found[1] / found[0] == pytest.approx(root, rel=0.08)


@pytest.mark.parametrize("beyond", [1.0, 0.02])
def test_a_layer_ahead_of_the_front_is_entered_as_the_equations_of_motion_say(
    beyond: float,
) -> None:
    """Fronts left and right of the source: dX/dt = m grad p / pore, integrated in time."""
    medium = slab(beyond, 0.5, 133)
    volume_ml, layer = 0.06, 12.5

    def speeds(_: float, x: np.ndarray) -> list[float]:
        near, far = min(x[1], layer), max(x[1] - layer, 0.0)
        left, right = x[0] / 0.2, near / 0.2 + far / beyond
        share = right / (left + right)
        return [share / 0.9, (1.0 - share) / (0.9 if far == 0.0 else 0.5)]

    exact = solve_ivp(speeds, (0.0, 1000.0 * volume_ml), [1e-3, 1e-3], rtol=1e-8, max_step=0.2).y[
        :, -1
    ]
    flow = inject(medium, [(np.array([120.0, 0, 0]), 1.0)], volume_ml, RATE)
    assert fronts_mm(medium, flow, 120) == pytest.approx(tuple(exact), rel=0.01)


def half_spaces(step_mm: float) -> float:
    """Volume of 2 ml that goes into the more permeable half."""
    n = round(28.0 / step_mm)
    medium = block((n, n, n), step_mm)
    medium.mobility_mm2_per_kPa_s[:, :, n // 2 :] *= 6.0
    medium.pore[:, :, n // 2 :] = 0.6
    flow = inject(medium, [(middle(medium), 1.0)], 2.0, RATE)
    upper = (flow.saturation * medium.pore)[:, :, n // 2 :]
    return float(upper.sum() * medium.voxel_ml)


def test_refinement_converges() -> None:
    coarse, mean, fine = (half_spaces(step) for step in (2.0, 1.0, 0.5))
    assert fine > 1.2
    assert abs(fine - mean) < 0.6 * abs(mean - coarse)
    assert fine == pytest.approx(mean, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_every_drop_is_in_the_medium_and_no_pore_is_overfull(seed: int) -> None:
    medium = rough((30, 28, 26), seed)
    sources = [(np.array([12.0, 14.0, 13.0]), 0.3), (np.array([18.0, 13.0, 12.0]), 0.7)]
    flow = inject(medium, sources, 2.0, RATE)
    assert held_ml(medium, flow) == pytest.approx(2.0, rel=1e-9)
    assert flow.placed_ml == pytest.approx(2.0, rel=1e-12)
    assert flow.saturation.min() >= 0.0
    assert flow.saturation.max() <= 1.0 + 1e-7
    assert not flow.saturation[medium.mobility_mm2_per_kPa_s == 0.0].any()


def test_a_mirrored_medium_mirrors_the_cement() -> None:
    medium = rough((25, 24, 23), 7)
    twin = replace(
        medium,
        pore=medium.pore[::-1],
        mobility_mm2_per_kPa_s=np.ascontiguousarray(medium.mobility_mm2_per_kPa_s[::-1]),
    )
    place = np.array([10.3, 12.0, 11.6])
    flow = inject(medium, [(place, 1.0)], 1.2, RATE)
    mirrored = inject(twin, [(np.array([24.0 - 10.3, 12.0, 11.6]), 1.0)], 1.2, RATE)
    np.testing.assert_allclose(mirrored.saturation[::-1], flow.saturation, atol=1e-7)


def test_two_equal_deposits_merge_to_a_symmetric_body_whatever_their_order() -> None:
    medium = block((41, 27, 27))
    a, b = (np.array([x, 13.0, 13.0]) for x in (15.0, 25.0))
    flow = inject(medium, [(a, 0.5), (b, 0.5)], 4.0, RATE)
    turned = inject(medium, [(b, 0.5), (a, 0.5)], 4.0, RATE)
    np.testing.assert_allclose(flow.saturation, flow.saturation[::-1], atol=1e-7)
    np.testing.assert_allclose(flow.saturation, turned.saturation, atol=1e-7)
    assert ndimage.label(flow.saturation > 0.5)[1] == 1


def test_more_cement_holds_less_cement() -> None:
    medium = rough((25, 25, 25), 3)
    small, large = (inject(medium, [(middle(medium), 1.0)], ml, RATE) for ml in (0.8, 1.6))
    assert (large.saturation >= small.saturation - 1e-7).all()


def test_a_front_does_not_depend_on_where_its_search_starts() -> None:
    medium = rough((25, 25, 25), 5)
    solver = FrontSolver(medium.pore, medium.mobility_mm2_per_kPa_s, medium.step_mm)
    source = solver.positions(np.array([[12, 12, 12]]))
    small, large = solver.no_load(), solver.no_load()
    small[source], large[source] = 800.0, 1600.0
    fresh = solver.advance(small, solver.dry)
    shrunk = solver.advance(small, solver.advance(large, solver.dry))
    np.testing.assert_array_equal(shrunk.cells, fresh.cells)
    found, exact = (solver.saturation(small, wet) for wet in (shrunk, fresh))
    np.testing.assert_allclose(found, exact, atol=1e-7)


def test_the_pressure_rule_ends_the_injection_at_the_last_volume_that_keeps_it() -> None:
    """In a narrow tube the pressure rises with the length of the column."""
    medium = block((201, 3, 3))
    source = [(np.array([0.0, 1.0, 1.0]), 1.0)]
    free = inject(medium, source, 1.0, RATE)
    limit = 0.6 * free.pressure_kPa
    flow = inject(medium, source, 1.0, RATE, Stops(pressure_kPa=limit))
    assert flow.pressure_kPa <= limit
    assert flow.stopped_by.startswith(f"pressure at the tip above {limit:g} kPa at 3 ml/min after")
    assert flow.placed_ml + flow.unplaced_ml == 1.0
    assert held_ml(medium, flow) == pytest.approx(flow.placed_ml, rel=1e-9)
    assert inject(medium, source, flow.placed_ml + 0.011, RATE).pressure_kPa > limit
    assert inject(medium, source, flow.placed_ml, RATE, Stops(limit)).stopped_by == ""


def wall(medium: Medium, margin_mm: float) -> Stops:
    """Keep away from the face x = 0 of a block."""
    x = np.arange(medium.pore.shape[0])[:, None, None] + 0.5
    distance = np.broadcast_to(x, medium.pore.shape)
    return Stops(margin=Margin(margin_mm, distance, lambda voxel: f"the wall at {voxel[0]}"))


def test_the_margin_rule_ends_the_injection_and_says_of_what() -> None:
    medium = block((35, 31, 31))
    source = [(np.array([12.0, 15.0, 15.0]), 1.0)]
    flow = inject(medium, source, 6.0, RATE, wall(medium, 5.0))
    assert flow.stopped_by == f"cement within 5.0 mm of the wall at 4 after {flow.placed_ml:.1f} ml"
    assert (flow.saturation[:5] < 0.5).all()
    # The ball around the opening that reaches half of the voxel at 4: 7.5 to 8.5 mm.
    ball_ml = 0.9 * 4.0 / 3.0 * np.pi * np.array([7.5, 8.5]) ** 3 / 1000.0
    assert ball_ml[0] < flow.placed_ml < ball_ml[1]
    assert flow.placed_ml + flow.unplaced_ml == 6.0
    assert flow.history[-1].volume_ml == flow.placed_ml


def test_what_one_opening_cannot_take_goes_to_the_next() -> None:
    medium = block((61, 27, 27))
    near, far = np.array([8.0, 13.0, 13.0]), np.array([40.0, 13.0, 13.0])
    flow = inject(medium, [(near, 0.5), (far, 0.5)], 3.0, RATE, wall(medium, 4.0))
    assert flow.stopped_by == ""
    assert held_ml(medium, flow) == pytest.approx(3.0, rel=1e-9)
    at_far = float((flow.saturation * medium.pore)[25:].sum() * medium.voxel_ml)
    assert 2.0 < at_far < 3.0


def test_nothing_injected_is_no_cement() -> None:
    medium = block((5, 5, 5))
    flow = inject(medium, [(middle(medium), 1.0)], 0.0, RATE)
    assert not flow.saturation.any()
    assert (flow.placed_ml, flow.unplaced_ml, flow.stopped_by) == (0.0, 0.0, "")


def test_an_opening_in_closed_tissue_is_refused() -> None:
    medium = block((15, 15, 15))
    medium.mobility_mm2_per_kPa_s[:8] = 0.0
    with pytest.raises(InputError, match=r"opening 1 of 1 .* lets cement pass"):
        inject(medium, [(np.array([3.0, 7.0, 7.0]), 1.0)], 0.1, RATE)


def test_more_than_the_connected_pores_hold_is_refused_with_what_they_hold() -> None:
    medium = block((21, 11, 11))
    medium.mobility_mm2_per_kPa_s[10] = 0.0
    place = [(np.array([4.0, 5.0, 5.0]), 1.0)]
    with pytest.raises(InputError, match=r"2 ml asked, .* only 1\.1 ml; give a smaller"):
        inject(medium, place, 2.0, RATE)
    nearly = inject(medium, place, 1.08, RATE)
    assert held_ml(medium, nearly) == pytest.approx(1.08, rel=1e-9)
    assert not nearly.saturation[10:].any()
