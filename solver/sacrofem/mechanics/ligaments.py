"""Ligaments of the posterior pelvis: line springs between the sacrum and the hip bones.

A ligament is a few parallel elements, each along its fibre from a vertex of the sacrum to the hip
bone of its side. Where that bone is meshed the element ends at one of its vertices, else at a point
fixed in space, as the joint's springs do. An element of stiffness k along the unit vector d bears
the tension ``k d . (u_hip - u_sacrum)``; which of them are taut is found once, in the intact state
(:mod:`sacrofem.mechanics.state`), since a ligament bears tension only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
LigamentName = Literal[
    "anterior sacroiliac",
    "long posterior sacroiliac",
    "short posterior sacroiliac",
    "interosseous",
    "sacrospinous",
    "sacrotuberous",
]


@dataclass(frozen=True)
class Stiffness:
    """Stiffness of a whole ligament of one side, and in how many equal elements it is there."""

    N_per_mm: float
    elements: int


#: BMC Musculoskelet Disord 2021 (s12891-021-04856-8), Table 1. The table does not say whether its
#: stiffness is that of the ligament or of each element; the ligament's is taken, the softer
#: reading (a choice).
LIGAMENTS: Mapping[LigamentName, Stiffness] = {
    "anterior sacroiliac": Stiffness(700.0, 10),
    "long posterior sacroiliac": Stiffness(1000.0, 4),
    "short posterior sacroiliac": Stiffness(400.0, 10),
    "interosseous": Stiffness(2800.0, 4),
    "sacrospinous": Stiffness(1400.0, 5),
    "sacrotuberous": Stiffness(1500.0, 5),
}
ALL: tuple[LigamentName, ...] = tuple(LIGAMENTS)
#: Those of the sacrum alone by default: they hold its lower end, far from the joints, and nothing
#: else in that model does; what the others add to the joint is left to its springs (a choice).
OF_SACRUM: tuple[LigamentName, ...] = ("sacrospinous", "sacrotuberous")


@dataclass(frozen=True, eq=False)
class Ligaments:
    """Elements of ligaments, row by row.

    Attributes:
        name: Ligament of each, shape (k,).
        side: ``left`` or ``right``, shape (k,).
        stiffness_N_per_mm: Shape (k,).
        vertex: Vertex of the sacrum, shape (k,).
        hip_vertex: Vertex of the hip bone, -1 where the other end is fixed in space, shape (k,).
        end_mm: Place of the other end, world, shape (k, 3).
        direction: Unit vector from the sacrum to the other end, shape (k, 3).
    """

    name: NDArray[np.str_]
    side: NDArray[np.str_]
    stiffness_N_per_mm: FloatArray
    vertex: NDArray[np.int64]
    hip_vertex: NDArray[np.int64]
    end_mm: FloatArray
    direction: FloatArray

    def __len__(self) -> int:
        """How many elements there are."""
        return len(self.vertex)

    @property
    def grounded(self) -> NDArray[np.bool_]:
        """Which elements end at a point fixed in space, shape (k,)."""
        return np.asarray(self.hip_vertex < 0)

    def of(self, rows: NDArray[np.bool_]) -> "Ligaments":
        """Some of the elements."""
        return replace(self, **{n: getattr(self, n)[rows] for n in self.__dataclass_fields__})

    def elongation_mm(self, displacement_mm: FloatArray) -> FloatArray:
        """How much each element lengthens, shape (k,).

        Args:
            displacement_mm: Of the mesh's vertices, shape (n, 3).
        """
        hip = np.where(self.grounded[:, None], 0.0, displacement_mm[self.hip_vertex])
        moved = hip - displacement_mm[self.vertex]
        return np.asarray((self.direction * moved).sum(axis=1))

    def tension_N(self, displacement_mm: FloatArray) -> FloatArray:
        """Tension of each element, shape (k,); arguments of :meth:`elongation_mm`."""
        return self.stiffness_N_per_mm * self.elongation_mm(displacement_mm)

    def energy_mJ(self, displacement_mm: FloatArray) -> float:
        """Strain energy of all elements."""
        elongation = self.elongation_mm(displacement_mm)
        return float(0.5 * self.stiffness_N_per_mm @ elongation**2)

    def carried_N(self, displacement_mm: FloatArray) -> FloatArray:
        """Force of the sacrum on the hip bone through each element, world, shape (k, 3)."""
        return -self.tension_N(displacement_mm)[:, None] * self.direction

    def nodal_forces_N(self, displacement_mm: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
        """Vertices at which elements resist, shape (j,), and with what force, shape (j, 3).

        The sign is that of an internal force: of a stiffness times a displacement.
        """
        force = self.carried_N(displacement_mm)
        tied = ~self.grounded
        return (
            np.concatenate([self.vertex, self.hip_vertex[tied]]),
            np.concatenate([force, -force[tied]]),
        )


def make_ligaments(
    mesh: BoneMesh,
    rows: Sequence[tuple[LigamentName, Side, NDArray[Any], NDArray[Any], NDArray[Any]]],
) -> Ligaments:
    """Elements of ligaments from name, side, sacral vertices, hip vertices and ends of each.

    The stiffness of a ligament is shared equally by its elements.
    """
    if not rows:
        return NO_LIGAMENTS
    count = [len(row[2]) for row in rows]
    vertex = np.concatenate([row[2] for row in rows])
    end = np.concatenate([row[4] for row in rows])
    along = end - mesh.points_mm[vertex]
    each = [LIGAMENTS[row[0]].N_per_mm / len(row[2]) for row in rows]
    return Ligaments(
        name=np.repeat([row[0] for row in rows], count),
        side=np.repeat([row[1] for row in rows], count),
        stiffness_N_per_mm=np.repeat(each, count),
        vertex=vertex,
        hip_vertex=np.concatenate([row[3] for row in rows]),
        end_mm=end,
        direction=along / np.linalg.norm(along, axis=1)[:, None],
    )


def forces_by_name_N(
    ligaments: Ligaments, displacement_mm: FloatArray
) -> dict[str, dict[str, FloatArray]]:
    """Force of the sacrum on each hip bone by ligament and side, world, shape (3,) each."""
    force = ligaments.carried_N(displacement_mm)
    return {
        name: {s: force[_which(ligaments, name, s)].sum(axis=0) for s in SIDES}
        for name in ALL
        if (ligaments.name == name).any()
    }


def tension_by_name_N(
    ligaments: Ligaments, displacement_mm: FloatArray
) -> dict[str, dict[str, float]]:
    """Sum of the tensions of the elements by ligament and side."""
    tension = ligaments.tension_N(displacement_mm)
    return {
        name: {s: float(tension[_which(ligaments, name, s)].sum()) for s in SIDES}
        for name in ALL
        if (ligaments.name == name).any()
    }


def _which(ligaments: Ligaments, name: LigamentName, side: Side) -> NDArray[np.bool_]:
    return np.asarray((ligaments.name == name) & (ligaments.side == side))


NO_LIGAMENTS = Ligaments(
    name=np.empty(0, dtype=np.str_),
    side=np.empty(0, dtype=np.str_),
    stiffness_N_per_mm=np.empty(0),
    vertex=np.empty(0, dtype=np.int64),
    hip_vertex=np.empty(0, dtype=np.int64),
    end_mm=np.empty((0, 3)),
    direction=np.empty((0, 3)),
)
