"""``python -m contsemi.ask MODEL PHOTOS --budget N``."""

import sys

from contsemi.report.door import at_once, command

main = command("ask")


if __name__ == "__main__":
    at_once()
    sys.exit(main())
