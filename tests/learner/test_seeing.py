"""Who sees which views of a step, and what is drawn for them."""

from dataclasses import dataclass, replace

import pytest
import torch

from contsemi.blocks.block import Block
from contsemi.learner import learner as learner_module
from contsemi.learner import parts as module
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.learner.seeing import Looks
from contsemi.objectives.objective import Objective
from contsemi.types import Mix, Needs, Teacher, View


class Notes(Block):
    """Writes down when it is refreshed, and what it sees then."""

    def __init__(self, every):
        super().__init__()
        self.refresh_every, self.found = every, []

    def refresh(self, pool):
        self.found.append((pool.outputs("predicting", "classifier"), pool))


@dataclass(kw_only=True, eq=False)
class Asking(Objective):
    needs: Needs
    blocks: tuple[Block, ...] = ()  # none as a field, before there is a module

    def __post_init__(self):
        super().__post_init__()
        self.held = torch.nn.ModuleList(self.blocks)

    def terms(self, step):
        self.last = step
        return {"labels": step.student("labelled")["classifier"].square().mean()}


LABELLED = View(rows="labelled", policy="labelled")


def test_names_stand_in_the_order_of_a_batch():
    """Mixed views come last, as they are made last, and the teacher has unlabelled rows first."""
    both = ("student", "teacher")
    views = {
        "mixed": View(rows="labelled", seen_by=both, mix=Mix(of=("labelled",))),
        "labelled": replace(LABELLED, seen_by=both),
        "guessed": View(rows="unlabelled", policy="large", gradient=False),
        "large": View(rows="unlabelled", policy="large", seen_by=("teacher", "past")),
        "beside": View(rows="unlabelled", policy="large"),
    }
    looks = Looks.of(Needs(views=views, heads=("classifier",), teacher=0.9))
    assert looks.lessons == ("labelled", "beside", "mixed")
    assert looks.guesses == ("guessed",)
    assert looks.teacher == ("large", "labelled", "mixed")
    assert looks.pasts == ("labelled", "large", "beside")
    assert looks.heads == ("classifier",)


@pytest.fixture
def learner_of(small, stream_of, monkeypatch):
    """A learner of needs made by hand, in its first task."""

    def make(needs, *blocks, tasks=0):
        build = module.build_part
        objective = Asking(needs=needs, blocks=blocks)

        def instead(options, base, seed):
            made = (objective, {"labels": 1.0})
            return made if base is Objective else build(options, base, seed)

        monkeypatch.setattr(module, "build_part", instead)
        config = small("distiller=none", "batch.unlabelled=40", "optim.epochs=1")
        config = config.model_copy(update={"predict": {"name": "objective"}})
        stream, _ = stream_of(config)
        learner = Learner(config)
        for each in stream.experiences[:tasks]:
            fit(learner, each, stream.images)
        learner.begin(stream.experiences[tasks], stream.images)
        return learner

    return make


def needs(**views):
    return Needs(views={"labelled": LABELLED} | views, heads=("classifier",))


def test_weak_and_strong_views_are_of_the_same_images_in_the_same_order(learner_of):
    """Policies that leave the image as it is show which one it was."""
    learner = learner_of(
        needs(
            weak=View(rows="unlabelled", policy="weak", number=2),
            strong=View(rows="unlabelled", policy="strong", seen_by=("student", "past")),
        )
    )
    still = {"scale": [1.0, 1.0], "ratio": [1.0, 1.0], "rotate": 0.0, "shift": 0.0, "erase": 0.0}
    crops = learner.augment.config.policies
    calm = crops["weak"].jitter.model_copy(update={"probability": 0.0})
    for name in ("weak", "strong"):
        crops[name] = crops[name].model_copy(update=still | {"jitter": calm})
    batch = learner.batch(0, 0)
    step = learner.forward(batch)
    weak, strong = step.student("weak"), step.student("strong")
    assert len(weak) == 2 * step.batch_size and step.seen["weak"].number == 2
    for view in weak.features.view(2, step.batch_size, -1):
        torch.testing.assert_close(view, strong.features)
    assert torch.equal(step.unlabelled_ids, learner.task.pool_ids[step.places])


