"""Labels: how many a run may use, and which images get theirs. Imports numpy only."""

from contsemi.labels.budget import LabelBudget
from contsemi.labels.draw import digest, draw, draw_per_task, read_list

__all__ = ["LabelBudget", "digest", "draw", "draw_per_task", "read_list"]
