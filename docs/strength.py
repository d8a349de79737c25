"""Measure what a load of failure depends on: ``nice ./with-env python docs/strength.py``.

Writes ``docs/strength.md`` in about half an hour: the main scenario on meshes of three sizes, with
a smaller step and with more of the bone kept elastic, and boxes beside exact loads.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from mpi4py import MPI

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.errors import SolverError
from sacrofem.measure.failure_curve import curve_measures
from sacrofem.mechanics.elasticity import make_model
from sacrofem.mechanics.loads import SacralLoad
from sacrofem.mechanics.materials import MaterialParameters, ModulusField, intact_modulus
from sacrofem.mechanics.plasticity import Stepping, YieldingBone, load_to_failure
from sacrofem.mechanics.plasticity_law import YieldStrains
from sacrofem.mechanics.supports import SACROILIAC_JOINTS, JointSprings, Support, cartilage_springs
from sacrofem.mesh.bone_mesh import BoneMesh
from sacrofem.study.bones import load_patient
from sacrofem.study.case import DiseasedBone, put_lesions, set_up_bench, treat
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import read_recipe
from sacrofem.study.scenario import Scenario, read_scenario
from sacrofem.study.strength import (
    ATTACHMENT_MM,
    Strength,
    StrengthQuestion,
    intact_strength,
    lesion_strength,
    set_up_strength,
    treated_strength,
)

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from conftest import BOX_HALF_MM, BOX_HEIGHT_MM, make_box  # noqa: E402

SCENARIO = ROOT / "scenarios" / "balloon-vs-vertebroplasty.yaml"
EDGES_MM = (5.0, 4.0, 3.0)
#: The mesh on which step and attachment vary, and what they become.
VARIED_MM, SMALL_STEP, WIDE_MM = 5.0, 0.25, 8.0
BOX_CELLS = (4, 8, 16)
LOADS = (
    ("effective_strain_N", "effective strain"),
    ("yield_strain_N", "yield strains"),
    ("yield_N", "yield"),
    ("failure_N", "failure"),
)
YOUNG_MPA = 200.0


@dataclass(frozen=True)
class State:
    """Loads of one state, in N, where it fails, and the processor time that it took."""

    effective_strain_N: float
    yield_strain_N: float
    yield_N: float
    failure_N: float
    yielded_ml: float
    largest_k: float
    #: From the centre of the lesion to that of the bone that fails, and its depth below the
    #: endplate.
    from_lesion_mm: float
    depth_mm: float
    seconds: float


@dataclass(frozen=True)
class Box:
    """Failure load of a box by cells along an edge; ``exact_N`` None where none is known."""

    name: str
    exact_N: float | None
    failure_N: tuple[float, ...]


@dataclass(frozen=True)
class Found:
    """All that is measured; states by edge length and name, and those of the two variations."""

    cells: dict[float, int]
    states: dict[float, dict[str, State]]
    small_step: dict[str, State]
    wide: dict[str, State]
    boxes: tuple[Box, ...]
    load_case_N: float
    core_minutes: float


def measure() -> Found:
    """Load everything to failure."""
    start = time.process_time()
    scenario = read_scenario(SCENARIO).model_copy(update={"order": 1})
    question = StrengthQuestion("nonlinear")
    cells, states = {}, {}
    small: dict[str, State] = {}
    wide: dict[str, State] = {}
    load_N = 0.0
    for edge_mm in EDGES_MM:
        watch = Stopwatch()
        recipe = read_recipe(scenario.mesh).model_copy(update={"edge_mm": edge_mm})
        bone = load_patient(recipe, watch).bone
        sick = put_lesions(set_up_bench(bone, scenario, watch, MPI.COMM_SELF), scenario, watch)
        load_N = float(np.linalg.norm(sick.bench.model.force_N))
        cells[edge_mm] = len(bone.mesh.tets)
        states[edge_mm] = states_of(sick, scenario, question)
        if edge_mm == VARIED_MM:
            small = states_of(
                sick, scenario, replace(question, stepping=Stepping(step=SMALL_STEP, max_steps=120))
            )
            wide = states_of(sick, scenario, replace(question, attachment_mm=WIDE_MM))
    found = tuple(boxes())
    return Found(cells, states, small, wide, found, load_N, (time.process_time() - start) / 60.0)


def states_of(
    sick: DiseasedBone, scenario: Scenario, question: StrengthQuestion
) -> dict[str, State]:
    """Intact, lesion and each arm to failure."""
    bench = set_up_strength(sick.bench, scenario, question)
    sha256 = sick.bench.bone.mesh.sha256
    found = {}
    start = time.process_time()
    for name in ("intact", "lesion", *(arm.name for arm in scenario.arms)):
        if name == "intact":
            strength = intact_strength(bench)
        elif name == "lesion":
            strength = lesion_strength(bench, sick)
        else:
            arm = next(arm for arm in scenario.arms if arm.name == name)
            case = treat(sick, scenario, arm, sha256, Stopwatch())
            strength = treated_strength(bench, sick, case)
        spent, start = time.process_time() - start, time.process_time()
        found[name] = state_of(sick, strength, spent)
        tell(f"{len(sick.bench.bone.mesh.tets)} cells, {name}: {found[name]}")
    return found


def state_of(sick: DiseasedBone, strength: Strength, seconds: float) -> State:
    """The numbers of one state."""
    curve, measures = strength.curve, strength.measures
    assert curve is not None
    assert measures is not None
    assert sick.lesions is not None
    frame = sick.bench.bone.mesh.frame
    return State(
        effective_strain_N=strength.effective_strain_N,
        yield_strain_N=strength.yield_strain_N,
        yield_N=measures.yield_N,
        failure_N=measures.failure_N,
        yielded_ml=measures.yielded_ml,
        largest_k=float(curve.k.max()),
        from_lesion_mm=float(np.linalg.norm(measures.place_mm - sick.lesions[0].centre_mm)),
        depth_mm=-float(frame.to_local(measures.place_mm[None])[0, 2]),
        seconds=seconds,
    )


def boxes() -> Iterator[Box]:
    """A bar, a bar that is softer towards its foot, and a block between its joints."""
    area_mm2 = 4.0 * BOX_HALF_MM[0] * BOX_HALF_MM[1]
    plateau_N = YOUNG_MPA * YieldStrains().compression * area_mm2
    yield Box("bar of one modulus", plateau_N, tuple(bar_N(n, 0.0) for n in BOX_CELLS))
    yield Box(
        "bar whose modulus falls by half to its foot",
        0.5 * plateau_N,
        tuple(bar_N(n, 0.5) for n in BOX_CELLS),
    )
    yield Box("block with a cortex, held at its sides", None, tuple(map(block_N, BOX_CELLS)))


def bar_N(cells: int, fall: float) -> float:
    """Failure load of a box on end, held below, without sideways strain and cortex."""
    mesh = make_box(cells)
    middle = mesh.points_mm[mesh.facets].mean(axis=1)
    below = np.isclose(middle[:, 2], -BOX_HEIGHT_MM)
    tag = np.where(np.isclose(middle[:, 2], 0.0), SurfaceTag.ENDPLATE_S1, 0)
    tag[below & (middle[:, 0] > 0)] = SurfaceTag.AURICULAR_LEFT
    tag[below & (middle[:, 0] < 0)] = SurfaceTag.AURICULAR_RIGHT
    mesh = replace(mesh, facet_tag=tag.astype(np.int8))
    ones = np.ones(len(mesh.tets))
    down = -mesh.centroids_mm[:, 2] / BOX_HEIGHT_MM
    modulus = ModulusField(YOUNG_MPA * (1.0 - fall * down), 0.0 * ones, ones)
    return failure_N(mesh, modulus, JointSprings(3.0, 1.0), MaterialParameters(cortex_mm=0.0))


def block_N(cells: int) -> float:
    """Failure load of the box between its joints, with its cortex."""
    mesh = make_box(cells)
    return failure_N(mesh, intact_modulus(mesh), cartilage_springs(), MaterialParameters())


def failure_N(
    mesh: BoneMesh, modulus: ModulusField, springs: JointSprings, materials: MaterialParameters
) -> float:
    """Failure load of a box under a load along its height; NaN where a step did not converge."""
    load = SacralLoad(force_N=100.0, sacral_slope_deg=0.0)
    support = Support(SACROILIAC_JOINTS, springs)
    model = make_model(mesh, load, support, materials, 1, MPI.COMM_SELF)
    bone = YieldingBone(np.ones(len(mesh.tets)), mesh.cell_ml, YieldStrains())
    try:
        curve = load_to_failure(model, modulus, bone)
    except SolverError as error:
        tell(f"box, {len(mesh.tets)} cells: {error}")
        return float("nan")
    found = curve_measures(mesh, curve, mesh.cell_ml).failure_N
    tell(f"box, {len(mesh.tets)} cells: {found:.2f} N")
    return found


def tell(text: str) -> None:
    """A line of progress."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


