"""Every problem of the table at a small size, and the broken formula that each has to catch.

A row that only ever passes protects nothing: ``test_the_broken_formula_is_caught`` solves the same
problem with a formula of the package made wrong.
"""

import shutil

import pytest
from problems.checks import CHECKS
from problems.row import Broken, Check, Row

from sacrofem.mechanics import materials


def by_title(check: Check) -> str:
    return check.title


@pytest.mark.parametrize("check", CHECKS, ids=by_title)
def test_the_exact_answer_is_found(check: Check) -> None:
    """Protects: forms, loads, supports, solver and materials against their exact answers."""
    rows = check.run("small")
    if all(row.verdict == "not run" for row in rows):
        pytest.skip(rows[0].found)
    missed = [row for row in rows if row.verdict != "pass"]
    assert not [row for row in missed if not any(part in row.what for part in check.may_miss)]


@pytest.mark.parametrize("check", CHECKS, ids=by_title)
def test_the_broken_formula_is_caught(check: Check) -> None:
    """Protects: the check itself; a wrong formula must not pass it."""
    if check.title.endswith("CalculiX") and shutil.which("ccx") is None:
        pytest.skip("ccx is not installed")
    assert check.caught()


def test_not_a_number_is_a_miss() -> None:
    """Protects: NaN fails every comparison and must not count as a pass."""
    assert Row("x", "1", "nan", float("nan"), 1.0).verdict == "MISS"


def test_a_formula_is_whole_again_after_it_was_broken() -> None:
    """Protects: one broken formula does not reach the next check."""
    before = materials.CORTEX_MM
    broken = Broken("no cortex", {"mechanics.materials.CORTEX_MM": 0.0})
    rows = broken.rows_of(lambda: [Row("x", "", "", materials.CORTEX_MM, 0.0)])
    assert rows[0].verdict == "pass"
    assert before == materials.CORTEX_MM
