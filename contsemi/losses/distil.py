"""Distillation: the network is to go on saying what its frozen past says of the same images."""

import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.cross_entropy import cross_entropy
from contsemi.losses.numerics import wide


def nearest_neighbour_distillation(log_probs: Tensor, past_log_probs: Tensor) -> Tensor:
    """Mean H(p_past, p) of soft-nearest-neighbour classes over supports of old classes.

    Args:
        log_probs: [N, C_old] of the current network, from :func:`~.nearest.soft_nearest_neighbours`
            with its own embeddings of queries and supports.
        past_log_probs: [N, C_old] of the frozen network with its own; no gradient flows into them.

    Returns:
        A scalar; zero if N is 0.

    Source: Kang et al. 2023, nearest-neighbour distillation (NNCSL).

    >>> now, past = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    >>> nearest_neighbour_distillation(now, past)
    tensor(0.6931)
    """
    return cross_entropy(log_probs, wide(past_log_probs.detach()).exp())


def feature_distillation(embeddings: Tensor, past_embeddings: Tensor) -> Tensor:
    """Mean squared difference of embeddings, over all N * D numbers.

    Args:
        embeddings: [N, D] of the current network, mapped to the past's space.
        past_embeddings: [N, D] of the frozen network; no gradient flows into them.

    Returns:
        A scalar; zero if N is 0.

    >>> feature_distillation(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(2.)
    """
    if len(embeddings) == 0:
        return wide(embeddings).sum()
    return F.mse_loss(wide(embeddings), wide(past_embeddings.detach()))


def class_distillation(logits: Tensor, past_logits: Tensor, *, temperature: float) -> Tensor:
    """Mean KL(past || present) of soft classes over rows, not times the temperature squared.

    Args:
        logits: [N, C] of the current network, of some of its classes.
        past_logits: [N, C] of the frozen network, of the same; no gradient flows into them.
        temperature: divides both.

    Returns:
        A scalar >= 0; zero if N is 0.

    Source: Li & Hoiem 2016 (LwF), without its factor; Smith et al. 2021 (DistillMatch).

    >>> class_distillation(torch.zeros(1, 2), torch.tensor([[2.0, 0.0]]), temperature=2.0)
    tensor(0.1109)
    """
    now = F.log_softmax(wide(logits) / temperature, dim=1)
    then = F.log_softmax(wide(past_logits.detach()) / temperature, dim=1)
    return F.kl_div(now, then, reduction="sum", log_target=True) / max(len(logits), 1)
