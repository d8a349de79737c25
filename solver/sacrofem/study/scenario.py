"""Scenario files: one question to the program, with every assumption in it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sacrofem.mechanics import loads, materials, supports
from sacrofem.mechanics.laws import LAWS
from sacrofem.study.yaml_file import FileModel, read_yaml

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LesionSpec(FileModel):
    """A lesion by site."""

    site: Literal["lateral mass left", "lateral mass right"]
    level: Literal["S1"] = "S1"
    volume_ml: NotNegative
    kind: Literal["lytic"] = "lytic"

    @property
    def side(self) -> str:
        """``left`` or ``right``."""
        return self.site.rsplit(" ", 1)[1]


class LoadSpec(FileModel):
    """A load case; ``hold`` says where a pelvis is held, the sacrum alone has its joints."""

    case: Literal["standing"] = "standing"
    force_N: Positive = loads.STANDING_FORCE_N
    sacral_slope_deg: Annotated[float, Field(ge=0, le=90)] = loads.SACRAL_SLOPE_DEG
    endplate_share: Annotated[float, Field(ge=0, le=1)] = loads.ENDPLATE_SHARE
    hold: supports.Hold = supports.DEFAULT_HOLD


class FillSpec(FileModel):
    """A fill technique and its volume."""

    technique: Literal["balloon", "vertebroplasty"]
    cement_ml: NotNegative


def _plain(name: str) -> str:
    if not name or not all(c.isalnum() or c in "-_" for c in name):
        raise ValueError("letters, digits, '-' and '_' only: the name becomes part of file names")
    return name


class ArmSpec(FileModel):
    """One way to treat the lesion."""

    name: Annotated[str, AfterValidator(_plain)]
    approach: Literal["short axis"] = "short axis"
    fill: FillSpec


def _law(name: str) -> str:
    if name not in LAWS:
        raise ValueError(f"it must be one of: {', '.join(LAWS)}")
    return name


class MaterialSpec(FileModel):
    """Material constants; ``tumour_MPa: null`` is a control, a lesion of the bone's own modulus."""

    tumour_MPa: Positive | None = materials.TUMOUR_MPA
    cement_MPa: Positive = materials.CEMENT_MPA
    composite_porosity: Annotated[float, Field(ge=0, lt=1)] = materials.COMPOSITE_POROSITY
    composite_exponent: NotNegative = materials.COMPOSITE_EXPONENT
    cortex_mm: NotNegative = materials.CORTEX_MM
    cortex_MPa: NotNegative = materials.CORTEX_MPA
    law: Annotated[str, AfterValidator(_law)] = materials.MaterialParameters().law


class Scenario(FileModel):
    """A scenario: one bone, its lesion, a load, and the arms that are compared."""

    title: str
    mesh: Path
    lesions: Annotated[tuple[LesionSpec, ...], Field(min_length=1, max_length=1)]
    load: LoadSpec = LoadSpec()
    arms: Annotated[tuple[ArmSpec, ...], Field(min_length=1)]
    materials: MaterialSpec = MaterialSpec()
    order: Literal[1, 2] = 2

    @model_validator(mode="after")
    def _names_differ(self) -> "Scenario":
        names = [arm.name for arm in self.arms]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"two arms are named '{double[0]}'; names must differ")
        return self


def read_scenario(path: Path) -> Scenario:
    """Read a scenario; the path of its recipe becomes absolute.

    Raises:
        InputError: See :func:`sacrofem.study.yaml_file.read_yaml`.
    """
    scenario = read_yaml(path, Scenario)
    return scenario.model_copy(update={"mesh": (path.parent / scenario.mesh).resolve()})
