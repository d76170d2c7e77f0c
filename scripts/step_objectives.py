"""What each objective's recipe for CIFAR-100 costs in a step: of the backbone, and of all else."""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from measuring import alternate
from step_recipe import Step
from torch import Tensor

from contsemi.blocks.block import blocks_of
from contsemi.compose import files
from contsemi.data.scenario import Stream
from contsemi.devices.precision import autocast, channels_last
from contsemi.models import build_backbone

IMAGES = 64  # of which the backbone's time for one is taken


class Costs:
    """Rows of a table, one an objective.

    A trivial backbone takes the real one's place, whose own time is that of one image times theirs.

    Args:
        stream: of random images.
        rounds: steps that are timed after a first one.
        clock: how long a work takes.
    """

    HEAD: ClassVar[Sequence[str]] = (
        "objective",
        "images that it learns from",
        "only looked at",
        "backbone, s",
        "else, s",
        "else, % of the step",
        "start of an epoch, s",
    )

    def __init__(
        self, stream: Stream, rounds: int, clock: Callable[[Callable[[], object]], float]
    ) -> None:
        self.stream, self.rounds, self.clock = stream, rounds, clock
        self.known: dict[tuple[str, int], tuple[float, float]] = {}

    def row(self, name: str, words: Sequence[str]) -> Sequence[object] | None:
        """The cells of an objective; ``None`` for one that trains nothing."""
        step = Step(self.stream, 1, 1.0, [*_recipe(name), *words], trivial=True, official=False)
        if not step.learner.needs.trains:
            return None
        first, *later = [
            {part: self.clock(work) for part, work in step.stages()} for _ in range(self.rounds + 1)
        ]
        rest = statistics.median(sum(each.values()) for each in later)
        start = first["forward"] - statistics.median(each["forward"] for each in later)
        learning, looking = _images(step)
        backbone = 0.0
        for side in {*learning, *looking}:
            both, forward = self._each_image(step, side)
            backbone += learning[side] * both + looking[side] * forward
        kept = any(each.refresh_every is not None for each in blocks_of(step.learner.objective))
        return (
            f"`{name}`",
            " + ".join(f"{number} x {side} px" for side, number in sorted(learning.items())),
            sum(looking.values()),
            f"{backbone:.2f}",
            f"{rest:.3f}",
            f"{100 * rest / (rest + backbone):.1f}",
            f"{max(0.0, start):.2f}" if kept else "",
        )

    def _each_image(self, step: Step, side: int) -> tuple[float, float]:
        """Seconds of the real backbone for an image: forward and backward, and forward alone."""
        learner = step.learner
        key = (str(learner.config.model), side)
        if key in self.known:
            return self.known[key]
        backbone = build_backbone(learner.config.model, torch.Generator()).to(learner.device)
        channels_last(backbone)
        images = torch.randn(IMAGES, 3, side, side, device=learner.device)
        images = images.contiguous(memory_format=torch.channels_last)

        def forward() -> Tensor:
            with autocast(learner.device, learner.precision):
                return backbone(images)

        def both() -> None:
            forward().float().square().mean().backward()

        def alone() -> None:
            with torch.no_grad():
                forward()

        times = alternate([both, alone], self.rounds, self.clock)
        one, other = (statistics.median(each) / IMAGES for each in times)
        return self.known.setdefault(key, (one, other))


def _recipe(name: str) -> list[str]:
    """The words of a run: the objective's own recipe, or the usual network and batch."""
    own = f"{name}_cifar100"
    if own in files.names("experiment"):
        return [f"experiment={own}"]
    usual = ["model=resnet18", "optim=cifar", "views=cifar", "batch.unlabelled=256"]
    return ["scenario=cifar100_10tasks", f"objective={name}", "distiller=none", *usual]


def _images(step: Step) -> tuple[Counter[int], Counter[int]]:
    """Images by side that go forward and backward, and those that go forward alone."""
    learning: Counter[int] = Counter()
    looking: Counter[int] = Counter()
    for name, images in step.viewed.images.items():
        view, side = step.learner.needs.views[name], images.shape[-1]
        if "student" in view.seen_by:
            (learning if view.gradient else looking)[side] += len(images)
        looking[side] += len(images) * ("teacher" in view.seen_by)
    return learning, looking
