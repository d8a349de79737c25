"""Cohort files: the patients of a clinical paper, what it gives of each, how the rest is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from sacrofem.errors import InputError
from sacrofem.study.draw import DrawRule, draw_missing, draw_order
from sacrofem.study.recipe import MeshRecipe
from sacrofem.study.scenario import FractureSpec, LoadSpec, MaterialSpec, Scenario
from sacrofem.study.yaml_file import FileModel, read_yaml
from sacrofem.treatment import plan

Sex = Literal["female", "male"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: Name of the file in a cohort's folder.
COHORT_FILE = "cohort.yaml"
#: Names of the files that make a patient a scenario of its own.
SCENARIO_FILE, RECIPE_FILE = "scenario.yaml", "mesh.yaml"


class Score(FileModel):
    """A score that the paper reports; it stands beside the mechanics and enters nowhere."""

    name: str
    when: str
    mean: float
    sd: float
    range: tuple[float, float] | None = None


class Count(FileModel):
    """How often the paper saw something."""

    name: str
    found: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=1)]
    unit: str


class Clinical(FileModel):
    """What the paper reports of its patients, and how it tested it, as cited facts."""

    scores: tuple[Score, ...] = ()
    counts: tuple[Count, ...] = ()
    tests: tuple[str, ...] = ()


class CohortLesion(FileModel):
    """A lesion of a patient; volume and cement are drawn where they are missing."""

    site: plan.Site
    spreads_to: tuple[plan.Spread, ...] = ()
    level: plan.Level = "S1"
    kind: plan.Kind = "lytic"
    breach: tuple[plan.Breach, ...] = ()
    fracture: FractureSpec | None = None
    volume_ml: Positive | None = None
    approach: plan.Approach | None = None
    cement_ml: Positive | None = None


class CohortMember(FileModel):
    """A patient as the paper gives him or her; what is missing is drawn."""

    id: Annotated[int, Field(ge=1)]
    sex: Sex | None = None
    age_years: Positive | None = None
    size: Positive | None = None
    primary: str | None = None
    lesions: Annotated[tuple[CohortLesion, ...], Field(min_length=1)]
    cement_ml: Positive | None = None


class CohortArm(FileModel):
    """A way to treat all patients.

    Attributes:
        name: Its name.
        approach: Of all lesions; None takes each lesion's own.
        needle: One for each lesion, or one for all of them.
        cannula: Size of the cannula.
        fill: A fill of a scenario without its ``cement_ml``.
        why: Why this arm is there.
    """

    name: str
    approach: plan.Approach | None = None
    needle: Literal["each lesion", "all lesions"] = "each lesion"
    cannula: plan.Cannula = plan.PathPlan.cannula
    fill: dict[str, Any]
    why: str


class Draws(FileModel):
    """What is drawn: the seed, one rule a quantity, and how many of each sex there are.

    ``cement_per`` says what the rule of the cement is about; the cement of a patient is shared
    among the lesions by volume where each has a needle of its own.
    """

    seed: Annotated[int, Field(ge=0)]
    cement_per: Literal["lesion", "patient"]
    cement_ml: DrawRule
    volume_ml: DrawRule | None = None
    age_years: DrawRule | None = None
    size: DrawRule | None = None
    sex: dict[Sex, Annotated[int, Field(ge=0)]] | None = None


class Cohort(FileModel):
    """A cohort: patients, arms of which the first is the paper's own, draws, reported facts."""

    title: str
    citation: str
    choices: tuple[str, ...]
    mesh: MeshRecipe
    load: LoadSpec = LoadSpec()
    materials: MaterialSpec = MaterialSpec()
    order: Literal[1, 2] = 2
    arms: Annotated[tuple[CohortArm, ...], Field(min_length=1)]
    draw: Draws
    patients: Annotated[tuple[CohortMember, ...], Field(min_length=1)]
    clinical: Clinical

    @field_validator("mesh")
    @classmethod
    def _is_phantom(cls, recipe: MeshRecipe) -> MeshRecipe:
        if recipe.phantom is None:
            raise ValueError("a cohort varies the phantom; give 'phantom: {...}'")
        return recipe

    @model_validator(mode="after")
    def _numbers_differ(self) -> "Cohort":
        numbers = [member.id for member in self.patients]
        double = sorted({n for n in numbers if numbers.count(n) > 1})
        if double:
            raise ValueError(f"two patients have the id {double[0]}; ids must differ")
        return self


