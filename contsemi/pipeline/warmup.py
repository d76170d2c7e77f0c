"""A network that has seen a task's images and no label, for choosing which of them get one."""

from collections.abc import Callable
from typing import Any

from contsemi.config import Config
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, Loop, fit
from contsemi.pipeline.setting import Setting

METHOD = "byol"  # asks for no negatives and no labels, so that small pools and batches do
# What is learned, and nothing kept or predicted by.
PARTS: dict[str, dict[str, Any]] = {
    "objective": {
        "name": METHOD,
        "weights": {"regression": 1.0, "labels": 0.0},
        "teacher": [0.9, 1.0],
        "smoothing": 0.0,
        "large_views": 2,
        "small_views": 0,
        "labelled_views": 0,
        "supports_per_class": 0,
    },
    "distiller": {"name": "none"},
    "predict": {"name": "objective"},
}


def warmed_up(setting: Setting, epochs: int) -> Learner:
    """Trains a network of the run's own kind on the first task's images, and gives it away after.

    It starts from what the run starts from, and the run itself goes on as if it had never been.

    Args:
        setting: the run, none of whose labels are bought yet.
        epochs: passes over the images of the first task.

    Raises:
        Interrupted: a signal came; nothing of the warm-up is kept.
    """
    learner = Learner(_configuration(setting.config, epochs), setting.ranks, reads_again=True)
    experience = setting.stream.experiences[0]
    assert not len(experience.labelled)

    def tell(epoch: int) -> None:
        setting.display.note(f"warm-up for the choice of labels: epoch {epoch + 1} of {epochs}")

    with setting.signals.patient():
        fit(learner, experience, setting.stream.images, _Watched(setting, tell))
    setting.signals.stop_if_asked()
    return learner


def _configuration(config: Config, epochs: int) -> Config:
    """The run's own, but for what is learned: nothing is kept, and nothing is told."""
    update = PARTS | {
        "optim": config.optim.model_copy(update={"epochs": epochs, "freeze_directions": 0}),
        "memory": config.memory.model_copy(update={"exemplars": 0, "embeddings": 0}),
    }
    return config.model_copy(update=update)


class _Watched(Hooks):
    """Ends the warm-up at a signal, and says where it is."""

    def __init__(self, setting: Setting, tell: Callable[[int], None]) -> None:
        self._setting, self._tell = setting, tell

    def before_training_epoch(self, loop: Loop) -> None:
        self._tell(loop.epoch)

    def after_training_iteration(self, loop: Loop) -> None:
        self._setting.signals.stop_if_asked()
