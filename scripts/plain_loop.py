"""NNCSL's first task as most codes train it: plain PyTorch, PIL pictures, worker processes.

The recipe is that of ``experiment=nncsl_cifar100_official``: ResNet-18 with padding 2, two large
and two small views of each unlabelled image, two views of each support, soft nearest neighbours,
me-max, a classifier, LARS. All is float32 in the default memory format. The pictures are random
bytes, in memory from the start, so that no disk counts. ``bench_step.py`` runs this as a process:
a line on the standard input asks for a step, a line on the output gives its seconds.

    yes | head -3 | python scripts/plain_loop.py --unlabelled 64 --supports 1 --workers 2
"""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import models
from torchvision import transforms as T
from torchvision.transforms import functional as TF

CLASSES, LABELLED, IMAGES = 10, 4, 5000  # of a task of CIFAR-100 in ten, at 0.8 %
TEMPERATURE, SHARPENING, SMOOTHING, CLASSIFIER = 0.1, 0.25, 0.1, 0.005
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


class Solarise(nn.Module):
    """Solarise with a random threshold."""

    def forward(self, image: Any) -> Any:
        """One picture, changed."""
        return TF.solarize(image, int(torch.randint(0, 256, (1,))))


def policy(size: int, scale: tuple[float, float]) -> T.Compose:
    """The transforms of one kind of view."""
    return T.Compose(
        [
            T.RandomResizedCrop(size, scale),
            T.RandomHorizontalFlip(),
            T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8),
            T.RandomApply([Solarise()], 0.2),
            T.RandomEqualize(0.2),
            T.ToTensor(),
            T.Normalize(MEAN, STD),
        ]
    )


class Pictures(Dataset[tuple[list[Tensor], int]]):
    """Random pictures: two large and as many small views of each as asked for, and its label."""

    def __init__(self, number: int, small: int) -> None:
        draw = torch.Generator().manual_seed(number)
        pixels = torch.randint(0, 256, (number, 32, 32, 3), generator=draw, dtype=torch.uint8)
        self.pictures = [Image.fromarray(each) for each in pixels.numpy()]
        self.transforms = [policy(32, (0.75, 1.0))] * 2 + [policy(18, (0.3, 0.75))] * small

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        picture = self.pictures[index]
        return [each(picture) for each in self.transforms], index % CLASSES


class Stratified(Sampler[list[int]]):
    """Endless batches of as many labelled pictures of each class."""

    def __init__(self, each: int) -> None:
        self.each = each

    def __iter__(self) -> Iterator[list[int]]:
        while True:
            rows = [torch.randperm(LABELLED)[: self.each] for _ in range(CLASSES)]
            yield [c + CLASSES * int(row) for c, own in enumerate(rows) for row in own]


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    """Epoch after epoch."""
    while True:
        yield from loader


class Network(nn.Module):
    """ResNet-18 for small pictures, projector and classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = models.resnet18()
        self.backbone.conv1 = nn.Conv2d(3, 64, 3, padding=2, bias=False)
        self.backbone.maxpool = nn.Identity()
        self.backbone.fc = nn.Identity()
        hidden = [[nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU()] for _ in range(2)]
        self.projector = nn.Sequential(*hidden[0], *hidden[1], nn.Linear(512, 128))
        self.classifier = nn.Linear(512, CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings and logits."""
        features = self.backbone(images)
        return self.projector(features), self.classifier(features)


def paws(views: Tensor, supports: Tensor, labels: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """Consistency and me-max of [4 * batch, D] views, the large ones first.

    Source: Assran et al. 2021 (PAWS).
    """
    soft = F.one_hot(labels, CLASSES) * (1 - SMOOTHING) + SMOOTHING / CLASSES
    scores = F.normalize(views) @ F.normalize(supports).T / TEMPERATURE
    probs = scores.softmax(1) @ soft
    sharp = probs ** (1 / SHARPENING)
    sharp = sharp / sharp.sum(1, keepdim=True)
    with torch.no_grad():
        first, second = sharp[:batch], sharp[batch : 2 * batch]
        targets = torch.cat([second, first, *[(first + second) / 2] * (len(views) // batch - 2)])
        targets[targets < 1e-4] = 0
    mean = sharp.mean(0)
    consistency = -(targets * probs.log()).sum(1).mean()
    return consistency, (mean * mean.log()).sum()


class Lars(torch.optim.SGD):
    """Matrices move by a share of their norm; tensor by tensor, as in the published codes."""

    def step(self, closure: Any = None) -> None:
        """Scale the gradients, then SGD with momentum."""
        for group in self.param_groups:
            decay, group["weight_decay"] = group["weight_decay"], 0
            for param in group["params"]:
                if param.ndim > 1:
                    size, length = param.data.norm(), param.grad.norm()
                    if size != 0 and length != 0:
                        param.grad.add_(param.data, alpha=decay)
                        param.grad.mul_(1e-3 * size / (length + decay * size))
            super().step(closure)
            group["weight_decay"] = decay


def steps(unlabelled: int, each: int, workers: int) -> Iterator[float]:
    """Trains endlessly and gives the loss of each step."""
    options: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    images = DataLoader(Pictures(IMAGES, 2), unlabelled, shuffle=True, drop_last=True, **options)
    labelled = Pictures(LABELLED * CLASSES, 0)
    supports = DataLoader(labelled, batch_sampler=Stratified(each), **options)
    network = Network().train()
    optimizer = Lars(network.parameters(), lr=0.08, momentum=0.9, weight_decay=1e-5)
    for (views, _), (pairs, labels) in zip(endless(images), supports, strict=False):
        large = torch.cat([*pairs, *views[:2]])
        rows, labels = 2 * len(labels), labels.repeat(2)
        embeddings, logits = network(large)
        small, _ = network(torch.cat(views[2:]))
        anchors = torch.cat([embeddings[rows:], small])
        consistency, me_max = paws(anchors, embeddings[:rows], labels, unlabelled)
        loss = consistency + me_max + CLASSIFIER * F.cross_entropy(logits[:rows], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def main() -> None:
    """A step for each line that comes in."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--unlabelled", type=int, default=256, help="unlabelled images of a step")
    parser.add_argument("--supports", type=int, default=3, help="labelled images of a class")
    parser.add_argument("--workers", type=int, default=2, help="processes of each loader")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for its own choice")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    losses = steps(given.unlabelled, given.supports, given.workers)
    for _ in sys.stdin:
        start = time.perf_counter()
        next(losses)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
