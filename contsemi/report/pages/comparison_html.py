"""One page of several runs: tables over seeds, paired differences, accuracy against its price."""

from collections.abc import Sequence
from html import escape

from contsemi.report.comparison import COMPARED, Group, remarks
from contsemi.report.pages.document import document
from contsemi.report.pages.svg_scatter import scatter
from contsemi.report.paired_table import INTERVAL, paired_rows
from contsemi.report.words import duration, one_line, size

__all__ = ["comparison_page"]


def comparison_page(groups: Sequence[Group]) -> bytes:
    """The whole page; it needs no network, no script and no other file.

    Args:
        groups: of :func:`contsemi.report.comparison.compare`.
    """
    head = ["method", "seeds", *(name.replace("_", " ") for name in COMPARED), "time", "memory"]
    rows = [
        [
            f"{number} · {_text(group.name)}",
            str(len(set(group.seeds))),
            *map(group.spread, COMPARED),
            "-" if (mean := group.mean("seconds")) is None else duration(mean),
            "-" if (kept := group.mean("memory_bytes")) is None else size(kept),
        ]
        for number, group in enumerate(groups, start=1)
    ]
    pairs = [[escape(row[0]), *row[1:]] for row in paired_rows(groups)]
    body = [
        "<h1>Comparison of runs</h1>",
        *(f'<p class="soft">Note: {_text(remark)}.</p>' for remark in remarks(groups)),
        "<h2>Class-incremental, mean ± standard deviation over seeds [%]</h2>",
        _table(head, rows),
        "<h2>Paired differences [points]</h2>",
        f'<p class="soft">In brackets: {escape(INTERVAL)}.</p>'
        + _table(["first - second", "seeds", *head[2:5]], pairs)
        if pairs
        else '<p class="soft">No two methods have two seeds in common.</p>',
        "<h2>Accuracy and its price</h2>",
        '<div class="charts">',
        scatter(groups, "forgetting", "forgetting [%]", 100.0),
        scatter(groups, "seconds", "time of a run [s]", 1.0),
        scatter(groups, "memory_bytes", "memory [KiB]", 1 / 1024),
        "</div>",
        '<p class="soft">One number a run, that of its method in the table.</p>',
    ]
    return document("Comparison of runs", "\n".join(body))


def _text(text: object) -> str:
    return escape(one_line(text))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = "".join(f'<th scope="col">{name}</th>' for name in head)
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        '<div class="wide" tabindex="0" role="region"><table class="summary compared"><thead>'
        f"<tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>"
    )
