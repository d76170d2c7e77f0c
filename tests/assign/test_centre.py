"""The centred softmax against DINO's loss over several steps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.assign.centre import centred_softmax

REFERENCE = sorted((Path(__file__).parents[1] / "reference" / "core").glob("dino_*.npz"))


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_centre_follows_official(path: Path) -> None:
    data = np.load(path)
    rtol, atol = (1e-10, 1e-12) if data["center"].dtype == np.float64 else (2e-4, 2e-5)
    centre = torch.from_numpy(data["center"][0])
    for step in range(int(data["steps"])):
        _, centre = centred_softmax(
            torch.from_numpy(data[f"teacher_{step}"]),
            centre,
            temperature=float(data["teacher_temp"][step]),
            momentum=float(data["center_momentum"]),
        )
        np.testing.assert_allclose(centre, data["center"][step + 1], rtol=rtol, atol=atol)


def test_probs_use_the_old_centre() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 3))
    centre = np.array([0.3, -0.2, 0.1])
    probs, new = centred_softmax(
        torch.from_numpy(scores), torch.from_numpy(centre), temperature=0.5, momentum=0.9
    )
    expected = np.exp((scores - centre) / 0.5)
    np.testing.assert_allclose(probs, expected / expected.sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(new, 0.9 * centre + 0.1 * scores.mean(0), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_at_large_scores(dtype: torch.dtype) -> None:
    scores = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=dtype)
    probs, centre = centred_softmax(scores, torch.zeros(3), temperature=0.04, momentum=0.9)
    assert probs.isfinite().all() and centre.isfinite().all()
    torch.testing.assert_close(probs.sum(1), torch.ones(2))
