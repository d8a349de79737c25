"""The front of an injected cement: one obstacle problem per injected volume, no time steps.

Cement is far more viscous than the marrow that it displaces, so the pressure in the marrow is
even: the front feels no resistance ahead of it, only that of the cement behind. With Darcy's law
this is the one-phase Hele-Shaw problem: ``div(m grad p) = -q`` in the cement, ``p = 0`` at the
front, which moves at ``m |grad p| / pore``. The integral of the pressure over time,
``u = int p dt``, turns its whole history into a single obstacle problem for the end of it (Baiocchi
1972; Elliott and Janovsky 1981):

    pore s = injected + div(m grad u),   u >= 0,   0 <= s <= 1,   u > 0 only where s = 1.

So the volume is conserved exactly, and it matters where how much was injected but not when.

Finite volumes on the voxels, harmonic means of the mobility on their faces. The matrix is an
M-matrix; the set of full voxels is found by Howard's policy iteration (Bokanowski, Maroso, Zidani
2009) with conjugate gradients on the full voxels alone. From a smaller set it only ever adds voxels
that overflow; those of negative u, which a rough solve or a larger start put in, are taken out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sacrofem.errors import SolverError
from sacrofem.image.volume import FloatArray

#: Largest error of the saturation while the set of full voxels is still changing, and at the end.
LOOSE, TIGHT = 1e-3, 1e-10
#: A voxel overflows beyond this saturation: above the error of the solve, so that none flickers.
OVERFLOW = 1.0 + 1e-8
#: Rounds of the policy iteration and of the conjugate gradients in each: about one round is needed
#: for each layer of voxels that the front advances by, and 30 to 100 iterations.
ROUNDS = 500
ITERATIONS = 5000


@dataclass(frozen=True, eq=False)
class Wet:
    """The full voxels of a front, as positions in the padded grid, and their potential.

    Attributes:
        cells: Positions, sorted, shape (n,).
        potential_kPa_s: Time integral of the pressure, shape (n,).
    """

    cells: NDArray[np.int64]
    potential_kPa_s: FloatArray


class FrontSolver:
    """Obstacle problems of one medium; each may start from the solution of a smaller volume."""

    def __init__(self, pore: FloatArray, mobility: FloatArray, step_mm: float) -> None:
        """Keep the medium with one closed voxel around it, so that all voxels have six neighbours.

        Args:
            pore: Part of each voxel that cement can fill, shape (nx, ny, nz).
            mobility: Its mobility in mm2 / (kPa s), 0 where closed, same shape.
            step_mm: Voxel size.
        """
        self._pore = np.pad(pore, 1, constant_values=1.0)
        self._mobility = np.pad(mobility, 1).ravel()
        self._shape = self._pore.shape
        self._pore = self._pore.ravel()
        self._number = np.full(self._pore.shape, -1, dtype=np.int32)
        stride = np.array([self._shape[1] * self._shape[2], self._shape[2], 1])
        self._offsets = np.concatenate([-stride, stride])
        self._step_mm = step_mm

    def positions(self, voxels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in the padded grid of voxels, shape (n, 3)."""
        return np.asarray(np.ravel_multi_index(tuple((voxels + 1).T), self._shape))

    @property
    def dry(self) -> Wet:
        """No cement at all."""
        return Wet(np.zeros(0, dtype=np.int64), np.zeros(0))

    def no_load(self) -> FloatArray:
        """Nothing injected, one value for each position of the padded grid."""
        return np.zeros(self._pore.shape)

    def advance(self, load: FloatArray, start: Wet) -> Wet:
        """The full voxels and their potential when a load has been injected.

        The set grows from the start by the voxels that overflow. It never holds more than the
        pores of a closed region as long as the load does not, so the matrix stays regular.

        Args:
            load: Injected volume over the voxel's volume, see :meth:`no_load`; less in each closed
                region than its pores hold.
            start: Where a smaller load left the front; another one gives the same result.

        Raises:
            SolverError: The iteration did not end.
        """
        wet = _joined(start, np.flatnonzero(load > OVERFLOW * self._pore))
        allowed = LOOSE
        for _ in range(ROUNDS):
            system = self._system(wet.cells)
            rhs = load[wet.cells] - self._pore[wet.cells]
            u = system.solve(rhs, wet.potential_kPa_s, allowed)
            dry = u < 0.0
            over = self._overflowing(system, np.maximum(u, 0.0), load)
            if not dry.any() and not len(over):
                if allowed == TIGHT:
                    return Wet(wet.cells, u)
                allowed = TIGHT
            wet = _joined(Wet(wet.cells[~dry], u[~dry]), over)
        raise SolverError(f"the cement front did not settle in {ROUNDS} rounds.")

    def saturation(self, load: FloatArray, wet: Wet) -> FloatArray:
        """Filled part of the pores of each voxel, shape (nx, ny, nz).

        It is what the balance leaves in each voxel, so its sum is the load to round-off.
        """
        system, u = self._system(wet.cells), wet.potential_kPa_s
        held = load.copy()
        held[wet.cells] -= system.matrix @ u
        outside = ~system.inside
        np.add.at(held, system.near[outside], (system.coupling * u[:, None])[outside])
        inner = (slice(1, -1),) * 3
        return np.asarray((held / self._pore).reshape(self._shape)[inner])

    def pressure_kPa(self, load_per_s: FloatArray, wet: Wet) -> FloatArray:
        """Pressure above that of the marrow in the full voxels, shape (n,), at a rate of load."""
        rhs = load_per_s[wet.cells]
        allowed = 1e-6 * float(np.abs(rhs).max(initial=0.0))
        return self._system(wet.cells).solve(rhs, np.zeros(len(rhs)), allowed)

    def _system(self, cells: NDArray[np.int64]) -> "_System":
        self._number[cells] = np.arange(len(cells))
        near = cells[:, None] + self._offsets
        own, other = self._mobility[cells][:, None], self._mobility[near]
        coupling = 2.0 * own * other / (np.maximum(own + other, 1e-300) * self._step_mm**2)
        number = self._number[near]
        self._number[cells] = -1
        return _make_system(near, number, coupling)

    def _overflowing(self, system: "_System", u: FloatArray, load: FloatArray) -> NDArray[np.int64]:
        """Voxels outside the front that hold more than their pores."""
        outside = ~system.inside & (system.coupling > 0.0)
        into, of = np.unique(system.near[outside], return_inverse=True)
        inflow = np.bincount(of, weights=(system.coupling * u[:, None])[outside])
        return np.asarray(into[load[into] + inflow > OVERFLOW * self._pore[into]])


