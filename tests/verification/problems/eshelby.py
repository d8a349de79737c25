"""Eshelby's spherical inclusion: a lesion and a cement ball in bone under a far strain.

Inside, the strain is uniform (Eshelby 1957): its mean part is that far away by ``1 / (1 + alpha
(K1/K0 - 1))``, its deviator by ``1 / (1 + beta (mu1/mu0 - 1))``, with ``alpha = (1 + nu) / (3 (1 -
nu))`` and ``beta = 2 (4 - 5 nu) / (15 (1 - nu))`` of the bone. Outside, the deviator adds ``B (2 -
4 nu) e x / r^3 + 3 B (e x . x) x / r^5`` and ``2 A e x / r^5 - 5 A (e x . x) x / r^7``, ``A = 3 B
a^2 / 5`` (Goodier 1933); both harmonic combinations vanish far away. The cube is loaded by the
tractions of that exact field, so that it is a piece of an infinite body.
"""

from typing import Any

import numpy as np
import ufl

from problems.exact import HELD, NO_CORTEX, hooke, model_of, spring_force, uniform, with_load
from problems.meshes import cube_about_ball
from problems.row import Row, Size
from sacrofem.mechanics.elasticity import ElasticModel, boundary_measure, set_modulus
from sacrofem.mechanics.materials import (
    BONE_POISSON,
    CEMENT_MPA,
    CEMENT_POISSON,
    DEFAULT_MIXTURE,
    TUMOUR_MPA,
    TUMOUR_POISSON,
    MaterialParameters,
    ModulusField,
    treated_modulus,
)
from sacrofem.mechanics.mixture import Mixture
from sacrofem.mechanics.state import solve_state
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.mesh.build import DEFAULT_EDGE_MM
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.region import BoneSamples, region_of_volume, samples_of

BONE_MPA = 300.0
#: That of a ball of 7.1 ml, the lesion of the main scenario, in a cube.
RADIUS_MM, HALF_MM = 11.9, 18.0
FAR_STRAIN = 1e-3 * np.array([[-1.0, 0.4, 0.2], [0.4, 0.5, -0.3], [0.2, -0.3, -2.0]])
SHIFT_MM = np.array([0.03, 0.02, -0.05])
INCLUSIONS = {"lesion": (TUMOUR_MPA, TUMOUR_POISSON), "cement": (CEMENT_MPA, CEMENT_POISSON)}
BALL_ML = 4 / 3 * np.pi * RADIUS_MM**3 / 1000
WITHIN = 0.01
SMALL_EDGE_MM = 4.0
NOTE_FOLLOWING = (
    "Flat facets: the ball is a polyhedron, whose edges scatter the strain beside them."
)
NOTE_MIXED = (
    "Mixed cells: those that the sphere cuts are a blurred layer as thick as a cell, and their "
    "strain, which counts by its share in the mean of the ball, is that of a mixture. A soft ball "
    "hardly resists: its inside follows a jagged wall, and scatters. The same volume on a mesh "
    "that follows the sphere has none of this, so it is the mixture and not the element."
)


def factors(young_MPa: float, poisson: float) -> tuple[float, float]:
    """Strain inside over that far away: of its mean part, of its deviator."""
    nu = BONE_POISSON
    bulk = young_MPa / (1 - 2 * poisson) * (1 - 2 * nu) / BONE_MPA
    shear = young_MPa / (1 + poisson) * (1 + nu) / BONE_MPA
    alpha, beta = (1 + nu) / (3 * (1 - nu)), 2 * (4 - 5 * nu) / (15 * (1 - nu))
    return 1 / (1 + alpha * (bulk - 1)), 1 / (1 + beta * (shear - 1))


def _split() -> tuple[np.ndarray, np.ndarray]:
    mean = np.trace(FAR_STRAIN) / 3.0 * np.eye(3)
    return mean, FAR_STRAIN - mean


def inside(young_MPa: float, poisson: float) -> np.ndarray:
    """Exact strain of the ball, shape (3, 3)."""
    mean, deviator = _split()
    by_mean, by_deviator = factors(young_MPa, poisson)
    return by_mean * mean + by_deviator * deviator


def outside(x: Any, young_MPa: float, poisson: float) -> Any:
    """Exact displacement in the bone, a UFL expression of the position."""
    by_mean, by_deviator = factors(young_MPa, poisson)
    nu, a = BONE_POISSON, RADIUS_MM
    mean, deviator = (ufl.as_matrix(part.tolist()) for part in _split())
    r = ufl.sqrt(ufl.dot(x, x))
    ex = deviator * x
    q = ufl.dot(ex, x)
    B = (by_deviator - 1) * a**3 / (16 / 5 - 4 * nu)
    A = 3 / 5 * B * a**2
    u = (1 + (by_mean - 1) * a**3 / r**3) * (mean * x) + ex
    u += B * ((2 - 4 * nu) * ex / r**3 + 3 * q * x / r**5)
    u += A * (2 * ex / r**5 - 5 * q * x / r**7)
    return u + ufl.as_vector(SHIFT_MM.tolist())


def run(size: Size) -> list[Row]:
    """Strain inside on a mesh that follows the ball, and on one that mixes cells."""
    edge_mm = SMALL_EDGE_MM if size == "small" else DEFAULT_EDGE_MM
    rows = []
    for name in INCLUSIONS:
        rows += following(name, edge_mm)
        rows += _mixed(name, edge_mm, DEFAULT_MIXTURE)
        if size == "full":
            rows += following(name, edge_mm / 2)
            rows += _mixed(name, edge_mm / 2, DEFAULT_MIXTURE)
            rows += _mixed(name, edge_mm / 2, "reuss")
    return rows


