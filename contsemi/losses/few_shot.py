"""Few-shot tasks made of unlabelled images: each image a class, its views the examples (UML).

Source: Ye, Han and Zhan 2022, "Revisiting unsupervised meta-learning via the characteristics of
few-shot tasks", section 4 (SES, SNS) and 5 (HMS).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.losses.numerics import wide

SIMILARITIES = ("sns", "dot", "cosine", "euclidean")


def similarity_scores(queries: Tensor, others: Tensor, similarity: str) -> Tensor:
    """How alike queries and prototypes are.

    Args:
        queries: [..., N, D].
        others: [..., M, D].
        similarity: ``sns`` has unit prototypes and queries as they are (semi-normalised), ``dot``
            neither unit, ``cosine`` both, ``euclidean`` minus the squared distance.

    Returns:
        [..., N, M].

    Raises:
        ValueError: another word.

    >>> similarity_scores(torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 0.0]]), "sns")
    tensor([[2.]])
    """
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity is one of {', '.join(SIMILARITIES)}, not {similarity!r}")
    queries, others = wide(queries), wide(others)
    if similarity == "euclidean":
        return -(queries.unsqueeze(-2) - others.unsqueeze(-3)).square().sum(dim=-1)
    if similarity in ("sns", "cosine"):
        others = F.normalize(others, dim=-1)
    if similarity == "cosine":
        queries = F.normalize(queries, dim=-1)
    return queries @ others.mT


def draw_tasks(
    images: int,
    copies: int,
    *,
    ways: int,
    shots: int,
    tasks: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Many tasks from the same embeddings (SES): images drawn as classes, their views divided.

    Args:
        images: B.
        copies: views of each image.
        ways: images of a task; all B if there are fewer.
        shots: views that support; the others ask.
        tasks: T.
        generator: whose device the result is on.

    Returns:
        Rows ``copy * images + image``: supports int64 [T, shots, ways] and queries
        int64 [T, copies - shots, ways].

    Raises:
        ValueError: no view is left to ask.

    >>> support, query = draw_tasks(5, 3, ways=2, shots=1, tasks=4, generator=torch.Generator())
    >>> support.shape, query.shape
    (torch.Size([4, 1, 2]), torch.Size([4, 2, 2]))
    """
    if copies <= shots:
        raise ValueError(f"{copies} views, {shots} of them supports: none is left to ask")
    device = generator.device
    lots = torch.rand(tasks, images, generator=generator, device=device)
    image = lots.argsort(dim=1)[:, :ways]
    copy = torch.rand(tasks, copies, image.shape[1], generator=generator, device=device)
    rows = copy.argsort(dim=1) * images + image[:, None]
    return rows[:, :shots], rows[:, shots:]


def task_logits(
    embeddings: Tensor,
    support: Tensor,
    query: Tensor,
    *,
    similarity: str,
    temperature: float,
    negatives: Tensor | None = None,
    scaled_negatives: bool = True,
) -> tuple[Tensor, Tensor]:
    """Scores of the queries of all tasks by the mean supports of their task.

    Args:
        embeddings: [N, D]; or [T, N, D] if those of each task are its own.
        support: int64 [T, S, W] rows.
        query: int64 [T, Q, W] rows.
        similarity: of :func:`similarity_scores`.
        temperature: divides the scores.
        negatives: [N, k, D] further ones of each row, scored behind the W prototypes.
        scaled_negatives: whether the temperature divides their scores too; the released code
            does not.

    Returns:
        [T * Q * W, W (+ k)], ways fastest, and the right columns int64 [T * Q * W].

    >>> logits, right = task_logits(torch.eye(4), torch.tensor([[[0, 1]]]),
    ...     torch.tensor([[[0, 1]]]), similarity="cosine", temperature=1.0)
    >>> logits, right
    (tensor([[1., 0.],
            [0., 1.]]), tensor([0, 1]))
    """
    tasks, ways = len(support), support.shape[2]
    if embeddings.dim() == 2:
        supports, asked = embeddings[support], embeddings[query.flatten(1)]
    else:
        each = torch.arange(tasks, device=support.device)
        supports = embeddings[each[:, None, None], support]
        asked = embeddings[each[:, None], query.flatten(1)]
    scores = similarity_scores(asked, supports.mean(dim=1), similarity) / temperature
    logits = scores.flatten(0, 1)
    if negatives is not None:
        rows = query.flatten()
        further = similarity_scores(embeddings[rows][:, None], negatives[rows], similarity)[:, 0]
        logits = torch.cat([logits, further / (temperature if scaled_negatives else 1.0)], dim=1)
    right = torch.arange(ways, device=support.device).repeat(tasks * query.shape[1])
    return logits, right


@torch.no_grad()
def hard_indices(embeddings: Tensor, images: int, number: int, similarity: str) -> Tensor:
    """The most similar rows of other images.

    Args:
        embeddings: [copies * images, D], row copy * images + image.
        images: B.
        number: k; all rows of other images if there are fewer.
        similarity: of :func:`similarity_scores`; rows stand in both places.

    Returns:
        int64 [N, k], most similar first.

    >>> hard_indices(torch.tensor([[1.0], [3.0], [2.0]]), 3, 1, "dot")
    tensor([[1],
            [2],
            [1]])
    """
    scores = similarity_scores(embeddings, embeddings, similarity)
    image = torch.arange(len(embeddings), device=embeddings.device) % images
    scores = scores.masked_fill(image[:, None] == image, -torch.inf)
    others = len(embeddings) - len(embeddings) // max(images, 1)
    return scores.topk(min(number, others), dim=1).indices


def mixed_negatives(embeddings: Tensor, hard: Tensor, own_share: Tensor) -> Tensor:
    """Negatives harder than any row: similar rows with a share of the row itself (HMS).

    Args:
        embeddings: [N, D]; gradient flows through both parts of the mixture.
        hard: int64 [N, k], as :func:`hard_indices` gives them.
        own_share: [N, k] in [0, 1), how much of the row itself is mixed in.

    Returns:
        [N, k, D].

    >>> mixed_negatives(torch.tensor([[0.0], [4.0]]), torch.tensor([[1], [0]]),
    ...                 torch.full((2, 1), 0.25)).flatten()
    tensor([3., 1.])
    """
    share = own_share[..., None]
    return (1 - share) * embeddings[hard] + share * embeddings[:, None]
