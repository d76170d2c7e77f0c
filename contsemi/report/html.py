"""``report.html``: one page that needs no network, no script and no other file."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.forgetting import forgetting, forgetting_per_task
from contsemi.metrics.matrix import Matrix, Undefined
from contsemi.metrics.summary import HEADLINE
from contsemi.report.plain import to_json, to_yaml
from contsemi.report.run import Run
from contsemi.report.svg import curves
from contsemi.report.tables import cost, reasons
from contsemi.report.words import one_line, percent

__all__ = ["page"]

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1b1b;--soft:#595959;--line:#d9d9d9;
--heat:0 114 178}
@media(prefers-color-scheme:dark){:root{--paper:#141414;--ink:#ececec;--soft:#a8a8a8;
--line:#3c3c3c;--heat:40 140 205}}
*{box-sizing:border-box}
body{margin:0 auto;padding:16px;max-width:1120px;background:var(--paper);color:var(--ink);
font:16px/1.45 system-ui,sans-serif}
h1{font-size:1.35rem;margin:.2em 0;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:1.6em 0 .5em}
p{margin:.4em 0}.soft{color:var(--soft);font-size:.9rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:8px;padding:0}
.cards div{border:1px solid var(--line);border-radius:8px;padding:8px 12px}
.cards dt{color:var(--soft);font-size:.85rem}.cards dd{margin:0;font-size:1.5rem;font-weight:600}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.88rem}
th,td{padding:4px 7px;text-align:right;white-space:nowrap}
@media(max-width:480px){th,td{padding:4px 5px}}
th{font-weight:600}th:first-child{text-align:left;position:sticky;left:0;background:var(--paper)}
table.summary th{white-space:normal}
thead th{border-bottom:1px solid var(--line)}tfoot th,tfoot td{border-top:1px solid var(--line)}
td.heat{background:rgb(var(--heat)/calc(var(--share)*.6))}
svg{display:block;width:100%;max-width:640px;height:auto;color:var(--ink)}
svg text{font:12.5px system-ui,sans-serif;fill:var(--soft)}
svg text.task{fill:var(--ink)}svg text.mean{fill:var(--ink);font-weight:700}
svg .grid{stroke:var(--line);stroke-width:.7}
@media(prefers-color-scheme:dark){svg g:not([fill=currentColor]),svg line:not(.grid)
{filter:brightness(1.5)}}
details{margin:.6em 0}summary{cursor:pointer;font-weight:600;padding:.3em 0}
pre{overflow-x:auto;border:1px solid var(--line);border-radius:8px;padding:12px;font-size:.8rem}
"""


def page(run: Run) -> bytes:
    """The whole page of a run; every foreign text in it is escaped."""
    title = _text(run.title)
    body = [
        f"<h1>{title}</h1>",
        f'<p class="soft">{_text(cost(run))}</p>',
        _cards(run.results),
        *(f'<p class="soft">Not defined: {_text(reason)}.</p>' for reason in _reasons(run)),
        "<h2>Forgetting curves</h2>",
        curves(run.class_incremental),
        '<p class="soft">Each line is one task, numbered at its end; dashed: the mean over the '
        "tasks so far. Class-incremental: the greatest score over all classes seen.</p>",
        "<h2>Class-incremental accuracy [%]</h2>",
        _matrix(run.class_incremental),
        "<h2>Task-incremental accuracy [%]</h2>",
        _matrix(run.task_incremental),
        "<h2>Summary [%]</h2>",
        _summary(run),
        _folded("Configuration", to_yaml(run.config)) if run.config else "",
        _folded("Manifest", to_json(run.manifest)) if run.manifest else "",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    ).encode("utf-8", "replace")


def _text(text: object) -> str:
    return escape(one_line(text))


def _reasons(run: Run) -> list[str]:
    undefined = run.results.get("undefined")
    return reasons(undefined) if isinstance(undefined, Mapping) else []


def _cards(results: Mapping[str, Any]) -> str:
    cards = "".join(
        f"<div><dt>{name.replace('_', ' ')}</dt><dd>{_share(value)}</dd></div>"
        for name, value in results["class_incremental"].items()
        if name in HEADLINE
    )
    return f'<dl class="cards">{cards}</dl>'


def _share(value: float | None) -> str:
    return "–" if value is None else f"{percent(value)} %"  # noqa: RUF001


def _matrix(matrix: Matrix) -> str:
    tasks = len(matrix)
    head = "".join(f'<th scope="col">{task + 1}</th>' for task in range(tasks))
    rows = "".join(
        f'<tr><th scope="row">{row + 1}</th>{"".join(map(_cell, matrix[row]))}'
        f"<td>{_number(average_accuracy(matrix, row))}</td></tr>"
        for row in range(tasks)
    )
    drops = "".join(f"<td>{percent(drop)}</td>" for drop in forgetting_per_task(matrix))
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="accuracy matrix"><table>'
        f'<thead><tr><th scope="col">after task</th>{head}<th scope="col">mean</th></tr></thead>'
        f'<tbody>{rows}</tbody><tfoot><tr><th scope="row">forgetting</th>{drops}'
        f"<td>{_number(forgetting(matrix))}</td></tr></tfoot></table></div>"
    )


def _cell(value: float) -> str:
    if np.isnan(value):
        return "<td></td>"
    return f'<td class="heat" style="--share:{value:.3f}">{percent(value)}</td>'


def _number(metric: float | Undefined) -> str:
    return percent(None if isinstance(metric, Undefined) else metric)


def _summary(run: Run) -> str:
    kinds = ("class_incremental", "task_incremental")
    head = "".join(f'<th scope="col">{kind.replace("_", "-")}</th>' for kind in kinds)
    rows = "".join(
        f'<tr><th scope="row">{_text(name.replace("_", " "))}</th>'
        + "".join(f"<td>{percent(run.results[kind][name])}</td>" for kind in kinds)
        + "</tr>"
        for name in run.metrics
    )
    return (
        '<div class="wide"><table class="summary"><thead><tr><th scope="col"></th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _folded(title: str, content: bytes) -> str:
    text = escape(content.decode("utf-8", "replace"))
    return f"<details><summary>{title}</summary><pre>{text}</pre></details>"
