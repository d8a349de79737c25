"""Materials: full cells are what fills them, mixtures by volume, gaps in series, mass conserved."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from sacrofem.errors import InputError
from sacrofem.image.density import RhoQctK2HPO4
from sacrofem.mechanics.laws import modulus_MPa
from sacrofem.mechanics.materials import (
    BLASTIC_STIFFENING,
    CEMENT_MPA,
    CEMENT_POISSON,
    CORTEX_MPA,
    DENSITY_CEILING_G_PER_CM3,
    DENSITY_FLOOR_G_PER_CM3,
    FRACTURE_MPA,
    HOLLOW_MPA,
    TUMOUR_MPA,
    TUMOUR_POISSON,
    MaterialParameters,
    ModulusField,
    cement_modulus_MPa,
    clamped_compaction_g,
    clamped_ml,
    clamped_volume,
    intact_modulus,
    lesion_modulus,
    treated_modulus,
)
from sacrofem.mechanics.mixture import MIXTURES, Mixture, Phase, mix
from sacrofem.mechanics.supports import cartilage_springs
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.fracture import gap_along
from sacrofem.treatment.lesion import BLASTIC_G_PER_CM3, Fracture, Lesion
from sacrofem.treatment.plan import Kind
from sacrofem.treatment.region import BoneSamples, region_of_volume, samples_of


def make_lesion(
    mesh: BoneMesh,
    volume_ml: float,
    kind: Kind = "lytic",
    fracture: Fracture | None = None,
    cortex_lost: np.ndarray | None = None,
) -> Lesion:
    """A ball about the left lateral mass of a box."""
    samples, centre = samples_of(mesh), mesh.lateral_mass_mm["left"]
    distance = np.linalg.norm(samples.points_mm - centre, axis=1)
    inside = region_of_volume(samples, distance, volume_ml, "lesion")
    return Lesion(
        name="ball",
        kind=kind,
        side="left",
        centre_mm=centre,
        radius_mm=float(distance[inside].max(initial=0.0)),
        samples=samples,
        inside=inside,
        blastic=inside if kind == "blastic" else samples.none,
        volume_ml=samples.volume_ml(inside),
        breach=(),
        cortex_lost=np.zeros(len(mesh.tets)) if cortex_lost is None else cortex_lost,
        voxels=np.zeros((1, 1, 1), dtype=bool),
        open_voxels=np.zeros((1, 1, 1), dtype=bool),
        fracture=fracture,
    )


def make_fill(samples: BoneSamples, **parts: np.ndarray) -> CementFill:
    """Cement in the given parts: ``pure``, ``interdigitated``, ``hollow``, ``compacted``."""
    inside = parts.get("pure", samples.none) | parts.get("interdigitated", samples.none)
    cement_ml = samples.volume_ml(inside)
    return CementFill(
        technique="balloon",
        samples=samples,
        pure=parts.get("pure", samples.none),
        interdigitated=parts.get("interdigitated", samples.none),
        hollow=parts.get("hollow", samples.none),
        compacted_g_per_cm3=parts.get("compacted", np.zeros(samples.cells)),
        injected_ml=cement_ml,
        cement_ml=cement_ml,
        leak_ml={},
        unplaced_ml=0.0,
        pressure_kPa=None,
        stopped_by="",
        nerve_distance_mm={},
        notes=(),
    )


def test_the_parameters_law_is_used_in_every_state(box: Callable[..., BoneMesh]) -> None:
    """Protects: intact, lesion and treated bone have one law, or their differences mean nothing."""
    mesh, parameters = box(3), MaterialParameters(law="dalstra 1993")
    lesion = make_lesion(mesh, 2.0)
    fill = make_fill(lesion.samples, pure=lesion.inside)
    sound = lesion.fraction == 0.0
    dalstra = modulus_MPa(RhoQctK2HPO4(np.array([0.2])), "dalstra 1993")[0]
    for field in (
        intact_modulus(mesh, parameters),
        lesion_modulus(mesh, [lesion], parameters),
        treated_modulus(mesh, [lesion], [fill], parameters),
    ):
        np.testing.assert_allclose(field.young_MPa[sound], dalstra)


def test_voids_and_metal_are_clamped_and_counted(box: Callable[..., BoneMesh]) -> None:
    mesh = box(2)
    density = np.full(len(mesh.tets), 0.2)
    density[0], density[1] = -0.1, 3.0
    mesh = replace(mesh, density=RhoQctK2HPO4(density))
    young = intact_modulus(mesh).young_MPa
    assert young[0] == pytest.approx(2980.0 * DENSITY_FLOOR_G_PER_CM3**1.05)
    assert np.isfinite(young).all()
    assert clamped_ml(mesh) == pytest.approx(mesh.cell_ml[:2].sum())
    assert clamped_volume(mesh).below_ml == pytest.approx(mesh.cell_ml[0])
    assert clamped_volume(mesh).above_ml == pytest.approx(mesh.cell_ml[1])


def test_composite_is_cement_with_pores_and_no_bone() -> None:
    parameters = MaterialParameters(composite_porosity=0.2, composite_exponent=2.0)
    assert cement_modulus_MPa(True, parameters) == pytest.approx(0.64 * CEMENT_MPA)
    assert cement_modulus_MPa(False, parameters) == CEMENT_MPA


def test_an_unbonded_interface_softens_the_composite_alone() -> None:
    bonded, loose = MaterialParameters(), MaterialParameters(interface_factor=0.6)
    assert cement_modulus_MPa(True, loose) == pytest.approx(0.6 * cement_modulus_MPa(True, bonded))
    assert cement_modulus_MPa(False, loose) == CEMENT_MPA
    for wrong in (0.0, 1.2):
        with pytest.raises(InputError, match="interface_factor must be above 0 and at most 1"):
            MaterialParameters(interface_factor=wrong)


def test_full_cells_have_the_modulus_of_what_fills_them(box: Callable[..., BoneMesh]) -> None:
    mesh, parameters = box(6), MaterialParameters()
    lesion = make_lesion(mesh, 20.0)
    samples, none = lesion.samples, lesion.samples.none
    whole = lesion.fraction > 1.0 - 1e-12
    assert whole.any()
    soft = lesion_modulus(mesh, [lesion], parameters)
    np.testing.assert_allclose(soft.young_MPa[whole], TUMOUR_MPA)
    np.testing.assert_allclose(soft.poisson[whole], TUMOUR_POISSON)
    for part, young_MPa in (
        ("pure", CEMENT_MPA),
        ("interdigitated", cement_modulus_MPa(True, parameters)),
        ("hollow", HOLLOW_MPA),
    ):
        fill = make_fill(samples, **{part: lesion.inside})
        treated = treated_modulus(mesh, [lesion], [fill], parameters)
        np.testing.assert_allclose(treated.young_MPa[whole], young_MPa)
        sound = lesion.fraction == 0.0
        np.testing.assert_allclose(treated.young_MPa[sound], intact_modulus(mesh).young_MPa[sound])
    empty = treated_modulus(mesh, [lesion], [make_fill(samples, pure=none)], parameters)
    np.testing.assert_allclose(empty.young_MPa, soft.young_MPa)


def test_a_partly_filled_cell_is_mixed_by_volume(box: Callable[..., BoneMesh]) -> None:
    """Protects: each part of a cell counts once, cement before tumour, whatever overlaps."""
    mesh, parameters = box(4), MaterialParameters()
    lesion = make_lesion(mesh, 12.0)
    samples = lesion.samples
    left = samples.points_mm[:, 0] > mesh.lateral_mass_mm["left"][0]
    fills = [make_fill(samples, pure=left), make_fill(samples, interdigitated=lesion.inside)]
    young = treated_modulus(mesh, [lesion], fills, parameters).young_MPa
    bone = intact_modulus(mesh).young_MPa
    pure, composite = samples.fraction(left), samples.fraction(lesion.inside & ~left)
    expected = pure * CEMENT_MPA + composite * cement_modulus_MPa(True, parameters)
    np.testing.assert_allclose(young, expected + (1.0 - pure - composite) * bone)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_every_state_is_mixed_by_the_rule_of_the_parameters(
    box: Callable[..., BoneMesh], mixture: Mixture
) -> None:
    """Protects: the scenario's rule reaches lesion and cement; full and sound cells ignore it."""
    mesh, parameters = box(4), MaterialParameters(mixture=mixture)
    lesion = make_lesion(mesh, 12.0)
    samples, share = lesion.samples, lesion.fraction
    bone = intact_modulus(mesh)
    cement = Phase(share, np.full_like(share, CEMENT_MPA), np.full_like(share, CEMENT_POISSON))
    tumour = Phase(share, np.full_like(share, TUMOUR_MPA), np.full_like(share, TUMOUR_POISSON))
    rest = Phase(1.0 - share, bone.young_MPa, bone.poisson)
    fill = make_fill(samples, pure=lesion.inside)
    for inside, field in (
        (tumour, lesion_modulus(mesh, [lesion], parameters)),
        (cement, treated_modulus(mesh, [lesion], [fill], parameters)),
    ):
        young_MPa, poisson = mix((rest, inside), mixture)
        np.testing.assert_allclose(field.young_MPa, young_MPa, rtol=1e-9)
        np.testing.assert_allclose(field.poisson, poisson, rtol=1e-9)
        np.testing.assert_array_equal(field.young_MPa[share == 0.0], bone.young_MPa[share == 0.0])
    assert ((share > 0.0) & (share < 1.0)).sum() > 20


