"""What a run says of un-augmented images, in evaluation mode."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.config import Config
from contsemi.errors import InputError
from contsemi.learner.forward import Embedder
from contsemi.learner.material import material
from contsemi.learner.networks import Networks
from contsemi.learner.pool import TaskPool
from contsemi.learner.predictors import predictions
from contsemi.learner.task import TaskRows
from contsemi.memory.anchors import Anchors
from contsemi.memory.embeddings import Embeddings
from contsemi.memory.exemplars import Exemplars
from contsemi.models.heads import Prototypes
from contsemi.objectives.objective import Objective
from contsemi.predictors.predictor import Material, Predictor
from contsemi.stores.resident import Resident
from contsemi.stores.store import Images
from contsemi.types import Outputs
from contsemi.types.returned import tensor_of


@dataclass(eq=False)
class Inference:
    """Scores of images by the network that predicts, the labelled images at hand and the memory.

    Attributes:
        config: the run.
        decides: from outputs to the scores that count.
        objective: what is learned.
        heads: of the network, that the method needs.
        networks: of the run.
        embed: runs them.
        exemplars, embeddings, anchors: what is remembered of earlier tasks.
        draw: gives a generator for a purpose.
        task: the rows at hand; ``None`` between tasks.
    """

    config: Config
    decides: Predictor
    objective: Objective
    heads: tuple[str, ...]
    networks: Networks
    embed: Embedder
    exemplars: Exemplars
    embeddings: Embeddings
    anchors: Anchors
    draw: Callable[[str], torch.Generator]
    task: TaskRows | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.forget()

    def enter(self, task: TaskRows | None) -> None:
        """A task begins, or with ``None`` it is over."""
        self.task = task
        self.forget()

    def forget(self) -> None:
        """The networks or the images at hand have changed."""
        self._labelled: tuple[Outputs, Tensor] | None = None
        self._pool: TaskPool | None = None
        self.decides.changed()

    @property
    def num_seen(self) -> int:
        """Classes seen so far."""
        return self.networks.student.num_classes

    @property
    def between_tasks(self) -> bool:
        """Whether no task is at hand."""
        return self.task is None

    @property
    def pool(self) -> TaskPool:
        """The images of the present task, as the networks see them now.

        Raises:
            RuntimeError: no task has begun.
        """
        if self.task is None:
            raise RuntimeError("there is no pool between tasks")
        if self._pool is None:
            self._pool = TaskPool(
                self.task,
                self.networks,
                self.embed,
                self.heads,
                draw=self.draw,
                kept=[self.exemplars.store, Resident(self.anchors.images)],
                index=self.config.memory.index,
            )
        return self._pool

    def predict(self, images: Images) -> Tensor:
        """Scores of un-augmented images over all seen columns.

        Args:
            images: uint8 [N, 3, S, S], on any device, or a store.

        Returns:
            float32 [N, num_seen] on the learner's device; running statistics are not touched.
        """
        with torch.no_grad():
            return self.scores(self.look(images))

    def look(self, images: Images, ids: Tensor | None = None) -> Outputs:
        """Outputs of un-augmented images, or of those with the ids, by the predicting network."""
        return self.embed(self.networks.predicting, images, self.heads, ids)

    def features(self, images: Images, ids: Tensor | None = None) -> Tensor:
        """Features [N, F] of un-augmented images, or of those with the ids; also between tasks."""
        return self.embed(self.networks.predicting, images, (), ids).features

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
            knows, teaches = self.objective.decides, self.objective.teaches
            for head in ("classifier", "prototypes"):
                if not (knows and teaches(head)):  # as it was drawn, or of no class
                    others.pop(head, None)
            if knows and not self.decides.is_objective:
                others = {"objective": self.objective_scores(outputs)} | others
            return {"headline": self.scores(outputs), **others}

    def scores(self, outputs: Outputs) -> Tensor:
        """Scores [N, num_seen] of outputs of the network that predicts, as ``predict`` says."""
        shape = len(outputs.features), self.num_seen
        scores = tensor_of(self.decides.scores, self.decides.scores(outputs, self), *shape)
        # As long as no class has had a label, statistics know none of them, and all are alike.
        nothing = (scores == -torch.inf).all(1, keepdim=True)
        return scores.masked_fill(nothing, 0.0)

    def objective_scores(self, outputs: Outputs) -> Tensor:
        """The objective's own scores [N, num_seen], whatever decides."""
        supports = self.supports()
        if supports is None and self.objective.needs.supports_at_test:
            return outputs.features.new_zeros(len(outputs.features), self.num_seen)
        scores = self.objective.predict(outputs, supports)
        return tensor_of(self.objective.predict, scores, len(outputs.features), self.num_seen)

    def material(self) -> Material:
        """The images of the task at hand, as the network that predicts sees them.

        Raises:
            RuntimeError: no task has begun.
        """
        return material(
            self.pool,
            self.objective_scores if self.objective.decides else None,
            classes=self.num_seen,
            moved=self.decides.needs_past,
        )

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
            directions = cast(Prototypes, self.networks.predicting.prototypes).rows().detach()
            return (
                functional.normalize(outputs["projector"], dim=1),
                functional.normalize(directions, dim=1),
            )
        means = outputs.features.new_full((self.num_seen, outputs.features.shape[1]), torch.nan)
        if (labelled := self.labelled_outputs()) is not None:
            for column in set(labelled[1].tolist()):
                means[column] = labelled[0].features[labelled[1] == column].mean(0)
        return outputs.features, means

    @torch.no_grad()
    def probs(self, outputs: Outputs) -> Tensor:
        """Probabilities [N, num_seen] by the objective."""
        return self.objective_scores(outputs).softmax(1)

    def supports(self) -> tuple[Outputs, Tensor] | None:
        """Outputs and columns of the labelled images at hand, if the objective predicts by them.

        ``None`` also where no label has been seen yet: all classes are the same to it then.

        Raises:
            InputError: it does, and none were kept.
        """
        if not self.objective.needs.supports_at_test:
            return None
        found = self.labelled_outputs()
        if found is None and not self.exemplars.budget:
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
        at_hand = self.exemplars if self.task is None else self.task
        if self._labelled is None and len(at_hand.labels):
            images = self.exemplars.store if self.task is None else self.task.labelled
            self._labelled = self.look(images), at_hand.labels
        return self._labelled
