"""``python -m contsemi.predict RUN FILE|FOLDER|-``."""

import sys

from contsemi.report.door import at_once, command

main = command("predict")


if __name__ == "__main__":
    at_once()
    sys.exit(main())
