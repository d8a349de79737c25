"""Designs: their points fill the space as their names promise."""

import numpy as np
import pytest
from scipy import stats

from sacrofem.study.design import Design, crossed, shares


def test_a_latin_hypercube_has_one_point_in_each_stratum() -> None:
    for optimised in (False, True):
        design = Design(kind="lhs", samples=50, seed=1, optimised=optimised)
        found = shares(design, 3)
        assert found.shape == (50, 3)
        for column in found.T:
            assert sorted(np.floor(column * 50)) == list(range(50))


def test_optimising_lowers_the_discrepancy() -> None:
    plain, better = (
        stats.qmc.discrepancy(shares(Design(kind="lhs", samples=30, seed=1, optimised=o), 3))
        for o in (False, True)
    )
    assert better < plain


def test_a_sobol_sequence_is_balanced() -> None:
    """Protects: 2^m points have one in each of 2^m boxes, of the plane too (Sobol 1967)."""
    found = shares(Design(kind="sobol", samples=64, seed=4), 2)
    for column in found.T:
        assert sorted(np.floor(column * 64)) == list(range(64))
    boxes = np.floor(found * 8) @ [8, 1]
    assert len(set(boxes)) == 64


def test_random_shares_are_uniform_and_independent() -> None:
    found = shares(Design(kind="random", samples=20_000, seed=4), 2)
    assert stats.kstest(found[:, 0], "uniform").pvalue > 0.01
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.02


def test_shares_never_reach_the_infinite_ends() -> None:
    for kind in ("lhs", "sobol", "random", "saltelli"):
        found = shares(Design(kind=kind, samples=1024, seed=0), 5)
        assert found.min() > 0.0
        assert found.max() < 1.0


def test_saltelli_rows_are_those_of_the_estimator() -> None:
    """Protects: main and total effects of a linear function come out exact in the limit.

    f = 4 x + 2 y + 1: shares of variance 16 to 4, no interaction.
    """
    n, k = 4096, 3
    found = shares(Design(kind="saltelli", samples=n, seed=7), k)
    assert found.shape == (n * (k + 2), k)
    f = (found @ [4.0, 2.0, 0.0] + 1.0).reshape(k + 2, 1, n)
    indices = stats.sobol_indices(func={"f_A": f[0], "f_B": f[1], "f_AB": f[2:]}, n=n)
    assert np.allclose(indices.first_order, [0.8, 0.2, 0.0], atol=0.01)
    assert np.allclose(indices.total_order, [0.8, 0.2, 0.0], atol=0.01)


@pytest.mark.parametrize(
    ("kind", "sixth"),
    [
        ("lhs", (0.0592854165, 0.772922077)),
        ("sobol", (0.4323336165, 0.3271314027)),
        ("random", (0.1977346157, 0.8312205823)),
    ],
)
def test_a_seed_means_the_same_numbers_everywhere(kind: str, sixth: tuple[float, float]) -> None:
    """Protects: a study file means the same points on a laptop and on the cluster.

    Not numbers to be met by their worth: written down once (numpy 2.2 with scipy 1.15, and 2.4 with
    1.17). Where a new library gives others, docs/studies.md must say so.
    """
    found = shares(Design.model_validate({"kind": kind, "samples": 8, "seed": 2014}), 2)
    assert np.allclose(found[5], sixth, atol=1e-10)


def test_crossing_makes_every_pair_once() -> None:
    found = crossed([2, 3])
    assert found.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert crossed([]).shape == (1, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "lhs", "samples": 4000, "seed": 1, "optimised": True},
        {"kind": "random", "samples": 4, "seed": 1, "optimised": True},
        {"kind": "lhs", "seed": 1},
        {"kind": "csv"},
        {"kind": "saltelli", "samples": 12, "seed": 1},
        {"kind": "random", "samples": 4, "seed": 1, "file": "x.csv"},
    ],
)
def test_a_design_that_cannot_be_meant_is_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match="value_error"):
        Design.model_validate(fields)
