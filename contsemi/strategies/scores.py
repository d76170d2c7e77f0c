"""What Avalanche takes for the model: images in, scores by class id out."""

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn

from contsemi.devices.precision import autocast
from contsemi.learner.learner import Learner
from contsemi.strategies.rows import as_uint8

# Score of a class that was never seen: below every real one, and finite in 16 bits.
UNSEEN = -1e4


class ScoresById(nn.Module):
    """A learner as a module whose output column is the class id of the dataset.

    Inside, classes are columns in order of arrival; Avalanche, its metrics and its plugins count
    by class id. Plugins that weigh parameters (EWC, SI, MAS) find those of the learner here.

    Args:
        learner: the learner.

    Attributes:
        class_ids: int64 [num_seen], the class id of each column.
        width: columns of the output; grows to hold every class id that shows up.
    """

    class_ids: Tensor

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.learner = learner
        self.network = learner.network
        self.objective = learner.objective
        self.distiller = learner.distiller
        self.width = 1
        empty = torch.empty(0, dtype=torch.int64, device=learner.device)
        self.register_buffer("class_ids", empty, persistent=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """What plugins keep as the model of the past: it predicts as this one does now.

        Images are shared, as is whatever only training needs.
        """
        learner = self.learner
        shared: list[Any] = [learner.optimizer, learner.stores, learner.labelled_source]
        shared += [learner.exemplars.source, learner.rows and learner.rows.images]
        memo.update({id(each): each for each in shared if each is not None})
        memo[id(self)] = made = type(self).__new__(type(self))
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    def know(self, class_ids: tuple[int, ...], width: int) -> None:
        """Takes the class ids of all columns, and a least width."""
        self.class_ids = torch.tensor(class_ids, device=self.class_ids.device, dtype=torch.int64)
        self.width = max(self.width, width, 1 + max(class_ids, default=0))

    def by_id(self, scores: Tensor) -> Tensor:
        """Moves columns to their class ids.

        Args:
            scores: [N, num_seen].

        Returns:
            [N, width]; ``UNSEEN`` for classes never seen. Gradients pass.
        """
        out = scores.new_full((len(scores), self.width), UNSEEN)
        return out.index_copy(1, self.class_ids[: scores.shape[1]], scores)

    def column_of(self) -> Tensor:
        """int64 [width]: the column of each class id, -1 for those never seen."""
        columns = self.class_ids.new_full((self.width,), -1)
        columns[self.class_ids] = torch.arange(len(self.class_ids), device=columns.device)
        return columns

    def forward(self, images: Tensor) -> Tensor:
        """Scores of un-augmented images.

        Without gradients it is the learner's prediction (by the EMA network where there is one);
        with gradients the network in training is asked, so that they reach its parameters.

        Args:
            images: [N, 1 or 3, H, W], uint8 or floating in [0, 1].

        Returns:
            [N, width].
        """
        pixels = as_uint8(images)
        if not len(self.class_ids):
            return torch.full((len(images), self.width), UNSEEN, device=self.learner.device)
        if not torch.is_grad_enabled():
            return self.by_id(self.learner.predict(pixels))
        learner = self.learner
        views = learner.augment.test(pixels.to(learner.device))
        with autocast(learner.device, learner.precision):
            outputs = self.network(views, self.objective.needs.heads).float()
        return self.by_id(learner.inference.scores(outputs))
