"""What a model says of photos, one by one as they come: memory does not grow with their number."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contsemi.living.model import Model
from contsemi.living.photos import in_chunks
from contsemi.living.progress import with_a_bar


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one photo.

    Attributes:
        file: its name.
        classes: names of the likeliest, each with its probability, the likeliest first.
        unknown: whether it is farther from every class than known photos are; ``None`` if that
            was not asked.
        problem: why it could not be read; empty for nothing.
    """

    file: str
    classes: tuple[tuple[str, float], ...] = ()
    unknown: bool | None = None
    problem: str = ""


def answers(
    model: Model, paths: Iterable[Path], *, top: int, limit: float | None
) -> Iterator[Answer]:
    """Answers in the order of the photos.

    Args:
        model: that is asked.
        paths: of the photos.
        top: classes of each.
        limit: strangeness beyond which a photo is unknown; ``None`` does not say.
    """
    for photos in with_a_bar(in_chunks(paths, model.saved.side), "predicting"):
        probs, far = model.answers(photos.images)
        best = np.argsort(-probs, axis=1, kind="stable")[:, :top]
        seen = 0
        for name, problem in photos.listed:
            if problem:
                yield Answer(name, problem=problem)
                continue
            named = tuple((model.classes[c], float(probs[seen, c])) for c in best[seen].tolist())
            yield Answer(name, named, None if limit is None else bool(far[seen] > limit))
            seen += 1
