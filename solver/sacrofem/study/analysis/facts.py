"""``study.json``: what was asked of a study, beside its records, so that a folder tells all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sacrofem.errors import InputError
from sacrofem.mesh.build import Model
from sacrofem.study.formula import parse_formula
from sacrofem.study.recipe import read_recipe
from sacrofem.study.scenario import Scenario
from sacrofem.study.study_file import Study, saltelli_blocks

FACTS_FILE = "study.json"


@dataclass(frozen=True)
class StudyFacts:
    """What was asked.

    Attributes:
        title: Title of the study.
        vary: The varied fields, as they stand in the file, by dotted path.
        groups: Fields that run side by side, as in the file's `zip`.
        kind: Kind of the design.
        seed: Its seed; None where nothing is drawn.
        rows: Rows of a `saltelli` design; None for another.
        names: Its fields in the order of their blocks.
        points: Points of the design; a case is a point and an arm.
        base: What does not vary, and the arms.
        model: What is meshed for the base.
    """

    title: str
    vary: Mapping[str, Any]
    groups: tuple[tuple[str, ...], ...]
    kind: str
    seed: int | None
    rows: int | None
    names: tuple[str, ...]
    points: int
    base: Scenario
    model: Model

    @property
    def drawn(self) -> bool:
        """Whether the points are drawn from distributions, so that shares are probabilities."""
        return self.kind in ("lhs", "sobol", "random", "saltelli")

    def follow(self, field: str) -> frozenset[str]:
        """The varied fields that change with a field: beside it in a group, or computed from it."""
        found = {field}
        while True:
            more = {n for group in self.groups if found & set(group) for n in group}
            more |= {n for n, of in self.computed.items() if any(name in of for name in found)}
            if more <= found:
                return frozenset(found - {field})
            found |= more

    @property
    def computed(self) -> dict[str, tuple[str, ...]]:
        """The fields that are computed, each with the names in its formula."""
        formulas = {
            n: v["equals"] for n, v in self.vary.items() if isinstance(v, dict) and "equals" in v
        }
        return {name: parse_formula(text).names for name, text in formulas.items()}


def facts_of(study: Study, base: Scenario, points: int) -> StudyFacts:
    """The facts of a study.

    Args:
        study: The study.
        base: Its base scenario.
        points: Points of its design.

    Raises:
        InputError: The base's recipe cannot be read.
    """
    rows, names = saltelli_blocks(study) if study.design.kind == "saltelli" else (None, ())
    return StudyFacts(
        title=study.title or base.title,
        vary=study.model_dump(mode="json")["vary"],
        groups=study.zip,
        kind=study.design.kind,
        seed=study.design.seed,
        rows=rows,
        names=tuple(names),
        points=points,
        base=base,
        model=read_recipe(base.mesh).model,
    )


def write_facts(folder: Path, facts: StudyFacts) -> None:
    """Write ``study.json`` into a study's folder, in place of an earlier one."""
    values = {name: getattr(facts, name) for name in StudyFacts.__dataclass_fields__}
    values["base"] = facts.base.model_dump(mode="json")
    text = json.dumps(values, indent=1, sort_keys=True)
    (folder / FACTS_FILE).write_text(text + "\n", encoding="utf-8")


def read_facts(folder: Path) -> StudyFacts:
    """Read what :func:`write_facts` wrote.

    Raises:
        InputError: The file is missing or was written by another version.
    """
    path = folder / FACTS_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["base"] = Scenario.model_validate(values["base"])
        values["groups"] = tuple(tuple(group) for group in values["groups"])
        return StudyFacts(**values | {"names": tuple(values["names"])})
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; give a folder that `sacrofem sweep` made, or copy the "
            f"{FACTS_FILE} of one of the merged folders into this one."
        ) from None
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        text = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not the facts of a study of this sacrofem ({text}); run the sweep again, "
            "which solves nothing that is there, or use the sacrofem that wrote it."
        ) from error
