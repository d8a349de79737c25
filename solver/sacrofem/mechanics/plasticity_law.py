"""The law of bone beyond yield: secant moduli, a yield strain in compression and one in tension.

A cell keeps its isotropic elasticity, C, at a part of its size:

    sigma = C : eps / k,    k = the largest r so far, at least 1,
    r = e (theta / e_t + (1 - theta) / e_c),    e = sqrt(eps : C : eps / E).

e is the effective strain of Pistoia 2002, as a norm of the strain that of the damage of Simo and Ju
1987 (from memory); theta = sum <s_i> / sum |s_i| of the principal stresses s_i of C : eps weighs
tension against compression (Oliver, Cervera, Oller and Lubliner 1990, from memory). A bar yields in
compression at the strain e_c, in tension at e_t, and its stress stays there: E e_c. In stresses the
limit of one sign is an ellipsoid, sum s_i^2 - 2 nu sum s_i s_j = (E e_c)^2: the quadric that damage
models of trabecular bone have (Stipsitz, Zysset and Pahr 2020, 10.1007/s10237-019-01254-x, its
abstract), closed also to pressure.

Bone softens after its peak; here it does not (a choice). Local softening puts all damage into one
layer of cells, so that the load would follow their size (Bazant and Pijaudier-Cabot 1988, from
memory). For one sign of stress this law has a convex potential, E e^2 / 2 up to yield and linear in
e beyond it, so that its stresses are unique and the secant iteration cannot diverge.
"""

from dataclasses import dataclass

import numpy as np

from sacrofem.errors import InputError
from sacrofem.image.volume import FloatArray


@dataclass(frozen=True)
class YieldStrains:
    """Apparent yield strains of bone, both positive, uniform within a site.

    Morgan and Keaveny 2001 measured 0.70-0.85 % in compression, 0.61-0.70 % in tension: the
    defaults are the low end of compression, which is also the limit of Pistoia 2002, and the middle
    of tension.
    """

    compression: float = 0.0070
    tension: float = 0.0065

    def __post_init__(self) -> None:
        """Refuse a bone that yields at no strain.

        Raises:
            InputError: A yield strain is not a finite number above 0.
        """
        for name in ("compression", "tension"):
            value = getattr(self, name)
            if not 0.0 < value < np.inf:
                raise InputError(
                    f"the yield strain in {name} must be a number above 0, found {value:g}: a bone "
                    "without one has no failure load; measured are 0.0070 to 0.0085 in compression "
                    "and 0.0061 to 0.0070 in tension (Morgan and Keaveny 2001)."
                )


def effective_strain(strain: FloatArray, poisson: FloatArray) -> FloatArray:
    """``sqrt(2 U / E)`` of the energy density U (Pistoia 2002), shape (m,).

    Args:
        strain: Strain tensors, shape (m, 3, 3).
        poisson: Poisson's ratio, shape (m,).
    """
    mu, lam = _lame_over_young(poisson)
    trace = np.trace(strain, axis1=1, axis2=2)
    return np.asarray(np.sqrt(2.0 * mu * np.sum(strain**2, axis=(1, 2)) + lam * trace**2))


def yield_ratio(strain: FloatArray, poisson: FloatArray, limits: YieldStrains) -> FloatArray:
    """The ratio r of the module's head: 1 at yield, linear in the size of the strain, shape (m,).

    Args:
        strain: Strain tensors, shape (m, 3, 3).
        poisson: Poisson's ratio, shape (m,).
        limits: Yield strains.
    """
    mu, lam = _lame_over_young(poisson)
    principal = np.linalg.eigvalsh(strain)
    stress = 2.0 * mu[:, None] * principal + (lam * principal.sum(axis=1))[:, None]
    size = np.abs(stress).sum(axis=1)
    pulled = np.maximum(stress, 0.0).sum(axis=1)
    theta = np.divide(pulled, size, out=np.zeros_like(size), where=size > 0.0)
    weight = theta / limits.tension + (1.0 - theta) / limits.compression
    return np.asarray(effective_strain(strain, poisson) * weight)


def secant_factor(k: FloatArray, yields: FloatArray) -> FloatArray:
    """Part of a cell's stiffness that is left, shape (m,).

    Args:
        k: Of the module's head, 1 or more, shape (m,).
        yields: Part of the stiffness that is bone's; the rest stays elastic, shape (m,).
    """
    return np.asarray(1.0 - yields * (1.0 - 1.0 / k))


def _lame_over_young(poisson: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lame's ``mu / E`` and ``lambda / E``."""
    return 0.5 / (1.0 + poisson), poisson / ((1.0 + poisson) * (1.0 - 2.0 * poisson))
