"""Misuse of the faces towards Avalanche ends in one line that names what is wrong."""

import pytest
import torch
from torch.utils.data import Dataset

from contsemi import compose
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.strategies import SemiSupervisedStrategy, continual_metrics, semi_supervised


class Items(Dataset):
    """A dataset of anything."""

    def __init__(self, items, targets):
        self.items, self.targets = items, targets

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def stream(*items, targets=None):
    """A benchmark of one experience with these items, and a sound test stream."""
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import as_classification_dataset

    image = torch.zeros(1, 4, 4)
    sound = as_classification_dataset(Items([(image, 0), (image, 1)], [0, 1]))
    given = as_classification_dataset(Items(list(items), targets or [0] * len(items)))
    return benchmark_from_datasets(train=[sound, given], test=[sound])


IMAGE = torch.zeros(1, 4, 4)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"x": IMAGE, "y": 0}, "item 0: is a dict, not a tuple"),
        ((IMAGE,), "item 0: holds an image alone, without a class id"),
        ((IMAGE, "cat"), "item 0: has the label 'cat', not a class id"),
        ((IMAGE, 0.5), "item 0: has the label 0.5, not a class id"),
        ((IMAGE, True), "item 0: has the label True, not a class id"),
        ((IMAGE, None), "item 0: has the label None, not a class id"),
        ((IMAGE, torch.tensor([0, 1])), "item 0: has the label tensor"),
        ((IMAGE, 10**12), "item 0: has the class id 1000000000000; number classes up to 99999"),
    ],
)
def test_items_that_are_no_pair(item, words):
    with pytest.raises(InputError, match="train_stream experience 1") as error:
        semi_supervised(stream(item), label_ratio="100%")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("one", [0, 1.0, torch.tensor(1)])
def test_whole_numbers_of_any_kind_are_class_ids(one):
    made = semi_supervised(stream((IMAGE, one), targets=[int(one)]), label_ratio="100%")
    assert list(made.train_stream[1].dataset.targets) == [int(one)]


def test_an_item_that_cannot_be_read():
    class Broken(Items):
        def __getitem__(self, i):
            raise KeyError("image 7 is not there")

    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import as_classification_dataset

    broken = as_classification_dataset(Broken([0], [0]))
    given = benchmark_from_datasets(train=[broken], test=[broken])
    with pytest.raises(InputError, match=r"item 0: cannot be read \(KeyError.*image 7"):
        semi_supervised(given, label_ratio="100%")


def test_an_empty_experience():
    with pytest.raises(InputError, match="train_stream experience 1: holds no image"):
        semi_supervised(stream(), label_ratio="100%")


def test_test_images_of_another_size(ours):
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import as_classification_dataset

    parts = [as_classification_dataset(Items([(torch.zeros(1, s, s), 0)], [0])) for s in (4, 6)]
    given = benchmark_from_datasets(train=parts[:1], test=parts[1:])
    with pytest.raises(
        InputError, match="images are 6 x 6, those of train_stream 4 x 4; pass size"
    ):
        semi_supervised(given, label_ratio="100%")


@pytest.mark.parametrize("given", ["x", None, 3, [1, 2]])
def test_what_is_no_benchmark(given):
    with pytest.raises(
        InputError, match=r"semi_supervised\(benchmark\): .* it has no train_stream"
    ):
        semi_supervised(given, label_ratio="5%")


