"""Levels and Denis' zones: a point in the ala is in I, in a foramen in II, in the canal in III."""

import numpy as np
import pytest

from sacrofem.anatomy.landmarks import Anatomy
from sacrofem.image.phantom import PhantomTruth

SIDES = (("left", 1), ("right", -1))


def test_the_lateral_masses_are_in_zone_one(anatomy: Anatomy) -> None:
    points = np.stack([anatomy.lateral_mass_mm[side] for side, _ in SIDES])
    assert anatomy.denis_zone(points).tolist() == [1, 1]


def test_all_foramina_are_in_zone_two(known: PhantomTruth, anatomy: Anatomy) -> None:
    for table in (known.anterior_foramina_mm, known.posterior_foramina_mm):
        for side, sign in SIDES:
            assert set(anatomy.denis_zone(table[side])) == {2}
            assert set(anatomy.side_of(table[side])) == {sign}


def test_bodies_and_canal_are_in_zone_three(known: PhantomTruth, anatomy: Anatomy) -> None:
    assert set(anatomy.denis_zone(known.canal_mm)) == {3}
    assert set(anatomy.denis_zone(known.level_boundaries_mm)) == {3}


def test_zones_follow_each_other_from_the_midline_to_the_side(anatomy: Anatomy) -> None:
    middle = anatomy.curve.to_curved(anatomy.foramen_s1_mm["left"][None])[0]
    for sign in (1.0, -1.0):
        x = sign * np.linspace(0.0, 60.0, 121)
        line = np.column_stack([x, np.full(121, middle[1]), np.full(121, middle[2])])
        zone = anatomy.denis_zone(anatomy.curve.to_world(line))
        assert (np.diff(zone) <= 0).all()
        assert set(zone) == {1, 2, 3}
        # As wide as the foramen.
        wide = 0.5 * (zone == 2).sum()
        assert wide == pytest.approx(11.0, abs=4.0)


def test_levels_count_downwards_and_change_at_the_fused_discs(
    known: PhantomTruth, anatomy: Anatomy
) -> None:
    edges = known.level_boundaries_mm
    middles = 0.5 * (edges[1:] + edges[:-1])
    assert anatomy.level_of(middles).tolist() == [1, 2, 3, 4, 5]
    borders = anatomy.curve.to_curved(edges[1:5])[:, 1]
    np.testing.assert_allclose(anatomy.map.border_s_mm, borders, atol=3.0)


def test_every_part_of_the_bone_has_a_level_and_a_zone(anatomy: Anatomy) -> None:
    points = anatomy.surface.points_mm
    assert set(anatomy.level_of(points)) == {1, 2, 3, 4, 5}
    assert set(anatomy.denis_zone(points)) == {1, 2, 3}
