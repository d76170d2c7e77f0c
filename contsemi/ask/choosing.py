"""Which photos are most worth a label, by the policies that choose labels of a run."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contsemi import compose
from contsemi.data.sources.listing import pool_files, relative, shown
from contsemi.discovery import ROOMS, find_class
from contsemi.errors import InputError, first_of
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates
from contsemi.living.label_list import labels_beside, refuse_tests
from contsemi.living.model import Model
from contsemi.living.photos import in_chunks, refuse_no_folder
from contsemi.living.progress import with_a_bar
from contsemi.predictors.gathered import Gathered
from contsemi.seeding import generator

_REPAIR = "repair or remove them"  # for learn would refuse the folder afterwards


def chosen(model: Model, photos: Path, budget: int, by: str) -> list[tuple[Path, str]]:
    """Chooses photos.

    Args:
        model: what is known.
        photos: folder of photos; those in its list of labels are not asked for.
        budget: photos to ask for.
        by: the policy, a name of ``conf/labels/`` that goes by embeddings.

    Returns:
        Path and likeliest class of each.

    Raises:
        InputError: there are no photos, or no such policy.
    """
    refuse_no_folder(photos)
    policy = _policy(by)
    refuse_tests(photos)
    files, candidates, likeliest = _looked_at(model, photos, _without_label(photos))
    draw = generator(model.saved.config.seed, "ask")
    places = policy.choose(candidates, budget, draw).tolist()
    return [(files[place], model.classes[likeliest[place]]) for place in places]


def _policy(by: str) -> ByEmbedding:
    try:
        options: Mapping[str, Any] = compose.load([f"labels={by}"]).labels
        given = {key: value for key, value in options.items() if key not in ("name", "ranges")}
        return find_class(ROOMS["labels"], options["name"], ByEmbedding)(**given)
    except InputError:
        problem = f"{by!r:.60} is no policy that goes by embeddings"
        raise InputError("--by", problem, "use kmeans, kcenter, density, margin or usl") from None


def _without_label(photos: Path) -> list[Path]:
    """The photos in a folder that its list of labels does not name."""
    files = pool_files(photos)
    if files.problems:
        raise InputError(shown(photos), first_of(files.problems, 5), _REPAIR)
    named = labels_beside(photos)
    return [path for path in files.paths if relative(photos, path) not in named]


def _looked_at(
    model: Model, photos: Path, paths: list[Path]
) -> tuple[list[Path], Candidates, list[int]]:
    asked = model.learner.inference
    files: list[Path] = []
    bad: list[str] = []
    features: list[Tensor] = []
    scores: list[Tensor] = []
    rest = iter(paths)
    for chunk in with_a_bar(in_chunks(paths, model.saved.side), "looking"):
        if len(chunk.images):
            with torch.no_grad():
                outputs = asked.look(torch.from_numpy(chunk.images))
                scores.append(asked.scores(outputs).float().cpu())
            features.append(outputs.features.float().cpu())
        for path, (_, problem) in zip(islice(rest, len(chunk.listed)), chunk.listed, strict=True):
            files += [] if problem else [path]
            bad += [f"{relative(photos, path)}: {problem}"] if problem else []
    if bad:
        raise InputError(shown(photos), first_of(bad, 5), _REPAIR)
    if not files:
        raise InputError(shown(photos), "holds no photo without a label", "name another folder")
    known = None
    if isinstance(asked.decides, Gathered) and not asked.decides.normalise:
        found = asked.space(outputs)[1].cpu()
        known = found[found.isfinite().all(1)]
    rows = torch.cat(features)
    if known is not None and known.shape[1] != rows.shape[1]:
        known = None
    whole = torch.cat(scores)
    candidates = Candidates(embeddings=rows, labelled=known, scores=whole)
    return files, candidates, whole.argmax(1).tolist()
