"""What a learner says of un-augmented images, in evaluation mode."""

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from contsemi.config import Config
from contsemi.engine.class_moments import present_moments
from contsemi.engine.forward import embed
from contsemi.engine.predictors import predictions
from contsemi.engine.task import TaskRows
from contsemi.errors import InputError
from contsemi.memory.embeddings import Embeddings
from contsemi.memory.exemplars import Exemplars
from contsemi.memory.moments import Moments
from contsemi.models.ema import Ema
from contsemi.models.network import Network
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Outputs
from contsemi.views import Augment

if TYPE_CHECKING:
    from contsemi.engine.learner import Learner

__all__ = ["Predicting"]


class Predicting:
    """The predicting half of a :class:`~contsemi.engine.learner.Learner`, which has the rest."""

    config: Config
    device: torch.device
    precision: torch.dtype
    needs: Needs
    augment: Augment
    objective: Objective
    network: Network
    teacher: Ema | None
    exemplars: Exemplars
    embeddings: Embeddings
    rows: TaskRows | None
    num_seen: int
    moments: Moments | None
    _labelled: tuple[Outputs, Tensor] | None
    _moments: Moments | None

    @property
    def predictor(self) -> Network:
        """The network that predicts: the EMA copy where there is one."""
        return self.network if self.teacher is None else self.teacher.network

    def embed(self, images: Tensor, network: Network) -> Outputs:
        """Outputs of un-augmented images in evaluation mode, without gradient."""
        return embed(
            network,
            images,
            self.needs.heads,
            augment=self.augment,
            chunk=self.config.batch.test,
            device=self.device,
            precision=self.precision,
        )

    def predict(self, images: Tensor) -> Tensor:
        """Scores of un-augmented images over all seen columns.

        Args:
            images: uint8 [N, 3, S, S], on any device.

        Returns:
            float32 [N, num_seen] on the learner's device; running statistics are not touched.
        """
        with torch.no_grad():
            return self.scores(self.embed(images, self.predictor))

    def predictions(self, images: Tensor) -> dict[str, Tensor]:
        """Scores as of :meth:`predict` by every predictor at hand; ``headline`` is that one."""
        with torch.no_grad():
            outputs = self.embed(images, self.predictor)
            others = predictions(
                outputs,
                self.labelled_outputs(),
                self.embeddings,
                num_seen=self.num_seen,
                index=self.config.memory.index,
            )
            if self.config.predict == "moments":
                others = {"objective": self.objective.predict(outputs, self.supports())} | others
            return {"headline": self.scores(outputs), **others}

    def scores(self, outputs: Outputs) -> Tensor:
        """Scores [N, num_seen] of outputs of the network that predicts, as ``predict`` says."""
        if self.config.predict == "objective":
            return self.objective.predict(outputs, self.supports())
        return self.class_moments().scores(outputs.features, shrinkage=self.config.memory.shrinkage)

    def class_moments(self) -> Moments:
        """The moments of all seen classes in the present network's features.

        Raises:
            RuntimeError: no task has begun.
        """
        if self.rows is None and self.moments is not None:
            return self.moments
        if self._moments is None:
            self._moments = present_moments(cast("Learner", self), cast("Learner", self).task)
        return self._moments

    def supports(self) -> tuple[Outputs, Tensor] | None:
        """Outputs and columns of the labelled images at hand, if the objective predicts by them.

        Raises:
            InputError: it does, and there are none.
        """
        if not self.objective.needs.supports_at_test:
            return None
        found = self.labelled_outputs()
        if found is None:
            raise InputError(
                "memory.exemplars",
                f"{self.config.objective['name']} predicts from exemplars and none are kept",
                "set memory.exemplars above 0",
            )
        return found

    def labelled_outputs(self) -> tuple[Outputs, Tensor] | None:
        """Outputs and columns of the labelled images at hand; ``None`` where there is none.

        In a task these are its own and the exemplars, between tasks the exemplars. They are
        embedded once for each state of the network.
        """
        images, labels = self.exemplars.images, self.exemplars.labels
        if self.rows is not None:
            images, labels = self.rows.labelled, self.rows.labels
        if self._labelled is None and len(labels):
            self._labelled = self.embed(images, self.predictor), labels
        return self._labelled

    def forget_labelled_outputs(self) -> None:
        """The network or the labelled images at hand have changed."""
        self._labelled = self._moments = None
