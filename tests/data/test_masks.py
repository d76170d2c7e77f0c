"""Masks beside own images, or of their spectra; a run whose views change backgrounds."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from contsemi import pipeline
from contsemi.data.masks import whole, with_masks
from contsemi.data.sources.folder import load
from contsemi.errors import InputError
from contsemi.views.saliency import spectral_masks

SIZE = 16


def picture(seed, side=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


@pytest.fixture
def photos(tmp_path):
    """Two classes of three photos each for training; masks are the left half."""
    root = tmp_path / "photos"
    for split, number in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for n in range(number):
                Image.fromarray(picture(hash((split, name, n)) % 2**32)).save(folder / f"{n}.png")
    for name in ("cat", "dog"):
        (root / "masks" / name).mkdir(parents=True)
        for n in range(3):
            mask = np.zeros((SIZE, SIZE), np.uint8)
            mask[:, : SIZE // 2] = 255
            Image.fromarray(mask).save(root / "masks" / name / f"{n}.png")
    return root


def opened(root, tmp_path, masks="auto"):
    train, _ = load(root, size=SIZE, cache=str(tmp_path / "cache"), workers=1)
    return train, with_masks(train, masks, str(tmp_path / "cache"), spectral_masks)


def test_masks_of_the_folder_are_the_fourth_channel(photos, tmp_path):
    train, found = opened(photos, tmp_path)
    assert found.images.shape == (6, 4, SIZE, SIZE) and torch.equal(
        found.images[:, :3], train.images
    )
    half = torch.zeros(SIZE, SIZE, dtype=torch.uint8)
    half[:, : SIZE // 2] = 255
    assert (found.images[:, 3] == half).all()
    assert found.digest == train.digest and torch.equal(found.targets, train.targets)


def test_an_image_without_a_mask_is_all_foreground_and_said(photos, tmp_path):
    (photos / "masks" / "cat" / "1.png").unlink()
    _, found = opened(photos, tmp_path)
    place = found.files.index("train/cat/1.png")
    assert (found.images[place, 3] == 255).all()
    assert any("1 of 6 training images have no mask" in remark for remark in found.remarks)


def test_a_changed_mask_is_read_anew(photos, tmp_path):
    opened(photos, tmp_path)
    Image.fromarray(np.full((SIZE, SIZE), 255, np.uint8)).save(photos / "masks" / "dog" / "0.png")
    _, found = opened(photos, tmp_path)
    assert (found.images[found.files.index("train/dog/0.png"), 3] == 255).all()


def test_masks_of_other_sides_are_named(photos, tmp_path):
    Image.fromarray(np.zeros((8, SIZE), np.uint8)).save(photos / "masks" / "dog" / "2.png")
    with pytest.raises(
        InputError, match=r"masks/dog/2\.png has sides \(16, 8\), its image \(16, 16\)"
    ):
        opened(photos, tmp_path)


def test_a_damaged_mask_is_named(photos, tmp_path):
    whole_file = (photos / "masks" / "cat" / "0.png").read_bytes()
    (photos / "masks" / "cat" / "0.png").write_bytes(whole_file[: len(whole_file) // 2])
    with pytest.raises(InputError, match=r"cat/0\.png"):
        opened(photos, tmp_path)


def test_a_link_out_of_the_folder_is_refused(photos, tmp_path):
    outside = tmp_path / "outside.png"
    (photos / "masks" / "cat" / "0.png").rename(outside)
    (photos / "masks" / "cat" / "0.png").symlink_to(outside)
    with pytest.raises(InputError, match="link out of masks/"):
        opened(photos, tmp_path)


def test_without_a_folder_masks_are_spectral_unless_the_folder_is_asked_for(photos, tmp_path):
    (photos / "masks").rename(tmp_path / "elsewhere")
    train, found = opened(photos, tmp_path)
    assert torch.equal(found.images[:, 3], spectral_masks(train.images))
    with pytest.raises(InputError, match="there is no folder masks/ beside train/"):
        opened(photos, tmp_path, "folder")


def test_an_empty_folder_of_masks_is_one_line(photos, tmp_path):
    for mask in (photos / "masks").rglob("*.png"):
        mask.unlink()
    with pytest.raises(InputError, match="holds no mask"):
        opened(photos, tmp_path)


def test_whole_is_foreground_throughout():
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    assert whole(images).shape == (2, 4, 4, 4) and (whole(images)[:, 3] == 255).all()


POLICY = "views.policies.large"
RUN = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1", "memory.exemplars=8")


@pytest.mark.parametrize("how", ["remove", "random", "swap"])
@pytest.mark.thorough
def test_a_run_changes_backgrounds_and_goes_on(small, tmp_path, how, monkeypatch):
    """Other numbers than without; the same again; exemplars are counted with their masks."""
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    changed = (*RUN, f"{POLICY}.background={how}", f"{POLICY}.background_probability=1")
    found = [
        pipeline.run(small(*words, f"output={tmp_path / name}"))
        for name, words in (("plain", RUN), ("one", changed), ("two", changed))
    ]
    losses = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("plain", "one", "two")]
    assert losses[1] == losses[2] != losses[0]
    kept = [result["memory"]["exemplars"] for result in found]
    assert kept[1] - kept[0] == 8 * 8 * 8
    assert json.loads((tmp_path / "one" / "manifest.json").read_text())["config"]["views"]


@pytest.mark.thorough
def test_probability_0_is_a_run_without(small, tmp_path, monkeypatch):
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    never = (f"{POLICY}.background=remove", f"{POLICY}.background_probability=0")
    pipeline.run(small(*RUN, "objective.small_views=0", f"output={tmp_path / 'plain'}"))
    pipeline.run(small(*RUN, "objective.small_views=0", *never, f"output={tmp_path / 'never'}"))
    accuracies = [(tmp_path / n / "accuracy_matrix.csv").read_text() for n in ("plain", "never")]
    assert accuracies[0] == accuracies[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("views.masks=spectral",), "has no effect, as no policy changes backgrounds"),
        (("method=naive", f"{POLICY}.background=remove"), "whose views keep their background"),
    ],
)
def test_keys_without_an_effect_are_refused(small, words, said):
    with pytest.raises(InputError, match=said):
        small(*words)
