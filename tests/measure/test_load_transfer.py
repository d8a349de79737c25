"""Load transfer: shares along the load, and what of them ligaments carry."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sacrofem.measure.load_transfer import load_transfer


def test_shares_and_stiffness_are_along_the_load() -> None:
    """Protects: what acts across the load counts nothing; ligaments are part of their side."""
    state: Any = SimpleNamespace(
        joint_force_N={
            "left": np.array([9.0, 0.0, -300.0]),
            "right": np.array([-9.0, 0.0, -200.0]),
        },
        ligament_force_N={
            "sacrospinous": {"left": np.array([5.0, 0.0, 20.0]), "right": np.zeros(3)},
            "sacrotuberous": {"left": np.array([0.0, 0.0, -30.0]), "right": np.array([0, 0, 10.0])},
        },
        endplate_mm=np.array([0.7, 0.0, -0.25]),
    )
    found = load_transfer(state, np.array([0.0, 0.0, -500.0]))
    assert (found.share_left, found.share_right) == pytest.approx((0.6, 0.4))
    assert found.ligament_share_left == pytest.approx(0.02)
    assert found.ligament_share_right == pytest.approx(-0.02)
    assert found.stiffness_N_per_mm == pytest.approx(2000.0)
