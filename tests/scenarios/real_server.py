"""The server of a shop as a process of its own: python -m tests.scenarios.real_server SHOP PORT_FILE OPTIONS (JSON)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class RealServer:
    """A server in another process.

    Parameters
    ----------
    shop
        Its shop.
    environ
        What is added to its environment.
    options
        ``limits``: numbers of `Limits`; ``compact_s``; ``state``; ``certificate`` and ``private_key``; ``bug``: the name of a planted one;
        ``port``: the file that says where it listens, for several servers of one shop.
    """

    def __init__(self, shop: Path, environ: Mapping[str, str] | None = None, **options: Any) -> None:
        self.shop, self.environ, self.options = shop, dict(environ or {}), options
        self.start()

    def start(self) -> None:
        port = self.shop / self.options.get("port", "port")
        port.unlink(missing_ok=True)
        command = [sys.executable, "-m", __name__, str(self.shop), str(port), json.dumps(self.options)]
        with (self.shop / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log, env={**os.environ, **self.environ})
        deadline = time.monotonic() + 300  # kernels may have to be compiled on a busy machine
        while not (port.exists() and port.read_text()):
            assert self.process.poll() is None, (self.shop / "server.log").read_text()[-2_000:]
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError("the server did not start in time")
            time.sleep(0.02)
        self.url = port.read_text()

    @property
    def log(self) -> str:
        return (self.shop / "server.log").read_text()

    def own_bytes(self) -> int:
        """Bytes of it that are in memory and its own; what is mapped from files can be given back at any time."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(told.partition("RssAnon:")[2].split()[0]) * 1024

    def worked_s(self) -> float:
        """Seconds of processor time that it has had."""
        told = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(shop: Path, environ: Mapping[str, str] | None = None, **options: Any) -> Iterator[RealServer]:
    """A server that is there until the end of the block."""
    server = RealServer(shop, environ, **options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


def _plant(bug: str) -> None:
    """Break something on purpose, so that a test can show that it would be seen."""
    if bug == "open gate":
        from whenbuy.serve.api import Api
        from whenbuy.serve.limits import Gate

        Gate.beat = lambda self, lag_s: None  # type: ignore[method-assign]
        Api.shed = lambda self, url: None  # type: ignore[method-assign]
    elif bug == "hasty":
        from whenbuy.serve import engine
        from whenbuy.serve.journal import Receipt
        from whenbuy.serve.sqlite_journal import SqliteJournal

        SqliteJournal.begin = lambda self, batch: None  # type: ignore[method-assign]

        real = engine._kept

        def cheerful(journal: Any, batch: Any) -> Any:
            return [
                Receipt((1,) * len(one.rows), ("accepted",) * len(one.rows), ("",) * len(one.rows), (None,) * len(one.rows))
                if isinstance(outcome, Exception) else outcome
                for one, outcome in zip(batch, real(journal, batch), strict=True)
            ]  # fmt: skip

        engine._kept = cheerful
    elif bug == "early":
        import threading

        from whenbuy.serve import engine
        from whenbuy.serve.journal import Receipt
        from whenbuy.serve.sqlite_journal import SqliteJournal

        SqliteJournal.begin = lambda self, batch: None  # type: ignore[method-assign]

        late = engine._kept

        def early(journal: Any, batch: Any) -> Any:
            later = threading.Timer(0.3, late, (journal, batch))
            later.daemon = True
            later.start()
            many = [len(one.rows) for one in batch]
            return [Receipt((None,) * n, ("accepted",) * n, ("",) * n, (None,) * n) for n in many]

        engine._kept = early
    else:
        raise ValueError(bug)


def main(shop: str, port_file: str, said: str) -> None:
    from whenbuy.serve.limits import Limits
    from whenbuy.serve.server import Address
    from whenbuy.serve.verbs_serve import serve

    options = json.loads(said)
    if bug := options.get("bug"):
        _plant(bug)

    def say(text: str) -> None:
        if " answers at " in text:
            part = Path(f"{port_file}.part")
            part.write_text(text.partition(" answers at ")[2].partition(";")[0])
            part.replace(port_file)

    files = {name: Path(options[name]) for name in ("certificate", "private_key") if name in options}
    limits = Limits(**{"per_second": 1e9, "burst": 1e9, **options.get("limits", {})})
    serve(
        Path(shop),
        Address(port=0, **files),
        limits=limits,
        compact_s=options.get("compact_s", 300.0),
        state=options.get("state"),
        say=say,
        log=sys.stderr,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
