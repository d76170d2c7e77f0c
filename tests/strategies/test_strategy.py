import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from avalanche.core import SupervisedPlugin

from contsemi import compose
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, fit
from contsemi.strategies import SemiSupervisedStrategy
from contsemi.strategies.streams import ImageRows, assemble, task_of

EVENTS = [name for name in dir(SupervisedPlugin) if name.startswith(("before_", "after_"))]


class Spy(SupervisedPlugin):
    """Writes down the name of every callback."""

    def __init__(self):
        super().__init__()
        self.events = []
        for name in EVENTS:
            setattr(self, name, lambda strategy, *_, _name=name, **__: self.events.append(_name))


class At(SupervisedPlugin):
    """Calls a function at some events and keeps what it returns."""

    def __init__(self, function, *events):
        super().__init__()
        self.kept = []
        for name in events:
            setattr(self, name, lambda strategy, *_, **__: self.kept.append(function(strategy)))


class Watch(Hooks):
    """Calls a function of the loop before each backward pass and keeps what it returns."""

    def __init__(self, function):
        self.function, self.kept = function, []

    def before_backward(self, loop):
        self.kept.append(self.function(loop))


def weights(strategy):
    return {name: value.clone() for name, value in strategy.learner.network.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# Order


def test_callbacks_come_in_the_order_of_avalanches_own_strategy(ours, make_strategy):
    from avalanche.training.supervised import Naive

    experiences = list(ours.train_stream)[:2]
    own, theirs = Spy(), Spy()
    strategy = make_strategy(own, eval_every=1, overrides=["batch.unlabelled=64"])
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 10))
    naive = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=4,
        train_epochs=2,
        eval_mb_size=512,
        plugins=[theirs],
        evaluator=strategy.evaluator,
        eval_every=1,
    )
    for experience in experiences:
        assert len(task_of(experience).experience.unlabelled) // 64 == 4
        assert -(-len(experience.dataset) // 4) == 4
        for each in (strategy, naive):
            each.train(experience, eval_streams=[ours.test_stream])
            each.eval(ours.test_stream)
    assert own.events == theirs.events
    assert set(own.events) == set(EVENTS)
    for counter in ("train_iterations", "train_exp_counter", "total_iterations"):
        assert getattr(strategy.clock, counter) == getattr(naive.clock, counter)


def test_avalanche_changes_nothing_in_what_is_learned(ours, make_strategy, tiny_config):
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin

    metrics = EvaluationPlugin(accuracy_metrics(minibatch=True, stream=True), loggers=[Quiet()])
    strategy = make_strategy(method="contsemi", evaluator=metrics, eval_every=1)
    learner = Learner(tiny_config("contsemi"))
    for experience in list(ours.train_stream)[:2]:
        strategy.train(experience)
        task = task_of(experience)
        fit(learner, task.experience, task.images)
    assert same(weights(strategy), learner.network.state_dict())


class Quiet:
    """A logger that takes everything and says nothing."""

    def log_metrics(self, values):
        pass


def test_the_users_own_hooks_see_the_loss_after_the_plugins(ours, make_strategy):
    def double(strategy):
        strategy.loss = 2 * strategy.loss
        return float(strategy.loss.detach())

    plugin, hook = At(double, "before_backward"), Watch(lambda loop: float(loop.loss.detach()))
    make_strategy(plugin, hooks=[hook]).train(ours.train_stream[0])
    assert len(plugin.kept) == 8
    assert hook.kept == plugin.kept


# Plugins


@pytest.mark.thorough
def test_ewcs_penalty_is_in_the_loss_and_holds_the_weights(ours, make_strategy):
    from avalanche.training.plugins import EWCPlugin

    def drift(strength):
        before, after = (At(lambda s: float(s.loss.detach()), "before_backward") for _ in range(2))
        strategy = make_strategy(before, EWCPlugin(strength), after)
        strategy.train(ours.train_stream[0])
        assert before.kept == after.kept
        start = dict(strategy.learner.network.backbone.named_parameters())
        start = {name: value.detach().clone() for name, value in start.items()}
        strategy.train(ours.train_stream[1])
        added = [b - a for a, b in zip(before.kept, after.kept, strict=True)][8:]
        end = strategy.learner.network.backbone.state_dict()
        return added, sum(float((end[name] - start[name]).square().sum()) for name in start)

    none, free = drift(0.0)
    penalties, held = drift(1e5)
    assert none == [0.0] * 8
    assert penalties[0] == 0  # nothing has moved yet
    assert all(penalty > 0 for penalty in penalties[2:])  # and the warm-up starts at rate 0
    assert held < 0.8 * free


def test_ewc_leaves_no_gradient_behind_and_sees_finite_importances(ours, make_strategy):
    from avalanche.training.plugins import EWCPlugin

    plugin = EWCPlugin(1.0)
    strategy = make_strategy(plugin)
    strategy.train(ours.train_stream[0])
    importances = [value.data for value in plugin.importances[0].values()]
    assert all(value.isfinite().all() for value in importances)
    assert sum(float(value.sum()) for value in importances) > 0
    assert all(p.grad is None for p in strategy.model.parameters())


def test_a_plugins_loss_is_what_is_differentiated(ours, make_strategy):
    def nothing(strategy):
        strategy.loss = strategy.loss * 0

    gradients = At(
        lambda s: sum(
            float(p.grad.abs().sum()) for p in s.model.parameters() if p.grad is not None
        ),
        "after_backward",
    )
    make_strategy(At(nothing, "before_backward"), gradients).train(ours.train_stream[0])
    assert gradients.kept == [0.0] * 8


def test_replays_batches_are_what_is_trained_on(ours, make_strategy):
    from avalanche.training.plugins import ReplayPlugin

    hook = Watch(lambda loop: (loop.batch, loop.step))
    shown = At(lambda s: (s.mb_x.clone(), s.mb_y.clone()), "before_forward")
    replay = ReplayPlugin(mem_size=10)
    strategy = make_strategy(replay, shown, hooks=[hook], overrides=["batch.labelled=6"])
    strategy.train(ours.train_stream[0])
    old = torch.stack([replay.storage_policy.buffer[i][0] for i in range(10)])
    new = torch.stack([item[0] for item in ours.train_stream[1].dataset])
    num_first = len(task_of(ours.train_stream[0]).class_ids)
    assert all((batch.labels < num_first).all() for batch, _ in hook.kept)
    hook.kept.clear()
    shown.kept.clear()
    strategy.train(ours.train_stream[1])
    ids = torch.tensor(task_of(ours.train_stream[1]).class_ids)
    assert len(hook.kept) == 8
    for (batch, step), (x, y) in zip(hook.kept, shown.kept, strict=True):
        from_memory = batch.labels < num_first
        assert from_memory.any()
        assert not from_memory.all()
        assert len(batch.labels) > 6
        assert torch.equal(ids[batch.labels], y)
        assert torch.equal(step.labels, batch.labels)
        assert torch.equal((x * 255).round().to(torch.uint8), batch.images["labelled"])
        for image, remembered in zip(x, from_memory, strict=True):
            assert (image == (old if remembered else new)).flatten(1).all(1).any()
    assert strategy.learner.labelled_source is None


def test_a_plugin_that_changes_the_dataset_is_heeded(ours, make_strategy):
    def take_two(strategy):
        strategy.adapted_dataset = strategy.adapted_dataset.subset([0, 1])

    images = At(lambda s: s.mb_x.flatten(1).unique(dim=0), "before_forward")
    plugin = At(take_two, "after_train_dataset_adaptation")
    strategy = make_strategy(plugin, images, overrides=["batch.labelled=6"])
    strategy.train(ours.train_stream[0])
    expected = torch.stack([ours.train_stream[0].dataset[i][0] for i in range(2)])
    assert all(torch.equal(x, expected.flatten(1).unique(dim=0)) for x in images.kept)


def test_a_plugin_may_put_rows_into_the_mini_batch(ours, make_strategy):
    extra = torch.full((1, 3, 8, 8), 0.2)

    def add(strategy):
        y = strategy.mbatch[1]
        strategy.mbatch[0] = torch.cat([strategy.mbatch[0], extra])
        strategy.mbatch[1] = torch.cat([y, y[:1]])

    hook = Watch(
        lambda loop: (
            int(loop.batch.images["labelled"][-1].unique()),
            len(loop.step.student("labelled")),
        )
    )
    outputs = At(lambda s: len(s.mb_output) - len(s.mb_y), "after_forward")
    strategy = make_strategy(
        At(add, "before_forward"), outputs, hooks=[hook], overrides=["batch.labelled=6"]
    )
    strategy.train(ours.train_stream[0])
    assert hook.kept == [(51, 7)] * 8
    assert outputs.kept == [0] * 8


def test_lwf_distils_from_the_model_of_the_past(ours, make_strategy):
    from avalanche.training.plugins import LwFPlugin

    before, after = (At(lambda s: float(s.loss.detach()), "before_backward") for _ in range(2))
    strategy = make_strategy(before, LwFPlugin(alpha=1.0, temperature=2.0), after)
    strategy.train(list(ours.train_stream)[:2])
    added = [b - a for a, b in zip(before.kept, after.kept, strict=True)]
    assert added[:8] == [0.0] * 8
    assert all(penalty > 0 for penalty in added[8:])


def test_stop_training_is_honoured(ours, make_strategy):
    def stop_at_third(strategy):
        if strategy.clock.train_exp_iterations == 2:
            strategy.stop_training()

    spy = Spy()
    strategy = make_strategy(At(stop_at_third, "before_update"), spy, overrides=["optim.epochs=5"])
    strategy.train(ours.train_stream[0])
    assert spy.events.count("after_update") == 3
    assert spy.events.count("after_training_epoch") == 1
    assert spy.events.count("before_training_epoch") == 2
    strategy.plugins = [plugin for plugin in strategy.plugins if not isinstance(plugin, At)]
    strategy.train(ours.train_stream[1])  # the next task is trained in full
    assert spy.events.count("after_update") == 3 + 20


# What plugins see


def test_the_mini_batch_is_the_labelled_rows_by_class_id(ours, make_strategy):
    def look(strategy):
        assert strategy.mb_x.dtype == torch.float32
        assert strategy.mb_x.shape[1:] == (3, 8, 8)
        assert len(strategy.mb_x) == len(strategy.mb_y) == len(strategy.mb_task_id)
        assert strategy.mb_output.shape == (len(strategy.mb_y), 10)
        assert strategy.loss.shape == (1,)
        return set(strategy.mb_y.tolist()), set(strategy.mb_output.argmax(1).tolist())

    plugin = At(look, "before_backward")
    strategy = make_strategy(plugin, overrides=["memory.exemplars=0"])
    assert strategy.optimizer is None
    strategy.train(list(ours.train_stream)[:2])
    first = {c for labels, _ in plugin.kept[:8] for c in labels}
    second = {c for labels, _ in plugin.kept[8:] for c in labels}
    predicted = {c for _, classes in plugin.kept[8:] for c in classes}
    assert first == {3, 8}
    assert second == {0, 6}
    assert predicted <= {3, 8, 0, 6}
    assert strategy.optimizer is strategy.learner.optimizer


def test_each_row_comes_with_the_task_label_of_its_image(digit_datasets, make_strategy):
    from avalanche.benchmarks import nc_benchmark

    from contsemi.strategies import semi_supervised

    aware = nc_benchmark(*digit_datasets, 5, task_labels=True, seed=0)
    made = semi_supervised(aware, label_ratio="5%")
    of_class = {c: e.task_label for e in made.train_stream for c in e.classes_in_this_experience}
    assert sorted(of_class.values()) == [t for t in range(5) for _ in range(2)]
    plugin = At(lambda s: (s.mb_task_id.tolist(), s.mb_y.tolist()), "before_forward")
    make_strategy(plugin).train(list(made.train_stream)[:2])
    rows = [pair for tasks, ids in plugin.kept for pair in zip(tasks, ids, strict=True)]
    assert all(task == of_class[class_id] for task, class_id in rows)
    assert {task for tasks, _ in plugin.kept[-4:] for task in tasks} == {0, 1}  # exemplars, too


def test_the_loader_says_how_long_an_epoch_is_and_can_be_read(ours, make_strategy):
    def look(strategy):
        rows = torch.cat([batch[1] for batch in strategy.dataloader])
        return len(strategy.dataloader), sorted(rows.tolist())

    plugin = At(look, "before_training_exp", "before_training_epoch")
    make_strategy(plugin).train(ours.train_stream[0])
    assert plugin.kept == [(4, sorted(ours.train_stream[0].dataset.targets))] * 3


def test_a_task_without_labels_is_trained_without_metrics(two_tasks, make_strategy):
    from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
    from avalanche.training.plugins import EvaluationPlugin

    images, (first, second) = two_tasks
    bare = replace(second, labelled=second.labelled[:0], labels=second.labels[:0])
    test = ImageRows(torch.arange(4), torch.arange(4), torch.zeros(4, dtype=torch.int64))
    benchmark = assemble(images, [first, bare], [0, 1, 2, 3], images, [test])
    evaluator = EvaluationPlugin(
        accuracy_metrics(minibatch=True, epoch=True),
        loss_metrics(minibatch=True),
        loggers=[Quiet()],
    )
    spy = Spy()
    strategy = make_strategy(spy, evaluator=evaluator, overrides=["memory.exemplars=0"])
    strategy.train(list(benchmark.train_stream))
    assert len(evaluator.get_all_metrics()["Loss_MB/train_phase/train_stream"][1]) == 2
    assert spy.events.count("after_update") == 4


def test_a_plain_benchmark_is_refused_before_anything_happens(theirs, make_strategy):
    strategy = make_strategy()
    before = weights(strategy)
    with pytest.raises(InputError, match="semi_supervised"):
        strategy.train(theirs.train_stream[0])
    assert same(before, weights(strategy))


def test_going_on_inside_a_task(ours, tiny_config):
    task = task_of(ours.train_stream[0])
    whole = Learner(tiny_config())
    fit(whole, task.experience, task.images)
    learner = Learner(tiny_config())
    learner.begin(task.experience, task.images)
    for step in range(6):
        loss, _ = learner.loss(learner.forward(learner.batch(step // 4, step % 4)))
        learner.backward(loss)
        learner.update()
    spy = Spy()
    strategy = SemiSupervisedStrategy(learner=learner, plugins=[spy], evaluator=None)
    strategy.train(ours.train_stream[0], start=(1, 2))
    assert spy.events.count("after_update") == 2
    assert same(weights(strategy), whole.network.state_dict())


@pytest.mark.thorough
def test_importing_contsemi_does_not_import_avalanche():
    code = "import contsemi, contsemi.learner.loop, sys; sys.exit('avalanche' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_method_that_trains_nothing_still_predicts(ours):
    config = compose.load(["method=pixel_knn", "device=cpu", "memory.exemplars=200"])
    spy = Spy()
    strategy = SemiSupervisedStrategy(config=config, plugins=[spy], evaluator=None)
    strategy.train(list(ours.train_stream))
    assert "before_forward" not in spy.events
    assert spy.events.count("after_training_exp") == 5
    supports = torch.cat([e.rows.images[e.rows.indices] for e in ours.train_stream])
    ids = torch.cat([e.rows.targets for e in ours.train_stream])
    rows = ours.test_stream[2].rows
    queries = rows.images[rows.indices]
    nearest = torch.cdist(queries.flatten(1).float(), supports.flatten(1).float()).argmin(1)
    with torch.no_grad():
        predicted = strategy.model(queries).argmax(1)
    assert (predicted == ids[nearest]).float().mean() > 0.98  # ties apart
