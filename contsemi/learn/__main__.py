"""``python -m contsemi.learn MODEL PHOTOS [key=value ...]``."""

import sys

from contsemi.report.door import at_once, command

main = command("learn")


if __name__ == "__main__":
    at_once()
    sys.exit(main())
