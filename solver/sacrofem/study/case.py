"""One case: lesions and an arm on a bone, solved in three states and measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from sacrofem.measure.cement import CementStress, InterfaceStress, stress_of_fills
from sacrofem.measure.cortex import cortex_response
from sacrofem.measure.failure_curve import linear_failure_N
from sacrofem.measure.levels import Level, LevelLoad, level_loads
from sacrofem.measure.load_transfer import LoadTransfer, load_transfer
from sacrofem.measure.micromotion import Micromotion, micromotion
from sacrofem.measure.regions import CORTEX, sound_regions
from sacrofem.measure.response import (
    CellResponse,
    Spread,
    bone_at_risk_ml,
    cell_response,
    region_response,
)
from sacrofem.measure.sections import SectionLoad, load_path, sacral_sections
from sacrofem.measure.stress_relief import (
    RegionStress,
    Relief,
    region_stress,
    relief,
)
from sacrofem.measure.tissues import TissueShares, energy_by_tissue, tissue_shares
from sacrofem.mechanics.attachments import find_ligaments
from sacrofem.mechanics.distributed import kept_on_root, on_root
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.ligaments import LIGAMENTS, NO_LIGAMENTS
from sacrofem.mechanics.loads import sacral_load
from sacrofem.mechanics.materials import (
    MaterialParameters,
    clamped_compaction_g,
    intact_modulus,
    lesion_modulus,
    treated_modulus,
)
from sacrofem.mechanics.sections import Section
from sacrofem.mechanics.state import StateSolution, solve_state, solve_with_ligaments
from sacrofem.mechanics.supports import cartilage_springs, support_of
from sacrofem.mesh.bone_mesh import Part
from sacrofem.mesh.build import MeshedBone
from sacrofem.mesh.compartments import Compartment
from sacrofem.study.planes import asked_sections, row_sections
from sacrofem.study.plans import identity, lesion_plans, procedure_plans
from sacrofem.study.provenance import CASE_ROOMS, Stopwatch, sha256_of_code, sha256_of_value
from sacrofem.study.scenario import ArmSpec, Scenario
from sacrofem.treatment.lesion import Lesion, diseased
from sacrofem.treatment.operating_field import OperatingField, operating_field
from sacrofem.treatment.procedure import Treatment
from sacrofem.treatment.sites import place_lesions
from sacrofem.treatment.treat import treat as treat_lesions

STATES = ("intact", "lesion", "treated")


@dataclass(frozen=True, eq=False)
class Bench:
    """A bone with its load and supports, its intact state solved: the base of many cases.

    The operating field is on rank 0 only. ``sections`` are those of every record, then the planes
    of the scenario, then those of ``levels``; a bench of a sweep has the first alone.
    """

    bone: MeshedBone
    field: OperatingField | None
    model: ElasticModel
    materials: MaterialParameters
    sections: tuple[Section, ...]
    levels: tuple[Level, ...]
    intact: StateSolution


@dataclass(frozen=True, eq=False)
class DiseasedBone:
    """A bench with lesions, solved; the lesions themselves are on rank 0 only."""

    bench: Bench
    lesions: tuple[Lesion, ...] | None
    state: StateSolution


@dataclass(frozen=True)
class CaseMeasures:
    """All numbers of one case, by state where a state has its own.

    ``injected_ml = cement_ml + sum(leak_ml) + unplaced_ml``. Micromotion is that of the first
    fracture; None where no lesion is fractured. ``clamped_compaction_g`` is displaced bone mass
    that found only bone as dense as can be, and adds nothing to the modulus. ``load_path`` is by
    state and section, ``levels`` by state, ``energy_mJ`` by state and tissue, ``regions`` by
    region, state and quantity; the regions and the bone of ``bone_at_risk_ml`` are the same in all
    states of an arm, and so is that of ``failure_load_linear_N``, see
    :func:`sacrofem.measure.failure_curve.linear_failure_N`. Cement and its interface are those of
    the treated state. ``ligament_tension_N`` is by state, ligament and side; slack ones are not in
    it.
    """

    lesion_ml: float
    injected_ml: float
    cement_ml: float
    augmented_ml: float
    leak_ml: Mapping[Compartment, float]
    unplaced_ml: float
    nerve_distance_mm: float
    clamped_compaction_g: float
    transfer: Mapping[str, LoadTransfer]
    rim: Mapping[str, RegionStress]
    relief_rim: Relief
    micromotion: Mapping[str, Micromotion] | None
    load_path: Mapping[str, Mapping[str, SectionLoad]]
    levels: Mapping[str, tuple[LevelLoad, ...]]
    cement: CementStress
    interface: InterfaceStress
    energy_mJ: Mapping[str, Mapping[str, float]]
    energy_error: Mapping[str, float]
    regions: Mapping[str, Mapping[str, Mapping[str, Spread]]]
    bone_at_risk_ml: Mapping[str, float]
    failure_load_linear_N: Mapping[str, float]
    ligament_tension_N: Mapping[str, Mapping[str, Mapping[str, float]]]
    equilibrium_error: Mapping[str, float]
    iterations: Mapping[str, int]
    residual: Mapping[str, float]
    dofs: int

    @property
    def leaked_ml(self) -> float:
        """Cement outside the bone."""
        return float(sum(self.leak_ml.values()))


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
        "lesions": identity(scenario.lesions),
        "load": scenario.load.model_dump(mode="json"),
        "springs": {
            "joint": asdict(cartilage_springs()),
            "ligaments": {
                name: asdict(stiffness)
                for name, stiffness in LIGAMENTS.items()
                if scenario.load.ligaments
            },
        },
        "materials": scenario.materials.model_dump(mode="json"),
        "order": scenario.order,
        "procedures": identity(arm.of_lesions(len(scenario.lesions))),
        "code": sha256_of_code(CASE_ROOMS),
    }


def case_key(inputs: Mapping[str, Any]) -> str:
    """Key of a record: 32 hexadecimal digits."""
    return sha256_of_value(dict(inputs))[:32]


def set_up_bench(
    bone: MeshedBone,
    scenario: Scenario,
    watch: Stopwatch,
    comm: MPI.Comm,
    with_planes: bool = False,
) -> Bench:
    """Compile the model of a scenario on a bone and solve the intact state; collective.

    Args:
        bone: The bone, known to every rank.
        scenario: The scenario.
        watch: Told how long it takes.
        comm: Communicator.
        with_planes: Whether the forces through the planes of the scenario and through a row of
            levels are asked for in all states, which a report reads, but no record.

    Raises:
        InputError: A plane does not cut the bone.
        SolverError: The solve failed its checks.
    """
    load = scenario.load
    materials = MaterialParameters(**scenario.materials.model_dump())
    with watch.stage("model"):
        model = make_model(
            bone.mesh,
            sacral_load(load.load_case, bone.mesh.frame),
            support_of(bone.mesh, load.hold, load.stance),
            materials,
            scenario.order,
            comm,
            find_ligaments(bone.mesh) if load.ligaments else NO_LIGAMENTS,
        )
    with watch.stage("solve"):
        sections = sacral_sections(bone.mesh)
        levels: tuple[Level, ...] = ()
        if with_planes:
            row, levels = row_sections(bone, model)
            sections += (*asked_sections(bone, scenario), *row)
        model, intact = solve_with_ligaments(model, intact_modulus(bone.mesh, materials), sections)
    with watch.stage("treatment"):
        field = kept_on_root(comm, lambda: operating_field(bone))
    return Bench(bone, field, model, materials, sections, levels, intact)


def put_lesions(bench: Bench, scenario: Scenario, watch: Stopwatch) -> DiseasedBone:
    """Place the lesions of a scenario and solve the bone with them; collective."""
    comm, mesh = bench.model.domain.comm, bench.bone.mesh
    with watch.stage("treatment"):
        lesions = kept_on_root(
            comm, lambda: place_lesions(_here(bench.field), lesion_plans(scenario))
        )
        modulus = on_root(comm, lambda: lesion_modulus(mesh, _here(lesions), bench.materials))
    with watch.stage("solve"):
        state = solve_state(bench.model, modulus, bench.sections)
    return DiseasedBone(bench, lesions, state)


def treat(
    sick: DiseasedBone, scenario: Scenario, arm: ArmSpec, mesh_sha256: str, watch: Stopwatch
) -> CaseResult:
    """Treat the lesions by one arm, solve and measure; collective.

    Raises:
        InputError: The path or the fill is not possible in this bone.
        SolverError: The solve failed its checks.
    """
    bench, lesions = sick.bench, sick.lesions
    comm, mesh = bench.model.domain.comm, bench.bone.mesh
    with watch.stage("treatment"):
        made = kept_on_root(
            comm,
            lambda: treat_lesions(
                _here(bench.field), _here(lesions), procedure_plans(scenario, arm)
            ),
        )
        modulus = on_root(
            comm,
            lambda: treated_modulus(mesh, _here(lesions), _here(made).fills, bench.materials),
        )
    with watch.stage("solve"):
        state = solve_state(bench.model, modulus, bench.sections)
    with watch.stage("measure"):
        states = dict(zip(STATES, (bench.intact, sick.state, state), strict=True))
        measures = on_root(comm, lambda: _measure(bench, _here(lesions), _here(made), states))
    inputs = case_inputs(scenario, arm, mesh_sha256)
    return CaseResult(arm.name, case_key(inputs), inputs, measures, made, state)


def _measure(
    bench: Bench,
    lesions: tuple[Lesion, ...],
    treatment: Treatment,
    states: Mapping[str, StateSolution],
) -> CaseMeasures:
    mesh, samples = bench.bone.mesh, lesions[0].samples
    cells = sound_regions(mesh, bench.bone.atlas, samples, diseased(lesions), treatment.inside)
    shares = _tissue_shares(bench, lesions, treatment, states)
    response = {name: cell_response(mesh, state) for name, state in states.items()}
    stress = {
        name: region_stress(mesh, cells["rim"], r.by_name["von_mises_MPa"])
        for name, r in response.items()
    }
    applied_N = bench.model.force_N
    bone_ml = shares["treated"].bone_volume * mesh.cell_ml * (mesh.part == Part.SACRUM)
    paths = {n: load_path(s, applied_N, shares[n].cement) for n, s in states.items()}
    in_row = {level.name for level in bench.levels}
    cement, interface = stress_of_fills(
        mesh, states["treated"], lesions, treatment.fills, shares["treated"].cement
    )
    near = [d for fill in treatment.fills for d in fill.nerve_distance_mm.values()]
    return CaseMeasures(
        lesion_ml=sum(lesion.volume_ml for lesion in lesions),
        injected_ml=sum(fill.injected_ml for fill in treatment.fills),
        cement_ml=treatment.cement_ml,
        augmented_ml=samples.volume_ml(treatment.inside),
        leak_ml=treatment.leak_ml,
        unplaced_ml=treatment.unplaced_ml,
        nerve_distance_mm=min(near, default=float("inf")),
        clamped_compaction_g=clamped_compaction_g(mesh, lesions, treatment.fills),
        transfer={n: load_transfer(s, applied_N) for n, s in states.items()},
        rim=stress,
        relief_rim=relief(stress["lesion"], stress["treated"]),
        micromotion=_micromotion(bench, lesions, states),
        load_path={
            n: {name: load for name, load in path.items() if name not in in_row}
            for n, path in paths.items()
        },
        levels={n: level_loads(bench.levels, path) for n, path in paths.items()},
        cement=cement,
        interface=interface,
        energy_mJ={n: energy_by_tissue(mesh, s, shares[n]) for n, s in states.items()},
        energy_error={n: s.energy.error for n, s in states.items()},
        regions=_by_region(bench, cells, states, response),
        bone_at_risk_ml={
            n: bone_at_risk_ml(mesh, r, shares["treated"].bone_volume) for n, r in response.items()
        },
        failure_load_linear_N={
            n: linear_failure_N(mesh, s, float(np.linalg.norm(applied_N)), bone_ml)
            for n, s in states.items()
        },
        ligament_tension_N={n: s.ligament_tension_N for n, s in states.items()},
        equilibrium_error={n: s.equilibrium_error for n, s in states.items()},
        iterations={n: s.record.iterations for n, s in states.items()},
        residual={n: s.record.residual for n, s in states.items()},
        dofs=bench.model.dofs,
    )


def _by_region(
    bench: Bench,
    cells: Mapping[str, NDArray[np.bool_]],
    states: Mapping[str, StateSolution],
    response: Mapping[str, CellResponse],
) -> dict[str, dict[str, dict[str, Spread]]]:
    """Response by region, state and quantity; the cortex is that of all sound cells."""
    mesh, materials = bench.bone.mesh, bench.materials
    found = {
        region: {n: region_response(mesh, here, r) for n, r in response.items()}
        for region, here in cells.items()
    }
    found[CORTEX] = {n: cortex_response(s, cells["whole"], materials) for n, s in states.items()}
    return found


def _tissue_shares(
    bench: Bench,
    lesions: tuple[Lesion, ...],
    treatment: Treatment,
    states: Mapping[str, StateSolution],
) -> dict[str, TissueShares]:
    """Parts of the tissues in the cells of each state."""
    holds = {"intact": ((), ()), "lesion": (lesions, ()), "treated": (lesions, treatment.fills)}
    intact = states["intact"].modulus
    return {
        name: tissue_shares(intact, states[name].modulus, *content, bench.materials)
        for name, content in holds.items()
    }


def _micromotion(
    bench: Bench, lesions: tuple[Lesion, ...], states: Mapping[str, StateSolution]
) -> dict[str, Micromotion] | None:
    """Micromotion of the first fracture in each state."""
    broken = next((lesion.fracture for lesion in lesions if lesion.fracture is not None), None)
    if broken is None:
        return None
    mesh = bench.bone.mesh
    return {name: micromotion(mesh, s.displacement_mm, broken) for name, s in states.items()}


def _here(value: Any) -> Any:
    """What is kept on rank 0, asked for on rank 0."""
    assert value is not None
    return value
