"""The bones of the studies: phantoms, meshed and kept as the package does, under its own load.

An osteoporotic bone is the phantom of a woman of 95: at that age its L5 has about 100 HU, which is
80 mg/cm3 on the fallback line, the limit of osteoporosis. Nothing else differs from the defaults.
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

from mpi4py import MPI

from sacrofem.measure.load_transfer import load_transfer
from sacrofem.mechanics.attachments import find_ligaments
from sacrofem.mechanics.elasticity import ElasticModel, make_model
from sacrofem.mechanics.ligaments import NO_LIGAMENTS
from sacrofem.mechanics.loads import SacralLoad, sacral_load
from sacrofem.mechanics.materials import (
    MaterialParameters,
    ModulusField,
    intact_modulus,
    treated_modulus,
)
from sacrofem.mechanics.state import StateSolution, solve_state, solve_with_ligaments
from sacrofem.mechanics.supports import JointSprings, Support, support_of
from sacrofem.mesh.build import MeshedBone
from sacrofem.study.bones import load_patient
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import MeshRecipe, PhantomRecipe
from sacrofem.study.scenario import LoadSpec
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField, operating_field
from sacrofem.treatment.plan import FillPlan, LesionPlan, PathPlan, ProcedurePlan
from sacrofem.treatment.procedure import Treatment
from sacrofem.treatment.sites import place_lesions
from sacrofem.treatment.treat import treat
from studies.row import Size

OSTEOPOROTIC_YEARS, DEFAULT_YEARS = 95.0, 70.0
#: Springs that hold a face still: more than a hundred times the joint's.
FIXED = JointSprings(1e3, 1e3)
#: Of all studies; a variation says so.
DEFAULTS = MaterialParameters()
ModelName = Literal["sacrum", "pelvis"]
#: Edges by size and model: in the sacrum's zone of lesions and elsewhere, in mm.
EDGES_MM: dict[tuple[Size, ModelName], tuple[float, float]] = {
    ("full", "sacrum"): (4.0, 5.0),
    ("full", "pelvis"): (4.0, 7.0),
    ("small", "sacrum"): (6.0, 8.0),
    # The symphysis closes in a coarser one.
    ("small", "pelvis"): (4.0, 7.0),
}
#: The pelvis is asked for rigid motions and for a comparison of supports: order 1 is enough.
ORDER: dict[tuple[Size, ModelName], int] = {
    ("full", "sacrum"): 2,
    ("full", "pelvis"): 1,
    ("small", "sacrum"): 1,
    ("small", "pelvis"): 1,
}


@dataclass(frozen=True, eq=False)
class Bench:
    """A bone under a load, ready to be solved in any state.

    Attributes:
        bone: Meshed bone.
        field: The same as a treatment sees it.
        model: Its model, with the ligaments that are taut in the sound bone.
        intact: Moduli of the bone as the CT shows it.
    """

    bone: MeshedBone
    field: OperatingField
    model: ElasticModel
    intact: ModulusField

    @cached_property
    def sound(self) -> StateSolution:
        """The bone as the CT shows it."""
        return self.solve(self.intact)

    def solve(self, modulus: ModulusField) -> StateSolution:
        """Solve one state."""
        return solve_state(self.model, modulus)

    def stiffness_N_per_mm(self, state: StateSolution) -> float:
        """Load over the endplate's displacement along it."""
        return load_transfer(state, self.model.force_N).stiffness_N_per_mm

    def modulus(
        self,
        lesions: tuple[Lesion, ...] = (),
        fills: tuple[CementFill, ...] = (),
        materials: MaterialParameters = DEFAULTS,
    ) -> ModulusField:
        """Moduli with lesions and cement."""
        return treated_modulus(self.bone.mesh, lesions, fills, materials)


@cache
def meshed(size: Size, years: float = OSTEOPOROTIC_YEARS) -> Bench:
    """The sacrum of a phantom of some age under the default load and support."""
    bone = phantom(size, years, "sacrum")
    return bench_of(size, bone, operating_field(bone))


@cache
def phantom(
    size: Size, years: float, model: ModelName, edges_mm: tuple[float, float] | None = None
) -> MeshedBone:
    """A phantom of some age, from the user's cache where it was meshed before."""
    fine, coarse = edges_mm or EDGES_MM[size, model]
    voxel = 1.5 if size == "full" or model == "pelvis" else 2.0
    recipe = MeshRecipe(
        phantom=PhantomRecipe(voxel_mm=(voxel,) * 3, age_years=years),
        model=model,
        edge_mm=fine,
        edge_elsewhere_mm=coarse,
    )
    return load_patient(recipe, Stopwatch()).bone


def bench_of(
    size: Size,
    bone: MeshedBone,
    field: OperatingField,
    load: SacralLoad | None = None,
    support: Support | None = None,
    order: int | None = None,
    ligaments: bool = False,
) -> Bench:
    """A bone under a load; with a support of its own it has ligaments only if asked for."""
    mesh = bone.mesh
    model = make_model(
        mesh,
        load or sacral_load(LoadSpec().load_case, mesh.frame),
        support or support_of(mesh),
        DEFAULTS,
        order or ORDER[size, "sacrum"],
        MPI.COMM_SELF,
        find_ligaments(mesh) if ligaments or support is None else NO_LIGAMENTS,
    )
    intact = intact_modulus(mesh, DEFAULTS)
    if len(model.ligaments):
        model, _ = solve_with_ligaments(model, intact)
    return Bench(bone, field, model, intact)


def held_fast(size: Size, bench: Bench, load: SacralLoad | None = None) -> Bench:
    """The same bone with the faces fixed at which it is held, without ligaments."""
    support = replace(bench.model.support, springs=FIXED)
    return bench_of(size, bench.bone, bench.field, load, support)


def targets(bench: Bench, *plans: LesionPlan) -> tuple[Lesion, ...]:
    """Places to aim at, in sound bone: lesions of 0 ml, unless a plan has a volume."""
    return place_lesions(bench.field, [replace(p, volume_ml=p.volume_ml or 0.0) for p in plans])


def augmented(
    bench: Bench, lesions: tuple[Lesion, ...], fills_ml: tuple[float, ...], **path: str
) -> Treatment:
    """Vertebroplasty of each lesion by a path of its own; as high-viscous as the default."""
    plans = [
        ProcedurePlan(
            (number,),
            PathPlan(**path),  # type: ignore[arg-type]
            FillPlan("vertebroplasty", volume_ml),
        )
        for number, volume_ml in enumerate(fills_ml)
        if volume_ml > 0.0
    ]
    return treat(bench.field, lesions, plans)
