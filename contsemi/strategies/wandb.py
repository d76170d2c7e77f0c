"""Avalanche's metrics into Weights & Biases, offline unless asked otherwise.

Avalanche 0.6's own ``WandBLogger`` asks wandb for ``util.generate_id`` and ``viz``, which versions
of today do not have.
"""

from pathlib import Path
from typing import Any, Literal, get_args

from avalanche.evaluation.metric_results import AlternativeValues, TensorImage
from avalanche.logging import BaseLogger

from contsemi.errors import InputError, PackageMissing

Mode = Literal["offline", "online", "disabled"]


class WandB(BaseLogger):  # type: ignore[misc]
    """A logger for the ``EvaluationPlugin`` of any Avalanche strategy.

    Numbers become curves over Avalanche's training iterations; figures and images become images;
    what wandb cannot show is left out, as Avalanche's loggers do. Needs ``contsemi[track]``.

    Args:
        project: of the run, in wandb.
        folder: where the run is written; ``wandb sync FOLDER/wandb/offline-run-*`` uploads it.
        name: of the run; wandb makes one up where it is not given.
        mode: ``offline``, ``online`` (needs a login) or ``disabled``.
        config: settings to show beside the run, by name.

    Raises:
        InputError: wandb is missing, or ``mode`` is none of the three.
    """

    def __init__(
        self,
        project: str = "contsemi",
        *,
        folder: str | Path = ".",
        name: str | None = None,
        mode: Mode = "offline",
        config: dict[str, Any] | None = None,
    ) -> None:
        if mode not in get_args(Mode):
            allowed = " or ".join(get_args(Mode))
            raise InputError("WandB(mode)", f"{mode!r} is unknown", f"use {allowed}")
        try:
            import wandb
        except ImportError as missing:
            raise PackageMissing(
                "WandB", "wandb is not installed", "pip install 'contsemi[track]'"
            ) from missing
        super().__init__()
        self._image = wandb.Image
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            project=project,
            name=name,
            dir=str(folder),
            mode=mode,
            config=config,
            reinit="create_new",
        )

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        """Takes one value of a metric.

        Args:
            name: of the curve.
            value: a number, a matplotlib figure, a PIL image or one of Avalanche's tensors.
            x_plot: training iterations so far.
        """
        shown = self._shown(value)
        if shown is not None:
            self.run.log({name: shown}, step=x_plot)

    def _shown(self, value: Any) -> Any:
        from matplotlib.figure import Figure
        from PIL.Image import Image

        if isinstance(value, AlternativeValues):
            value = value.best_supported_value(float, int, Figure, Image, TensorImage)
        if isinstance(value, TensorImage):
            return self._image(value.image)
        if isinstance(value, Figure | Image):
            return self._image(value)
        return value if isinstance(value, float | int) else None

    def finish(self) -> None:
        """Ends the run; the end of the process does so, too."""
        self.run.finish()
