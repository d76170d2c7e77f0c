"""``python -m contsemi.export RUN FOLDER --to onnx|torch``."""

import sys

from contsemi.report.door import at_once, command

main = command("export")


if __name__ == "__main__":
    at_once()
    sys.exit(main())
