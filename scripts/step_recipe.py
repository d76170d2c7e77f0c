"""Steps of recipes for CIFAR-100 on images of random bytes: NNCSL's, with its switches, or any."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from contsemi import compose
from contsemi.data.imageset import ImageSet
from contsemi.data.scenario import Stream, build
from contsemi.devices.precision import autocast
from contsemi.labels import LabelBudget
from contsemi.learner.learner import Learner
from contsemi.learner.viewing import make_views
from contsemi.models.network import Network

UNLABELLED, SUPPORTS, CLASSES = 256, 3, 100


def sizes(share: float) -> tuple[int, int]:
    """Unlabelled images, and supports of a class, of a part of the official batch."""
    return max(2, round(share * UNLABELLED)), max(1, round(share * SUPPORTS))


def random_stream(images: int, side: int = 32) -> Stream:
    """A hundred classes of random images in ten tasks, four labels a class.

    Args:
        images: of each class.
        side: of an image, in pixels.
    """
    draw = torch.Generator().manual_seed(0)
    config = compose.load(["scenario=cifar100_10tasks"])
    classes = tuple(f"class {number}" for number in range(CLASSES))
    parts = []
    for number in (CLASSES * images, CLASSES):
        pixels = torch.randint(0, 256, (number, 3, side, side), generator=draw, dtype=torch.uint8)
        targets = torch.arange(number) % CLASSES
        parts.append(ImageSet(pixels, targets, None, classes, None, name="random", digest="random"))
    return build(config.scenario, LabelBudget.parse("4/class"), *parts, 0)


class Step:
    """The recipe in one of its tasks, and the works that are timed.

    Args:
        task: from 1; the earlier ones begin and end without a step.
        share: of the official batch.
        words: overrides of the run.
        trivial: whether the backbone is replaced.
        official: whether it is NNCSL's recipe, of which ``share`` is a part; else the words alone
            say what is run.
    """

    def __init__(
        self,
        stream: Stream,
        task: int,
        share: float,
        words: Sequence[str],
        *,
        trivial: bool = False,
        official: bool = True,
    ) -> None:
        self.unlabelled, self.supports = sizes(share)
        ours = [
            "experiment=nncsl_cifar100_official",
            f"batch.unlabelled={self.unlabelled}",
            f"objective.supports_per_class={self.supports}",
        ]
        self.learner = Learner(compose.load([*(ours if official else []), *words]))
        if trivial:
            self.learner.network.backbone = Trivial(self.learner.network.backbone)
        for experience in stream.experiences[: task - 1]:
            self.learner.begin(experience, stream.images)
            self.learner.end()
        self.learner.begin(stream.experiences[task - 1], stream.images)
        self.batch = self.learner.batch(0, 0)
        there = len(self.batch.images["unlabelled"])
        if official and there != self.unlabelled:
            raise SystemExit(
                f"error: --each: a task has {there} images, and a step takes {self.unlabelled}; "
                f"give at least {-(-self.unlabelled // 10)}"
            )
        self.views()
        found = list(self.viewed.images.values())
        self.inputs = [
            torch.cat([each for each in found if each.shape[-1] == side])
            for side in dict.fromkeys(each.shape[-1] for each in found)
        ]

    def stages(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What an iteration of the loop does, in its order."""
        learner = self.learner

        def draw() -> None:
            self.batch = learner.batch(0, learner.step_in_task % learner.steps_per_epoch)

        def forward() -> None:
            self.step = learner.forward(self.batch)

        def loss() -> None:
            self.loss, _ = learner.loss(self.step)

        def backward() -> None:
            learner.backward(self.loss)

        yield "batch", draw
        yield "forward", forward
        yield "loss", loss
        yield "backward", backward
        if isinstance(learner.network.backbone, Trivial):
            learner.network.backbone.give_gradients()
        yield "update", learner.update

    def whole(self) -> None:
        """All that an iteration of the loop does."""
        for _, work in self.stages():
            work()

    def views(self) -> None:
        """The views of one batch alone."""
        learner = self.learner
        seed = (0, learner.task.experience.index, learner.step_in_task)
        self.viewed = make_views(
            self.batch, learner.needs.views, learner.augment, seed=seed, ranks=learner.ranks
        )

    def bare(self) -> None:
        """The backbone on views that are there: forward, backward, and the frozen one's forward."""
        self._alone(lambda network, views: [network.backbone(views)])

    def heads(self) -> None:
        """The same of a whole network, of which a trivial backbone leaves the heads."""
        heads = self.learner.needs.head_names
        self._alone(lambda network, views: list(network(views, heads).heads.values()))

    def _alone(self, run: Callable[[Network, Tensor], list[Tensor]]) -> None:
        learner = self.learner
        learner.network.zero_grad(set_to_none=True)
        with autocast(learner.device, learner.precision):
            found = [each for views in self.inputs for each in run(learner.network, views)]
            with torch.no_grad():
                for past in learner.networks.pasts:
                    for views in self.inputs:
                        run(past, views)
        torch.stack([each.float().square().mean() for each in found]).sum().backward()


class Trivial(nn.Module):
    """Mean colours, widened: no work, and all the parameters of the backbone it stands for.

    Args:
        real: its parameters get gradients of zeros, so that the optimiser moves as many numbers.
    """

    def __init__(self, real: nn.Module) -> None:
        super().__init__()
        self.real = real
        self.num_features = int(real.num_features)  # type: ignore[arg-type]
        self.weight = nn.Parameter(torch.randn(3, self.num_features))
        self._zeros: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, s, s] to [N, F]."""
        return images[:, :, ::8, ::8].mean((2, 3)) @ self.weight

    def give_gradients(self) -> None:
        """Zeros, the same ones in each step."""
        params = list(self.real.parameters())
        if not self._zeros:
            self._zeros = [torch.zeros_like(each) for each in params]
        for param, zeros in zip(params, self._zeros, strict=True):
            param.grad = zeros
