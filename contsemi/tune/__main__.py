"""``python -m contsemi.tune scenario=NAME method=NAME [key=value ...] --output FOLDER``."""

import sys

from contsemi.report.door import at_once, command

main = command("tune")


if __name__ == "__main__":
    at_once()
    sys.exit(main())
