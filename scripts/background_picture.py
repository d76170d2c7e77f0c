"""Draws ``docs/backgrounds.png``: what the policies' backgrounds make of an image.

The images are crops of the two photographs that scikit-learn brings; some seconds on a CPU.

    python scripts/background_picture.py
"""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn import functional

from contsemi.views.background import Donors, draw_background, swapped
from contsemi.views.draws import Draws
from contsemi.views.saliency import spectral_masks

PAGE = Path(__file__).resolve().parents[1] / "docs" / "backgrounds.png"
SIDE = 96
PLACES = (("flower", 30, 150, 390), ("china", 40, 20, 260), ("china", 150, 330, 240))


def crops() -> Tensor:
    """Uint8 [3, 3, SIDE, SIDE]."""
    found = []
    for name, top, left, side in PLACES:
        photo = torch.from_numpy(np.array(load_sample_image(f"{name}.jpg"))).permute(2, 0, 1)
        part = photo[None, :, top : top + side, left : left + side].float()
        found.append(functional.interpolate(part, SIDE, mode="bilinear", antialias=True))
    return torch.cat(found).round().byte()


def changed(both: Tensor, donors: Donors | None) -> Tensor:
    """Float [3, 3, SIDE, SIDE], every background another."""
    draws = Draws(torch.Generator().manual_seed(1), len(both))
    return draw_background(draws, 1.0, least=0.0, donors=donors).apply(both.float() / 255)


def main() -> None:
    """Draw the picture."""
    images = crops()
    masks = spectral_masks(images)
    both = torch.cat([images, masks[:, None]], dim=1)
    rows = {
        "image": images.float() / 255,
        "foreground": masks[:, None].expand(-1, 3, -1, -1).float() / 255,
        "remove": changed(both, None),
        "random, swap": changed(both, Donors(images, masks)),
        "negative of swap": swapped(both.roll(1, 0), both).float() / 255,
    }
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots(len(images), len(rows))
    for column, (name, shown) in enumerate(rows.items()):
        axes[0, column].set_title(name, fontsize=9)
        for axis, image in zip(axes[:, column], shown, strict=True):
            axis.imshow(image.permute(1, 2, 0).numpy())
            axis.axis("off")
    drawn = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "contsemi"}):
        figure.savefig(drawn, format="png", dpi=80, metadata={"Software": None})
    PAGE.write_bytes(drawn.getvalue())


if __name__ == "__main__":
    main()
