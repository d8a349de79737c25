"""The data dictionary: each number of a record has its line, with the unit that its name says."""

import re

from sacrofem.measure.cement import LIMITS_MPA, NO_CEMENT, NO_INTERFACE
from sacrofem.study.record_columns import OF_CEMENT, OF_INTERFACE, column_word, with_unit
from sacrofem.study.records import COLUMNS, NUMBERS

#: What the end of a column's name says about its unit.
ENDINGS = {
    "_N_per_mm": "N/mm",
    "_ml": "ml",
    "_mm": "mm",
    "_mm2": "mm2",
    "_mJ": "mJ",
    "_MPa": "MPa",
    "_g": "g",
    "_N": "N",
}


def test_a_column_has_a_unit_a_meaning_and_a_source() -> None:
    """Protects: the dictionary's unit is that of the name; no text is empty or half filled in."""
    for name, column in COLUMNS.items():
        ending = max((e for e in ENDINGS if name.endswith(e)), key=len, default="")
        assert column.unit == (ENDINGS[ending] if ending else "s" * (name == "seconds")), name
        assert column.source.startswith("sacrofem."), name
        assert len(column.meaning) > 10, name
        assert not re.search(r"[{}]|None|,;|, ,", column.meaning), name


def test_meanings_tell_columns_apart() -> None:
    """Protects: two columns of one meaning would be one too many, or one told wrongly."""
    assert len({column.meaning for column in COLUMNS.values()}) == len(NUMBERS)


def test_names_are_columns_of_a_database() -> None:
    """Protects: names need no quotes in SQL or in a data frame."""
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in NUMBERS)
    assert len(set(NUMBERS)) == len(NUMBERS)


def test_names_follow_the_measures() -> None:
    """Protects: a unit stays at the end; every field and limit of the measures has its column."""
    assert with_unit("von_mises_MPa", "p95") == "von_mises_p95_MPa"
    assert with_unit("compressive_strain", "mean") == "compressive_strain_mean"
    assert column_word("I|II left") == "I_II_left"
    assert set(OF_CEMENT) == {n for n in vars(NO_CEMENT) if n.endswith("_MPa")}
    assert set(OF_INTERFACE) == {n for n in vars(NO_INTERFACE) if n.endswith("_MPa")}
    assert {f"treated_cement_safety_{limit}" for limit in LIMITS_MPA} <= set(NUMBERS)
