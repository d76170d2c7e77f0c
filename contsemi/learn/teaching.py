"""A model is taught photos of the next classes: a task at a time, months apart if need be."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contsemi import compose
from contsemi.config import Config
from contsemi.data.sources.listing import shown
from contsemi.devices.precision import choose_device
from contsemi.errors import InputError, StorageFailed
from contsemi.labels import LabelBudget
from contsemi.learn.apart import Past
from contsemi.learn.lesson import HELD, Lesson, opened
from contsemi.learn.lock import locked
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.learner.parts import origin_of
from contsemi.living.card import card
from contsemi.living.label_list import list_of, refuse_unnamed
from contsemi.living.model import restored
from contsemi.living.photos import refuse_no_folder
from contsemi.living.saved import CARD, Saved, generations, read, taught
from contsemi.pipeline.asked import refuse_without_room
from contsemi.pipeline.work import fix_threads
from contsemi.storage.atomic import write_atomically
from contsemi.storage.host import refuse_too_much

# Words that a lesson may have of its own; the others belong to the model.
_OF_A_LESSON = ("label_ratio", "data.cache", "data.workers", "threads", "device")
# What a model is made of: sections, and keys of others. The rest is read by runs alone.
_OF_A_MODEL = (
    *("data", "device", "init", "label_ratio", "method", "model", "objective", "precision"),
    *("predict", "seed", "threads", "views", "batch.test", "scenario.label_seed"),
)


@dataclass(frozen=True, slots=True)
class Taught:
    """What a lesson has come to.

    Attributes:
        history: of all lessons, the newest last.
        remarks: what the owner of the photos should know.
    """

    history: list[dict[str, Any]]
    remarks: tuple[str, ...]


def teach(folder: Path, photos: Path, words: Sequence[str], *, labels: Path | None) -> Taught:
    """Adds a task to a model, or makes one with its first task.

    Nothing of the model changes before the last instant: a crash leaves it as it was.

    Args:
        folder: of the model.
        photos: see :func:`~contsemi.learn.lesson.opened`.
        words: ``key=value``; after the first lesson only ``label_ratio`` and what has no effect
            on numbers.
        labels: list of labels; ``None`` for a folder a class.

    Raises:
        ContsemiError: see :mod:`contsemi.errors`.
    """
    if folder.resolve().is_relative_to(photos.resolve()):
        problem = f"lies in {shown(photos)}, where it would be taken for a class"
        raise InputError(shown(folder), problem, "name a folder elsewhere")
    refuse_no_folder(photos)
    labels = list_of(photos, labels)
    refuse_unnamed(photos, labels)
    if labels is not None and any(word.startswith("label_ratio=") for word in words):
        problem = f"has no effect: {shown(labels)} says which photos have a label"
        raise InputError("label_ratio", problem, "leave it out, or move that file away")
    with locked(folder):
        before = taught(folder)
        config, given = _config(before, photos, words)
        fix_threads(config, choose_device(config.device))
        room = _Room(config, given if before is None else None)
        room(1, 0)
        known = () if before is None else before.classes
        history = [] if before is None else list(before.record["history"])
        if before is None:
            learner = Learner(config)
        else:
            learner = restored(replace(before, config=config), keeps=True)
        _refuse_trained(learner, config)
        past = Past.of({} if before is None else before.state)
        number = len(history)
        lesson = opened(photos, config, known, past, index=number, labels=labels, room=room)
        origin = before.record["origin"] if before else origin_of(config, learner.network)
        fit(learner, lesson.experience, lesson.images)
        held = _held(before, lesson, len(history))
        history.append(_entry(learner, lesson, held, len(history)))
        record = {
            "config": config.model_dump(),
            "classes": list(lesson.classes),
            "side": int(lesson.images.shape[-1]),
            "origin": origin,
            "history": history,
        }
        saved = generations(folder)
        learned = past.with_learned(lesson.images).learned
        saved.save({**learner.state(), "held": held, "learned": learned}, record)
        return Taught(history, lesson.remarks + _card_written(folder))


def undo(folder: Path) -> Taught:
    """Takes the last lesson back.

    Returns:
        The lessons that are left.

    Raises:
        InputError: there is none to take back.
    """
    if not (folder / "generations").is_dir():
        raise InputError(shown(folder), "is no model", "name one of python -m contsemi.learn")
    with locked(folder):
        if generations(folder).load() is None:
            raise InputError(shown(folder), "has no lesson left", "teach it one")
        if not generations(folder).drop():
            with suppress(OSError):
                (folder / CARD).unlink()
            return Taught([], ())
        return Taught(read(folder).record["history"], _card_written(folder))


@dataclass(frozen=True, slots=True)
class _Room:
    """Refuses a lesson that the machine has no memory for, before anything of it is made.

    Attributes:
        config: of the model.
        given: as :func:`refuse_without_room` has it; ``None`` where the model was made before.
    """

    config: Config
    given: Mapping[str, Any] | None

    def __call__(self, photos: int, kept: int) -> None:
        """So many photos, and so many of which the pixels are kept: at hand, and once to save."""
        side = self.config.data.size or 0
        fix = "lower it, or teach it on a larger machine"
        if self.given is None:
            fix = "teach it on a larger machine, or make a new model with a lower one"
        if choose_device(self.config.device).type == "cpu":
            refuse_without_room(self.config, self.given or {}, photos, what="the lesson", fix=fix)
        what = f"pixels of {kept} photos with a label or for a test"
        refuse_too_much(2 * kept * 3 * side**2, f"data.size={side}", what, fix)


def _config(
    before: Saved | None, photos: Path, words: Sequence[str]
) -> tuple[Config, Mapping[str, Any]]:
    """The model's configuration for this lesson, and what was given for it."""
    keys = [word.partition("=")[0] for word in words]
    settled = [key for key in keys if before is not None and key not in _OF_A_LESSON]
    if settled:
        fix = f"leave it out; a lesson takes {', '.join(_OF_A_LESSON)}"
        raise InputError(settled[0], "was settled when the model was made", fix)
    known = {*Config.model_fields, "experiment"}
    heads = {key: key.partition(".")[0] for key in keys}
    if idle := [k for k, head in heads.items() if head in known and not {k, head} & {*_OF_A_MODEL}]:
        fix = f"leave it out; a model takes {', '.join(_OF_A_MODEL)}"
        raise InputError(idle[0], "has no effect on a lesson", fix)
    run = compose.one(["experiment=photos", f"data.root={photos}", *words])
    if run.config.baseline["name"] != "none":
        problem = f"{run.config.method} is a strategy of Avalanche, which makes no such model"
        raise InputError("method", problem, "leave it out, or use python -m contsemi.run")
    if LabelBudget.parse(run.config.label_ratio).per_task:
        problem = f"is a list, {run.config.label_ratio}, and a lesson is one task"
        raise InputError("label_ratio", problem, "give one value, as 4/class")
    if before is None:
        return run.config, run.given
    plain, new = before.config.model_dump(), run.config.model_dump()
    for key in ("data.root", *keys):
        section, _, name = key.rpartition(".")
        if section:
            plain[section][name] = new[section][name]
        else:
            plain[name] = new[name]
    return Config.model_validate(plain), {}


