import numpy as np
import pytest
from sklearn.datasets import load_digits

from contsemi.data import load
from contsemi.data.imageset import ImageSet, fingerprint
from contsemi.data.sources import digits


def rows_of(part: ImageSet) -> set[bytes]:
    return {image.numpy().tobytes() for image in part.images}


def test_the_bundled_digits() -> None:
    train, test = digits.load(None)
    original = load_digits()
    assert train.images.shape == (1437, 3, 8, 8)
    assert test.images.shape == (360, 3, 8, 8)
    assert train.classes == test.classes == tuple("0123456789")
    grey = np.rint(original.images / 16 * 255).astype(np.uint8)
    together = np.concatenate([train.images, test.images])
    assert (together == together[:, :1]).all()
    assert sorted(image.tobytes() for image in together[:, 0]) == sorted(
        image.tobytes() for image in grey
    )
    assert together.max() == 255
    shares = np.bincount(test.targets) / np.bincount(original.target)
    np.testing.assert_allclose(shares, 0.2, atol=0.005)


def test_images_keep_their_labels() -> None:
    original = load_digits()
    known = {
        np.rint(image / 16 * 255).astype(np.uint8).tobytes(): label
        for image, label in zip(original.images, original.target, strict=True)
    }
    for part in digits.load(None):
        for image, label in zip(part.images.numpy(), part.targets.tolist(), strict=True):
            assert known[image[0].tobytes()] == label


def test_the_split_is_fixed() -> None:
    (train, test), (again, _) = digits.load(None), digits.load(None)
    assert train.digest == again.digest != test.digest
    assert train.digest == fingerprint(train.images.numpy(), train.targets.numpy())
    assert train.digest == "2e4dd34b8b3ed3237e183600743a665ec96cef669aec45bf7bfca83e5131bc2f"
    assert not rows_of(train) & rows_of(test)


def test_they_are_found_where_scikit_learn_keeps_them_elsewhere(monkeypatch) -> None:
    whole = [part.digest for part in digits.load(None)]
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    assert [part.digest for part in digits.load(None)] == whole


@pytest.mark.parametrize("size", [8, 5, 32])
def test_sizes(size: int) -> None:
    train, _ = digits.load(size)
    assert train.images.shape == (1437, 3, size, size)
    assert train.size == size
    assert len(train) == 1437


def test_load_is_a_door_to_the_source() -> None:
    from contsemi.config import Data

    data = Data(
        source={"name": "auto"},
        root=None,
        download=False,
        size=None,
        cache=None,
        workers=0,
        test_share=0.2,
    )
    assert load(data, "digits")[0].digest == digits.load(None)[0].digest
