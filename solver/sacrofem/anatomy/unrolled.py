"""The unrolled sacrum as an image, with its front and back as height maps and the voids between."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.anatomy.curve import STEP_MM, SacralCurve
from sacrofem.anatomy.surface import BoneIndicator, BoneSurface
from sacrofem.image.volume import FloatArray

#: Radius of the disk that bridges the foramina in the height maps, in mm: openings are up to
#: 13 mm wide (facts: jcdr 11661), larger ones in dysmorphic sacra; twice the radius is bridged.
BRIDGE_MM = 10.0
#: Depth counts up to this, in mm: where one can see through the bone the pit has no floor.
DEEPEST_MM = 20.0
MARGIN_MM = 3.0


@dataclass(frozen=True, eq=False)
class Unrolled:
    """Bone on a regular grid of the curve's coordinates (x, s, t), :data:`STEP_MM` apart.

    Attributes:
        curve: The curve.
        x_mm, s_mm, t_mm: Axes, shapes (a,), (b,), (c,); ``x_mm`` is symmetric about 0.
        bone: Which points lie in bone, shape (a, b, c).
        outline: The shadow of the bone along ``t`` with its holes filled, shape (a, b).
        front_mm, back_mm: ``t`` of the bridged pelvic and dorsal face, shape (a, b).
        front_pit_mm, back_pit_mm: How deep the bone lies under those faces, 0 to
            :data:`DEEPEST_MM`, shape (a, b); 0 outside the outline.
    """

    curve: SacralCurve
    x_mm: FloatArray
    s_mm: FloatArray
    t_mm: FloatArray
    bone: NDArray[np.bool_]
    outline: NDArray[np.bool_]
    front_mm: FloatArray
    back_mm: FloatArray
    front_pit_mm: FloatArray
    back_pit_mm: FloatArray

    @property
    def void(self) -> NDArray[np.bool_]:
        """Canal, foramina and other voids under the bridged faces, shape (a, b, c)."""
        under = (self.t_mm > self.front_mm[..., None]) & (self.t_mm < self.back_mm[..., None])
        return np.asarray(~self.bone & under & self.outline[..., None])

    def column(self, x_mm: float, s_mm: float) -> tuple[int, int]:
        """Nearest numbers along the first two axes, within the image."""
        i = round((x_mm - float(self.x_mm[0])) / STEP_MM)
        j = round((s_mm - float(self.s_mm[0])) / STEP_MM)
        return min(max(i, 0), len(self.x_mm) - 1), min(max(j, 0), len(self.s_mm) - 1)


def unroll(bone: BoneIndicator, surface: BoneSurface, curve: SacralCurve) -> Unrolled:
    """The unrolled image of a sacrum."""
    x, s, t = _axes(curve.to_curved(surface.points_mm))
    points = np.stack(np.meshgrid(x, s, t, indexing="ij"), axis=-1)
    value = bone.sample(curve.to_world(points.reshape(-1, 3)))
    inside = np.asarray(value > 0.5).reshape(points.shape[:3])
    seen = inside.any(axis=2)
    outline = ndimage.binary_fill_holes(seen)
    front = np.where(seen, t[inside.argmax(axis=2)], t[-1])
    back = np.where(seen, t[-1 - inside[..., ::-1].argmax(axis=2)], t[0])
    # Outside, the faces go on as at the nearest border: no edge there that could be bridged.
    i, j = ndimage.distance_transform_edt(~outline, return_distances=False, return_indices=True)
    front, back = front[i, j], back[i, j]
    reach = round(BRIDGE_MM / STEP_MM)
    u, v = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = u * u + v * v <= reach * reach + 1
    bridged_front = ndimage.grey_opening(front, footprint=disk)
    bridged_back = ndimage.grey_closing(back, footprint=disk)
    return Unrolled(
        curve,
        x,
        s,
        t,
        inside,
        outline,
        bridged_front,
        bridged_back,
        front_pit_mm=np.where(outline, np.minimum(front - bridged_front, DEEPEST_MM), 0.0),
        back_pit_mm=np.where(outline, np.minimum(bridged_back - back, DEEPEST_MM), 0.0),
    )


def _axes(curved_mm: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    low, high = curved_mm.min(axis=0) - MARGIN_MM, curved_mm.max(axis=0) + MARGIN_MM
    half = np.ceil(np.abs([low[0], high[0]]).max() / STEP_MM) * STEP_MM
    x = np.arange(-half, half + 0.5 * STEP_MM, STEP_MM)
    s, t = (np.arange(low[i], high[i], STEP_MM) for i in (1, 2))
    return x, s, t
