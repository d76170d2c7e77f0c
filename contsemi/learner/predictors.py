"""Every way to a class from one pass of features: heads, labelled images and the memory.

An objective names one of them as its own, its headline; the others say what its features are worth.
"""

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.losses.nearest import LOWEST, nearest_classes
from contsemi.memory.embeddings import Embeddings
from contsemi.search.index import Index, Kind
from contsemi.types import Outputs

__all__ = ["predictions"]

TEMPERATURE = 0.1  # of cosines, as all methods here are trained with
NEAREST = 20  # rows of the index that vote
CHUNK = 1024  # images whose votes are gathered at once


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
    rows, votes = [], []
    if labelled is not None:
        supports, labels = _embeddings(labelled[0]), labelled[1]
        found["neighbours"] = nearest_classes(
            queries, supports, labels, num_seen, temperature=TEMPERATURE
        )
        rows.append(functional.normalize(supports, dim=1))
        votes.append(functional.one_hot(labels, num_seen).float())
    if (past := memory.view()) is not None:
        rows.append(past.embeddings)
        votes.append(functional.pad(past.probs, (0, num_seen - past.probs.shape[1])))
    if rows:
        searched = Index(torch.cat(rows), index)
        found["index"] = _by_index(queries, searched, torch.cat(votes))
    return found


def _embeddings(outputs: Outputs) -> Tensor:
    """The projector's where there is one, else the features."""
    return outputs.heads.get("projector", outputs.features)


def _by_index(queries: Tensor, index: Index, votes: Tensor) -> Tensor:
    """Probabilities [N, C] by the nearest rows, each weighed by its similarity."""
    chunks = []
    for part in torch.split(functional.normalize(queries, dim=1), CHUNK):
        cosines, nearest = index.search(part, NEAREST)
        found = nearest >= 0  # of lists on a GPU a few may be missing, or all
        weights = (cosines / TEMPERATURE).masked_fill(~found, LOWEST).softmax(1) * found
        chunks.append(torch.einsum("nk,nkc->nc", weights, votes[nearest.clamp(min=0)]))
    return torch.cat(chunks)
