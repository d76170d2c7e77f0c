import torch

from contsemi.strategies.rows import RowLoader, Rows, as_float, as_uint8


def test_every_pixel_value_survives_the_way_to_floats_and_back():
    images = torch.arange(256, dtype=torch.uint8).repeat(12).view(4, 3, 16, 16)
    floats = as_float(images)
    assert floats.dtype == torch.float32
    assert floats.min() == 0
    assert floats.max() == 1
    assert torch.equal(as_uint8(floats), images)
    assert torch.equal(as_uint8(images), images)


def test_grey_images_get_three_channels():
    grey = torch.tensor([[[[0.0, 1.0]]]])
    assert as_uint8(grey).tolist() == [[[[0, 255]], [[0, 255]], [[0, 255]]]]


def test_rows_share_the_array_and_know_only_their_own_targets(two_tasks):
    images, _ = two_tasks
    rows = Rows(images, torch.tensor([7, 3]), torch.tensor([5, 2]))
    assert rows.images.data_ptr() == images.data_ptr()
    assert len(rows) == 2
    image, target = rows[1]
    assert torch.equal(image, images[3].float() / 255)
    assert (target, type(target)) == (2, int)
    (only,) = Rows(images, torch.tensor([7, 3]))[0]
    assert torch.equal(only, images[7].float() / 255)


def test_the_loader_gives_what_single_items_give(two_tasks):
    images, _ = two_tasks
    rows = Rows(images, torch.tensor([9, 8, 7, 0, 1]), torch.tensor([1, 2, 3, 4, 5]))
    loader = RowLoader(rows, torch.tensor([0, 0, 1, 1, 2]), batch_size=2)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [len(x) for x, _, _ in batches] == [2, 2, 1]
    x, y, t = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert torch.equal(x, torch.stack([rows[i][0] for i in range(5)]))
    assert y.tolist() == [1, 2, 3, 4, 5]
    assert t.tolist() == [0, 0, 1, 1, 2]
