"""Makes shards for ``data.source=shards``: see docs/shards.md."""

from contsemi.data.shards.making import make
from contsemi.report.door import as_process, enter

if __name__ == "__main__":
    as_process(lambda: enter(lambda: make(None)))
