"""Any backbone of the package timm, by its name there, with weights from a file or from the hub."""

import hashlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from contsemi.errors import InputError
from contsemi.models.origin import Origin
from contsemi.models.pretrained import read_tensors

__all__ = ["build"]


class Timm(nn.Module):
    """[N, 3, s, s] to [N, F], pooled, without the classifier.

    Args:
        trunk: of timm, with ``num_classes=0``.
        origin: where its weights come from.
        frozen: whether it is never trained here.

    Attributes:
        num_features: F.
    """

    def __init__(self, trunk: nn.Module, origin: Origin | None, *, frozen: bool) -> None:
        super().__init__()
        self.trunk, self.origin, self.frozen = trunk, origin, frozen
        self.num_features = int(trunk.num_features)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, s, s] to [N, F]."""
        features: Tensor = self.trunk(images)
        return features


def build(*, arch: str, file: str, download: bool, frozen: bool) -> Timm:
    """A backbone of timm.

    Args:
        arch: its name there.
        file: of its weights, safetensors or torch.save; empty for none.
        download: whether the weights of that name may be fetched from the hub.
        frozen: whether it is never trained here.

    Raises:
        InputError: timm is not installed or does not know the name, or the file does not fit.
    """
    try:
        import timm  # heavy: only when such a backbone is asked for
    except ModuleNotFoundError as error:
        fix = "pip install 'contsemi[backbones]'"
        raise InputError("model", "timm is not installed", fix) from error
    if not timm.is_model(arch):
        fix = "python -c 'import timm; print(timm.list_models())' lists them"
        raise InputError("model.arch", f"timm has no {arch!r}", fix)
    if file and download:
        problem = "are given as a file, and model.download=true fetches others"
        raise InputError("model.file", problem, "give one of them")
    trunk: Any = timm.create_model(arch, pretrained=download, num_classes=0)
    origin = None
    if file:
        path = Path(file).expanduser()
        _load(trunk, path, trunk.pretrained_cfg.get("classifier"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        origin = Origin(path.name, "a file", "unknown", digest, "unknown")
    elif download:
        made_by = trunk.pretrained_cfg
        tag = f"{arch}.{made_by.get('tag') or ''}".rstrip(".")
        licence, digest = str(made_by.get("license") or "unknown"), _digest(trunk)
        origin = Origin(tag, f"timm {timm.__version__}, hub", licence, digest, "unknown")
    return Timm(trunk, origin, frozen=frozen)


def _load(trunk: nn.Module, path: Path, classifier: str | tuple[str, ...] | None) -> None:
    """Gives the trunk the tensors of a file, but those of its classifier."""
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    found = {
        name: value
        for name, value in read_tensors(path, "model.file").items()
        if not name.startswith(tuple(f"{head}." for head in heads))
    }
    wanted = trunk.state_dict()
    odd = sorted(found.keys() ^ wanted.keys()) + [
        name for name in found.keys() & wanted.keys() if found[name].shape != wanted[name].shape
    ]
    if odd:
        problem = f"{path.name}: {odd[0]} is missing, left over or of another shape"
        raise InputError("model.file", problem, "choose model.arch as in the file")
    trunk.load_state_dict(found)


def _digest(trunk: nn.Module) -> str:
    digest = hashlib.sha256()
    for value in trunk.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
