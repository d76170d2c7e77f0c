"""What is written so that the same command goes on, and how it is taken back."""

import time
from typing import Any

from contsemi.devices.meeting import all_or_none, tell_state
from contsemi.errors import StateDamaged
from contsemi.learner.learner import Learner
from contsemi.pipeline.account import Account
from contsemi.pipeline.interval import Interval
from contsemi.pipeline.setting import Setting
from contsemi.pipeline.standing import (
    Place,
    Standing,
    bound,
    changes,
    environment,
    identity,
)
from contsemi.pipeline.tally import Tally
from contsemi.records.plain import plain
from contsemi.storage.checkpoint import Checkpoints
from contsemi.storage.ledger import Mark


class Saver:
    """Saves a run and takes it back: what its learner holds, and where its account stands.

    Args:
        setting: the run.
        learner: whose state it is.
        account: what was measured.
        tally: how far the run has come.
        interval: told of each save.
    """

    def __init__(
        self,
        setting: Setting,
        learner: Learner,
        account: Account,
        tally: Tally,
        interval: Interval,
    ) -> None:
        self.setting, self.learner, self.account = setting, learner, account
        self.tally, self.interval = tally, interval
        facts = setting.facts
        self.environment = environment(facts)
        self.checkpoints = Checkpoints(
            setting.records.folder / "checkpoints", identity(facts, bound(facts["config"]))
        )

    def save(self, place: Place) -> None:
        """Saves everything, which is the same in all processes: the first one does.

        What follows an evaluation has the same tensors as before it, so that these are not
        written again.

        Args:
            place: where to go on.
        """
        if not self.setting.ranks.first:
            return
        began = time.monotonic()
        self.setting.folder.refuse_if_gone()
        mark = self.setting.records.flush()
        record = Standing(
            task=place.task,
            place=None if place.inside is None else list(place.inside),
            trained=place.trained,
            step_in_task=self.learner.step_in_task,
            steps_done=self.tally.steps,
            images_done=self.tally.images,
            seconds=self.tally.seconds,
            metrics_bytes=mark.length,
            metrics_sha256=mark.sha256,
            predictors=self.account.predictors,
            matrices={kind: plain(matrix) for kind, matrix in self.account.matrices.items()},
            pieces=self.learner.pieces,
            environment=self.environment,
            changes=self.account.changes,
            chosen=[] if self.setting.annotator is None else self.setting.annotator.bought,
        ).model_dump()
        if place.begun:
            self.checkpoints.save(self.learner.state(), record)
            self.interval.took = time.monotonic() - began
        else:
            self.checkpoints.amend(record)
        self.interval.begin()

    def restore(self) -> Place | None:
        """Takes the newest whole state back, if there is one.

        Returns:
            Where to go on.

        Raises:
            StateDamaged: there are states, and none of them can be used.
        """
        ranks, checkpoints = self.setting.ranks, self.checkpoints
        with all_or_none(ranks):
            saved = checkpoints.load(self._refuse_record) if ranks.first else None
        saved = tell_state(ranks, saved)
        for problem in checkpoints.passed_over[:1]:
            self.setting.display.note(
                f"the newest saved state is damaged ({problem}): goes on before it"
            )
        if saved is None:
            return None
        if ranks.first and not checkpoints.passed_over:
            checkpoints.sweep()
        record = Standing.of(saved[1], self.setting.tasks)
        place = Place.of(record)
        self._take_state(saved[0], record, place)
        self._take_record(record)
        self.setting.display.note(f"goes on from a checkpoint in task {place.task + 1}")
        self._say_changes(record)
        return place

    def _take_state(self, state: dict[str, Any], record: Standing, place: Place) -> None:
        learner, stream = self.learner, self.setting.stream
        if self.setting.annotator is not None:
            for task, rows in enumerate(record.chosen):
                self.setting.annotator.buy(task, rows)
        learner.pieces = max(learner.pieces, record.pieces)
        experience = stream.experiences[place.task - (not place.begun)]
        step = None if place.inside is None else record.step_in_task
        remedy = "restore the folder from a copy, or start anew with resume=never"
        origin = self.checkpoints.folder, remedy
        learner.restore(state, experience, stream.images, step, origin)

    def _take_record(self, record: Standing) -> None:
        self.account.take(record.matrices, record.predictors)
        self.tally.steps, self.tally.images = record.steps_done, record.images_done
        self.tally.seconds_before = record.seconds
        self.setting.records.truncate(Mark(record.metrics_bytes, record.metrics_sha256))

    def _say_changes(self, record: Standing) -> None:
        changed = changes(record.environment, self.environment)
        self.account.changes = [*record.changes, *changed]
        if changed:
            self.setting.display.note(
                f"not on the same footing as before: {', '.join(changed)}; "
                "the numbers may differ in their last digits from an undisturbed run's"
            )

    def _refuse_record(self, content: dict[str, Any]) -> str:
        """What is wrong with a saved record; empty for nothing."""
        try:
            record = Standing.of(content, self.setting.tasks)
        except StateDamaged as error:
            return str(error)
        return self.setting.records.lacks(Mark(record.metrics_bytes, record.metrics_sha256))
