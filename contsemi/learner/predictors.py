"""Every way to a class from one pass of features: heads, labelled images and the memory.

An objective names one of them as its own, its headline; the others say what its features are worth.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.losses.nearest import LOWEST, nearest_classes
from contsemi.memory.embeddings import Embeddings
from contsemi.search.index import Index, Kind
from contsemi.types import Outputs, SoftLabels

TEMPERATURE = 0.1  # of cosines, as all methods here are trained with
NEAREST = 20  # rows of the index that vote
CHUNK = 1024  # images whose votes are gathered at once

# queries [N, D] and k -> scores and places [N, k'] of the nearest rows
Search = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def predictions(
    outputs: Outputs,
    labelled: tuple[Outputs, Tensor] | None,
    memory: Embeddings,
    *,
    num_seen: int,
    index: Kind,
) -> dict[str, Tensor]:
    """Scores by each predictor that network and memory allow; the greatest is the prediction.

    ``prototypes`` and ``classifier`` are the heads of these names; ``neighbours`` is the soft vote
    of the labelled images at hand; ``index`` that of the nearest rows of the embedding memory and
    of those images.

    Args:
        outputs: of N un-augmented images.
        labelled: outputs [S] and columns [S] of the labelled images at hand.
        memory: embeddings of past images, in the space of the network that predicts.
        num_seen: C.
        index: how rows are searched.

    Returns:
        Name of a predictor -> scores [N, C].
    """
    heads = ("prototypes", "classifier")
    found = {name: outputs[name] for name in heads if name in outputs.heads}
    queries = _embeddings(outputs)
    searched: list[tuple[Search, Tensor | SoftLabels]] = []
    if labelled is not None:
        supports, labels = _embeddings(labelled[0]), labelled[1]
        found["neighbours"] = nearest_classes(
            queries, supports, labels, num_seen, temperature=TEMPERATURE
        )
        own = Index(functional.normalize(supports, dim=1), index)
        searched.append((own.search, functional.one_hot(labels, num_seen).float()))
    if (past := memory.view()) is not None:
        searched.append((past.search, past.probs))
    if searched:
        found["index"] = _by_index(queries, searched, num_seen)
    return found


def _embeddings(outputs: Outputs) -> Tensor:
    """The projector's where there is one, else the features."""
    return outputs.heads.get("projector", outputs.features)


def _by_index(
    queries: Tensor, searched: Sequence[tuple[Search, Tensor | SoftLabels]], num_seen: int
) -> Tensor:
    """Probabilities [N, C] by the nearest rows of all indexes, each weighed by its similarity."""
    chunks = []
    for part in torch.split(functional.normalize(queries, dim=1), CHUNK):
        near = [(search(part, NEAREST), votes) for search, votes in searched]
        cosines = torch.cat([scores for (scores, _), _ in near], dim=1)
        # of lists on a GPU a few may be missing, or all
        there = torch.cat([places >= 0 for (_, places), _ in near], dim=1)
        kept = cosines.topk(min(NEAREST, cosines.shape[1]), dim=1)
        weights = torch.full_like(cosines, LOWEST)
        weights = weights.scatter(1, kept.indices, kept.values / TEMPERATURE)
        weights = weights.masked_fill(~there, LOWEST).softmax(1) * there
        said = part.new_zeros(len(part), num_seen)
        start = 0
        for (_, places), votes in near:
            own = weights[:, start : start + places.shape[1]]
            known = votes[places.clamp(min=0)].to(said.dtype)
            said[:, : known.shape[2]] += torch.einsum("nk,nkc->nc", own, known)
            start += places.shape[1]
        chunks.append(said)
    return torch.cat(chunks)
