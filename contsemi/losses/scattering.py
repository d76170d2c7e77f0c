"""Scattering: the centres of clusters are to lie apart from each other."""

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.losses.numerics import wide

LOWEST = -1e30


def hard_shares(cluster: Tensor, clusters: int) -> Tensor:
    """One-hot shares [N, K] in float32 of clusters int64 [N]; none for -1.

    >>> hard_shares(torch.tensor([1, -1]), 2)
    tensor([[0., 1.],
            [0., 0.]])
    """
    return (cluster[:, None] == torch.arange(clusters, device=cluster.device)).float()


def centres(rows: Tensor, shares: Tensor) -> Tensor:
    """The direction of each cluster in the batch: the mean of its unit rows, of unit length.

    Args:
        rows: [N, D], not normalised; gradient flows.
        shares: [N, K] >= 0, how much each row is of each cluster.

    Returns:
        [K, D]; zero for a cluster without a row.

    Source: Huang et al. 2022, eq. 6 (ProPos).

    >>> centres(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.eye(2)[:, :1])
    tensor([[1., 0.]])
    """
    unit = functional.normalize(wide(rows), dim=1)
    shares = shares.to(unit)
    shares = shares / shares.sum(dim=0).clamp(min=torch.finfo(unit.dtype).tiny)
    return functional.normalize(shares.T @ unit, dim=1)


def scattering(
    own: Tensor, other: Tensor, present: Tensor, *, temperature: float, empty: Tensor | float
) -> Tensor:
    """Each centre is to be told from all other centres by its like in the other view.

    Args:
        own: [K, D] unit centres of one view; gradient flows.
        other: [K, D] unit centres of the other view, by the slow network; no gradient.
        present: bool [K], clusters that have a row.
        temperature: divides the cosines.
        empty: logit of a cluster without a row, one for all or [K]. The official code has -10, so
            that each leaks e^-10 into the sum; -inf leaves it out.

    Returns:
        A scalar, the mean over the clusters present; zero if there is none.

    Source: Huang et al. 2022, eq. 7 (ProPos).

    >>> options = {"present": torch.tensor([True, True]), "temperature": 0.5, "empty": -10.0}
    >>> scattering(torch.eye(2), torch.eye(2), **options)
    tensor(0.1269)
    """
    number = len(own)
    diagonal = torch.eye(number, dtype=torch.bool, device=own.device)
    logits = own @ own.T / temperature
    positive = (own * other.detach().to(own)).sum(dim=1) / temperature
    logits = torch.where(diagonal, positive[:, None], logits)
    least = torch.as_tensor(empty, dtype=logits.dtype, device=logits.device).clamp(min=LOWEST)
    logits = torch.where(present | diagonal, logits, least)
    rows = logits.logsumexp(dim=1) - positive
    return (rows * present).sum() / present.sum().clamp(min=1)
