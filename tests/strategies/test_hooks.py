import pytest
import torch

from contsemi.errors import InputError
from contsemi.learner.loop import Hooks
from contsemi.strategies.hooks import AvalancheHooks, LoaderSource, columns_of

TABLE = torch.tensor([-1, 2, 0, -1, 1])  # class ids 2, 4, 1 are columns 0, 1, 2


def test_columns_of_class_ids():
    assert columns_of(torch.tensor([4, 2, 1, 1]), TABLE, "x").tolist() == [1, 0, 2, 2]


@pytest.mark.parametrize("stranger", [0, 3, 5, -1])
def test_a_class_never_trained_is_refused(stranger):
    with pytest.raises(InputError, match=f"plugin: gave the class id {stranger}"):
        columns_of(torch.tensor([4, stranger]), TABLE, "plugin")


def test_the_source_gives_the_loaders_batches_for_ever():
    images = torch.arange(3 * 4, dtype=torch.float32).view(3, 1, 2, 2) / 255
    targets = torch.tensor([4, 2, 1])
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images, targets, torch.zeros(3)), batch_size=2
    )
    source = LoaderSource(loader, TABLE)
    drawn = [source() for _ in range(4)]
    assert [columns.tolist() for _, columns in drawn] == [[1, 0], [2], [1, 0], [2]]
    assert torch.equal(drawn[3][0], (images[2:] * 255).to(torch.uint8).expand(1, 3, 2, 2))


def test_a_loader_without_a_batch_is_refused():
    with pytest.raises(InputError, match=r"strategy\.dataloader: gave no batch"):
        LoaderSource([], TABLE)()


def test_every_event_of_the_loop_is_carried_over():
    events = [name for name in vars(Hooks) if name.startswith(("before", "after"))]
    assert len(events) == 11
    for event in set(events) - {"after_training_exp"}:  # which Avalanche raises by itself
        assert event in vars(AvalancheHooks), event