@dataclass(frozen=True)
class CohortPatient:
    """A patient complete: given and drawn values, and the question that they make.

    Attributes:
        id: Number in the paper.
        sex: Sex.
        age_years: Age.
        size: Factor on the phantom's lengths.
        primary: Primary tumour; empty where the paper does not say whose it is.
        volumes_ml: Volume of each lesion.
        cement_ml: Cement of each lesion.
        drawn: Names of the fields above that are drawn, not given.
        scenario: The scenario.
        recipe: The phantom to mesh.
    """

    id: int
    sex: Sex
    age_years: float
    size: float
    primary: str
    volumes_ml: tuple[float, ...]
    cement_ml: tuple[float, ...]
    drawn: tuple[str, ...]
    scenario: Scenario
    recipe: MeshRecipe


def is_cohort(path: Path) -> bool:
    """Whether a path names a cohort: its file, or the folder that holds it."""
    return path.name == COHORT_FILE or (path / COHORT_FILE).is_file()


def read_cohort(path: Path) -> Cohort:
    """Read a cohort from its file or its folder.

    Raises:
        InputError: See :func:`sacrofem.study.yaml_file.read_yaml`.
    """
    return read_yaml(path / COHORT_FILE if path.is_dir() else path, Cohort)


def expand_cohort(cohort: Cohort) -> tuple[CohortPatient, ...]:
    """Every patient with what was missing drawn; the same file gives the same patients.

    Raises:
        InputError: Something is missing without a rule, a rule cannot be met, or what comes of it
            is no scenario.
    """
    members, seed = cohort.patients, cohort.draw.seed
    volumes = _volumes_ml(cohort)
    cement = _cement_ml(cohort, volumes)
    ages = _drawn(cohort.draw.age_years, [m.age_years for m in members], seed, "age_years")
    sexes = _sexes(cohort)
    given_sizes = [m.size if cohort.draw.size else m.size or 1.0 for m in members]
    sizes = _drawn(cohort.draw.size, given_sizes, seed, "size")
    return tuple(
        _patient(cohort, n, volumes[n], cement[n], ages[n], sexes[n], sizes[n])
        for n in range(len(members))
    )


def write_patient(folder: Path, patient: CohortPatient) -> None:
    """Write the scenario of a patient and its recipe, as ``sacrofem run`` takes them."""
    for name, model in ((SCENARIO_FILE, patient.scenario), (RECIPE_FILE, patient.recipe)):
        data = model.model_dump(mode="json", exclude_unset=True)
        text = yaml.safe_dump(data, sort_keys=False, width=100)
        (folder / name).write_text(text, encoding="utf-8")


def _volumes_ml(cohort: Cohort) -> list[tuple[float, ...]]:
    counts = [len(member.lesions) for member in cohort.patients]
    given = [lesion.volume_ml for member in cohort.patients for lesion in member.lesions]
    drawn = _drawn(cohort.draw.volume_ml, given, cohort.draw.seed, "volume_ml")
    return _grouped(drawn, counts)


