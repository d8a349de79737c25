"""HU to density: the fallback line goes through the pairs that it was derived from."""

import numpy as np
import pytest

from sacrofem.image.calibration import hu_to_density


@pytest.mark.parametrize(("hu", "mg_per_cm3"), [(105.66, 86.42), (44.84, 37.16), (97.73, 80.0)])
def test_fallback_line_gives_the_published_pairs(hu: float, mg_per_cm3: float) -> None:
    # Pairs as printed by the group, rounded to 0.01 mg/cm3 (facts.md 2f).
    assert hu_to_density(np.array([hu])).g_per_cm3[0] == pytest.approx(mg_per_cm3 / 1000, abs=1e-4)