def following(name: str, edge_mm: float) -> list[Row]:
    """Rows of a mesh whose facets lie on the sphere."""
    bone, ball = _ball_in_cube(edge_mm, RADIUS_MM)
    # The same volume as that of the ball, as every region of the program has.
    lost = BALL_ML / bone.cell_ml[ball].sum()
    bone, ball = _ball_in_cube(edge_mm, RADIUS_MM * lost ** (1 / 3))
    modulus = uniform(bone, BONE_MPA, BONE_POISSON)
    modulus.young_MPa[ball], modulus.poisson[ball] = INCLUSIONS[name]
    how = f"mesh follows the ball, edge {edge_mm:g} mm"
    return _rows(name, bone, modulus, ball.astype(float), how, NOTE_FOLLOWING)


def _ball_in_cube(edge_mm: float, radius_mm: float) -> tuple[BoneMesh, np.ndarray]:
    bone = cube_about_ball(edge_mm, HALF_MM, radius_mm)
    return bone, np.linalg.norm(bone.centroids_mm, axis=1) < radius_mm


def _mixed(name: str, edge_mm: float, mixture: Mixture) -> list[Row]:
    bone = cube_about_ball(edge_mm, HALF_MM)
    samples = samples_of(bone)
    distance = np.linalg.norm(samples.points_mm, axis=1)
    ball = region_of_volume(samples, distance, BALL_ML, name)
    lesions = [_lesion(samples, ball)] if name == "lesion" else []
    fills = [_cement(samples, ball)] if name == "cement" else []
    parameters = MaterialParameters(mixture=mixture)
    modulus = treated_modulus(bone, lesions, fills, parameters)
    how = f"cells mixed by {mixture}, edge {edge_mm:g} mm"
    return _rows(name, bone, modulus, samples.fraction(ball), how, NOTE_MIXED)


def _rows(
    name: str, bone: BoneMesh, modulus: ModulusField, share: np.ndarray, how: str, note: str
) -> list[Row]:
    """Mean strain of the ball, by its share of each cell, and the scatter of the cells in it."""
    model = _loaded(bone, modulus, *INCLUSIONS[name])
    stress = solve_state(model, modulus).stress_MPa
    young, nu = modulus.young_MPa[:, None, None], modulus.poisson[:, None, None]
    trace = np.trace(stress, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    strain = ((1 + nu) * stress - nu * trace) / young
    exact = inside(*INCLUSIONS[name])
    size = np.linalg.norm(exact)
    mean = np.einsum("m,mij->ij", share * bone.cell_ml, strain) / (share @ bone.cell_ml)
    off = float(np.linalg.norm(mean - exact) / size)
    whole = np.where(share > 1.0 - 1e-9, bone.cell_ml, 0.0)
    whole /= whole.sum()
    core = np.einsum("m,mij->ij", whole, strain)
    core_off = float(np.linalg.norm(core - exact) / size)
    scatter = float(np.sqrt(whole @ ((strain - core) ** 2).sum(axis=(1, 2))) / size)
    what = f"{name}, {how}, P2, {len(bone.tets):,} cells"
    z = f"e_zz {exact[2, 2]:.3e}"
    found = [f"{e[2, 2]:.3e}, tensor off by {o:.2%}" for e, o in ((mean, off), (core, core_off))]
    return [
        _row(f"mean strain of the ball: {what}", z, found[0], off, note),
        _row(f"mean strain of the cells wholly in it: {what}", z, found[1], core_off, note),
        _row(f"uniform in these: {what}", "scatter 0", f"{scatter:.2%} rms", scatter, note),
    ]


def _row(what: str, expected: str, found: str, error: float, note: str) -> Row:
    return Row(what, expected, found, error, WITHIN, note if error > WITHIN else "")


def _loaded(
    bone: BoneMesh, modulus: ModulusField, young_MPa: float, poisson: float
) -> ElasticModel:
    """The model under the tractions of the exact field, whose stress is free of divergence."""
    model = model_of(bone, 2, NO_CORTEX)
    set_modulus(model, modulus)
    mesh, v = model.domain.mesh, ufl.TestFunction(model.space)
    exact = outside(ufl.SpatialCoordinate(mesh), young_MPa, poisson)
    ds = boundary_measure(model.domain)(metadata={"quadrature_degree": 6})
    form = ufl.inner(hooke(exact, model) * ufl.FacetNormal(mesh), v) * ds
    form += ufl.inner(spring_force(exact, model), v) * ds(HELD)
    return with_load(model, form)


def _lesion(samples: BoneSamples, ball: np.ndarray) -> Lesion:
    return Lesion(
        name="ball",
        kind="lytic",
        side="middle",
        centre_mm=np.zeros(3),
        radius_mm=RADIUS_MM,
        samples=samples,
        inside=ball,
        blastic=samples.none,
        volume_ml=samples.volume_ml(ball),
        breach=(),
        cortex_lost=np.zeros(samples.cells),
        voxels=np.zeros((1, 1, 1), dtype=bool),
        open_voxels=np.zeros((1, 1, 1), dtype=bool),
        fracture=None,
    )


def _cement(samples: BoneSamples, ball: np.ndarray) -> CementFill:
    cement_ml = samples.volume_ml(ball)
    return CementFill(
        technique="balloon",
        samples=samples,
        pure=ball,
        interdigitated=samples.none,
        hollow=samples.none,
        compacted_g_per_cm3=np.zeros(samples.cells),
        injected_ml=cement_ml,
        cement_ml=cement_ml,
        leak_ml={},
        unplaced_ml=0.0,
        pressure_kPa=None,
        stopped_by="",
        nerve_distance_mm={},
        notes=(),
    )
