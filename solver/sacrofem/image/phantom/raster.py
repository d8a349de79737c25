"""Bones to voxels: labels at the voxel centres, HU averaged over each voxel."""

from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sacrofem.image.labels import FEMUR_LEFT, FEMUR_RIGHT, HIP_LEFT, HIP_RIGHT, L5, SACRUM
from sacrofem.image.phantom import hip, lumbar, nearby, sacrum, tissue
from sacrofem.image.phantom.form import Form
from sacrofem.image.phantom.nearby import CHUNK, Indices, Shape
from sacrofem.image.phantom.shapes import Array
from sacrofem.image.volume import Grid

SI_GAP_MM, FACET_GAP_MM = 2.8, 2.6  # joint spaces with their cartilage, 2-3 mm
SAMPLE_MM = 1.0  # largest distance of the samples inside a voxel
SLAB = 2_000_000  # voxels of soft tissue computed at a time: bounds the memory

SOFT_BOX_MM = np.array([[-46.0, -34.0, -115.0], [46.0, 68.0, 66.0]])
# Boxes that hold the bones as drawn, in mm; those of hip and femur for the left side.
SACRUM_BOX_MM = np.array([[-60.0, -18.0, -116.0], [60.0, 62.0, 42.0]])
L5_BOX_MM = np.array([[-52.0, -45.0, -12.0], [52.0, 54.0, 62.0]])
HIP_BOX_MM = np.array([[2.0, -84.0, -170.0], [140.0, 70.0, 60.0]])
FEMUR_BOX_MM = np.array([[60.0, -54.0, -170.0], [154.0, 20.0, -66.0]])
GROWN = np.array([[-1.0], [1.0]])  # mm that the boxes keep off the bones


@dataclass(frozen=True)
class Bone:
    """A bone: label, distance and HU of its marrow at world points in mm, box (2, 3) in mm."""

    label: int
    distance: Shape
    marrow_hu: Shape
    box_mm: Array


def bones(form: Form, age: tissue.Age) -> tuple[Bone, ...]:
    """Sacrum, L5, and the hip bones and femora of both sides."""

    def marrow(x: Array, y: Array, z: Array) -> Array:
        return tissue.sacral_marrow(*form.drawn(x, y, z), form, age)

    def even(hu: float) -> Shape:
        return lambda x, y, z: np.full(x.shape, hu + age.marrow_hu)

    made = [
        Bone(SACRUM, partial(_sacrum, form=form), marrow, _box(SACRUM_BOX_MM, form)),
        Bone(L5, partial(_lumbar, form=form), even(tissue.LUMBAR_HU), _box(L5_BOX_MM, form)),
    ]
    for sign, hip_label, femur_label in (
        (1.0, HIP_LEFT, FEMUR_LEFT),
        (-1.0, HIP_RIGHT, FEMUR_RIGHT),
    ):
        side = partial(hip.hip, sign=sign, gap_mm=SI_GAP_MM, form=form)
        made.append(Bone(hip_label, side, even(tissue.HIP_HU), _box(HIP_BOX_MM, form, sign)))
        side = partial(hip.femur, sign=sign, form=form)
        made.append(Bone(femur_label, side, even(tissue.FEMUR_HU), _box(FEMUR_BOX_MM, form, sign)))
    return tuple(made)


def _sacrum(x: Array, y: Array, z: Array, form: Form) -> Array:
    return form.scale * sacrum.sacrum(*form.drawn(x, y, z), FACET_GAP_MM / form.scale, form)


def _lumbar(x: Array, y: Array, z: Array, form: Form) -> Array:
    x, y, z = form.drawn(x, y, z)
    gap_mm = FACET_GAP_MM / form.scale
    below = sacrum.sacrum(x, y, z, gap_mm, form)
    return form.scale * lumbar.vertebra(x, y, z, below, gap_mm, form)


def _box(drawn_mm: Array, form: Form, sign: float = 1.0) -> Array:
    """World box of a box drawn on the left side, or of its mirror image."""
    corners = drawn_mm.copy()
    corners[:, 0] *= sign
    corners[0, 2] -= hip.HIGH_SACRUM_MM * form.dysmorphism
    world = np.array([form.world((x, y, z)) for x, y, z in corners])
    return np.stack([world.min(axis=0), world.max(axis=0)]) + GROWN


