"""Materials: published laws at known points, mixtures within their bounds."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sacrofem.image.calibration import RhoQctK2HPO4
from sacrofem.mechanics.materials import (
    CEMENT_MPA,
    DENSITY_FLOOR_G_PER_CM3,
    MaterialParameters,
    cement_modulus_MPa,
    clamped_ml,
    intact_modulus,
    kopperdahl_2002,
    lesion_modulus,
    treated_modulus,
)
from sacrofem.mechanics.supports import cartilage_springs
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import place_lesion


@pytest.mark.parametrize(("rho", "young_MPa"), [(1.0, 2980.0), (0.1, 265.6), (0.2, 549.9)])
def test_kopperdahl_gives_its_published_values(rho: float, young_MPa: float) -> None:
    # 2980 rho^1.05 by hand, to four digits.
    found = kopperdahl_2002(RhoQctK2HPO4(np.array([rho])))[0]
    assert found == pytest.approx(young_MPa, rel=1e-3)


def test_voids_and_metal_are_clamped_and_counted(box: Callable[..., BoneMesh]) -> None:
    mesh = box(2)
    density = np.full(len(mesh.tets), 0.2)
    density[0], density[1] = -0.1, 3.0
    mesh = replace(mesh, density=RhoQctK2HPO4(density))
    young = intact_modulus(mesh).young_MPa
    assert young[0] == pytest.approx(2980.0 * DENSITY_FLOOR_G_PER_CM3**1.05)
    assert np.isfinite(young).all()
    assert clamped_ml(mesh) == pytest.approx(mesh.cell_ml[:2].sum())


def test_composite_is_cement_with_pores_and_no_bone() -> None:
    parameters = MaterialParameters(composite_porosity=0.2, composite_exponent=2.0)
    assert cement_modulus_MPa(True, parameters) == pytest.approx(0.64 * CEMENT_MPA)
    assert cement_modulus_MPa(False, parameters) == CEMENT_MPA


def test_full_cells_have_the_modulus_of_what_fills_them(box: Callable[..., BoneMesh]) -> None:
    mesh, parameters = box(6), MaterialParameters()
    lesion = place_lesion(mesh, "left", 20.0)
    whole = lesion.fraction > 1.0 - 1e-12
    assert whole.any()
    soft = lesion_modulus(mesh, lesion, parameters)
    np.testing.assert_allclose(soft.young_MPa[whole], parameters.tumour_MPa)
    np.testing.assert_allclose(soft.cortex[whole], 0.0, atol=1e-12)
    fill = CementFill("balloon", lesion, lesion.inside, 20.0, 0.0, False, np.zeros(len(mesh.tets)))
    hard = treated_modulus(mesh, fill, parameters)
    np.testing.assert_allclose(hard.young_MPa[whole], CEMENT_MPA)
    np.testing.assert_allclose(hard.cortex[whole], 0.0, atol=1e-12)
    sound = lesion.fraction == 0.0
    np.testing.assert_allclose(hard.young_MPa[sound], intact_modulus(mesh).young_MPa[sound])


def test_cartilage_springs_are_those_of_a_confined_layer() -> None:
    # E = 11.9, nu = 0.4: M = 25.5 MPa, G = 4.25 MPa, over 3 mm.
    springs = cartilage_springs()
    assert springs.normal_N_per_mm3 == pytest.approx(25.5 / 3.0)
    assert springs.tangential_N_per_mm3 == pytest.approx(4.25 / 3.0)
