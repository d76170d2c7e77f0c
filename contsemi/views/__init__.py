"""Batched augmentation: every image of a batch gets its own random view, in plain torch."""

from contsemi.views.augment import Augment

__all__ = ["Augment"]
