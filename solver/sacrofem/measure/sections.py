"""The load path: what goes through each level and zone of the sacrum, and what carries it there."""

from dataclasses import dataclass

import numpy as np

from sacrofem.image.volume import FloatArray
from sacrofem.mechanics.sections import Section, SectionForces, make_section
from sacrofem.mechanics.state import StateSolution
from sacrofem.mesh.bone_mesh import BoneMesh, Part

LEVEL_BORDERS = ("S1|S2", "S2|S3")
ZONE_BORDERS = ("I|II left", "II|III left", "I|II right", "II|III right")
#: Names of the sections of a sacrum, from the head down and from the left outside inwards.
SECTIONS = LEVEL_BORDERS + ZONE_BORDERS


@dataclass(frozen=True)
class SectionLoad:
    """What goes through a section; below the level's border, or lateral of the zone's.

    The shares are of the applied load and along it; what neither cement nor cortex carries is in
    bone and lesion, with the load and the springs at the section's own nodes.

    Attributes:
        share: Part of the load that goes through the section.
        cement_share: Part of the load that the cement carries there.
        cortex_share: Part of the load that the cortical membrane carries there.
        force_N: The whole force, world, shape (3,).
        moment_Nm: The whole moment about the section's centre, world, shape (3,).
        error: Of the section's statics, relative to the load.
    """

    share: float
    cement_share: float
    cortex_share: float
    force_N: tuple[float, ...]
    moment_Nm: tuple[float, ...]
    error: float

    @property
    def bone_share(self) -> float:
        """Part of the load that bone and lesion carry there."""
        return self.share - self.cement_share - self.cortex_share


def sacral_sections(mesh: BoneMesh) -> tuple[Section, ...]:
    """The sections :data:`SECTIONS`; those that the mesh does not have are left out.

    The far side is what lies below a level's border, or lateral of a zone's; the near side is the
    rest of the sacrum, so that a pelvis is not cut through its joints.
    """
    sacrum = mesh.part == Part.SACRUM
    left = mesh.frame.to_local(mesh.centroids_mm)[:, 0] >= 0.0
    far = dict(zip(LEVEL_BORDERS, (mesh.level >= 2, mesh.level >= 3), strict=True))
    for side, here in (("left", left), ("right", ~left)):
        far[f"I|II {side}"] = (mesh.zone == 1) & here
        far[f"II|III {side}"] = (mesh.zone <= 2) & here
    sections = (make_section(mesh, n, far[n] & sacrum, ~far[n] & sacrum) for n in SECTIONS)
    return tuple(section for section in sections if section.shared.any())


def plane_section(
    mesh: BoneMesh, name: str, point_mm: FloatArray, normal: FloatArray, part: Part | None = None
) -> Section:
    """The section next to a plane: the far side has the cells with their centroid beyond it.

    Args:
        mesh: Bone mesh.
        name: Name of the section.
        point_mm: A point of the plane, world, shape (3,).
        normal: Its normal to the far side, world, shape (3,).
        part: What is cut; the whole mesh by default.
    """
    here = np.ones(len(mesh.tets), dtype=bool) if part is None else mesh.part == part
    far = (mesh.centroids_mm - point_mm) @ normal > 0.0
    return make_section(mesh, name, far & here, ~far & here)


def load_path(
    state: StateSolution, applied_N: FloatArray, cement_share: FloatArray
) -> dict[str, SectionLoad]:
    """What goes through the sections of a state, by name.

    Args:
        state: A solved state.
        applied_N: Applied force, world, shape (3,).
        cement_share: Part of each cell's force that its cement carries, shape (m,), see
            :class:`sacrofem.measure.tissues.TissueShares`.
    """
    return {s.name: _load(s, applied_N, cement_share) for s in state.sections}


def _load(section: SectionForces, applied_N: FloatArray, cement_share: FloatArray) -> SectionLoad:
    along = applied_N / float(applied_N @ applied_N)
    cement_N = cement_share[section.cells] @ section.cell_force_N
    return SectionLoad(
        share=float(section.force_N @ along),
        cement_share=float(cement_N @ along),
        cortex_share=float(section.cortex_N @ along),
        force_N=tuple(float(f) for f in section.force_N),
        moment_Nm=tuple(float(m) for m in section.moment_Nmm / 1000.0),
        error=section.error,
    )
