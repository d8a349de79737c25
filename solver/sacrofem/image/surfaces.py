"""Surfaces of bones instead of labels, and a CT of constant zones where there is no CT."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.labels import NAMES, S1, SACRUM, structure_number
from sacrofem.image.noted import Noted
from sacrofem.image.placement import require_sides
from sacrofem.image.surface_files import MM, TO_LPS, Surface, load_surface
from sacrofem.image.volume import CtVolume, FloatArray, Grid, LabelMap
from sacrofem.image.voxelise import inside_fraction, most_covered

#: A sacrum, with or without coccyx (209 ml on the shared CT), with a margin for body size.
SACRUM_ML = (80.0, 400.0)
#: Any other bone of the pelvis, whole or cut by the field of view (a choice).
BONE_ML = (1.0, 1500.0)
#: Labels whose volume misses the surface's by more than this are reported.
VOLUME_MISS = 0.005
#: Voxels of background around the bones on a grid of their own.
MARGIN_VOXELS = 5
#: Two surfaces that share more than this of the smaller one are the same bone given twice.
SAME_BONE = 0.5
#: Muscle, 30 +- 35 HU (Michalski 2020).
SOFT_TISSUE_HU = 30.0

Unit = Literal["mm", "cm", "m"]
Coordinates = Literal["LPS", "RAS"]


@dataclass(frozen=True, eq=False)
class _Bone:
    """A surface on the grid: the box ``low`` to ``high`` of voxels and the covered parts in it."""

    label: int
    path: Path
    surface: Surface
    box: tuple[slice, slice, slice]
    fraction: NDArray[np.float32]
    mask: NDArray[np.bool_]


def load_surfaces(
    paths: Mapping[str, Path],
    unit: Unit,
    coordinates: Coordinates,
    voxel_mm: float = 1.0,
    ct_grid: Grid | None = None,
) -> Noted[LabelMap]:
    """Turn closed surfaces into a label map whose volumes are those of the surfaces.

    Args:
        paths: Structure (``sacrum``, ``hip_left``, ``L5``, ...) to STL, PLY, OBJ or VTP.
        unit: Of the coordinates in the files; no format records it.
        coordinates: ``LPS`` or ``RAS``; 3D Slicer has written LPS since 2020 and says so in the
            file, and a contradiction is refused.
        voxel_mm: Edge of the voxels of a grid of its own; not used with ``ct_grid``.
        ct_grid: Grid of the CT, on which the labels are made where there is one.

    Raises:
        InputError: A file cannot be used (see :func:`sacrofem.image.surface_files.load_surface`);
            the sacrum is not among them; a size is not plausible; a surface lies outside the CT;
            two are the same bone; or left and right are exchanged.
    """
    if "sacrum" not in paths:
        raise InputError(
            f"surfaces: there is none of the sacrum, only of {', '.join(paths) or 'nothing'}; add "
            "'sacrum: <file>'."
        )
    notes: list[str] = []
    surfaces: list[tuple[int, Path, Surface]] = []
    for word, path in paths.items():
        read = load_surface(path, unit, coordinates)
        label = structure_number(word, str(path))
        _require_size(path, label, read.value.volume_ml, unit)
        surfaces.append((label, path, read.value))
        notes += read.notes
    grid = ct_grid or _own_grid([s for _, _, s in surfaces], voxel_mm)
    bones = [_on_grid(*one, grid, coordinates) for one in surfaces]
    labels = LabelMap(_painted(bones, grid, notes), grid)
    for bone in bones:
        notes += _misses(bone, grid)
    require_sides(labels, str(paths["sacrum"]))
    return Noted(labels, tuple(notes))


def read_surfaces(
    paths: Mapping[str, Path],
    unit: Unit,
    coordinates: Coordinates,
    voxel_mm: float = 1.0,
    ct_grid: Grid | None = None,
) -> LabelMap:
    """The labels of :func:`load_surfaces` without their notes."""
    return load_surfaces(paths, unit, coordinates, voxel_mm, ct_grid).value


def zone_ct(labels: LabelMap, hu_by_label: Mapping[int, float]) -> CtVolume:
    """A CT in which every label has one HU and all else is muscle, for bones without a CT.

    Homogeneous by construction: no cortex, no fatty voids, no air or fat to calibrate with. It
    lets the rest of the chain run, and its densities are the user's statement, not a measurement.

    Args:
        labels: Where the bones are.
        hu_by_label: HU of each label that occurs.

    Raises:
        InputError: A label that occurs has no HU, or an HU is no bone's.
    """
    hu = np.full(labels.grid.shape, SOFT_TISSUE_HU, dtype=np.float32)
    for label in (int(n) for n in np.unique(labels.labels) if n):
        if label not in hu_by_label:
            raise InputError(
                f"zone densities: label {label} ({NAMES.get(label, 'unknown')}) has no HU, given "
                f"are {sorted(hu_by_label)}; add one."
            )
        given = hu_by_label[label]
        if not -200.0 <= given <= 2500.0:
            raise InputError(
                f"zone densities: {given:g} HU for label {label} is no bone (fatty marrow -100, "
                "cortex 1200 HU); correct it."
            )
        hu[labels.mask(label)] = given
    return CtVolume(hu, labels.grid)


def _require_size(path: Path, label: int, volume_ml: float, unit: str) -> None:
    low, high = SACRUM_ML if label == SACRUM else BONE_ML
    if low <= volume_ml <= high:
        return
    size = f"{volume_ml:.3g} ml" if volume_ml < 1e5 else f"{volume_ml / 1000:.3g} litres"
    fits = [u for u, mm in MM.items() if low <= volume_ml * (mm / MM[unit]) ** 3 <= high]
    way = f"state unit: {fits[0]}" if fits else "is it the whole bone, and in the stated unit?"
    raise InputError(
        f"{path}: a {NAMES[label]} of {size} in unit {unit} is not possible ({low:g} to {high:g} "
        f"ml are); {way}."
    )


def _own_grid(surfaces: list[Surface], voxel_mm: float) -> Grid:
    points = np.concatenate([s.points_mm for s in surfaces])
    low = points.min(axis=0) - (MARGIN_VOXELS + 0.5) * voxel_mm
    count = np.ceil((points.max(axis=0) - low) / voxel_mm).astype(int) + MARGIN_VOXELS + 1
    nx, ny, nz = (int(n) for n in count)
    return Grid((nx, ny, nz), (voxel_mm,) * 3, low, np.eye(3))


def _on_grid(label: int, path: Path, surface: Surface, grid: Grid, coordinates: str) -> _Bone:
    index = grid.to_index(surface.points_mm)
    low = np.floor(index.min(axis=0)).astype(int).clip(min=0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, grid.shape)
    triangles = surface.triangles
    # In the indices of a left-handed grid outward normals point inward.
    if np.linalg.det(grid.direction) < 0.0:
        triangles = triangles[:, ::-1]
    ni, nj, nk = (int(n) for n in (high - low).clip(min=0))
    fraction = inside_fraction(index - low, triangles, (ni, nj, nk))
    covered = float(fraction.sum(dtype=np.float64)) * grid.voxel_ml
    # The union of overlapping pieces is less than their sum, so only a clear loss is outside.
    whole = bool(np.all(index.min(axis=0) > -0.5) and np.all(index.max(axis=0) < _ends(grid)))
    if covered < 0.01 * surface.volume_ml or (label == SACRUM and not whole):
        raise InputError(_outside(path, surface, grid, coordinates, covered))
    i, j, k = (slice(int(a), int(a) + n) for a, n in zip(low, fraction.shape, strict=True))
    return _Bone(label, path, surface, (i, j, k), fraction, most_covered(fraction))


def _ends(grid: Grid) -> FloatArray:
    return np.asarray(grid.shape, dtype=np.float64) - 0.5


def _outside(path: Path, surface: Surface, grid: Grid, coordinates: str, covered: float) -> str:
    other = next(name for name in TO_LPS if name != coordinates)
    index = grid.to_index(surface.points_mm * TO_LPS["RAS"])
    fits = bool(np.all((index > -0.5) & (index < _ends(grid))))
    way = (
        f"in {other} it would lie inside, so state coordinates: {other}"
        if fits
        else "check its unit and coordinates, and that it was made from this CT"
    )
    return (
        f"{path}: the surface lies outside the CT, only {covered:.1f} of {surface.volume_ml:.1f} "
        f"ml are inside; {way}."
    )


def _painted(bones: list[_Bone], grid: Grid, notes: list[str]) -> NDArray[np.uint8]:
    """Labels of all bones; a voxel of two goes to the one that covers more of it."""
    for a, b in itertools.combinations(bones, 2):
        shared = _shared_ml(a, b, grid)
        smaller = min(a.surface.volume_ml, b.surface.volume_ml)
        if {a.label, b.label} == {SACRUM, S1} or not shared:
            continue
        if shared > SAME_BONE * smaller:
            raise InputError(
                f"{b.path}: {shared:.1f} of its {b.surface.volume_ml:.1f} ml lie inside "
                f"{a.path.name}; is one bone given twice?"
            )
        notes.append(
            f"{NAMES[a.label]} and {NAMES[b.label]} overlap by {shared:.2f} ml; each voxel went to "
            "the bone that covers more of it"
        )
    labels = np.zeros(grid.shape, dtype=np.uint8)
    best = np.zeros(grid.shape, dtype=np.float32)
    for bone in bones:
        more = bone.mask & (bone.fraction > best[bone.box])
        labels[bone.box][more] = SACRUM if bone.label == S1 else bone.label
        best[bone.box][more] = bone.fraction[more]
    return labels


def _shared_ml(a: _Bone, b: _Bone, grid: Grid) -> float:
    low = [max(p.start, q.start) for p, q in zip(a.box, b.box, strict=True)]
    high = [min(p.stop, q.stop) for p, q in zip(a.box, b.box, strict=True)]
    if any(p >= q for p, q in zip(low, high, strict=True)):
        return 0.0

    def cut(bone: _Bone) -> NDArray[np.bool_]:
        own = zip(low, high, bone.box, strict=True)
        return bone.mask[tuple(slice(p - s.start, q - s.start) for p, q, s in own)]

    return float(np.count_nonzero(cut(a) & cut(b))) * grid.voxel_ml


def _misses(bone: _Bone, grid: Grid) -> list[str]:
    """A note where voxels cannot give the volume of a surface."""
    found = float(np.count_nonzero(bone.mask)) * grid.voxel_ml
    miss = found / bone.surface.volume_ml - 1.0
    if abs(miss) <= VOLUME_MISS:
        return []
    return [
        f"{bone.path.name}: its voxels have {found:.2f} ml, {100 * miss:+.1f} % of the surface's "
        f"{bone.surface.volume_ml:.2f} ml (cut by the CT, overlapping pieces, or voxels too large)"
    ]