@pytest.mark.parametrize(
    "words",
    [
        {"size": 0},
        {"size": -3},
        {"size": "32"},
        {"size": 2.5},
        {"seed": -1},
        {"seed": "a"},
        {"seed": 2**32},
    ],
)
def test_numbers_that_are_none(words, theirs):
    (name,) = words
    with pytest.raises(InputError, match=rf"semi_supervised\({name}\): expected a whole number"):
        semi_supervised(theirs, label_ratio="5%", **words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "neither is given; give config=contsemi.compose.load"),
        ({"config": {"a": 1}}, "{'a': 1} is a dict, not a configuration"),
        ({"config": ["method=suave"]}, "is a list, not a configuration"),
        ({"config": "suave"}, "'suave' is a str, not a configuration"),
        ({"learner": 3}, "3 is an int, not a Learner"),
    ],
)
def test_neither_a_configuration_nor_a_learner(arguments, words):
    with pytest.raises(InputError, match=r"SemiSupervisedStrategy\(") as error:
        SemiSupervisedStrategy(**arguments)
    assert words in str(error.value)


def test_a_baseline_is_no_configuration_of_ours(tiny_config):
    with pytest.raises(InputError, match="baseline=replay is itself a strategy of Avalanche"):
        SemiSupervisedStrategy(config=compose.load(["method=replay"]))
    config = tiny_config()
    with pytest.raises(InputError, match="both are given"):
        SemiSupervisedStrategy(config=config, learner=Learner(config))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plugins": "ewc"}, r"plugins\): 'ewc' is a str, not a list"),
        ({"plugins": [3]}, r"plugins\): 3 is an int, not a plugin"),
        ({"hooks": [3]}, r"hooks\): 3 is an int, not a Hooks"),
        ({"eval_every": -2}, r"eval_every\): expected a whole number from -1 on, got -2"),
        ({"eval_every": "1"}, r"eval_every\): expected a whole number"),
        ({"peval_mode": "step"}, r"peval_mode\): 'step' is unknown; use epoch or iteration"),
    ],
)
@pytest.mark.quick(2)
def test_options_that_are_none(options, words, tiny_config):
    with pytest.raises(InputError, match=words):
        SemiSupervisedStrategy(config=tiny_config(), **options)


def test_a_plugin_that_was_not_made(tiny_config):
    from avalanche.training.plugins import EWCPlugin

    with pytest.raises(InputError, match="is the class EWCPlugin, not a plugin"):
        SemiSupervisedStrategy(config=tiny_config(), plugins=[EWCPlugin])


def test_experiences_that_are_none(ours, make_strategy):
    strategy = make_strategy()
    for given in ("x", None, ours, [3]):
        with pytest.raises(
            InputError, match=r"strategy\.train\(experiences\): .* not an experience"
        ):
            strategy.train(given)
        with pytest.raises(
            InputError, match=r"strategy\.eval\(experiences\): .* not an experience"
        ):
            strategy.eval(given)
    with pytest.raises(InputError, match="holds no experience"):
        strategy.eval([])
    with pytest.raises(InputError, match=r"strategy\.train\(eval_streams\): 3 is an int"):
        strategy.train(ours.train_stream[0], eval_streams=[3])


def test_images_without_labels_are_not_evaluated(ours, make_strategy):
    strategy = make_strategy()
    strategy.train(ours.train_stream[0])
    with pytest.raises(InputError, match="experience 0: has images without labels"):
        strategy.eval(ours.unlabeled_stream)
    with pytest.raises(InputError, match="experience 1: has images without labels"):
        strategy.train(ours.train_stream[1], eval_streams=[ours.unlabeled_stream[1]])
    assert strategy.learner.num_seen == 2


def test_experiences_of_another_benchmark(ours, digit_datasets, theirs, make_strategy):
    from avalanche.benchmarks import nc_benchmark

    strategy = make_strategy()
    strategy.train(ours.train_stream[0])
    before = strategy.learner.network.num_classes
    halves = nc_benchmark(*digit_datasets, 2, task_labels=False, seed=9)
    for other in (halves, theirs):  # of other classes, and of the same ones with other labels
        made = semi_supervised(other, label_ratio="20%", seed=4)
        with pytest.raises(InputError, match="another benchmark: classes 3 8 were learned"):
            strategy.train(made.train_stream[1])
    assert strategy.learner.network.num_classes == before


