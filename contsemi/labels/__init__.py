"""Labels: how many a run may use, and which images get theirs. Imports numpy only."""

from contsemi.labels.budget import LabelBudget
from contsemi.labels.draw import digest, draw, read_list

__all__ = ["LabelBudget", "digest", "draw", "read_list"]
