"""``python -m contsemi.export RUN FOLDER --to onnx|torch``."""

import sys
from collections.abc import Sequence

from contsemi.report.door import at_once, enter

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""

    def work() -> int:
        from contsemi.export.command import export

        return export(arguments)

    return enter(work)


if __name__ == "__main__":
    at_once()
    sys.exit(main())
