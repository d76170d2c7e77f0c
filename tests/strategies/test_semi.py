import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from contsemi.errors import InputError
from contsemi.labels import LabelBudget, draw
from contsemi.strategies import semi_supervised
from contsemi.strategies.streams import task_of


def stream_targets(benchmark):
    return np.concatenate([np.array(list(e.dataset.targets)) for e in benchmark.train_stream])


def test_the_labels_are_those_of_the_draw_over_the_whole_stream(theirs, ours):
    targets = stream_targets(theirs)
    rows = draw(LabelBudget.parse("5%"), targets, seed=0, names=[str(i) for i in range(10)])
    kept = torch.cat([task_of(e).experience.labelled for e in ours.train_stream])
    assert len(kept) == 75
    assert set(kept.tolist()) == set(rows.tolist())
    shown = np.concatenate([np.array(list(e.dataset.targets)) for e in ours.train_stream])
    assert np.array_equal(shown, targets[kept])


def test_pixels_and_unlabelled_rows_are_those_of_the_benchmark(theirs, ours):
    row = 0
    for given, made in zip(theirs.train_stream, ours.train_stream, strict=True):
        task = task_of(made)
        assert task.experience.unlabelled.tolist() == list(range(row, row + len(given.dataset)))
        pixels = torch.stack([given.dataset[i][0] for i in (0, 5)])
        expected = (pixels * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
        assert torch.equal(task.images[[row, row + 5]], expected)
        row += len(given.dataset)
    assert len(task.images) == row


def test_columns_follow_the_order_of_arrival(theirs, ours):
    assert task_of(ours.train_stream[-1]).class_ids == (3, 8, 0, 6, 1, 9, 2, 7, 4, 5)
    for t, experience in enumerate(ours.train_stream):
        task = task_of(experience)
        assert task.experience.columns == (2 * t, 2 * t + 1)
        assert experience.classes_in_this_experience == set(
            theirs.train_stream[t].classes_in_this_experience
        )


def test_the_test_stream_keeps_all_labels_and_the_task_labels(theirs, ours):
    for given, made in zip(theirs.test_stream, ours.test_stream, strict=True):
        assert list(made.dataset.targets) == list(given.dataset.targets)
        assert made.task_labels == list(given.task_labels)
        assert torch.equal(made.dataset[3][0], given.dataset[3][0].expand(3, -1, -1))


def test_benchmarks_of_avalanches_new_kind_have_no_task_labels(digit_datasets):
    from avalanche.benchmarks import class_incremental_benchmark
    from avalanche.benchmarks.utils import as_classification_dataset

    for dataset in digit_datasets:
        dataset.targets = dataset.tensors[1].tolist()
    wrapped = [as_classification_dataset(dataset) for dataset in digit_datasets]
    streams = dict(zip(("train", "test"), wrapped, strict=True))
    benchmark = class_incremental_benchmark(streams, num_experiences=5, seed=1)
    made = semi_supervised(benchmark, label_ratio="4/class", seed=3)
    assert [len(e.dataset) for e in made.train_stream] == [8] * 5
    assert not hasattr(made.train_stream[0], "task_labels")
    assert [len(e.dataset) for e in made.test_stream] == [
        len(e.dataset) for e in benchmark.test_stream
    ]


def test_the_seed_decides_which_labels_and_nothing_else_does(theirs):
    def rows(seed):
        torch.manual_seed(7)
        made = semi_supervised(theirs, label_ratio=0.05, seed=seed)
        assert torch.initial_seed() == 7
        return [task_of(e).experience.labelled.tolist() for e in made.train_stream]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_one_budget_per_experience(theirs):
    ratios = ["1/class", "2/class", "3/class", "4/class", "100%"]
    made = semi_supervised(theirs, label_ratio=ratios, seed=0)
    sizes = [len(e.dataset) for e in made.train_stream]
    assert sizes == [2, 4, 6, 8, len(theirs.train_stream[4].dataset)]


def test_classes_may_return():
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import as_classification_dataset

    def part(*targets):
        data = TensorDataset(torch.rand(len(targets), 1, 4, 4), torch.tensor(targets))
        data.targets = list(targets)
        return as_classification_dataset(data)

    parts = [part(5, 1, 5, 1), part(1, 8, 8, 1)]
    benchmark = benchmark_from_datasets(train=parts, test=[part(5, 1, 8)])
    made = semi_supervised(benchmark, label_ratio="100%", seed=0)
    first, second = (task_of(e).experience for e in made.train_stream)
    assert (first.columns, first.num_seen) == ((0, 1), 2)
    assert (second.columns, second.num_old, second.num_seen) == ((0, 2), 2, 3)
    assert task_of(made.train_stream[1]).class_ids == (1, 5, 8)
    assert made.train_stream[1].classes_in_this_experience == {1, 8}


@pytest.mark.parametrize(
    ("ratio", "words"),
    [("0.01%", "label_ratio"), (["5%", "5%"], "5 tasks, 2 values"), ("5 %%", "label_ratio")],
)
def test_a_budget_that_does_not_do_is_refused(theirs, ratio, words):
    with pytest.raises(InputError, match=words):
        semi_supervised(theirs, label_ratio=ratio, seed=0)


def test_normalised_images_are_refused_by_name(digit_datasets):
    from avalanche.benchmarks import nc_benchmark

    benchmark = nc_benchmark(
        *digit_datasets, 5, task_labels=False, train_transform=None, eval_transform=lambda x: x - 3
    )
    with pytest.raises(InputError, match="train_stream experience 0 item 0: holds values from -3"):
        semi_supervised(benchmark, label_ratio="5%", seed=0)