def test_the_order_of_the_stream(ours, make_strategy):
    strategy = make_strategy()
    with pytest.raises(InputError, match="experience 2: comes too early: classes 3 8 0 6 arrive"):
        strategy.train(ours.train_stream[2])
    with pytest.raises(InputError, match="experience 2: comes too early: classes 0 6 arrive"):
        strategy.train([ours.train_stream[0], ours.train_stream[2]])
    assert strategy.learner.num_seen == 0  # nothing was trained before the list was looked at
    strategy.train(list(ours.train_stream)[:2])
    with pytest.raises(InputError, match="experience 0: comes too late: classes 0 6 were learned"):
        strategy.train(ours.train_stream[0])


@pytest.mark.parametrize("method", ["suave", "contsemi"])
def test_an_experience_may_be_trained_again(method, ours, make_strategy):
    strategy = make_strategy(method=method)
    strategy.train(ours.train_stream[0])
    before = {name: x.clone() for name, x in strategy.learner.network.state_dict().items()}
    strategy.train(ours.train_stream[0])
    after = strategy.learner.network.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(x.isfinite().all() for x in after.values())


def test_probes_of_streams_that_are_none(ours, theirs, digit_datasets):
    from avalanche.benchmarks import ni_benchmark

    from contsemi.strategies import probe_metrics

    def flat(model, images):
        return images.flatten(1)

    with pytest.raises(InputError, match=r"probe_metrics\(features\): 'flat' is none"):
        probe_metrics(ours.train_stream, ours.test_stream, "flat")
    with pytest.raises(InputError, match=r"train_stream\): experience 0 has images without labels"):
        probe_metrics(ours.unlabeled_stream, ours.test_stream, flat)
    with pytest.raises(InputError, match=r"test_stream\): 7 is an int, not an experience"):
        probe_metrics(ours.train_stream, 7, flat)
    one = ni_benchmark(*digit_datasets, 3, seed=0)
    with pytest.raises(InputError, match=r"1 experiences, but 3 are trained; .* for each that is"):
        probe_metrics(one.train_stream, one.test_stream, flat)


@pytest.mark.parametrize("given", [{"a": 1}, ["scenario=digits_5tasks"], None])
def test_a_stream_of_no_configuration(given):
    from contsemi.strategies import benchmark

    with pytest.raises(InputError, match=r"benchmark\(config\): .* not a configuration"):
        benchmark(given)


def test_a_benchmark_that_has_few_labels_already(ours):
    with pytest.raises(InputError, match=r"has few labels already, .* would be lost"):
        semi_supervised(ours, label_ratio="50%")


def test_bytes_of_zeros_and_ones():
    bits = torch.ones(3, 4, 4, dtype=torch.uint8)
    with pytest.raises(InputError, match="train_stream: holds bytes of 0 and 1 alone"):
        semi_supervised(stream((bits, 0)), label_ratio="100%")
    semi_supervised(stream((bits * 2, 0)), label_ratio="100%")


def test_classes_that_are_tested_and_never_trained_are_said():
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import as_classification_dataset

    both, more = ([(IMAGE, each) for each in ids] for ids in ([0, 1], [0, 1, 7, 7]))
    train, test = (as_classification_dataset(Items(x, [y for _, y in x])) for x in (both, more))
    with pytest.warns(UserWarning, match=r"2 images of test_stream .* no experience trains \(7\)"):
        semi_supervised(benchmark_from_datasets(train=[train], test=[test]), label_ratio="100%")


def test_an_optimiser_that_nothing_would_step(make_strategy):
    strategy = make_strategy()
    own = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    with pytest.raises(InputError, match=r"strategy\.optimizer: the learner makes its own"):
        strategy.optimizer = own


@pytest.mark.parametrize("given", [3, None, ""])
def test_the_name_of_no_stream(given):
    with pytest.raises(InputError, match=r"continual_metrics\(stream\): expected the name"):
        continual_metrics(stream=given)