HEAD = """# Strength

Made by `./with-env python docs/strength.py`; no figure is written by hand. The main scenario
(`scenarios/balloon-vs-vertebroplasty.yaml`: a lesion of 7.1 ml in the right lateral mass, 6 ml of
cement) on the phantom, its four states loaded to failure with linear elements, as
`failure_curve: true` does; the equations are in [theory.md](theory.md#failure). The question is
what can be read from such a load: how far does it move with the mesh, the steps and the bone around
the ligaments, against how far the states differ?

"""
PAIRS = (
    ("lesion", "intact"),
    ("balloon", "lesion"),
    ("vertebroplasty", "lesion"),
    ("balloon", "vertebroplasty"),
)


def page(found: Found) -> str:
    """The page."""
    text = HEAD + "## What it says\n\n"
    text += "".join(f"{n}. {one}\n" for n, one in enumerate(sentences(found), start=1))
    text += "\n## Loads by size of the cells\n\n" + loads_table(found)
    text += f"""
Effective strain and yield strains are the linear criteria. k is how far the worst cell is beyond
yield at the end: above 100 its strain is no longer small. The load of the case is
{found.load_case_N:.0f} N.

## Differences of two states on one mesh, %

{differences_table(found)}
A difference is held where it has one sign in all columns and its smallest size is above its spread.
It is then the same within a factor of two whatever the discretisation, and still one of this
phantom, this lesion and these choices.

## Boxes

{boxes_table(found)}
The bar of one modulus bears modulus times yield strain times area, whatever the mesh. In the other
bar the foot yields first, and cells have the modulus at their centres: an error of the order of the
cell, which is that of a bone whose density changes from cell to cell. The block, which is bent and
sheared between its joints, has no exact load; in brackets is its change from the coarser one: the
error of linear elements where strains are not even.

Not converged: all of a bar of one modulus is at yield at once and nothing says which cells go on,
so that the iteration stops short of 1e-8. None of the bones above stopped so.

Made in {found.core_minutes:.0f} minutes of a core.
"""
    return text


