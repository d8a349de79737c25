"""Load transfer: who carries the load, and how stiff the whole is."""

from dataclasses import dataclass

import numpy as np

from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.state import StateSolution


@dataclass(frozen=True)
class LoadTransfer:
    """Load transfer of one state.

    Attributes:
        share_left: Part of the load, along gravity, that the left sacroiliac joint carries; see
            :func:`sacrofem.mechanics.state.joint_forces_N` for how it is known in either model.
        share_right: The same of the right joint; both sum to 1.
        stiffness_N_per_mm: Load over the mean displacement of the S1 endplate along the load, from
            where the model is held: of the model `pelvis` it is that of the whole chain.
    """

    share_left: float
    share_right: float
    stiffness_N_per_mm: float


def load_transfer(state: StateSolution, force_N: FloatArray) -> LoadTransfer:
    """Load transfer of a state under a force, world, shape (3,)."""
    size = float(np.linalg.norm(force_N))
    direction = force_N / size
    return LoadTransfer(
        share_left=float(state.joint_force_N["left"] @ direction) / size,
        share_right=float(state.joint_force_N["right"] @ direction) / size,
        stiffness_N_per_mm=size / float(state.endplate_mm @ direction),
    )
