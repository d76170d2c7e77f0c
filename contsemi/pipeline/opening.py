"""A run is opened: its processes meet, its folder is locked, its images and tasks are there."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contsemi import data
from contsemi.config import Config
from contsemi.data.alike import alike
from contsemi.data.annotator import Annotator
from contsemi.data.class_draw import refuse_too_few
from contsemi.data.coarse import with_hierarchy
from contsemi.data.imageset import ImageSet, Named
from contsemi.data.masks import wanted, with_masks
from contsemi.data.plan import plan
from contsemi.data.scenario import Stream, TestSet, build
from contsemi.data.validation import held_out
from contsemi.devices.environment import said_once
from contsemi.devices.meeting import (
    all_or_none,
    meet,
    one_first,
    refuse_differing,
    tell_json,
    too_large_for_all,
)
from contsemi.devices.precision import choose_device, choose_precision, set_deterministic
from contsemi.devices.ranks import Ranks
from contsemi.devices.room import out_of_memory
from contsemi.devices.threads import Threads
from contsemi.devices.trial import settled
from contsemi.errors import Diverged, InputError, Interrupted, OutOfDeviceMemory, article
from contsemi.labels import LabelBudget
from contsemi.labels.choices.choice import Choice
from contsemi.learner.learner import Learner
from contsemi.learner.parts import (
    origin_of,
    refuse_without_coarse,
    refuse_without_exemplars,
    refuse_without_labels,
)
from contsemi.pipeline.asked import refuse_without_room
from contsemi.pipeline.choosing import coarse_facts
from contsemi.pipeline.finished import show_results
from contsemi.pipeline.footprint import state_bytes
from contsemi.pipeline.setting import Setting
from contsemi.pipeline.signals import Signals
from contsemi.pipeline.smaller_parts import with_smaller_parts
from contsemi.pipeline.standing import bound, refuse_if_no_room
from contsemi.pipeline.tasks import learn, learn_baseline
from contsemi.pipeline.tracking import tracker
from contsemi.pipeline.uneven import uneven
from contsemi.pipeline.unread import notes
from contsemi.pipeline.work import fix_threads
from contsemi.records.manifest import manifest
from contsemi.records.records import NoRecords, Records
from contsemi.report.screen.console import Display, shown_by
from contsemi.storage.folder import OutputFolder
from contsemi.stores.store import image_bytes
from contsemi.types import Experience
from contsemi.views.saliency import spectral_masks, usable_masks

# What the images and labels of all processes have in common.
_SHARED = ("dataset_digests", "label_digest", "class_order", "precision", "versions")
# A process that was killed just now, and is started again, may hold its lock a while yet.
_LOCK_SECONDS = 10.0


def run(config: Config, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Trains and evaluates a whole stream, or goes on with it, and writes its output folder.

    Args:
        config: the run; ``output`` must be set.
        given: keys that somebody asked for, and the values that they have else: one of them that
            this run would not read is refused.

    Returns:
        The content of ``results.json``.

    Raises:
        ContsemiError: see :mod:`contsemi.errors`.
        Interrupted: a signal came; the same call goes on.
    """
    if not isinstance(config, Config):
        problem = f"expected a configuration, got {article(type(config).__name__)}"
        raise InputError("pipeline.run(config)", problem, "give contsemi.compose.load([...])")
    if config.output is None:
        raise InputError("output", "is required", "give output=FOLDER")
    plain = config.model_dump() | {"label_ratio": str(LabelBudget.parse(config.label_ratio))}
    set_deterministic(config.deterministic)
    ranks = meet(config.device, baseline=config.is_baseline)
    signals = Signals(ranks.agree)
    with said_once(Diverged, Interrupted), signals.caught(), ExitStack() as stack:
        display = stack.enter_context(shown_by(config.display, ranks.first, stack))
        signals.tell = display.note
        patience = 0 if ranks.alone else _LOCK_SECONDS
        folder = OutputFolder(Path(config.output), plain, patience, bound=bound)
        with all_or_none(ranks):
            refuse_differing(ranks, "ranks", bound(plain) | {"resume": config.resume})
            if ranks.first:
                stack.enter_context(folder)
        if ranks.agree(folder.finished):
            return tell_json(ranks, _show_finished(display, folder) if ranks.first else {})
        with all_or_none(ranks):
            _refuse_without_room(config, ranks, given or {})
        learners = _Learners(config, ranks)
        setting = _open(config, plain, given or {}, ranks, display, folder, signals, learners)
        with setting.records:
            return _learn(setting, learners)


