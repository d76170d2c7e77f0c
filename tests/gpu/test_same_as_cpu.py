"""What a run computes on a GPU is what it computes on a CPU, and its steps wait for nothing."""

from collections import Counter

import pytest
import torch

from contsemi import compose, run
from contsemi.assign.affinity import affinity_graph
from contsemi.compose import resources
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.storage.checkpoint import Checkpoints
from contsemi.stores.resident import Resident
from contsemi.strategies.baselines import Baseline
from contsemi.views import Augment
from contsemi.views.draws import Draws
from contsemi.views.plan import draw_plan

METHODS = sorted(path.stem for path in (resources.conf() / "method").glob("*.yaml"))
BASELINES = sorted(
    path.stem for path in (resources.conf() / "baseline").glob("*.yaml") if path.stem != "none"
)
OWN = [name for name in METHODS if name not in BASELINES]
QUICK = ("contsemi", "dino", "nncsl", "semppl", "si")
SMALL = (
    "scenario.classes=6",
    "scenario.tasks=3",
    "model.width=8",
    "optim.epochs=1",
    "batch.unlabelled=48",
    "precision=fp32",
    "threads=1",
    "display=quiet",
)
# What else takes a way of its own on a GPU
VARIANTS = (
    "nncsl memory.embeddings=40 distiller.whole=true",
    "nncsl memory.embeddings=40 distiller.neighbours=5",
    "nncsl memory.embeddings=40 memory.top_labels=3 distiller.whole=true",
    "nncsl batch.classes_per_step=3 objective.supports_per_class=2",
    "suave distiller=feature",
    "suave predict=moments",
    "contsemi memory.selection=herding",
    "contsemi memory.pseudo_labels=0.5",
    "contsemi batch.pieces=2",
    "contsemi optim.freeze_batch_norm=true",
    "contsemi optim.name=lars optim.clip=1",
    "contsemi views=cifar views.policies.large.size=8 views.policies.small.size=8",
)


def marked(names):
    return [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow, id=n) for n in names]


def composed(device, words):
    method, *others = words.split()
    small = [word for word in SMALL if method != "pixel_knn" or not word.startswith("model.")]
    return compose.load([f"method={method}", f"device={device}", *small, *others])


def steps(device, words, stream_of, gpu=None):
    """Losses of two steps in each of two tasks, what is predicted, and the waits of the steps."""
    config = composed(device, words)
    stream, test = stream_of(config)
    learner = Learner(config)
    losses, waits = [], Counter()
    for experience in stream.experiences[:2]:
        learner.begin(experience, stream.images)
        for step in range(2):
            if not learner.needs.trains:
                continue
            if gpu is not None:
                gpu.waits.clear()
            batch = learner.batch(*divmod(step, learner.steps_per_epoch))
            loss, _ = learner.loss(learner.forward(batch))
            learner.backward(loss)
            learner.update()
            if gpu is not None:
                waits += gpu.waits
            losses.append(loss.detach())
        learner.end()
    weights = [param.detach().cpu() for param in learner.network.parameters()]
    losses = [loss.cpu() for loss in losses]
    return losses, weights, learner.predict(test.images[:50]).cpu(), waits


@pytest.mark.parametrize("words", [*marked(OWN), *marked(VARIANTS)])
@pytest.mark.quick(1)
def test_the_same_steps_without_a_wait(words, stream_of, gpu):
    *expected, _ = steps("cpu", words, stream_of)
    *found, waits = steps("cuda:0", words, stream_of, gpu)
    assert waits == Counter()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("words", ["contsemi", "nncsl"])
@pytest.mark.thorough
def test_images_that_do_not_fit_are_read_ahead_without_a_wait(words, stream_of, gpu, monkeypatch):
    *expected, _ = steps("cuda:0", words, stream_of)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 10, 1 << 10))
    *found, waits = steps("cuda:0", words, stream_of, gpu)
    assert waits == Counter()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_an_array_on_the_gpu_is_read_at_home_when_it_is_there(gpu):
    array = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    home = Resident(array.to("cuda:0"), torch.device("cpu"))
    assert torch.equal(home.take(torch.tensor([1])), array[1:]) and torch.equal(home.all(), array)


