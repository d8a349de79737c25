"""HU to density: published pairs, typed densities, and lines that no CT has are refused by name."""

import numpy as np
import pytest

from sacrofem.errors import InputError
from sacrofem.image import attenuation
from sacrofem.image.calibration import FALLBACK_LINE, phantom_line, phantom_rods, to_density
from sacrofem.image.density import (
    CONVERSIONS,
    Density,
    DensityKindError,
    RhoApp,
    RhoAsh,
    RhoQctHA,
    RhoQctK2HPO4,
    chain_in_words,
    convert,
    require_kind,
)


@pytest.mark.parametrize(("hu", "mg_per_cm3"), [(105.66, 86.42), (44.84, 37.16), (97.73, 80.0)])
def test_fallback_line_gives_the_published_pairs(hu: float, mg_per_cm3: float) -> None:
    # Pairs as printed by the group, rounded to 0.01 mg/cm3 (diagnostics15222926).
    found = to_density(np.array([hu]), FALLBACK_LINE).g_per_cm3[0]
    assert found == pytest.approx(mg_per_cm3 / 1000, abs=1e-4)


def test_a_line_of_hydroxyapatite_is_not_read_as_K2HPO4() -> None:
    """Protects: the kind of a phantom counts; HA = 1.15 K2HPO4 - 7.32 mg/cm3 (Faulkner 1993)."""
    hu = np.array([-100.0, 0.0, 150.0, 900.0])
    ha = to_density(hu, phantom_line(0.8, -5.0, "HA")).g_per_cm3
    same = to_density(hu, phantom_line(0.8, -5.0, "K2HPO4")).g_per_cm3
    np.testing.assert_allclose(1.15 * ha - 0.00732, same, rtol=1e-12)
    assert np.abs(ha / same - 1.0).min() > 0.05


# --- kinds of density and their conversions


def test_conversions_by_hand() -> None:
    """Protects: each constant, and the order of the chain. 100 mg/cm3 of K2HPO4 by hand."""
    qct = RhoQctK2HPO4(np.array([0.1]))
    assert convert(qct, RhoQctHA).g_per_cm3[0] == pytest.approx(0.10768)
    assert convert(qct, RhoAsh).g_per_cm3[0] == pytest.approx(0.173435, abs=1e-6)
    assert convert(qct, RhoApp).g_per_cm3[0] == pytest.approx(0.289059, abs=1e-6)
    back = convert(convert(qct, RhoQctHA), RhoQctK2HPO4)
    assert back.g_per_cm3[0] == pytest.approx(0.1, rel=1e-12)
    assert convert(qct, RhoQctK2HPO4).g_per_cm3 is not None


def test_the_chain_is_told_in_words_and_in_order() -> None:
    words = chain_in_words(RhoQctK2HPO4, RhoApp)
    assert words.index("Faulkner") < words.index("ash = 0.877") < words.index("apparent = ash")
    assert chain_in_words(RhoAsh, RhoAsh) == "none needed"
    assert all(step.words for step in CONVERSIONS)


def test_what_nobody_published_is_not_converted() -> None:
    with pytest.raises(DensityKindError, match="no conversion leads"):
        convert(RhoApp(np.array([0.3])), RhoQctK2HPO4)


@pytest.mark.parametrize("wrong", [RhoApp(np.array([0.3])), np.array([0.3]), 0.3])
def test_a_wrong_kind_is_an_error_at_run_time(wrong: Density) -> None:
    """Protects: not only mypy sees a density of the wrong kind, and a bare array is none."""
    with pytest.raises(
        DensityKindError, match=r"needs the QCT density \(K2HPO4\), found"
    ) as caught:
        require_kind(wrong, RhoQctK2HPO4, "the law")
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, TypeError)


def test_milligrams_are_no_density() -> None:
    with pytest.raises(InputError, match="mg/cm3; divide them by 1000"):
        RhoQctK2HPO4(np.array([20.0, 150.0]))
    assert RhoQctK2HPO4(np.zeros(0)).g_per_cm3.size == 0


# --- a phantom's line and rods


