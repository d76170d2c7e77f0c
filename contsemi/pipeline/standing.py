"""What a checkpoint says of a run beside its tensors, and whether it may be gone on with."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contsemi.errors import StateDamaged, StorageFailed
from contsemi.records.effects import with_effect

Count = Annotated[int, Field(ge=0)]
_MARGIN = 16 << 20  # metrics, pictures and the page
_COPIES = 3  # two generations and the one that is being written


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run goes on.

    Attributes:
        task: the task to go on with, from 0.
        inside: (epoch, iteration) to go on from inside it; ``None`` outside of its training.
        trained: whether the task's training is over, and only its evaluation is left.
    """

    task: int
    inside: tuple[int, int] | None = None
    trained: bool = False

    @property
    def begun(self) -> bool:
        """Whether something of the task is learned."""
        return self.inside is not None or self.trained

    @staticmethod
    def of(record: "Standing") -> "Place":
        """The place that a saved record names."""
        inside = None if record.place is None else (record.place[0], record.place[1])
        return Place(record.task, inside, record.trained)


class Standing(BaseModel):
    """Where a run stands, as JSON values; strict, because a file can hold anything.

    Attributes:
        task: the task to go on with, from 0.
        place: (epoch, iteration) to go on from inside it; ``None`` outside of its training.
        trained: whether the task's training is over, and only its evaluation is left.
        step_in_task, steps_done, images_done, seconds: counters.
        metrics_bytes, metrics_sha256: how far ``metrics.jsonl`` goes.
        predictors: averages after the last task, by predictor.
        matrices: accuracies by kind, ``None`` where not measured.
        pieces: into which a step's rows are split to fit into the device's memory.
        environment: of :func:`environment`.
        changes: how the environment has changed since the run began.
        chosen: rows whose labels were bought, by task, where they are chosen before each.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    task: Count
    place: Annotated[list[Count], Field(min_length=2, max_length=2)] | None
    trained: bool
    step_in_task: Count
    steps_done: Count
    images_done: Count
    seconds: Annotated[float, Field(ge=0)]
    metrics_bytes: Count
    metrics_sha256: str
    predictors: dict[str, dict[str, float]]
    matrices: dict[str, list[list[float | None]]]
    pieces: Annotated[int, Field(ge=1)]
    environment: dict[str, str]
    changes: list[str]
    chosen: list[list[Count]] = []

    @staticmethod
    def of(content: Mapping[str, Any], tasks: int) -> "Standing":
        """The record that a file holds.

        Args:
            content: of the file.
            tasks: of the stream.

        Raises:
            StateDamaged: it is not one of a run of so many tasks.
        """
        try:
            record = Standing.model_validate(dict(content))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise StateDamaged(f"record.{where}: {first['msg']}") from error
        inside = record.place is not None or record.trained
        square = all(
            len(rows) == tasks and {len(row) for row in rows} <= {tasks}
            for rows in record.matrices.values()
        )
        if record.task > tasks - inside or not square:
            raise StateDamaged(f"record: is not one of a run of {tasks} tasks")
        return record


def bound(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a configuration that a run is bound to: it does not go on with others."""
    return with_effect(config, "numbers", "measured")


def identity(facts: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Digest of what a run is: its configuration, its images and its labels.

    Args:
        facts: the content of ``manifest.json``.
        config: the keys that the numbers depend on.
    """
    parts = [facts["dataset_digests"], facts["label_digest"], config]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def environment(facts: Mapping[str, Any]) -> dict[str, str]:
    """What the same run's bits depend on beside its configuration.

    Args:
        facts: the content of ``manifest.json``.
    """
    told = "device", "ranks", "threads", "precision", "platform", "processor", "commit"
    found = {key: str(facts[key]) for key in told if facts[key] is not None}
    found["vector instructions"] = torch.backends.cpu.get_cpu_capability()
    return found | {name: str(version) for name, version in facts["versions"].items()}


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two environments, each as ``name then -> now``."""
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return [f"{name} {then.get(name, 'none')} -> {now.get(name, 'none')}" for name in names]


def refuse_if_no_room(folder: Path, state_bytes: int) -> None:
    """Refuses to begin what the disk could not keep.

    Args:
        folder: the output folder; what its saved states take already counts as free.
        state_bytes: of one saved state.

    Raises:
        StorageFailed: there is too little room.
    """
    needed = _COPIES * state_bytes + _MARGIN
    try:
        free = shutil.disk_usage(folder).free
        free += sum(each.stat().st_size for each in (folder / "checkpoints").glob("state-*"))
    except OSError:
        return  # what cannot be known is found when it is written
    if free < needed:
        raise StorageFailed(
            f"output={folder}: {free} bytes free, {needed} needed for the saved states; "
            "free space, or choose another disk with output="
        )
