"""A strategy between two experiences, on disk: our own states, of tensors and JSON, no pickle."""

import hashlib
import json
from pathlib import Path
from typing import Any

from contsemi.errors import InputError, article
from contsemi.storage.checkpoint import Checkpoints
from contsemi.strategies.doors import folder_of, stream_of
from contsemi.strategies.strategy import SemiSupervisedStrategy
from contsemi.strategies.streams import task_of


def save(strategy: SemiSupervisedStrategy, folder: str | Path) -> None:
    """Saves what a strategy has learned and remembers, after ``train``.

    Avalanche saves a strategy by pickling the whole object, which does not work with the torch of
    today, and runs code when it is read. What plugins remember is theirs and is not saved.

    Args:
        strategy: that has trained at least one experience.
        folder: of the states, alone; the two newest are kept.

    Raises:
        InputError: nothing was trained yet, or an experience is at hand.
        StorageFailed: the folder cannot be written.
    """
    path = _checked(strategy, folder, "save")
    learned = strategy.learned
    if learned is None or strategy.learner.rows is not None:
        problem = "an experience is in training" if learned else "has not trained any experience"
        raise InputError("save(strategy)", problem, "save after strategy.train(experience)")
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "class_ids": list(learned.class_ids),
        "experience": learned.experience.index,
        "iterations": int(strategy.clock.train_iterations),
    }
    Checkpoints(path, _identity(strategy)).save(strategy.learner.state(), record)


def restore(strategy: SemiSupervisedStrategy, folder: str | Path, benchmark: Any) -> int:
    """Takes a saved state back; training then goes on as if it had not ended.

    Args:
        strategy: new, of the same configuration.
        folder: what :func:`save` was given.
        benchmark: the same as before, made again.

    Returns:
        How many experiences of its train stream are done.

    Raises:
        InputError: the strategy has trained already, there is no state, or the benchmark is not the
            one that was trained.
        StateDamaged: no state can be used, or they are of another configuration.
    """
    path = _checked(strategy, folder, "restore")
    if strategy.learned is not None or strategy.learner.num_seen:
        fix = "restore into a new SemiSupervisedStrategy"
        raise InputError("restore(strategy)", "has been trained already", fix)
    where = f"restore(folder={folder})"
    saved = Checkpoints(path, _identity(strategy)).load()
    if saved is None:
        raise InputError(where, "holds no state", "give the folder that save() was given")
    state, record = saved
    train = stream_of(benchmark, "train_stream", "restore(benchmark)")
    done: int = record["experience"] + 1
    task = task_of(train[done - 1]) if done <= len(train) else None
    if task is None or list(task.class_ids) != record["class_ids"]:
        problem = "its classes are not those that were trained"
        raise InputError("restore(benchmark)", problem, "make the same benchmark, with its seed")
    origin = folder, "restore the folder from a copy"
    strategy.learner.restore(state, task.experience, task.images, None, origin)
    strategy.take(task)
    strategy.clock.train_exp_counter = done
    strategy.clock.train_iterations = record["iterations"]
    return int(done)


def _checked(strategy: Any, folder: Any, name: str) -> Path:
    """The folder of a strategy of ours."""
    if not isinstance(strategy, SemiSupervisedStrategy):
        problem = f"expected a SemiSupervisedStrategy, got {article(type(strategy).__name__)}"
        raise InputError(f"{name}(strategy)", problem, "Avalanche's own cannot be saved safely")
    return folder_of(folder, f"{name}(folder)")


def _identity(strategy: SemiSupervisedStrategy) -> str:
    """Of the configuration that the learner was made of."""
    content = json.dumps(strategy.learner.config.model_dump(), sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()
