"""A run in progress: the way of a learner, or of a baseline, through the tasks."""

import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from contsemi.devices.meeting import refuse_apart
from contsemi.learner.kept import kept_bytes, without_exemplars
from contsemi.learner.learner import Learner
from contsemi.learner.loop import HookList, fit
from contsemi.pipeline.account import Account
from contsemi.pipeline.choosing import choose_labels, show_chosen
from contsemi.pipeline.interval import Interval
from contsemi.pipeline.saving import Saver
from contsemi.pipeline.setting import Setting
from contsemi.pipeline.standing import Place
from contsemi.pipeline.tally import Tally
from contsemi.pipeline.watch import Watch


def learn(setting: Setting, learner: Learner, pieces: int) -> dict[str, Any]:
    """Trains a learner on the tasks that are left, evaluates after each, and saves on the way.

    Args:
        setting: the run.
        learner: of no task yet.
        pieces: into which the rows of a step are split, at least; more than configured after a
            step that was too large.

    Returns:
        The content of ``results.json``.
    """
    config, signals = setting.config, setting.signals
    tally, interval = Tally(), Interval(config.checkpoint.seconds)
    account = Account(setting, tally)
    saver = Saver(setting, learner, account, tally, interval)
    learner.pieces = pieces
    goes_on = config.resume == "auto" or pieces > config.batch.pieces
    restored = saver.restore() if goes_on else None
    account.open(anew=restored is None)
    account.show_header()
    place = restored or Place(0)
    watch = Watch(setting, tally, interval, save=saver.save)
    watch.accuracies = account.accuracies(place.task)
    # The watch saves and may stop the run, so what a step leaves behind is written before it.
    asked = learner.inference
    hooks = HookList([*account.traces(asked), watch, *account.truth()])
    tally.begin()
    interval.begin()
    if restored is None:
        account.study.begin(asked)
    show_chosen(setting)
    noted = [""]
    for task in range(place.task, setting.tasks):
        began = time.monotonic()
        if not place.begun:
            choose_labels(setting, learner, task, tally.steps)
        experience = setting.stream.experiences[task]
        if not place.trained:
            with signals.patient():
                fit(learner, experience, setting.stream.images, hooks, place.inside)
                refuse_apart(setting.ranks, experience.index, _shared(learner))
                _note_memory(account, learner, experience.index)  # the share left out is not saved
                # So that a kill in a long evaluation repeats the evaluation alone.
                saver.save(Place(experience.index, trained=True))
            signals.stop_if_asked()
        if learner.embeddings.reason not in noted:
            noted.append(learner.embeddings.reason)
            setting.display.note(f"memory.index={noted[-1]}")
        account.measure(asked, experience.index, time.monotonic() - began)
        place = Place(experience.index + 1)
        watch.accuracies = account.accuracies(place.task)
        with signals.patient():
            saver.save(place)
        signals.stop_if_asked()
    return account.finish(
        memory=kept_bytes(learner),
        pieces=learner.pieces,
        without_exemplars=without_exemplars(learner),
    )


def _note_memory(account: Account, learner: Learner, task: int) -> None:
    """What the memory left out of a task, and which classes it has nothing of."""
    if (left_out := learner.inference.decides.left_out) is not None:
        account.note_left_out(left_out, task)
    account.note_without_exemplars(without_exemplars(learner), task)


def learn_baseline(setting: Setting) -> dict[str, Any]:
    """Goes through all tasks with a strategy of Avalanche, whose state cannot be saved.

    Args:
        setting: the run.

    Returns:
        The content of ``results.json``.
    """
    tally, signals = Tally(), setting.signals
    account = Account(setting, tally)
    account.show_header()
    setting.display.note(
        "a baseline of Avalanche is not saved on the way: after an interruption "
        "the same command starts it anew"
    )
    # Avalanche takes seconds to import: the header stands on the screen by then.
    from contsemi.strategies.baselines import Baseline

    baseline = Baseline(setting.config, setting.stream.experiences, setting.stream.images)
    account.open(anew=True)
    signals.then = "starts this baseline anew"
    account.study.begin(baseline)
    traces = account.traces(baseline)
    if traces and not baseline.method.inside:
        traces = []
        setting.display.note(f"{setting.config.method} predicts at the end of a task alone")
    watch = Watch(setting, tally, Interval(0), save=lambda place: None)
    hooks = HookList([*traces, watch])
    tally.begin()
    for task in baseline.tasks:
        began = time.monotonic()
        if not baseline.trains(task):
            method = setting.config.method
            setting.display.note(f"task {task + 1} has no labelled image: {method} learns nothing")
        with signals.patient():
            baseline.train(task, hooks)
        account.note_without_exemplars(baseline.without_exemplars, task)
        account.measure(baseline, task, time.monotonic() - began)
        watch.accuracies = account.accuracies(task + 1)
        signals.stop_if_asked()
    gone = baseline.without_exemplars
    return account.finish(memory=baseline.memory, pieces=1, without_exemplars=gone)


def _shared(learner: Learner) -> dict[str, Mapping[str, Tensor]]:
    """What all processes must have alike when a task is over."""
    return {
        "exemplars": learner.exemplars.state(),
        "embeddings": learner.embeddings.state(),
        "weights": learner.network.state_dict(),
    }
