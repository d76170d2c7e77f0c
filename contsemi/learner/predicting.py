"""What a learner says of un-augmented images, in evaluation mode."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.config import Config
from contsemi.devices.ranks import Ranks
from contsemi.errors import InputError
from contsemi.learner.forward import embed
from contsemi.learner.material import material
from contsemi.learner.predictors import predictions
from contsemi.learner.task import TaskRows
from contsemi.memory.embeddings import Embeddings
from contsemi.memory.exemplars import Exemplars
from contsemi.models.ema import Ema
from contsemi.models.heads import Prototypes
from contsemi.models.network import Network
from contsemi.objectives.objective import Objective
from contsemi.predictors.predictor import Material, Predictor
from contsemi.types import Needs, Outputs
from contsemi.views import Augment

if TYPE_CHECKING:
    from contsemi.learner.learner import Learner

__all__ = ["Predicting"]


class Predicting:
    """The predicting half of a :class:`~contsemi.learner.learner.Learner`, which has the rest."""

    config: Config
    device: torch.device
    precision: torch.dtype
    ranks: Ranks
    needs: Needs
    augment: Augment
    objective: Objective
    network: Network
    teacher: Ema | None
    exemplars: Exemplars
    embeddings: Embeddings
    rows: TaskRows | None
    num_seen: int
    decides: Predictor
    _labelled: tuple[Outputs, Tensor] | None

    @property
    def predictor(self) -> Network:
        """The network that predicts: the EMA copy where there is one."""
        return self.network if self.teacher is None else self.teacher.network

    def embed(
        self, images: Tensor, network: Network, heads: Sequence[str] | None = None
    ) -> Outputs:
        """Outputs of un-augmented images in evaluation mode, without gradient."""
        return embed(
            network,
            images,
            self.needs.heads if heads is None else heads,
            augment=self.augment,
            chunk=self.config.batch.test,
            device=self.device,
            precision=self.precision,
            ranks=self.ranks,
        )

    def predict(self, images: Tensor) -> Tensor:
        """Scores of un-augmented images over all seen columns.

        Args:
            images: uint8 [N, 3, S, S], on any device.

        Returns:
            float32 [N, num_seen] on the learner's device; running statistics are not touched.
        """
        with torch.no_grad():
            return self.scores(self.look(images))

    def look(self, images: Tensor) -> Outputs:
        """Outputs of un-augmented images by the network that predicts, without gradient."""
        return self.embed(images, self.predictor)

    def features(self, images: Tensor) -> Tensor:
        """Features [N, F] of un-augmented images; no task need have begun."""
        return self.embed(images, self.predictor, heads=()).features

    def predictions(self, outputs: Outputs) -> dict[str, Tensor]:
        """Scores of the outputs of :meth:`look` by every predictor; ``headline`` is our own."""
        with torch.no_grad():
            others = predictions(
                outputs,
                self.labelled_outputs(),
                self.embeddings,
                num_seen=self.num_seen,
                index=self.config.memory.index,
            )
            if not self.decides.is_objective:
                others = {"objective": self.objective_scores(outputs)} | others
            return {"headline": self.scores(outputs), **others}

    def scores(self, outputs: Outputs) -> Tensor:
        """Scores [N, num_seen] of outputs of the network that predicts, as ``predict`` says."""
        return self.decides.scores(outputs, self)

    def objective_scores(self, outputs: Outputs) -> Tensor:
        """The objective's own scores [N, num_seen], whatever decides."""
        return self.objective.predict(outputs, self.supports())

    @property
    def between_tasks(self) -> bool:
        """Whether no task is at hand."""
        return self.rows is None

    def material(self) -> Material:
        """The images of the task at hand, as the network that predicts sees them.

        Raises:
            RuntimeError: no task has begun.
        """
        return material(cast("Learner", self), cast("Learner", self).task)

    def space(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """The space in which the headline decides: images in it, and what stands for each class.

        That is the predictor's own, else the embeddings and the prototypes where there are such,
        else the features and the means of the labelled images at hand.

        Args:
            outputs: of :meth:`look`, N images.

        Returns:
            [N, D] and [num_seen, D]; NaN for a class that nothing stands for.
        """
        if (own := self.decides.space(outputs, self)) is not None:
            return own
        if "prototypes" in outputs.heads and "projector" in outputs.heads:
            directions = cast(Prototypes, self.predictor.prototypes).rows().detach()
            return (
                functional.normalize(outputs["projector"], dim=1),
                functional.normalize(directions, dim=1),
            )
        means = outputs.features.new_full((self.num_seen, outputs.features.shape[1]), torch.nan)
        if (labelled := self.labelled_outputs()) is not None:
            for column in set(labelled[1].tolist()):
                means[column] = labelled[0].features[labelled[1] == column].mean(0)
        return outputs.features, means

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
        labels = self.exemplars.labels if self.rows is None else self.rows.labels
        if self._labelled is None and len(labels):
            images = self.exemplars.images if self.rows is None else self.rows.labelled
            self._labelled = self.embed(images, self.predictor), labels
        return self._labelled

    def forget_labelled_outputs(self) -> None:
        """The network or the labelled images at hand have changed."""
        self._labelled = None
        self.decides.changed()