@pytest.mark.thorough
def test_each_network_sees_what_it_is_to_see(learner_of):
    learner = learner_of(
        needs(
            guess=View(rows="unlabelled", policy="weak", gradient=False),
            key=View(rows="unlabelled", policy="weak", seen_by=("teacher",)),
            large=View(rows="unlabelled", policy="large", seen_by=("student", "teacher")),
            old=View(rows="unlabelled", policy="large", seen_by=("past",)),
            made=View(rows="unlabelled", mix=Mix(of=("large",))),
        )
        | Needs(teacher=Teacher((0.9, 0.9)), pasts=2),
        tasks=3,
    )
    step = learner.forward(learner.batch(0, 0))
    who = {
        name: (each.student is not None, each.teacher is not None, len(each.past))
        for name, each in step.seen.items()
    }
    assert who == {
        "labelled": (True, False, 2),
        "guess": (True, False, 0),
        "key": (False, True, 0),
        "large": (True, True, 2),
        "old": (False, False, 2),
        "made": (True, False, 0),
    }
    learns = {n: e.student.features.requires_grad for n, e in step.seen.items() if e.student}
    assert learns == {"labelled": True, "guess": False, "large": True, "made": True}
    newest, older = step.seen["large"].past
    assert (newest["classifier"].shape[1], older["classifier"].shape[1]) == (6, 4)
    assert not (newest.features.requires_grad or step.teacher("key").features.requires_grad)


def test_mixed_rows_know_their_partners(learner_of):
    """With a share of one half a row and its partner are the same image."""
    pile = ("labelled", "large")
    learner = learner_of(
        needs(
            large=View(rows="unlabelled", policy="large", number=2),
            every=View(rows="unlabelled", mix=Mix(of=pile, partners="shuffled", alpha=0.75)),
            first=View(rows="unlabelled", mix=Mix(of=("large",), views=2, kept=1)),
            never=View(rows="unlabelled", mix=Mix(of=("large",), views=3)),
        )
    )
    batch = learner.batch(0, 0)
    images = learner_module.make_views(
        batch, learner.needs.views, learner.augment, seed=(0, 0, 0), ranks=learner.ranks
    )
    assert "never" not in images.images
    rows = torch.cat([images.images[name] for name in pile])
    blend = images.blends["every"]
    assert sorted(blend.partners.tolist()) == list(range(len(rows)))
    expected = blend.share * rows + (1 - blend.share) * rows[blend.partners]
    torch.testing.assert_close(images.images["every"], expected)
    size, blend = len(batch.images["unlabelled"]), images.blends["first"]
    assert blend.partners.tolist() == list(range(2 * size - 1, size - 1, -1))
    first, second = images.images["large"].split(size)
    expected = blend.share * first + (1 - blend.share) * second.flip(0)
    torch.testing.assert_close(images.images["first"], expected)
    step = learner.forward(batch)
    assert len(step.student("every")) == len(rows) and len(step.student("first")) == size


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    ("every", "expected"), [("task", 1), ("epoch", 1), (3, 2), (1, 5), (None, 0)]
)
def test_blocks_are_refreshed_when_they_ask_for_it(every, expected, learner_of):
    block = Notes(every)
    learner = learner_of(needs(large=View(rows="unlabelled", policy="large")), block)
    for step in range(5):
        learner.loss(learner.forward(learner.batch(0, step)))
        learner.step_in_task += 1  # nothing is trained here
    assert len(block.found) == expected
    for outputs, pool in block.found:
        assert len(outputs) == len(pool.ids) == len(pool.labels)


def test_a_draw_is_of_the_step_the_task_and_the_purpose_alone(learner_of):
    learner = learner_of(needs())
    first = learner.forward(learner.batch(0, 0)).draw("a").initial_seed()
    again = learner.forward(learner.batch(0, 0))
    assert again.draw("a").initial_seed() == first != again.draw("b").initial_seed()
    learner.step_in_task = 1
    assert learner.forward(learner.batch(0, 1)).draw("a").initial_seed() != first


def test_rows_of_a_coarse_class_alone_are_batches_of_their_own(learner_of):
    learner = learner_of(needs(coarse=View(rows="coarse", policy="weak", number=2)))
    assert "coarse" not in learner.forward(learner.batch(0, 0)).seen
    ids = learner.experience.unlabelled[:7]
    given = {"coarse_only": ids, "coarse_only_labels": torch.arange(7) % 3, "num_coarse": 3}
    known = replace(learner.experience, coarse=learner.experience.labels + 1, **given)
    learner.rows, images = None, learner.task.images.all()
    learner.begin(known, images)
    batch = learner.batch(0, 1)
    step = learner.forward(batch)
    assert torch.equal(batch.coarse["labelled"], step.labels + 1)
    only = step.seen["coarse"].coarse
    size = len(only)
    assert size and len(step.student("coarse")) == 2 * size
    for image, label in zip(batch.images["coarse"], only.tolist(), strict=True):
        place = next(i for i, each in enumerate(ids) if torch.equal(images[each], image))
        assert label == place % 3
