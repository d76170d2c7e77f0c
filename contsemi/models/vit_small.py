"""ViT-S: torchvision's vision transformer, 12 layers, 6 heads, 384 wide, without a classifier."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contsemi.errors import InputError
from contsemi.models.prompts import Prompts


class VitSmall(nn.Module):
    """[N, 3, s, s] to the class token [N, 384], for any side s that is a multiple of the patch.

    Beside it the tokens of the patches are to be had: the extra ``tokens``, [N, T, 384].

    Args:
        image_size: the side whose position embeddings are learned; those of other sides (small
            views) are interpolated from them, as in DINO.
        patch: side of a patch in pixels.
        prompts: learned tokens behind the class token, in each layer other ones; 0 for none.
        prompts_read: so many of the last layer's prompts make, as their mean, an extra.

    Attributes:
        extras: name -> width of what :meth:`with_extras` has beside the features.
    """

    num_features = 384

    def __init__(
        self, *, image_size: int, patch: int, prompts: int = 0, prompts_read: int = 0
    ) -> None:
        super().__init__()
        from torchvision.models import VisionTransformer  # heavy: only when asked for

        self.trunk = VisionTransformer(image_size, patch, 12, 6, self.num_features, 1536)
        self.trunk.heads = nn.Identity()
        self.patch, self.prompts_read = patch, prompts_read
        self.prompts: Prompts | None = None
        self.extras = dict.fromkeys(("tokens", *(("prompts",) if prompts else ())), 384)
        if prompts:
            layers = len(self.trunk.encoder.layers)
            self.prompts = Prompts(layers, prompts, self.num_features, patch=patch)

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, s, s] to [N, 384]."""
        return self.tokens(images)[:, 0]

    def with_extras(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The features, and beside them ``tokens`` [N, T, 384], and ``prompts`` [N, 384] if any."""
        tokens = self.tokens(images)
        extras = {"tokens": tokens[:, 1:]}
        if self.prompts is not None:
            extras["prompts"] = tokens[:, 1 : 1 + self.prompts_read].mean(dim=1)
        return tokens[:, 0], extras

    def tokens(self, images: Tensor) -> Tensor:
        """[N, 3, s, s] to all tokens of the last layer [N, 1 + prompts + patches, 384]."""
        if images.shape[-1] % self.patch or images.shape[-2] % self.patch:
            raise InputError(
                "model.patch",
                f"views of {images.shape[-2]}x{images.shape[-1]} pixels are no multiple of "
                f"patches of {self.patch}",
                "change model.patch or the sizes in views",
            )
        tokens = self.trunk.conv_proj(images)
        side = tokens.shape[-2:]
        tokens = tokens.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.trunk.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        # torchvision's encoder adds the positions of its one size: its parts are called here.
        x = self.trunk.encoder.dropout(tokens + self._positions(side))
        layers = self.trunk.encoder.layers
        x = layers(x) if self.prompts is None else self.prompts(x, layers)
        encoded: Tensor = self.trunk.encoder.ln(x)
        return encoded

    def _positions(self, side: torch.Size) -> Tensor:
        learned: Tensor = self.trunk.encoder.pos_embedding
        grid = self.trunk.image_size // self.patch
        if tuple(side) == (grid, grid):
            return learned
        patches = learned[:, 1:].transpose(1, 2).reshape(1, -1, grid, grid)
        patches = F.interpolate(patches, side, mode="bicubic", antialias=False)
        return torch.cat([learned[:, :1], patches.flatten(2).transpose(1, 2)], dim=1)


def build(*, image_size: int, patch: int, prompts: int, prompts_read: int) -> VitSmall:
    """A ViT-S with torchvision's initialisation.

    Args:
        image_size: side of the large views in pixels.
        patch: side of a patch in pixels; 16 for 224 pixels, 4 for 32.
        prompts: learned tokens in each layer; 0 for none.
        prompts_read: so many of the last layer's make the embedding ``prompts``.

    Raises:
        InputError: the side is no multiple of the patch.

    Source: Dosovitskiy et al. 2021; Touvron et al. 2021 (the small size).
    """
    if image_size % patch:
        raise InputError(
            "model.patch",
            f"expected a divisor of image_size {image_size}, got {patch}",
            "change one of them",
        )
    if not min(prompts, 1) <= prompts_read <= prompts:
        raise InputError(
            "model.prompts_read",
            f"expected 1 to {prompts} of the {prompts} prompts, got {prompts_read}",
            "change one of them",
        )
    return VitSmall(image_size=image_size, patch=patch, prompts=prompts, prompts_read=prompts_read)
