"""Load transfer: who carries the load, and how stiff the whole is."""

from dataclasses import dataclass

import numpy as np

from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.state import StateSolution


@dataclass(frozen=True)
class LoadTransfer:
    """Load transfer of one state.

    Attributes:
        share_left: Part of the load, along gravity, that the sacrum passes on to the left hip bone
            through joint and ligaments; see :func:`sacrofem.mechanics.state.joint_forces_N` for how
            it is known in either model, and for one-leg stance.
        share_right: The same on the right; both sum to 1.
        ligament_share_left: What of ``share_left`` goes through ligaments.
        ligament_share_right: The same on the right.
        stiffness_N_per_mm: Load over the mean displacement of the S1 endplate along the load, from
            where the model is held: of the model `pelvis` it is that of the whole chain.
    """

    share_left: float
    share_right: float
    ligament_share_left: float
    ligament_share_right: float
    stiffness_N_per_mm: float


def load_transfer(state: StateSolution, force_N: FloatArray) -> LoadTransfer:
    """Load transfer of a state under a force, world, shape (3,)."""
    size = float(np.linalg.norm(force_N))
    direction = force_N / size

    def share(force: FloatArray) -> float:
        return float(force @ direction) / size

    in_ligaments = {
        side: sum(share(of_side[side]) for of_side in state.ligament_force_N.values())
        for side in ("left", "right")
    }
    return LoadTransfer(
        share_left=share(state.joint_force_N["left"]),
        share_right=share(state.joint_force_N["right"]),
        ligament_share_left=in_ligaments["left"],
        ligament_share_right=in_ligaments["right"],
        stiffness_N_per_mm=size / float(state.endplate_mm @ direction),
    )
