"""``python -m contsemi.report RUN [RUN ...]``: redraw one run, compare several, or follow one."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from contsemi.errors import ContsemiError, InputError
from contsemi.records.finished import load_run
from contsemi.report.comparison import Group, compare, comparison_tables, remarks
from contsemi.report.interactive import interactive_comparison, interactive_page
from contsemi.report.pages.draw import draw
from contsemi.report.paired_table import paired_tables
from contsemi.report.screen.console import Display
from contsemi.storage.atomic import storage, write_atomically

__all__ = ["main"]

INTERACTIVE = "interactive.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m contsemi.report",
        description="Redraw the pictures and report.html of a run from its files and print its "
        "tables; with several runs, compare methods: mean ± standard deviation over seeds, and "
        "differences paired by seed.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output folder of a finished run")
    parser.add_argument(
        "--output", metavar="FOLDER", help="write the comparison as a page and as PNG and SVG"
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="write interactive.html, too: charts to point at and zoom into (extra: plots)",
    )
    parser.add_argument(
        "--follow", action="store_true", help="serve the page of a run, also while it trains"
    )
    parser.add_argument("--port", type=int, default=0, help="of --follow; a free one by default")
    given = parser.parse_args(arguments)
    folders = list(dict.fromkeys(given.runs))
    try:
        if given.follow:
            _follow(folders, given.port)
        else:
            _report(folders, given.output, interactive=given.interactive)
    except ContsemiError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _report(folders: Sequence[str], output: str | None, *, interactive: bool) -> None:
    runs = [load_run(folder) for folder in folders]
    alone = len(runs) == 1 and output is None
    if interactive and not alone and output is None:
        problem = "the page of several runs needs a folder"
        raise InputError("--interactive", problem, "give --output FOLDER")
    with Display("plain") as display:
        if alone:
            page = {INTERACTIVE: interactive_page(runs[0])} if interactive else {}
            display.finish(runs[0], (*draw(runs[0]), *_write(page, runs[0].folder)))
            return
        groups = compare(runs)
        for table in (
            *comparison_tables(groups, display.width),
            *paired_tables(groups, display.width),
        ):
            display.show(table)
        for remark in remarks(groups):
            display.note(remark)
        if output is not None:
            page = {INTERACTIVE: interactive_comparison(groups)} if interactive else {}
            names = _write(_comparison(groups) | page, Path(output))
            display.note(f"files in {output}: {', '.join(names)}")


def _comparison(groups: Sequence[Group]) -> dict[str, bytes]:
    # Matplotlib takes half a second to import; tables do not need it.
    from contsemi.report.figures.render import render
    from contsemi.report.figures.scatter import comparison_figure
    from contsemi.report.pages.comparison_html import comparison_page

    figure = comparison_figure(groups)
    pictures = {f"comparison.{end}": render(figure, end) for end in ("png", "svg")}
    return {"comparison.html": comparison_page(groups)} | pictures


def _write(files: Mapping[str, bytes], folder: Path) -> list[str]:
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return list(files)


def _follow(folders: Sequence[str], port: int) -> None:
    from contsemi.report.follow import HOST, serve

    if len(folders) > 1:
        raise InputError("--follow", f"follows one run, got {len(folders)}", "name one folder")
    with serve(folders[0], port) as server:
        print(f"http://{HOST}:{server.server_port}/  (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    sys.exit(main())
