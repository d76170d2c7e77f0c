"""Makes shards for ``data.source=shards``: see docs/shards.md."""

import sys

from contsemi.data.shards.making import make
from contsemi.report.door import enter

if __name__ == "__main__":
    sys.exit(enter(lambda: make(None)))
