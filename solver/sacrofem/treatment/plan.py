"""What is asked of a treatment: lesions, access paths and fills, as plain values."""

from dataclasses import dataclass, field
from typing import Literal

from sacrofem.image.volume import FloatArray, LabelMap

Kind = Literal["lytic", "blastic", "mixed"]
Site = Literal[
    "lateral mass left",
    "lateral mass right",
    "foraminal zone left",
    "foraminal zone right",
    "vertebral body",
]
Spread = Literal["lateral mass", "foraminal zone", "vertebral body"]
Breach = Literal["anterior", "posterior", "foraminal", "articular"]
DenisZone = Literal["I", "II", "III"]
Approach = Literal[
    "short axis",
    "angulated short axis",
    "long axis",
    "transiliac",
    "anterior-oblique",
    "interpedicular",
    "best",
]
Cannula = Literal["13 G", "11 G", "10 G"]
Technique = Literal["balloon", "vertebroplasty", "vesselplasty", "mask"]
Viscosity = Literal["low", "medium", "high"]
Level = Literal["S1", "S2", "S3", "S4", "S5", "S1-S2", "S2-S3", "S1-S3"]


@dataclass(frozen=True)
class FracturePlan:
    """A pathological fracture through a lesion: a plane parallel to the mid-sagittal plane.

    Attributes:
        zone: Denis' zone in which the plane stands, on the lesion's side.
        gap_mm: Width of the gap.
    """

    zone: DenisZone
    gap_mm: float = 1.0


@dataclass(frozen=True, eq=False)
class LesionPlan:
    """One lesion: by site, by coordinates, or by a mask.

    Attributes:
        kind: What it made of the bone.
        volume_ml: Volume after clipping; of a mask, None keeps the mask's own.
        site: Where it sits.
        spreads_to: Zones that it involves besides, towards which it is drawn out.
        level: Levels that it spans.
        centre_mm: Its centre, world, shape (3,), instead of a site.
        mask: A label map in which it is not 0, instead of a site.
        breach: Faces whose cortex it destroyed.
        spares_nerves: Whether foramina and canal stay clear of it; else it may grow through the
            cortex that borders them.
        fracture: A fracture through it.
    """

    kind: Kind = "lytic"
    volume_ml: float | None = None
    site: Site | None = None
    spreads_to: tuple[Spread, ...] = ()
    level: Level = "S1"
    centre_mm: FloatArray | None = None
    mask: LabelMap | None = None
    breach: tuple[Breach, ...] = ()
    spares_nerves: bool = True
    fracture: FracturePlan | None = None


@dataclass(frozen=True, eq=False)
class PathPlan:
    """One access path.

    Attributes:
        approach: Its name in the clinic; ``best`` takes the feasible one of the largest clearance.
        cannula: Its size.
        target_mm: Where its tip goes, world, shape (3,); None aims at the lesions.
        bevel: Whether the bend of a bevel needle is used where the approach steers (Tian 2019).
    """

    approach: Approach = "short axis"
    cannula: Cannula = "13 G"
    target_mm: FloatArray | None = None
    bevel: bool = True


@dataclass(frozen=True, eq=False)
class FillPlan:
    """One fill. A field that its technique does not have must keep its default.

    Attributes:
        technique: Balloon, vertebroplasty, vesselplasty, or the cement of a control CT.
        cement_ml: PMMA to inject; None only with a mask.
        viscosity: Viscosity class of the cement.
        balloon_ml: Volume of the balloon's cavity; None makes it as large as the cement.
        inflations: Inflations of the balloon along the path, from the centre outwards.
        deposits: Places along the path at which cement is injected while the needle is withdrawn;
            None lets the technique choose from the lesion's length.
        permeating_share: Part of the cement that leaves a vesselplasty's container.
        margin_mm: Injection stops when cement comes so close to a nerve passage or to the surface
            of the bone outwards (Tian 2019); None injects on.
        pressure_kPa: Injection stops at this pressure; None injects on.
        mask: Label map of the cement in a control CT, for the technique ``mask``.
    """

    technique: Technique
    cement_ml: float | None = None
    viscosity: Viscosity = "high"
    balloon_ml: float | None = None
    inflations: int = 3
    deposits: int | None = None
    permeating_share: float = 0.0
    margin_mm: float | None = None
    pressure_kPa: float | None = None
    mask: LabelMap | None = None


@dataclass(frozen=True, eq=False)
class ProcedurePlan:
    """One needle and what is injected through it.

    Attributes:
        lesions: Numbers of the lesions that it treats, from 0; the path aims at all of them.
        path: The path.
        fill: The fill.
    """

    lesions: tuple[int, ...]
    path: PathPlan = field(default_factory=PathPlan)
    fill: FillPlan = field(default_factory=lambda: FillPlan("balloon", 6.0))
