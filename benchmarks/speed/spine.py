"""Speed of the spine: import, features, and the start of the command line."""

import sys
from collections.abc import Iterator

from benchmarks.rows import Row, costs
from benchmarks.speed import importing, windows

HELP = Row(area="spine", name="help_s", unit="CPU seconds", better="lower", target=0.3)


def rows() -> Iterator[Row]:
    yield HELP.got(min(cost.cpu_s for cost in costs([sys.executable, "-m", "whenbuy.cli", "--help"], times=5, warm=1)))
    yield from importing.rows()
    yield from windows.rows()
