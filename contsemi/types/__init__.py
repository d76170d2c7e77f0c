"""The few nouns that rooms hand to each other.

Letters for sizes: B batch, V views, D embedding, C classes, F features, L labelled rows, M memory
rows, P images of a task's pool, S image side.

Classes appear inside the engine as *columns*: their position in order of arrival. So the old
classes are always columns ``[0, num_old)``, the current ones ``[num_old, num_seen)``, and a head
that grows only ever gains columns on the right.
"""

from contsemi.types.needs import Head, Mix, Needs, View
from contsemi.types.outputs import Forward, MemoryRows, Outputs, RowTable
from contsemi.types.soft_labels import SoftLabels
from contsemi.types.step import Batch, ByAge, Seen, Step
from contsemi.types.task import Experience, Pool

__all__ = [
    "Batch",
    "ByAge",
    "Experience",
    "Forward",
    "Head",
    "MemoryRows",
    "Mix",
    "Needs",
    "Outputs",
    "Pool",
    "RowTable",
    "Seen",
    "SoftLabels",
    "Step",
    "View",
]
