"""One page of several runs: tables over seeds, paired differences, curves, accuracy's price."""

from collections.abc import Sequence

from contsemi.report.comparison import COMPARED, Group, remarks
from contsemi.report.figures.comparison import drawing
from contsemi.report.meanings import MEANINGS
from contsemi.report.pages.environment import fill
from contsemi.report.pages.page import inlined
from contsemi.report.paired_table import INTERVAL, paired_rows
from contsemi.report.words import duration, size


def comparison_page(groups: Sequence[Group]) -> bytes:
    """The whole page; it needs no network, no script and no other file.

    Args:
        groups: of :func:`contsemi.report.comparison.compare`.
    """
    metrics = [name.replace("_", " ") for name in COMPARED]
    return fill(
        "comparison.html",
        title="Comparison of runs",
        remarks=remarks(groups),
        head=["method", "seeds", *metrics, "time", "memory"],
        rows=[
            [
                group.name,
                str(len(set(group.seeds))),
                *map(group.spread, COMPARED),
                "-" if (mean := group.mean("seconds")) is None else duration(mean),
                "-" if (kept := group.mean("memory_bytes")) is None else size(kept),
            ]
            for group in groups
        ],
        meanings=[(name.replace("_", " "), MEANINGS[name]) for name in COMPARED],
        pair_head=["first - second", "seeds", *metrics],
        pairs=paired_rows(groups),
        interval=INTERVAL,
        figures=inlined([drawing(groups)]),
    )
