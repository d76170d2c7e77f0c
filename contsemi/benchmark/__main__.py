"""``python -m contsemi.benchmark FILE --output FOLDER [key=value ...]``."""

import sys

from contsemi.report.door import at_once, command

main = command("benchmark")


if __name__ == "__main__":
    at_once()
    sys.exit(main())
