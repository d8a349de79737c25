"""One case: a lesion and an arm on a bone, solved in three states and measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mpi4py import MPI

from sacrofem.measure.load_transfer import LoadTransfer, load_transfer
from sacrofem.measure.stress_relief import (
    RegionStress,
    Relief,
    region_stress,
    relief,
    rim_cells,
    von_mises_MPa,
)
from sacrofem.mechanics.distributed import kept_on_root, on_root
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.loads import StandingLoad
from sacrofem.mechanics.materials import (
    MaterialParameters,
    intact_modulus,
    lesion_modulus,
    treated_modulus,
)
from sacrofem.mechanics.state import StateSolution, solve_state
from sacrofem.mechanics.supports import cartilage_springs, support_of
from sacrofem.mesh.build import MeshedBone
from sacrofem.study.provenance import CASE_ROOMS, Stopwatch, sha256_of_code, sha256_of_value
from sacrofem.study.scenario import ArmSpec, LesionSpec, Scenario
from sacrofem.treatment.access_path import AccessPath, advance, short_axis
from sacrofem.treatment.balloon import fill_balloon
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion, place_lesion
from sacrofem.treatment.vertebroplasty import TIP_BEYOND_CENTRE_OF_RADIUS, fill_vertebroplasty

STATES = ("intact", "lesion", "treated")


@dataclass(frozen=True, eq=False)
class Bench:
    """A bone with its load and supports, its intact state solved: the base of many cases."""

    bone: MeshedBone
    model: ElasticModel
    materials: MaterialParameters
    intact: StateSolution


@dataclass(frozen=True, eq=False)
class DiseasedBone:
    """A bench with a lesion, solved; the lesion itself is on rank 0 only."""

    bench: Bench
    lesion: Lesion | None
    state: StateSolution


@dataclass(frozen=True, eq=False)
class Treatment:
    """Path and fill of one arm."""

    path: AccessPath
    fill: CementFill


@dataclass(frozen=True)
class CaseMeasures:
    """All numbers of one case, by state where a state has its own."""

    lesion_ml: float
    cement_ml: float
    leak_ml: float
    transfer: Mapping[str, LoadTransfer]
    rim: Mapping[str, RegionStress]
    relief_rim: Relief
    equilibrium_error: Mapping[str, float]
    iterations: Mapping[str, int]
    residual: Mapping[str, float]
    dofs: int


@dataclass(frozen=True, eq=False)
class CaseResult:
    """A finished case; the treatment is on rank 0 only."""

    arm: str
    key: str
    inputs: dict[str, Any]
    measures: CaseMeasures
    treatment: Treatment | None
    state: StateSolution


def case_inputs(scenario: Scenario, arm: ArmSpec, mesh_sha256: str) -> dict[str, Any]:
    """Everything that decides a case's numbers; its hash is the key of the record."""
    return {
        "mesh": mesh_sha256,
        "lesion": scenario.lesions[0].model_dump(mode="json"),
        "load": scenario.load.model_dump(mode="json"),
        "springs": asdict(cartilage_springs()),
        "materials": scenario.materials.model_dump(mode="json"),
        "order": scenario.order,
        "approach": arm.approach,
        "fill": arm.fill.model_dump(mode="json"),
        "code": sha256_of_code(CASE_ROOMS),
    }


def case_key(inputs: Mapping[str, Any]) -> str:
    """Key of a record: 32 hexadecimal digits."""
    return sha256_of_value(dict(inputs))[:32]


def set_up_bench(bone: MeshedBone, scenario: Scenario, watch: Stopwatch, comm: MPI.Comm) -> Bench:
    """Compile the model of a scenario on a bone and solve the intact state; collective."""
    load = scenario.load
    materials = MaterialParameters(**scenario.materials.model_dump())
    with watch.stage("model"):
        model = make_model(
            bone.mesh,
            StandingLoad(load.force_N, load.sacral_slope_deg, load.endplate_share),
            support_of(bone.mesh, load.hold),
            materials,
            scenario.order,
            comm,
        )
    with watch.stage("solve"):
        intact = solve_state(model, intact_modulus(bone.mesh, materials))
    return Bench(bone, model, materials, intact)


def put_lesion(bench: Bench, spec: LesionSpec, watch: Stopwatch) -> DiseasedBone:
    """Place a lesion and solve the bone with it; collective."""
    comm, mesh = bench.model.domain.comm, bench.bone.mesh
    with watch.stage("treatment"):
        lesion = kept_on_root(comm, lambda: place_lesion(mesh, spec.side, spec.volume_ml))
        modulus = on_root(comm, lambda: lesion_modulus(mesh, _here(lesion), bench.materials))
    with watch.stage("solve"):
        state = solve_state(bench.model, modulus)
    return DiseasedBone(bench, lesion, state)


def treat(
    diseased: DiseasedBone, scenario: Scenario, arm: ArmSpec, mesh_sha256: str, watch: Stopwatch
) -> CaseResult:
    """Treat a lesion by one arm, solve and measure; collective.

    Raises:
        InputError: The path or the fill is not possible in this bone.
        SolverError: The solve failed its checks.
    """
    bench = diseased.bench
    comm, mesh = bench.model.domain.comm, bench.bone.mesh
    with watch.stage("treatment"):
        made = kept_on_root(comm, lambda: _treatment(bench.bone, _here(diseased.lesion), arm))
        modulus = on_root(comm, lambda: treated_modulus(mesh, _here(made).fill, bench.materials))
    with watch.stage("solve"):
        state = solve_state(bench.model, modulus)
    with watch.stage("measure"):
        states = dict(zip(STATES, (bench.intact, diseased.state, state), strict=True))
        measures = on_root(comm, lambda: _measure(bench, _here(made).fill, states))
    inputs = case_inputs(scenario, arm, mesh_sha256)
    return CaseResult(arm.name, case_key(inputs), inputs, measures, made, state)


def _treatment(bone: MeshedBone, lesion: Lesion, arm: ArmSpec) -> Treatment:
    path = short_axis(bone.mesh, bone.tissue, lesion)
    if arm.fill.technique == "balloon":
        return Treatment(path, fill_balloon(bone.mesh, lesion, path, arm.fill.cement_ml))
    path = advance(bone.mesh, bone.tissue, path, TIP_BEYOND_CENTRE_OF_RADIUS * lesion.radius_mm)
    fill = fill_vertebroplasty(bone.mesh, bone.tissue, lesion, path, arm.fill.cement_ml)
    return Treatment(path, fill)


def _measure(bench: Bench, fill: CementFill, states: Mapping[str, StateSolution]) -> CaseMeasures:
    mesh = bench.bone.mesh
    rim = rim_cells(mesh, fill.lesion, fill)
    stress = {
        name: region_stress(mesh, rim, von_mises_MPa(state.stress_MPa))
        for name, state in states.items()
    }
    return CaseMeasures(
        lesion_ml=fill.lesion.volume_ml,
        cement_ml=fill.volume_ml,
        leak_ml=fill.leak_ml,
        transfer={n: load_transfer(s, bench.model.force_N) for n, s in states.items()},
        rim=stress,
        relief_rim=relief(stress["lesion"], stress["treated"]),
        equilibrium_error={n: s.equilibrium_error for n, s in states.items()},
        iterations={n: s.record.iterations for n, s in states.items()},
        residual={n: s.record.residual for n, s in states.items()},
        dofs=bench.model.dofs,
    )


def _here(value: Any) -> Any:
    """What is kept on rank 0, asked for on rank 0."""
    assert value is not None
    return value