def test_only_a_breach_removes_cortex(box: Callable[..., BoneMesh]) -> None:
    mesh = box(4)
    lost = np.linspace(0.0, 1.0, len(mesh.tets))
    whole, breached = make_lesion(mesh, 15.0), make_lesion(mesh, 1.0, cortex_lost=lost)
    fill = make_fill(whole.samples, pure=whole.inside)
    parameters = MaterialParameters()
    assert (lesion_modulus(mesh, [whole], parameters).cortex == 1.0).all()
    for field in (
        lesion_modulus(mesh, [whole, breached], parameters),
        treated_modulus(mesh, [whole, breached], [fill], parameters),
    ):
        np.testing.assert_allclose(field.cortex, 1.0 - lost)


def test_the_control_is_the_bone_itself(box: Callable[..., BoneMesh]) -> None:
    mesh, samples = box(4), samples_of(box(4))
    gap = gap_along(mesh, samples, (np.zeros(3), np.eye(3)[0]), 1.0, ~samples.none)
    lesion = make_lesion(mesh, 10.0, fracture=gap, cortex_lost=np.ones(len(mesh.tets)))
    control = lesion_modulus(mesh, [lesion], MaterialParameters(tumour_MPa=None))
    bone = intact_modulus(mesh)
    for name in ("young_MPa", "poisson", "cortex"):
        np.testing.assert_array_equal(getattr(control, name), getattr(bone, name))


