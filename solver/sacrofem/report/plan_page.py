"""The page of a planned treatment: pictures and tables of what would be done, nothing solved."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sacrofem
from sacrofem.report import scene
from sacrofem.report.figures import png
from sacrofem.report.html import NO_SCENE, Picture, render
from sacrofem.report.plan_figures import arm_regions, plan_slices
from sacrofem.report.plan_scene import plan_scene
from sacrofem.report.plan_table import plan_tables
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField
from sacrofem.treatment.procedure import Treatment

#: Pixels of an inch: a picture is wider than the page, whose reader can enlarge it.
DPI = 100


def write_plan_page(
    path: Path,
    title: str,
    field: OperatingField,
    lesions: tuple[Lesion, ...],
    arms: Mapping[str, Treatment],
    question: str,
    notes: Sequence[str],
) -> None:
    """Write the page of a plan: one HTML file that asks for nothing else.

    Args:
        path: The file; its folder exists.
        title: Title of the page.
        field: The bone.
        lesions: Its lesions.
        arms: The treatments that are possible, by name.
        question: What was asked, in words.
        notes: What the reader must know first: refused arms, warnings of the mesh.
    """
    drawn, missing = plan_pictures(field, lesions, arms)
    path.write_text(
        plan_page(title, lesions, arms, question, notes, drawn, missing), encoding="utf-8"
    )


def plan_page(
    title: str,
    lesions: tuple[Lesion, ...],
    arms: Mapping[str, Treatment],
    question: str,
    notes: Sequence[str],
    drawn: Sequence[Picture],
    missing: str | None = None,
) -> str:
    """The page as HTML, with pictures that are drawn already; see :func:`write_plan_page`."""
    remarks = [
        (f"{name}, procedure {number}" if len(treatment.procedures) > 1 else name, note)
        for name, treatment in arms.items()
        for number, procedure in enumerate(treatment.procedures, start=1)
        for note in (*procedure.path.notes, *procedure.fill.notes)
    ]
    return render(
        "plan.html",
        title=title,
        version=sacrofem.__version__,
        question=question,
        notes=list(notes),
        tables=plan_tables(lesions, arms),
        remarks=remarks,
        pictures=list(drawn),
        missing=missing,
    )


def plan_pictures(
    field: OperatingField, lesions: tuple[Lesion, ...], arms: Mapping[str, Treatment]
) -> tuple[list[Picture], str | None]:
    """The pictures of the page, and a sentence about those that could not be drawn."""
    if not arms:
        return [], "No arm is possible in this bone: there is nothing to draw."
    names = ", ".join(arms)
    regions = {name: arm_regions(field, treatment) for name, treatment in arms.items()}
    # Whether VTK can draw is tried in another process; meanwhile the slices are drawn.
    with ThreadPoolExecutor(1) as pool:
        window = pool.submit(scene.render_window)
        slices = Picture(
            png(plan_slices(field, lesions, arms, regions), DPI),
            f"Axial, coronal and sagittal slices of the CT and one along the needle for {names}, "
            "with lesion, cement, nerve passages and cannula.",
            "One row a procedure: planes of the sacral frame through the centre of the lesion that "
            "it treats, and the plane that holds the needle. The CT is shown as density. A nerve "
            "passage that cement reached is outlined in red. R, L: the patient's right and left; "
            "A, P: front and back; S, I: above and below. Axial is seen from the feet.",
        )
    if window.result() is None:
        return [slices], NO_SCENE
    view = Picture(
        png(plan_scene(field, lesions, arms, regions), DPI),
        f"3-D pictures of the sacrum with lesion, cement, nerve passages and cannula for {names}.",
        "From behind and above. An ilium is shown where the needle goes through it. Canal and "
        "foramina are drawn as tubes, thinner than they are.",
    )
    return [slices, view], None
