"""Saves a run so that the same command goes on after a kill, and never trusts a damaged file.

A generation is one safetensors file of all tensors and an entry in ``MANIFEST.json``: its name,
size and SHA-256, and the counters and records that belong to it. The manifest is replaced
atomically after the tensors are on the disk and before older ones go, so it is the only commit
point; it carries its own SHA-256 and the digest of the run it belongs to. The two newest
generations are kept. Nothing is pickled, and what is read is read once, hashed and then parsed.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from contsemi.errors import StateDamaged
from contsemi.storage.atomic import make_folder, storage, sync_folder, write_atomically
from contsemi.storage.readonce import parse_json, read_once
from contsemi.storage.tensors import flatten, nest, refuse_not_finite

FORMAT = 3
MANIFEST_BYTES = 1 << 26  # more than any stream of tasks needs
_KEEP = 2
_STATE = re.compile(r"state-(\d{6,12})\.safetensors", re.ASCII)
_ENTRY = {"number": int, "file": str, "size": int, "sha256": str, "record": dict}
_ANEW = "restore the folder from a copy, or start anew with resume=never"
_SMALLER = "lower optim.lr or set optim.clip"


class Checkpoints:
    """The saved states of one run.

    Args:
        folder: where they lie; made when the first one is saved, in a folder that must be there.
        run: digest of what the run is; the states of another one are refused.
        keep: generations that are kept, the newest first.
        anew: what to do about a damaged folder, by whoever reads it.
        finite: what to do where a tensor is not finite, by whoever saves it.

    Attributes:
        passed_over: why newer generations than the one that was loaded could not be used.
    """

    def __init__(
        self,
        folder: Path,
        run: str = "",
        keep: int = _KEEP,
        *,
        anew: str = _ANEW,
        finite: str = _SMALLER,
    ) -> None:
        self.folder, self.run, self.keep = folder, run, keep
        self.anew, self.finite = anew, finite
        self.manifest = folder / "MANIFEST.json"
        self.passed_over: list[str] = []
        self._known: list[dict[str, Any]] | None = None  # what this process has committed last

    def clear(self) -> None:
        """Forgets what an earlier run saved; the manifest goes first."""
        self._known = None
        if not self.folder.is_dir():
            return
        with storage(self.folder):
            self.manifest.unlink(missing_ok=True)
            sync_folder(self.folder)
            self._remove_all_but(set())

    def save(self, tensors: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Saves a generation and drops those before the previous one.

        Args:
            tensors: tensors by name, nested in dictionaries.
            record: everything else, as JSON values.

        Raises:
            Diverged: a tensor is not finite; nothing is saved.
            StorageFailed: the disk is full or gone; the generations before are still there.
        """
        flat = flatten(tensors)
        refuse_not_finite(flat, self.finite)
        with storage(self.folder):
            if not self.folder.parent.is_dir():  # gone while the run went on: not made again
                raise FileNotFoundError(f"{self.folder.parent} is gone")
            make_folder(self.folder)
        generations = self._generations() if self._known is None else self._known
        number = generations[0]["number"] + 1 if generations else 0
        content = save(flat)
        name = f"state-{number:06d}.safetensors"
        entry = {
            "number": number,
            "file": name,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "record": record,
        }
        write_atomically(self.folder / name, content)
        kept = [entry, *generations][: self.keep]
        self._commit(kept)
        with storage(self.folder):
            self._remove_all_but({each["file"] for each in kept})

    def amend(self, record: Mapping[str, Any]) -> None:
        """Gives the newest generation another record; its tensors are still the present ones.

        Raises:
            StorageFailed: the disk is full or gone; the record before is still there.
            RuntimeError: nothing was saved yet.
        """
        generations = self._generations() if self._known is None else self._known
        if not generations:
            raise RuntimeError("amend() before save()")
        self._commit([generations[0] | {"record": record}, *generations[1:]])

    def drop(self) -> int:
        """Forgets the newest generation; the one before it is the newest then.

        Returns:
            How many are left.

        Raises:
            StateDamaged: it is whole, and the one before is not: nothing is forgotten.
            StorageFailed: the disk is full or gone; nothing is forgotten.
        """
        generations = self._generations()
        left = generations[1:]
        newest, before = ([self._fault(each) for each in generations[:2]] + ["", ""])[:2]
        if before and not newest:
            problem = f"the state before the last is not whole ({before})"
            raise StateDamaged(f"{self.folder}: {problem}, and the last is kept; {self.anew}")
        self._commit(left)
        with storage(self.folder):
            self._remove_all_but({each["file"] for each in left})
        return len(left)

    def load(
        self, check: Callable[[dict[str, Any]], str] = lambda record: ""
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The newest state whose bytes are those that were saved; ``None`` if none was saved.

        Args:
            check: says what else is wrong with a record; empty for nothing.

        Returns:
            The nested tensors and the record.

        Raises:
            StateDamaged: states were saved and none of them is whole.
        """
        self.passed_over, self._known = [], None
        for entry in self._generations():
            try:
                content = self._content(entry)
                if problem := check(entry["record"]):
                    raise ValueError(problem)
                return nest(load(content)), entry["record"]
            except (OSError, ValueError, SafetensorError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                self.passed_over.append(f"{entry['file']}: {reason}")
        if not self.passed_over:
            return None
        raise StateDamaged(
            f"{self.folder}: no saved state is whole ({'; '.join(self.passed_over)}); {self.anew}"
        )

    def _content(self, entry: dict[str, Any]) -> bytes:
        content = read_once(self.folder / entry["file"], entry["size"])
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise ValueError("its bytes are not those that were saved")
        return content

    def _fault(self, entry: dict[str, Any]) -> str:
        """Why the bytes of a state cannot be used; empty for nothing."""
        try:
            self._content(entry)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            return f"{entry['file']}: {reason}"
        return ""

    def sweep(self) -> None:
        """Removes states that the manifest does not name: a kill came before they were removed."""
        if self.folder.is_dir():
            with storage(self.folder):
                self._remove_all_but({entry["file"] for entry in self._generations()})

    def _commit(self, generations: list[dict[str, Any]]) -> None:
        body = {"format": FORMAT, "run": self.run, "generations": generations}
        digest = hashlib.sha256(_canonical(body)).hexdigest()
        write_atomically(self.manifest, _canonical({"body": body, "sha256": digest}))
        self._known = generations

    def _generations(self) -> list[dict[str, Any]]:
        """The entries of the manifest, the newest first.

        Raises:
            StateDamaged: it cannot be trusted, or is missing where states are.
        """
        try:
            content = read_once(self.manifest, MANIFEST_BYTES)
        except FileNotFoundError:
            if self._numbers() - {0}:  # a kill in the very first save leaves number 0 alone
                raise self._damaged("is missing") from None
            return []
        except OSError as error:
            raise self._damaged(f"cannot be read ({error.strerror})") from error
        try:
            found = parse_json(content)
            body = found["body"]
            if hashlib.sha256(_canonical(body)).hexdigest() != found["sha256"]:
                raise ValueError("its bytes are not those that were saved")
            if _canonical(found) != content:
                raise ValueError("is not written as ours are")
            return self._checked(body)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._damaged(f"cannot be used ({error})") from error

    def _checked(self, body: Any) -> list[dict[str, Any]]:
        """Even one with a right digest may be another run's, or made to do harm."""
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']}, this version reads {FORMAT}")
        if body["run"] != self.run:
            raise ValueError("belongs to another run")
        generations = body["generations"]
        for entry in generations:
            if {key: type(value) for key, value in entry.items()} != _ENTRY:
                raise ValueError("an entry lacks a key, or has one of another type")
            named = _STATE.fullmatch(entry["file"])
            if named is None or int(named[1]) != entry["number"]:
                raise ValueError(f"names the file {entry['file'][:40]!r}")
        return sorted(generations, key=lambda entry: -entry["number"])

    def _numbers(self) -> set[int]:
        if not self.folder.is_dir():
            return set()
        names = [_STATE.fullmatch(path.name) for path in self.folder.iterdir()]
        return {int(name[1]) for name in names if name}

    def _remove_all_but(self, kept: set[str]) -> None:
        for path in sorted(self.folder.iterdir()):
            if _STATE.fullmatch(path.name) and path.name not in kept:
                path.unlink(missing_ok=True)

    def _damaged(self, problem: str) -> StateDamaged:
        return StateDamaged(f"{self.manifest}: {problem}; {self.anew}")


def _canonical(value: Any) -> bytes:
    """The one way in which a value is written, so that every changed byte is noticed."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()
