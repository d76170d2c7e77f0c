"""Saves a run so that the same command goes on after a kill, and never trusts a damaged file.

A checkpoint is one safetensors file of all tensors, and an entry in ``MANIFEST.json``: its name,
SHA-256, counters and records. The manifest is replaced atomically after the tensors are on disk,
so it is the only commit point; the two newest generations are kept. Nothing is pickled.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from contsemi.atomic import storage, write_atomically
from contsemi.errors import Diverged, StateDamaged

__all__ = ["Checkpoints"]

_KEEP = 2
_SEPARATOR = "|"
_STATES = "*state-*.safetensors*"  # with those that a kill left half-written, under another name


class Checkpoints:
    """The saved states of one run.

    Args:
        folder: where they lie; made when the first one is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = folder / "MANIFEST.json"

    def clear(self) -> None:
        """Forgets what an earlier run saved; the manifest goes first."""
        with storage(self.folder):
            self.manifest.unlink(missing_ok=True)
            for path in self.folder.glob(_STATES):
                path.unlink(missing_ok=True)

    def save(self, tensors: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Saves a generation and drops those before the previous one.

        Args:
            tensors: tensors by name, nested in dictionaries.
            record: everything else, as JSON values.

        Raises:
            Diverged: a tensor is not finite; nothing is saved.
            StorageFailed: the disk is full or gone; the generations before are still there.
        """
        flat = _flatten(tensors)
        _refuse_not_finite(flat)
        with storage(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        generations = self._generations()
        number = generations[0]["number"] + 1 if generations else 0
        content = save(flat)
        name = f"state-{number:06d}.safetensors"
        entry = {
            "number": number,
            "file": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "record": record,
        }
        write_atomically(self.folder / name, content)
        kept = [entry, *generations][:_KEEP]
        text = json.dumps({"format": 1, "generations": kept}, allow_nan=False)
        write_atomically(self.manifest, text.encode())
        names = {each["file"] for each in kept}
        for path in self.folder.glob(_STATES):
            if path.name not in names:
                path.unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The newest state whose bytes are those that were saved; ``None`` if none was saved.

        Returns:
            The nested tensors and the record.

        Raises:
            StateDamaged: states were saved and none of them is whole.
        """
        if not self.manifest.exists():
            return None
        generations = self._generations()
        for entry in generations:
            path = self.folder / entry["file"]
            try:
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() == entry["sha256"]:
                    return _nest(load(content)), entry["record"]
            except (OSError, SafetensorError):
                continue
        raise StateDamaged(
            f"{self.folder}: no saved state is whole; restore the folder from a copy, "
            "or start anew with resume=never"
        )

    def _generations(self) -> list[dict[str, Any]]:
        if not self.manifest.exists():
            return []
        try:
            generations = json.loads(self.manifest.read_bytes())["generations"]
            names = [entry["file"] for entry in generations]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateDamaged(
                f"{self.manifest}: cannot be read; restore it from a copy, "
                "or start anew with resume=never"
            ) from error
        if any(Path(name).name != name for name in names):
            raise StateDamaged(
                f"{self.manifest}: names a file outside its folder; start anew with resume=never"
            )
        return list(generations)


def _flatten(tensors: Mapping[str, Any], prefix: str = "") -> dict[str, Tensor]:
    flat: dict[str, Tensor] = {}
    for name, value in tensors.items():
        key = f"{prefix}{name}"
        if isinstance(value, Tensor):
            flat[key] = value.detach().cpu().contiguous().clone()
        else:
            flat |= _flatten(value, key + _SEPARATOR)
    return flat


def _refuse_not_finite(flat: Mapping[str, Tensor]) -> None:
    for name, value in flat.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise Diverged(
                f"state: {name.replace(_SEPARATOR, '.')} is not finite and was not saved; "
                "lower optim.lr or set optim.clip"
            )


def _nest(flat: Mapping[str, Tensor]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *owners, name = key.split(_SEPARATOR)
        place = nested
        for owner in owners:
            place = place.setdefault(owner, {})
        place[name] = value
    return nested