def test_softer_tumour_and_stiffer_cement_are_monotone(box: Callable[..., BoneMesh]) -> None:
    mesh = box(4)
    lesion = make_lesion(mesh, 8.0)
    fill = make_fill(lesion.samples, pure=lesion.inside)

    def lesioned(tumour_MPa: float) -> np.ndarray:
        return lesion_modulus(mesh, [lesion], MaterialParameters(tumour_MPa=tumour_MPa)).young_MPa

    def treated(cement_MPa: float) -> np.ndarray:
        parameters = MaterialParameters(cement_MPa=cement_MPa)
        return treated_modulus(mesh, [lesion], [fill], parameters).young_MPa

    here = lesion.fraction > 0.0
    assert (lesioned(0.1)[here] < lesioned(0.2)[here]).all()
    assert (treated(1000.0)[here] < treated(3000.0)[here]).all()


def test_blastic_bone_is_stiffer_by_part_of_what_its_density_gives(
    box: Callable[..., BoneMesh],
) -> None:
    mesh, parameters = box(6), MaterialParameters()
    lesion = make_lesion(mesh, 20.0, "blastic")
    whole = lesion.fraction > 1.0 - 1e-12
    young = lesion_modulus(mesh, [lesion], parameters).young_MPa[whole]
    bone = intact_modulus(mesh).young_MPa[0]
    law = modulus_MPa(RhoQctK2HPO4(np.array([BLASTIC_G_PER_CM3])))[0]
    np.testing.assert_allclose(young, bone + BLASTIC_STIFFENING * (law - bone))
    dense = box(6, density=0.9)
    field = lesion_modulus(dense, [make_lesion(dense, 20.0, "blastic")], parameters)
    np.testing.assert_allclose(field.young_MPa, intact_modulus(dense).young_MPa)


def test_compacted_mass_is_in_the_bone_that_is_left(box: Callable[..., BoneMesh]) -> None:
    """Protects: mass conservation where a cell is part cavity, and what the ceiling takes."""
    mesh = box(4)
    lesion = make_lesion(mesh, 6.0)
    samples = lesion.samples
    cavity = lesion.inside & (samples.points_mm[:, 2] > -22.0)
    skeleton = samples.fraction(~cavity & ~lesion.inside)
    edge = (samples.fraction(cavity) > 0.0) & (skeleton > 0.3)
    assert edge.any()
    added = np.where(edge, 0.05, 0.0)
    fill = make_fill(samples, pure=cavity, compacted=added)
    linear = MaterialParameters(law="kopperdahl 2002 linear")
    young = treated_modulus(mesh, [lesion], [fill], linear).young_MPa
    bare = make_fill(samples, pure=cavity)
    rise = young - treated_modulus(mesh, [lesion], [bare], linear).young_MPa
    # In a linear law the rise of the mixture is slope times mass, whatever share the bone has.
    np.testing.assert_allclose(rise[edge], 3230.0 * 0.05)
    assert clamped_compaction_g(mesh, [lesion], [fill]) == 0.0
    heavy = make_fill(samples, pure=cavity, compacted=np.where(edge, 2.0, 0.0))
    room = (DENSITY_CEILING_G_PER_CM3 - 0.2) * (skeleton * mesh.cell_ml)[edge].sum()
    assert clamped_compaction_g(mesh, [lesion], [heavy]) == pytest.approx(
        2.0 * mesh.cell_ml[edge].sum() - room
    )


