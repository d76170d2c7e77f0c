"""``track=tensorboard`` and ``track=wandb``: the numbers of ``metrics.jsonl`` go there, too."""

import os
from pathlib import Path

from contsemi.config import Config
from contsemi.errors import PackageMissing
from contsemi.records.records import Tracker


def tracker(config: Config, folder: Path) -> Tracker | None:
    """What takes each number of a run besides; ``None`` for nothing.

    Args:
        config: the run; ``track`` says which.
        folder: of the run, where its files lie: ``tensorboard --logdir`` it, or
            ``wandb sync FOLDER/wandb/offline-run-*`` (``WANDB_MODE=online`` sends at once).

    Raises:
        PackageMissing: the package is not installed.
    """
    if config.track == "none":
        return None
    try:
        return _TensorBoard(folder) if config.track == "tensorboard" else _WandB(config, folder)
    except ImportError as missing:
        problem = f"{config.track} is not installed"
        raise PackageMissing("track", problem, "pip install 'contsemi[track]'") from missing


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def metric(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, config: Config, folder: Path) -> None:
        import wandb

        self._run = wandb.init(
            project="contsemi",
            name=folder.name,
            dir=str(folder),
            mode="offline" if "WANDB_MODE" not in os.environ else None,
            config=config.model_dump(),
            reinit="create_new",
            settings=wandb.Settings(silent=True),
        )
        # Evaluations share the step of the loss before them, and wandb's own steps only grow.
        self._run.define_metric("*", step_metric="optimiser step")

    def metric(self, name: str, value: float, step: int) -> None:
        self._run.log({name: value, "optimiser step": step})

    def finish(self) -> None:
        self._run.finish()
