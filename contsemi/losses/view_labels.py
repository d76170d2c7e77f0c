"""Cross-entropy of the labels of images of which there are several views."""

from torch import Tensor

from contsemi.losses.cross_entropy import label_cross_entropy

__all__ = ["view_label_cross_entropy"]


def view_label_cross_entropy(logits: Tensor, labels: Tensor, *, smoothing: float) -> Tensor:
    """Mean cross-entropy over all views.

    Args:
        logits: [V * L, C], view-major.
        labels: int64 [L], columns, L > 0.
        smoothing: share of the target spread over all C classes.
    """
    repeated = labels.repeat(len(logits) // len(labels))
    return label_cross_entropy(logits, repeated, temperature=1.0, smoothing=smoothing)
