"""Breaches: a named face opens within reach of the lesion, nothing else does."""

from functools import cache

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.mesh.bone_mesh import boundary_facets
from sacrofem.mesh.compartments import PASSAGES
from sacrofem.mesh.tissue_grid import BONE
from sacrofem.treatment.breach import REACH_MM, faces_in, outline
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.plan import Breach, LesionPlan
from sacrofem.treatment.sites import place_lesions

FACES: tuple[Breach, ...] = ("anterior", "posterior", "foraminal", "articular")


@cache
def large(field: OperatingField, *breach: Breach) -> Lesion:
    """A lateral mass full of tumour: it meets every face."""
    return place_lesions(
        field, [LesionPlan(site="lateral mass left", volume_ml=12.0, breach=breach)]
    )[0]


def test_every_face_lies_where_its_name_says(field: OperatingField) -> None:
    """Protects: the faces themselves, on the whole bone: disjoint, on the surface, right side."""
    box = field.tissue.sacrum_box
    faces = faces_in(field, box)
    surface = outline(field, box)
    assert np.sum(list(faces.values()), axis=0).max() == 1
    start = [cut.start for cut in box]
    curve, frame = field.atlas.curve, field.atlas.frame
    depth = {}
    for name, face in faces.items():
        assert face.sum() > 500
        assert not (face & ~surface).any()
        local = field.tissue.local_of(np.argwhere(face) + start)
        depth[name] = curve.to_curved(frame.to_world(local))
    assert np.median(depth["anterior"][:, 2]) < 6.0
    assert np.median(depth["posterior"][:, 2]) > np.median(depth["anterior"][:, 2]) + 15.0
    assert np.abs(depth["articular"][:, 0]).min() > 25.0
    assert np.abs(depth["foraminal"][:, 0]).max() < 40.0
    # The endplate looks up and, where the sacrum stands steep, backwards.
    posterior = field.tissue.local_of(np.argwhere(faces["posterior"]) + np.array(start, float))
    half_width_mm = 0.5 * field.atlas.endplate_size_mm[0] - 5.0
    on_endplate = (np.abs(posterior[:, 0]) < half_width_mm) & (posterior[:, 2] > -2.0)
    assert not (on_endplate & (np.abs(posterior[:, 1]) < 10.0)).any()
    bone = field.tissue.tissue[box] == BONE
    passage = np.isin(field.tissue.compartment[box], PASSAGES) & ~bone
    for axis in range(3):
        for step in (-1, 1):
            beside = np.roll(passage, step, axis=axis) & bone
            assert (faces["foraminal"] | ~beside).all()


@pytest.mark.parametrize("breach", FACES)
def test_a_breach_opens_only_its_face_within_reach(field: OperatingField, breach: Breach) -> None:
    lesion = large(field, breach)
    faces = faces_in(field, field.tissue.sacrum_box)
    opened = lesion.open_voxels[field.tissue.sacrum_box]
    assert opened.any()
    assert not (opened & ~faces[breach]).any()
    here = np.argwhere(lesion.voxels)
    for voxel in np.argwhere(lesion.open_voxels):
        away = field.tissue.step_mm * np.sqrt(((here - voxel) ** 2).sum(axis=1).min())
        assert away <= REACH_MM
    np.testing.assert_array_equal(lesion.inside, large(field).inside)


@pytest.mark.parametrize("breach", FACES)
def test_cortex_is_lost_on_the_facets_of_the_open_voxels(
    field: OperatingField, breach: Breach
) -> None:
    """Protects: the same hole for flow and for mechanics: area and place agree."""
    lesion = large(field, breach)
    lost = lesion.cortex_lost
    facets, behind = boundary_facets(field.mesh.tets)
    assert lost.min() >= 0.0
    assert lost.max() <= 1.0 + 1e-12
    assert lost[np.setdiff1d(np.arange(len(lost)), behind)].max() == 0.0
    corner = field.mesh.points_mm[facets]
    area = 0.5 * np.linalg.norm(
        np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1
    )
    gone_mm2 = float(lost[behind] @ area)
    # A face of voxels askew to the grid has fewer voxels than mm2, by up to sqrt(3).
    assert 0.6 < gone_mm2 / lesion.open_voxels.sum() < 2.0
    middle = field.atlas.frame.to_local(corner[lost[behind] > 0.5].mean(axis=1))
    opened = field.tissue.local_of(np.argwhere(lesion.open_voxels).astype(float))
    for place in middle:
        assert np.sqrt(((opened - place) ** 2).sum(axis=1).min()) < 4.0


def test_without_a_breach_the_cortex_stays(field: OperatingField) -> None:
    lesion = large(field)
    assert not lesion.open_voxels.any()
    assert not lesion.cortex_lost.any()


def test_several_breaches_add_up(field: OperatingField) -> None:
    both = large(field, "anterior", "articular")
    front, joint = large(field, "anterior"), large(field, "articular")
    np.testing.assert_array_equal(both.open_voxels, front.open_voxels | joint.open_voxels)
    np.testing.assert_allclose(both.cortex_lost, front.cortex_lost + joint.cortex_lost)


def test_a_face_that_the_lesion_does_not_come_near_is_an_error(field: OperatingField) -> None:
    plan = LesionPlan(site="vertebral body", volume_ml=1.0, breach=("articular",))
    with pytest.raises(
        InputError, match=r"breach 'articular' needs .* within 3 mm .* [0-9.]+ mm away"
    ):
        place_lesions(field, [plan])
