"""The work in a step, against a count by hand."""

import pytest

from contsemi.pipeline.work import multiply_adds


def test_pixels_are_copied_and_a_small_network_is_counted(small):
    assert multiply_adds(small("method=pixel_knn", "model=pixels")) == 0
    config = small("model=resnet_slim", "batch.unlabelled=10", "batch.labelled=5")
    wide = small("model=resnet_slim", "batch.unlabelled=20", "batch.labelled=10")
    once = multiply_adds(config)
    assert once > 0
    assert multiply_adds(wide) == 2 * once


def test_resnet18_at_32_pixels(small):
    """0.56 G multiply-adds an image of 32 pixels, where the stem has no stride."""
    config = small("model=resnet18", "views=cifar", "batch.unlabelled=2", "batch.labelled=1")
    assert multiply_adds(config) / 15 == pytest.approx(0.56e9, rel=0.02)