def sentences(found: Found) -> Iterator[str]:
    """What the numbers say, one sentence each, made from them."""
    coarse, fine = found.states[EDGES_MM[0]], found.states[EDGES_MM[-1]]
    next_fine = found.states[EDGES_MM[-2]]
    moved = {
        name: [percent(getattr(fine[s], name), getattr(coarse[s], name)) for s in fine]
        for name, _ in LOADS
    }
    last = [percent(fine[s].failure_N, next_fine[s].failure_N) for s in fine]
    others = "; ".join(f"{words} {span(moved[name])}" for name, words in LOADS[:-1])
    yield (
        f"From cells of {EDGES_MM[0]:g} mm to cells of {EDGES_MM[-1]:g} mm the failure load moves "
        f"by {span(moved['failure_N'])} % ({others}), of which {span(last)} % come from the last "
        f"step, {EDGES_MM[-2]:g} to {EDGES_MM[-1]:g} mm: it has not settled."
    )
    small, wide = (
        [percent(v[s].failure_N, found.states[VARIED_MM][s].failure_N) for s in v]
        for v in (found.small_step, found.wide)
    )
    yield (
        f"Half the step of the displacement moves it by {span(small)} %, bone kept elastic within "
        f"{WIDE_MM:g} instead of {ATTACHMENT_MM:g} mm of a ligament's end by {span(wide)} %."
    )
    every = [d for pair in PAIRS for name, _ in LOADS for d in differences(found, pair, name)]
    held = "; ".join(f"{' against '.join(pair)}: {held_loads(found, pair)}" for pair in PAIRS)
    yield (
        f"Differences of two states on one mesh are {span(every)} %. Those that are held, by the "
        f"rule below, are {held}. The others rank nothing."
    )
    failure = [d for pair in PAIRS for d in differences(found, pair, "failure_N")]
    times = [state.failure_N / found.load_case_N for state in fine.values()]
    away = [state.from_lesion_mm for state in fine.values()]
    deep = [state.depth_mm for state in fine.values()]
    yield (
        f"Failure loads differ by {span(failure)} % at most, because the bone fails elsewhere: at "
        f"{np.mean(times):.0f} times the load of the case, about {np.mean(deep):.0f} mm below the "
        f"S1 endplate and {np.mean(away):.0f} mm from the lesion's centre. This load speaks of the "
        "bone under the endplate, not of that around the lesion."
    )


