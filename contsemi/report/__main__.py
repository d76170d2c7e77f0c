"""``python -m contsemi.report RUN [RUN ...]``: redraw one run, compare several, or follow one."""

import sys

from contsemi.report.door import at_once, command

main = command("report")


if __name__ == "__main__":
    at_once()
    sys.exit(main())
