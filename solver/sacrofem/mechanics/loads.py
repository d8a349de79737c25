"""Loads on the sacrum: the weight of the trunk at the S1 endplate and the S1 facets."""

from dataclasses import dataclass

import numpy as np

from sacrofem.anatomy.frame import SacralFrame
from sacrofem.anatomy.joints import SurfaceTag
from sacrofem.image.volume import FloatArray
from sacrofem.mesh.bone_mesh import BoneMesh, facet_areas_mm2

#: 500 N with 85 % on the anterior and middle column, the rest on the facets
#: (s12891-022-05522-3, 2022).
STANDING_FORCE_N = 500.0
ENDPLATE_SHARE = 0.85
#: Inclination of the S1 endplate to the horizontal in standing; CT is taken lying, so it is an
#: assumption and a field of the scenario.
SACRAL_SLOPE_DEG = 40.0


@dataclass(frozen=True)
class StandingLoad:
    """Body weight along gravity with the S1 endplate tilted forward by the sacral slope."""

    force_N: float = STANDING_FORCE_N
    sacral_slope_deg: float = SACRAL_SLOPE_DEG
    endplate_share: float = ENDPLATE_SHARE


def gravity(frame: SacralFrame, sacral_slope_deg: float) -> FloatArray:
    """Unit vector of gravity, world, shape (3,).

    With the slope at 0 it is straight down the endplate's normal; the slope tilts the endplate
    forward, so that gravity gains a part along it to the front.
    """
    slope = np.radians(sacral_slope_deg)
    return np.asarray(-np.cos(slope) * frame.superior - np.sin(slope) * frame.posterior)


def tractions_MPa(mesh: BoneMesh, load: StandingLoad) -> dict[SurfaceTag, FloatArray]:
    """Uniform traction on each loaded part of the surface, world, shape (3,) each.

    Facets that the labels do not show give their share to the other facet or to the endplate.
    """
    area = {
        tag: float(facet_areas_mm2(mesh.points_mm, mesh.facets[mesh.facet_tag == tag]).sum())
        for tag in SurfaceTag
    }
    facets = [t for t in (SurfaceTag.FACET_S1_LEFT, SurfaceTag.FACET_S1_RIGHT) if area[t] > 0]
    share = {SurfaceTag.ENDPLATE_S1: load.endplate_share if facets else 1.0}
    for tag in facets:
        share[tag] = (1.0 - load.endplate_share) / len(facets)
    force = load.force_N * gravity(mesh.frame, load.sacral_slope_deg)
    return {tag: part * force / area[tag] for tag, part in share.items()}
