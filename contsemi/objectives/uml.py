"""UML: few-shot tasks made of unlabelled images teach an embedding that needs few examples.

Source: Ye, Han and Zhan 2022, "Revisiting unsupervised meta-learning via the characteristics of
few-shot tasks". Each image is a class, its views are its examples. Many tasks are made of one
batch's embeddings (SES); prototypes are unit, queries are not (SNS); hard negatives are mixed of
similar images (HMS), or an attention layer over each task is learned beside (TSP). The classifier
on the labels is not in the paper; it reads the features and leaves them alone unless told.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.blocks.labelled import labels_term
from contsemi.errors import InputError
from contsemi.losses.few_shot import (
    draw_tasks,
    hard_indices,
    mixed_negatives,
    task_logits,
)
from contsemi.models.heads import classifier
from contsemi.models.task_attention import TaskAttention
from contsemi.objectives.objective import Objective
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Uml(Objective):
    """Tasks of images; ``large_views`` are an image's examples, supports and queries together."""

    idle: ClassVar = {
        **{
            key: {"attention_heads": [0], "large_views": [0]}
            for key in ("attention_width", "dropout", "attention_dropout")
        },
        **{
            key: {"hard_negatives": [0], "large_views": [0]}
            for key in ("strength", "released_negatives")
        },
        **{
            key: {"large_views": [0]}
            for key in (
                *("weights.tasks", "ways", "shots", "tasks", "similarity", "temperature"),
                *("hard_negatives", "attention_heads", "embedding"),
            )
        },
    }
    reads_small: ClassVar[bool] = False

    ways: int  # images of a task
    shots: int  # of their views that support; the others ask
    tasks: int  # of each step
    similarity: str  # sns, dot, cosine or euclidean
    temperature: float  # divides the similarities
    hard_negatives: int  # mixed ones of each query; 0 for none
    strength: float  # greatest share of the query's own embedding in them
    attention_heads: int  # of the attention over each task; 0 for none
    attention_width: int  # of the embeddings, for that
    dropout: float  # of what the attention gives
    attention_dropout: float  # of its weights
    embedding: str  # features, or projector
    smoothing: float  # of the labels
    detach: bool  # whether the classifier leaves the features alone
    released_negatives: bool = False  # as released: the temperature does not divide hard negatives

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.large_views <= self.shots:
            raise InputError(
                "objective.large_views",
                f"expected more than the {self.shots} views that support, got {self.large_views}",
                "raise it, or lower objective.shots",
            )
        if self.attention_heads and self.hard_negatives:
            raise InputError(
                "objective.attention_heads",
                "hard negatives are of the embedding before the attention, and cannot be compared",
                "use objective.hard_negatives=0, or no attention",
            )
        self.attention = None
        if self.attention_heads:
            self.attention = TaskAttention(
                self.attention_width,
                heads=self.attention_heads,
                dropout=self.dropout,
                attention_dropout=self.attention_dropout,
            )
        heads = ("projector",) if self.embedding == "projector" else ()
        self.needs = self.asks(*heads, classifier(detached=self.detach))

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``tasks`` and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        if (seen := step.student("large")) is not None:
            rows = seen.features if self.embedding == "features" else seen["projector"]
            terms["tasks"] = self._tasks(step, rows)
        return terms

    def _tasks(self, step: Step, rows: Tensor) -> Tensor:
        support, query = draw_tasks(
            step.batch_size,
            self.large_views,
            ways=self.ways,
            shots=self.shots,
            tasks=self.tasks,
            generator=step.draw("tasks"),
        )
        negatives = None
        if self.hard_negatives:
            hard = hard_indices(rows, step.batch_size, self.hard_negatives, self.similarity)
            draw = step.draw("shares")
            share = torch.rand(hard.shape, generator=draw, device=draw.device)
            negatives = mixed_negatives(rows, hard, self.strength * share.to(rows.dtype))
        elif self.attention is not None:
            rows, support, query = self._adapted(self.attention, rows, support, query)
        logits, right = task_logits(
            rows,
            support,
            query,
            similarity=self.similarity,
            temperature=self.temperature,
            negatives=negatives,
            scaled_negatives=not self.released_negatives,
        )
        return functional.cross_entropy(logits, right)

    def _adapted(
        self, attention: TaskAttention, rows: Tensor, support: Tensor, query: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows [T, n, D] of each task as the attention leaves them, and their places there."""
        if rows.shape[1] != self.attention_width:
            raise InputError(
                "objective.attention_width",
                f"the embeddings are {rows.shape[1]} wide, not {self.attention_width}",
                f"use {rows.shape[1]}",
            )
        both = torch.cat([support, query], dim=1)
        places = torch.arange(both[0].numel(), device=rows.device).view(both.shape[1:])
        places = places.expand(len(both), -1, -1)
        adapted = attention(rows[both.flatten(1)])
        return adapted, places[:, : self.shots], places[:, self.shots :]
