"""Fractured sacra with cement: Waites 2008 and Whitlow 2007.

A fracture is a plane through the ala, a gap of the package's default width and modulus, in bone
without a tumour. Nothing bears on the other face where a gap closes: there is no contact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sacrofem.image.volume import FloatArray
from sacrofem.measure.micromotion import micromotion
from sacrofem.mechanics.loads import SACRAL_SLOPE_DEG, SacralLoad
from sacrofem.mechanics.state import StateSolution
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.fracture import gap_along
from sacrofem.treatment.lesion import Fracture, Lesion
from sacrofem.treatment.plan import FracturePlan, LesionPlan, Site
from studies import bones
from studies.bones import Bench
from studies.row import Published, Row, Size, Study, percent, within

WAITES, WHITLOW = "Waites 2008", "Whitlow 2007"
ALAE: tuple[Site, Site] = ("lateral mass left", "lateral mass right")
#: Whitlow's force on half a sacrum; the whole one, which mirrors it, has twice as much.
HALF_N = 343.0
#: Bone ahead of the fracture's edge in which the stress at its tip is read, in mm: a choice, two
#: edges of cells.
AHEAD_MM = 6.0
#: Depth of Whitlow's fracture as a share of the height of its plane, from above: it ends in bone.
#: The published depth was not seen; half is a choice, and a third and two thirds are shown.
DEPTHS = (0.5, 1.0 / 3.0, 2.0 / 3.0)
WAITES_ML, WHITLOW_ML = 4.0, 3.0
#: Gaps that are tried besides the package's own, in mm.
GAPS_MM = (FracturePlan("I").gap_mm, 0.1)


@dataclass(frozen=True, eq=False)
class Broken:
    """A sacrum with a fracture on each side.

    Attributes:
        bench: Bone, load and support.
        lesions: The fractures, each at a lesion of 0 ml that a needle can aim at.
    """

    bench: Bench
    lesions: tuple[Lesion, ...]


def break_alae(bench: Bench, levels: Sequence[int], depth: float, gap_mm: float) -> Broken:
    """Fracture both alae in the sagittal planes through the middles of their lateral masses.

    Args:
        bench: The bone.
        levels: Sacral levels through which the planes run.
        depth: Part of the plane's height that is broken, from above.
        gap_mm: Width of the gap.
    """
    field, mesh = bench.field, bench.bone.mesh
    placed = bones.targets(bench, *(LesionPlan(site=site) for site in ALAE))
    there = np.isin(mesh.level[field.samples.cell], list(levels))
    lesions = []
    for lesion in placed:
        x_mm = float(mesh.frame.to_local(lesion.centre_mm[None])[0, 0])
        plane = there & (np.abs(field.local_mm[:, 0] - x_mm) < 1.0)
        height = field.local_mm[:, 2]
        top, bottom = float(height[plane].max()), float(height[plane].min())
        within_plane = there & (height >= top - depth * (top - bottom))
        place = (lesion.centre_mm, mesh.frame.left)
        gap = gap_along(mesh, field.samples, place, gap_mm, within_plane)
        lesions.append(replace(lesion, fracture=gap))
    return Broken(bench, tuple(lesions))


@cache
def waites_states(size: Size, gap_mm: float) -> dict[str, float]:
    """Stiffness over that of the sound bone: broken, and with cement from behind and from aside."""
    bench = bones.meshed(size)
    broken = break_alae(bench, (1, 2), 1.0, gap_mm)
    sound = bench.stiffness_N_per_mm(bench.sound)

    def over_sound(fills: tuple[CementFill, ...]) -> float:
        state = bench.solve(bench.modulus(broken.lesions, fills))
        return bench.stiffness_N_per_mm(state) / sound

    found = {"broken": over_sound(())}
    for way, approach in (("posterior", "short axis"), ("lateral", "transiliac")):
        volumes = (0.5 * WAITES_ML,) * 2
        done = bones.augmented(bench, broken.lesions, volumes, approach=approach)
        found[way] = over_sound(done.fills)
    return found


def waites(size: Size) -> list[Row]:
    """Stiffness after a fracture of both alae and with cement by two approaches."""
    wide, narrow = (waites_states(size, gap_mm) for gap_mm in GAPS_MM)

    def words(found: dict[str, float]) -> str:
        return ", ".join(f"{name} {100.0 * ratio:.0f} %" for name, ratio in found.items())

    restored = [wide["posterior"], wide["lateral"]]
    return [
        Row(
            Published(WAITES, "S", "stiffness of 77 % of the initial one, without cement as well"),
            f"{words(wide)}; gap {GAPS_MM[1]:g} mm: {words(narrow)}",
            all(within(x, 0.67, 0.87) for x in restored),
            why="The published spread was not seen; +/- 10 % count as inside. The model's gap "
            "is open over the whole ala from S1 to S2 and its faces never bear on each other: the "
            "specimens' fractures were probably impacted in part, since they kept 77 % without "
            "cement. How much the gap's width changes is shown.",
        ),
        Row(
            Published(WAITES, "S", "no difference, lateral to posterior approach"),
            f"lateral over posterior {percent(wide['lateral'] / wide['posterior'])}; gap "
            f"{GAPS_MM[1]:g} mm: {percent(narrow['lateral'] / narrow['posterior'])}",
            abs(wide["lateral"] / wide["posterior"] - 1.0) < 0.2,
            trend=True,
            why="Groups of five do not see less than 20 % (see Richards 2009).",
        ),
        Row(
            Published(WAITES, "S", "no difference between cement and none (5 controls)"),
            f"posterior over broken {percent(wide['posterior'] / wide['broken'])}; gap "
            f"{GAPS_MM[1]:g} mm: {percent(narrow['posterior'] / narrow['broken'])}",
            wide["posterior"] / wide["broken"] < 1.2,
            trend=True,
            why="Cement bridges an open gap, so that it counts for more in the model than between "
            "impacted faces, which need no bridge.",
        ),
    ]


@dataclass(frozen=True)
class Tip:
    """What the tip of a fracture feels, mean of both sides."""

    stress_MPa: float
    motion_mm: float


def tip_of(broken: Broken, state: StateSolution, cells: Sequence[NDArray[np.bool_]]) -> Tip:
    """Largest principal stress in the bone ahead of the tip, and motion of the gap's faces."""
    mesh = broken.bench.bone.mesh
    largest = state.principal_MPa[:, 2]
    stress = [float(largest[here].max()) for here in cells]
    moved = []
    for lesion in broken.lesions:
        assert lesion.fracture is not None
        jump = micromotion(mesh, state.displacement_mm, lesion.fracture)
        moved.append(float(np.hypot(jump.opening_mm, jump.sliding_mm)))
    return Tip(float(np.mean(stress)), float(np.mean(moved)))


