"""The grid of a scan of the phantom."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sacrofem.image.phantom.form import Form, form_of
from sacrofem.image.phantom.raster import bones
from sacrofem.image.phantom.spec import PhantomSpec
from sacrofem.image.phantom.tissue import age_of
from sacrofem.image.volume import Grid

# What a straight scan covers, in drawn mm: the pelvis from above L5 to below the ischia.
FIELD_MM = np.array([[-156.0, -120.0, -172.5], [156.0, 104.0, 64.0]])
MARGIN_MM = 8.0  # of a rotated scan around the bones
COARSE_MM = 6.0  # of the search for their extent


def phantom_grid(spec: PhantomSpec) -> Grid:
    """The grid of a scan: straight LPS, symmetric about the midline x = 0, or rotated.

    A rotated scan covers the bones that a straight one covers, and no more.
    """
    field = FIELD_MM * np.array(_stretch(form_of(spec)))
    turn = np.eye(3)
    if any(spec.rotation_deg):
        turn = Rotation.from_euler("xyz", spec.rotation_deg, degrees=True).as_matrix()
        points = _bone_points(spec, field) @ turn  # coordinates along the scan's axes
        field = np.stack([points.min(axis=0) - MARGIN_MM, points.max(axis=0) + MARGIN_MM])
    spacing = np.asarray(spec.voxel_mm, dtype=np.float64)
    shape = np.ceil((field[1] - field[0]) / spacing).astype(int) + 1
    origin = field[0].copy()
    origin[0] = 0.5 * (field[0, 0] + field[1, 0]) - 0.5 * (shape[0] - 1) * spacing[0]
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), spec.voxel_mm, turn @ origin, turn)


def _stretch(form: Form) -> tuple[float, float, float]:
    return form.wide * (1.0 + abs(form.asymmetry)), form.long, form.long


def _bone_points(spec: PhantomSpec, field: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points in mm, shape (n, 3), of a coarse lattice in or next to the bones within a field."""
    form = form_of(spec)
    x, y, z = (np.arange(a, b, COARSE_MM) for a, b in field.T)
    every = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(-1, 3)
    near = np.zeros(len(every), dtype=bool)
    for bone in bones(form, age_of(spec)):
        held = np.all((every > bone.box_mm[0]) & (every < bone.box_mm[1]), axis=1)
        near[held] |= bone.distance(*every[held].T) < 0.5 * COARSE_MM
    return np.asarray(every[near])
