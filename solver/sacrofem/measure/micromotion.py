"""Micromotion: how far the two sides of a fracture move against each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sacrofem.errors import MeshError
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh, Part
from sacrofem.treatment.lesion import Fracture

#: The bone of each side whose motion is measured begins so far from the plane and is so thick, in
#: mm (a choice): beyond the cells that carry the gap, and at least two layers of cells.
BEGINS_MM, THICK_MM = 3.0, 8.0
#: It lies over the plane's area and so far around it, in mm.
AROUND_MM = 3.0
#: An affine motion has 12 unknowns, a vertex gives 3 equations.
VERTICES_AT_LEAST = 8


@dataclass(frozen=True)
class Micromotion:
    """Motion of the left side of a fracture against its right side.

    Attributes:
        opening_mm: Mean opening along the plane's normal; negative where the gap closes.
        sliding_mm: Size of the mean motion within the plane.
    """

    opening_mm: float
    sliding_mm: float


def micromotion(mesh: BoneMesh, displacement_mm: FloatArray, fracture: Fracture) -> Micromotion:
    """The jump of the displacement across a fracture, averaged over its area.

    On each side an affine motion is fitted (least squares) to the vertices near the plane and
    carried on to it. The difference of the two is the jump: that of any rigid motion and of any
    uniform strain of sound bone is zero, that of two bodies moved apart is exact.

    Args:
        mesh: The bone mesh.
        displacement_mm: At its vertices, shape (n, 3).
        fracture: The fracture.

    Raises:
        MeshError: The mesh has too few vertices beside the plane.
    """
    middle = fracture.samples.points_mm[fracture.layer].mean(axis=0)
    sides = [_motion_at(mesh, displacement_mm, side, middle) for side in _beside(mesh, fracture)]
    jump = sides[1] - sides[0]
    opening = float(jump @ fracture.normal)
    return Micromotion(opening, float(np.linalg.norm(jump - opening * fracture.normal)))


def _beside(mesh: BoneMesh, fracture: Fracture) -> list[NDArray[np.int64]]:
    """Vertices of the sacrum near the plane on its right and on its left."""
    vertices = np.unique(mesh.tets[mesh.part == Part.SACRUM])
    points = mesh.points_mm[vertices]
    off = (points - fracture.point_mm) @ fracture.normal
    near = (np.abs(off) >= BEGINS_MM) & (np.abs(off) <= BEGINS_MM + THICK_MM)
    vertices, off, points = vertices[near], off[near], points[near]
    foot = points - off[:, None] * fracture.normal
    plane = fracture.samples.points_mm[fracture.layer]
    plane = plane - ((plane - fracture.point_mm) @ fracture.normal)[:, None] * fracture.normal
    held = cKDTree(plane).query(foot, distance_upper_bound=AROUND_MM)[0] <= AROUND_MM
    return [vertices[held & (off < 0.0)], vertices[held & (off > 0.0)]]


def _motion_at(
    mesh: BoneMesh, displacement_mm: FloatArray, vertices: NDArray[np.int64], place_mm: FloatArray
) -> FloatArray:
    """The affine motion of some vertices at a place, shape (3,)."""
    terms = np.column_stack([np.ones(len(vertices)), mesh.points_mm[vertices] - place_mm])
    if len(vertices) < VERTICES_AT_LEAST or np.linalg.matrix_rank(terms) < terms.shape[1]:
        raise MeshError(
            f"micromotion needs {VERTICES_AT_LEAST} vertices of the mesh on each side of the "
            f"fracture, {BEGINS_MM:g} to {BEGINS_MM + THICK_MM:g} mm from it, that do not lie in "
            f"one plane; found {len(vertices)}; take smaller edges."
        )
    return np.asarray(np.linalg.lstsq(terms, displacement_mm[vertices], rcond=None)[0][0])
