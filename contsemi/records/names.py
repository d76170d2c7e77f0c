"""What the classes and tasks of a run are called, wherever they are named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 22  # characters of a task's name: its first classes


@dataclass(frozen=True, slots=True)
class Names:
    """Names by column and by task.

    Attributes:
        classes: name of each column, in order of arrival: its class name or, without one, its id.
        tasks: columns that come in each task; empty where the run does not say them.
        tested: columns that each task is tested on: those that come first in it, or all of them
            where none does.
    """

    classes: Sequence[str] = ()
    tasks: Sequence[Sequence[int]] = ()
    tested: Sequence[Sequence[int]] = field(init=False)

    def __post_init__(self) -> None:
        before: set[int] = set()
        tested = []
        for columns in self.tasks:
            tested.append([column for column in columns if column not in before] or columns)
            before.update(columns)
        object.__setattr__(self, "tested", tested)

    @staticmethod
    def of(manifest: Mapping[str, Any]) -> "Names":
        """The names in a manifest; those of an older or damaged one are numbers."""
        ids, names = _sequence(manifest, "class_order"), _sequence(manifest, "class_names")
        classes = [str(name) for name in names] + [str(each) for each in ids[len(names) :]]
        told = _sequence(manifest, "tasks")
        held: list[Any] = [task.get("columns") if isinstance(task, dict) else None for task in told]
        known = all(
            isinstance(columns, list) and all(type(column) is int for column in columns)
            for columns in held
        )
        return Names(classes, held if known else ())

    def of_class(self, column: int) -> str:
        """Name of a column; its number where it has none."""
        return self.classes[column] if 0 <= column < len(self.classes) else str(column)

    def of_task(self, task: int, width: int = WIDTH) -> str:
        """For example ``2: cat, dog``: number from 1, and the classes it is tested on that fit."""
        if not 0 <= task < len(self.tasks):
            return str(task + 1)
        words = [" ".join(self.of_class(column).split()) for column in self.tested[task]]
        text = ", ".join(words)
        if len(text) > width:
            fitting = [n for n in range(len(words)) if len(", ".join(words[:n])) <= width - 3]
            first = words[: fitting[-1]] or [words[0][: width - 4]]
            text = ", ".join([*first, "…"])
        return f"{task + 1}: {text}" if text else str(task + 1)

    def short(self, task: int) -> str:
        """The same for the ends of lines and for axes."""
        return self.of_task(task, 12)


def _sequence(manifest: Mapping[str, Any], key: str) -> list[Any]:
    value = manifest.get(key)
    return value if isinstance(value, list) else []
