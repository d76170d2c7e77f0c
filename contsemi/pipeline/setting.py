"""What a run is about and where it writes; nothing here is learned or measured."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from contsemi.config import Config
from contsemi.data.annotator import Annotator
from contsemi.data.scenario import Stream
from contsemi.devices.ranks import Ranks
from contsemi.devices.threads import Threads
from contsemi.labels.choices.choice import Choice
from contsemi.pipeline.signals import Signals
from contsemi.records.records import Records
from contsemi.report.screen.console import Display
from contsemi.storage.folder import OutputFolder
from contsemi.stores.store import Images


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """What all parts of a run in progress share.

    Attributes:
        config: the run.
        ranks: the processes that train together.
        facts: the content of ``manifest.json``.
        stream: the tasks.
        train_targets: int64 [N], true class ids of the training images, for the evaluator alone.
        test_images: uint8 [M, 3, S, S], or a store.
        display: the screen.
        folder: the output folder, locked by the first process.
        records: the files in it.
        signals: what may ask to stop.
        threads: of the CPU.
        choice: which images get their label.
        annotator: sells labels before each task, where the choice asks the network for them.
    """

    config: Config
    ranks: Ranks
    facts: dict[str, Any]
    stream: Stream
    train_targets: Tensor
    test_images: Images
    display: Display
    folder: OutputFolder
    records: Records
    signals: Signals
    threads: Threads
    choice: Choice | None = None
    annotator: Annotator | None = None

    @property
    def tasks(self) -> int:
        """Tasks of the stream."""
        return len(self.stream.experiences)

    @property
    def labels(self) -> str:
        """The label budget, written in one way."""
        return str(self.facts["config"]["label_ratio"])
