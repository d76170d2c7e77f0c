"""Cross-entropy of a step's labelled rows: all their views, and the mixed ones where there are."""

from collections.abc import Mapping

import torch
from torch import Tensor

from contsemi.losses.cross_entropy import label_cross_entropy
from contsemi.types import Mix, Step, View

LABELLED = ("labelled", "labelled_small")
"""Views of whole labelled images, by which a step teaches labels."""

UNMIXED = {"mix_labelled": {"labelled_views": [0]}}
"""``idle`` of a method that mixes the first labelled view (:class:`.discovery.Part`)."""


def labels_term(step: Step, *, smoothing: float, name: str = "labels") -> dict[str, Tensor]:
    """The term by which labels teach the head ``classifier``, whatever else a method does.

    Args:
        step: the step; there is no term if it lacks labelled rows, or these that head.
        smoothing: of the labels.
        name: of the term.
    """
    labelled = step.student("labelled")
    if labelled is None or "classifier" not in labelled.heads:
        return {}
    loss, _ = labelled_cross_entropy(step, "classifier", temperature=1.0, smoothing=smoothing)
    return {name: loss}


def mixed_labelled() -> dict[str, View]:
    """The view ``mixed_labelled``: the first labelled view, each image mixed with its partner."""
    mix = Mix(of=("labelled",), views=1, cut=True)
    return {"mixed_labelled": View(rows="labelled", mix=mix)}


def labelled_small(number: int) -> dict[str, View]:
    """The view ``labelled_small``: so many small crops of each labelled image; none where 0.

    Distillers compare the images' other views: frozen networks do not pass over these.
    """
    small = View(rows="labelled", policy="small", number=number, past=False)
    return {"labelled_small": small} if number else {}


def labelled_cross_entropy(
    step: Step, head: str, *, temperature: float, smoothing: float
) -> tuple[Tensor, int | Tensor]:
    """The mean over all labelled rows; a mixed row counts for both labels by their shares.

    Args:
        step: the step; it has one of the views ``LABELLED``, and may have ``mixed_labelled``: see
            :func:`labelled_small`, :func:`mixed_labelled`.
        head: the head with one score [N, C] a class.
        temperature: divides the scores.
        smoothing: of the labels.

    Returns:
        A scalar, and the number of rows: V L of V views, or V L + L with mixed ones; where the
        classes are a sample, the number of those that they stand for.

    Raises:
        ValueError: the step has no labelled rows, or mixed ones of a sample of the classes.

    Source: Fini et al. 2023 (Suave, Daino), whose code calls the mixed rows beside the plain ones
        ``extend``.
    """
    crops = [step.student(name) for name in LABELLED if name in step.seen]
    seen = [outputs[head] for outputs in crops if outputs is not None]
    if not seen:
        raise ValueError("a step without labelled rows has no loss of labels")
    scores, mixed = torch.cat(seen) if len(seen) > 1 else seen[0], step.seen.get("mixed_labelled")
    labels, rows = step.labels, len(scores)
    views = rows // len(labels)
    of_rows = labels if views == 1 else labels.repeat(views)
    weights = step.label_weights
    plain = label_cross_entropy(
        scores,
        of_rows,
        temperature=temperature,
        smoothing=smoothing,
        weights=None if weights is None else weights.repeat(views),
    )
    if mixed is None or mixed.student is None:
        return plain, rows if weights is None else weights.sum() * views
    if weights is not None:
        raise ValueError("a mixed row stands for a pair, and label_weights are of single rows")
    blended, share = mixed.student[head], mixed.share
    own, partner = (
        label_cross_entropy(blended, each, temperature=temperature, smoothing=smoothing)
        for each in (labels, labels.flip(0))
    )
    blend = share * own + (1 - share) * partner
    both = rows + len(blended)
    return (rows * plain + len(blended) * blend) / both, both


def by_rows(losses: Mapping[str, tuple[Tensor, int | Tensor]]) -> dict[str, Tensor]:
    """Terms in which every row of the batch counts the same.

    Args:
        losses: name -> mean loss of some rows, and their number.

    Source: Fini et al. 2023 (Suave, Daino).
    """
    total = sum(rows for _, rows in losses.values())
    return {name: loss * (rows / total) for name, (loss, rows) in losses.items()}
