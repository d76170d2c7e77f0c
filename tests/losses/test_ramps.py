from pathlib import Path

import numpy as np
import pytest

from contsemi.losses.ramps import cosine_ramp

REFERENCE = Path(__file__).parents[1] / "reference" / "parts"


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("dyn_schedule*.npz")), ids=lambda p: p.stem)
def test_cosine_ramp_equals_the_official_code(path):
    data = np.load(path)
    found = [cosine_ramp(step / int(data["total_steps"])) for step in data["step"]]
    np.testing.assert_allclose(found, data["weight"], rtol=1e-9, atol=1e-12)


def test_cosine_ramp_by_hand():
    assert cosine_ramp(0.0) == 0
    assert cosine_ramp(0.25) == pytest.approx(0.2197, abs=5e-5)
    assert cosine_ramp(0.5) == pytest.approx(0.75)
    assert cosine_ramp(0.607) < 1 == cosine_ramp(0.609) == cosine_ramp(1.0)
