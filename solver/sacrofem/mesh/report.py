"""What is known of a finished mesh, and the limits under which it is refused."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sacrofem.errors import MeshError
from sacrofem.mesh.fidelity import PartFidelity
from sacrofem.mesh.quality import ShapeFigures

#: Limits under which a mesh is refused. Quality is gmsh's SICN, see :mod:`sacrofem.mesh.quality`.
QUALITY_AT_LEAST = 0.1
QUALITY_P01_AT_LEAST = 0.25
VOLUME_WITHIN = 0.01
#: Volume of bones beside a cartilage that takes its room from labels that touch.
VOLUME_WITHIN_AT_JOINT = 0.02
#: Distance between the surfaces of mesh and label, in mean voxel sizes of the labels or in half
#: edge lengths, whichever is larger: cells coarser than voxels cannot follow them.
SURFACE_MEAN_IN_VOXELS, SURFACE_P95_IN_VOXELS = 0.25, 0.6


@dataclass(frozen=True)
class MeshReport:
    """Figures of one mesh.

    Attributes:
        model: ``sacrum`` or ``pelvis``.
        zone_mm, elsewhere_mm: Target edge lengths.
        voxel_mm: Geometric mean of the labels' voxel sides.
        nodes, cells: How many.
        shape: Quality of the cells.
        parts: Each bone beside its label, by name.
        cartilage_ml: Volume of the cartilage, 0 for the model ``sacrum``.
        foramina_open: How many of the 16 openings S1-S4 are open in the labels.
        calibration: From HU to density, in words and numbers.
        metal_ml: Volume in or beside metal whose HU were left out.
        landmarks: All landmarks, world mm, as a recipe gives them.
        warnings: What was not found, and what was done instead.
    """

    model: str
    zone_mm: float
    elsewhere_mm: float
    voxel_mm: float
    nodes: int
    cells: int
    shape: ShapeFigures
    parts: Mapping[str, PartFidelity]
    cartilage_ml: float
    foramina_open: int
    calibration: Mapping[str, Any]
    metal_ml: float
    landmarks: Mapping[str, Any]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values; :func:`report_from_json` turns them back."""
        return asdict(self)


def report_from_json(values: Mapping[str, Any]) -> MeshReport:
    """A report from what :meth:`MeshReport.as_json` gave, after a round trip through JSON."""
    parts = {name: PartFidelity(**part) for name, part in values["parts"].items()}
    rest = {"shape": ShapeFigures(**values["shape"]), "warnings": tuple(values["warnings"])}
    return MeshReport(**{**values, "parts": parts, **rest})


def volume_limit(report: MeshReport) -> float:
    """Largest relative difference of a bone's volume to its label's."""
    return VOLUME_WITHIN if report.model == "sacrum" else VOLUME_WITHIN_AT_JOINT


def surface_limits_mm(report: MeshReport) -> tuple[float, float]:
    """Largest mean and 95th percentile of the distance between mesh and label."""
    scale = max(report.voxel_mm, 0.5 * report.elsewhere_mm)
    return SURFACE_MEAN_IN_VOXELS * scale, SURFACE_P95_IN_VOXELS * scale


def require_limits(report: MeshReport) -> None:
    """Refuse a mesh that misses a limit.

    Raises:
        MeshError: The first limit that is missed, what was found, and what to do.
    """
    way_out = "try another edge length, or mend the labels: islands, holes, a rough outline."
    for name, value, limit in (
        ("worst cell", report.shape.minimum, QUALITY_AT_LEAST),
        ("1st percentile of the cells", report.shape.percentile_1, QUALITY_P01_AT_LEAST),
    ):
        # Not "value < limit": that lets NaN pass.
        if not value >= limit:
            raise MeshError(
                f"the {name} has quality {value:.3f}, at least {limit:g} is needed; {way_out}"
            )
    within = volume_limit(report)
    mean_mm, p95_mm = surface_limits_mm(report)
    for name, part in report.parts.items():
        if not part.volume_error <= within:
            raise MeshError(
                f"the mesh of the {name} holds {part.mesh_ml:.2f} ml and its label "
                f"{part.label_ml:.2f} ml, which is {100 * part.volume_error:.1f} % apart (limit "
                f"{100 * within:g} %); {way_out}"
            )
        for word, found, limit in (
            ("mean", part.surface_mean_mm, mean_mm),
            ("95th percentile", part.surface_p95_mm, p95_mm),
        ):
            if not found <= limit:
                raise MeshError(
                    f"the surface of the {name} lies {found:.2f} mm from its label ({word}; limit "
                    f"{limit:.2f} mm); {way_out}"
                )