def _cement_ml(cohort: Cohort, volumes: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Cement of each lesion of each patient."""
    rule, seed = cohort.draw.cement_ml, cohort.draw.seed
    if cohort.draw.cement_per == "lesion":
        given = [lesion.cement_ml for member in cohort.patients for lesion in member.lesions]
        along = [volume for group in volumes for volume in group]
        drawn = draw_missing(rule, given, seed, "cement_ml", along if rule.follows else None)
        return _grouped(drawn, [len(group) for group in volumes])
    totals = [sum(group) for group in volumes]
    given = [member.cement_ml for member in cohort.patients]
    drawn = draw_missing(rule, given, seed, "cement_ml", totals if rule.follows else None)
    return [
        tuple(cement * volume / total for volume in group)
        for cement, group, total in zip(drawn, volumes, totals, strict=True)
    ]


def _sexes(cohort: Cohort) -> list[Sex]:
    given = [member.sex for member in cohort.patients]
    free = [n for n, sex in enumerate(given) if sex is None]
    if not free:
        return [sex for sex in given if sex is not None]
    wanted = cohort.draw.sex or {}
    pool: list[Sex] = [s for s, count in wanted.items() for _ in range(count - given.count(s))]
    if len(pool) != len(free):
        raise InputError(
            f"draw.sex: {len(free)} patients have no sex and {len(pool)} are left to give; the "
            "counts must add up to the number of patients."
        )
    order = draw_order(len(free), cohort.draw.seed, "sex")
    drawn = dict(zip(free, (pool[place] for place in order), strict=True))
    return [drawn[n] if sex is None else sex for n, sex in enumerate(given)]


def _drawn(
    rule: DrawRule | None, given: Sequence[float | None], seed: int, name: str
) -> tuple[float, ...]:
    known = tuple(value for value in given if value is not None)
    if rule is None:
        if len(known) < len(given):
            missing = len(given) - len(known)
            raise InputError(
                f"draw.{name}: {missing} values are missing among the patients and there is no "
                f"rule to draw them; give 'draw: {{{name}: ...}}', or the values."
            )
        return known
    return draw_missing(rule, given, seed, name)


def _grouped(values: Sequence[float], counts: Sequence[int]) -> list[tuple[float, ...]]:
    left = iter(values)
    return [tuple(next(left) for _ in range(count)) for count in counts]


def _patient(
    cohort: Cohort,
    number: int,
    volumes: tuple[float, ...],
    cement: tuple[float, ...],
    age_years: float,
    sex: Sex,
    size: float,
) -> CohortPatient:
    member = cohort.patients[number]
    given = {
        "sex": member.sex,
        "age_years": member.age_years,
        "size": member.size if cohort.draw.size else size,
        "volumes_ml": None if None in (le.volume_ml for le in member.lesions) else volumes,
        "cement_ml": _given_cement(cohort, member),
    }
    assert cohort.mesh.phantom is not None
    phantom = cohort.mesh.phantom.model_copy(
        update={
            "age_years": age_years,
            "sex": sex,
            "size": size,
            # Texture and noise: another scan for each patient.
            "seed": 100 * cohort.draw.seed + member.id,
        }
    )
    return CohortPatient(
        id=member.id,
        sex=sex,
        age_years=age_years,
        size=size,
        primary=member.primary or "",
        volumes_ml=volumes,
        cement_ml=cement,
        drawn=tuple(name for name, value in given.items() if value is None),
        scenario=_scenario(cohort, member, volumes, cement),
        recipe=cohort.mesh.model_copy(update={"phantom": phantom}),
    )


def _given_cement(cohort: Cohort, member: CohortMember) -> float | None:
    if cohort.draw.cement_per == "patient":
        return member.cement_ml
    given = [lesion.cement_ml for lesion in member.lesions if lesion.cement_ml is not None]
    return sum(given) if len(given) == len(member.lesions) else None


def _scenario(
    cohort: Cohort, member: CohortMember, volumes: tuple[float, ...], cement: tuple[float, ...]
) -> Scenario:
    lesions = [
        lesion.model_dump(mode="json", exclude={"approach", "cement_ml"}) | {"volume_ml": volume}
        for lesion, volume in zip(member.lesions, volumes, strict=True)
    ]
    data = {
        "title": f"{cohort.title}: patient {member.id}",
        "mesh": RECIPE_FILE,
        "lesions": lesions,
        "load": cohort.load.model_dump(mode="json"),
        "materials": cohort.materials.model_dump(mode="json"),
        "order": cohort.order,
        "arms": [
            {"name": arm.name, "procedures": _procedures(arm, member, cement)}
            for arm in cohort.arms
        ],
    }
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"patient {member.id}: the scenario's {place or 'file'}: {first['msg']}, found "
            f"{first.get('input')!r}; correct the patient or the arm in {COHORT_FILE}."
        ) from error


def _procedures(
    arm: CohortArm, member: CohortMember, cement: tuple[float, ...]
) -> list[dict[str, Any]]:
    """One procedure a needle."""
    numbers = range(1, len(member.lesions) + 1)
    groups = [[n] for n in numbers] if arm.needle == "each lesion" else [list(numbers)]
    out = []
    for group in groups:
        approach = arm.approach or member.lesions[group[0] - 1].approach
        if approach is None:
            raise InputError(
                f"patient {member.id}: neither the arm '{arm.name}' nor lesion {group[0]} has an "
                "'approach'; give one of them."
            )
        volume = round(sum(cement[n - 1] for n in group), 10)
        fill = arm.fill | {"cement_ml": volume}
        procedure = {"lesions": group, "approach": approach, "cannula": arm.cannula, "fill": fill}
        out.append(procedure)
    return out
