"""The figures of a mesh as a table of plain text, each limit beside its figure."""

from sacrofem.mesh import report as limits
from sacrofem.mesh.report import MeshReport


def mesh_table(report: MeshReport) -> str:
    """The figures of a mesh as aligned plain text."""
    shape = report.shape
    edges = f"{report.zone_mm:g} mm in the treatable zone, {report.elsewhere_mm:g} mm elsewhere"
    rows = [
        ("Model, edges", f"{report.model}, {edges}"),
        ("Nodes / tetrahedra", f"{report.nodes:,} / {report.cells:,}"),
        (
            "Quality (SICN), minimum / 1st percentile",
            f"{shape.minimum:.2f} / {shape.percentile_1:.2f} (limits "
            f"{limits.QUALITY_AT_LEAST:g} / {limits.QUALITY_P01_AT_LEAST:g})",
        ),
        ("Dihedral angles", f"{shape.dihedral_min_deg:.0f} to {shape.dihedral_max_deg:.0f} deg"),
        ("Openings of foramina S1-S4", f"{report.foramina_open} of 16 open"),
    ]
    for name, part in report.parts.items():
        error = 100.0 * (part.mesh_ml / part.label_ml - 1.0)
        volume = f"{part.mesh_ml:.2f} of {part.label_ml:.2f} ml ({error:+.2f} %)"
        surface = (
            f"{part.surface_mean_mm:.2f} mm mean, {part.surface_p95_mm:.2f} mm 95th percentile"
        )
        tunnels = f"{part.tunnels} (label {part.label_tunnels})"
        rows.append((name.capitalize(), f"{volume}; surface {surface}; tunnels {tunnels}"))
    if report.cartilage_ml > 0.0:
        rows.append(("Cartilage", f"{report.cartilage_ml:.2f} ml"))
    method, error = (report.calibration[key] for key in ("method", "relative_error_at_100"))
    known = "error unknown" if error is None else f"error {100 * error:.0f} % at 100 mg/cm3"
    rows.append(("Calibration", f"{method}, {known}"))
    width = max(len(label) for label, _ in rows)
    lines = [f"{label:<{width}}  {text}" for label, text in rows]
    return "\n".join([*lines, *(f"Note: {warning}" for warning in report.warnings)])
