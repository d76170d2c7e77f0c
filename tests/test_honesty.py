"""What training must not see does not matter to it: change it, and every bit stays the same."""

import json
from dataclasses import replace

import pytest
import torch

from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.storage.checkpoint import Checkpoints
from contsemi.storage.tensors import flatten
from contsemi.views.saliency import spectral_masks

METHODS = ["method=contsemi", "method=suave", "method=finetune"]
WITH_MEMORY = [METHODS[0], "memory.embeddings=40", "distiller.neighbours=5"]
WITH_INDEX = [METHODS[0], "objective.labels_from=both", "memory.anchors=12"]


def train(config, stream, after=lambda task, learner: None, reads_again=False):
    learner = Learner(config, reads_again=reads_again)
    for task, experience in enumerate(stream.experiences):
        fit(learner, experience, stream.images)
        after(task, learner)
    return {name: value.clone() for name, value in flatten(learner.state()).items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(
    params=[*[[m] for m in METHODS], WITH_MEMORY, WITH_INDEX], ids=lambda words: "+".join(words)
)
def words(request):
    return request.param


@pytest.mark.quick(1)
def test_hidden_labels_never_reach_training(words, small, stream_of, tmp_path):
    config = small(*words)
    stream, _ = stream_of(config)
    frozen = tmp_path / "labels.txt"
    frozen.write_text("\n".join(map(str, stream.label_indices.tolist())))
    config = config.model_copy(
        update={"scenario": config.scenario.model_copy(update={"labels": str(frozen)})}
    )

    def scramble(images):
        """Swaps the hidden labels inside each task; which images a task has stays the same."""
        targets = images.targets.clone()
        hidden = torch.ones(len(targets), dtype=torch.bool)
        hidden[torch.from_numpy(stream.label_indices)] = False
        targets[hidden] ^= 1  # digits come in pairs (0, 1), (2, 3), ...
        return replace(images, targets=targets)

    scrambled, _ = stream_of(config, scramble)
    truth, _ = stream_of(config)
    assert same(train(config, truth), train(config, scrambled))


@pytest.mark.thorough
def test_no_image_of_an_earlier_task_is_read(words, small, stream_of):
    config = small(*words)
    stream, _ = stream_of(config)
    once = train(config, stream)
    images = stream.images.clone()

    def forget(task, learner):
        rows = stream.experiences[task].unlabelled
        noise = torch.randint(0, 256, (len(rows), *images.shape[1:]), dtype=torch.uint8)
        images[rows] = noise

    assert same(once, train(config, replace(stream, images=images), forget))
    assert not torch.equal(images, stream.images)


@pytest.mark.thorough
def test_of_earlier_tasks_a_run_reads_its_exemplars_alone(small, stream_of):
    """As above, where exemplars are not copied: and to the same bits as if they were."""
    config = small(*METHODS[:1])
    stream, _ = stream_of(config)
    copied = train(config, stream)
    images, kept = stream.images.clone(), []

    def forget(task, learner):
        earlier = torch.cat([each.unlabelled for each in stream.experiences[: task + 1]])
        rows = earlier[~torch.isin(earlier, learner.exemplars.ids)]
        images[rows] = torch.randint(0, 256, (len(rows), *images.shape[1:]), dtype=torch.uint8)
        kept.append(len(earlier) - len(rows))

    state = train(config, replace(stream, images=images), forget, reads_again=True)
    assert copied.pop("exemplars|images").shape[0] == kept[-1] > 0
    assert same(copied, state)


@pytest.mark.thorough
def test_the_guard_would_notice(small, stream_of):
    """The test above fails for a learner that does read earlier images."""
    config = small(*METHODS[:1])
    stream, _ = stream_of(config)
    once = train(config, stream)
    images = stream.images.clone()

    def spoil(task, learner):
        if task + 1 < len(stream.experiences):
            images[stream.experiences[task + 1].unlabelled] = 0

    assert not same(once, train(config, replace(stream, images=images), spoil))


def test_no_test_image_influences_training(small, tmp_path, monkeypatch):
    from contsemi import data, pipeline

    load = data.load
    states = []
    for noisy in (False, True):

        def spoiled(section, dataset, check=None, noisy=noisy):
            train_images, test = load(section, dataset, check)
            pixels = 255 - test.images if noisy else test.images
            return train_images, replace(test, images=pixels)

        monkeypatch.setattr(data, "load", spoiled)
        folder = tmp_path / str(noisy)
        pipeline.run(small(f"output={folder}", "optim.epochs=1"))
        checkpoints = Checkpoints(folder / "checkpoints")
        checkpoints.run = json.loads(checkpoints.manifest.read_text())["body"]["run"]
        state, record = checkpoints.load()
        states.append((flatten(state), record["matrices"]))
    assert same(states[0][0], states[1][0])
    assert states[0][1] != states[1][1]


@pytest.mark.parametrize("how", ["random", "swap"])
@pytest.mark.quick(1)
def test_backgrounds_and_foregrounds_are_of_the_present_task_alone(how, small, stream_of):
    """All images but the present task's are noise at any time, those of later tasks too."""
    policy = "views.policies.large"
    size = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1")
    words = (f"{policy}.background={how}", f"{policy}.background_probability=0.5")
    config = small("method=mochi", *size, *words)
    stream, _ = stream_of(config)
    images = torch.cat([stream.images, spectral_masks(stream.images)[:, None]], dim=1)
    once = train(config, replace(stream, images=images))
    shown = torch.empty_like(images)

    def show(task):
        noise = torch.randint(0, 256, shown.shape, dtype=torch.uint8)
        shown.copy_(noise)
        if task < len(stream.experiences):
            of_task = stream.experiences[task]
            rows = torch.cat([of_task.unlabelled, of_task.labelled])
            shown[rows] = images[rows]

    show(0)
    apart = train(config, replace(stream, images=shown), lambda task, learner: show(task + 1))
    assert same(once, apart)


WILD = ("scenario=digits_wild", "optim.epochs=1", "batch.unlabelled=96", "memory.exemplars=40")


@pytest.mark.thorough
def test_a_wild_stream_with_other_hidden_labels_is_the_same(small, stream_of, tmp_path):
    """Pools are given by lists, and every label that is not bought changes within its task."""
    config = small(*WILD)
    stream, _ = stream_of(config)
    known = torch.cat([each.labelled for each in stream.experiences])

    def listed(name, rows):
        lines = (" ".join(map(str, each.tolist())) for each in rows)
        (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))

    held = [[stream.class_order[c] for c in e.columns] for e in stream.experiences]
    (tmp_path / "classes.txt").write_text("".join(f"{','.join(map(str, x))}\n" for x in held))
    listed("labelled", [each.labelled for each in stream.experiences])
    listed("unlabelled", [each.unlabelled for each in stream.experiences])
    keys = {"lists": str(tmp_path), "tasks": None, "classes": None, "recurrence": None}
    keys |= {"novel": 0.0, "blur": 0.0, "unlabelled": "current"}
    scenario = config.scenario.model_copy(update=keys)
    images = int((stream.label_indices >= 0).sum())
    states = []
    for scrambled in (False, True):

        def changed(train_images, scrambled=scrambled):
            targets = train_images.targets.clone()
            hidden = torch.ones(len(targets), dtype=torch.bool)
            hidden[known] = False
            if scrambled:
                shuffled = targets[hidden]
                targets[hidden] = shuffled[torch.randperm(len(shuffled))]
            return replace(train_images, targets=targets)

        ratio = f"{images}/{_open(stream, changed)}"
        update = {"scenario": scenario, "label_ratio": ratio}
        states.append(train(config, stream_of(config.model_copy(update=update), changed)[0]))
    assert same(*states)


def _open(stream, change):
    """Images of the classes that have labels."""
    from contsemi.data.sources import digits

    targets = change(digits.load(None)[0]).targets
    return int(torch.isin(targets, torch.tensor(stream.class_order)).sum())
