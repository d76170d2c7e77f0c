"""The same as ``python -m contsemi.benchmark``."""

import sys

from contsemi.benchmark.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
