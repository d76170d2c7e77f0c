"""One key for sides in pixels: views follow ``data.size``, and contradictions are one line."""

import numpy as np
import pytest
import torch
from PIL import Image

from contsemi import compose
from contsemi.data.sources.decode import decode
from contsemi.errors import InputError
from contsemi.views import Augment


@pytest.fixture
def folder(tmp_path):
    return f"data.root={tmp_path}"


def sides(config):
    views = config.views
    return [*(views.policies[name].size for name in ("large", "small")), views.test_size]


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["scenario=image_folder"], [32, 18, 32]),
        (["scenario=image_folder", "data.size=64"], [64, 36, 64]),
        (["scenario=image_folder", "data.size=64", "views.policies.small.size=20"], [64, 20, 64]),
        (["scenario=image_folder", "data.size=64", "views.test_size=32"], [64, 36, 32]),
        (["scenario=image_folder", "data.size=256", "views=imagenet"], [224, 96, 224]),
        (["scenario=imagenet100_20tasks"], [224, 96, 224]),
        (["scenario=imagenet100_20tasks", "data.size=64"], [56, 24, 56]),
        (["experiment=photos", "data.size=192"], [192, 128, 192]),
        (["experiment=photos"], [96, 64, 96]),
    ],
)
def test_views_follow_the_images(words, expected, folder):
    config = compose.load([folder, *words])
    assert sides(config) == expected


def test_views_stay_where_no_size_is_given():
    assert sides(compose.load(["data.size=null"])) == [8, 8, 8]
    assert sides(compose.load(["views.test_size=12"])) == [8, 8, 12]  # digits keep their own size


def test_a_model_of_fixed_side_follows():
    assert compose.load(["data.size=16", "model=vit_small"]).model["image_size"] == 16


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["views.test_size=64"], "views.test_size: is 64, more pixels .* give data.size=64,"),
        (["views=imagenet"], "views.test_size: is 224, .*data.size=32.* give data.size=256,"),
        (
            ["data.size=64", "views.policies.large.size=128"],
            "views.policies.large.size: is 128, .*data.size=64.* give data.size=128,",
        ),
        (["views.policies.strong.size=48"], "views.policies.strong.size: is 48, "),
    ],
)
@pytest.mark.quick(1)
def test_a_contradiction_is_one_line_and_its_remedy_runs(words, problem, folder):
    words = [folder, "scenario=image_folder", *words]
    with pytest.raises(InputError, match=problem) as caught:
        compose.load(words)
    remedy = str(caught.value).rpartition("give ")[2].partition(",")[0]
    compose.load([*(w for w in words if not w.startswith("data.size")), remedy])


def test_an_experiment_of_ones_own_may_give_them(tmp_path, monkeypatch, folder):
    conf = tmp_path / "conf" / "experiment"
    conf.mkdir(parents=True)
    text = "defaults: [{override /scenario: image_folder}, _self_]\ndata: {size: 48}\n"
    (conf / "mine.yaml").write_text(text)
    monkeypatch.setattr(compose.files.resources, "folders", lambda: (tmp_path / "conf", CONF))
    assert sides(compose.load([folder, "experiment=mine"])) == [48, 27, 48]


CONF = compose.files.resources.conf()


def test_a_test_image_of_imagenet_is_the_middle_of_256(tmp_path, folder):
    """The short side resized to 256, the centre 224 of it: the protocol, by Pillow."""
    config = compose.load(["scenario=imagenet100_20tasks", folder])
    y, x = np.mgrid[:300, :400] / 40
    waves = np.stack([np.sin(x), np.sin(y), np.cos(x + y)], axis=-1)  # soft, so that half a
    image = Image.fromarray((127 + 120 * waves).astype(np.uint8))  # pixel of the detour is little
    image.save(tmp_path / "one.png")
    resized = image.resize((round(400 * 256 / 300), 256), Image.Resampling.BILINEAR)
    left = (resized.width - 224) // 2
    expected = np.asarray(resized.crop((left, 16, left + 224, 240)), np.float32) / 255
    expected = (expected - config.views.mean) / config.views.std
    rows = torch.from_numpy(decode(tmp_path / "one.png", config.data.size).copy())[None]
    made = Augment(config.views).test(rows)[0].permute(1, 2, 0)
    assert made.shape == (224, 224, 3)
    assert np.abs(made.numpy() - expected).mean() < 0.03 * np.abs(expected).mean()