def _refuse_trained(learner: Learner, config: Config) -> None:
    """A network that goes on learning needs a stream of batches, which is what ``run`` is for."""
    if learner.needs.trains:
        problem = "trains its network, and this command teaches models on frozen features"
        raise InputError("method", f"{config.method} {problem}", "use python -m contsemi.run")


def _held(before: Saved | None, lesson: Lesson, index: int) -> dict[str, Tensor]:
    """Test photos of all classes so far, at most so many of each."""
    images, columns = lesson.test
    kept = [(columns == column).nonzero()[:HELD, 0] for column in torch.unique(columns).tolist()]
    rows = torch.cat(kept) if kept else torch.empty(0, dtype=torch.int64)
    new = {"images": images[rows], "columns": columns[rows], "task": torch.full_like(rows, index)}
    old = {} if before is None else before.state.get("held", {})
    return {name: torch.cat([old[name], each]) if old else each for name, each in new.items()}


def _entry(learner: Learner, lesson: Lesson, held: dict[str, Tensor], index: int) -> dict[str, Any]:
    """What a lesson was, and how well each lesson's test photos are known after it."""
    accuracy: list[float | None] = []
    found = learner.predict(held["images"]).argmax(1).cpu() if len(held["images"]) else None
    for task in range(index + 1):
        own = held["task"] == task
        right = None
        if found is not None and own.any():
            right = float((found[own] == held["columns"][own]).double().mean())
        accuracy.append(right)
    return {
        "classes": list(lesson.own),
        "photos": len(lesson.images),
        "labelled": len(lesson.experience.labels),
        "held": int((held["task"] == index).sum()),
        "digest": lesson.digest,
        "accuracy": accuracy,
    }


def _card_written(folder: Path) -> tuple[str, ...]:
    """What to say of the card; the model stands already, so that nobody is to repeat the lesson."""
    try:
        write_atomically(folder / CARD, card(read(folder)).encode())
    except StorageFailed as error:
        return (f"the model is saved, and only its card is not: {error}",)
    return ()
