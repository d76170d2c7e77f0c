"""``python -m contsemi.tune scenario=NAME method=NAME [key=value ...] --output FOLDER``."""

import sys
from collections.abc import Sequence

from contsemi.report.door import at_once, enter

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""

    def work() -> int:
        from contsemi.tune.command import tune

        return tune(arguments)

    return enter(work)


if __name__ == "__main__":
    at_once()
    sys.exit(main())
