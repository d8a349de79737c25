"""Scenario files: one question to the program, with every assumption in it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from sacrofem.errors import InputError
from sacrofem.measure import levels
from sacrofem.mechanics import loads, materials, supports
from sacrofem.mechanics.laws import LAWS
from sacrofem.mechanics.mixture import Mixture
from sacrofem.study.yaml_file import FileModel, read_yaml
from sacrofem.treatment import plan

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PartOfOne = Annotated[float, Field(gt=0, le=1)]
#: World coordinates in mm, LPS.
Point = tuple[float, float, float]


class FractureSpec(FileModel):
    """A fracture plane through a lesion."""

    zone: plan.DenisZone
    gap_mm: Positive = 1.0


class LesionSpec(FileModel):
    """A lesion by ``site``, by ``centre_mm`` or by a ``mask``; exactly one of them."""

    site: plan.Site | None = None
    spreads_to: tuple[plan.Spread, ...] = ()
    level: plan.Level = "S1"
    centre_mm: Point | None = None
    mask: Path | None = None
    volume_ml: NotNegative | None = None
    kind: plan.Kind = "lytic"
    breach: tuple[plan.Breach, ...] = ()
    spares_nerves: bool = True
    fracture: FractureSpec | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "LesionSpec":
        given = [name for name in ("site", "centre_mm", "mask") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"a lesion needs one of 'site', 'centre_mm' and 'mask'; {found} given")
        if self.volume_ml is None and self.mask is None:
            raise ValueError("'volume_ml' is needed; only a mask has a volume of its own")
        return self

    @property
    def words(self) -> str:
        """What and where, for a reader: ``lytic, 7.1 ml, lateral mass right, S1``."""
        place = self.site or ("mask" if self.mask else f"at {self.centre_mm} mm")
        size = "its own volume" if self.volume_ml is None else f"{self.volume_ml:g} ml"
        spread = f" up to the {' and '.join(self.spreads_to)}" if self.spreads_to else ""
        breach = f", {', '.join(self.breach)} cortex breached" if self.breach else ""
        broken = f", fractured in zone {self.fracture.zone}" if self.fracture else ""
        return f"{self.kind}, {size}, {place}{spread}, {self.level}{breach}{broken}"


class LoadSpec(FileModel):
    """A load case and what bears it.

    ``hold`` says where a pelvis is held, the sacrum alone has its joints; ``stance`` is the leg
    that stands alone. ``ligaments`` are those of :mod:`sacrofem.mechanics.attachments`.
    """

    case: loads.Case = loads.LoadCase.case
    force_N: Positive = loads.LoadCase.force_N
    body_weight_N: Positive | None = None
    muscles: bool = loads.LoadCase.muscles
    gait_percent: Annotated[float, Field(ge=0, le=100)] = loads.LoadCase.gait_percent
    sacral_slope_deg: Annotated[float, Field(ge=0, le=90)] | Literal["measured"] = (
        loads.LoadCase.sacral_slope_deg
    )
    endplate_share: Annotated[float, Field(ge=0, le=1)] = loads.LoadCase.endplate_share
    moment_Nm: Annotated[float, Field(allow_inf_nan=False)] | None = None
    hold: supports.Hold = supports.DEFAULT_HOLD
    stance: supports.Stance | None = None
    ligaments: bool = True

    @model_validator(mode="after")
    def _one_force(self) -> "LoadSpec":
        # Not what is set: a scenario that was written out in full has every field.
        if self.body_weight_N is not None and self.force_N != loads.LoadCase.force_N:
            raise ValueError("give either 'force_N', in standing, or 'body_weight_N'")
        if self.case != "walking" and self.gait_percent != loads.LoadCase.gait_percent:
            raise ValueError(f"'gait_percent' belongs to 'walking', the case is '{self.case}'")
        if (self.case == "one-leg stance") != (self.stance is not None):
            found = "no 'stance'" if self.stance is None else f"'stance: {self.stance}'"
            raise ValueError(
                "'one-leg stance' and 'stance', the leg that stands (left or right), go together; "
                f"the case is '{self.case}', with {found}"
            )
        if self.stance is not None and self.hold == "ischia":
            raise ValueError("'hold: ischia' is sitting; one-leg stance is held at an acetabulum")
        try:
            self.load_case  # noqa: B018
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def load_case(self) -> loads.LoadCase:
        """The same for the mechanics, which know nothing of files."""
        return loads.LoadCase(**self.model_dump(exclude={"hold", "stance", "ligaments"}))

    @property
    def words(self) -> str:
        """How much and when: ``500 N in standing``."""
        force = f"{loads.force_on_s1_N(self.load_case):.0f} N in {self.case}"
        when = f" at {self.gait_percent:g} % of the cycle" if self.case == "walking" else ""
        when += f" on the {self.stance} leg" if self.stance else ""
        return f"{force}{when}, {'with' if self.muscles else 'without'} muscles"


def _plain(name: str) -> str:
    if not name or not all(c.isalnum() or c in "-_" for c in name):
        raise ValueError("letters, digits, '-' and '_' only: the name becomes part of file names")
    return name


class PlaneSpec(FileModel):
    """A plane whose force is asked for: across a body of the sacrum, or anywhere.

    ``level`` cuts the sacrum alone; ``point_mm`` and ``normal`` (LPS) cut the whole model, and the
    force is that on the side to which the normal points.
    """

    name: Annotated[str, AfterValidator(_plain)]
    level: levels.BodyLevel | None = None
    point_mm: Point | None = None
    normal: Point | None = None

    @model_validator(mode="after")
    def _one_plane(self) -> "PlaneSpec":
        given = [n for n in ("level", "point_mm", "normal") if getattr(self, n) is not None]
        if given not in (["level"], ["point_mm", "normal"]):
            found = " and ".join(given) or "none"
            raise ValueError(f"a plane needs 'level', or 'point_mm' and 'normal'; {found} given")
        if self.normal is not None and not any(self.normal):
            raise ValueError("'normal' has no direction: all its numbers are 0")
        return self


class FillSpec(FileModel):
    """A fill technique, its volume and what the technique reads besides."""

    technique: plan.Technique
    cement_ml: NotNegative | None = None
    viscosity: plan.Viscosity = plan.FillPlan.viscosity
    balloon_ml: Positive | None = None
    inflations: Annotated[int, Field(ge=1, le=9)] = plan.FillPlan.inflations
    deposits: Annotated[int, Field(ge=1, le=20)] | None = None
    permeating_share: Annotated[float, Field(ge=0, lt=1)] = plan.FillPlan.permeating_share
    margin_mm: Positive | None = None
    pressure_kPa: Positive | None = None
    mask: Path | None = None

    @model_validator(mode="after")
    def _volume(self) -> "FillSpec":
        if (self.technique == "mask") != (self.mask is not None):
            raise ValueError("the technique 'mask' and the field 'mask' go together")
        if self.cement_ml is None and self.mask is None:
            raise ValueError("'cement_ml' is needed; only a mask has a volume of its own")
        return self

    @property
    def words(self) -> str:
        """How much and how: ``6 ml by balloon``."""
        size = "the mask's volume" if self.cement_ml is None else f"{self.cement_ml:g} ml"
        return f"{size} by {self.technique}"


class PathSpec(FileModel):
    """An access path; without ``target_mm`` it aims at the lesions that it treats."""

    approach: plan.Approach = plan.PathPlan.approach
    cannula: plan.Cannula = plan.PathPlan.cannula
    target_mm: Point | None = None
    bevel: bool = plan.PathPlan.bevel


class ProcedureSpec(PathSpec):
    """One needle of an arm: the lesions that it treats, numbered from 1, its path and fill."""

    lesions: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    fill: FillSpec


class ArmSpec(PathSpec):
    """One way to treat the lesions: ``procedures``, or one path and fill that stand for all.

    Without ``procedures`` each lesion has a procedure of its own with this path and fill; an
    interpedicular path treats all lesions with one needle and one fill (Tian 2019).
    """

    name: Annotated[str, AfterValidator(_plain)]
    fill: FillSpec | None = None
    procedures: tuple[ProcedureSpec, ...] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "ArmSpec":
        if (self.fill is None) == (self.procedures is None):
            raise ValueError("an arm needs either 'fill' or 'procedures'")
        if self.procedures is not None:
            # Not what is set: a scenario that was written out in full has every field.
            beside = [n for n, f in PathSpec.model_fields.items() if getattr(self, n) != f.default]
            if beside or not self.procedures:
                word = f"'{beside[0]}' belongs into them" if beside else "none given"
                raise ValueError(f"an arm with 'procedures' is made of them alone: {word}")
        return self

    def of_lesions(self, lesions: int) -> tuple[ProcedureSpec, ...]:
        """The procedures on so many lesions."""
        if self.procedures is not None:
            return self.procedures
        assert self.fill is not None
        path = {name: getattr(self, name) for name in PathSpec.model_fields}
        numbers = tuple(range(1, lesions + 1))
        groups = (numbers,) if self.approach == "interpedicular" else tuple((n,) for n in numbers)
        return tuple(ProcedureSpec(lesions=group, fill=self.fill, **path) for group in groups)


def _law(name: str) -> str:
    if name not in LAWS:
        raise ValueError(f"it must be one of: {', '.join(LAWS)}")
    return name


class MaterialSpec(FileModel):
    """Material constants; ``tumour_MPa: null`` is a control, a lesion of the bone's own modulus."""

    tumour_MPa: Positive | None = materials.TUMOUR_MPA
    fracture_MPa: Positive = materials.FRACTURE_MPA
    blastic_g_per_cm3: Positive = materials.BLASTIC_G_PER_CM3
    blastic_stiffening: Annotated[float, Field(ge=0, le=1)] = materials.BLASTIC_STIFFENING
    cement_MPa: Positive = materials.CEMENT_MPA
    composite_porosity: Annotated[float, Field(ge=0, lt=1)] = materials.COMPOSITE_POROSITY
    composite_exponent: NotNegative = materials.COMPOSITE_EXPONENT
    interface_factor: PartOfOne = materials.INTERFACE_FACTOR
    cortex_mm: NotNegative = materials.CORTEX_MM
    cortex_MPa: NotNegative = materials.CORTEX_MPA
    law: Annotated[str, AfterValidator(_law)] = materials.MaterialParameters().law
    mixture: Mixture = materials.DEFAULT_MIXTURE


