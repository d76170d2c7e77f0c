"""Any backbone of the package timm, by its name there, with weights from a file or from the hub."""

import hashlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from contsemi.errors import InputError, PackageMissing
from contsemi.models.initialise import only_sizes
from contsemi.models.origin import Origin
from contsemi.models.pretrained import OURS, read_tensors

TRUNK = "backbone.trunk."  # as our own states name it


class Timm(nn.Module):
    """[N, 3, s, s] to [N, F], pooled, without the classifier.

    Args:
        trunk: of timm, with ``num_classes=0``.
        origin: where its weights come from.
        frozen: whether it is never trained here.

    Attributes:
        num_features: F.
        side: the only one that images may have; ``None`` for any.
        unsteady: why its steps on a CPU may not repeat in a reduced precision; empty if they do.
    """

    def __init__(self, trunk: nn.Module, origin: Origin | None, *, frozen: bool) -> None:
        super().__init__()
        self.trunk, self.origin, self.frozen = trunk, origin, frozen
        self.num_features = int(trunk.num_features)  # type: ignore[arg-type]
        # resnet10t on an Intel Xeon with AMX: 1 of 144 repeated steps, which no short trial finds
        self.unsteady = "" if frozen else "a trained network of timm may give other gradients"
        patches: Any = getattr(trunk, "patch_embed", None)
        strict = getattr(patches, "strict_img_size", False)  # refuses images of another side
        sides = getattr(patches, "img_size", None) if strict else None
        self.side = int(sides[0]) if sides else None

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, s, s] to [N, F]."""
        features: Tensor = self.trunk(images)
        return features

    def take(self, path: Path) -> None:
        """Gives it the tensors of a file, by timm's names; a classifier's are left out.

        Args:
            path: a ``state_dict`` by torch.save or as safetensors, or a state of our own runs.

        Raises:
            InputError: the file cannot be read, or does not fit.
        """
        classifier = self.trunk.pretrained_cfg.get("classifier")  # type: ignore[operator,union-attr]
        heads = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
        wanted = self.trunk.state_dict()
        found = {}
        for name, value in read_tensors(path, "init.weights").items():
            if name.startswith(OURS) and not name.startswith(tuple(f"{o}{TRUNK}" for o in OURS)):
                continue  # a head of a run's network
            own = name.partition(TRUNK)[2] if name.startswith(OURS) else name
            if not own.startswith(tuple(f"{head}." for head in heads)):
                found[own] = value
        odd = sorted(found.keys() ^ wanted.keys())
        odd += [n for n in found.keys() & wanted.keys() if found[n].shape != wanted[n].shape]
        if odd:
            problem = f"{path.name}: {odd[0]} is missing, left over or of another shape"
            raise InputError("init.weights", problem, "choose model.arch as in the file")
        self.trunk.load_state_dict(found)


def build(*, arch: str, download: bool, frozen: bool) -> Timm:
    """A backbone of timm.

    Args:
        arch: its name there.
        download: whether the weights of that name may be fetched from the hub.
        frozen: whether it is never trained here.

    Raises:
        InputError: timm is not installed, does not know the name, or cannot fetch the weights.
    """
    try:
        import timm  # heavy: only when such a backbone is asked for
    except ModuleNotFoundError as error:
        fix = "pip install 'contsemi[backbones]'"
        raise PackageMissing("model", "timm is not installed", fix) from error
    if not timm.is_model(arch):
        fix = "python -c 'import timm; print(timm.list_models())' lists them"
        raise InputError("model.arch", f"timm has no {arch!r}", fix)
    download = download and not only_sizes()
    try:
        trunk: Any = timm.create_model(arch, pretrained=download, num_classes=0)
    except Exception as error:  # the hub's clients raise of every kind
        problem = f"timm cannot make it ({' '.join(str(error).split())[:100]})"
        fix = "set init.weights to a file of its weights" if download else "choose another"
        raise InputError("model.arch", problem, fix) from error
    origin = None
    if download:
        made_by = trunk.pretrained_cfg
        tag = f"{arch}.{made_by.get('tag') or ''}".rstrip(".")
        licence, digest = str(made_by.get("license") or "unknown"), _digest(trunk)
        origin = Origin(tag, f"timm {timm.__version__}, hub", licence, digest, "unknown")
    return Timm(trunk, origin, frozen=frozen)


def _digest(trunk: nn.Module) -> str:
    digest = hashlib.sha256()
    for value in trunk.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
