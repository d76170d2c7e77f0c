"""``python -m contsemi.report RUN [RUN ...]``: redraw one run, or compare several."""

import argparse
import sys
from collections.abc import Sequence

from contsemi.errors import ContsemiError
from contsemi.report.comparison import compare, comparison_tables, remarks
from contsemi.report.console import Display
from contsemi.report.pages import draw
from contsemi.report.run import load_run

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m contsemi.report",
        description="Redraw forgetting.png and report.html of a run from its files and print its "
        "tables; with several runs, compare methods: mean ± standard deviation over seeds.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output folder of a finished run")
    folders = parser.parse_args(arguments).runs
    try:
        runs = [load_run(folder) for folder in dict.fromkeys(folders)]
        with Display("plain") as display:
            if len(runs) == 1:
                display.finish(runs[0], draw(runs[0]))
            else:
                groups = compare(runs)
                for table in comparison_tables(groups, display.width):
                    display.show(table)
                for remark in remarks(groups):
                    display.note(remark)
    except ContsemiError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
