"""Sobol indices against Ishigami's exact ones and scipy's own; failed cases; main effects."""

import numpy as np
import pytest
from scipy import stats

from sacrofem.errors import InputError
from sacrofem.study.analysis.sensitivity import as_blocks, main_effects, sobol_indices

NAMES = ("x1", "x2", "x3")


def ishigami(x: np.ndarray) -> np.ndarray:
    """Ishigami and Homma 1990 with a = 7, b = 0.1; x has shape (n, 3), in -pi to pi."""
    return np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def exact() -> tuple[np.ndarray, np.ndarray]:
    """First-order and total indices of it, by its own variances."""
    a, b, pi = 7.0, 0.1, np.pi
    v1 = 0.5 * (1.0 + b * pi**4 / 5.0) ** 2
    v2 = a**2 / 8.0
    v13 = b**2 * pi**8 * (1.0 / 18.0 - 1.0 / 50.0)
    whole = v1 + v2 + v13
    return np.array([v1, v2, 0.0]) / whole, np.array([v1 + v13, v2, v13]) / whole


def saltelli_points(rows: int, seed: int = 1) -> np.ndarray:
    """All A, all B, then A with each column in turn taken from B; shape (5 rows, 3)."""
    drawn = stats.qmc.Sobol(6, seed=seed).random(rows)
    unit = 2.0 * np.pi * drawn - np.pi
    a, b = unit[:, :3], unit[:, 3:]
    mixed = []
    for i in range(3):
        ab = a.copy()
        ab[:, i] = b[:, i]
        mixed.append(ab)
    return np.concatenate([a, b, *mixed])


def indices(found: object, kind: str) -> np.ndarray:
    by_name = {s.field: getattr(s, kind) for s in found.fields}  # type: ignore[attr-defined]
    return np.array([by_name[name].value for name in NAMES])


def test_ishigami_is_found_within_its_own_intervals() -> None:
    rows = 1024
    value = ishigami(saltelli_points(rows))
    found = sobol_indices(as_blocks(np.arange(len(value)), value, rows, 3), NAMES)
    first, total = exact()
    np.testing.assert_allclose(indices(found, "first"), first, atol=0.02)
    np.testing.assert_allclose(indices(found, "total"), total, atol=0.02)
    for s in found.fields:
        i = NAMES.index(s.field)
        assert s.first.low <= first[i] <= s.first.high
        assert s.total is not None
        assert s.total.low <= total[i] <= s.total.high
    assert found.fields[0].field == "x1"


def test_the_estimator_is_that_of_scipy() -> None:
    rows = 64
    blocks = ishigami(saltelli_points(rows)).reshape(5, rows)
    theirs = stats.sobol_indices(
        func={"f_A": blocks[:1], "f_B": blocks[1:2], "f_AB": blocks[2:, None]}, n=rows
    )
    found = sobol_indices(blocks, NAMES)
    np.testing.assert_allclose(indices(found, "first"), np.ravel(theirs.first_order), atol=1e-12)
    np.testing.assert_allclose(indices(found, "total"), np.ravel(theirs.total_order), atol=1e-12)


def test_a_large_mean_does_not_drown_the_indices() -> None:
    blocks = ishigami(saltelli_points(256)).reshape(5, 256)
    plain, shifted = sobol_indices(blocks, NAMES), sobol_indices(blocks + 1e6, NAMES)
    np.testing.assert_allclose(indices(shifted, "first"), indices(plain, "first"), atol=1e-6)


def test_a_failed_case_takes_its_row_out_of_all_blocks() -> None:
    rows = 256
    value = ishigami(saltelli_points(rows))
    failed = [3, rows + 3, 2 * rows + 7, 4 * rows + 100]
    point = np.setdiff1d(np.arange(len(value)), failed)
    found = sobol_indices(as_blocks(point, value[point], rows, 3), NAMES)
    assert (found.rows, found.left_out) == (rows - 3, 3)
    kept = np.setdiff1d(np.arange(rows), [3, 7, 100])
    fewer = sobol_indices(value.reshape(5, rows)[:, kept], NAMES)
    np.testing.assert_array_equal(indices(found, "first"), indices(fewer, "first"))


def test_what_gives_no_indices_is_refused() -> None:
    with pytest.raises(InputError, match="16 complete rows"):
        sobol_indices(np.random.default_rng(1).random((5, 8)), NAMES)
    with pytest.raises(InputError, match="same value"):
        sobol_indices(np.full((5, 64), 3.0), NAMES)
    with pytest.raises(InputError, match="changed since"):
        as_blocks(np.array([500]), np.array([1.0]), 64, 3)


def test_main_effects_of_a_whole_grid_are_exact() -> None:
    # y = x + 2 g, independent and equally likely: variances 2/3 and 4 * 1/4.
    x, g = (axis.ravel() for axis in np.meshgrid([0.0, 1.0, 2.0], [0.0, 1.0], indexing="ij"))
    found = main_effects({"x": x, "g": g}, x + 2.0 * g, True)
    shares = {s.field: s.first.value for s in found.fields}
    assert shares["x"] == pytest.approx((2 / 3) / (2 / 3 + 1.0))
    assert shares["g"] == pytest.approx(1.0 / (2 / 3 + 1.0))
    assert found.fields[0].total is None


def test_main_effects_of_a_sample_are_near_and_nothing_is_near_zero() -> None:
    x = np.random.default_rng(3).uniform(-np.pi, np.pi, (4000, 3))
    fields = dict(zip(NAMES, x.T, strict=True))
    found = main_effects(fields, ishigami(x), False)
    np.testing.assert_allclose(indices(found, "first"), exact()[0], atol=0.06)
    # Without the correction a field without effect would have (bins - 1) / (n - 1).
    rng = np.random.default_rng(4)
    alone = [
        main_effects({"x": rng.random(200)}, rng.random(200), False).fields[0].first
        for _ in range(40)
    ]
    assert abs(np.mean([one.value for one in alone])) < 0.02
    assert sum(one.low <= 0.0 <= one.high for one in alone) >= 34


def test_too_few_cases_name_the_design_to_take() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match=r"kind: saltelli.*total"):
        main_effects({"x": rng.random(20)}, rng.random(20), False)
