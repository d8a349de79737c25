"""Vertebral bodies with lesions and cement, on the body of S1 between its ends."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.mechanics.materials import (
    CEMENT_MPA,
    MaterialParameters,
    ModulusField,
    cement_modulus_MPa,
)
from sacrofem.mechanics.state import StateSolution
from sacrofem.treatment.cement import CementFill
from sacrofem.treatment.fracture import gap_along
from sacrofem.treatment.lesion import Fracture, Lesion
from sacrofem.treatment.plan import FracturePlan
from sacrofem.treatment.region import BoneSamples
from studies import bones, column
from studies.bones import Bench
from studies.motion import fit_rigid
from studies.row import Published, Row, Size, Study, percent, within

VOIDS = "Costa 2020 (authors from memory)"
#: Parts of the body that the lesion takes: ends and middle of the published range.
VOID_SHARES = (0.04, 0.10, 0.20, 0.35)
SALVATORE_SHARES = (0.15, 0.30)
FILL_SHARES = (0.10, 0.15, 0.20, 0.30, 0.40)
#: Way of an eccentric lesion from the middle, in mm.
ASIDE_MM = 10.0
#: Range of the cement's modulus in what is sold, in MPa (facts of the measured ones: 0.95-3 GPa).
CEMENTS_MPA = (1000.0, 3000.0)
#: Osteoporotic spongiosa of published models, homogeneous (s13018-020-01650-5, Table 1).
CANCELLOUS_MPA = 34.0
#: Quality of a straight line from which a relation counts as about linear: a choice.
LINEAR_R2 = 0.95


def lesion(samples: BoneSamples, inside: NDArray[np.bool_], gap: Fracture | None = None) -> Lesion:
    """A lytic lesion of some parts that left the cortex whole."""
    volume_ml = samples.volume_ml(inside)
    return Lesion(
        name="body S1",
        kind="lytic",
        side="middle",
        centre_mm=samples.points_mm.mean(axis=0),
        radius_mm=float(np.cbrt(3000.0 * volume_ml / (4.0 * np.pi))),
        samples=samples,
        inside=inside,
        blastic=samples.none,
        volume_ml=volume_ml,
        breach=(),
        cortex_lost=np.zeros(samples.cells),
        voxels=np.zeros((1, 1, 1), dtype=bool),
        open_voxels=np.zeros((1, 1, 1), dtype=bool),
        fracture=gap,
    )


def cement(samples: BoneSamples, inside: NDArray[np.bool_]) -> CementFill:
    """Cement that permeates some parts."""
    return CementFill(
        technique="vertebroplasty",
        samples=samples,
        pure=samples.none,
        interdigitated=inside,
        hollow=samples.none,
        compacted_g_per_cm3=np.zeros(samples.cells),
        injected_ml=samples.volume_ml(inside),
        cement_ml=samples.volume_ml(inside),
        leak_ml={},
        unplaced_ml=0.0,
        pressure_kPa=None,
        stopped_by="",
        nerve_distance_mm={},
        notes=(),
    )


def ball(bench: Bench, share: float, *off_mm: Sequence[float]) -> NDArray[np.bool_]:
    """Parts in balls that hold a share of the body; their centres off the middle, in the frame."""
    mesh = bench.bone.mesh
    axes = np.stack([mesh.frame.left, mesh.frame.posterior, mesh.frame.superior])
    centres = column.middle_mm(bench) + np.array(off_mm or [(0.0, 0.0, 0.0)]) @ axes
    return column.balls(bench, centres, share * mesh.volume_ml, "ball in the body")


@cache
def with_void(size: Size, share: float, *off_mm: tuple[float, float, float]) -> StateSolution:
    """The body with a lytic ball, or with several."""
    bench = column.body(size)
    found = lesion(bench.field.samples, ball(bench, share, *off_mm))
    return column.solve(bench, bench.modulus((found,)))


@cache
def sound(size: Size) -> StateSolution:
    """The body as it is."""
    bench = column.body(size)
    return column.solve(bench, bench.intact)


def voids(size: Size) -> list[Row]:
    """Stiffness by the lesion's volume, place and number."""
    bench = column.body(size)
    whole = bench.stiffness_N_per_mm(sound(size))

    def change(share: float, *off: tuple[float, float, float]) -> float:
        return bench.stiffness_N_per_mm(with_void(size, share, *off)) / whole - 1.0

    found = [change(share) for share in VOID_SHARES]
    line = np.polyfit(VOID_SHARES, found, 1)
    left = np.array(found) - np.polyval(line, np.array(VOID_SHARES))
    fit = 1.0 - float(left @ left) / float(((found - np.mean(found)) ** 2).sum())
    a = ASIDE_MM
    aside = [change(0.10, off) for off in ((a, 0.0, 0.0), (-a, 0.0, 0.0), (0.0, -a, 0.0))]
    pair = change(0.20, (1.3 * a, 0.0, 0.0), (-1.3 * a, 0.0, 0.0))
    pairs = zip(VOID_SHARES, found, strict=True)
    words = ", ".join(f"{100 * s:.0f} % of the volume {100 * x:+.1f} %" for s, x in pairs)
    spread = [100.0 * x for x in (found[1], *aside)]
    return [
        Row(
            Published(VOIDS, "S", "stiffness -3 to -30 % for holes of 4 to 35 % of the body"),
            words,
            within(found[0], -0.06, -0.015) and within(found[-1], -0.45, -0.20),
            why="The ends of a range: half to one and a half times each counts as inside. In "
            "homogeneous bone a spherical hole takes 2.0 times its share of the volume "
            "(Mackenzie 1950, for a Poisson's ratio of 0.3): 8 % for 4 %. Bone whose marrow is "
            "weak inside and strong at its walls, as in scans, loses less; the phantom's varies "
            "little.",
        ),
        Row(
            Published(VOIDS, "S", "about linear in volume"),
            f"a straight line explains {fit:.3f} of the variance",
            fit >= LINEAR_R2,
        ),
        Row(
            Published(VOIDS, "S", "location not decisive"),
            f"10 %: middle {spread[0]:+.1f} %; {a:g} mm left, right, in front "
            + ", ".join(f"{x:+.1f} %" for x in spread[1:]),
            max(spread) - min(spread) < abs(100.0 * (found[2] - found[1])),
            why="Counted as not decisive if it moves stiffness by less than ten more percent of "
            "volume do.",
        ),
        Row(
            Published(VOIDS, "S", "several as one at equal volume"),
            f"20 %: one {100 * found[2]:+.1f} %, two {100 * pair:+.1f} %",
            abs(pair / found[2] - 1.0) < 0.25,
            why="Equal within a quarter of the change.",
        ),
    ]


