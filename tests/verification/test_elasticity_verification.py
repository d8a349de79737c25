"""Verification: the load is exact on any mesh; errors fall at the right rate on several ranks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI
from problems import manufactured

from sacrofem.mechanics.loads import SacralLoad, gravity, tractions_MPa
from sacrofem.mesh.bone_mesh import BoneMesh, facet_areas_mm2


@pytest.mark.mpi
def test_manufactured_solution_converges_on_all_ranks() -> None:
    """Protects: forms and solver spread over the ranks, with a jump of E between them."""
    rows = manufactured.rates(2, manufactured.JUMP, "small", MPI.COMM_WORLD)
    assert [row.verdict for row in rows] == ["pass", "pass"]


def test_load_is_exact_on_any_mesh(box: Callable[..., BoneMesh]) -> None:
    """The traction's resultant is the force whatever the facets are."""
    bone = box(3)
    bone = replace(bone, points_mm=bone.points_mm * [1.0, 1.1, 0.9])
    load = SacralLoad(force_N=321.0, sacral_slope_deg=25.0)
    total = np.zeros(3)
    for tag, traction in tractions_MPa(bone, load).items():
        area = facet_areas_mm2(bone.points_mm, bone.facets[bone.facet_tag == tag]).sum()
        total += area * traction
    np.testing.assert_allclose(total, 321.0 * gravity(bone.frame, 25.0), rtol=1e-12)
