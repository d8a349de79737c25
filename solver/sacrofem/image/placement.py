"""Whether labels lie where they should: on the CT's lattice, left on the left, L5 on top."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sacrofem.errors import InputError
from sacrofem.image.labels import HIP_LEFT, HIP_RIGHT, L5, NAMES, SACRUM
from sacrofem.image.noted import Noted
from sacrofem.image.volume import FloatArray, Grid, LabelMap

#: Two lattices are one if no voxel centre lies farther from its partner than this part of a voxel
#: (a choice: rounded headers stay below it).
SAME_LATTICE_VOXELS = 0.05
#: The hips' centroid lies 28 mm (phantom) to 43 mm (shared CT) before the sacrum's; only hips that
#: lie behind it by this are refused (a choice), because a field of view may cut their front off.
HIPS_BEHIND_MM = 10.0


def onto_grid(labels: LabelMap, grid: Grid) -> Noted[LabelMap] | None:
    """Labels on ``grid`` if their own grid is the same lattice, turned, flipped or a part of it.

    Exact: every label goes to the one voxel that it lies in, nothing is interpolated. Voxels
    outside a part become 0.

    Returns:
        None where the lattices differ or the labels' grid reaches beyond ``grid``.
    """
    own = labels.grid
    turn = np.linalg.solve(grid.matrix, own.matrix)
    whole = np.round(turn)
    steps = np.abs(whole)
    if not (np.all(steps.sum(axis=0) == 1) and np.all(steps.sum(axis=1) == 1)):
        return None
    last = np.array(own.shape) - 1
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last
    found = grid.to_index(own.to_world(corners))
    start = np.round(found[0])
    if np.abs(found - (corners @ whole.T + start)).max() > SAME_LATTICE_VOXELS:
        return None
    low = np.round(found.min(axis=0)).astype(int)
    high = np.round(found.max(axis=0)).astype(int) + 1
    if low.min() < 0 or np.any(high > grid.shape):
        return None
    # Row a of `whole` says which of the labels' axes runs along axis a of the grid, and which way.
    order = steps.argmax(axis=1)
    turned = labels.labels.transpose(order)
    backward = tuple(a for a in range(3) if whole[a, order[a]] < 0)
    placed = np.zeros(grid.shape, dtype=np.uint8)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    placed[box] = np.flip(turned, backward)
    return Noted(LabelMap(placed, grid), _how_placed(order, backward, own, grid))


def _how_placed(
    order: NDArray[Any], backward: tuple[int, ...], own: Grid, grid: Grid
) -> tuple[str, ...]:
    said = []
    if order.tolist() != [0, 1, 2]:
        said.append("axes exchanged")
    if backward:
        said.append(f"axis {', '.join('ijk'[a] for a in backward)} flipped")
    if np.prod(own.shape) != np.prod(grid.shape):
        part = " x ".join(str(n) for n in own.shape)
        said.append(f"a part of {part} voxels put at its place")
    return (f"labels brought onto the CT's voxels exactly: {'; '.join(said)}",) if said else ()


def centroid_mm(labels: LabelMap, label: int) -> FloatArray | None:
    """Centroid of a label in the world, shape (3,), or None where it does not occur."""
    mask = labels.mask(label)
    total = np.count_nonzero(mask)
    if not total:
        return None
    along = [
        np.count_nonzero(mask, axis=tuple(b for b in range(3) if b != a)) @ np.arange(n) / total
        for a, n in enumerate(mask.shape)
    ]
    return np.asarray(labels.grid.to_world(np.array([along]))[0])


def require_sides(labels: LabelMap, source: str) -> None:
    """Check by the bones themselves that the image is not mirrored or turned over.

    World coordinates say where left, back and top are; the left hip must lie left of the right
    one, L5 above the sacrum, and the hips before it. Labels that are absent are not asked.

    Raises:
        InputError: One of them lies on the wrong side.
    """
    left, right = centroid_mm(labels, HIP_LEFT), centroid_mm(labels, HIP_RIGHT)
    sacrum, above = centroid_mm(labels, SACRUM), centroid_mm(labels, L5)
    if left is not None and right is not None and left[0] <= right[0]:
        raise InputError(
            f"{source}: {NAMES[HIP_LEFT]} (label {HIP_LEFT}) lies {right[0] - left[0]:.0f} mm to "
            f"the patient's right of {NAMES[HIP_RIGHT]} (label {HIP_RIGHT}), so the image is "
            "mirrored or the two numbers are exchanged; correct the file's orientation or numbers."
        )
    if sacrum is None:
        return
    if above is not None and above[2] <= sacrum[2]:
        raise InputError(
            f"{source}: {NAMES[L5]} (label {L5}) lies {sacrum[2] - above[2]:.0f} mm below the "
            "sacrum, so the image is upside down; correct the file's orientation."
        )
    if left is not None and right is not None:
        behind = float((left[1] + right[1]) / 2.0 - sacrum[1])
        if behind > HIPS_BEHIND_MM:
            raise InputError(
                f"{source}: the hips lie {behind:.0f} mm behind the sacrum, so front and back are "
                "exchanged; correct the file's orientation."
            )