def held_loads(found: Found, pair: tuple[str, str]) -> str:
    """The loads by which a difference of two states is held, in words."""
    return (
        ", ".join(
            f"{words} {span(differences(found, pair, name))} %"
            for name, words in LOADS
            if is_held(differences(found, pair, name))
        )
        or "none"
    )


def percent(value: float, base: float) -> float:
    """Change against a base."""
    return 100.0 * (value / base - 1.0)


def change(value: float) -> str:
    """A change with its sign, none for zero."""
    return f"{value:+.2f}" if abs(value) >= 0.005 else "0.00"


def span(values: list[float]) -> str:
    """The range of some changes."""
    low, high = (change(v) for v in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def variants(found: Found) -> dict[str, dict[str, State]]:
    """All sets of states by the head of their column."""
    by_edge = {f"{edge_mm:g} mm": states for edge_mm, states in found.states.items()}
    at = f"{VARIED_MM:g} mm"
    return by_edge | {
        f"{at}, step {SMALL_STEP:g}": found.small_step,
        f"{at}, elastic {WIDE_MM:g} mm": found.wide,
    }


def differences(found: Found, pair: tuple[str, str], name: str) -> list[float]:
    """A difference of two states in each variant, in percent."""
    return [
        percent(*(getattr(states[state], name) for state in pair))
        for states in variants(found).values()
    ]


def is_held(values: list[float]) -> bool:
    """Whether a difference is larger than what moves it."""
    least = min(values, key=abs)
    return all(v * least > 0.0 for v in values) and abs(least) > max(values) - min(values)


def row(*cells: str) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(cells) + " |\n"


def head(*cells: str) -> str:
    """The first rows of a Markdown table."""
    return row(*cells) + row(*["---"] * len(cells))


def loads_table(found: Found) -> str:
    """Loads of every state in every variant."""
    words = [f"{word}, N" for _, word in LOADS]
    text = head("cells", "state", *words, "beyond yield, ml", "k", "core, s")
    for variant, states in variants(found).items():
        for name, state in states.items():
            loads = [f"{getattr(state, load):.0f}" for load, _ in LOADS]
            more = f"{state.yielded_ml:.1f}", f"{state.largest_k:.0f}", f"{state.seconds:.0f}"
            text += row(variant, name, *loads, *more)
    counts = ", ".join(f"{edge_mm:g} mm {count:,}" for edge_mm, count in found.cells.items())
    return f"{text}\nNumbers of cells: {counts}.\n"


def differences_table(found: Found) -> str:
    """Differences of the states by variant."""
    text = head("states", "load", *variants(found), "held")
    for pair in PAIRS:
        for name, words in LOADS:
            values = differences(found, pair, name)
            shown = [change(value) for value in values]
            text += row(" - ".join(pair), words, *shown, "yes" if is_held(values) else "no")
    return text


def boxes_table(found: Found) -> str:
    """Failure loads of the boxes, with what they miss of an exact load."""
    text = head("box", "exact, N", *(f"{n} cells an edge" for n in BOX_CELLS))
    for box in found.boxes:
        if box.exact_N is None:
            pairs = zip((None, *box.failure_N), box.failure_N, strict=False)
            cells = [
                f"{load:.0f} N" + ("" if before is None else f" ({percent(load, before):+.1f} %)")
                for before, load in pairs
            ]
        else:
            exact_N = box.exact_N
            cells = [f"{load:.0f} N ({change(percent(load, exact_N))} %)" for load in box.failure_N]
        cells = ["not converged" if "nan" in cell else cell for cell in cells]
        exact = "none" if box.exact_N is None else f"{box.exact_N:.0f}"
        text += row(box.name, exact, *cells)
    return text


if __name__ == "__main__":
    (ROOT / "docs" / "strength.md").write_text(page(measure()), encoding="utf-8")