def _refuse_without_room(
    config: Config, ranks: Ranks, given: Mapping[str, Any], images: int | None = None
) -> None:
    """Refuses what the machine's own memory cannot hold, where the networks lie in it."""
    if choose_device(config.device, ranks).type == "cpu":
        refuse_without_room(config, given, images, ranks.size)


class _Learners:
    """Makes a learner for each attempt; the first one also shows whether one can be made."""

    def __init__(self, config: Config, ranks: Ranks) -> None:
        self.config, self.ranks = config, ranks
        self.first: Learner | None = None

    def make_first(self, config: Config) -> Learner:
        """Makes the learner of the first attempt, and all others by the same configuration."""
        self.config = config
        self.first = self()
        return self.first

    def __call__(self) -> Learner:
        """The next attempt's; nothing here refers to it, so that it goes when the attempt does."""
        learner, self.first = self.first, None
        return learner or Learner(self.config, self.ranks, reads_again=True)


def _open(
    config: Config,
    plain: dict[str, Any],
    given: Mapping[str, Any],
    ranks: Ranks,
    display: Display,
    folder: OutputFolder,
    signals: Signals,
    learners: _Learners,
) -> Setting:
    """Loads the images and divides them; nothing is written yet, and the folder is locked."""
    with all_or_none(ranks):
        device = choose_device(config.device, ranks)
        threads = fix_threads(config, device, ranks.local_size)
        budget, choice = LabelBudget.parse(config.label_ratio), Choice.named(config.labels)
        train, test, stream, budget = _divided(config, ranks, budget, choice, given)
        annotator = _annotator(config, stream, budget, choice, train, test)
    config, found = settled(config, ranks)  # on the threads of the run; it takes seconds
    with all_or_none(ranks):
        learner = None if config.is_baseline else learners.make_first(config)
        if learner is not None:
            refuse_without_exemplars(config, learner.objective)
            refuse_without_coarse(config, learner.objective, stream.experiences[0].num_coarse)
            keeps = learner.reads_embeddings and config.memory.embeddings > 0
            refuse_without_labels(config, learner.objective, keeps_rows=keeps)
        idle = notes(config, learner, given, stream.experiences)
        said = (*train.remarks, *stream.remarks, *alike(train.classes, "give them one name"))
        for each in (*said, *uneven(config, stream), *idle, *found):
            display.note(each)
    outside = {"outside": stream.outside_digest} if stream.outside_digest else {}
    facts = _facts(config, stream, device, threads) | {
        "ranks": ranks.size,
        "dataset_digests": {"train": train.digest, "test": test.digest} | outside,
        "pretrained": None if learner is None else origin_of(config, learner.network),
        "config": plain,
    }
    with all_or_none(ranks):
        refuse_differing(ranks, "data.root", {key: facts[key] for key in _SHARED})
        folder.refuse_other_images(facts)
        if learner is not None and ranks.first:
            image, classes = image_bytes(stream.images), len(stream.class_order)
            refuse_if_no_room(folder.path, state_bytes(learner, config, image, classes))
    records = (Records if ranks.first else NoRecords)(folder.path)
    records.tracker = tracker(config, folder.path) if ranks.first else None
    return Setting(
        config=config,
        ranks=ranks,
        facts=facts,
        stream=stream,
        train_targets=train.targets,
        test_images=test.images,
        display=display,
        folder=folder,
        records=records,
        signals=signals,
        threads=threads,
        choice=choice,
        annotator=annotator,
    )


def _divided(
    config: Config,
    ranks: Ranks,
    budget: LabelBudget,
    choice: Choice,
    given: Mapping[str, Any],
) -> tuple[ImageSet, ImageSet, Stream, LabelBudget]:
    """The images for training and for the test, the stream made of them, and the labels for it."""

    def check(train: Named, test: Named) -> None:
        plan(config.scenario, budget, choice, config.seed, train, test)  # refuses what does not fit
        _refuse_without_room(config, ranks, given, len(train.targets))

    load = partial(data.load, config.data, config.scenario.dataset, check)
    train, test = one_first(ranks, load)
    train, tested = with_hierarchy(train, config.scenario.hierarchy), None
    labelled = None
    if share := config.scenario.validation:
        made = plan(config.scenario, budget, choice, config.seed, train.named, test.named)
        allowed = made.coming.may_be_labelled(train.targets.numpy())
        tested = test
        train, test, budget, labelled = held_out(
            train, budget, share, labelled=made.labelled, allowed=allowed, seed=config.seed
        )
    if wanted(config.views) is not None:
        add = partial(with_masks, train, config.views.masks, config.data.cache, _masks)
        train = one_first(ranks, add)
    stream = build(
        config.scenario,
        budget,
        train,
        test,
        config.seed,
        data=config.data,
        choice=choice,
        coarse_ratio=config.coarse_ratio,
        tested=tested,
        labelled=labelled,
    )
    refuse_too_few(stream.experiences, config.batch.classes_per_step)
    return train, test, stream, budget


