"""The same as ``python -m contsemi.benchmark``."""

from contsemi.benchmark.__main__ import main
from contsemi.report.door import as_process

if __name__ == "__main__":
    as_process(main)
