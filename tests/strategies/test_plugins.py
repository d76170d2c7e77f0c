"""Avalanche's own plugins in our strategy: docs/avalanche.md lists which of them run."""

import re
from pathlib import Path

import pytest
import torch

from contsemi.errors import InputError
from contsemi.stores.resident import Resident
from contsemi.strategies import SemiSupervisedStrategy
from contsemi.strategies.doors import UNFIT

PAGE = Path(__file__).parents[2] / "docs" / "avalanche.md"
SMALL = ("optim.lr=0.1", "memory.exemplars=0", "batch.labelled=8", "model.width=4")
RUNS = {
    "AGEMPlugin": {"patterns_per_experience": 10, "sample_size": 8},
    "EWCPlugin": {"ewc_lambda": 100.0},
    "LwFPlugin": {"alpha": 1.0, "temperature": 2.0},
    "MASPlugin": {"lambda_reg": 10.0},
    "MIRPlugin": {"batch_size_mem": 2, "mem_size": 60, "subsample": 30},
    "ReplayPlugin": {"mem_size": 12},
    "RWalkPlugin": {"ewc_lambda": 10.0, "delta_t": 1},
    "SynapticIntelligencePlugin": {"si_lambda": 10.0},
}


def end(strategy, stream):
    """The weights after three experiences."""
    for experience in list(stream)[:3]:
        strategy.train(experience)
    return torch.cat([p.detach().flatten() for p in strategy.learner.network.parameters()])


@pytest.fixture(scope="module")
def without(ours, module_strategy):
    return end(module_strategy(), ours.train_stream)


@pytest.fixture(scope="module")
def module_strategy():
    from contsemi import compose
    from tests.strategies.conftest import DRAWS, TINY

    given = {word.partition("=")[0] for word in SMALL}
    words = [word for word in (*TINY, *DRAWS) if word.partition("=")[0] not in given]

    def make(*plugins, **options):
        config = compose.load(["method=suave", *words, *SMALL])
        options = {"evaluator": None, **options}
        return SemiSupervisedStrategy(config=config, plugins=list(plugins), **options)

    return make


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.quick(1)
def test_it_runs_and_changes_what_is_learned(name, ours, without, module_strategy):
    from avalanche.training import plugins

    made = getattr(plugins, name)(**RUNS[name])
    weights = end(module_strategy(made), ours.train_stream)
    assert weights.isfinite().all()
    assert (weights - without).abs().max() > 1e-4


def test_early_stopping_stops(ours, module_strategy):
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.logging import BaseLogger
    from avalanche.training.plugins import EarlyStoppingPlugin, EvaluationPlugin

    class Quiet(BaseLogger):
        """Says nothing."""

    metrics = EvaluationPlugin(accuracy_metrics(stream=True), loggers=[Quiet()])
    stop = EarlyStoppingPlugin(1, "test_stream", margin=2.0)  # nothing is ever better by that
    strategy = module_strategy(stop, evaluator=metrics, eval_every=1)
    strategy.train(ours.train_stream[0], eval_streams=[ours.test_stream])
    assert strategy.clock.train_iterations == 4  # one epoch of two


@pytest.mark.parametrize("name", sorted(UNFIT))
@pytest.mark.quick(3)
def test_one_that_cannot_do_its_work_is_refused(name, module_strategy):
    unfit = type(name, (), {"before_training": lambda self, strategy: None})()
    with pytest.raises(InputError, match=rf"plugins\): {name} .*docs/avalanche\.md"):
        module_strategy(unfit)


def test_every_plugin_of_avalanche_is_in_the_list():
    import avalanche.training.plugins as theirs
    from avalanche.core import BaseSGDPlugin

    own = {
        name
        for name, each in vars(theirs).items()
        if isinstance(each, type) and issubclass(each, BaseSGDPlugin)
    }
    apart = {"EvaluationPlugin", "SupervisedPlugin", "EarlyStoppingPlugin", "GEMPlugin"}
    assert own <= {*RUNS, *UNFIT, *apart}
    page = set(re.findall(r"`(\w+)`", PAGE.read_text()))
    assert {*RUNS, *UNFIT, "EarlyStoppingPlugin", "GEMPlugin"} <= page


def test_a_plugin_that_exchanges_the_model_is_stopped(ours, make_strategy):
    from avalanche.core import SupervisedPlugin

    class Exchange(SupervisedPlugin):
        def before_training_exp(self, strategy, **kwargs):
            strategy.model = torch.nn.Linear(2, 2)

    with pytest.raises(InputError, match=r"strategy\.model: a plugin puts another model"):
        make_strategy(Exchange()).train(ours.train_stream[0])


def test_heads_and_optimiser_are_there_when_a_plugin_begins(ours, make_strategy):
    from avalanche.core import SupervisedPlugin

    seen = []

    class Look(SupervisedPlugin):
        def before_training_exp(self, strategy, **kwargs):
            groups = strategy.optimizer.param_groups
            held = {id(p) for group in groups for p in group["params"]}
            ours = {id(p) for p in strategy.model.parameters() if p.requires_grad}
            assert held == ours
            seen.append(strategy.learner.network.num_classes)

    make_strategy(Look()).train(list(ours.train_stream)[:2])
    assert seen == [2, 4]


def test_synaptic_intelligence_holds_the_heads_of_the_first_task(ours, module_strategy):
    """They are there before the plugin looks, and it keeps copies of them, not the live weights."""
    from avalanche.training.plugins import SynapticIntelligencePlugin

    plugin = SynapticIntelligencePlugin(1.0)
    strategy = module_strategy(plugin)
    strategy.train(ours.train_stream[0])
    heads = [name for name, _ in strategy.model.named_parameters() if "prototypes" in name]
    assert heads
    assert all(plugin.ewc_data[1][name].data.any() for name in heads)


def test_a_copy_of_the_model_shares_the_images(ours, make_strategy):
    import copy

    strategy = make_strategy()
    strategy.train(ours.train_stream[0])
    learner = strategy.learner
    learner.exemplars.source = Resident(torch.zeros(3, 3, 8, 8, dtype=torch.uint8))
    copied = copy.deepcopy(strategy.model)
    assert copied.learner is not learner
    assert copied.learner.exemplars.source is learner.exemplars.source
    assert copied.network is copied.learner.network
    images = ours.test_stream[0].rows.images[:5]
    with torch.no_grad():
        before = strategy.model(images)
        assert torch.equal(before, copied(images))
        next(copied.network.parameters()).zero_()
        assert torch.equal(before, strategy.model(images))