@pytest.mark.parametrize(
    ("slope", "intercept", "words"),
    [
        (0.00078, 0.002, "g/cm3 per HU: multiply slope and intercept by 1000"),
        (1.36, -2.0, "inverse direction, HU per mg/cm3: give slope 0.7353 and intercept 1.471"),
        (1360.0, 0.0, "HU per g/cm3"),
        (-0.8, 0.0, "a sign is wrong"),
        (0.8, -819.0, "apply the CT's rescale intercept"),
        (0.8, 300.0, "the intercept is the density of water"),
        (0.0, 0.0, "no numbers of a line"),
        (float("nan"), 0.0, "no numbers of a line"),
        (8.0, 0.0, "check the units"),
    ],
)
def test_a_line_that_no_ct_has_is_refused_and_named(
    slope: float, intercept: float, words: str
) -> None:
    """Protects: a wrong calibration cannot pass silently; its slip of units is told."""
    with pytest.raises(InputError) as caught:
        phantom_line(slope, intercept, "K2HPO4", "recipe.yaml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("recipe.yaml: a line to K2HPO4 needs a slope of 0.5 to 1.1")


@pytest.mark.parametrize("energy_keV", [57.0, 62.0, 70.0, 80.0, 88.0])
def test_the_lines_of_all_clinical_spectra_are_accepted(energy_keV: float) -> None:
    """Protects: the limits refuse no real scanner; and most inverse lines fall outside them."""
    slope = attenuation.K2HPO4_slope_mg_per_cm3_per_HU(energy_keV)
    assert phantom_line(slope, 3.0, "K2HPO4").slope_mg_per_cm3_per_HU == slope
    assert phantom_line(1.15 * slope, 3.0, "HA").kind == "HA"
    if slope < 0.9:
        with pytest.raises(InputError, match="inverse direction"):
            phantom_line(1.0 / slope, 3.0, "K2HPO4")


def test_rods_on_a_line_give_the_line() -> None:
    rods = [(hu, 0.75 * hu - 4.0) for hu in (516.0, -69.0, 3.0, 210.0)]
    line = phantom_rods(rods, "K2HPO4")
    assert line.slope_mg_per_cm3_per_HU == pytest.approx(0.75)
    assert line.intercept_mg_per_cm3 == pytest.approx(-4.0)
    assert line.relative_error_at_100 == pytest.approx(0.0, abs=1e-9)
    assert phantom_rods(rods[:2], "K2HPO4").relative_error_at_100 is None


def test_the_error_of_rods_is_that_of_the_textbook() -> None:
    """Protects: the stated error: s / sqrt(Sxx), against scipy's own regression."""
    from scipy import stats

    rng = np.random.default_rng(3)
    hu = np.linspace(-70.0, 520.0, 6)
    density = 0.75 * hu - 4.0 + rng.normal(0.0, 3.0, 6)
    line = phantom_rods(list(zip(hu, density, strict=True)), "HA")
    textbook = stats.linregress(hu, density)
    assert line.slope_mg_per_cm3_per_HU == pytest.approx(textbook.slope)
    assert line.slope_error_mg_per_cm3_per_HU == pytest.approx(textbook.stderr)
    assert line.relative_error_at_100 is not None
    assert 0.005 < line.relative_error_at_100 < 0.05


def test_wrong_rods_are_refused() -> None:
    good = [(-69.0, -52.0), (3.0, -53.0 + 56.0), (210.0, 157.0), (516.0, 376.0)]
    with pytest.raises(InputError, match="inverse direction"):
        phantom_rods([(mg, hu) for hu, mg in good], "K2HPO4")
    with pytest.raises(InputError, match="g/cm3 per HU"):
        phantom_rods([(hu, mg / 1000) for hu, mg in good], "K2HPO4")
    with pytest.raises(InputError, match="rescale intercept"):
        phantom_rods([(hu + 1024, mg) for hu, mg in good], "K2HPO4")
    with pytest.raises(InputError, match=r"off their line .* each HU stands with its own rod"):
        phantom_rods([(3.0, 60.0), (-69.0, -52.0), (210.0, 157.0), (516.0, 376.0)], "K2HPO4")
    with pytest.raises(InputError, match="at least two rods"):
        phantom_rods([good[0]], "K2HPO4")
    with pytest.raises(InputError, match="at least two rods"):
        phantom_rods([(10.0, 0.0), (10.0, 100.0)], "K2HPO4")
