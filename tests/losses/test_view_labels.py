import torch
from torch.nn import functional

from contsemi.losses.view_labels import view_label_cross_entropy


def test_it_is_the_mean_over_views():
    logits, labels = torch.randn(6, 4), torch.tensor([2, 0, 1])
    expected = functional.cross_entropy(logits, torch.tensor([2, 0, 1, 2, 0, 1]))
    torch.testing.assert_close(view_label_cross_entropy(logits, labels, smoothing=0.0), expected)
    smooth = functional.cross_entropy(logits, labels.repeat(2), label_smoothing=0.2)
    torch.testing.assert_close(view_label_cross_entropy(logits, labels, smoothing=0.2), smooth)
