"""The cement of a control CT: a mask of known cement gives it back, in volume and place."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray, Grid, LabelMap
from sacrofem.mesh.compartments import Compartment
from sacrofem.treatment.control_ct import fill_from_mask, signed_distance_mm
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import FillPlan


def ball_mask(
    centre_mm: FloatArray,
    radius_mm: float,
    spacing_mm: tuple[float, float, float] = (0.7, 0.7, 1.0),
) -> LabelMap:
    """A ball in an oblique image of its own, as a control CT has."""
    turn = np.radians(20.0)
    direction = np.array(
        [[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]]
    )
    shape = (60, 60, 50)
    offset = direction @ (np.array(spacing_mm) * np.array(shape) / 2.0)
    grid = Grid(shape, spacing_mm, centre_mm - offset, direction)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = grid.to_world(index.reshape(-1, 3).astype(float))
    inside = np.linalg.norm(world - centre_mm, axis=1).reshape(shape) <= radius_mm
    return LabelMap(inside.astype(np.uint8), grid)


def mask_of(field: OperatingField, region: NDArray[np.bool_]) -> LabelMap:
    """A region of the samples as a label map on the tissue grid's own voxels."""
    grid = np.zeros(field.tissue.tissue.shape, dtype=np.uint8)
    grid[tuple(axis[region] for axis in field.voxel)] = 1
    corners = field.atlas.frame.to_world(field.tissue.local_of(np.vstack([np.zeros(3), np.eye(3)])))
    axes = (corners[1:] - corners[0]).T / field.tissue.step_mm
    step = field.tissue.step_mm
    return LabelMap(grid, Grid(grid.shape, (step, step, step), corners[0], axes))


def test_a_ball_in_the_bone_comes_back_with_its_volume_and_place(field: OperatingField) -> None:
    centre = field.mesh.lateral_mass_mm["right"]
    mask = ball_mask(centre, 8.0)
    own_ml = float(mask.labels.sum()) * mask.grid.voxel_ml
    fill = fill_from_mask(field, FillPlan("mask", mask=mask), None)
    assert fill.injected_ml == pytest.approx(own_ml)
    assert fill.cement_ml == pytest.approx(own_ml)
    assert field.samples.volume_ml(fill.interdigitated) == pytest.approx(own_ml, rel=0.005)
    points = field.samples.points_mm[fill.inside]
    assert np.linalg.norm(points - centre, axis=1).max() < 8.0 + 0.7
    np.testing.assert_allclose(points.mean(axis=0), centre, atol=0.5)
    assert not fill.pure.any()
    assert fill.leak_ml == {}
    assert "interdigitated" in fill.notes[0]


def test_a_mask_made_from_a_fill_gives_the_fill_back(field: OperatingField) -> None:
    centre = field.mesh.lateral_mass_mm["left"]
    wide = ball_mask(centre, 10.0)
    first = fill_from_mask(field, FillPlan("mask", 5.0, mask=wide), None)
    again = fill_from_mask(field, FillPlan("mask", 5.0, mask=mask_of(field, first.inside)), None)
    same = field.samples.volume_ml(first.inside & again.inside)
    assert same > 0.93 * 5.0
    assert again.augmented_ml == pytest.approx(5.0, rel=0.005)


@pytest.mark.parametrize("cement_ml", [0.0, 1.0, 3.0, 6.0])
def test_a_mask_shrinks_or_grows_to_an_asked_volume(
    field: OperatingField, cement_ml: float
) -> None:
    centre = field.mesh.lateral_mass_mm["right"]
    mask = ball_mask(centre, 8.0)
    fill = fill_from_mask(field, FillPlan("mask", cement_ml, mask=mask), None)
    assert fill.augmented_ml == pytest.approx(cement_ml, rel=0.005)
    # What shrinks or grows by a distance stays a ball.
    farthest = np.linalg.norm(field.samples.points_mm[fill.inside] - centre, axis=1).max(initial=0)
    assert farthest == pytest.approx(np.cbrt(3000 * cement_ml / (4 * np.pi)), abs=0.8)


def test_what_lies_outside_the_bone_is_leakage_by_compartment(field: OperatingField) -> None:
    promontory = field.atlas.promontory_mm
    mask = ball_mask(promontory, 8.0)
    fill = fill_from_mask(field, FillPlan("mask", mask=mask), None)
    assert fill.leak_ml[Compartment.PRESACRAL] > 0.3
    assert fill.cement_ml > 0.2
    assert fill.cement_ml + fill.leaked_ml == pytest.approx(fill.injected_ml, abs=1e-9)
    assert fill.augmented_ml == pytest.approx(fill.cement_ml, rel=0.01)


def test_cement_in_a_foramen_is_at_no_distance_from_its_nerve(field: OperatingField) -> None:
    foramen = field.atlas.foramen("S1", "left", "anterior").centre_mm
    fill = fill_from_mask(field, FillPlan("mask", mask=ball_mask(foramen, 6.0)), None)
    assert fill.leak_ml[Compartment.FORAMEN_S1_LEFT] > 0.05
    assert fill.nerve_distance_mm[Compartment.FORAMEN_S1_LEFT] == 0.0
    assert fill.nerve_distance_mm[Compartment.FORAMEN_S1_RIGHT] > 20.0


def test_earlier_cement_is_not_claimed_again(field: OperatingField) -> None:
    mask = ball_mask(field.mesh.lateral_mass_mm["right"], 8.0)
    first = fill_from_mask(field, FillPlan("mask", 1.0, mask=mask), None)
    occupied = np.zeros(field.tissue.tissue.shape, dtype=bool)
    occupied[tuple(axis[first.inside] for axis in field.voxel)] = True
    second = fill_from_mask(field, FillPlan("mask", 1.0, mask=mask), occupied)
    assert not (first.inside & second.inside).any()


def test_the_signed_distance_of_a_ball_is_that_to_its_surface() -> None:
    centre = np.array([10.0, -5.0, 3.0])
    ray = np.array([0.6, 0.0, 0.8])
    at = np.array([2.0, 6.0, 8.0, 10.0, 14.0])
    signed = signed_distance_mm(ball_mask(centre, 8.0), centre + at[:, None] * ray)
    np.testing.assert_allclose(signed, at - 8.0, atol=0.6)
    assert np.isinf(signed_distance_mm(ball_mask(centre, 8.0), centre[None] + 60.0)).all()


def test_masks_that_cannot_be_used_are_refused(field: OperatingField) -> None:
    centre = field.mesh.lateral_mass_mm["right"]
    mask = ball_mask(centre, 4.0)
    with pytest.raises(InputError, match="no mask is given"):
        fill_from_mask(field, FillPlan("mask"), None)
    empty = replace(mask, labels=np.zeros_like(mask.labels))
    with pytest.raises(InputError, match="the mask is empty"):
        fill_from_mask(field, FillPlan("mask", mask=empty), None)
    elsewhere = ball_mask(centre + 500.0, 4.0)
    with pytest.raises(InputError, match=r"nowhere near this sacrum; register"):
        fill_from_mask(field, FillPlan("mask", mask=elsewhere), None)
    with pytest.raises(InputError, match=r"50 ml asked, but within 10 mm .* only \d+\.\d ml"):
        fill_from_mask(field, FillPlan("mask", 50.0, mask=mask), None)
