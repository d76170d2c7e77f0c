"""Before a task: which of its images get their label, by what the network of the task before sees.

Nothing here knows a label: images are embedded, the policy names some of them, and the annotator
reveals theirs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from contsemi.assign.pixel_directions import pixel_directions
from contsemi.devices.meeting import tell_json
from contsemi.labels import digest
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates
from contsemi.learner.learner import Learner
from contsemi.metrics.label_coverage import labelled_distance
from contsemi.metrics.matrix import Undefined
from contsemi.pipeline.setting import Setting
from contsemi.pipeline.warmup import METHOD, warmed_up
from contsemi.seeding import generator
from contsemi.stores.choosing import plain
from contsemi.types import Experience

PIXELS, BEFORE = "pixels", "the network of the task before"
TRAINED = "a network that was trained elsewhere"


def choose_labels(setting: Setting, learner: Learner, task: int, step: int) -> None:
    """Buys the labels of a task that is about to begin, and writes down which.

    Args:
        setting: the run.
        learner: between tasks; nothing of it changes.
        task: that begins.
        step: optimiser steps done since the start of the run.
    """
    annotator, choice = setting.annotator, setting.choice
    if annotator is None:
        return
    assert isinstance(choice, ByEmbedding)
    offered, most = annotator.offered(task), annotator.most[task]
    by, embeddings = _by(setting, task), _seen(setting, learner, offered, task)
    candidates = Candidates(
        embeddings=embeddings,
        labelled=_remembered(learner, by),
        scores=_scores(setting, learner, offered, task) if choice.wants_scores else None,
    )
    scenario = setting.config.scenario
    seed = setting.config.seed if scenario.label_seed is None else scenario.label_seed
    draw = generator(seed, "label choice", task, device=embeddings.device)
    places = choice.choose(candidates, most, draw).cpu()
    # The first process has the word, as sums may differ in their last bits between two.
    rows = tell_json(setting.ranks, {"rows": offered[places].tolist()})["rows"]
    annotator.buy(task, rows)
    distance = _distance(embeddings, offered, rows)
    setting.records.metric(step=step, task=task, name="labels/distance", value=distance)
    few = ""
    if len(rows) < most:
        asked = f"{most} that label_ratio={setting.labels} asks for"
        few = f"; {len(rows)} of the {asked}, as no more of its images can have one"
    setting.display.note(f"labels of task {task + 1}: chosen by {by}{few}")
    show_chosen(setting)


def show_chosen(setting: Setting) -> None:
    """Brings the manifest and the frozen list up to what is bought so far."""
    annotator, facts = setting.annotator, setting.facts
    if annotator is None:
        return
    facts["labelled"], facts["label_indices"] = len(annotator.rows), annotator.rows.tolist()
    by = [_by(setting, task) for task in range(len(annotator.bought))]
    facts["chosen"] = {"digest": annotator.digest, "by_task": annotator.bought, "by": by}
    facts |= coarse_facts(setting.stream.experiences)
    for held, experience in zip(facts["tasks"], setting.stream.experiences, strict=True):
        held["labelled"] = len(experience.labelled)
        counts = torch.bincount(experience.labels, minlength=len(facts["class_order"]))
        held["labels"] = counts.tolist()
    setting.records.write_manifest(facts)
    if not setting.config.scenario.validation:  # whose rows are those of the images that are left
        setting.records.write_labels(annotator.rows)


def coarse_facts(experiences: Sequence[Experience]) -> dict[str, Any]:
    """Which images have a coarse label alone, for the manifest; nothing where none has."""
    rows = torch.cat([each.coarse_only for each in experiences]).numpy()
    return {"coarse_indices": rows.tolist(), "coarse_digest": digest(rows)} if len(rows) else {}


def _by(setting: Setting, task: int) -> str:
    """By what the images of a task are compared."""
    if task:
        return BEFORE
    assert isinstance(setting.choice, ByEmbedding)
    if setting.choice.warms_up:
        epochs = setting.choice.warmup
        start = f", after {TRAINED}" if setting.facts.get("pretrained") else ""
        return f"a self-supervised warm-up of {epochs} epochs by {METHOD}{start}"
    return TRAINED if setting.facts.get("pretrained") else PIXELS


def _seen(setting: Setting, learner: Learner, rows: Tensor, task: int) -> Tensor:
    """Embeddings [P, D] of images."""
    images = setting.stream.images
    assert isinstance(setting.choice, ByEmbedding)
    if not task and setting.choice.warms_up:
        learner = warmed_up(setting, setting.choice.warmup)
    elif _by(setting, task) == PIXELS:
        return pixel_directions(plain(images, learner.device).take(rows).to(learner.device))
    return learner.inference.embed(learner.networks.predicting, images, (), rows).features


def _remembered(learner: Learner, by: str) -> Tensor | None:
    """Embeddings of the exemplars, which have their labels already."""
    if by == PIXELS or not len(learner.exemplars):
        return None
    return learner.inference.features(learner.exemplars.store)


def _scores(setting: Setting, learner: Learner, rows: Tensor, task: int) -> Tensor | None:
    if not task:
        return None
    asked = learner.inference
    return asked.scores(asked.look(setting.stream.images, rows))


def _distance(embeddings: Tensor, offered: Tensor, rows: list[int]) -> float | Undefined:
    if not rows:
        return Undefined("no image of the task has a label")
    found = torch.nn.functional.normalize(embeddings.float(), dim=1).cpu().numpy()
    return labelled_distance(found, found[torch.isin(offered, torch.tensor(rows)).numpy()])
