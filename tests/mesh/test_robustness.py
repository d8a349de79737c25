"""Six pelves of different kinds: a mesh within all limits, or an error that names its cause.

``docs/robustness.py`` does the same for a hundred.
"""

from dataclasses import replace

import numpy as np
import pytest

from sacrofem.errors import InputError, MeshError
from sacrofem.image.labels import HIP_LEFT, SACRUM
from sacrofem.image.phantom import PhantomSpec, make_phantom, phantom_labels
from sacrofem.image.volume import LabelMap
from sacrofem.mesh.bone_mesh import Part, signed_volumes_mm3
from sacrofem.mesh.build import MeshRequest, build_mesh
from sacrofem.mesh.fields import bone_field
from sacrofem.mesh.mesher import EdgeLengths

COARSE = EdgeLengths(4.0, 8.0)
PLAIN = PhantomSpec(voxel_mm=(2.5, 2.5, 2.5), seed=11)
KINDS = {
    "coarse voxels": replace(PLAIN, voxel_mm=(3.0, 3.0, 3.0)),
    "thick slices": replace(PLAIN, voxel_mm=(1.8, 1.8, 3.0), noise_hu=40.0),
    "turned": replace(PLAIN, rotation_deg=(20.0, -15.0, 25.0), sex="male"),
    "small and dysmorphic": replace(PLAIN, size=0.88, dysmorphism=0.9, asymmetry=0.04),
    "bad labels": replace(PLAIN, seed=13, label_holes=12, label_islands=12, label_roughness=0.2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_sacrum_of_each_kind_passes_all_limits(kind: str) -> None:
    """The limits are those of the product; here is what they do not say."""
    bone = build_mesh(*make_phantom(KINDS[kind]), MeshRequest("sacrum", COARSE))
    mesh = bone.mesh
    assert mesh.cell_ml.min() > 0.0
    np.testing.assert_array_equal(np.unique(mesh.tets), np.arange(len(mesh.points_mm)))
    assert np.isfinite(mesh.density.g_per_cm3).all()
    assert set(np.unique(mesh.level)) == {1, 2, 3, 4, 5}


def test_a_pelvis_with_bad_labels_passes_all_limits() -> None:
    spec = replace(KINDS["bad labels"], rotation_deg=(10.0, 0.0, -10.0))
    bone = build_mesh(*make_phantom(spec), MeshRequest("pelvis", COARSE))
    mesh = bone.mesh
    assert set(np.unique(mesh.part)) == {int(part) for part in Part}
    assert signed_volumes_mm3(mesh.points_mm, mesh.tets).min() > 0.0
    left, right = (mesh.part_ml(part) for part in (Part.CARTILAGE_LEFT, Part.CARTILAGE_RIGHT))
    assert left == pytest.approx(right, rel=0.25)


# --- what cannot be meshed names its cause -----------------------------------------------------


def test_a_label_of_a_few_voxels_is_no_bone() -> None:
    labels = phantom_labels(replace(PLAIN, voxel_mm=(3.0, 3.0, 3.0)))
    few = np.zeros_like(labels.labels)
    few[np.unravel_index(np.flatnonzero(labels.mask(SACRUM))[:20], few.shape)] = SACRUM
    with pytest.raises(InputError, match=r"label 25 holds 0\.\d+ ml, at least 1 ml"):
        bone_field(LabelMap(few, labels.grid), SACRUM)


def test_a_missing_hip_is_told() -> None:
    ct, labels = make_phantom(replace(PLAIN, voxel_mm=(3.0, 3.0, 3.0)))
    without = np.where(labels.mask(HIP_LEFT), 0, labels.labels)
    with pytest.raises((InputError, MeshError), match=r"(?i)hip.*left|left.*hip|77"):
        build_mesh(ct, LabelMap(without, labels.grid), MeshRequest("pelvis", COARSE))


def test_a_bone_cut_off_by_the_image_keeps_its_surface() -> None:
    """Protects: a bone that reaches the image's border is closed there, and sound inside."""
    labels = phantom_labels(replace(PLAIN, voxel_mm=(3.0, 3.0, 3.0)))
    low = np.argwhere(labels.mask(SACRUM)).min(axis=0)
    cut = LabelMap(labels.labels[:, :, low[2] + 8 :], labels.grid)
    field = bone_field(cut, SACRUM)
    assert field.label_ml == pytest.approx(cut.mask(SACRUM).sum() * 0.027)
    inside = (field.distance_mm > 0.0).sum() * field.grid.voxel_ml
    assert inside == pytest.approx(field.label_ml, rel=0.02)
    for axis in range(3):
        ends = field.distance_mm.take((0, -1), axis=axis)
        assert (ends < 0.0).all()