def bulge_mm(bench: Bench, state: StateSolution) -> float:
    """Largest motion of the free walls outwards, in the plane of the endplate."""
    mesh = bench.bone.mesh
    wall = np.unique(mesh.facets[mesh.facet_tag == SurfaceTag.FREE])
    local = mesh.frame.to_local(mesh.points_mm[wall])
    # The ends of the walls follow the endplate and the held face.
    inner = np.quantile(local[:, 2], (0.25, 0.75))
    keep = (local[:, 2] > inner[0]) & (local[:, 2] < inner[1])
    flat = np.stack([mesh.frame.left, mesh.frame.posterior], axis=1)
    out = local[keep][:, :2] - local[keep][:, :2].mean(axis=0)
    out /= np.linalg.norm(out, axis=1)[:, None]
    return float(np.einsum("ij,ij->i", state.displacement_mm[wall[keep]] @ flat, out).max())


def height_mm(bench: Bench, state: StateSolution) -> float:
    """Largest sinking of the endplate."""
    mesh = bench.bone.mesh
    plate = np.unique(mesh.facets[mesh.facet_tag == SurfaceTag.ENDPLATE_S1])
    return float((-state.displacement_mm[plate] @ mesh.frame.superior).max())


def salvatore(size: Size) -> list[Row]:
    """Bulge and loss of height with 15 and 30 % of the body metastatic."""
    bench = column.body(size)
    states = [sound(size), *(with_void(size, share) for share in SALVATORE_SHARES)]
    rows = []
    for name, measure, first, second in (
        ("bulge", bulge_mm, "+134 to +178 %", "+59 to +88 %"),
        ("loss of height", height_mm, "+174 to +248 %", "+74 to +109 %"),
    ):
        none, some, much = (measure(bench, state) for state in states)
        rows.append(
            Row(
                Published(
                    "Salvatore 2018",
                    "S",
                    f"{name}: 15 % metastasis {first}, 30 % over 15 % {second}",
                ),
                f"15 % {percent(some / none)}, 30 % over 15 % {percent(much / some)}",
                some > none and much > some,
                trend=True,
                why="The order holds, the sizes do not compare: their lesion is poroelastic, in a "
                "lumbar segment with discs, and reaches the walls; here a ball in the middle of "
                "the body of S1, with all its cortex, is pressed by a uniform traction.",
            )
        )
    return rows


