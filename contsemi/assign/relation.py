"""Labels overrule what a method believes of two images, where both are labelled."""

import torch
from torch import Tensor


def both_labelled(labels: Tensor, others: Tensor) -> Tensor:
    """Bool [N, M] from labels int64 [N] and [M]; -1 is no label.

    >>> both_labelled(torch.tensor([2, -1]), torch.tensor([2, 3, -1]))
    tensor([[ True,  True, False],
            [False, False, False]])
    """
    return (labels[:, None] >= 0) & (others >= 0)


def same_class(labels: Tensor, others: Tensor) -> Tensor:
    """Bool [N, M]: both labelled, and of one class.

    >>> same_class(torch.tensor([2, -1]), torch.tensor([2, 3, -1]))
    tensor([[ True, False, False],
            [False, False, False]])
    """
    return (labels[:, None] == others) & (others >= 0)


def overruled(relation: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """The relation, but "same class" where both are labelled; all of it where no one is.

    Args:
        relation: bool [N, M], what a method believes.
        labels: int64 [N]; -1 is no label.
        others: int64 [M].

    Returns:
        bool [N, M].

    >>> believed = torch.ones(1, 3, dtype=torch.bool)
    >>> overruled(believed, torch.tensor([2]), torch.tensor([2, 3, -1]))
    tensor([[ True, False,  True]])
    """
    return torch.where(both_labelled(labels, others), same_class(labels, others), relation)
