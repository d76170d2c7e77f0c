"""Makes shards for ``data.source=shards``: see docs/shards.md."""

import sys

from contsemi.data.shards.making import make
from contsemi.living.command import carried_out

if __name__ == "__main__":
    sys.exit(carried_out(make, None))
