"""The atlas: what a file keeps of an anatomy is what was found."""

import json

import numpy as np
import pytest

from sacrofem.anatomy.atlas import atlas_from_json, atlas_of
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.landmarks import Anatomy


def test_atlas_goes_through_json(anatomy: Anatomy) -> None:
    """Protects: a cached mesh has the landmarks, levels and zones of the mesh that was made."""
    atlas = atlas_of(anatomy)
    text = json.dumps(atlas.as_json())
    again = atlas_from_json(json.loads(text))
    assert json.dumps(again.as_json()) == text
    assert list(again.foramina) == list(atlas.foramina)
    for name, foramen in atlas.foramina.items():
        read = again.foramen(*name)
        assert (read.found, read.basis) == (foramen.found, foramen.basis)
        assert read.centre_mm == pytest.approx(foramen.centre_mm)
        assert read.diameter_mm == pytest.approx(foramen.diameter_mm)
    rng = np.random.default_rng(7)
    points = anatomy.frame.to_world(rng.uniform([-60, -40, -100], [60, 60, 10], (500, 3)))
    assert np.array_equal(again.frame.to_local(points), atlas.frame.to_local(points))
    assert again.curve.to_curved(points) == pytest.approx(atlas.curve.to_curved(points))
    assert np.array_equal(again.map.level_of(points), anatomy.level_of(points))
    assert np.array_equal(again.map.denis_zone(points), anatomy.denis_zone(points))
    assert np.array_equal(again.canal.line_mm, atlas.canal.line_mm)
    assert again.canal.found == anatomy.canal.found


def test_atlas_keeps_what_treatments_ask_for(anatomy: Anatomy) -> None:
    """Protects: left stays left, and the joints are where the surface says."""
    atlas = atlas_of(anatomy)
    for side, tag in (("left", SurfaceTag.AURICULAR_LEFT), ("right", SurfaceTag.AURICULAR_RIGHT)):
        assert np.array_equal(atlas.joint_mm[side], anatomy.joint_centre_mm(tag))
        local = atlas.frame.to_local(atlas.joint_mm[side][None])[0]
        assert (local[0] > 0) == (side == "left")
    assert np.array_equal(atlas.promontory_mm, anatomy.promontory_mm)
    assert atlas.endplate_size_mm == anatomy.endplate_size_mm


def test_a_canal_that_the_labels_close_survives(anatomy: Anatomy) -> None:
    """Protects: an atlas without any canal is written and read, not refused."""
    values = atlas_of(anatomy).as_json()
    values["canal"] = {**values["canal"], "line_mm": [], "found": False}
    again = atlas_from_json(json.loads(json.dumps(values)))
    assert again.canal.line_mm.shape == (0, 3)
    assert not again.canal.found
