"""Sections beyond those of every record: the planes of a scenario, and a row of levels."""

from dataclasses import replace

import numpy as np

from sacrofem.measure.levels import (
    Level,
    Plane,
    level_plane,
    load_below,
    row_of_levels,
    section_of,
)
from sacrofem.mechanics.elasticity import ElasticModel
from sacrofem.mechanics.sections import Section
from sacrofem.mesh.build import MeshedBone
from sacrofem.study.scenario import PlaneSpec, Scenario


def asked_sections(bone: MeshedBone, scenario: Scenario) -> tuple[Section, ...]:
    """The sections at the planes of a scenario.

    Raises:
        InputError: A plane does not cut the bone.
    """
    return tuple(section_of(bone.mesh, _plane(bone, spec)) for spec in scenario.planes)


def _plane(bone: MeshedBone, spec: PlaneSpec) -> Plane:
    if spec.level is not None:
        return level_plane(bone.atlas, spec.name, spec.level)
    return Plane(spec.name, np.array(spec.point_mm), np.array(spec.normal), whole=True)


def row_sections(
    bone: MeshedBone, model: ElasticModel
) -> tuple[tuple[Section, ...], tuple[Level, ...]]:
    """Sections of the row of levels, with the load below each; collective."""
    row = row_of_levels(bone.atlas)
    sections = tuple(section_of(bone.mesh, plane) for plane, _ in row)
    below = load_below(model, sections)
    levels = (replace(level, load_below=b) for (_, level), b in zip(row, below, strict=True))
    return sections, tuple(levels)
