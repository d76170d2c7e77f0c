"""What is known of every trial, in one file that survives an interruption: ``tune.json``."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from contsemi.data.sources.listing import shown
from contsemi.errors import InputError
from contsemi.records.plain import to_json
from contsemi.storage.atomic import write_atomically

NAME, LOCK = "tune.json", ".tune.lock"
_OWN = (LOCK, "trials")  # what is there before the first file
STARTUP = 4  # finished trials before one is stopped early
OVER = ("finished", "pruned", "failed")  # states after which a trial is not run again


def refuse_foreign(folder: Path) -> None:
    """Refuses a folder in which a search has not begun and something else lies.

    Raises:
        InputError: it is one.
    """
    names = {each.name for each in folder.iterdir()} if folder.is_dir() else {NAME}
    if NAME not in names and (others := sorted(names - {*_OWN})):
        problem = f"holds files of something else ({shown(others[0])}, ...)"
        raise InputError(f"--output={shown(folder)}", problem, "name a folder of its own")


class Trial(BaseModel):
    """One run with one set of values.

    Attributes:
        number: from 0.
        values: by key.
        state: ``waiting`` (begun or about to be), or one of :data:`OVER`.
        score: the accuracy in [0, 1] that trials are compared by; ``None`` where not finished.
        on_the_way: accuracies in [0, 1] after each task, or each epoch.
        processor_seconds: of its process, over all interruptions.
        reason: why it failed, in a line.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    number: int
    values: dict[str, Any]
    state: str = "waiting"
    score: float | None = None
    on_the_way: list[float] = []
    processor_seconds: float = 0.0
    reason: str = ""

    @property
    def words(self) -> list[str]:
        """Its values as settings of a run."""
        return [f"{key}={value}" for key, value in self.values.items()]


@dataclass(slots=True)
class Manifest:
    """A search and its trials.

    Attributes:
        folder: of the search.
        question: what is searched for; a folder answers one.
        trials: by number.
        chosen: number of the best finished trial, where the search is over.
    """

    folder: Path
    question: dict[str, Any]
    trials: list[Trial] = field(default_factory=list)
    chosen: int | None = None

    @property
    def processor_seconds(self) -> float:
        """Of all trials."""
        return sum(trial.processor_seconds for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The finished trial of the highest score, the first of equals; ``None`` for none."""
        done = [trial for trial in self.trials if trial.score is not None]
        return max(done, key=lambda trial: (trial.score or 0.0, -trial.number), default=None)

    def count(self, *states: str) -> int:
        """How many trials have one of some states."""
        return sum(trial.state in states for trial in self.trials)

    def hopeless(self, trial: Trial) -> bool:
        """Whether a trial now lies below the median of the finished ones at the same point.

        Its present accuracy counts, not the best so far: in a stream the first task's is the best.
        """
        point = len(trial.on_the_way) - 1
        others = [
            each.on_the_way[point]
            for each in self.trials
            if each.state == "finished" and len(each.on_the_way) > point >= 0
        ]
        return len(others) >= STARTUP and trial.on_the_way[point] < median(others)

    def place_of(self, trial: Trial) -> Path:
        """The output folder of a trial's run."""
        return self.folder / "trials" / f"{trial.number:03d}"

    def write(self) -> None:
        """Write the file anew, whole or not at all.

        Raises:
            StorageFailed: it cannot be written.
        """
        content = {
            "question": self.question,
            "chosen": self.chosen,
            "processor_seconds": self.processor_seconds,
            "trials": [trial.model_dump() for trial in self.trials],
        }
        write_atomically(self.folder / NAME, to_json(content))

    @staticmethod
    def open(folder: Path, question: dict[str, Any]) -> "Manifest":
        """The search of a folder, or a new one.

        Raises:
            InputError: the folder answers another question, or its file is damaged.
        """
        path = folder / NAME
        if not path.exists():
            return Manifest(folder, question)
        fix = "give another --output, or remove the folder"
        try:
            if not path.is_file():
                raise ValueError("no regular file")  # a pipe would be waited for
            content = json.loads(path.read_text(encoding="utf-8"))
            then, trials = content["question"], content["trials"]
            found = [Trial.model_validate(each) for each in trials]
            if not isinstance(then, dict) or [t.number for t in found] != list(range(len(found))):
                raise ValueError("no search of ours")
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise InputError(str(path), f"cannot be read ({type(error).__name__})", fix) from error
        now = json.loads(to_json(question))
        if differing := [key for key in {**then, **now} if then.get(key) != now.get(key)]:
            key = differing[0]
            problem = f"its {key} is {then.get(key)}, that of this command {now.get(key)}"
            raise InputError(str(path), f"is of another search: {problem}", fix)
        return Manifest(folder, question, found)
