"""The shared numerics, and that no loss waits for the device."""

import pytest
import torch
from torch._subclasses import FakeTensor, FakeTensorMode

from contsemi.assign.centre import centred_softmax
from contsemi.assign.sinkhorn import sinkhorn
from contsemi.losses.cross_entropy import label_cross_entropy
from contsemi.losses.distil import feature_distillation, nearest_neighbour_distillation
from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.losses.numerics import row_mean, sum_of_others, wide
from contsemi.losses.paws import mean_entropy_maximisation, sharpened_targets
from contsemi.losses.swapped import swapped_cross_entropy


def test_wide_is_float32_or_float64() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert wide(torch.ones(1, dtype=dtype)).dtype == torch.float32
    assert wide(torch.ones(1, dtype=torch.float64)).dtype == torch.float64


def test_row_mean_divides_by_rows_only() -> None:
    assert row_mean(torch.ones(4, 3)) == 3
    assert row_mean(torch.ones(0, 3)) == 0


def test_sum_of_others_leaves_out_its_own() -> None:
    x = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([sum(x[j] for j in range(4) if j != i) for i in range(4)])
    torch.testing.assert_close(sum_of_others(x), expected)
    assert (sum_of_others(x[:1]) == 0).all()


@pytest.mark.parametrize("temperature", [0.1, 0.01])
def test_no_loss_waits_for_the_device(temperature: float) -> None:
    """Tensors without data: whatever would read a value back, an ``.item()`` say, raises."""
    with FakeTensorMode():
        z, supports, scores = torch.empty(12, 8), torch.empty(6, 8), torch.empty(12, 5)
        labels, weights, columns = torch.empty(6, 5), torch.empty(6), torch.empty(12).long()
        shares = sinkhorn(scores[:8], epsilon=0.05, iterations=3, queue=scores)
        shares, centre = centred_softmax(shares, torch.empty(5), temperature=0.04, momentum=0.9)
        votes = soft_nearest_neighbours(
            z, supports, labels, temperature=temperature, weights=weights
        )
        losses = [
            swapped_cross_entropy(scores, shares, batch_size=4, temperature=0.1),
            label_cross_entropy(scores, columns, temperature=0.1, smoothing=0.1),
            nearest_neighbour_distillation(votes, votes),
            feature_distillation(z, z),
            mean_entropy_maximisation(votes, sharpening=0.25),
            sharpened_targets(votes[:8], batch_size=4, small_views=1, sharpening=0.25).sum(),
        ]
    assert all(loss.shape == () and isinstance(loss, FakeTensor) for loss in losses)
    assert isinstance(centre, FakeTensor)
