"""Mesh recipes: whose bone, which model, how fine, which calibration, which landmarks by hand."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sacrofem.errors import InputError
from sacrofem.image import internal_calibration
from sacrofem.image.phantom import PhantomSpec
from sacrofem.image.phantom.spec import DEFAULT as PHANTOM
from sacrofem.mesh.build import CARTILAGE_LAYER_MM, DEFAULT_EDGE_MM, MeshRequest
from sacrofem.mesh.mesher import EdgeLengths
from sacrofem.study.yaml_file import FileModel, read_yaml

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Edge = Annotated[float, Field(ge=1.0, le=20.0)]


class PhantomRecipe(FileModel):
    """The project's own phantom CT as input; see :class:`PhantomSpec`, which checks the ranges."""

    voxel_mm: tuple[Positive, Positive, Positive] = PHANTOM.voxel_mm
    seed: int = Field(default=PHANTOM.seed, ge=0)
    noise_hu: Finite = PHANTOM.noise_hu
    blur_mm: Finite = PHANTOM.blur_mm
    texture_hu: Finite = PHANTOM.texture_hu
    age_years: Finite = PHANTOM.age_years
    sex: Literal["female", "male"] = PHANTOM.sex
    size: Finite = PHANTOM.size
    dysmorphism: Finite = PHANTOM.dysmorphism
    asymmetry: Finite = PHANTOM.asymmetry
    rotation_deg: tuple[Finite, Finite, Finite] = PHANTOM.rotation_deg
    label_holes: int = PHANTOM.label_holes
    label_islands: int = PHANTOM.label_islands
    label_roughness: Finite = PHANTOM.label_roughness

    def spec(self) -> PhantomSpec:
        """What the phantom's maker takes.

        Raises:
            InputError: A value lies outside its range.
        """
        return PhantomSpec(**self.model_dump())


class SurfaceFiles(FileModel):
    """Closed surfaces in place of labels; no format records unit and axes, so they are stated."""

    files: dict[str, Path]
    unit: Literal["mm", "cm", "m"]
    coordinates: Literal["LPS", "RAS"]
    voxel_mm: Annotated[float, Field(ge=0.3, le=3.0)] = 1.0
    zones_HU: dict[str, Finite] | None = None


class PhantomCalibration(FileModel):
    """A calibration phantom: its line ``mg/cm3 = intercept + slope * HU``, or its rods."""

    kind: Literal["K2HPO4", "HA"]
    slope_mg_per_cm3_per_HU: Finite | None = None
    intercept_mg_per_cm3: Finite | None = None
    rods: tuple[tuple[Finite, Finite], ...] | None = None

    @model_validator(mode="after")
    def _line_or_rods(self) -> "PhantomCalibration":
        line = (self.slope_mg_per_cm3_per_HU, self.intercept_mg_per_cm3)
        if (None in line) != (line == (None, None)):
            raise ValueError("slope_mg_per_cm3_per_HU and intercept_mg_per_cm3 belong together")
        if (self.rods is None) == (line == (None, None)):
            raise ValueError("give either the phantom's line or its rods as [HU, mg/cm3]")
        return self


class InternalCalibration(FileModel):
    """Tissues of the CT itself as references."""

    effective_energy_keV: Annotated[
        float,
        Field(ge=internal_calibration.ENERGIES_KEV[0], le=internal_calibration.ENERGIES_KEV[1]),
    ] = internal_calibration.EFFECTIVE_ENERGY_KEV


class CalibrationRecipe(FileModel):
    """From HU to density: one of three ways."""

    phantom: PhantomCalibration | None = None
    internal: InternalCalibration | None = None
    fallback: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "CalibrationRecipe":
        if sum(way is not None for way in (self.phantom, self.internal, self.fallback)) != 1:
            raise ValueError("give one of 'phantom', 'internal: {}' and 'fallback: true'")
        return self


class MeshRecipe(FileModel):
    """A mesh recipe: a phantom, a CT with labels, or surfaces (paths relative to the file)."""

    phantom: PhantomRecipe | None = None
    ct: Path | None = None
    series: int | str | None = None
    labels: Path | None = None
    label_numbers: dict[str, int | tuple[int, ...]] | None = None
    surfaces: SurfaceFiles | None = None
    model: Literal["sacrum", "pelvis"] = "sacrum"
    edge_mm: Edge = DEFAULT_EDGE_MM
    edge_elsewhere_mm: Edge | None = None
    cartilage_mm: Annotated[float, Field(ge=0.5, le=6.0)] = CARTILAGE_LAYER_MM
    calibration: CalibrationRecipe = CalibrationRecipe(fallback=True)
    landmarks: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "MeshRecipe":
        given = [self.phantom is not None, self.labels is not None, self.surfaces is not None]
        if sum(given) != 1:
            raise ValueError("give one of 'phantom', 'labels' (with their 'ct') and 'surfaces'")
        if self.labels is not None and self.ct is None:
            raise ValueError("labels need their ct")
        if self.phantom is not None and self.ct is not None:
            raise ValueError("a phantom brings its own ct")
        if self.surfaces is not None and (self.ct is None) == (self.surfaces.zones_HU is None):
            raise ValueError("surfaces need either a ct or their zones_HU")
        if self.series is not None and self.ct is None:
            raise ValueError("series needs a ct")
        if self.label_numbers is not None and self.labels is None:
            raise ValueError("label_numbers need labels")
        return self

    @model_validator(mode="after")
    def _edges_grow(self) -> "MeshRecipe":
        if self.edge_elsewhere_mm is not None and self.edge_elsewhere_mm < self.edge_mm:
            raise ValueError("edge_elsewhere_mm cannot be smaller than edge_mm, that of the zone")
        return self

    def request(self) -> MeshRequest:
        """What the mesher takes."""
        elsewhere = self.edge_mm if self.edge_elsewhere_mm is None else self.edge_elsewhere_mm
        return MeshRequest(self.model, EdgeLengths(self.edge_mm, elsewhere), self.cartilage_mm)


def read_recipe(path: Path) -> MeshRecipe:
    """Read a mesh recipe; paths in it become absolute.

    Raises:
        InputError: See :func:`sacrofem.study.yaml_file.read_yaml`.
    """
    recipe = read_yaml(path, MeshRecipe)

    def absolute(inner: Path | None) -> Path | None:
        return None if inner is None else (path.parent / inner).resolve()

    surfaces = recipe.surfaces
    if surfaces is not None:
        files = {name: (path.parent / file).resolve() for name, file in surfaces.files.items()}
        surfaces = surfaces.model_copy(update={"files": files})
    return recipe.model_copy(
        update={
            "ct": absolute(recipe.ct),
            "labels": absolute(recipe.labels),
            "surfaces": surfaces,
        }
    )


def with_own_images(recipe: MeshRecipe, ct: Path | None, labels: Path | None) -> MeshRecipe:
    """The recipe with the images of the command line in place of its own.

    Model, edges and calibration stay; landmarks belong to the recipe's own images and go.

    Raises:
        InputError: Only one of the two is given.
    """
    if ct is None and labels is None:
        return recipe
    if ct is None or labels is None:
        given, missing = ("--ct", "--labels") if labels is None else ("--labels", "--ct")
        raise InputError(
            f"{given} is given without {missing}; a CT and its labels belong together."
        )
    kept = ("model", "edge_mm", "edge_elsewhere_mm", "cartilage_mm", "calibration")
    return MeshRecipe(
        ct=ct.resolve(), labels=labels.resolve(), **{name: getattr(recipe, name) for name in kept}
    )
