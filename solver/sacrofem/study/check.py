"""A scenario without its solves: lesions, paths and fills on the bone, or why they are refused."""

from collections.abc import Mapping
from dataclasses import dataclass

from sacrofem.errors import InputError
from sacrofem.study.bones import Patient, load_patient
from sacrofem.study.plans import lesion_plans, procedure_plans
from sacrofem.study.provenance import Stopwatch
from sacrofem.study.recipe import MeshRecipe
from sacrofem.study.scenario import Scenario
from sacrofem.treatment.lesion import Lesion
from sacrofem.treatment.operating_field import OperatingField, operating_field
from sacrofem.treatment.procedure import Treatment
from sacrofem.treatment.sites import place_lesions
from sacrofem.treatment.treat import treat


@dataclass(frozen=True, eq=False)
class ScenarioCheck:
    """What a scenario would treat.

    Attributes:
        scenario: What was asked.
        patient: The bone.
        field: The bone as the treatment sees it.
        lesions: Its lesions.
        arms: The treatment of each arm that is possible, by name.
        refused: Why the other arms are not, by name.
        seconds: Time by stage.
    """

    scenario: Scenario
    patient: Patient
    field: OperatingField
    lesions: tuple[Lesion, ...]
    arms: Mapping[str, Treatment]
    refused: Mapping[str, str]
    seconds: Mapping[str, float]


def check_scenario(scenario: Scenario, recipe: MeshRecipe) -> ScenarioCheck:
    """Place lesions, paths and fills of every arm; nothing is solved.

    Args:
        scenario: The scenario.
        recipe: Its mesh recipe.

    Raises:
        SacrofemError: The bone cannot be meshed, or a lesion cannot be placed in it.
    """
    watch = Stopwatch()
    patient = load_patient(recipe, watch)
    with watch.stage("lesions"):
        field = operating_field(patient.bone)
        lesions = place_lesions(field, lesion_plans(scenario))
    arms: dict[str, Treatment] = {}
    refused: dict[str, str] = {}
    with watch.stage("treatment"):
        for arm in scenario.arms:
            try:
                arms[arm.name] = treat(field, lesions, procedure_plans(scenario, arm))
            except InputError as error:
                refused[arm.name] = str(error)
    return ScenarioCheck(scenario, patient, field, lesions, arms, refused, watch.seconds)