class Scenario(FileModel):
    """A scenario: one bone, its lesions, a load, and the arms that are compared.

    ``failure_curve`` asks for the load that each state bears, see :mod:`sacrofem.study.strength`.
    """

    title: str
    mesh: Path
    lesions: Annotated[tuple[LesionSpec, ...], Field(min_length=1)]
    load: LoadSpec = LoadSpec()
    arms: Annotated[tuple[ArmSpec, ...], Field(min_length=1)]
    materials: MaterialSpec = MaterialSpec()
    planes: tuple[PlaneSpec, ...] = ()
    order: Literal[1, 2] = 2
    failure_curve: bool = False

    @model_validator(mode="after")
    def _arms_fit(self) -> "Scenario":
        for what, named in (("arms", self.arms), ("planes", self.planes)):
            names = [one.name for one in named]
            double = sorted({name for name in names if names.count(name) > 1})
            if double:
                raise ValueError(f"two {what} are named '{double[0]}'; names must differ")
        for arm in self.arms:
            for procedure in arm.of_lesions(len(self.lesions)):
                wrong = [number for number in procedure.lesions if number > len(self.lesions)]
                if wrong:
                    raise ValueError(
                        f"arm '{arm.name}' treats lesion {wrong[0]}, there are {len(self.lesions)}"
                    )
        return self


def read_scenario(path: Path) -> Scenario:
    """Read a scenario; the paths in it become absolute.

    Raises:
        InputError: See :func:`sacrofem.study.yaml_file.read_yaml`.
    """
    return with_absolute_paths(read_yaml(path, Scenario), path.parent)


def with_absolute_paths(scenario: Scenario, folder: Path) -> Scenario:
    """A scenario whose paths, relative to a folder, are absolute."""

    def absolute(value: Any) -> Any:
        if isinstance(value, Path):
            return (folder / value).resolve()
        if isinstance(value, FileModel):
            changed = {name: absolute(getattr(value, name)) for name in value.model_fields_set}
            return value.model_copy(update=changed)
        if isinstance(value, tuple):
            return tuple(absolute(inner) for inner in value)
        return value

    found = absolute(scenario)
    assert isinstance(found, Scenario)
    return found