@dataclass(frozen=True, eq=False)
class _System:
    """Balance of the full voxels: u is 0 in all others."""

    near: NDArray[np.int64]
    inside: NDArray[np.bool_]
    coupling: FloatArray
    diagonal: FloatArray
    matrix: sparse.csr_array

    def solve(self, rhs: FloatArray, start: FloatArray, allowed: float) -> FloatArray:
        """Conjugate gradients with the diagonal as preconditioner until no residual is larger."""
        u = start.copy()
        residual = rhs - self.matrix @ u
        weighted = residual / self.diagonal
        way, energy = weighted.copy(), float(residual @ weighted)
        for _ in range(ITERATIONS):
            if np.abs(residual).max(initial=0.0) <= allowed:
                return u
            turned = self.matrix @ way
            length = energy / float(way @ turned)
            u += length * way
            residual -= length * turned
            np.divide(residual, self.diagonal, out=weighted)
            before, energy = energy, float(residual @ weighted)
            way *= energy / before
            way += weighted
        raise SolverError(f"the pressure of the cement did not settle in {ITERATIONS} iterations.")


def _make_system(
    near: NDArray[np.int64], number: NDArray[np.int32], coupling: FloatArray
) -> _System:
    inside = number >= 0
    diagonal = coupling.sum(axis=1)
    n = len(number)
    columns = np.concatenate([number, np.arange(n, dtype=np.int32)[:, None]], axis=1)
    values = np.concatenate([-coupling, diagonal[:, None]], axis=1)
    used = np.concatenate([inside, np.ones((n, 1), dtype=bool)], axis=1)
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    matrix = sparse.csr_array((values[used], columns[used], starts), shape=(n, n))
    return _System(near, inside, coupling, diagonal, matrix)


def _joined(wet: Wet, cells: NDArray[np.int64]) -> Wet:
    """A front with voxels added where it has none, their potential 0."""
    if not len(cells):
        return wet
    new = np.setdiff1d(cells, wet.cells, assume_unique=True)
    both = np.concatenate([wet.cells, new])
    order = np.argsort(both, kind="stable")
    potential = np.concatenate([wet.potential_kPa_s, np.zeros(len(new))])
    return Wet(both[order], potential[order])
