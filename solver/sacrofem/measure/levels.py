"""Planes across the sacrum: those that a user asks for, and a row of them from S1 to below S3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import ufl
from dolfinx import fem

from sacrofem.anatomy.atlas import Atlas
from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray
from sacrofem.measure.sections import SectionLoad, plane_section
from sacrofem.mechanics.elasticity import ElasticModel, boundary_measure
from sacrofem.mechanics.sections import Section
from sacrofem.mesh.bone_mesh import BoneMesh, Part

BodyLevel = Literal["S1", "S2", "S3", "S4", "S5"]
LEVELS: tuple[BodyLevel, ...] = ("S1", "S2", "S3", "S4", "S5")
#: Planes of the row, and how far below the promontory and the border S3|S4 it begins and ends, in
#: mm (choices: the first has the whole rim of the endplate above it on the phantom).
ROW_PLANES, ROW_BEGINS_MM, ROW_ENDS_MM = 10, 5.0, 5.0


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane; what lies beyond it along the normal is the far side.

    Attributes:
        name: Of its section.
        point_mm: A point of it, world, shape (3,).
        normal: World, shape (3,).
        whole: Whether it cuts the whole mesh; else the sacrum alone, and no ilium beside it.
    """

    name: str
    point_mm: FloatArray
    normal: FloatArray
    whole: bool


@dataclass(frozen=True)
class Level:
    """One plane of the row.

    Attributes:
        name: Of its section.
        depth_mm: Along the pelvic face, from the promontory down.
        body: The body in whose height it lies.
        load_below: Part of the load that is applied below the plane, along the load.
    """

    name: str
    depth_mm: float
    body: str
    load_below: float


@dataclass(frozen=True)
class LevelLoad:
    """Who carries the load at one level of one state, as parts of the load along it.

    ``above + load_below + load.share = 1``: what is applied above the plane has gone into the
    joints there, or goes through.

    Attributes:
        level: Which.
        load: What goes through.
        above: What joints and ligaments took above the plane.
    """

    level: Level
    load: SectionLoad
    above: float


def level_plane(atlas: Atlas, name: str, body: BodyLevel) -> Plane:
    """The plane across the middle of a body of the sacrum, its far side below."""
    borders = [0.0, *atlas.map.border_s_mm, atlas.curve.length_mm]
    number = LEVELS.index(body)
    return _across(atlas, name, 0.5 * (borders[number] + borders[number + 1]))


def row_of_levels(atlas: Atlas) -> tuple[tuple[Plane, Level], ...]:
    """Planes from the S1 endplate to below S3, without the load below them.

    At the promontory they are parallel to the endplate, from the border S1|S2 on normal to the
    pelvic face; between the two they turn with the depth.
    """
    borders = atlas.map.border_s_mm
    depths = np.linspace(ROW_BEGINS_MM, borders[2] + ROW_ENDS_MM, ROW_PLANES)
    bodies = np.searchsorted(borders, depths)
    return tuple(
        (_across(atlas, name, depth), Level(name, float(depth), LEVELS[body], 0.0))
        for name, depth, body in zip(
            [f"{depth:.0f} mm below the promontory" for depth in depths],
            depths,
            bodies,
            strict=True,
        )
    )


def _across(atlas: Atlas, name: str, s_mm: float) -> Plane:
    """The plane across the sacrum at a depth, see :func:`row_of_levels`."""
    curve = atlas.curve
    above, at, below = curve.to_world(np.array([[0.0, s_mm + d, 0.0] for d in (-0.5, 0.0, 0.5)]))
    along = (below - above) / np.linalg.norm(below - above)
    turned = min(s_mm / max(float(atlas.map.border_s_mm[0]), 1e-9), 1.0)
    normal = (1.0 - turned) * -atlas.frame.superior + turned * along
    return Plane(name, at, normal / np.linalg.norm(normal), whole=False)


def section_of(mesh: BoneMesh, plane: Plane) -> Section:
    """The section of a plane.

    Raises:
        InputError: The plane leaves all of the bone on one side.
    """
    section = plane_section(
        mesh, plane.name, plane.point_mm, plane.normal, None if plane.whole else Part.SACRUM
    )
    if not section.shared.any():
        off_mm = (mesh.points_mm - plane.point_mm) @ (plane.normal / np.linalg.norm(plane.normal))
        raise InputError(
            f"the plane '{plane.name}' has to cut the bone; it passes it at a distance of "
            f"{np.abs(off_mm).min():.1f} mm; move point_mm (LPS, mm), or turn the normal."
        )
    return section


def load_below(model: ElasticModel, sections: Sequence[Section]) -> list[float]:
    """Part of the load that is applied to the far side of each section, along it; collective.

    The leg that hangs in one-leg stance is no part of the load: its weight reaches the sacrum
    through joint and ligaments, with which :class:`LevelLoad` counts it.
    """
    domain = model.domain
    side = fem.Function(model.coefficients.young.function_space)
    test = model.work.arguments()[0]
    along = side * fem.Constant(domain.mesh, model.direction)
    form = ufl.replace(model.work, {test: along})
    if model.support.hanging is not None:
        ds = boundary_measure(domain)(int(model.support.hanging))
        area_mm2 = domain.integral(fem.form(fem.Constant(domain.mesh, 1.0) * ds))
        leg_MPa = np.sum(list(model.hanging_N.values()), axis=0) / area_mm2
        form -= ufl.inner(fem.Constant(domain.mesh, leg_MPa), along) * ds
    work = fem.form(form)
    parts = []
    for section in sections:
        side.x.array[:] = section.far[domain.cells]
        parts.append(domain.integral(work) / float(np.linalg.norm(model.force_N)))
    return parts


def level_loads(
    levels: Sequence[Level], load_path: Mapping[str, SectionLoad]
) -> tuple[LevelLoad, ...]:
    """Who carries the load at each level of a state, from what goes through all its sections."""
    found = ((level, load_path[level.name]) for level in levels)
    return tuple(
        LevelLoad(level, load, 1.0 - level.load_below - load.share) for level, load in found
    )