def ahead_of(broken: Broken, fracture: Fracture, cement: FloatArray) -> NDArray[np.bool_]:
    """Cells of the sacrum next to the fracture's edge, in its plane, without gap and cement."""
    mesh = broken.bench.bone.mesh
    off = np.abs((mesh.centroids_mm - fracture.point_mm) @ fracture.normal)
    gap_mm = mesh.centroids_mm[fracture.cells]
    below = mesh.centroids_mm[:, :] @ mesh.frame.superior < (gap_mm @ mesh.frame.superior).min()
    near = cKDTree(gap_mm).query(mesh.centroids_mm)[0] <= AHEAD_MM
    return np.asarray(near & below & (off <= AHEAD_MM) & (cement == 0.0))


def whitlow_changes(size: Size, depth: float) -> tuple[Tip, Tip]:
    """The tip before and after cement, both joints fixed, at the default slope of the sacrum."""
    plain = bones.meshed(size)
    load = SacralLoad(2.0 * HALF_N, SACRAL_SLOPE_DEG)
    bench = bones.held_fast(size, plain, load)
    broken = break_alae(bench, (1, 2), depth, FracturePlan("I").gap_mm)
    done = bones.augmented(bench, broken.lesions, (WHITLOW_ML,) * 2)
    share = bench.field.samples.fraction(done.inside)
    cells = [ahead_of(broken, les.fracture, share) for les in broken.lesions if les.fracture]
    states = (bench.solve(bench.modulus(broken.lesions, fills)) for fills in ((), done.fills))
    before, after = (tip_of(broken, state, cells) for state in states)
    return before, after


def whitlow(size: Size) -> list[Row]:
    """Stress at the tip and micromotion, with and without cement across the fracture."""
    pairs = [whitlow_changes(size, depth) for depth in DEPTHS]
    stress = [after.stress_MPa / before.stress_MPa for before, after in pairs]
    motion = [after.motion_mm / before.motion_mm for before, after in pairs]
    others = "other depths"
    return [
        Row(
            Published(WHITLOW, "M", "largest principal stress at the tip -83 %"),
            f"{percent(stress[0])}; {others} {percent(stress[1])} and {percent(stress[2])}",
            within(stress[0], 0.07, 0.27),
            why="From memory, so that +/- 10 % are counted as inside. The stress at a tip is "
            "singular: cells of some millimetres read a mean of it, and its change depends on how "
            "near to the tip the cement lies, which was one point in the publication.",
        ),
        Row(
            Published(WHITLOW, "M", "micromotion of the gap -48 %"),
            f"{percent(motion[0])} (from {1000 * pairs[0][0].motion_mm:.0f} µm); {others} "
            f"{percent(motion[1])} and {percent(motion[2])}",
            within(motion[0], 0.42, 0.62),
            why="Cement that crosses the gap holds its faces over the area that it covers; the "
            "publication fused one point.",
        ),
    ]


STUDIES = (
    Study(
        "Fracture of both alae, cement from behind and from aside",
        "Osteoporotic sacrum, springs at both joints; a sagittal plane through each lateral mass, "
        "S1 to S2, 4 ml of cement in all. Strength is not compared here: it needs the nonlinear "
        "analysis.",
        waites,
    ),
    Study(
        "Cement across the tip of a fracture",
        "Osteoporotic sacrum, both joints fixed, 343 N a half, the whole bone in place of the "
        "mirrored half; a sagittal fracture of each ala, from above to half of the height of S1 "
        "and S2; 3 ml of cement a side.",
        whitlow,
    ),
)