def filled(
    bench: Bench,
    inside: NDArray[np.bool_],
    gap: Fracture | None = None,
    cement_MPa: float = CEMENT_MPA,
) -> ModulusField:
    """Moduli with cement in some parts, and with a gap where it does not bridge it."""
    samples, materials = bench.field.samples, MaterialParameters(cement_MPa=cement_MPa)
    broken = () if gap is None else (lesion(samples, samples.none, gap),)
    return bench.modulus(broken, (cement(samples, inside),), materials)


def in_plain_bone(bench: Bench, inside: NDArray[np.bool_], cement_MPa: float) -> ModulusField:
    """Moduli of a homogeneous osteoporotic spongiosa with cement, mixed by volume."""
    share = bench.field.samples.fraction(inside)
    materials = MaterialParameters(cement_MPa=cement_MPa)
    young = (1.0 - share) * CANCELLOUS_MPA + share * cement_modulus_MPa(True, materials)
    return replace(bench.intact, young_MPa=young)


def fills(size: Size) -> list[Row]:
    """Stiffness by the cement's volume and modulus, in a body without fracture."""
    bench, sturdy = column.body(size), column.body(size, bones.DEFAULT_YEARS)
    weak = bench.stiffness_N_per_mm(sound(size))
    goal = sturdy.stiffness_N_per_mm(column.solve(sturdy, sturdy.intact)) / weak

    def over_weak(share: float, cement_MPa: float = CEMENT_MPA) -> float:
        modulus = filled(bench, ball(bench, share), cement_MPa=cement_MPa)
        return bench.stiffness_N_per_mm(column.solve(bench, modulus)) / weak

    found = [over_weak(share) for share in FILL_SHARES]
    needed = float(np.interp(goal, (1.0, *found), (0.0, *FILL_SHARES), right=np.nan))
    soft, hard = (over_weak(0.30, cement_MPa) for cement_MPa in CEMENTS_MPA)
    plain = [
        column.solve(bench, in_plain_bone(bench, ball(bench, 0.30), cement_MPa))
        for cement_MPa in CEMENTS_MPA
    ]
    plain_ratio = bench.stiffness_N_per_mm(plain[1]) / bench.stiffness_N_per_mm(plain[0])
    words = ", ".join(
        f"{100 * s:.0f} % {percent(x)}" for s, x in zip(FILL_SHARES, found, strict=True)
    )
    reached = "not reached" if np.isnan(needed) else f"reached at {100 * needed:.0f} %"
    return [
        Row(
            Published("Kim 2012", "S", "30 % fill gives normal stiffness, more is stiffer"),
            f"{words}; the body at {bones.DEFAULT_YEARS:g} years ({percent(goal)}) is {reached}",
            bool(np.all(np.diff(found) > 0.0)),
            trend=True,
            why="Stiffness rises with the fill. What is 'normal' differs: their osteoporotic "
            "vertebra has a third of a normal one's modulus, ours 25 years more; and a ball in the "
            "middle touches no endplate, so that sound bone stays in series with it.",
        ),
        Row(
            Published("Kim 2012", "S", "modulus of the cement has little effect"),
            f"30 % fill: {CEMENTS_MPA[0]:g} MPa {percent(soft)}, {CEMENTS_MPA[1]:g} MPa "
            f"{percent(hard)}; three times the modulus: {percent(hard / soft)}; in homogeneous "
            f"bone of {CANCELLOUS_MPA:g} MPa {percent(plain_ratio)}",
            hard / soft - 1.0 < 0.1,
            why="Counted as little below 10 %. That softer bone around the cement would make its "
            "modulus count less was tried, in homogeneous osteoporotic spongiosa "
            "(s13018-020-01650-5), and is not so. The publication presses a segment, whose discs "
            "are in series with the body and far softer than any cement; the body alone is "
            "compared here, and its composite follows the cement's modulus (Kinzl 2011).",
        ),
    ]


