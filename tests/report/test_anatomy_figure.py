"""The picture of the anatomy: sides as radiologists expect them, every landmark named."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from sacrofem.anatomy.landmarks import Anatomy, find_anatomy
from sacrofem.image.phantom import PhantomSpec, make_phantom
from sacrofem.image.volume import CtVolume, LabelMap
from sacrofem.report.anatomy_figure import draw_anatomy, looks

COARSE = PhantomSpec(voxel_mm=(3.0, 3.0, 3.0), noise_hu=0.0, texture_hu=0.0)


@pytest.fixture(scope="module")
def images() -> tuple[CtVolume, LabelMap]:
    return make_phantom(COARSE)


@pytest.fixture(scope="module")
def anatomy(images: tuple[CtVolume, LabelMap]) -> Anatomy:
    return find_anatomy(images[1])


@pytest.fixture(scope="module")
def figure(images: tuple[CtVolume, LabelMap], anatomy: Anatomy) -> Figure:
    return draw_anatomy(*images, anatomy)


def test_the_patients_left_is_on_the_readers_right_from_the_front(anatomy: Anatomy) -> None:
    front, behind = looks(anatomy)
    left = anatomy.foramen("S1", "left", "anterior").centre_mm
    right = anatomy.foramen("S1", "right", "anterior").centre_mm
    assert front.pixel(left)[0, 0] > front.pixel(right)[0, 0]
    assert behind.pixel(left)[0, 0] < behind.pixel(right)[0, 0]


def test_views_look_at_the_pelvic_and_the_dorsal_face_upright(anatomy: Anatomy) -> None:
    front, behind = looks(anatomy)
    assert front.towards @ anatomy.frame.posterior < 0.0
    np.testing.assert_allclose(behind.towards, -front.towards)
    for look in (front, behind):
        axes = np.stack([look.right, look.up, look.towards])
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(axes) == pytest.approx(1.0)
        # The promontory is above the hiatus.
        top, bottom = look.pixel(anatomy.promontory_mm), look.pixel(anatomy.canal.hiatus_mm)
        assert top[0, 1] < bottom[0, 1]


def test_every_landmark_is_named(figure: Figure) -> None:
    words = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    for name in ("promontory", "hiatus", "SI joint left", "SI joint right", "sacral slope"):
        assert name in words
    for level in ("S1", "S2", "S3", "S4"):
        # From the front and from behind.
        assert words.count(f"{level} left") == words.count(f"{level} right") == 2


def test_slices_have_left_and_right_on_the_radiologists_sides(figure: Figure) -> None:
    for axes in figure.axes:
        letters = {t.get_text(): t.get_position()[0] for t in axes.texts}
        if axes.get_title().startswith(("coronal", "across")):
            assert letters["R"] < letters["L"]
        if axes.get_title() == "mid-sagittal":
            assert letters["A"] < letters["P"]


def test_warnings_stand_beside_the_picture(
    images: tuple[CtVolume, LabelMap], anatomy: Anatomy, figure: Figure
) -> None:
    words = " ".join(
        text.get_text().replace("\n", " ") for axes in figure.axes for text in axes.texts
    )
    for warning in anatomy.warnings:
        assert warning in words
