"""Supports of the sacrum alone: the sacroiliac joints as springs per area."""

from dataclasses import dataclass

#: Articular cartilage of the sacroiliac joint: 11.9 MPa, 0.4 (BMC 2013 14:217, Table 1; the other
#: published table has 10 MPa), both layers together about 3 mm.
CARTILAGE_MPA = 11.9
CARTILAGE_POISSON = 0.4
CARTILAGE_MM = 3.0


@dataclass(frozen=True)
class JointSprings:
    """Stiffness per area of a thin elastic layer, in N/mm3.

    Attributes:
        normal_N_per_mm3: Against opening and closing; confined layer, ``M / thickness``.
        tangential_N_per_mm3: Against sliding, ``G / thickness``.
    """

    normal_N_per_mm3: float
    tangential_N_per_mm3: float


def cartilage_springs(
    young_MPa: float = CARTILAGE_MPA,
    poisson: float = CARTILAGE_POISSON,
    thickness_mm: float = CARTILAGE_MM,
) -> JointSprings:
    """Springs of a cartilage layer that cannot expand sideways: confined modulus and shear."""
    confined = young_MPa * (1.0 - poisson) / ((1.0 + poisson) * (1.0 - 2.0 * poisson))
    shear = young_MPa / (2.0 * (1.0 + poisson))
    return JointSprings(confined / thickness_mm, shear / thickness_mm)
