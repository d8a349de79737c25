"""The figures of a mesh as text, each beside its limit and marked within or outside it."""

from dataclasses import dataclass
from typing import Literal

from sacrofem.anatomy.foramina import FACES, LEVELS, SIDES
from sacrofem.mesh import report as limits
from sacrofem.mesh.fidelity import PartFidelity
from sacrofem.mesh.report import MeshReport
from sacrofem.report.digits import fixed, signed

Verdict = Literal["within", "outside", ""]
#: Openings of the foramina S1 to S4.
OPENINGS = len(LEVELS) * len(SIDES) * len(FACES)


@dataclass(frozen=True)
class Check:
    """One figure: what it is, its value, its limit in words, and whether it holds.

    ``refuses`` tells whether a mesh outside the limit is refused; else it is only remarkable.
    """

    of: str
    name: str
    value: str
    limit: str = ""
    verdict: Verdict = ""
    refuses: bool = False


def checks(report: MeshReport) -> tuple[Check, ...]:
    """All figures of a mesh, group by group: the mesh, its shape, each bone."""
    return (
        *_size(report),
        *_shape(report),
        *(check for name, part in report.parts.items() for check in _bone(report, name, part)),
    )


def verdict_in_words(found: tuple[Check, ...]) -> str:
    """One sentence: how many limits hold, and which do not."""
    limited = [check for check in found if check.verdict]
    outside = [check for check in limited if check.verdict == "outside"]
    if not outside:
        return f"All {len(limited)} figures that have a limit are within it."
    names = "; ".join(f"{check.of}: {check.name}, {check.value}" for check in outside)
    return f"{len(outside)} of {len(limited)} figures are outside their limit: {names}."


def _size(report: MeshReport) -> tuple[Check, ...]:
    group = "Mesh"
    cartilage = (Check(group, "cartilage, volume", f"{report.cartilage_ml:.2f} ml"),)
    return (
        Check(group, "nodes", f"{report.nodes:,}"),
        Check(group, "tetrahedra", f"{report.cells:,}"),
        Check(group, "edge length where lesions and cement may lie", f"{report.zone_mm:g} mm"),
        Check(group, "edge length elsewhere", f"{report.elsewhere_mm:g} mm"),
        Check(group, "voxel of the labels, mean side", f"{report.voxel_mm:.2f} mm"),
        *(cartilage if report.cartilage_ml > 0.0 else ()),
        Check(
            group,
            "openings of foramina S1 to S4 that are open in the labels",
            f"{report.foramina_open} of {OPENINGS}",
            f"all {OPENINGS}",
            _verdict(report.foramina_open >= OPENINGS),
        ),
        Check(
            group, "volume in or beside metal, left out of the density", f"{report.metal_ml:.2f} ml"
        ),
    )


def _shape(report: MeshReport) -> tuple[Check, ...]:
    group, shape = "Shape of the cells", report.shape
    rows = (
        ("quality (SICN), worst cell", shape.minimum, limits.QUALITY_AT_LEAST),
        ("quality (SICN), 1st percentile", shape.percentile_1, limits.QUALITY_P01_AT_LEAST),
    )
    angles = f"{shape.dihedral_min_deg:.1f}° to {shape.dihedral_max_deg:.1f}°"
    return (
        *(
            Check(
                group,
                name,
                fixed(value, 3),
                f"at least {at_least:g}",
                _verdict(value >= at_least),
                True,
            )
            for name, value, at_least in rows
        ),
        Check(group, "aspect ratio, 99th percentile", fixed(shape.aspect_p99, 2)),
        Check(group, "aspect ratio, largest", fixed(shape.aspect_max, 2)),
        Check(group, "dihedral angles", angles),
    )


def _bone(report: MeshReport, name: str, part: PartFidelity) -> tuple[Check, ...]:
    group = name.capitalize()
    within = limits.volume_limit(report)
    change = 100.0 * (part.mesh_ml / part.label_ml - 1.0)
    surface = (
        ("mean", part.surface_mean_mm, limits.surface_limits_mm(report)[0]),
        ("95th percentile", part.surface_p95_mm, limits.surface_limits_mm(report)[1]),
    )
    return (
        Check(
            group,
            f"volume, {part.mesh_ml:.2f} ml of the label's {part.label_ml:.2f} ml",
            f"{signed(change, 2)} %",
            f"within {100 * within:g} %",
            _verdict(part.volume_error <= within),
            True,
        ),
        *(
            Check(
                group,
                f"distance between the surfaces of mesh and label, {word}",
                f"{fixed(value, 2)} mm ({fixed(value / report.voxel_mm, 2)} voxels)",
                f"at most {limit:.2f} mm ({limit / report.voxel_mm:.2f} voxels)",
                _verdict(value <= limit),
                True,
            )
            for word, value, limit in surface
        ),
        Check(
            group,
            "tunnels through the mesh",
            f"{part.tunnels}",
            f"{part.label_tunnels}, as the label",
            _verdict(part.tunnels == part.label_tunnels),
        ),
    )


def _verdict(holds: bool) -> Verdict:
    return "within" if holds else "outside"