def test_the_same_graph_of_affinities_without_a_wait(gpu):
    rows = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    expected = affinity_graph(rows, queries=6, neighbours=3, quantile=0.5)
    there = rows.to("cuda:0")
    gpu.waits.clear()
    found = affinity_graph(there, queries=6, neighbours=3, quantile=0.5)
    assert not gpu.waits
    assert expected.any() and torch.equal(found.cpu(), expected)


@pytest.mark.parametrize("name", marked(BASELINES))
@pytest.mark.thorough
def test_the_same_baselines(name, stream_of, gpu):
    scores = []
    for device in ("cpu", "cuda:0"):
        config = composed(device, name)
        stream, test = stream_of(config)
        baseline = Baseline(config, stream.experiences, stream.images)
        for task in baseline.tasks:
            baseline.train(task, None)
        scores.append(baseline.predict(test.images[:50]).cpu())
    torch.testing.assert_close(*scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("words", ["contsemi", "nncsl memory.embeddings=40 optim.name=lars"])
@pytest.mark.thorough
def test_a_saved_state_goes_on_as_if_never_left(words, stream_of, gpu, tmp_path):
    config = composed("cuda:0", words)
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    learner.begin(stream.experiences[1], stream.images)
    learner.loss(learner.forward(learner.batch(0, 0)))
    Checkpoints(tmp_path).save(learner.state(), {})
    state, _ = Checkpoints(tmp_path).load()
    again = Learner(config)
    again.restore(state, stream.experiences[1], stream.images, learner.step_in_task)
    for each in (learner, again):
        for step in range(2):
            loss, _ = each.loss(each.forward(each.batch(0, step)))
            each.backward(loss)
            each.update()
    pairs = zip(learner.network.parameters(), again.network.parameters(), strict=True)
    assert all(torch.equal(one.cpu(), other.cpu()) for one, other in pairs)


SMOOTH = ("jitter.probability=0.5", "greyscale=0.3", "blur=0.5", "erase=0.5", "rotate=10")
STEPS = ("jitter.probability=0", "solarise=0.5", "equalise=0.5", "shift=0.1")


@pytest.mark.parametrize("drawn", [(*SMOOTH, "solarise=0", "equalise=0"), STEPS], ids=str)
def test_the_same_views_of_every_operation(drawn, gpu):
    views = compose.load(["views=cifar", *(f"views.policies.large.{word}" for word in drawn)]).views
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 32, 32), generator=draw, dtype=torch.uint8)
    plan = draw_plan(views.policies["large"], Draws(draw, 80), 32, fill=views.mean)
    source = torch.arange(40).repeat(2)
    expected = Augment(views).render(images, source, plan)
    gpu.waits.clear()
    there = Augment(views).render(images.to("cuda:0"), source.to("cuda:0"), plan.to("cuda:0"))
    assert not gpu.waits
    # a last bit may carry a value over a threshold or to another level of a histogram
    away = (there.cpu() - expected).abs() > 1e-4
    assert away.double().mean() <= (1e-4 if drawn is STEPS else 0)


def run_here(device, folder, monkeypatch, *words):
    """What a whole run has measured."""
    monkeypatch.setenv("CONTSEMI_NO_REEXEC", "1")
    small = [f"device={device}", f"output={folder}", *SMALL, "evaluate.every_steps=2", *words]
    assert run.main(["method=contsemi", *small]) == 0
    return [(folder / name).read_text() for name in ("accuracy_matrix.csv", "metrics.jsonl")]


@pytest.mark.slow
def test_a_whole_run_measures_the_same(gpu, tmp_path, monkeypatch):
    words = ("evaluate.probes=[knn,linear]", "memory.embeddings=40")
    expected = run_here("cpu", tmp_path / "cpu", monkeypatch, *words)
    assert run_here("cuda:0", tmp_path / "gpu", monkeypatch, *words) == expected
