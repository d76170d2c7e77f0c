"""The views of a batch, as the policies of ``conf/views/`` describe them."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.config import Crop, Views
from contsemi.views.background import Donors
from contsemi.views.drawn.operation import Operation
from contsemi.views.draws import Draws
from contsemi.views.geometry import interpolation
from contsemi.views.plan import Plan, draw_plan
from contsemi.views.separable import separable

# Bytes of the images of one pass, as floats. On a CPU a pass should stay near the L2 cache, and
# its working memory below what makes the allocator give pages back to the system each time.
PASS_BYTES = {"cpu": 1 << 22}
DEVICE_PASS_BYTES = 1 << 28

# Number of the images of the whole batch, and the places int64 [B] of some among them
Part = tuple[int, Tensor] | None


@dataclass(frozen=True, slots=True)
class Asked:
    """One kind of views.

    Attributes:
        policy: its name in ``views.policies``.
        images: uint8 [B, 3, S, S], or [B, 4, S, S] with their masks, 255 for foreground.
        number: V, views of each image.
        part: the number of images of the whole batch, and the places int64 [B] of these among
            them: their views are those that they would have there. ``None`` for the whole.
        cut: whether the images are crops already, drawn and resized elsewhere.
    """

    policy: str
    images: Tensor
    number: int
    part: Part = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class _Kind:
    """What was drawn for the kind at a place of those asked for."""

    place: int
    images: Tensor
    plan: Plan
    source: Tensor


class Augment:
    """Batched augmentation with its own random parameters for every view.

    Nothing waits for the device, and the same generator state gives the same bits. Between the
    operations images are float32, never rounded to whole pixel values as in PIL.

    Args:
        views: the policies.

    Attributes:
        donors: backgrounds of the present task, for policies that put them in place of others.
    """

    def __init__(self, views: Views) -> None:
        self.config = views
        self.donors: Donors | None = None
        self.drawn = list(Operation.several(views.drawn).values())
        # x / std - mean / std; a number on the CPU goes along with any device's tensors
        self._moments = [
            (torch.tensor(-mean / std), std)
            for mean, std in zip(views.mean, views.std, strict=True)
        ]

    def view(
        self,
        policy: str,
        images: Tensor,
        number: int,
        generator: torch.Generator,
        part: Part = None,
    ) -> Tensor:
        """Views of one kind; see :meth:`views`."""
        return self.views([Asked(policy, images, number, part)], generator)[0]

    def views(self, asked: Sequence[Asked], generator: torch.Generator) -> list[Tensor]:
        """Views of several kinds, drawn in their order.

        Those of one size lie one behind the other in memory, so that a network can see them as one
        batch without a copy; those that follow each other with the same policy are made in one go.

        Args:
            asked: the kinds.
            generator: source of all random numbers, on the images' device.

        Returns:
            For each kind float32 [V * B, 3, s, s], normalised, channels_last, view-major: row
            v * B + b is view v of image b.

        Raises:
            ValueError: the images are not uint8 [B, 3, S, S], or lie on another device.
        """
        kinds = [
            _Kind(i, each.images, *self._draw(each, generator)) for i, each in enumerate(asked)
        ]
        views: list[Tensor] = [torch.empty(0)] * len(kinds)
        sides = {kind.plan.size: None for kind in kinds}
        for side in sides:
            mine = [kind for kind in kinds if kind.plan.size == side]
            room = _room(sum(len(kind.source) for kind in mine), side, mine[0].images.device)
            start = 0
            for _, together in itertools.groupby(mine, lambda kind: self._alike(asked[kind.place])):
                start = self._make(list(together), room, start, views)
        return views

    def _make(self, kinds: list["_Kind"], room: Tensor, start: int, views: list[Tensor]) -> int:
        """Makes kinds of one policy from a row of the room on, and says where they end."""
        plan, sources, before = kinds[0].plan, [kinds[0].source], 0
        for last, kind in itertools.pairwise(kinds):
            before += len(last.images)
            plan, sources = plan.followed_by(kind.plan), [*sources, kind.source + before]
        alone = len(kinds) == 1
        images = kinds[0].images if alone else torch.cat([kind.images for kind in kinds])
        end = start
        for kind in kinds:
            views[kind.place] = room[end : end + len(kind.source)]
            end += len(kind.source)
        self.render(images, sources[0] if alone else torch.cat(sources), plan, room[start:end])
        return end

    def test(self, images: Tensor) -> Tensor:
        """The centre of each image, resized with antialiasing; nothing is random.

        Equals resizing to ``test_size / test_crop`` and cropping the centre of ``test_size``.

        Args:
            images: uint8 [B, 3, S, S].

        Returns:
            float32 [B, 3, test_size, test_size], normalised, channels_last.

        Raises:
            ValueError: the images are not uint8 [B, 3, S, S].
        """
        _check(images)
        device, side, size = images.device, images.shape[-1], self.config.test_size
        kept = side * self.config.test_crop
        if side == size == kept:
            weights = None
        else:
            step = torch.full((1,), kept / size, device=device)
            low, high = torch.zeros_like(step), torch.full_like(step, side)
            origin = torch.full_like(step, (side - kept) / 2)
            weights = interpolation(origin, step, low, high, side, size)

        def resize(rows: Tensor, _: slice) -> Tensor:
            values = rows[:, :3].float().div_(255)
            if weights is None:
                return values
            both = weights.expand(len(rows), -1, -1)
            return separable(values, both, both)

        source = torch.arange(len(images), device=device)
        return self._passes(images, source, size, resize)

    def render(
        self, images: Tensor, source: Tensor, plan: Plan, out: Tensor | None = None
    ) -> Tensor:
        """Carry out a plan.

        Args:
            images: uint8 [B, 3, S, S].
            source: int64 [N], the image of each view.
            plan: what was drawn for the N views, on the images' device.
            out: where the views are to be, as returned; a new tensor if it is not given.

        Returns:
            float32 [N, 3, size, size], normalised, channels_last.
        """

        def make(rows: Tensor, span: slice) -> Tensor:
            return (plan if len(rows) == len(source) else plan.rows(span)).apply(rows)

        return self._passes(images, source, plan.size, make, out)

    def _alike(self, asked: Asked) -> tuple[Crop, bool, int]:
        """Equal for kinds that can be made together."""
        return self._crop(asked), asked.cut, asked.images.shape[1]

    def _crop(self, asked: Asked) -> Crop:
        return self.config.policies[asked.policy]

    def _draw(self, asked: Asked, generator: torch.Generator) -> tuple[Plan, Tensor]:
        """What is done to the views, and the image of each."""
        images, views, part = asked.images, asked.number, asked.part
        _check(images)
        if generator.device != images.device:
            raise ValueError(f"generator on {generator.device}, images on {images.device}")
        with torch.no_grad():
            count = len(images) if part is None else part[0]
            draws = Draws(generator, rows=views * count)
            side, fill = images.shape[-1], self.config.mean
            plan = draw_plan(
                self._crop(asked), draws, side, fill, drawn=self.drawn, donors=self.donors
            )
            if asked.cut:
                plan = plan.uncropped(side)
            if part is not None:
                places = torch.arange(views)[:, None] * count + part[1]
                plan = plan.rows(places.flatten().to(images.device, non_blocking=True))
            return plan, torch.arange(len(images), device=images.device).repeat(views)

    def _passes(
        self,
        images: Tensor,
        source: Tensor,
        size: int,
        make: Callable[[Tensor, slice], Tensor],
        out: Tensor | None = None,
    ) -> Tensor:
        """Run ``make(uint8 rows, span of the batch)`` piece by piece, and normalise."""
        device, side = images.device, images.shape[-1]
        row_bytes = 3 * 4 * (side**2 + size**2) // 2  # between that of an image and of its view
        step = max(1, PASS_BYTES.get(device.type, DEVICE_PASS_BYTES) // row_bytes)
        passes = max(1, round(len(source) / step))
        step = max(1, -(-len(source) // passes))  # all of one length: short ones cost as much
        if out is None:
            out = _room(len(source), size, device)
        pixels = out.permute(0, 2, 3, 1)
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            for start in range(0, len(source), step):
                span = slice(start, start + step)
                made = make(images.index_select(0, source[span]), span)
                for channel, (mean, std) in enumerate(self._moments):
                    # one pass that normalises and interleaves; from [N, s, s] to every third value
                    torch.add(mean, made[:, channel], alpha=1 / std, out=pixels[span, ..., channel])
        return out


def _room(count: int, size: int, device: torch.device) -> Tensor:
    """For views: float32 [count, 3, size, size], channels_last."""
    return torch.empty((count, size, size, 3), device=device).permute(0, 3, 1, 2)


def _check(images: Tensor) -> None:
    shape = tuple(images.shape)
    known = len(shape) == 4 and shape[1] in (3, 4) and shape[2] == shape[3]
    if images.dtype != torch.uint8 or not known:
        problem = f"got {images.dtype} {list(shape)}"
        raise ValueError(f"expected uint8 [B, 3, S, S], or 4 with masks, {problem}")
