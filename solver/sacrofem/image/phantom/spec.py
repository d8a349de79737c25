"""What can be asked of the phantom: the person, the scanner and faults of the segmentation."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sacrofem.errors import InputError

# Allowed values, from ... to. Sizes beyond three standard deviations of PMC5799488 are nobody's.
RANGES: dict[str, tuple[float, float]] = {
    "age_years": (20.0, 95.0),
    "size": (0.75, 1.25),
    "dysmorphism": (0.0, 1.0),
    "asymmetry": (-0.08, 0.08),
    "noise_hu": (0.0, 200.0),
    "blur_mm": (0.0, 3.0),
    "texture_hu": (0.0, 100.0),
    "label_holes": (0, 200),
    "label_islands": (0, 200),
    "label_roughness": (0.0, 1.0),
}
VOXEL_RANGE_MM = (0.4, 5.0)
ROTATION_RANGE_DEG = (-45.0, 45.0)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(
            f"the phantom's {name} is {value:g}, outside {low:g} to {high:g}; "
            "give a value within that range."
        )


@dataclass(frozen=True)
class PhantomSpec:
    """Who is scanned, how, and how badly the bones are labelled.

    The default is a woman of 70 with a symmetric pelvis of mean size, labelled without fault.

    Attributes:
        voxel_mm: Voxel size along the image's own axes.
        seed: Seed of texture, noise and label faults; the anatomy does not depend on it.
        noise_hu: Standard deviation of the scanner's noise.
        blur_mm: Standard deviation of the scanner's point spread.
        texture_hu: Standard deviation of the trabecular texture.
        age_years: Density, cortical thickness and the fatty voids of the alae follow it.
        sex: A man's pelvis is higher and deeper at the same width, and his joints are larger.
        size: Factor on all lengths of the bones; joint spaces and cortex keep theirs.
        dysmorphism: Upper sacral dysmorphism, from 0 (none) to 1 (all its signs).
        asymmetry: Fraction by which the left half is wider and the right half narrower.
        rotation_deg: Rotation of the scan about the world's x, then y, then z; the anatomy stays.
        label_holes: Number of cavities of 1 to 3 voxels' radius inside the labelled bones.
        label_islands: Number of loose specks of 1 to 2 voxels' radius away from the bones.
        label_roughness: Standard deviation of random shifts of the labels' surfaces, in voxels.

    Raises:
        InputError: A value lies outside its range.
    """

    voxel_mm: tuple[float, float, float] = (1.5, 1.5, 1.5)
    seed: int = 1
    noise_hu: float = 12.0
    blur_mm: float = 0.8
    texture_hu: float = 25.0
    age_years: float = 70.0
    sex: Literal["female", "male"] = "female"
    size: float = 1.0
    dysmorphism: float = 0.0
    asymmetry: float = 0.0
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    label_holes: int = 0
    label_islands: int = 0
    label_roughness: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no pelvis and no scanner has."""
        for name, (low, high) in RANGES.items():
            _check(name, getattr(self, name), low, high)
        for size in self.voxel_mm:
            _check("voxel_mm", size, *VOXEL_RANGE_MM)
        for angle in self.rotation_deg:
            _check("rotation_deg", angle, *ROTATION_RANGE_DEG)
        if self.sex not in ("female", "male"):
            raise InputError(f"the phantom's sex is {self.sex!r}; give 'female' or 'male'.")


DEFAULT = PhantomSpec()


def random_spec(seed: int, voxel_mm: tuple[float, float, float] | None = None) -> PhantomSpec:
    """Another pelvis, scan and segmentation for each seed, the same for the same seed.

    Ages 25 to 90; sizes within 1.3 standard deviations of PMC5799488; dysmorphic in 30.3 % of
    people (267 pelves, 10.1186/s12891-023-06655-9), among whom its degree is a choice, as are
    asymmetry and label faults. Half of the scans are rotated by up to 25 degrees about each axis.

    Args:
        seed: Any number from 0.
        voxel_mm: Voxel size; drawn if not given: 0.8 to 3 mm cubes, or slices up to 1 x 1 x 3 mm.
    """
    rng = np.random.default_rng([seed, 3])
    drawn_mm = _random_voxel(rng)
    rotated, dysmorphic, faulty = rng.random(3) < (0.5, 0.303, 0.5)
    angles = rng.uniform(-25.0, 25.0, 3) * rotated
    return PhantomSpec(
        voxel_mm=voxel_mm or drawn_mm,
        seed=seed,
        noise_hu=float(rng.uniform(5.0, 40.0)),
        blur_mm=float(rng.uniform(0.5, 1.2)),
        age_years=float(rng.uniform(25.0, 90.0)),
        sex="male" if rng.random() < 0.5 else "female",
        size=float(rng.uniform(0.88, 1.12)),
        dysmorphism=float(rng.uniform(0.3, 1.0) * dysmorphic),
        asymmetry=float(rng.uniform(-0.04, 0.04)),
        rotation_deg=(float(angles[0]), float(angles[1]), float(angles[2])),
        label_holes=int(rng.integers(0, 13) * faulty),
        label_islands=int(rng.integers(0, 13) * faulty),
        label_roughness=float(rng.uniform(0.0, 0.4) * faulty),
    )


def _random_voxel(rng: np.random.Generator) -> tuple[float, float, float]:
    """A cube of 0.8 to 3 mm, or 0.8 to 1 mm in the slice and 1 to 3 mm between slices."""
    cube = round(float(rng.uniform(0.8, 3.0)), 2)
    pixel, slices = round(float(rng.uniform(0.8, 1.0)), 2), round(float(rng.uniform(1.0, 3.0)), 2)
    return (pixel, pixel, slices) if rng.random() < 0.4 else (cube, cube, cube)
