"""The theory page shows the numbers that the code takes, and loses no group of them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("theory", DOCS / "theory.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_this_code(script: ModuleType) -> None:
    page = (DOCS / "theory.md").read_text(encoding="utf-8")
    assert script.with_tables(page) == page, "run ./with-env python docs/theory.py"


def test_every_row_is_a_default_and_has_a_source(script: ModuleType) -> None:
    rows = script.defaults()
    assert len(rows) > 60
    assert all(row.source for row in rows)
    # A value that this scenario sets and that has a default would read "this scenario (default".
    assert not [row.name for row in rows if "this scenario (default" in row.source]
