import numpy as np
import pytest
import torch

from contsemi import compose, data
from contsemi.errors import InputError
from contsemi.strategies import benchmark
from contsemi.strategies.streams import task_of


def test_the_digits_scenario_in_avalanche():
    config = compose.load(["scenario=digits_5tasks", "label_ratio=4/class", "seed=1"])
    scenario = benchmark(config)
    train, test = data.load(config.data, config.scenario.dataset)
    assert len(scenario.train_stream) == len(scenario.test_stream) == 5
    seen = []
    for t in range(5):
        labelled, pool, tested = (
            getattr(scenario, f"{name}_stream")[t] for name in ("train", "unlabeled", "test")
        )
        task = task_of(labelled)
        assert len(labelled.dataset) == 8
        assert list(labelled.dataset.targets) == train.targets[task.experience.labelled].tolist()
        classes = sorted(labelled.classes_in_this_experience)
        rows = torch.isin(train.targets, torch.tensor(classes))
        assert len(pool.dataset) == int(rows.sum())
        own = torch.isin(test.targets, torch.tensor(classes)).nonzero().flatten()
        assert list(tested.dataset.targets) == test.targets[own].tolist()
        assert torch.equal(tested.dataset[2][0], test.images[own[2]].float() / 255)
        seen += classes
    assert sorted(seen) == list(range(10))


def test_labels_are_chosen_as_the_configuration_says():
    def labelled(*words):
        made = benchmark(compose.load(["scenario=digits_5tasks", "label_ratio=5%", *words]))
        return np.concatenate([task_of(e).experience.labelled for e in made.train_stream])

    assert not np.array_equal(np.sort(labelled()), np.sort(labelled("labels=random")))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("labels=usl", "labels: usl asks a network before each task.*scenario.labels=FILE"),
        ("scenario.validation=0.25", "scenario.validation: .*set it to 0"),
        ("coarse_ratio=0.5", "coarse_ratio: .*set it to 0"),
    ],
)
def test_what_only_a_run_can_do_is_refused(word, message):
    """A benchmark without one labelled image came of a choice, and a held-out share was ignored."""
    with pytest.raises(InputError, match=message):
        benchmark(compose.load(["scenario=digits_5tasks", word]))
