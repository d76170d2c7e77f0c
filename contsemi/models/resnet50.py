"""ResNet-50 of torchvision without its classifier."""

from torch import Tensor, nn


class ResNet50(nn.Module):
    """[N, 3, s, s] to [N, 2048]."""

    num_features = 2048

    def __init__(self) -> None:
        super().__init__()
        import torchvision  # heavy: only when this backbone is asked for

        self.trunk = torchvision.models.resnet50(weights=None)
        self.trunk.fc = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, s, s] to [N, 2048]."""
        features: Tensor = self.trunk(images)
        return features


def build() -> ResNet50:
    """A ResNet-50 with torchvision's initialisation."""
    return ResNet50()