def stretch_compliance(mesh: BoneMesh, field: ModulusField) -> float:
    """Opening of a box along x over the force, its ends held flat: P1, no lateral strain."""
    corner = mesh.points_mm[mesh.tets]
    gradient = np.linalg.inv(corner[:, 1:] - corner[:, :1]).transpose(0, 2, 1)
    gradient = np.concatenate([-gradient.sum(axis=1, keepdims=True), gradient], axis=1)
    # With nu = 0 and u = (u, 0, 0), 2 mu eps : eps = E (u_x^2 + u_y^2 / 2 + u_z^2 / 2).
    scaled = gradient * np.sqrt([1.0, 0.5, 0.5])
    local = np.einsum("m,mai,mbi->mab", 1000.0 * mesh.cell_ml * field.young_MPa, scaled, scaled)
    rows, columns = np.repeat(mesh.tets, 4, axis=1), np.tile(mesh.tets, (1, 4))
    nodes = len(mesh.points_mm)
    stiffness = coo_matrix((local.ravel(), (rows.ravel(), columns.ravel())), (nodes, nodes)).tocsr()
    x = mesh.points_mm[:, 0]
    u = np.where(np.isclose(x, x.max()), 1.0, 0.0)
    free = ~(np.isclose(x, x.max()) | np.isclose(x, x.min()))
    u[free] = spsolve(stiffness[free][:, free], -(stiffness[free] @ u))
    return float(1.0 / (u @ (stiffness @ u)))


@pytest.mark.parametrize("cells", [6, 10])
@pytest.mark.parametrize("x_mm", [0.4, 7.3, -12.1])
def test_a_fracture_adds_the_compliance_of_its_gap(
    box: Callable[..., BoneMesh], cells: int, x_mm: float
) -> None:
    """Protects: bone and gap in series at any size of the cells; Voigt hides the gap altogether."""
    mesh = box(cells)
    samples = samples_of(mesh)
    gap = gap_along(mesh, samples, (np.array([x_mm, 0, 0]), np.eye(3)[0]), 1.0, ~samples.none)
    assert gap.area_mm2.sum() == pytest.approx(1200.0, rel=1e-6)
    broken = make_lesion(mesh, 0.0, fracture=gap)
    parameters = MaterialParameters()
    bone = intact_modulus(mesh)
    length, area = 60.0, 1200.0
    expected = length / (bone.young_MPa[0] * area) + 1.0 / (FRACTURE_MPA * area)
    found = stretch_compliance(mesh, lesion_modulus(mesh, [broken], parameters))
    assert found == pytest.approx(expected, rel=0.1)
    share = gap.area_mm2 * 1.0 / (1000.0 * mesh.cell_ml[gap.cells])
    voigt = bone.young_MPa.copy()
    voigt[gap.cells] *= 1.0 - np.minimum(share, 1.0)
    assert stretch_compliance(mesh, replace(bone, young_MPa=voigt)) < 0.05 * expected


def test_cement_closes_the_fracture_where_it_is(box: Callable[..., BoneMesh]) -> None:
    mesh = box(6)
    samples = samples_of(mesh)
    gap = gap_along(mesh, samples, (np.array([0.4, 0, 0]), np.eye(3)[0]), 1.0, ~samples.none)
    lesion = make_lesion(mesh, 0.0, fracture=gap)
    upper = samples.points_mm[:, 2] > -20.0
    parameters = MaterialParameters()
    young, cortex = (
        getattr(treated_modulus(mesh, [lesion], [make_fill(samples, pure=upper)], parameters), name)
        for name in ("young_MPa", "cortex")
    )
    height = samples.points_mm[gap.foot, 2]
    assert (young[gap.cells[height > -20.0]] > 100.0).all()
    assert (young[gap.cells[height < -20.0]] < 1.0).all()
    # A fracture cuts the cortex too, and cement inside the bone does not mend it.
    assert (cortex[gap.cells] < 0.05).all()
    beside = np.delete(np.arange(len(mesh.tets)), gap.cells)
    assert (cortex[beside] == 1.0).all()
    assert CORTEX_MPA * cortex[gap.cells].min() >= 0.999 * FRACTURE_MPA


def test_cartilage_springs_are_those_of_a_confined_layer() -> None:
    # E = 11.9, nu = 0.4: M = 25.5 MPa, G = 4.25 MPa, over 3 mm.
    springs = cartilage_springs()
    assert springs.normal_N_per_mm3 == pytest.approx(25.5 / 3.0)
    assert springs.tangential_N_per_mm3 == pytest.approx(4.25 / 3.0)
