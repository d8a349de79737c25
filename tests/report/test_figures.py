"""Figures and 3-D pictures of a box of bone."""

import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pyvista as pv
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from sacrofem.report import figures, scene
from sacrofem.report.slices import Slice, cut, in_region
from sacrofem.report.view import BoneView

SLICES = (
    figures.density_slices,
    figures.modulus_slices,
    figures.stress_slices,
    figures.difference_slices,
)
needs_opengl = pytest.mark.skipif(
    scene.render_window() is None, reason="VTK cannot draw off-screen here"
)


def pixels(figure: Figure) -> NDArray[np.float64]:
    return np.asarray(imread(io.BytesIO(figures.png(figure, dpi=50)))[..., :3])


def lesion_in(piece: Slice, view: BoneView) -> NDArray[np.bool_]:
    return in_region(view, view.diseased, piece.local_mm)


@pytest.mark.parametrize("draw", SLICES)
def test_slices_are_drawn(draw: Callable[[BoneView], Figure], views: dict[str, BoneView]) -> None:
    """Protects: a figure has a picture in each panel, and units on axes and colour bar."""
    figure = draw(views["right"])
    assert pixels(figure).std() > 0.02
    *panels, bar = figure.axes
    for axes in panels:
        assert axes.images
        assert float(np.ptp(axes.images[0].get_array().compressed())) >= 0.0
        assert axes.get_xlabel().endswith(", mm")
    assert bar.get_ylabel().split(", ")[-1][:2] in ("MP", "mg")


def test_bars_show_every_arm(summary: dict[str, Any]) -> None:
    """Protects: a bar of every arm and state, with and without numbers."""
    figure = figures.bars(summary)
    assert [len(axes.patches) for axes in figure.axes] == [6, 4, 3]
    assert pixels(figure).std() > 0.02
    for state in ("intact", "lesion", "treated"):
        summary["arms"]["balloon"][state] = dict.fromkeys(summary["arms"]["balloon"][state])
    assert pixels(figures.bars(summary)).std() > 0.02


def test_right_lesion_is_on_the_left_of_axial_and_coronal(views: dict[str, BoneView]) -> None:
    """Protects: the radiological convention; a flip would move the lesion to the other side."""
    axial, coronal, _ = figures.density_slices(views["right"]).axes[:3]
    centre = views["right"].centre_mm
    assert centre[0] < 0
    for axes in (axial, coronal):
        place = axes.transData.transform((centre[0], 0.0))
        assert axes.transAxes.inverted().transform(place)[0] < 0.5
    low, high = axial.get_ylim()
    assert low > high, "the back is below in an axial picture"
    letters = {t.get_text(): t.get_position()[0] for t in axial.texts}
    assert letters["R"] < 0.5 < letters["L"]


def test_swapping_left_and_right_mirrors_the_slices(views: dict[str, BoneView]) -> None:
    """Protects: a mirrored patient gives mirrored pictures."""
    left, right = (cut(views[side]) for side in ("left", "right"))
    for piece, other in zip(left[:2], right[:2], strict=True):
        first, second = lesion_in(piece, views["left"]), lesion_in(other, views["right"])
        assert first.sum() > 500
        width = min(first.shape[1], second.shape[1])
        mirrored = second[:, ::-1][:, -width:]
        both = first[:, :width] & mirrored
        assert both.sum() > 0.9 * (first[:, :width] | mirrored).sum()
        assert (first & second).sum() == 0


def test_slices_carry_the_values_of_their_cells(views: dict[str, BoneView]) -> None:
    """Protects: a pixel shows the cell under it and nothing outside the bone."""
    view = views["right"]
    for piece in cut(view):
        shown = piece.of_cells(view.mesh.centroids_mm[:, 2])
        error = np.abs(shown - piece.local_mm[..., 2])[piece.bone]
        assert error.max() < 5.0
        assert np.ma.getmaskarray(shown)[0].all()


def test_empty_cement_is_drawn_as_none(views: dict[str, BoneView]) -> None:
    """Protects: a control without cement has a report."""
    view = views["right"]
    assert not in_region(view, np.zeros(len(view.diseased), bool), np.zeros((4, 5, 3))).any()


def test_cameras_have_the_patients_sides_right() -> None:
    """Protects: right is on the right from behind and on the left from in front."""
    for camera, sign in ((scene.BEHIND, -1.0), (scene.FRONT_ABOVE, 1.0)):
        towards, right, up = scene.camera_axes(camera)
        assert right == pytest.approx([sign, 0.0, 0.0])
        assert np.cross(right, up) == pytest.approx(towards)
        assert up[2] > 0


@needs_opengl
def test_scene_shows_the_lesion_on_its_side(views: dict[str, BoneView]) -> None:
    """Protects: 3-D pictures are not mirrored: the cement is where the labels say."""
    for side, behind_is_right in (("right", True), ("left", False)):
        figure = scene.treatment_scene(views[side])
        behind, front = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
        assert (yellow_centre(behind) > 0.5) == behind_is_right
        assert (yellow_centre(front) < 0.5) == behind_is_right


@needs_opengl
def test_stress_scene_leaves_no_trace(views: dict[str, BoneView]) -> None:
    """Protects: a picture changes no setting of the process that asked for it."""
    before = (dict(os.environ), pv.OFF_SCREEN, pv.global_theme.to_dict())
    assert pixels(scene.stress_scene(views["right"])).std() > 0.02
    assert (dict(os.environ), pv.OFF_SCREEN, pv.global_theme.to_dict()) == before


def yellow_centre(picture: NDArray[np.uint8]) -> float:
    """Horizontal centre of what is yellow or orange, as a part of the width."""
    red, _, blue = (picture[..., i].astype(float) for i in range(3))
    columns = np.nonzero(red - blue > 70.0)[1]
    assert len(columns) > 200
    return float(columns.mean() / picture.shape[1])
