"""A server whose clock another process sets: python -m tests.scenarios.clocked_server SHOP CLOCK PORT_FILE."""

import mmap
import struct
import sys
from pathlib import Path

from whenbuy.serve.limits import Limits
from whenbuy.serve.server import Address
from whenbuy.serve.verbs_serve import serve


def clock_of(path):
    """Return what reads the instant that stands in a file."""
    with path.open("r+b") as file:
        held = mmap.mmap(file.fileno(), 8)
    return lambda: struct.unpack("<q", held[:8])[0]


def main(shop, clock, port_file):
    def say(text):
        if " answers at " in text:
            Path(port_file).write_text(text.partition(" answers at ")[2].partition(";")[0])

    limits = Limits(per_second=1e9, burst=1e9, most_lag_s=60)
    serve(Path(shop), Address(port=0), limits=limits, compact_s=1.0, say=say, now=clock_of(Path(clock)), log=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