def _masks(images: Tensor) -> Tensor:
    """Foreground by the images' spectra, where it is of a believable size."""
    return usable_masks(spectral_masks(images))


def _annotator(
    config: Config,
    stream: Stream,
    budget: LabelBudget,
    choice: Choice,
    train: ImageSet,
    test: ImageSet,
) -> Annotator | None:
    """Who sells labels before each task; ``None`` where all of them are known from the start.

    Raises:
        InputError: labels are to be chosen by a network, and a baseline has none for it.
    """
    if not choice.asks_network or len(stream.label_indices):
        return None
    if config.is_baseline:
        name = config.labels["name"]
        problem = f"{name} asks the network before each task, and a strategy of Avalanche is not"
        fix = "give it the labels.txt of another run: scenario.labels=FILE"
        raise InputError("labels", problem, fix)
    made = plan(config.scenario, budget, choice, config.seed, train.named, test.named)
    known = train.targets, train.coarse, config.coarse_ratio
    return Annotator(stream, made, *known, seed=config.seed)


def _facts(
    config: Config, stream: Stream, device: torch.device, threads: Threads
) -> dict[str, Any]:
    """The content of ``manifest.json``, as far as these decide it."""
    precision = choose_precision(config.precision, device)
    return manifest(
        seed=config.seed,
        class_order=list(stream.class_order),
        class_names=list(stream.class_names),
        labelled=len(stream.label_indices),
        label_digest=stream.label_digest,
        device=_device_name(device),
        threads=threads.number,
        tasks=[
            _held(experience, test, facts, len(stream.class_order))
            for experience, test, facts in zip(
                stream.experiences, stream.test, stream.facts, strict=True
            )
        ],
        label_indices=stream.label_indices.tolist(),
        **coarse_facts(stream.experiences),
        precision=str(precision).removeprefix("torch."),
    )


def _learn(setting: Setting, learners: _Learners) -> dict[str, Any]:
    """Goes through the tasks, in smaller pieces where the device has no memory for a step."""
    config, ranks = setting.config, setting.ranks

    def attempt(pieces: int) -> dict[str, Any]:
        if config.is_baseline:
            return learn_baseline(setting)
        meet(config.device)  # again, where they have parted
        with too_large_for_all(ranks):
            return learn(setting, learners(), ranks.agree(pieces))

    try:
        return with_smaller_parts(attempt, config.batch.pieces, setting.display.note)
    except RuntimeError as error:
        if "deterministic" in str(error) and config.deterministic:
            problem = f"an operation has no such form ({str(error).splitlines()[0][:150]})"
            raise InputError("deterministic", problem, "use deterministic=false") from error
        if not out_of_memory(error):
            raise
        device = choose_device(config.device, setting.ranks)
        raise OutOfDeviceMemory(
            f"device={device}: out of memory; lower batch.unlabelled, batch.labelled or batch.test"
        ) from error


def _show_finished(display: Display, folder: OutputFolder) -> dict[str, Any]:
    other = ", ".join(folder.made_with("device", "threads"))
    before = f" with {other}" if other else ""
    display.note(
        f"this run was finished before{before}, and its images were not read again; "
        "resume=never or another output= trains anew"
    )
    return show_results(display, folder.path)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def _held(
    experience: Experience, test: TestSet, facts: dict[str, Any], classes: int
) -> dict[str, Any]:
    """What a task holds, for the page: its classes, and how many images there are of each kind."""
    return {
        "columns": list(experience.columns),
        "labelled": len(experience.labelled),
        "unlabelled": len(experience.unlabelled),
        "test": len(test.indices),
        "labels": torch.bincount(experience.labels, minlength=classes).tolist(),
        **facts,
    }
