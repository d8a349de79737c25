"""Unusual sacra and bad labels: each is found and said in words with the way out."""

from collections.abc import Callable

import numpy as np
import pytest

from sacrofem.anatomy.checks import check_label, foramen_warnings, fusion_warnings, label_warnings
from sacrofem.anatomy.foramina import ForamenSearch
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.anatomy.surface import bone_indicator
from sacrofem.errors import InputError
from sacrofem.image.labels import L5, SACRUM
from sacrofem.image.volume import LabelMap


def test_a_sound_label_gives_no_words(coarse: LabelMap) -> None:
    assert check_label(coarse, "here.nii") == ()
    assert label_warnings(coarse, bone_indicator(coarse, SACRUM)) == ()


def test_a_sacrum_cut_by_the_upper_edge_is_refused(
    coarse: LabelMap, cropped: Callable[..., LabelMap]
) -> None:
    with pytest.raises(InputError, match=r"here.nii: the edge of the image cuts the sacrum"):
        find_anatomy(cropped(coarse, high_mm=-20.0), "here.nii")


def test_a_cut_coccyx_is_only_told(coarse: LabelMap, cropped: Callable[..., LabelMap]) -> None:
    words = check_label(cropped(coarse, low_mm=-93.0), "here.nii")
    assert len(words) == 1
    assert "cuts the lowest" in words[0]


def test_an_island_on_the_edge_is_no_cut_bone(coarse: LabelMap) -> None:
    values = coarse.labels.copy()
    values[10:12, 10:12, -1] = SACRUM
    assert check_label(LabelMap(values, coarse.grid), "here.nii") == ()


def test_two_pieces_are_refused(coarse: LabelMap) -> None:
    values = coarse.labels.copy()
    k = round((-40.0 - coarse.grid.origin_mm[2]) / 3.0)
    values[:, :, k : k + 2][values[:, :, k : k + 2] == SACRUM] = 0
    with pytest.raises(InputError, match=r"falls into pieces of \d+ and \d+ ml"):
        find_anatomy(LabelMap(values, coarse.grid), "here.nii")


def test_islands_and_cavities_are_cleaned_up_and_told(coarse: LabelMap) -> None:
    values = coarse.labels.copy()
    values[1:3, 1:3, 1:3] = SACRUM
    inner = np.argwhere(coarse.mask(SACRUM))
    deep = inner[np.argmin(np.abs(coarse.grid.to_world(inner) - [36.0, 12.0, -12.0]).sum(axis=1))]
    values[tuple(deep)] = 0
    values[deep[0] + 1, deep[1], deep[2]] = 0
    bone = bone_indicator(LabelMap(values, coarse.grid), SACRUM)
    assert bone.dropped_ml == pytest.approx(8 * coarse.grid.voxel_ml)
    assert bone.filled_ml == pytest.approx(2 * coarse.grid.voxel_ml)
    words = label_warnings(LabelMap(values, coarse.grid), bone)
    assert "islands of the sacrum's label, 0.22 ml" in words[0]
    assert "cavities inside the sacrum's label, 0.05 ml" in words[1]


def test_an_l5_without_disc_is_called_sacralised(coarse: LabelMap, coarse_anatomy: Anatomy) -> None:
    endplate = coarse_anatomy.surface_tag == SurfaceTag.ENDPLATE_S1
    assert fusion_warnings(coarse, coarse_anatomy.surface, endplate) == ()
    index = np.argwhere(coarse.labels == 0)
    local = coarse_anatomy.frame.to_local(coarse.grid.to_world(index))
    disc = (np.abs(local[:, 0]) < 24.0) & (np.abs(local[:, 1]) < 16.0)
    disc &= (local[:, 2] > -4.0) & (local[:, 2] < 12.0)
    values = coarse.labels.copy()
    values[tuple(index[disc].T)] = L5
    words = fusion_warnings(LabelMap(values, coarse.grid), coarse_anatomy.surface, endplate)
    assert len(words) == 1
    assert "L5 is sacralised" in words[0]


@pytest.mark.parametrize(
    ("pairs", "skipped", "third_mm", "words"),
    [
        (5, True, 70.0, "sacralised L5"),
        (5, False, 70.0, "fused coccyx"),
        (3, False, 90.0, "lumbarised"),
    ],
)
def test_other_numbers_of_pairs_are_explained(
    coarse: LabelMap,
    coarse_anatomy: Anatomy,
    pairs: int,
    skipped: bool,
    third_mm: float,
    words: str,
) -> None:
    search = ForamenSearch(coarse_anatomy.foramina, pairs, skipped)
    told = foramen_warnings(coarse, search, coarse_anatomy.curve, third_mm)
    assert len(told) == 1
    assert words in told[0]
