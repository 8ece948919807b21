"""The running server: one process, one loop, this machine's own address unless there are keys; SIGTERM ends it with everything kept."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from whenbuy.core.errors import AccessError, DependencyError, InputError, UsageError
from whenbuy.serve.connection import connections
from whenbuy.serve.engine import Engine

_BACKLOG: Final = 2_048
_KEEP_ALIVE_S: Final = 30
_NO_PASSWORD: Final = "there is none"
"""Without a word nobody would be told that a key needs one: the library would wait for it at the terminal."""
Task = Callable[[], Awaitable[None]]
PORT: Final = 8750
"""Where a server listens where nothing is said."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    Parameters
    ----------
    host, port
        The address; port 0 takes a free one.
    certificate, private_key
        Files in PEM form: with them it speaks TLS.

    Raises
    ------
    UsageError
        When there is only one of the two files.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    certificate: Path | None = None
    private_key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise UsageError("Only one of certificate and private key was named.", "TLS needs both.", "Name the other one as well.")


def bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address of this machine.

    Raises
    ------
    UsageError
        When the address is none.
    AccessError
        When it is taken or may not be used.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"{host!r} is no address ({error}).", "A server listens at an address of its machine.", "Name 127.0.0.1."
        ) from error
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
    except (OSError, OverflowError) as error:
        made.close()
        raise AccessError(
            f"{host}:{port} cannot be used ({getattr(error, 'strerror', None) or error}).",
            "The address must be this machine's, and the port free.",
            "Name another port with --port.",
        ) from error  # fmt: skip
    made.set_inheritable(False)
    return made


def is_own(host: str) -> bool:
    """Return whether only this machine itself can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Server:
    """One server around an application.

    Parameters
    ----------
    app
        The application.
    engine
        Started before the first request and stopped after the last.
    listening
        Where it listens.
    tasks
        What runs beside it until it ends.
    last
        What is done at the end, when nothing changes any more.
    begun
        Called when it answers.
    certificate, private_key
        Files in PEM form: with them it speaks TLS.
    grace_s
        How long requests may take that are in hand when it ends, in seconds.

    Raises
    ------
    InputError
        When the certificate or its key cannot be used.
    """

    def __init__(
        self, app: Any, engine: Engine, listening: socket.socket, *, tasks: Sequence[Task] = (), last: Callable[[], None] = lambda: None,
        begun: Callable[[], None] = lambda: None, certificate: Path | None = None, private_key: Path | None = None, grace_s: float = 10.0,
    ) -> None:  # fmt: skip
        self.started = threading.Event()
        self._app, self._engine, self._socket = app, engine, listening
        self._tasks, self._last, self._begun, self._grace_s = tasks, last, begun, grace_s
        self._uvicorn = self._made(certificate, private_key)

    def _made(self, certificate: Path | None, private_key: Path | None) -> Any:
        try:
            import uvicorn
        except ImportError as error:
            raise DependencyError("uvicorn is not installed.", "A server needs it.", "Run `pip install 'whenbuy[serve]'`.") from error

        config = uvicorn.Config(
            self._app, log_config=None, access_log=False, lifespan="on", proxy_headers=False, server_header=False, date_header=False,
            backlog=_BACKLOG, timeout_keep_alive=_KEEP_ALIVE_S, timeout_graceful_shutdown=max(1, round(self._grace_s)),
            ssl_certfile=certificate, ssl_keyfile=private_key, ssl_keyfile_password=_NO_PASSWORD,
        )  # fmt: skip
        try:
            config.load()
        except OSError as error:  # SSLError is one
            raise InputError(
                f"{certificate} and {private_key} cannot be used ({error.strerror or error}).",
                "TLS needs a certificate and its private key, in PEM form, without a password.", "Look at the two files.",
            ) from error  # fmt: skip
        config.http_protocol_class = connections(config.http_protocol_class, self._app)
        return uvicorn.Server(config)

    def run(self) -> None:
        """Serve until it is stopped."""
        with asyncio.Runner(loop_factory=self._uvicorn.config.get_loop_factory()) as runner:
            runner.run(self._run())

    def stop(self) -> None:
        """End it: what is in hand is finished first. May be called from any thread."""
        self._uvicorn.should_exit = True

    async def _run(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stop())
        await self._engine.start()
        beside = [asyncio.ensure_future(task()) for task in self._tasks]
        said = asyncio.ensure_future(self._say_started())
        try:
            await self._uvicorn._serve([self._socket])  # without its own signals: it would raise them again at the end
        finally:
            said.cancel()
            for task in beside:
                task.cancel()
            for task in beside:
                with suppress(asyncio.CancelledError, Exception):
                    await task
            await self._engine.stop()
            await asyncio.to_thread(self._last)

    async def _say_started(self) -> None:
        while not self._uvicorn.started:
            await asyncio.sleep(0.005)
        self.started.set()
        self._begun()
