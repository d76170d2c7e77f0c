import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from contsemi.errors import InputError
from contsemi.strategies.decode import check_range, decode, decode_image


def wrap(dataset, targets, **groups):
    from avalanche.benchmarks.utils import DataAttribute, make_avalanche_dataset
    from avalanche.benchmarks.utils.transform_groups import TransformGroups

    return make_avalanche_dataset(
        dataset,
        data_attributes=[DataAttribute(targets, "targets")],
        transform_groups=TransformGroups(groups) if groups else None,
    )


def avalanche_dataset(images, targets):
    return wrap(TensorDataset(images, torch.tensor(targets)), targets)


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)


def test_one_picture_in_every_guise(picture):
    expected = torch.from_numpy(picture).permute(2, 0, 1)
    guises = [
        Image.fromarray(picture),
        picture,
        expected,
        expected.float() / 255,
        expected.double() / 255,
        (expected.float() / 255).half(),
    ]
    for guise in guises:
        image = decode_image(guise, "item")
        assert image.dtype == torch.uint8
        assert torch.equal(image, expected), type(guise)


@pytest.mark.parametrize("grey", ["PIL", "array", "tensor", "tensor with channel"])
def test_grey_pictures_get_three_channels(picture, grey):
    plane = picture[..., 0]
    item = {
        "PIL": Image.fromarray(plane),
        "array": plane,
        "tensor": torch.from_numpy(plane),
        "tensor with channel": torch.from_numpy(plane)[None],
    }[grey]
    assert np.array_equal(decode_image(item, "item").numpy(), np.stack([plane] * 3))


def test_16_bits_are_scaled_and_transparency_lies_on_white():
    deep = Image.fromarray(np.full((2, 2), 257 * 100, np.uint16))
    assert decode_image(deep, "item").unique().tolist() == [100]
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert decode_image(clear, "item").unique().tolist() == [255]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (torch.full((3, 4, 4), -0.5), "values from -0.5 to -0.5"),
        (torch.full((3, 4, 4), 255.0), "values from 255"),
        (torch.full((3, 4, 4), torch.nan), "not in [0, 1]"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "torch.int64"),
        (torch.zeros(784), "[784]"),
        (torch.zeros(4, 8, 8), "[4, 8, 8]"),
        ("photo.jpg", "is a str"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(item, words):
    with pytest.raises(InputError, match="item 3") as error:
        decode_image(item, "item 3")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_normalised_image_gets_told_how_to_mend_it():
    with pytest.raises(InputError, match=r"ToTensor\(\) alone"):
        check_range(torch.randn(2, 3, 4, 4), "x")
    check_range(torch.full((1, 3, 2, 2), 200, dtype=torch.uint8), "x")


def test_all_items_in_order():
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(7, 1, 6, 6, generator=draw)
    parts = [avalanche_dataset(images[:3], [4, 2, 4]), avalanche_dataset(images[3:], [0, 1, 1, 0])]
    decoded, targets = decode(parts, None, "train_stream")
    assert torch.equal(decoded, (images * 255).round().to(torch.uint8).expand(-1, 3, -1, -1))
    assert targets == [[4, 2, 4], [0, 1, 1, 0]]


def test_the_eval_transforms_are_read():
    plain = TensorDataset(torch.full((2, 3, 4, 4), 0.2), torch.tensor([0, 1]))
    groups = {"train": (lambda x: x + 9.0, None), "eval": (lambda x: x * 2, None)}
    dataset = wrap(plain, [0, 1], **groups)
    assert decode([dataset], None, "train_stream")[0].unique().tolist() == [102]


def test_sizes():
    class Mixed(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return torch.full((3, 8 + 4 * i, 8), 7, dtype=torch.uint8), i

    mixed = [wrap(Mixed(), [0, 1])]
    with pytest.raises(InputError, match="12 x 8, not square; pass size="):
        decode(mixed, None, "train_stream")
    assert decode(mixed, 6, "train_stream")[0].shape == (2, 3, 6, 6)
    sides = [avalanche_dataset(torch.zeros(1, 3, s, s), [0]) for s in (8, 9)]
    with pytest.raises(InputError, match="9 x 9 where the first image is 8 x 8; pass size="):
        decode(sides, None, "train_stream")


def test_resizing_is_that_of_pillow():
    rng = np.random.default_rng(1)
    smooth = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    expected = np.asarray(Image.fromarray(smooth).resize((8, 8), Image.Resampling.BILINEAR))
    ours = decode(
        [avalanche_dataset(torch.from_numpy(smooth).permute(2, 0, 1)[None], [0])], 8, "x"
    )[0][0]
    assert np.abs(ours.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1


def test_targets_that_items_do_not_have_are_refused():
    from avalanche.benchmarks.utils import as_classification_dataset

    plain = TensorDataset(torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]))
    plain.targets = [0, 1]
    dataset = as_classification_dataset(plain)
    changed = dataset.update_data_attribute("targets", [1, 1])
    with pytest.raises(InputError, match=r"dataset\.targets and the labels"):
        decode([changed], None, "train_stream")


def test_minus_one_is_refused():
    dataset = avalanche_dataset(torch.zeros(2, 3, 4, 4), [0, -1])
    with pytest.raises(InputError, match="class id -1; give all labels"):
        decode([dataset], None, "train_stream")


def test_an_empty_stream_is_refused():
    with pytest.raises(InputError, match="test_stream: holds no image"):
        decode([], None, "test_stream")
