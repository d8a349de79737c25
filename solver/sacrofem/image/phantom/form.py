"""One person's form: how a pelvis of its sex, size and symmetry maps to the pelvis as drawn.

The shapes of :mod:`sacrofem.image.phantom` are drawn once, for a symmetric female pelvis of mean
size. A person's pelvis is that drawing stretched: x by ``wide`` (and by more on one side), y and z
by ``long``. Stretching y and z alike keeps the curve of the sacrum an arc.
"""

from dataclasses import dataclass

import numpy as np

from sacrofem.image.phantom.shapes import Array, Point
from sacrofem.image.phantom.spec import PhantomSpec

# A man's against a woman's: areas of the joint 1138 to 993 mm2 (PubMed 12875567) and 16.2 to
# 13.7 cm2 (Poilliot) are 1.07 and 1.09 in length; his sacrum is no wider (108.7 mm in women,
# 103.6 in both sexes, heights 98.0 and 106.7). That the S1 body grows as much is a choice.
MALE_LONG, MALE_BODY = 1.08, 1.08
ROUND_MM = 20.0  # the two halves' different stretch changes smoothly over this, at the midline


@dataclass(frozen=True)
class Form:
    """Stretch of the drawn pelvis.

    Attributes:
        wide: Factor from side to side.
        long: Factor from front to back and up and down.
        body: Further factor on the width of the sacral bodies.
        asymmetry: Fraction by which the left half is wider and the right half narrower.
        dysmorphism: Degree of upper sacral dysmorphism, 0 to 1.
    """

    wide: float = 1.0
    long: float = 1.0
    body: float = 1.0
    asymmetry: float = 0.0
    dysmorphism: float = 0.0

    @property
    def scale(self) -> float:
        """Mean stretch: from drawn to true distances."""
        return float(np.cbrt(self.wide * self.long**2))

    def drawn(self, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        """Drawn coordinates of world points in mm; each keeps its shape."""
        a = self.asymmetry
        across = x / self.wide
        if a != 0.0:
            w = across + a * ROUND_MM
            across = (w - a * np.sqrt(w * w + (1.0 - a * a) * ROUND_MM**2)) / (1.0 - a * a)
        return across, y / self.long, z / self.long

    def world(self, point: Point) -> Array:
        """World position in mm, shape (3,), of a drawn point."""
        x, y, z = point
        across = x + self.asymmetry * (np.hypot(x, ROUND_MM) - ROUND_MM)
        return np.array([self.wide * across, self.long * y, self.long * z])


def form_of(spec: PhantomSpec) -> Form:
    """The form of the person asked for."""
    male = spec.sex == "male"
    return Form(
        wide=spec.size,
        long=spec.size * (MALE_LONG if male else 1.0),
        body=MALE_BODY if male else 1.0,
        asymmetry=spec.asymmetry,
        dysmorphism=spec.dysmorphism,
    )
