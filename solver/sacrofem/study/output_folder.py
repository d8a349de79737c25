"""Output folders: marked as ours, filled beside their place and moved there when complete."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sacrofem.errors import InputError

#: A folder with this file in it was made by sacrofem and may be replaced.
MARK = ".sacrofem"
MARK_TEXT = "Made by sacrofem; `sacrofem run` may replace this folder.\n"


def check_output(out: Path) -> None:
    """Check that an output folder may be made or replaced.

    Raises:
        InputError: It is a file, a folder that sacrofem did not make, or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: this is a file; give the path of a folder.")
    entries = len(list(out.iterdir())) if out.is_dir() else 0
    if entries and not (out / MARK).is_file():
        raise InputError(
            f"--out {out}: the folder exists and was not made by sacrofem ({entries} entries); "
            "give another folder, or empty this one."
        )


def mark(folder: Path) -> None:
    """Make a folder ours."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(MARK_TEXT, encoding="utf-8")


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place when the block ends without an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        mark(stage)
        yield stage
        stage.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        stage.rename(out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
