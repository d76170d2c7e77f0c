"""Methods against one of them, paired by seed: mean difference and its 95% interval."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import RenderableType

from contsemi.metrics.matrix import Undefined
from contsemi.metrics.paired import Difference, paired_difference
from contsemi.report.comparison import COMPARED, Group
from contsemi.report.screen.grid import grid
from contsemi.report.words import one_line, percent

INTERVAL = "Student's t interval, 95%, of the mean difference over the seeds that both have"


def differences(groups: Sequence[Group]) -> list[tuple[Group, Group, dict[str, Difference]]]:
    """Each group minus the best one of its scenario and label budget.

    Best is the greatest mean average accuracy. Pairs without two seeds in common are left out.

    Args:
        groups: of :func:`contsemi.report.comparison.compare`.
    """
    found = []
    for _, same in groupby(groups, key=lambda group: (group.scenario, group.labels)):
        members = list(same)
        best = max(members, key=lambda group: group.mean("average_accuracy") or 0.0)
        for group in members:
            if group is best:
                continue
            pairs = {
                name: paired_difference(group.by_seed(name), best.by_seed(name))
                for name in COMPARED
            }
            defined = {k: v for k, v in pairs.items() if not isinstance(v, Undefined)}
            if defined:
                found.append((group, best, defined))
    return found


def paired_rows(groups: Sequence[Group]) -> list[list[str]]:
    """Cells of the table: both methods, seeds, and each difference in points."""
    return [
        [
            f"{one_line(group.method)} - {one_line(best.method)}",
            str(max(len(difference.seeds) for difference in pairs.values())),
            *(_words(pairs.get(name)) for name in COMPARED),
        ]
        for group, best, pairs in differences(groups)
    ]


def paired_tables(groups: Sequence[Group], width: int) -> list[RenderableType]:
    """The table for a screen; nothing where no two methods have two seeds in common."""
    rows = paired_rows(groups)
    if not rows:
        return []
    header = ["paired by seed", "seeds", "average\naccuracy", "incremental\naccuracy", "forgetting"]
    return [grid(f"difference in points ({INTERVAL})", header, rows, width=width)]


def _words(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    mean, low, high = (percent(x) for x in (difference.mean, difference.low, difference.high))
    return f"{mean} [{low}, {high}]"
