"""The views of a batch, as a policy of ``conf/views/`` describes them."""

from collections.abc import Callable

import torch
from torch import Tensor

from contsemi.config import Crop, Views
from contsemi.views.drawn.operation import Operation
from contsemi.views.draws import Draws
from contsemi.views.geometry import interpolation
from contsemi.views.plan import Plan, draw_plan
from contsemi.views.separable import separable

__all__ = ["Augment"]

# Bytes of the images of one pass, as floats. On a CPU a pass should stay near the L2 cache, and
# its working memory below what makes the allocator give pages back to the system each time.
PASS_BYTES = {"cpu": 1 << 22}
DEVICE_PASS_BYTES = 1 << 28

# Number of the images of the whole batch, and the places int64 [B] of some among them
Part = tuple[int, Tensor] | None


class Augment:
    """Batched augmentation with its own random parameters for every view.

    Nothing waits for the device, and the same generator state gives the same bits. Between the
    operations images are float32, never rounded to whole pixel values as in PIL.

    Args:
        views: the policy.
    """

    def __init__(self, views: Views) -> None:
        self.views = views
        self.drawn = list(Operation.several(views.drawn).values())
        # x / std - mean / std; a number on the CPU goes along with any device's tensors
        self._moments = [
            (torch.tensor(-mean / std), std)
            for mean, std in zip(views.mean, views.std, strict=True)
        ]

    def large(
        self,
        images: Tensor,
        views: int,
        generator: torch.Generator,
        part: Part = None,
    ) -> Tensor:
        """The large views of unlabelled images.

        Args:
            images: uint8 [B, 3, S, S].
            views: V, views of each image.
            generator: source of all random numbers, on the images' device.
            part: the number of images of the whole batch, and the places int64 [B] of these among
                them: their views are those that they would have there. ``None`` for the whole.

        Returns:
            float32 [V * B, 3, s, s], normalised, channels_last, view-major: row v * B + b is view
            v of image b.

        Raises:
            ValueError: the images are not uint8 [B, 3, S, S], or lie on another device.
        """
        return self._views(self.views.large, images, views, generator, part)

    def small(
        self,
        images: Tensor,
        views: int,
        generator: torch.Generator,
        part: Part = None,
    ) -> Tensor:
        """The small views of unlabelled images; otherwise as :meth:`large`."""
        return self._views(self.views.small, images, views, generator, part)

    def labelled(
        self,
        images: Tensor,
        views: int,
        generator: torch.Generator,
        part: Part = None,
    ) -> Tensor:
        """The views of labelled images; otherwise as :meth:`large`."""
        return self._views(self.views.labelled, images, views, generator, part)

    def labelled_and_large(
        self,
        labelled: tuple[Tensor, int, Part],
        large: tuple[Tensor, int, Part],
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """What :meth:`labelled` and then :meth:`large` would give.

        If their sizes are equal they lie one behind the other in memory, so that a network can see
        them as one batch without a copy; if the whole policies are, they are made in one go.

        Args:
            labelled: images, views and part as for :meth:`labelled`.
            large: the same for :meth:`large`.
            generator: source of all random numbers, on the images' device.
        """
        of_labelled, of_large = self.views.labelled, self.views.large
        images, more = labelled[0], large[0]
        plan, source = self._draw(of_labelled, images, labelled[1], generator, labelled[2])
        second, second_source = self._draw(of_large, more, large[1], generator, large[2])
        if of_labelled.size != of_large.size:
            views = self.render(images, source, plan)
            return views, self.render(more, second_source, second)
        room = _room(len(source) + len(second_source), of_large.size, images.device)
        first, last = room[: len(source)], room[len(source) :]
        if of_labelled == of_large:
            sources = torch.cat([source, second_source + len(images)])
            self.render(torch.cat([images, more]), sources, plan.joined(second), room)
        else:
            self.render(images, source, plan, first)
            self.render(more, second_source, second, last)
        return first, last

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
        device, side, size = images.device, images.shape[-1], self.views.test_size
        kept = side * self.views.test_crop
        if side == size == kept:
            weights = None
        else:
            step = torch.full((1,), kept / size, device=device)
            low, high = torch.zeros_like(step), torch.full_like(step, side)
            origin = torch.full_like(step, (side - kept) / 2)
            weights = interpolation(origin, step, low, high, side, size)

        def resize(rows: Tensor, _: slice) -> Tensor:
            values = rows.float().div_(255)
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
        return self._passes(
            images, source, plan.size, lambda rows, span: plan.rows(span).apply(rows), out
        )

    def _views(
        self, crop: Crop, images: Tensor, views: int, generator: torch.Generator, part: Part
    ) -> Tensor:
        plan, source = self._draw(crop, images, views, generator, part)
        return self.render(images, source, plan)

    def _draw(
        self, crop: Crop, images: Tensor, views: int, generator: torch.Generator, part: Part
    ) -> tuple[Plan, Tensor]:
        """What is done to the views, and the image of each."""
        _check(images)
        if generator.device != images.device:
            raise ValueError(f"generator on {generator.device}, images on {images.device}")
        with torch.no_grad():
            count = len(images) if part is None else part[0]
            draws = Draws(generator, rows=views * count)
            side, fill = images.shape[-1], self.views.mean
            plan = draw_plan(crop, draws, side=side, fill=fill, drawn=self.drawn)
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
    if images.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        raise ValueError(f"expected uint8 [B, 3, S, S], got {images.dtype} {list(shape)}")
