"""Batched augmentation: every image of a batch gets its own random view, in plain torch."""

from contsemi.views.augment import Augment, empty_views

__all__ = ["Augment", "empty_views"]