def restored(size: Size) -> list[Row]:
    """Stiffness of a fractured body by the cement's volume; tilt with cement on one side."""
    bench = column.body(size)
    mesh, samples = bench.bone.mesh, bench.field.samples
    everywhere = np.ones(len(samples.cell), dtype=bool)
    plane = (column.middle_mm(bench), mesh.frame.superior)
    gap = gap_along(mesh, samples, plane, FracturePlan("I").gap_mm, everywhere)
    whole = bench.stiffness_N_per_mm(sound(size))

    def state(share: float, *off: tuple[float, float, float]) -> StateSolution:
        return column.solve(bench, filled(bench, ball(bench, share, *off), gap))

    central = [state(share) for share in FILL_SHARES]
    found = [bench.stiffness_N_per_mm(s) / whole for s in central]
    # NaN where no fill that was tried restores all.
    needed = float(np.interp(1.0, found, FILL_SHARES, left=np.nan, right=np.nan))
    words = ", ".join(
        f"{100 * s:.0f} % fill {100 * x:.0f} %" for s, x in zip(FILL_SHARES, found, strict=True)
    )
    whole_at = "all of it by none" if np.isnan(needed) else f"all of it by {100 * needed:.0f} %"
    tilts = [tilt_deg(bench, s) for s in (central[1], state(0.15, (ASIDE_MM, 0.0, 0.0)))]
    return [
        Row(
            Published("Molloy 2005", "S", "stiffness restored at 29.8 % fill (r2 0.27)"),
            f"{words} of the sound stiffness, {whole_at}",
            bool(np.all(np.diff(found) > 0.0)),
            trend=True,
            why="A clean gap through all of the body, its cortex cut, is the other extreme of a "
            "crushed vertebra: what crosses it is cement alone, so that stiffness follows the area "
            "that the cement bridges. Impacted bone carries beside the cement.",
        ),
        Row(
            Published("Liebschner 2001", "M", "about 15 % fill restores stiffness"),
            f"15 % fill restores {100 * found[1]:.0f} %",
            within(found[1], 0.9, 1.1),
            why="As for Molloy 2005: their damage is a lower modulus of the bone, not a gap.",
        ),
        Row(
            Published("Liebschner 2001", "M", "cement on one side lets the endplate toggle"),
            f"tilt of the endplate to the side at 15 % fill: in the middle {tilts[0]:.3f} deg, "
            f"{ASIDE_MM:g} mm to the left {tilts[1]:.3f} deg",
            tilts[1] > 2.0 * tilts[0],
            trend=True,
        ),
    ]


def tilt_deg(bench: Bench, state: StateSolution) -> float:
    """Rotation of the endplate about the axis from back to front."""
    mesh = bench.bone.mesh
    plate = np.unique(mesh.facets[mesh.facet_tag == SurfaceTag.ENDPLATE_S1])
    motion = fit_rigid(mesh.points_mm[plate], state.displacement_mm[plate])
    return abs(float(motion.turn_deg @ mesh.frame.posterior))


_BODY = (
    "The body of the osteoporotic phantom's S1, cut out, with the default cortex all round, on "
    "a fixed lower face under a uniform traction along the normal of the endplate; "
)

STUDIES = (
    Study("Lytic voids in a body", _BODY + "balls of tumour of 0.2 MPa.", voids),
    Study("Metastasis and the shape of a body", _BODY + "as above.", salvatore),
    Study("Cement in a weak body", _BODY + "a ball of composite in its middle.", fills),
    Study(
        "Cement in a fractured body",
        _BODY + "a level gap through all of it at half height, and a ball of composite across it.",
        restored,
    ),
)
