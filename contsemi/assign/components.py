"""Weak labels: images that are linked by nearest neighbours are of one kind."""

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from contsemi.assign.relation import overruled


def weak_relation(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Which images are of one kind: linked by nearest neighbours or labels, unless labels differ.

    Args:
        embeddings: [N, D], N > 0, not normalised.
        labels: int64 [N]; -1 is no label.

    Returns:
        bool [N, N].

    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> weak_relation(rows, torch.full((4,), -1))[0]
    tensor([ True,  True, False, False])
    """
    weak = components(nearest_others(embeddings), labels)
    return overruled(weak[:, None] == weak, labels, labels)


@torch.no_grad()
def nearest_others(embeddings: Tensor) -> Tensor:
    """For each row the other row of greatest cosine.

    Args:
        embeddings: [N, D], N > 0, not normalised.

    Returns:
        int64 [N]; with a single row that row itself.

    >>> nearest_others(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]))
    tensor([1, 0, 1])
    """
    rows = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    unit = torch.nn.functional.normalize(rows, dim=1)
    return (unit @ unit.T).fill_diagonal_(-torch.inf).argmax(dim=1)


def components(neighbours: Tensor, same: Tensor | None = None) -> Tensor:
    """Numbers of the connected components of the graph that has an edge i - neighbours[i].

    On a CPU scipy walks the graph. An accelerator would have to be waited for: there the matrix of
    who reaches whom is squared until no path is longer, log2 N small products.

    Args:
        neighbours: int64 [N].
        same: int64 [N], rows of the same value have an edge too; -1 for none. For labels.

    Returns:
        int64 [N] on the device of ``neighbours``: the same number in a component, which numbers
        differs between devices.

    Source: Zheng et al. 2021, section 3.3 (WCL).

    >>> found = components(torch.tensor([1, 0, 3, 2]))
    >>> found[0] == found[1], found[1] == found[2]
    (tensor(True), tensor(False))
    """
    return (_walked if neighbours.device.type == "cpu" else _squared)(neighbours, same)


def _walked(neighbours: Tensor, same: Tensor | None) -> Tensor:
    number = len(neighbours)
    ends = [np.stack([np.arange(number), neighbours.numpy()])]
    if same is not None:
        labels = same.numpy()
        # Each labelled row to the first of its class: a star joins what a clique would.
        _, first, place = np.unique(labels, return_index=True, return_inverse=True)
        star = np.stack([np.arange(number), first[place]])
        ends.append(star[:, labels >= 0])
    start, end = np.concatenate(ends, axis=1)
    graph = coo_matrix((np.ones(len(start)), (start, end)), shape=(number, number))
    return torch.from_numpy(connected_components(graph, directed=False)[1].astype(np.int64))


def _squared(neighbours: Tensor, same: Tensor | None) -> Tensor:
    number = len(neighbours)
    places = torch.arange(number, device=neighbours.device)
    edges = (neighbours[:, None] == places) | (places[:, None] == places)
    edges = edges | edges.T
    if same is not None:
        edges |= (same[:, None] == same) & (same >= 0)
    # half precision is enough: a sum of ones is never rounded to nothing
    reach = edges.to(torch.bfloat16)
    for _ in range(number.bit_length()):
        reach = (reach @ reach).clamp_(max=1)
    return torch.where(reach > 0, places, number).amin(dim=1)