def paint_body(grid: Grid, hu: NDArray[np.float32], form: Form) -> None:
    """Fill ``hu`` with the body without its bones, in place."""
    edge_mm = float(np.mean(grid.spacing_mm))
    step = max(SLAB // (grid.shape[0] * grid.shape[1]), 1)
    for start in range(0, grid.shape[2], step):
        part = slice(start, start + step)
        x, y, z = _coordinates(grid, np.arange(grid.shape[2])[part])
        hu[:, :, part] = tissue.soft_tissue(x, y, z, edge_mm, form)
    for shape, value in ((tissue.disc, tissue.DISC_HU), (tissue.hollow, tissue.CANAL_HU)):
        box_mm = _box(SOFT_BOX_MM, form)
        found = nearby.find(partial(shape, form=form), grid, box_mm, 0.5 * edge_mm, 0.5 * edge_mm)
        hu[tuple(found.deep.T)] = value
        near = tuple(found.near.T)
        hu[near] += tissue.share(found.distance, edge_mm) * (value - hu[near])


def _coordinates(grid: Grid, k: Indices) -> tuple[Array, Array, Array]:
    """World coordinates of slices ``k``; what does not depend on an axis has size one along it."""
    along = np.arange(grid.shape[0])[:, None, None], np.arange(grid.shape[1])[:, None], k
    x, y, z = (
        grid.origin_mm[d]
        + sum(grid.matrix[d, a] * along[a] for a in range(3) if grid.matrix[d, a] != 0.0)
        for d in range(3)
    )
    return np.asarray(x), np.asarray(y), np.asarray(z)


def _offsets(grid: Grid) -> Array:
    """Sample points of a voxel relative to its centre in world mm, shape (n, 3)."""
    steps = []
    for size in grid.spacing_mm:
        count = max(int(np.ceil(size / SAMPLE_MM)), 2)
        steps.append((np.arange(count) + 0.5) / count - 0.5)
    return np.array(list(product(*steps))) @ grid.matrix.T


@dataclass(frozen=True)
class Scanner:
    """What turns a bone's points into HU: its age and the trabecular texture."""

    age: tissue.Age
    texture: NDArray[np.float32]

    def bone_hu(self, bone: Bone, x: Array, y: Array, z: Array, distance: Array) -> Array:
        """HU inside a bone at points with the given distances: cortex, else textured marrow."""
        marrow = bone.marrow_hu(x, y, z) + tissue.texture_at(self.texture, x, y, z)
        return np.where(
            -distance < self.age.cortex_mm, tissue.CORTEX_HU + self.age.cortex_hu, marrow
        )

    def mixed_hu(self, bone: Bone, points: Array, around: Array, offsets: Array) -> Array:
        """HU of voxels near a surface, shape (n,): mean over samples, else ``around``."""
        total = np.zeros(len(points))
        for offset in offsets:
            x, y, z = (points + offset).T
            distance = bone.distance(x, y, z)
            inside = distance < 0.0
            value = around.copy()
            value[inside] = self.bone_hu(bone, x[inside], y[inside], z[inside], distance[inside])
            total += value
        return total / len(offsets)


def paint(
    bone: Bone,
    grid: Grid,
    hu: NDArray[np.float32],
    labels: NDArray[np.uint8],
    scanner: Scanner,
) -> None:
    """Put a bone into ``hu`` and ``labels``, in place."""
    reach = 0.5 * float(np.linalg.norm(grid.spacing_mm))
    # Slopes of a blended distance may fall to 0.6: the band is wider by as much.
    found = nearby.find(
        bone.distance, grid, bone.box_mm, reach, 1.5 * reach + scanner.age.cortex_mm
    )
    label(bone, grid, labels, np.concatenate([found.deep, found.near[found.distance < 0.0]]))
    offsets = _offsets(grid)
    for start in range(0, len(found.near), CHUNK):
        index = found.near[start : start + CHUNK]
        at = tuple(index.T)
        around = hu[at].astype(np.float64)
        hu[at] = scanner.mixed_hu(bone, grid.to_world(index.astype(np.float64)), around, offsets)
    for start in range(0, len(found.deep), CHUNK):
        index = found.deep[start : start + CHUNK]
        x, y, z = grid.to_world(index.astype(np.float64)).T
        hu[tuple(index.T)] = bone.marrow_hu(x, y, z) + tissue.texture_at(scanner.texture, x, y, z)


def paint_label(bone: Bone, grid: Grid, labels: NDArray[np.uint8]) -> None:
    """Put a bone into ``labels`` alone, in place."""
    label(bone, grid, labels, nearby.find(bone.distance, grid, bone.box_mm, 0.0, 0.0).deep)


def label(bone: Bone, grid: Grid, labels: NDArray[np.uint8], inside: Indices) -> None:
    """Label a bone's voxels and what they enclose, in place."""
    low, high = nearby.window(grid, bone.box_mm)
    part = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    mask = np.zeros(part.shape, dtype=bool)
    mask[tuple((inside - low).T)] = True
    part[ndimage.binary_fill_holes(mask)] = bone.label
